/* Birth, end and reference counting of tasks; cancellation. */
#include "task/task.h"

#include <errno.h>
#include <string.h>

#include "task/carrier.h"

static struct weft__task_caches *caches_of(struct weft__carrier *carrier)
{
    return carrier ? &carrier->task_caches : NULL;
}

static void task_init(struct weft_task *task, uint8_t kind, unsigned references)
{
    weft__store(&task->waiter.word, WEFT__RUNNING, relaxed);
    task->waiter.kind = kind;
    task->waiter.cancel_seen = false;
    task->next = NULL;
    task->result = NULL;
    weft__store(&task->joiner, NULL, relaxed);
    /* Release: shutdown's walk over the slabs may take a reference from now on. */
    weft__store(&task->state, references * WEFT__REFERENCE, release);
}

struct weft_task *weft__fiber_new(struct weft__task_memory *memory, struct weft__carrier *carrier,
                                  weft_task_fn *fn, void *arg, unsigned references)
{
    struct weft_task *task =
        weft__task_alloc(memory, caches_of(carrier), sizeof(struct weft__fiber));
    if (!task)
        return NULL;
    struct weft__fiber *fiber = weft__fiber(task);
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->stack = NULL;
    task_init(task, WEFT__FIBER, references);
    return task;
}

struct weft_task *weft__stackless_new(struct weft__task_memory *memory,
                                      struct weft__carrier *carrier, weft_poll_fn *fn,
                                      const void *frame, size_t size, unsigned references)
{
    if (size > WEFT__TASK_MAX - sizeof(struct weft__stackless))
        return NULL;
    struct weft_task *task = weft__task_alloc(memory, caches_of(carrier),
                                              sizeof(struct weft__stackless) + size);
    if (!task)
        return NULL;
    struct weft__stackless *body = weft__stackless(task);
    body->fn = fn;
    body->yielding = false;
    memcpy(body->frame, frame, size);
    task_init(task, WEFT__STACKLESS, references);
    return task;
}

/* The last reference is gone. */
static void task_free(struct weft_task *task)
{
    weft__task_dealloc(task, caches_of(weft__carrier()));
}

void weft__task_release(struct weft_task *task)
{
    /* Release: our use of the task; acquire, by the last one: everybody else's. */
    uint32_t before = weft__sub(&task->state, WEFT__REFERENCE, acq_rel);
    weft__assert(before >= WEFT__REFERENCE);
    if (before < 2 * WEFT__REFERENCE)
        task_free(task);
}

/* Completion when somebody has joined: tell, then drop, each visible to the joiner in turn. */
static void finish_joined(struct weft_task *task, uint32_t outcome)
{
    struct weft__wake_list list = {0};
    /* Release: the result. Acquire: the joiner's registration. */
    uint32_t state = weft__or(&task->state, WEFT__COMPLETE | outcome, acq_rel);
    if (state & WEFT__JOINED)
        weft__wait_fire(weft__load(&task->joiner, relaxed), WEFT__WHY_SOURCE, &list);
    /*
     * Release: our last touch of the joiner's word is before JOIN_TOLD, on which weft__join_unlink
     * waits. The joiner may run and free the task as soon as it is scheduled below, not earlier
     * than by our own reference, dropped here.
     */
    state = weft__add(&task->state, WEFT__JOIN_TOLD - WEFT__REFERENCE, acq_rel);
    if (state < 2 * WEFT__REFERENCE)
        task_free(task);
    weft__wake(&list);
}

void weft__task_finish(struct weft_task *task, void *result, uint32_t outcome)
{
    weft__carrier_ended(weft__carrier());
    task->result = result;
    uint32_t state = weft__load(&task->state, relaxed);
    /* The cheap way: nobody has joined, so completion and dropping are one instruction. */
    while (!(state & WEFT__JOINED)) {
        uint32_t next = (state | WEFT__COMPLETE | outcome) - WEFT__REFERENCE;
        /* Release: the result, for weft_join. Acquire: if we are the last, others' use of it. */
        if (weft__cas(&task->state, &state, next, acq_rel, relaxed)) {
            if (next < WEFT__REFERENCE)
                task_free(task);
            return;
        }
    }
    finish_joined(task, outcome);
}

void weft__task_discard(struct weft_task *task)
{
    if (task->waiter.kind == WEFT__STACKLESS)
        weft__stackless_drop(task);
    task->result = NULL;
    /* Nobody else has the task yet: plain arithmetic on the state would do as well. */
    uint32_t before = weft__add(&task->state,
                                WEFT__COMPLETE + WEFT__CUT_SHORT - WEFT__REFERENCE, release);
    if (before < 2 * WEFT__REFERENCE)
        task_free(task);
}

void weft_abort(weft_task *task)
{
    if (!task)
        return;
    /* Sequentially consistent, before the look at the waiter's word: see wait.h. */
    uint32_t state = weft__or(&task->state, WEFT__CANCELLED, seq_cst);
    if (state & (WEFT__COMPLETE | WEFT__CANCELLED))
        return;
    struct weft__wake_list list = {0};
    if (weft__wait_fire(&task->waiter, WEFT__WHY_CANCEL, &list))
        weft__wake(&list);
}

void weft_detach(weft_task *task)
{
    if (task)
        weft__task_release(task);
}

bool weft_task_is_finished(const weft_task *task)
{
    return task && weft__load(&task->state, acquire) & WEFT__COMPLETE;
}
