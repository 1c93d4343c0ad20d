/* Reading the counters. */
#include <errno.h>
#include <string.h>

#include <weft/metrics.h>

#include "runtime/runtime.h"

static void add_worker(struct weft_metrics *sum, struct weft__worker *worker)
{
    struct weft__counters *counters = &worker->counters;
    sum->spawned += weft__load(&counters->spawned, relaxed);
    sum->polls += weft__load(&counters->polls, relaxed);
    sum->steals += weft__load(&counters->steals, relaxed);
    sum->stolen += weft__load(&counters->stolen, relaxed);
    sum->parks += weft__load(&counters->parks, relaxed);
    sum->wakes += weft__load(&counters->wakes, relaxed);
    sum->wakes_useless += weft__load(&counters->wakes_useless, relaxed);
    sum->overflows += weft__load(&counters->overflows, relaxed);
    sum->turns += weft__load(&counters->turns, relaxed);
    sum->forced_yields += weft__load(&counters->forced_yields, relaxed);
    sum->timers_fired += weft__load(&worker->wheel.fired, relaxed);
}

static void collect(struct weft_handle *core, struct weft_metrics *sum)
{
    struct weft__scheduler *scheduler = &core->scheduler;
    /* Ends before spawns, so that the difference is never negative. */
    uint64_t ended = weft__load(&scheduler->remote_discarded, acquire);
    for (unsigned i = 0; i < scheduler->config.workers; i++)
        ended += weft__load(&scheduler->workers[i].counters.ended, acquire);
    for (unsigned i = 0; i < scheduler->config.workers; i++)
        add_worker(sum, &scheduler->workers[i]);
    sum->workers = scheduler->config.workers;
    sum->spawned += weft__load(&scheduler->remote_spawned, relaxed);
    sum->remote = weft__load(&scheduler->remote_scheduled, relaxed);
    sum->wakes += weft__load(&scheduler->remote_wakes, relaxed);
    sum->io_events = weft__load(&scheduler->driver->events, relaxed);
    sum->alive_tasks = sum->spawned - ended;
}

int weft_metrics_read_sized(weft_handle *handle, size_t size, struct weft_metrics *out)
{
    if (!out)
        return -EINVAL;
    if (!handle)
        handle = weft__core_current();
    if (!handle)
        return -EPERM;
    struct weft_metrics sum = { 0 };
    collect(handle, &sum);
    if (size > sizeof sum) {
        memset(out, 0, size);
        size = sizeof sum;
    }
    memcpy(out, &sum, size);
    return 0;
}
