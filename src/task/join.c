/*
 * Waiting for a task's end.
 *
 * The joined task is a source with room for one waiter and no lock.
 *
 *   joiner      joiner = waiter;  state |= JOINED;    COMPLETE already there?  then do not wait
 *   completion  state |= COMPLETE;  JOINED there?  then fire `joiner`;  joiner = TOLD
 *
 * Both change the state by read-modify-write, so exactly one of the two sees the other's flag.
 * Completion drops its reference with the first step; what keeps the task for the others is the
 * joiner's handle, which the joiner does not give up before it has seen TOLD, nor, when something
 * else ends its wait, leave its waiter to completion's last touch. TOLD is a few instructions away
 * then, and normally long there.
 */
#include <errno.h>

#include "platform/system.h"
#include "task/carrier.h"
#include "task/task.h"

int weft__join_link(struct weft_task *task, struct weft__waiter *waiter)
{
    if (weft__load(&task->joiner, relaxed))
        return -EINVAL;
    weft__store(&task->joiner, waiter, relaxed);
    /* Release: `joiner` and the waiter's word. Acquire: the result. */
    uint32_t state = weft__or(&task->state, WEFT__JOINED, acq_rel);
    if (state & WEFT__JOINED)
        weft__fatal("weft_join", "two callers join one task at the same moment");
    if (!(state & WEFT__COMPLETE))
        return 1;
    weft__and(&task->state, ~(uint32_t)WEFT__JOINED, relaxed); /* too late: nobody will tell us */
    return 0;
}

static void await_told(struct weft_task *task)
{
    /* Acquire: completion's last touch. */
    while (weft__load(&task->joiner, acquire) != WEFT__JOIN_TOLD)
        weft__thread_yield();
}

bool weft__join_unlink(struct weft_task *task)
{
    uint32_t state = weft__and(&task->state, ~(uint32_t)WEFT__JOINED, acq_rel);
    if (state & WEFT__COMPLETE) {
        await_told(task);
        return true;
    }
    /* Release: a later joiner comes after our leaving. */
    weft__store(&task->joiner, NULL, release);
    return false;
}

int weft__join_take(struct weft_task *task, void **result)
{
    uint32_t state = weft__load(&task->state, acquire);
    if (state & WEFT__JOINED)
        await_told(task);
    if (!(state & WEFT__NO_STACK) && result)
        *result = task->result;
    weft__task_release(task);
    if (state & WEFT__NO_STACK)
        return -ENOMEM;
    return state & WEFT__CUT_SHORT ? -ECANCELED : 0;
}

/* Waits with the given waiter. 0, -EINTR or -EINVAL. */
static int wait_for(struct weft_task *task, struct weft__waiter *self)
{
    weft__wait_begin(self, 0);
    int linked = weft__join_link(task, self);
    if (linked <= 0) {
        weft__wait_end(self);
        return linked;
    }
    if (weft__wait_park(self, UINT64_MAX) == WEFT__WHY_SOURCE)
        return 0;
    if (!weft__join_unlink(task))
        return -EINTR;
    /* It ended at the same time: a result ranks above a cancel, which stays pending and untold. */
    self->cancel_seen = false;
    return 0;
}

static int wait_as_thread(struct weft_task *task)
{
    struct weft__waiter self = { .kind = WEFT__THREAD };
    return wait_for(task, &self);
}

static int wait_as_task(struct weft_task *task, struct weft_task *self)
{
    if (self == task || self->waiter.kind != WEFT__FIBER)
        return -EDEADLK;
    if (weft__task_is_cancelled(self)) {
        self->waiter.cancel_seen = true;
        return -EINTR;
    }
    return wait_for(task, &self->waiter);
}

int weft_join(weft_task *task, void **result)
{
    if (!task)
        return -ENOMEM;
    struct weft__carrier *carrier = weft__carrier();
    struct weft_task *self = carrier ? carrier->task : NULL;
    if (self && !weft__budget_pass(carrier))
        return -EINTR;
    if (WEFT__UNLIKELY(weft__load(&task->state, relaxed) < WEFT__REFERENCE))
        return -EINVAL; /* consumed before; seen as long as the slot has not been used again */
    if (!(weft__load(&task->state, acquire) & WEFT__COMPLETE)) {
        int rc = self ? wait_as_task(task, self) : wait_as_thread(task);
        if (rc < 0)
            return rc;
    }
    return weft__join_take(task, result);
}
