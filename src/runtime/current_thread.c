/*
 * The current-thread flavor: whoever is in weft_block_on runs the tasks.
 *
 * Several threads may be: one holds the baton and drives the worker; the others wait until the baton
 * is free or their own root has ended.
 */
#include "platform/overflow.h"
#include "runtime/runtime.h"

/* Gives threads whose root may have ended a chance to see it. */
static void tell_waiting(struct weft__baton *baton)
{
    /*
     * We, or a task we ran, ended a root, then look who waits; they say that they wait, then look
     * at their root. With a full fence on both sides one sees the other.
     */
    weft__fence(seq_cst);
    if (!weft__load(&baton->waiting, relaxed))
        return;
    pthread_mutex_lock(&baton->lock);
    pthread_cond_broadcast(&baton->changed);
    pthread_mutex_unlock(&baton->lock);
}

struct goal {
    struct weft__baton *baton;
    struct weft_task *root; /* NULL: all tasks */
};

static bool is_reached(struct weft__worker *worker, void *context)
{
    const struct goal *goal = context;
    tell_waiting(goal->baton);
    return goal->root ? weft_task_is_finished(goal->root)
                      : weft__scheduler_is_empty(worker->scheduler);
}

/* The baton is ours. */
static void drive(struct weft_handle *core, struct weft_task *root)
{
    struct weft__worker *worker = &core->scheduler.workers[0];
    bool alternate = core->scheduler.config.alternate_stacks && weft__overflow_thread_begin() == 0;
    struct goal goal = { &core->baton, root };
    weft__worker_enter(worker);
    weft__worker_run(worker, is_reached, &goal);
    weft__worker_leave(worker);
    if (alternate)
        weft__overflow_thread_end();
}

/* Waits for the baton; false if `root` has ended meanwhile. */
static bool take_baton(struct weft__baton *baton, struct weft_task *root)
{
    pthread_mutex_lock(&baton->lock);
    weft__add(&baton->waiting, 1, relaxed);
    weft__fence(seq_cst); /* see tell_waiting */
    while (baton->held && !(root && weft_task_is_finished(root)))
        pthread_cond_wait(&baton->changed, &baton->lock);
    weft__sub(&baton->waiting, 1, relaxed);
    bool taken = !baton->held;
    baton->held = true;
    pthread_mutex_unlock(&baton->lock);
    return taken;
}

static void give_baton(struct weft__baton *baton)
{
    pthread_mutex_lock(&baton->lock);
    baton->held = false;
    pthread_cond_broadcast(&baton->changed);
    pthread_mutex_unlock(&baton->lock);
}

void weft__current_thread_drive(struct weft_handle *core, struct weft_task *root)
{
    if (take_baton(&core->baton, root)) {
        drive(core, root);
        give_baton(&core->baton);
    }
}

void weft__current_thread_drain(struct weft_handle *core)
{
    weft__scheduler_abort_all(&core->scheduler); /* so that whoever drives it now comes to an end */
    take_baton(&core->baton, NULL);
    weft__scheduler_abort_all(&core->scheduler);
    drive(core, NULL);
    give_baton(&core->baton);
}
