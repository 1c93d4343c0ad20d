/*
 * A carrier: what a thread has that runs tasks. The scheduler's worker is one.
 *
 * Which code runs on which stack
 *   the carrier's own ("home")  searching, parking, maintenance, stackless tasks
 *   a fiber's                   user code, everything it calls, and choosing what comes next
 *
 * When a fiber suspends or ends it asks the scheduler for the next task (weft__carrier_next) and
 * goes straight to it, fiber to fiber; a fresh fiber starts on the stack of the one that just
 * ended, without any switch. It goes home when there is nothing to run, when the next task is
 * stackless, or when the scheduler wants to do something else first.
 *
 * A task may be published (parked, requeued, its stack given away) only when its registers are
 * saved and nobody runs on its stack. So the leaver leaves a note (`after`), and whoever runs next
 * on this thread, on another stack, acts on it first: arrive() in fiber.c.
 */
#ifndef WEFT_TASK_CARRIER_H
#define WEFT_TASK_CARRIER_H

#include "platform/sanitizer.h"
#include "task/memory.h"
#include "task/stack.h"
#include "task/task.h"

/* What to do once off the stack that was just left. */
enum weft__after {
    WEFT__AFTER_NOTHING = 0,
    WEFT__AFTER_PARK,  /* `left` waits: ARMED -> PARKED */
    WEFT__AFTER_YIELD, /* `left` goes to the tail of the queue */
    WEFT__AFTER_END,   /* `left_stack` is dead */
};

struct weft__carrier {
    struct weft_task *task;    /* running now; NULL at home */
    struct weft_task *handoff; /* chosen by a fiber that then went home */
    enum weft__after after;
    struct weft_task *left;
    struct weft__stack *left_stack;
    unsigned budget; /* operations that the running task may still do before it must yield */

    void *home; /* the home context, saved while a fiber runs */
    struct weft__san home_san;

    struct weft__wheel *wheel; /* timers of the tasks that run here */
    struct weft__stacks *stacks;
    struct weft__cache stack_cache;
    struct weft__task_caches task_caches;
};

/* What this thread is in weft's eyes. */
struct weft__thread {
    struct weft__carrier *carrier; /* while it is a worker, or drives a current-thread runtime */
    struct weft__entered *entered; /* innermost weft_enter; see runtime/handle.c */
};

/*
 * The calling thread's. Out of line, so that no compiler keeps the address of a thread-local over
 * a switch, after which the code may be on another thread: call it again after anything that may
 * suspend.
 */
struct weft__thread *weft__thread(void);

static inline struct weft__carrier *weft__carrier(void)
{
    return weft__thread()->carrier;
}

/* The running task, or NULL on a plain thread. */
struct weft_task *weft__task_current(void);

/* Home: runs `task`, and what fibers choose after it, until something comes home. */
void weft__carrier_run(struct weft__carrier *carrier, struct weft_task *task);

/* The calling fiber goes to the tail of the queue, if there is anybody else. */
void weft__fiber_yield(struct weft__carrier *carrier);

/* The calling fiber suspends; its waiter is ARMED or already FIRED. Returns once it is FIRED. */
void weft__fiber_park(struct weft__carrier *carrier);

/* One call of a stackless task, at home. */
void weft__stackless_run(struct weft__carrier *carrier, struct weft_task *task);

/* Before a task leaves: fires its own wait if it was cancelled while it armed. */
void weft__wait_check_cancel(struct weft_task *task);

/* A task that has left its stack while ARMED: PARKED, or runnable again if it was fired. */
void weft__park_finish(struct weft_task *task);

/*
 * Budget: what an operation does before it tries. Spends a unit; with none left a fiber yields
 * first (and may then be on another carrier), a stackless task is merely counted. That yield is a
 * cancellation point like any other, so that being ready all the time keeps no task alive: false
 * when the task has been cancelled, and the operation must not begin.
 */
bool weft__budget_empty(struct weft__carrier *carrier);

static inline bool weft__budget_pass(struct weft__carrier *carrier)
{
    if (WEFT__UNLIKELY(carrier->budget <= 1))
        return weft__budget_empty(carrier);
    carrier->budget--;
    return true;
}

/* The same, for callers that may be plain threads. */
static inline bool weft__budget_point(void)
{
    struct weft__carrier *carrier = weft__carrier();
    return !carrier || !carrier->task || weft__budget_pass(carrier);
}

/* ---- provided by the scheduler ---- */

/* The task to go to directly, or NULL to go home. Sets the budget for it. */
struct weft_task *weft__carrier_next(struct weft__carrier *carrier);

/* After NULL from weft__carrier_next: whether home has anything to do for a task that yields. */
bool weft__carrier_wants_home(struct weft__carrier *carrier);

/* Puts a task at the tail of the carrier's own queue. */
void weft__carrier_requeue(struct weft__carrier *carrier, struct weft_task *task);

/* Counts a task that ended here. */
void weft__carrier_ended(struct weft__carrier *carrier);

/* Fills the budget up. */
void weft__carrier_refill(struct weft__carrier *carrier);

/* Counts a task that used up its budget. */
void weft__carrier_exhausted(struct weft__carrier *carrier);

#endif
