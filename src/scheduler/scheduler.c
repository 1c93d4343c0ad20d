/* The scheduler's life: its parts are made, counted out, and taken apart. */
#include "scheduler/scheduler.h"

#include <errno.h>
#include <stdlib.h>

#include "platform/system.h"

static void worker_init(struct weft__worker *worker, struct weft__scheduler *scheduler,
                        unsigned index)
{
    const struct weft__scheduler_config *config = &scheduler->config;
    worker->scheduler = scheduler;
    worker->index = index;
    worker->single = config->single;
    worker->no_slot = config->disable_slot;
    worker->event_at = config->event_interval;
    worker->inject_at = config->inject_interval;
    /* An odd multiplier spreads neighbouring indices over different sequences; never zero. */
    worker->random = (config->seed + index + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    worker->carrier.wheel = &worker->wheel;
    worker->carrier.stacks = scheduler->stacks;
    worker->carrier.task_caches.memory = scheduler->memory;
    weft__wheel_init(&worker->wheel, weft__clock_now());
}

int weft__scheduler_init(struct weft__scheduler *scheduler,
                         const struct weft__scheduler_config *config)
{
    scheduler->config = *config;
    if (!scheduler->config.seed)
        scheduler->config.seed = weft__random_seed();
    size_t bytes = config->workers * sizeof(struct weft__worker);
    scheduler->workers = aligned_alloc(_Alignof(struct weft__worker), bytes);
    if (!scheduler->workers)
        return -ENOMEM;
    int rc = weft__idle_init(&scheduler->idle, config->workers);
    if (rc < 0) {
        free(scheduler->workers);
        scheduler->workers = NULL;
        return rc;
    }
    for (unsigned i = 0; i < config->workers; i++) {
        scheduler->workers[i] = (struct weft__worker){ 0 };
        worker_init(&scheduler->workers[i], scheduler, i);
    }
    return 0;
}

void weft__scheduler_fini(struct weft__scheduler *scheduler)
{
    /* Threads that have pushed the last tasks may not have left yet. Acquire: their last touch. */
    while (weft__load(&scheduler->visitors, acquire))
        weft__thread_yield();
    for (unsigned i = 0; i < scheduler->config.workers; i++) {
        struct weft__carrier *carrier = &scheduler->workers[i].carrier;
        weft__assert(!weft__ring_length(&scheduler->workers[i].ring));
        weft__task_caches_flush(&carrier->task_caches);
        weft__stack_cache_flush(scheduler->stacks, &carrier->stack_cache);
    }
    weft__idle_fini(&scheduler->idle);
}

void weft__scheduler_abort_all(struct weft__scheduler *scheduler)
{
    weft__task_each(scheduler->memory, weft__task_cancel_slot);
}

/*
 * Ends are read before spawns. An end that is seen brings with it (release, acquire) the spawns of
 * that task. So if the sums are equal, no task is alive: the eldest one alive would have been
 * spawned by a task whose end was seen, or from outside before `closing`, and be in the second sum
 * but not in the first.
 */
bool weft__scheduler_is_empty(struct weft__scheduler *scheduler)
{
    uint64_t ended = weft__load(&scheduler->remote_discarded, seq_cst);
    for (unsigned i = 0; i < scheduler->config.workers; i++)
        ended += weft__load(&scheduler->workers[i].counters.ended, acquire);
    uint64_t spawned = weft__load(&scheduler->remote_spawned, seq_cst);
    for (unsigned i = 0; i < scheduler->config.workers; i++)
        spawned += weft__load(&scheduler->workers[i].counters.spawned, acquire);
    return ended == spawned;
}
