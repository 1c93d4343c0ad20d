/*
 * A timer: a deadline that a waiter links itself to, as one source among others. The node lives in
 * the waiting operation, so arming allocates nothing. Implemented by time/wheel.c.
 */
#ifndef WEFT_TASK_TIMER_H
#define WEFT_TASK_TIMER_H

#include "base/list.h"
#include "task/wait.h"

struct weft__timer {
    struct weft__link link;      /* in a slot of the wheel; under the wheel's lock */
    uint64_t tick;               /* when to fire, in the wheel's ticks */
    struct weft__waiter *waiter; /* is fired with WEFT__WHY_TIMER */
    struct weft__wheel *wheel;   /* the one it was armed in */
};

/* Arms on the calling carrier's wheel. The waiter has begun to wait. Never fires before `deadline`. */
void weft__timer_arm(struct weft__timer *timer, struct weft__waiter *waiter, uint64_t deadline);

/* Afterwards it will not fire; if it has already, nothing happens. Any thread. */
void weft__timer_disarm(struct weft__timer *timer);

#endif
