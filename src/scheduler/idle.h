/*
 * Who sleeps, who searches, and whom to wake.
 *
 * A worker without work *searches* (steals), at most half of them (rounded up) at a time; when that is
 * in vain it *sleeps*. Work that is pushed wakes one sleeper, but only if nobody searches: a searcher will find
 * it. The last searcher that finds something wakes the next one, so a burst wakes a chain.
 *
 * No wake is lost. A pusher publishes its work, then reads the summary; a worker that goes to sleep
 * publishes that in the summary, then looks at all queues once more; between the two steps each has
 * a full fence. So either the pusher sees the sleeper, or the sleeper sees the work.
 *
 * The numbers and the list of sleepers change together under one lock; the summary is their copy
 * for looking without it. There are no in-between states to be seen: nobody counts as searching on
 * trial, and a woken worker is taken off the list and counted as searching in one step.
 *
 * A worker's *bed* is where it sleeps. Waking is a token: given before the sleep, it prevents it.
 */
#ifndef WEFT_SCHEDULER_IDLE_H
#define WEFT_SCHEDULER_IDLE_H

#include "base/atomic.h"
#include "platform/park.h"

struct weft__worker;

/* States of a bed. */
enum {
    WEFT__BED_EMPTY = 0,
    WEFT__BED_FUTEX = 1,  /* asleep on the bed itself */
    WEFT__BED_DRIVER = 2, /* asleep in the driver's engine */
    WEFT__BED_TOKEN = 3,  /* woken: the next sleep does not begin, or ends */
};

struct weft__idle {
    struct weft__lock lock; /* guards the rest */
    unsigned workers;
    unsigned searching;
    unsigned sleeping;
    struct weft__worker **sleepers; /* the last one went to sleep last: its caches are warm */
    /* searching | sleeping << 32, written under the lock. */
    _Alignas(64) _Atomic uint64_t summary;
};

int weft__idle_init(struct weft__idle *idle, unsigned workers);
void weft__idle_fini(struct weft__idle *idle);

/* How many sleep, or are about to; a snapshot. */
static inline unsigned weft__idle_sleepers(const struct weft__idle *idle)
{
    return (unsigned)(weft__load(&idle->summary, relaxed) >> 32);
}

/* Work was pushed by anybody: wakes one worker if that makes sense. True if it did. */
bool weft__idle_notify(struct weft__idle *idle);

/* The worker has no work. False: enough others search already, go to sleep. */
bool weft__idle_begin_search(struct weft__idle *idle, struct weft__worker *worker);

/* It has found something. Wakes the next one if it was the last searcher. */
void weft__idle_end_search(struct weft__idle *idle, struct weft__worker *worker);

/* It goes to sleep: on the list, no more searching. A full fence follows. */
void weft__idle_lie_down(struct weft__idle *idle, struct weft__worker *worker);

/*
 * It is awake again: off the list, unless a waker has done that, who then has also made it a
 * searcher (worker->searching).
 */
void weft__idle_get_up(struct weft__idle *idle, struct weft__worker *worker);

/* Wakes every worker, sleeping or about to. */
void weft__idle_wake_all(struct weft__idle *idle, struct weft__worker *workers);

/* Gives the token to a worker, and wakes it if it sleeps. */
void weft__idle_wake(struct weft__worker *worker);

#endif
