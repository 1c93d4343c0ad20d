/*
 * Fibers: entering, leaving and ending them; the way from one to the next.
 *
 * carrier.h tells which code runs where and why things happen only after a stack was left.
 */
#include <errno.h>

#include <weft/task.h>

#include "base/base.h"
#include "platform/context.h"
#include "platform/system.h"
#include "task/carrier.h"

static void fiber_main(void);

/*
 * The first thing on this side of every switch: tells the tools where we are, and acts on the note
 * that whoever ran here before has left. `self` is the stack's or the home context's record.
 */
static inline void arrive(struct weft__carrier *carrier, struct weft__san *self)
{
    weft__san_arrive(self);
    enum weft__after after = carrier->after;
    carrier->after = WEFT__AFTER_NOTHING;
    switch (after) {
    case WEFT__AFTER_NOTHING: break;
    case WEFT__AFTER_PARK: weft__park_finish(carrier->left); break;
    case WEFT__AFTER_YIELD: weft__carrier_requeue(carrier, carrier->left); break;
    case WEFT__AFTER_END:
        weft__stack_put(carrier->stacks, &carrier->stack_cache, carrier->left_stack);
        break;
    }
}

/* The context to go to for `fiber`: its saved one, or a new one if it can get a stack. */
static inline void *context_of(struct weft__carrier *carrier, struct weft__fiber *fiber)
{
    if (WEFT__LIKELY(fiber->stack != NULL))
        return weft__load(&fiber->context, relaxed);
    struct weft__stack *stack = weft__stack_get(carrier->stacks, &carrier->stack_cache);
    if (WEFT__UNLIKELY(!stack))
        return NULL;
    fiber->stack = stack;
    weft__san_stack_reuse(&stack->san);
    return weft__context_make(stack->bottom, weft__stack_top(stack), fiber_main);
}

/*
 * Leaves the context whose registers go to `*save` and whose tool record is `from`, for `next` if
 * that is a fiber, else for home. Returns when somebody comes back to `*save`.
 */
static inline void go(struct weft__carrier *carrier, void **save, struct weft__san *from,
                      struct weft_task *next, bool dying)
{
    void *context = NULL;
    struct weft__san *to = &carrier->home_san;
    if (next && next->waiter.kind == WEFT__FIBER) {
        context = context_of(carrier, weft__fiber(next));
    }
    if (context) {
        carrier->task = next;
        to = &weft__fiber(next)->stack->san;
    } else {
        carrier->task = NULL;
        carrier->handoff = next;
        context = carrier->home;
    }
    weft__san_leave(from, to, dying);
    weft__switch(save, context);
}

/* Suspends the running fiber with a note; returns when it runs again, maybe on another thread. */
static inline void leave(struct weft__carrier *carrier, enum weft__after after,
                         struct weft_task *next)
{
    struct weft__fiber *self = weft__fiber(carrier->task);
    int saved_errno = *weft__errno();
    carrier->after = after;
    carrier->left = &self->task;
    go(carrier, (void **)&self->context, &self->stack->san, next, false);
    arrive(weft__carrier(), &self->stack->san);
    *weft__errno() = saved_errno;
}

void weft__fiber_park(struct weft__carrier *carrier)
{
    struct weft_task *self = carrier->task;
    /* Acquire: what the winner wrote. Fired already: no need to leave. */
    if ((weft__load(&self->waiter.word, acquire) & WEFT__PHASE) == WEFT__FIRED)
        return;
    leave(carrier, WEFT__AFTER_PARK, weft__carrier_next(carrier));
}

void weft__fiber_yield(struct weft__carrier *carrier)
{
    struct weft_task *next = weft__carrier_next(carrier);
    if (next || weft__carrier_wants_home(carrier))
        leave(carrier, WEFT__AFTER_YIELD, next);
}

int weft_yield(void)
{
    int rc = 0;
    struct weft__carrier *carrier = weft__carrier();
    struct weft_task *self = carrier ? carrier->task : NULL;
    if (!self || self->waiter.kind != WEFT__FIBER)
        return -EPERM;
    weft__fiber_yield(carrier); /* cancelled or not: others run, so a loop around this is no trap */
    if (weft__task_is_cancelled(self)) {
        self->waiter.cancel_seen = true;
        rc = -ECANCELED;
    }
    return rc;
}

/* Runs the fiber's function, unless it was cancelled before its first step, and ends the task. */
static void run_to_end(struct weft__fiber *fiber)
{
    if (WEFT__UNLIKELY(weft__task_is_cancelled(&fiber->task))) {
        weft__task_finish(&fiber->task, NULL, WEFT__CUT_SHORT);
        return;
    }
    void *result = fiber->fn(fiber->arg);
    weft__task_finish(&fiber->task, result, fiber->task.waiter.cancel_seen ? WEFT__CUT_SHORT : 0);
}

/* The bottom frame of every stack: runs fibers on it until there is no fresh one at hand. */
static void fiber_main(void)
{
    struct weft__carrier *carrier = weft__carrier();
    struct weft__stack *stack = weft__fiber(carrier->task)->stack;
    arrive(carrier, &stack->san);
    for (;;) {
        run_to_end(weft__fiber(carrier->task));
        carrier = weft__carrier(); /* the function may have moved us */
        struct weft_task *next = weft__carrier_next(carrier);
        if (next && weft__task_is_fresh(next)) {
            weft__fiber(next)->stack = stack;
            carrier->task = next;
            continue;
        }
        void *nowhere;
        carrier->after = WEFT__AFTER_END;
        carrier->left_stack = stack;
        go(carrier, &nowhere, &stack->san, next, true);
        __builtin_unreachable();
    }
}

void weft__carrier_run(struct weft__carrier *carrier, struct weft_task *task)
{
    for (; task; task = carrier->handoff) {
        carrier->handoff = NULL;
        if (task->waiter.kind == WEFT__STACKLESS) {
            weft__stackless_run(carrier, task);
            continue;
        }
        void *context = context_of(carrier, weft__fiber(task));
        if (WEFT__UNLIKELY(!context)) {
            weft__task_finish(task, NULL, WEFT__NO_STACK);
            continue;
        }
        carrier->task = task;
        weft__san_leave(&carrier->home_san, &weft__fiber(task)->stack->san, false);
        weft__switch(&carrier->home, context);
        arrive(carrier, &carrier->home_san);
    }
}
