/*
 * Stackless tasks: calling their function, settling what they awaited, ending them.
 *
 * The pending await lives in the frame's reserved words. It is armed inside the call and settled,
 * that is unlinked from whatever did not win, before the next one.
 */
#include "task/task.h"

#include <errno.h>

#include <weft/error.h>
#include <weft/stackless.h>
#include <weft/time.h>

#include "task/carrier.h"
#include "task/timer.h"

/* The overlay of frame->reserved. */
struct await {
    enum weft_case_kind kind; /* 0: nothing is pending */
    bool ready;               /* it was ready at once, but the budget was spent: just a yield */
    union {
        struct weft__timer timer;
        struct {
            struct weft_task *task;
            void **out;
        } join;
    };
};
_Static_assert(sizeof(struct await) <= sizeof((struct weft_frame){ 0 }.reserved),
               "an await fits into the frame");

static struct await *await_of(struct weft_frame *frame)
{
    return (struct await *)(void *)frame->reserved;
}

void weft__stackless_drop(struct weft_task *task)
{
    struct weft_frame *frame = weft__stackless(task)->frame;
    if (frame->drop)
        frame->drop(frame);
}

/* ---- cases ---- */

struct weft_case weft_case_at(uint64_t deadline)
{
    return (struct weft_case){ .kind = WEFT_CASE_AT, .when = deadline };
}

struct weft_case weft_case_after(uint64_t duration)
{
    return weft_case_at(weft_after(weft_now(), duration));
}

struct weft_case weft_case_join(weft_task *task, void **result)
{
    return (struct weft_case){ .kind = WEFT_CASE_JOIN, .object = task, .out = result };
}

/* ---- awaiting ---- */

static bool await_time(struct weft_task *task, struct await *await, uint64_t deadline)
{
    weft__wait_begin(&task->waiter, 0);
    weft__timer_arm(&await->timer, &task->waiter, deadline);
    return true;
}

/* Whether it pends; if not, the result is set. */
static bool await_join(struct weft_task *task, struct weft_frame *frame, struct weft_case wait)
{
    struct await *await = await_of(frame);
    await->join.task = wait.object;
    await->join.out = wait.out;
    int linked = 0;
    if (!wait.object)
        frame->result = -ENOMEM;
    else if (wait.object == task)
        frame->result = -EDEADLK;
    else if (weft_task_is_finished(wait.object) && weft__carrier()->budget == 0) {
        /* Not taken yet: if the task is cancelled meanwhile, the handle is still the frame's. */
        await->ready = true;
        weft__stackless(task)->yielding = true;
        return true;
    } else if (weft_task_is_finished(wait.object)) {
        frame->result = weft__join_take(wait.object, wait.out);
    } else {
        weft__wait_begin(&task->waiter, 0);
        linked = weft__join_link(wait.object, &task->waiter);
        if (linked <= 0) {
            weft__wait_end(&task->waiter);
            frame->result = linked < 0 ? linked : weft__join_take(wait.object, wait.out);
        }
    }
    return linked > 0;
}

/* The task of a frame, which must be running, and waiting for nothing yet. */
static struct weft_task *running_task(struct weft_frame *frame, const char *function)
{
    struct weft_task *task = weft__task_current();
    if (!task || task->waiter.kind != WEFT__STACKLESS || weft__stackless(task)->frame != frame)
        weft__fatal(function, "called outside the frame's own stackless task");
    if (await_of(frame)->kind || weft__stackless(task)->yielding)
        weft__fatal(function, "an await or yield is pending already");
    return task;
}

bool weft_frame_await(struct weft_frame *frame, struct weft_case wait)
{
    struct weft_task *task = running_task(frame, __func__);
    struct await *await = await_of(frame);
    await->ready = false;
    bool pends;
    switch (wait.kind) {
    case WEFT_CASE_AT: pends = await_time(task, await, wait.when); break;
    case WEFT_CASE_JOIN: pends = await_join(task, frame, wait); break;
    default: weft__fatal(__func__, "WEFT_AWAIT of something that is no case");
    }
    await->kind = pends ? wait.kind : 0;
    (void)weft__budget_point(); /* a stackless task is cancelled between its calls */
    return pends;
}

void weft_frame_yield(struct weft_frame *frame)
{
    weft__stackless(running_task(frame, __func__))->yielding = true;
}

/* ---- running ---- */

/*
 * After a wait: unlinks what did not win, and sets the result. A cancelled task will not see it, so
 * it consumes nothing then: a handle it awaited is still the frame's, for `drop`. Whether it is.
 */
static bool settle(struct weft_task *task, bool cancelled)
{
    struct weft_frame *frame = weft__stackless(task)->frame;
    struct await *await = await_of(frame);
    enum weft_case_kind kind = await->kind;
    if (!kind)
        return cancelled;
    await->kind = 0;
    if (await->ready) {
        if (!cancelled)
            frame->result = weft__join_take(await->join.task, await->join.out);
        return cancelled;
    }
    /* Ordered by the hand-over that made the task runnable. */
    uint32_t code = weft__load(&task->waiter.word, relaxed) >> WEFT__CODE_SHIFT;
    weft__wait_end(&task->waiter);
    cancelled = cancelled || code == WEFT__WHY_CANCEL;
    if (kind == WEFT_CASE_AT) {
        if (code != WEFT__WHY_TIMER)
            weft__timer_disarm(&await->timer);
        frame->result = 0;
    } else {
        /* Cancelled: completion must have let go of the handle before `drop` may. */
        bool ended =
            (code == WEFT__WHY_SOURCE && !cancelled) || weft__join_unlink(await->join.task);
        if (ended && !cancelled)
            frame->result = weft__join_take(await->join.task, await->join.out);
    }
    return cancelled;
}

static void end(struct weft_task *task, uint32_t outcome)
{
    void *value = weft__stackless(task)->frame->value;
    weft__stackless_drop(task);
    weft__task_finish(task, value, outcome);
}

void weft__stackless_run(struct weft__carrier *carrier, struct weft_task *task)
{
    struct weft__stackless *body = weft__stackless(task);
    carrier->task = task;
    if (settle(task, weft__task_is_cancelled(task))) {
        end(task, WEFT__CUT_SHORT);
        carrier->task = NULL;
        return;
    }
    int poll = body->fn(body->frame);
    if (poll != WEFT_PENDING) {
        if (await_of(body->frame)->kind || body->yielding)
            weft__fatal(__func__, "a stackless task ended with an await or yield pending");
        end(task, 0);
    } else if (body->yielding) {
        body->yielding = false;
        weft__carrier_requeue(carrier, task);
    } else if (await_of(body->frame)->kind) {
        weft__wait_check_cancel(task);
        weft__park_finish(task);
    } else {
        weft__fatal(__func__, "a stackless task returned WEFT_PENDING without awaiting anything");
    }
    carrier->task = NULL;
}
