/*
 * Contract: sleeping and waking by address (futex), and the lock made of it.
 */
#ifndef WEFT_PLATFORM_PARK_H
#define WEFT_PLATFORM_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/*
 * Sleeps while `*word == expected`, until woken or until `deadline` (ns on the monotonic clock,
 * UINT64_MAX: none). May return spuriously; the caller looks again. Returns false when it was the
 * deadline.
 */
bool weft__futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline);

/* Wakes up to `count` sleepers. The word may already be gone: it is only an address. */
void weft__futex_wake(_Atomic uint32_t *word, int count);

/*
 * A mutex of four bytes, all zeros when free; for short critical sections of threads that never
 * switch fibers inside. Not recursive. 0 free, 1 held, 2 held and somebody sleeps.
 */
struct weft__lock {
    _Atomic uint32_t word;
};

void weft__lock_slow(struct weft__lock *lock);

/* Acquire: pairs with the release in weft__unlock, so what the last holder wrote is seen. */
static inline void weft__lock(struct weft__lock *lock)
{
    uint32_t free = 0;
    if (!weft__cas(&lock->word, &free, 1, acquire, relaxed))
        weft__lock_slow(lock);
}

static inline bool weft__try_lock(struct weft__lock *lock)
{
    uint32_t free = 0;
    return weft__cas(&lock->word, &free, 1, acquire, relaxed);
}

static inline void weft__unlock(struct weft__lock *lock)
{
    if (weft__swap(&lock->word, 0, release) == 2)
        weft__futex_wake(&lock->word, 1);
}

#endif
