/* What the calling thread is to weft: the one thread-local that tasks and workers go by. */
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

bool weft__budget_empty(struct weft__carrier *carrier)
{
    struct weft_task *task = carrier->task;
    if (carrier->budget == 1) {
        carrier->budget = 0;
        weft__carrier_exhausted(carrier);
        return true;
    }
    if (task->waiter.kind != WEFT__FIBER)
        return true;
    weft__fiber_yield(carrier);
    carrier = weft__carrier();
    /* Nobody else wanted to run, and so nobody has filled it. */
    if (carrier->budget == 0)
        weft__carrier_refill(carrier);
    if (!weft__task_is_cancelled(task))
        return true;
    task->waiter.cancel_seen = true;
    return false;
}
