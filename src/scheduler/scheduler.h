/*
 * The scheduler: workers over shared parts. Both flavors are made of it.
 *
 *   multi-thread    N workers, each on a thread of its own, stealing from each other
 *   current-thread  one worker, driven by whoever is in weft_block_on; its queue is a plain chain
 *
 * Where a runnable task goes
 *   woken or spawned on a worker   its LIFO slot, to run next; who was there goes to the tail
 *   fired by the driver or a timer the tail of the queue of the worker that turned it
 *   yielded, or slot used too often the tail
 *   from any other thread          the inject queue
 *   more than a ring holds         half of the ring goes to the inject queue
 *
 * Lock order: all locks (inject, idle, wheels, depots, records) are leaves: none is taken while
 * another is held.
 */
#ifndef WEFT_SCHEDULER_SCHEDULER_H
#define WEFT_SCHEDULER_SCHEDULER_H

#include <pthread.h>

#include "driver/driver.h"
#include "scheduler/idle.h"
#include "scheduler/queue.h"
#include "task/carrier.h"
#include "task/memory.h"
#include "time/wheel.h"

/* The inject queue: tasks from outside, and overflow. */
struct weft__inject {
    struct weft__lock lock;  /* guards the chain */
    _Atomic uint32_t length; /* of it, to look without the lock; written under it */
    struct weft__chain chain;
};

/* Written by their worker alone, read by anybody. */
struct weft__counters {
    _Atomic uint64_t spawned, ended, polls, steals, stolen, parks, wakes, wakes_useless, overflows,
        turns, forced_yields;
};

struct weft__worker {
    struct weft__carrier carrier; /* first */

    /* ---- the worker's own ---- */
    struct weft__scheduler *scheduler;
    unsigned index;
    bool single; /* copies of the config's, close at hand */
    bool no_slot;
    struct weft_task *slot; /* to run next; nobody else sees it */
    unsigned slot_runs;     /* in a row */
    uint32_t tick;          /* one a task run, and one an idle turn */
    uint32_t event_at;      /* ticks at which to look at driver and timers, */
    uint32_t inject_at;     /* at the inject queue, */
    uint32_t home_at;       /* and the earlier of the two: fibers go home then */
    bool searching;         /* counted in the idle state */
    bool woken;             /* by a peer, and has not found anything yet */
    bool napped;            /* its last sleep was a nap: see doze in worker.c */
    uint64_t random;
    struct weft__chain fifo; /* the run queue of a current-thread scheduler */
    struct weft__counters counters;
    pthread_t thread;

    /* ---- shared ---- */
    struct weft__ring ring;                          /* the run queue of a multi-thread one */
    _Alignas(WEFT__CACHE_LINE) _Atomic uint32_t bed; /* see idle.h */
    struct weft__wheel wheel;
};

struct weft__scheduler_config {
    bool single; /* current-thread */
    bool disable_slot;
    unsigned workers;
    unsigned event_interval;
    unsigned inject_interval;
    size_t fiber_stack_size;
    size_t thread_stack_size;
    const char *thread_name;
    uint64_t seed;
    bool alternate_stacks; /* workers get one, for the overflow report */
};

struct weft__scheduler {
    struct weft__scheduler_config config;
    struct weft__driver *driver;
    struct weft__task_memory *memory;
    struct weft__stacks *stacks;
    const void *services; /* struct weft__services, for the rooms above */

    struct weft__worker *workers;
    struct weft__idle idle;
    _Alignas(WEFT__CACHE_LINE) struct weft__inject inject;

    /* Tasks spawned, and pushed, by threads that are not our workers. */
    _Alignas(WEFT__CACHE_LINE) _Atomic uint64_t remote_spawned;
    _Atomic uint64_t remote_scheduled;
    _Atomic uint64_t remote_wakes;
    _Atomic uint64_t remote_discarded; /* spawned, but refused: born cancelled */
    /* Threads inside weft__inject_foreign, which may still touch us after their task has run. */
    _Atomic uint32_t visitors;

    _Atomic bool closing;     /* spawns are refused */
    _Atomic bool stopping;    /* workers end */
    _Atomic uint32_t drained; /* futex: moves when a worker of a closing scheduler runs dry */
};

/* ---- scheduler.c: life ---- */

/* Fields memory, stacks, driver, services of `*scheduler` are set; the config is copied. */
int weft__scheduler_init(struct weft__scheduler *scheduler,
                         const struct weft__scheduler_config *config);
/* Workers have ended. Their array stays, for whoever reads the counters. */
void weft__scheduler_fini(struct weft__scheduler *scheduler);

/* Cancels all tasks alive. */
void weft__scheduler_abort_all(struct weft__scheduler *scheduler);

/* Whether every task ever spawned has ended. Stays true once `closing` is set. */
bool weft__scheduler_is_empty(struct weft__scheduler *scheduler);

/* ---- worker.c ---- */

/* The calling thread's worker if it belongs to `scheduler`, else NULL. */
struct weft__worker *weft__worker_of(const struct weft__scheduler *scheduler);

/* Wires the calling thread to the worker, and back. */
void weft__worker_enter(struct weft__worker *worker);
void weft__worker_leave(struct weft__worker *worker);

/* Runs tasks on the calling thread until `done(context)`, asked at home between tasks. */
void weft__worker_run(struct weft__worker *worker, bool (*done)(struct weft__worker *, void *),
                      void *context);

/* Puts a task on the worker's own queue, to run next if there is a slot. Its own thread. */
void weft__worker_push(struct weft__worker *worker, struct weft_task *task);

/* ---- inject.c ---- */

/* Puts a chain at the end, without waking anybody. */
void weft__inject_push(struct weft__inject *inject, struct weft__chain *chain);
/* Takes up to `limit` tasks. */
struct weft__chain weft__inject_take(struct weft__inject *inject, uint32_t limit);
/* From a thread that is not our worker: queues the task and wakes a worker. */
void weft__inject_foreign(struct weft__scheduler *scheduler, struct weft_task *task);

static inline uint32_t weft__inject_length(const struct weft__inject *inject)
{
    return weft__load(&inject->length, acquire);
}

/* ---- spawn.c ---- */

/* `references`: 2 with a handle, 1 detached. Without memory NULL; closing: born cancelled. */
struct weft_task *weft__spawn_fiber(struct weft__scheduler *scheduler, weft_task_fn *fn, void *arg,
                                    const struct weft_site *site, unsigned references, int *rc);
struct weft_task *weft__spawn_stackless(struct weft__scheduler *scheduler, weft_poll_fn *fn,
                                        const void *frame, size_t size,
                                        const struct weft_site *site);

/* ---- multi_thread.c ---- */

/* Starts the workers' threads. 0 or a code, and then none is left. */
int weft__multi_thread_start(struct weft__scheduler *scheduler);
/* Ends and joins them. All tasks have ended. */
void weft__multi_thread_stop(struct weft__scheduler *scheduler);

#endif
