/* Who sleeps, who searches, and whom to wake: see idle.h. */
#include "scheduler/idle.h"

#include <errno.h>
#include <stdlib.h>

#include "scheduler/scheduler.h"

int weft__idle_init(struct weft__idle *idle, unsigned workers)
{
    *idle = (struct weft__idle){ .workers = workers };
    idle->sleepers = calloc(workers, sizeof(struct weft__worker *));
    return idle->sleepers ? 0 : -ENOMEM;
}

void weft__idle_fini(struct weft__idle *idle)
{
    free(idle->sleepers);
}

/* Lock held, at its end. */
static void publish(struct weft__idle *idle)
{
    weft__store(&idle->summary, idle->searching | (uint64_t)idle->sleeping << 32, relaxed);
}

static bool worth_waking(uint64_t summary)
{
    return (uint32_t)summary == 0 && summary >> 32 != 0;
}

void weft__idle_wake(struct weft__worker *worker)
{
    /* Release: what the waker has published. Acquire: that the sleeper is in that bed. */
    uint32_t bed = weft__swap(&worker->bed, WEFT__BED_TOKEN, acq_rel);
    if (bed == WEFT__BED_FUTEX) {
        weft__futex_wake(&worker->bed, 1);
    } else if (bed == WEFT__BED_DRIVER) {
        struct weft__engine *engine = worker->scheduler->driver->engine;
        engine->ops->wake(engine);
    }
}

/* Takes the last sleeper off the list and makes it a searcher. Lock held. */
static struct weft__worker *pick(struct weft__idle *idle)
{
    if (idle->searching || !idle->sleeping)
        return NULL;
    struct weft__worker *worker = idle->sleepers[--idle->sleeping];
    idle->searching++;
    publish(idle);
    return worker;
}

bool weft__idle_notify(struct weft__idle *idle)
{
    /* The pusher's fence: its work comes before this look at the sleepers. */
    weft__fence(seq_cst);
    if (!worth_waking(weft__load(&idle->summary, relaxed)))
        return false;
    weft__lock(&idle->lock);
    struct weft__worker *worker = pick(idle);
    weft__unlock(&idle->lock);
    if (!worker)
        return false;
    weft__idle_wake(worker);
    return true;
}

bool weft__idle_begin_search(struct weft__idle *idle, struct weft__worker *worker)
{
    weft__lock(&idle->lock);
    if (2 * idle->searching < idle->workers) {
        idle->searching++;
        worker->searching = true;
        publish(idle);
    }
    weft__unlock(&idle->lock);
    return worker->searching;
}

void weft__idle_end_search(struct weft__idle *idle, struct weft__worker *worker)
{
    weft__lock(&idle->lock);
    worker->searching = false;
    idle->searching--;
    publish(idle);
    struct weft__worker *next = pick(idle); /* one, if we were the last searcher */
    weft__unlock(&idle->lock);
    if (next) {
        weft__count(&worker->counters.wakes, 1);
        weft__idle_wake(next);
    }
}

void weft__idle_lie_down(struct weft__idle *idle, struct weft__worker *worker)
{
    weft__lock(&idle->lock);
    if (worker->searching) {
        worker->searching = false;
        idle->searching--;
    }
    idle->sleepers[idle->sleeping++] = worker;
    publish(idle);
    weft__unlock(&idle->lock);
    weft__fence(seq_cst); /* before the last look at the queues */
}

void weft__idle_get_up(struct weft__idle *idle, struct weft__worker *worker)
{
    weft__lock(&idle->lock);
    unsigned i = idle->sleeping;
    while (i > 0 && idle->sleepers[i - 1] != worker)
        i--;
    if (i > 0) {
        for (; i < idle->sleeping; i++)
            idle->sleepers[i - 1] = idle->sleepers[i];
        idle->sleeping--;
        publish(idle);
    } else {
        worker->searching = true;
        worker->woken = true;
    }
    weft__unlock(&idle->lock);
}

void weft__idle_wake_all(struct weft__idle *idle, struct weft__worker *workers)
{
    for (unsigned i = 0; i < idle->workers; i++)
        weft__idle_wake(&workers[i]);
}
