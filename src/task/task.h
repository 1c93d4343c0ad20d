/*
 * A task: the header that both bodies share, and its state word.
 *
 * Life of a task
 *   born      by weft_spawn: two references, its handle's and its own; put on a run queue
 *   runs      on a carrier (carrier.h): a fiber on a stack that it is given now, a stackless task as
 *             calls on the worker's own stack
 *   waits     by the protocol in wait.h, as often as it likes
 *   finishes  weft__task_finish: result stored, COMPLETE set and own reference dropped, joiner fired
 *   freed     with the last reference
 *
 * The state word holds what any thread may ask or tell at any time; the waiter's word holds what
 * decides about running. Who is queued is in no word: a task is queued by its one spawn, or by the
 * one winner of its wait, or by itself (yield).
 */
#ifndef WEFT_TASK_TASK_H
#define WEFT_TASK_TASK_H

#include <weft/stackless.h>
#include <weft/task.h>

#include "base/base.h"
#include "platform/sanitizer.h"
#include "task/depot.h"
#include "task/wait.h"

/* The state word: flags in the low bits, references above. */
enum {
    WEFT__COMPLETE = 1,   /* has ended; result and outcome may be read (after an acquire) */
    WEFT__CANCELLED = 2,  /* weft_abort was called */
    WEFT__CUT_SHORT = 4,  /* set with COMPLETE: cancellation kept it from running to its own end */
    WEFT__JOINED = 8,     /* `joiner` is set: completion must fire it */
    WEFT__NO_STACK = 16,  /* set with COMPLETE: never ran, because it could get no stack */
    WEFT__REFERENCE = 32, /* one reference; none: the slot is free */
};

struct weft_task {
    struct weft__waiter waiter; /* the word that decides about running */
    _Atomic uint32_t state;
    union {
        struct {
            struct weft_task *next; /* on the run queue or wake list it is on */
            void *result;           /* valid once COMPLETE */
        };
        struct weft__free free; /* while in the depot */
    };
    struct weft__scheduler *scheduler;     /* whose task it is; valid until COMPLETE */
    _Atomic(struct weft__waiter *) joiner; /* who waits for the end: see join.c */
    const struct weft_site *site;          /* where it was spawned; may be NULL */
    uint64_t reserved;
};
_Static_assert(sizeof(struct weft_task) == WEFT__CACHE_LINE, "the header is one cache line");

/* A task with a stack. */
struct weft__fiber {
    struct weft_task task;
    weft_task_fn *fn;
    void *arg;
    _Atomic(void *) context;   /* saved while it is not running; others read it as a hint only */
    struct weft__stack *stack; /* NULL until it first runs */
};

/* A task without: its frame follows. */
struct weft__stackless {
    struct weft_task task;
    weft_poll_fn *fn;
    bool yielding;             /* asked by weft_frame_yield: requeue after this call */
    struct weft_frame frame[]; /* and the rest of the user's struct */
};

static inline struct weft__fiber *weft__fiber(struct weft_task *task)
{
    return weft__container(task, struct weft__fiber, task);
}

static inline struct weft__stackless *weft__stackless(struct weft_task *task)
{
    return weft__container(task, struct weft__stackless, task);
}

static inline struct weft_task *weft__task_of(struct weft__waiter *waiter)
{
    return weft__container(waiter, struct weft_task, waiter);
}

static inline bool weft__task_is_cancelled(const struct weft_task *task)
{
    return weft__load(&task->state, relaxed) & WEFT__CANCELLED;
}

/* A fiber that has not run yet: it takes any stack. */
static inline bool weft__task_is_fresh(const struct weft_task *task)
{
    return task->waiter.kind == WEFT__FIBER &&
           weft__container(task, const struct weft__fiber, task)->stack == NULL;
}

/* Brings the header of a task that will run soon into the cache, */
static inline void weft__task_prefetch(struct weft_task *task)
{
    __builtin_prefetch(task, 1);
    __builtin_prefetch((char *)task + WEFT__CACHE_LINE, 1);
}

/*
 * and, the next time, the top of its stack. The task may be somebody else's by now, and its context
 * stale: memory of tasks is type-stable, and a prefetch cannot fault.
 */
static inline void weft__task_prefetch_stack(struct weft_task *task)
{
#if !WEFT__TSAN /* it would be right to object */
    /* As a number: in a fresh task it is NULL, or anything. */
    uintptr_t context = (uintptr_t)weft__load(&weft__fiber(task)->context, relaxed);
    __builtin_prefetch((void *)context, 1);
    __builtin_prefetch((void *)(context + WEFT__CACHE_LINE), 1);
    __builtin_prefetch((void *)(context + WEFT__CACHE_LINE + WEFT__CACHE_LINE), 1);
#else
    (void)task;
#endif
}

/* ---- task.c ---- */

struct weft__carrier;
struct weft__task_memory;

/*
 * Initialised tasks with `references` (2, or 1 for detached ones), ready for the run queue; NULL
 * without memory. `carrier` is the calling worker's if it belongs to this scheduler, else NULL.
 */
struct weft_task *weft__fiber_new(struct weft__task_memory *memory, struct weft__carrier *carrier,
                                  weft_task_fn *fn, void *arg, unsigned references);
struct weft_task *weft__stackless_new(struct weft__task_memory *memory,
                                      struct weft__carrier *carrier, weft_poll_fn *fn,
                                      const void *frame, size_t size, unsigned references);

/*
 * The task has ended with `result`; `outcome` is 0, WEFT__CUT_SHORT or WEFT__NO_STACK. Tells the
 * joiner and drops the task's own reference: it must not be touched afterwards.
 */
void weft__task_finish(struct weft_task *task, void *result, uint32_t outcome);

/* Drops a reference. */
void weft__task_release(struct weft_task *task);

/*
 * Cancels whoever lives in a slot, without a reference; for shutdown only. The task may end and the
 * slot be reused meanwhile: then the one who gets the cancel is of the same closing runtime, too.
 */
void weft__task_cancel_slot(struct weft_task *task);

/* Ends a task that was never queued and never ran, as cancelled. */
void weft__task_discard(struct weft_task *task);

/* ---- join.c ---- */

/* In `joiner`: completion will not touch the task any more. */
#define WEFT__JOIN_TOLD ((struct weft__waiter *)1)

/*
 * Links `waiter`, which has begun to wait, as the joiner. 1: linked, now park; 0: the task has
 * ended already, no need to wait; -EINVAL: somebody else is joining.
 */
int weft__join_link(struct weft_task *task, struct weft__waiter *waiter);

/* Unlinks after a wait that something else has won. True if the task has ended after all. */
bool weft__join_unlink(struct weft_task *task);

/* Consumes the handle of a task that has ended: weft_join's code and result. */
int weft__join_take(struct weft_task *task, void **result);

/* Runs a stackless task's `drop`, once. */
void weft__stackless_drop(struct weft_task *task);

/* ---- provided by the scheduler ---- */

/* Makes a task runnable that nobody else can make runnable now. From any thread. */
void weft__schedule(struct weft_task *task);

#endif
