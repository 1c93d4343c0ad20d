/* What the calling thread is to weft: the only thread-local of the library. */
#include "base/base.h"
#include "task/carrier.h"

/*
 * initial-exec: one load relative to the thread pointer, no call into the dynamic linker. The few
 * bytes fit the reserve that the linker keeps for libraries loaded with dlopen.
 */
static _Thread_local struct weft__thread this_thread __attribute__((tls_model("initial-exec")));

WEFT__NOINLINE struct weft__thread *weft__thread(void)
{
    /* Opaque to the optimiser, also under LTO: two calls must not become one. */
    struct weft__thread *thread = &this_thread;
    __asm__ volatile("" : "+r"(thread) : : "memory");
    return thread;
}

struct weft_task *weft__task_current(void)
{
    struct weft__carrier *carrier = weft__carrier();
    return carrier ? carrier->task : NULL;
}

bool weft__budget_spend(void)
{
    struct weft__carrier *carrier = weft__carrier();
    if (!carrier || !carrier->task)
        return true;
    if (carrier->budget == 0)
        return false;
    if (--carrier->budget == 0)
        weft__carrier_exhausted(carrier);
    return true;
}

void weft__budget_point(void)
{
    struct weft__carrier *carrier = weft__carrier();
    if (!carrier || !carrier->task || carrier->task->waiter.kind != WEFT__FIBER)
        return;
    if (WEFT__UNLIKELY(carrier->budget == 0)) {
        weft__fiber_yield(carrier);
        carrier = weft__carrier();
    }
    if (carrier->budget && --carrier->budget == 0)
        weft__carrier_exhausted(carrier);
}
