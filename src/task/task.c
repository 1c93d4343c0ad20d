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
    /* Release: shutdown's walk over the slabs may look at the task from now on. */
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
    struct weft_task *task =
        weft__task_alloc(memory, caches_of(carrier), sizeof(struct weft__stackless) + size);
    if (!task)
        return NULL;
    struct weft__stackless *body = weft__stackless(task);
    body->fn = fn;
    body->yielding = false;
    memcpy(body->frame, frame, size);
    task_init(task, WEFT__STACKLESS, references);
    return task;
}

/* The last reference is gone. Relaxed: shutdown's walk may look, and finds nobody at home. */
static void task_free(struct weft_task *task)
{
    weft__store(&task->state, 0, relaxed);
    weft__task_dealloc(task, caches_of(weft__carrier()));
}

void weft__task_release(struct weft_task *task)
{
    /*
     * If ours is the only reference nobody can add another one, and there is nothing to agree on.
     * Acquire: what the others did with it before they dropped theirs.
     */
    uint32_t state = weft__load(&task->state, acquire);
    if (state < 2 * WEFT__REFERENCE) {
        if (state < WEFT__REFERENCE)
            weft__fatal(__func__, "a task handle was given up twice");
        task_free(task);
        return;
    }
    /* Release: our use of the task; acquire, by the last one: everybody else's. */
    if (weft__sub(&task->state, WEFT__REFERENCE, acq_rel) < 2 * WEFT__REFERENCE)
        task_free(task);
}

/*
 * Locked instructions: none for a detached task, one if there is a handle, two if somebody has
 * joined.
 */
void weft__task_finish(struct weft_task *task, void *result, uint32_t outcome)
{
    weft__carrier_ended(weft__carrier());
    uint32_t state = weft__load(&task->state, acquire);
    if (state < 2 * WEFT__REFERENCE) {
        task_free(task); /* no handle: nobody will ever ask */
        return;
    }
    task->result = result;
    uint32_t next;
    do
        next = (state | WEFT__COMPLETE | outcome) - WEFT__REFERENCE;
    /* Release: the result. Acquire: the joiner's registration, or the last others' use. */
    while (!weft__cas(&task->state, &state, next, acq_rel, relaxed));
    if (!(state & WEFT__JOINED)) {
        if (next < WEFT__REFERENCE)
            task_free(task);
        return;
    }
    /* The joiner's handle keeps the task until we have said that we are done with it. */
    struct weft__wake_list list = { 0 };
    weft__wait_fire(weft__load(&task->joiner, relaxed), WEFT__WHY_SOURCE, &list);
    weft__store(&task->joiner, WEFT__JOIN_TOLD, release);
    weft__wake(&list);
}

void weft__task_discard(struct weft_task *task)
{
    if (task->waiter.kind == WEFT__STACKLESS)
        weft__stackless_drop(task);
    task->result = NULL;
    weft__or(&task->state, WEFT__COMPLETE | WEFT__CUT_SHORT, release);
    weft__task_release(task);
}

/* CANCELLED is set, for the first time: wakes the task if it waits. */
static void cancel_wait(struct weft_task *task)
{
    struct weft__wake_list list = { 0 };
    if (weft__wait_fire_task(task, WEFT__WHY_CANCEL, &list))
        weft__wake(&list);
}

void weft_abort(weft_task *task)
{
    if (!task)
        return;
    /*
     * With a reference of our own: seeing the flag the task may end at once, and the joiner whom
     * that wakes may consume the handle, before we have looked at the waiter's word.
     */
    uint32_t state = weft__load(&task->state, relaxed);
    do {
        if (state < WEFT__REFERENCE)
            weft__fatal(__func__, "the task handle was given up before");
        if (state & (WEFT__COMPLETE | WEFT__CANCELLED))
            return;
        /* Sequentially consistent, before the look at the waiter's word: see wait.h. */
    } while (!weft__cas(&task->state, &state, (state | WEFT__CANCELLED) + WEFT__REFERENCE, seq_cst,
                        relaxed));
    cancel_wait(task);
    weft__task_release(task);
}

void weft__task_cancel_slot(struct weft_task *task)
{
    uint32_t state = weft__load(&task->state, relaxed);
    if (state < WEFT__REFERENCE || state & (WEFT__COMPLETE | WEFT__CANCELLED))
        return;
    weft__or(&task->state, WEFT__CANCELLED, seq_cst);
    cancel_wait(task);
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
