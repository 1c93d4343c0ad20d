/*
 * Time: instants and durations are nanoseconds in a uint64_t, on the monotonic clock.
 */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

#define WEFT_NS(n) ((uint64_t)(n))
#define WEFT_US(n) ((uint64_t)(n)*UINT64_C(1000))
#define WEFT_MS(n) ((uint64_t)(n)*UINT64_C(1000000))
#define WEFT_SEC(n) ((uint64_t)(n)*UINT64_C(1000000000))

/* A duration, or an instant, that never comes. */
#define WEFT_FOREVER UINT64_MAX

/* The current instant of CLOCK_MONOTONIC. Any thread, signal handlers included. */
WEFT_API uint64_t weft_now(void);

/* `instant + duration`, staying at WEFT_FOREVER instead of overflowing. */
static inline uint64_t weft_after(uint64_t instant, uint64_t duration)
{
    return duration > WEFT_FOREVER - instant ? WEFT_FOREVER : instant + duration;
}

/*
 * Suspends the calling task for at least `duration`, never less, or until `deadline`. A duration of
 * 0 or a deadline that has passed lets other tasks run once (weft_yield). Durations that would
 * overflow mean for ever.
 *
 * Returns 0, -ECANCELED when aborted before the time was up, -EPERM outside a fiber. May suspend.
 */
WEFT_API int weft_sleep(uint64_t duration);
WEFT_API int weft_sleep_until(uint64_t deadline);

WEFT_END_DECLS

#endif
