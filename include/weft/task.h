/*
 * Tasks: spawning, joining, aborting, yielding.
 *
 * A task is what the scheduler runs. One handle type, weft_task *, serves both kinds: fibers (here)
 * and stackless tasks (<weft/stackless.h>). A handle is consumed by exactly one weft_join or
 * weft_detach; until then weft_abort and weft_task_is_finished may be called on it from anywhere.
 */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* The body of a fiber: the signature of a pthread. What it returns goes to weft_join. */
typedef void *weft_task_fn(void *arg);

/*
 * Starts `fn(arg)` as a fiber on the current runtime: the one whose task is calling, or that the
 * thread has entered (weft_enter). Never runs `fn` inline. Returns a handle, or NULL when called
 * outside a runtime, with a null `fn`, or without memory; weft_join(NULL) then says -ENOMEM. On a
 * runtime that is shutting down the task is born cancelled: `fn` never runs and join says so.
 * Any thread. Does not suspend.
 *
 * The macro adds the calling line, which reports about the task name.
 */
WEFT_API weft_task *weft_spawn_at(weft_task_fn *fn, void *arg, const struct weft_site *site)
    WEFT_MUST_USE;
#define weft_spawn(fn, arg) weft_spawn_at((fn), (arg), WEFT_SITE)

/*
 * Like weft_spawn followed by weft_detach. Returns 0, -EINVAL (null `fn`), -EPERM (outside a
 * runtime), -ENOMEM, or WEFT_ESHUTDOWN; on failure `fn` does not run and the caller keeps `arg`.
 */
WEFT_API int weft_go_at(weft_task_fn *fn, void *arg, const struct weft_site *site) WEFT_MUST_USE;
#define weft_go(fn, arg) weft_go_at((fn), (arg), WEFT_SITE)

/*
 * Waits until the task has ended and consumes the handle.
 *
 *   0           `*result` (if `result` is not NULL) is what the function returned
 *   -ECANCELED  the task was cancelled: it never ran, or one of its suspension points delivered the
 *               cancel. `*result` is what it returned all the same, so that nothing it hands over
 *               is lost; NULL if it never ran.
 *   -ENOMEM     `task` is NULL: the spawn had failed
 *   -EINVAL     another caller is already waiting. (Two that begin at the same instant cannot be
 *               told apart: the process aborts with a message.)
 *   -EDEADLK    a task joins itself, or the only thread that could run the task is asked to block:
 *               a stackless task called this. The handle stays valid.
 *
 *   -EINTR      the *caller* has been cancelled and would have to wait. The handle stays valid:
 *               detach it, or hand it to somebody else. A cancelled task that must see its child
 *               end (because it lent it memory) aborts it, calls weft_yield until
 *               weft_task_is_finished, and joins.
 *
 * May suspend. Also callable from plain threads, which then block. After a join that consumed the
 * handle, as after weft_detach, any use of it is undefined.
 */
WEFT_API int weft_join(weft_task *task, void **result) WEFT_MUST_USE;

/* Gives the handle up; the task goes on and its result is dropped. NULL is ignored. Any thread. */
WEFT_API void weft_detach(weft_task *task);

/*
 * Asks the task to end. A task that has not started never runs; a suspended one is woken and its
 * suspending call returns -ECANCELED, as does every later call of it that would suspend. A task
 * that never suspends again is not affected, and a finished one keeps its result. Returns at once,
 * without waiting; the handle stays valid. Calling it twice is the same as once. NULL is ignored.
 * Any thread, any task, the task itself. Does not suspend.
 */
WEFT_API void weft_abort(weft_task *task);

/* Whether the task has ended (weft_join would not wait). False right after weft_abort. */
WEFT_API bool weft_task_is_finished(const weft_task *task);

/*
 * Lets other tasks run: the caller goes to the tail of its worker's queue. Returns 0, -ECANCELED
 * (after it has let them run all the same), or -EPERM outside a fiber. May suspend.
 */
WEFT_API int weft_yield(void);

WEFT_END_DECLS

#endif
