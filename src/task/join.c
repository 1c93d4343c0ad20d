/*
 * Waiting for a task's end.
 *
 * The joined task is a source with room for one waiter and no lock. `joiner` is claimed first, by
 * compare-and-swap; then JOINED is set in the state, which completion looks at:
 *
 *   joiner     claim `joiner`; state |= JOINED;  COMPLETE already there?  then do not wait
 *   completion state |= COMPLETE;  JOINED there?  then fire `joiner`;  state |= JOIN_TOLD
 *
 * Both are read-modify-writes of one word, so exactly one of the two sees the other's flag. A joiner
 * that leaves early (cancelled) takes JOINED back; finding COMPLETE there it knows that completion
 * may be just about to touch its waiter, and waits for JOIN_TOLD: a few instructions away.
 */
#include <errno.h>

#include "platform/system.h"
#include "task/carrier.h"
#include "task/task.h"

int weft__join_link(struct weft_task *task, struct weft__waiter *waiter)
{
    struct weft__waiter *nobody = NULL;
    if (!weft__cas(&task->joiner, &nobody, waiter, relaxed, relaxed))
        return -EINVAL;
    /* Release: `joiner` and the waiter's word. Acquire: the result. */
    uint32_t state = weft__or(&task->state, WEFT__JOINED, acq_rel);
    return state & WEFT__COMPLETE ? 0 : 1;
}

bool weft__join_unlink(struct weft_task *task)
{
    uint32_t state = weft__and(&task->state, ~(uint32_t)WEFT__JOINED, acq_rel);
    if (!(state & WEFT__COMPLETE)) {
        /* Release: a later joiner's claim comes after our leaving. */
        weft__store(&task->joiner, NULL, release);
        return false;
    }
    while (!(weft__load(&task->state, acquire) & WEFT__JOIN_TOLD))
        weft__thread_yield();
    return true;
}

int weft__join_take(struct weft_task *task, void **result)
{
    uint32_t state = weft__load(&task->state, acquire);
    if (!(state & WEFT__NO_STACK) && result)
        *result = task->result;
    weft__task_release(task);
    if (state & WEFT__NO_STACK)
        return -ENOMEM;
    return state & WEFT__CUT_SHORT ? -ECANCELED : 0;
}

/* Waits as the calling fiber, or blocks the calling thread. 0, or -EINTR / -EINVAL / -EDEADLK. */
static int wait_for(struct weft_task *task)
{
    struct weft__waiter thread = {.kind = WEFT__THREAD};
    struct weft__waiter *self = &thread;
    struct weft_task *current = weft__task_current();
    if (current) {
        if (current == task || current->waiter.kind != WEFT__FIBER)
            return -EDEADLK;
        if (weft__task_is_cancelled(current)) {
            current->waiter.cancel_seen = true;
            return -EINTR;
        }
        self = &current->waiter;
    }
    weft__wait_begin(self, 0);
    int linked = weft__join_link(task, self);
    if (linked <= 0) {
        weft__wait_end(self);
        return linked;
    }
    if (weft__wait_park(self, UINT64_MAX) == WEFT__WHY_SOURCE) {
        /* A plain thread's waiter lives on this stack: completion must have let go of it. */
        while (!current && !(weft__load(&task->state, acquire) & WEFT__JOIN_TOLD))
            weft__thread_yield();
        return 0;
    }
    if (!weft__join_unlink(task))
        return -EINTR;
    /* It ended at the same time: a result ranks above a cancel, which stays pending. */
    return 0;
}

int weft_join(weft_task *task, void **result)
{
    if (!task)
        return -ENOMEM;
    weft__budget_point();
    if (!(weft__load(&task->state, acquire) & WEFT__COMPLETE)) {
        int rc = wait_for(task);
        if (rc < 0)
            return rc;
    }
    return weft__join_take(task, result);
}
