/*
 * A worker's timers: a hierarchical wheel (Varghese and Lauck, "Hashed and Hierarchical Timing
 * Wheels", 1987).
 *
 * Seven levels of 64 slots; a slot of level 0 is one tick of 2^14 ns (16 us), each level is 64 times
 * coarser, together 2.3 years; later deadlines wait in the top level and are filed again. Arming
 * and disarming cost a list operation. When time reaches a slot of a higher level its timers are
 * filed again, lower; on level 0 they fire. Deadlines are rounded up to a tick: never early.
 *
 * The owner arms and fires; any thread may disarm. Hence the lock, which is almost never contended.
 */
#ifndef WEFT_TIME_WHEEL_H
#define WEFT_TIME_WHEEL_H

#include "base/atomic.h"
#include "platform/park.h"
#include "task/timer.h"

enum {
    WEFT__WHEEL_LEVELS = 7,
    WEFT__WHEEL_BITS = 6,
    WEFT__WHEEL_SLOTS = 1 << WEFT__WHEEL_BITS,
    WEFT__TICK_SHIFT = 14, /* a tick is 2^14 ns */
};

struct weft__wheel {
    struct weft__lock lock; /* guards everything else */
    uint64_t elapsed;       /* ticks up to which everything has fired */
    /* Instant of the earliest thing to do, or earlier, or UINT64_MAX; written under the lock. */
    _Atomic uint64_t next;
    _Atomic uint64_t fired;                /* total */
    uint64_t occupied[WEFT__WHEEL_LEVELS]; /* a bit for each slot that is not empty */
    struct weft__link slots[WEFT__WHEEL_LEVELS][WEFT__WHEEL_SLOTS];
};

void weft__wheel_init(struct weft__wheel *wheel, uint64_t now);

/* Adds a timer; it has a tick, a waiter and this wheel. Lock held. (For tests; see timer.h.) */
void weft__wheel_insert(struct weft__wheel *wheel, struct weft__timer *timer);

/* Fires all that are due at `now`. Winners go to `list`, to be woken without the lock. */
void weft__wheel_expire(struct weft__wheel *wheel, uint64_t now, struct weft__wake_list *list);

/* When to look next, UINT64_MAX if never. Exact or earlier. */
uint64_t weft__wheel_next(struct weft__wheel *wheel);

/* Cheap: whether a look at `now` may find something. A stale answer is as good as an old `now`. */
static inline bool weft__wheel_is_due(const struct weft__wheel *wheel, uint64_t now)
{
    return weft__load(&wheel->next, relaxed) <= now;
}

static inline bool weft__wheel_is_empty(const struct weft__wheel *wheel)
{
    return weft__load(&wheel->next, relaxed) == UINT64_MAX;
}

#endif
