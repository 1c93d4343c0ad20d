/*
 * The wait protocol: how anything waits for anything, with a single winner.
 *
 * Who waits is a *waiter*: a fiber, a stackless task, or a plain thread. What it waits for is a
 * *source*: a timer, a descriptor, a task's end, later a lock or a channel. Each source keeps
 * pointers to its waiters and guards them with its own lock (or, for join, with the handshake in
 * join.c). Sources, cancellation and deadlines compete for one word in the waiter:
 *
 *      RUNNING --begin--> ARMED --the waiter has left its stack--> PARKED
 *                           |                                        |
 *                           +-------------- fire(code) --------------+--> FIRED(code)
 *
 * 1. The waiter calls weft__wait_begin (a plain store: nobody else writes the word while RUNNING),
 *    then links itself at one source at least, under its lock, then weft__wait_park.
 * 2. A source that has something, holding its lock, calls weft__wait_fire. The one compare-and-swap
 *    that moves ARMED or PARKED to FIRED wins; only the winner may let its operation take effect
 *    on the waiter's behalf. All others see false and go to their next waiter.
 * 3. ARMED -> FIRED: the waiter is still on its way out. The worker that switched it out finds that
 *    its own ARMED -> PARKED fails, and requeues it. PARKED -> FIRED: its registers are saved, and
 *    the winner makes it runnable. So a waiter becomes runnable once, through exactly one hand,
 *    and never before it has left its stack.
 * 4. Back from weft__wait_park the waiter unlinks itself from the sources that did not win, under
 *    their locks. A source therefore only ever touches waiters that are still there: it fires
 *    while holding its lock, and makes winners runnable (weft__wake) after dropping it, which is
 *    safe because a fired waiter cannot run until then.
 *
 * Cancellation sets the task's CANCELLED flag, then looks at the word and fires. Since begin is a
 * plain store, that look may miss a task that is just arming; so the waiter looks at its flag once
 * more before it leaves its stack, and if it is set fires itself. Setting the flag is a full fence
 * for the one side; for the other, linking at the sources has taken a lock, and
 * weft__fence_after_rmw makes a full fence of that. So one of the two sees the other (Dekker). It is
 * the waiter that looks, and not the worker that parks it, because from PARKED on the task may run,
 * end and be replaced by another one in its slot.
 *
 * Locked instructions a wait: one in park, one in fire, and those of the sources' locks.
 */
#ifndef WEFT_TASK_WAIT_H
#define WEFT_TASK_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct weft_task;

/* The waiter's word: phase in the low bits, code above. */
enum {
    WEFT__RUNNING = 0,
    WEFT__ARMED = 1,
    WEFT__PARKED = 2,
    WEFT__FIRED = 3,
    WEFT__PHASE = 3,      /* mask */
    WEFT__SHIELDED = 4,   /* with ARMED and PARKED: cancellation must not fire */
    WEFT__CODE_SHIFT = 8, /* with FIRED: the winner's code */
};

/* Winners' codes. */
enum {
    WEFT__WHY_SOURCE = 0, /* the source waited for */
    WEFT__WHY_TIMER = 1,  /* a timer beside it */
    WEFT__WHY_CANCEL = 2, /* weft_abort, or shutdown */
    WEFT__WHY_GONE = 3,   /* the source is closed */
};

enum weft__waiter_kind {
    WEFT__FIBER = 0,
    WEFT__STACKLESS = 1,
    WEFT__THREAD = 2, /* a plain thread: sleeps on the word itself */
};

struct weft__waiter {
    _Atomic uint32_t word;
    uint8_t kind; /* enum weft__waiter_kind; fixed */
    /* Whether cancellation has been delivered: some call has returned -ECANCELED. The task's own. */
    bool cancel_seen;
};

/* Waiters that were fired while PARKED and are yet to be made runnable, linked by task->next. */
struct weft__wake_list {
    struct weft_task *first;
    struct weft_task *last;
};

/* Step 1. `flags` is 0 or WEFT__SHIELDED. The caller is the waiter. */
static inline void weft__wait_begin(struct weft__waiter *waiter, uint32_t flags)
{
    /* Relaxed: published by the sources' locks; against cancellation see above. */
    weft__store(&waiter->word, WEFT__ARMED | flags, relaxed);
}

/* The waiter gives up waiting before it has linked itself anywhere, or after unlinking. */
static inline void weft__wait_end(struct weft__waiter *waiter)
{
    weft__store(&waiter->word, WEFT__RUNNING, relaxed);
}

/*
 * Step 2: true for the single winner. A winner over PARKED is put on `list`; a thread is woken at
 * once. The caller holds the source's lock.
 */
bool weft__wait_fire(struct weft__waiter *waiter, uint32_t code, struct weft__wake_list *list);

/* The same for a waiter that is a task's; looks at nothing but its word. */
bool weft__wait_fire_task(struct weft_task *task, uint32_t code, struct weft__wake_list *list);

/* Makes all on the list runnable. Call it without locks: it may wake workers. */
void weft__wake(struct weft__wake_list *list);

/*
 * Step 3, for fibers and plain threads: suspends until fired; the winner's code. Step 4 is the
 * caller's. On return the word is RUNNING. A thread may give a deadline; then WEFT__WHY_TIMER may
 * come back; tasks link a timer instead and pass UINT64_MAX.
 */
uint32_t weft__wait_park(struct weft__waiter *waiter, uint64_t deadline);

/*
 * The waiter that the caller may suspend: its fiber, else NULL with the code to return in `*rc`:
 * -EPERM outside a fiber, -ECANCELED when the task has been aborted.
 */
struct weft__waiter *weft__wait_self(int *rc);

#endif
