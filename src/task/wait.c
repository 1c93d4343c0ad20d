/* The wait protocol: see wait.h. */
#include "task/wait.h"

#include <errno.h>

#include "base/base.h"
#include "platform/barrier.h"
#include "platform/park.h"
#include "task/carrier.h"
#include "task/task.h"

/* The compare-and-swap that makes the winner; `*word` is what it has found. */
static bool win(struct weft__waiter *waiter, uint32_t code, uint32_t *word)
{
    /*
     * Sequentially consistent for cancellation's sake (wait.h): the flag before, this look after.
     * For the other sources acquire and release would do: acquire of PARKED, so that the saved
     * registers are seen by whoever resumes the task through us; release of what the source has
     * written for the waiter.
     */
    *word = weft__load(&waiter->word, seq_cst);
    do {
        uint32_t phase = *word & WEFT__PHASE;
        if (phase != WEFT__ARMED && phase != WEFT__PARKED)
            return false;
        if (code == WEFT__WHY_CANCEL && *word & WEFT__SHIELDED)
            return false;
    } while (
        !weft__cas(&waiter->word, word, WEFT__FIRED | code << WEFT__CODE_SHIFT, seq_cst, seq_cst));
    return true;
}

bool weft__wait_fire_task(struct weft_task *task, uint32_t code, struct weft__wake_list *list)
{
    uint32_t word;
    if (!win(&task->waiter, code, &word))
        return false;
    if ((word & WEFT__PHASE) == WEFT__PARKED) {
        task->next = NULL;
        if (list->first)
            list->last->next = task;
        else
            list->first = task;
        list->last = task;
    }
    return true;
}

bool weft__wait_fire(struct weft__waiter *waiter, uint32_t code, struct weft__wake_list *list)
{
    uint32_t word;
    if (waiter->kind != WEFT__THREAD)
        return weft__wait_fire_task(weft__task_of(waiter), code, list);
    if (!win(waiter, code, &word))
        return false;
    weft__futex_wake(&waiter->word, 1); /* it may be gone: only an address */
    return true;
}

void weft__wake(struct weft__wake_list *list)
{
    struct weft_task *task = list->first;
    *list = (struct weft__wake_list){ 0 };
    while (task) {
        struct weft_task *next = task->next; /* it may run, and end, as soon as it is scheduled */
        weft__schedule(task);
        task = next;
    }
}

void weft__wait_check_cancel(struct weft_task *task)
{
    weft__fence_after_rmw(); /* see wait.h; the read-modify-write was that of a source's lock */
    if (WEFT__UNLIKELY(weft__task_is_cancelled(task))) {
        struct weft__wake_list none = { 0 };
        weft__wait_fire(&task->waiter, WEFT__WHY_CANCEL, &none); /* ARMED: so nothing to wake */
    }
}

void weft__park_finish(struct weft_task *task)
{
    uint32_t word = weft__load(&task->waiter.word, relaxed);
    /* Release: the registers just saved, for whoever fires. Afterwards the task is not ours. */
    if ((word & WEFT__PHASE) == WEFT__ARMED &&
        weft__cas(&task->waiter.word, &word, (word & WEFT__SHIELDED) | WEFT__PARKED, release,
                  acquire))
        return;
    weft__schedule(task); /* fired on its way out, and by rule 3 ours to requeue */
}

static uint32_t thread_park(struct weft__waiter *waiter, uint64_t deadline)
{
    for (;;) {
        uint32_t word = weft__load(&waiter->word, acquire);
        if ((word & WEFT__PHASE) == WEFT__FIRED)
            return word;
        if (!weft__futex_wait(&waiter->word, word, deadline)) {
            uint32_t fired = WEFT__FIRED | WEFT__WHY_TIMER << WEFT__CODE_SHIFT;
            if (weft__cas(&waiter->word, &word, fired, acquire, acquire))
                return fired;
        }
    }
}

uint32_t weft__wait_park(struct weft__waiter *waiter, uint64_t deadline)
{
    uint32_t word;
    if (waiter->kind == WEFT__THREAD) {
        word = thread_park(waiter, deadline);
    } else {
        weft__assert(deadline == UINT64_MAX);
        weft__wait_check_cancel(weft__task_of(waiter));
        weft__fiber_park(weft__carrier());
        word = weft__load(&waiter->word, relaxed); /* ordered by the hand-over that resumed us */
    }
    weft__wait_end(waiter);
    uint32_t code = word >> WEFT__CODE_SHIFT;
    if (code == WEFT__WHY_CANCEL)
        waiter->cancel_seen = true;
    return code;
}

struct weft__waiter *weft__wait_self(int *rc)
{
    struct weft_task *task = weft__task_current();
    if (!task || task->waiter.kind != WEFT__FIBER) {
        *rc = -EPERM;
        return NULL;
    }
    if (WEFT__UNLIKELY(weft__task_is_cancelled(task))) {
        task->waiter.cancel_seen = true;
        *rc = -ECANCELED;
        return NULL;
    }
    return &task->waiter;
}
