/* Spawning: a task is made, counted, and put on a queue. */
#include <errno.h>

#include <weft/error.h>

#include "scheduler/scheduler.h"

/*
 * Counts the spawn, then looks whether the scheduler is closing. Shutdown sets `closing`, then
 * counts. With both sequentially consistent, either we see that it is closing, or it sees our task
 * and waits for it. A worker's own count is a plain store: shutdown looks again when workers have
 * run dry, and a worker that spawns is not dry.
 */
static bool is_refused(struct weft__scheduler *scheduler, struct weft__worker *worker)
{
    if (worker) {
        weft__count(&worker->counters.spawned, 1);
        if (WEFT__LIKELY(!weft__load(&scheduler->closing, relaxed)))
            return false;
        weft__carrier_ended(&worker->carrier); /* a release: the spawn is seen with it */
        return true;
    }
    weft__add(&scheduler->remote_spawned, 1, seq_cst);
    if (!weft__load(&scheduler->closing, seq_cst))
        return false;
    weft__add(&scheduler->remote_discarded, 1, seq_cst);
    return true;
}

static void enqueue(struct weft__scheduler *scheduler, struct weft__worker *worker,
                    struct weft_task *task)
{
    if (worker)
        weft__worker_push(worker, task);
    else
        weft__inject_foreign(scheduler, task);
}

struct weft_task *weft__spawn_fiber(struct weft__scheduler *scheduler, weft_task_fn *fn, void *arg,
                                    const struct weft_site *site, unsigned references, int *rc)
{
    struct weft__worker *worker = weft__worker_of(scheduler);
    struct weft_task *task =
        weft__fiber_new(scheduler->memory, worker ? &worker->carrier : NULL, fn, arg, references);
    if (!task) {
        *rc = -ENOMEM;
        return NULL;
    }
    task->scheduler = scheduler;
    task->site = site;
    if (WEFT__UNLIKELY(is_refused(scheduler, worker))) {
        *rc = WEFT_ESHUTDOWN;
        weft__task_discard(task);
    } else {
        enqueue(scheduler, worker, task);
    }
    return task;
}

struct weft_task *weft__spawn_stackless(struct weft__scheduler *scheduler, weft_poll_fn *fn,
                                        const void *frame, size_t size,
                                        const struct weft_site *site)
{
    struct weft__worker *worker = weft__worker_of(scheduler);
    struct weft_task *task = weft__stackless_new(
        scheduler->memory, worker ? &worker->carrier : NULL, fn, frame, size, 2);
    if (!task)
        return NULL;
    task->scheduler = scheduler;
    task->site = site;
    if (WEFT__UNLIKELY(is_refused(scheduler, worker)))
        weft__task_discard(task);
    else
        enqueue(scheduler, worker, task);
    return task;
}
