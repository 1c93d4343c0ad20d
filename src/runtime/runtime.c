/* Making and freeing a runtime; running a root task on it. */
#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/error.h>

#include "blocking/blocking.h"
#include "platform/system.h"

/* ---- making ---- */

/* The parts below the threads. On failure parts_free cleans up. */
static int parts_make(struct weft_handle *core, const struct weft__settings *settings)
{
    struct weft__scheduler *scheduler = &core->scheduler;
    const struct weft__blocking_config blocking = {
        .max_threads = settings->max_blocking_threads,
        .keep_alive = settings->thread_keep_alive,
        .stack_size = settings->scheduler.thread_stack_size,
        .name = settings->scheduler.thread_name,
    };
    int rc = weft__task_memory_new(&scheduler->memory);
    if (rc == 0)
        rc = weft__stacks_new(settings->scheduler.fiber_stack_size, &scheduler->stacks);
    if (rc == 0)
        rc = weft__driver_new(settings->max_io_events, &scheduler->driver);
    if (rc == 0)
        rc = weft__blocking_new(&blocking, &core->services.blocking);
    if (rc == 0)
        rc = weft__scheduler_init(scheduler, &settings->scheduler);
    core->services.driver = scheduler->driver;
    scheduler->services = &core->services;
    return rc;
}

/*
 * All but what threads with a handle may be looking at: task memory, for tasks born cancelled; the
 * driver, for sockets refused; the workers' counters.
 */
static void parts_free(struct weft_handle *core)
{
    struct weft__scheduler *scheduler = &core->scheduler;
    if (core->services.blocking)
        weft__blocking_free(core->services.blocking);
    if (scheduler->workers)
        weft__scheduler_fini(scheduler);
    if (scheduler->driver)
        weft__driver_shutdown(scheduler->driver);
    weft__stacks_free(scheduler->stacks);
    scheduler->stacks = NULL;
}

void weft__core_release(struct weft_handle *core)
{
    /* Release our use; acquire everybody's, if we are the last. */
    if (weft__sub(&core->references, 1, acq_rel) > 1)
        return;
    if (core->scheduler.memory)
        weft__task_memory_close(core->scheduler.memory);
    if (core->scheduler.driver)
        weft__driver_release(core->scheduler.driver);
    free(core->scheduler.workers);
    pthread_mutex_destroy(&core->baton.lock);
    pthread_cond_destroy(&core->baton.changed);
    free(core);
}

static struct weft_handle *core_new(enum weft_flavor flavor)
{
    size_t bytes =
        (sizeof(struct weft_runtime) + WEFT__CACHE_LINE - 1) & ~(size_t)(WEFT__CACHE_LINE - 1);
    struct weft_runtime *runtime = aligned_alloc(WEFT__CACHE_LINE, bytes);
    if (!runtime)
        return NULL;
    *runtime = (struct weft_runtime){ 0 };
    struct weft_handle *core = &runtime->core;
    core->flavor = flavor;
    weft__store(&core->references, 1, relaxed);
    pthread_mutex_init(&core->baton.lock, NULL);
    pthread_cond_init(&core->baton.changed, NULL);
    return core;
}

int weft_runtime_new_sized(const struct weft_config *config, size_t size, weft_runtime **out)
{
    if (!out)
        return -EINVAL;
    struct weft__settings settings;
    int rc = weft__settings_read(config, size, &settings);
    if (rc < 0)
        return rc;
    weft__fd_table_grow();
    struct weft_handle *core = core_new(settings.flavor);
    if (!core)
        return -ENOMEM;
    if (settings.overflow_report)
        rc = weft__overflow_report_install();
    if (rc == 0)
        rc = parts_make(core, &settings);
    if (rc == 0 && settings.flavor == WEFT_MULTI_THREAD)
        rc = weft__multi_thread_start(&core->scheduler);
    if (rc < 0) {
        parts_free(core);
        weft__core_release(core);
        return rc;
    }
    core->scheduler.config.thread_name = NULL; /* the caller's; threads have it by now */
    *out = (weft_runtime *)core;
    return 0;
}

/* ---- freeing ---- */

/* Cancels the tasks and waits until the workers have run them to their ends. */
static void drain(struct weft__scheduler *scheduler)
{
    for (;;) {
        uint32_t seen = weft__load(&scheduler->drained, acquire);
        /* Again and again: a worker may have spawned before it saw `closing`. */
        weft__scheduler_abort_all(scheduler);
        if (weft__scheduler_is_empty(scheduler))
            return;
        weft__futex_wait(&scheduler->drained, seen, weft__clock_now() + UINT64_C(10000000));
    }
}

int weft_runtime_free(weft_runtime *runtime)
{
    if (!runtime)
        return 0;
    if (weft__carrier())
        return -EDEADLK;
    struct weft_handle *core = &runtime->core;
    struct weft__scheduler *scheduler = &core->scheduler;
    weft__store(&scheduler->closing, true, seq_cst); /* see spawn.c */
    if (core->flavor == WEFT_MULTI_THREAD) {
        drain(scheduler);
        weft__multi_thread_stop(scheduler);
    } else {
        weft__current_thread_drain(core);
    }
    parts_free(core);
    weft__core_release(core);
    return 0;
}

/* ---- running ---- */

int weft_block_on_at(weft_runtime *runtime, weft_task_fn *fn, void *arg, void **result,
                     const struct weft_site *site)
{
    if (!runtime || !fn)
        return -EINVAL;
    if (weft__carrier())
        return -EDEADLK;
    /* Our root may be the last thing that keeps the runtime from being freed. */
    struct weft_handle *core = weft_handle_clone(&runtime->core);
    int rc = 0;
    struct weft_task *root = weft__spawn_fiber(&core->scheduler, fn, arg, site, 2, &rc);
    if (rc == 0) {
        if (core->flavor == WEFT_CURRENT_THREAD)
            weft__current_thread_drive(core, root);
        rc = weft_join(root, result);
    } else if (root) {
        weft__task_release(root);
    }
    weft__core_release(core);
    return rc;
}
