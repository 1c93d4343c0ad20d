/* The inject queue: tasks from other threads, and what local queues cannot hold. */
#include "scheduler/scheduler.h"

void weft__inject_push(struct weft__inject *inject, struct weft__chain *chain)
{
    weft__lock(&inject->lock);
    weft__chain_join(&inject->chain, chain);
    weft__store(&inject->length, inject->chain.count, release);
    weft__unlock(&inject->lock);
}

struct weft__chain weft__inject_take(struct weft__inject *inject, uint32_t limit)
{
    struct weft__chain taken = { 0 };
    if (weft__inject_length(inject) == 0)
        return taken;
    weft__lock(&inject->lock);
    for (struct weft_task *task; limit > 0 && (task = weft__chain_take(&inject->chain)); limit--)
        weft__chain_append(&taken, task);
    weft__store(&inject->length, inject->chain.count, release);
    weft__unlock(&inject->lock);
    return taken;
}

void weft__inject_foreign(struct weft__scheduler *scheduler, struct weft_task *task)
{
    /*
     * As soon as the task is pushed it may run, and be the last thing that kept its runtime from
     * being freed. Shutdown waits for `visitors` to leave. Relaxed: the push, which the task's end
     * comes after, orders the increment; release: our last touch.
     */
    weft__add(&scheduler->visitors, 1, relaxed);
    weft__add(&scheduler->remote_scheduled, 1, relaxed);
    struct weft__chain chain = { 0 };
    weft__chain_append(&chain, task);
    weft__inject_push(&scheduler->inject, &chain);
    if (weft__idle_notify(&scheduler->idle))
        weft__add(&scheduler->remote_wakes, 1, relaxed);
    weft__sub(&scheduler->visitors, 1, release);
}
