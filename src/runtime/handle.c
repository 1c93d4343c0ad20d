/* Handles, the current runtime of a thread, and spawning on it. */
#include <errno.h>
#include <stdlib.h>

#include <weft/error.h>

#include "runtime/runtime.h"

/* One weft_enter; a stack per thread. */
struct weft__entered {
    struct weft_handle *core;
    struct weft__entered *outer;
    int depth;
};

/* ---- the current runtime ---- */

static struct weft__scheduler *scheduler_current(void)
{
    struct weft__thread *thread = weft__thread();
    if (thread->carrier)
        return weft__container(thread->carrier, struct weft__worker, carrier)->scheduler;
    return thread->entered ? &thread->entered->core->scheduler : NULL;
}

struct weft_handle *weft__core_current(void)
{
    struct weft__scheduler *scheduler = scheduler_current();
    return scheduler ? weft__container(scheduler, struct weft_handle, scheduler) : NULL;
}

const struct weft__services *weft__services_current(void)
{
    struct weft__scheduler *scheduler = scheduler_current();
    return scheduler ? scheduler->services : NULL;
}

int weft_enter(weft_handle *handle)
{
    if (!handle)
        return -EINVAL;
    struct weft__thread *thread = weft__thread();
    if (thread->carrier)
        return -EDEADLK;
    struct weft__entered *entered = malloc(sizeof *entered);
    if (!entered)
        return -ENOMEM;
    entered->core = weft_handle_clone(handle);
    entered->outer = thread->entered;
    entered->depth = thread->entered ? thread->entered->depth + 1 : 1;
    thread->entered = entered;
    return entered->depth;
}

int weft_leave(int depth)
{
    struct weft__thread *thread = weft__thread();
    if (thread->carrier)
        return -EDEADLK;
    struct weft__entered *entered = thread->entered;
    if (!entered || entered->depth != depth)
        return -EPERM;
    thread->entered = entered->outer;
    weft__core_release(entered->core);
    free(entered);
    return 0;
}

/* ---- handles ---- */

weft_handle *weft_handle_clone(weft_handle *handle)
{
    if (handle)
        weft__add(&handle->references, 1, relaxed); /* the caller's own keeps it alive */
    return handle;
}

void weft_handle_free(weft_handle *handle)
{
    if (handle)
        weft__core_release(handle);
}

weft_handle *weft_runtime_handle(weft_runtime *runtime)
{
    return runtime ? weft_handle_clone(&runtime->core) : NULL;
}

weft_handle *weft_handle_current(void)
{
    return weft_handle_clone(weft__core_current());
}

enum weft_flavor weft_handle_flavor(const weft_handle *handle)
{
    return handle ? handle->flavor : WEFT_MULTI_THREAD;
}

/* ---- spawning ---- */

weft_task *weft_spawn_at(weft_task_fn *fn, void *arg, const struct weft_site *site)
{
    struct weft__scheduler *scheduler = scheduler_current();
    int rc;
    return fn && scheduler ? weft__spawn_fiber(scheduler, fn, arg, site, 2, &rc) : NULL;
}

int weft_go_at(weft_task_fn *fn, void *arg, const struct weft_site *site)
{
    struct weft__scheduler *scheduler = scheduler_current();
    if (!fn)
        return -EINVAL;
    if (!scheduler)
        return -EPERM;
    int rc = 0;
    weft__spawn_fiber(scheduler, fn, arg, site, 1, &rc);
    return rc;
}

weft_task *weft_handle_spawn_at(weft_handle *handle, weft_task_fn *fn, void *arg,
                                const struct weft_site *site)
{
    int rc;
    return handle && fn ? weft__spawn_fiber(&handle->scheduler, fn, arg, site, 2, &rc) : NULL;
}

weft_task *weft_runtime_spawn_at(weft_runtime *runtime, weft_task_fn *fn, void *arg,
                                 const struct weft_site *site)
{
    return runtime ? weft_handle_spawn_at(&runtime->core, fn, arg, site) : NULL;
}

weft_task *weft_spawn_stackless_at(weft_poll_fn *fn, const void *frame, size_t size,
                                   const struct weft_site *site)
{
    struct weft__scheduler *scheduler = scheduler_current();
    if (!fn || !frame || size < sizeof(struct weft_frame) || !scheduler)
        return NULL;
    return weft__spawn_stackless(scheduler, fn, frame, size, site);
}
