/* The clock, and sleeping by it. */
#include <errno.h>

#include <weft/time.h>

#include "platform/system.h"
#include "task/carrier.h"
#include "task/timer.h"

uint64_t weft_now(void)
{
    return weft__clock_now();
}

int weft_sleep_until(uint64_t deadline)
{
    int rc = 0;
    struct weft__waiter *self = weft__wait_self(&rc);
    if (!self)
        return rc;
    if (deadline <= weft__clock_now())
        return weft_yield();
    struct weft__timer timer;
    weft__wait_begin(self, 0);
    weft__timer_arm(&timer, self, deadline);
    if (weft__wait_park(self, UINT64_MAX) == WEFT__WHY_TIMER)
        return 0;
    weft__timer_disarm(&timer);
    return -ECANCELED;
}

int weft_sleep(uint64_t duration)
{
    return duration ? weft_sleep_until(weft_after(weft_now(), duration)) : weft_yield();
}
