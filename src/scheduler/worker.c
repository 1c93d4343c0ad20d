/*
 * The worker: its loop, what it runs next, and how it goes to sleep.
 *
 * One turn at home: look at driver, timers and the inject queue if it is time; run a task, and all
 * that fibers choose after it; without a task search; without success sleep.
 */
#include "scheduler/scheduler.h"

#include "platform/system.h"

enum {
    SLOT_RUNS = 3,           /* tasks in a row from the slot, before the queue gets a turn */
    BUDGET = 128,            /* operations a task may do before it must yield */
    CLOSING_LOOK = 10000000, /* ns between looks at a closing scheduler */
    TRIM_PAUSE = 1000000000, /* ns of idleness before stacks give memory back */
    NAP = 1000000,           /* ns in bed, before the driver is looked after */
    BATCH = 128,             /* most tasks taken from the inject queue at once */
};

static struct weft__worker *worker_of(struct weft__carrier *carrier)
{
    return weft__container(carrier, struct weft__worker, carrier);
}

struct weft__worker *weft__worker_of(const struct weft__scheduler *scheduler)
{
    struct weft__carrier *carrier = weft__carrier();
    if (!carrier)
        return NULL;
    struct weft__worker *worker = worker_of(carrier);
    return worker->scheduler == scheduler ? worker : NULL;
}

/* ---- queues ---- */

/* The ring is full: the task goes to the inject queue, with the younger half of the ring. */
static WEFT__COLD void push_overflow(struct weft__worker *worker, struct weft_task *task)
{
    struct weft__chain chain = { 0 };
    if (!weft__ring_overflow(&worker->ring, &chain) && weft__ring_push(&worker->ring, task))
        return; /* a thief has made room */
    weft__chain_append(&chain, task);
    weft__inject_push(&worker->scheduler->inject, &chain);
    weft__count(&worker->counters.overflows, 1);
}

/* To the tail, waking nobody. */
static void queue(struct weft__worker *worker, struct weft_task *task)
{
    if (worker->single)
        weft__chain_append(&worker->fifo, task);
    else if (WEFT__UNLIKELY(!weft__ring_push(&worker->ring, task)))
        push_overflow(worker, task);
}

static void notify(struct weft__worker *worker)
{
    if (worker->scheduler->config.workers > 1 && !worker->searching &&
        weft__idle_notify(&worker->scheduler->idle))
        weft__count(&worker->counters.wakes, 1);
}

/* After queueing several tasks: wakes another worker if there are more than we take at once. */
static void notify_surplus(struct weft__worker *worker)
{
    if (weft__ring_length(&worker->ring) + (worker->slot != NULL) > 1)
        notify(worker);
}

/* To the tail, and somebody is woken for it if that makes sense. */
static void push_tail(struct weft__worker *worker, struct weft_task *task)
{
    queue(worker, task);
    notify(worker);
}

void weft__worker_push(struct weft__worker *worker, struct weft_task *task)
{
    if (worker->no_slot) {
        push_tail(worker, task);
        return;
    }
    struct weft_task *displaced = worker->slot;
    worker->slot = task;
    /* Filling an empty slot wakes nobody: its owner is about to take it. */
    if (displaced)
        push_tail(worker, displaced);
}

void weft__schedule(struct weft_task *task)
{
    struct weft__worker *worker = weft__worker_of(task->scheduler);
    if (worker)
        weft__worker_push(worker, task);
    else
        weft__inject_foreign(task->scheduler, task);
}

static struct weft_task *pop_queue(struct weft__worker *worker)
{
    if (worker->single)
        return weft__chain_take(&worker->fifo);
    return weft__ring_pop(&worker->ring);
}

/*
 * A switch is mostly waiting for the memory of the task switched to: task, then stack. So both are
 * fetched ahead, one and two tasks early.
 */
static void prefetch(struct weft__worker *worker)
{
    struct weft_task *next = weft__ring_peek(&worker->ring, 0);
    struct weft_task *after = weft__ring_peek(&worker->ring, 1);
    if (next)
        weft__task_prefetch_stack(next);
    if (after)
        weft__task_prefetch(after);
}

/* The next task of our own: the slot's, but not too often in a row, else the queue's oldest. */
static struct weft_task *take_own(struct weft__worker *worker)
{
    struct weft_task *task = worker->slot;
    if (task) {
        worker->slot = NULL;
        if (worker->slot_runs < SLOT_RUNS && worker->carrier.budget > 0) {
            worker->slot_runs++; /* and it shares the budget of the one before it */
            return task;
        }
        queue(worker, task);
    }
    task = pop_queue(worker);
    prefetch(worker);
    worker->slot_runs = 0;
    worker->carrier.budget = BUDGET;
    return task;
}

/* Our share of the inject queue, up to `limit`: one to run now, the others to our queue. */
static struct weft_task *take_injected(struct weft__worker *worker, uint32_t limit)
{
    struct weft__scheduler *scheduler = worker->scheduler;
    uint32_t share = weft__inject_length(&scheduler->inject) / scheduler->config.workers + 1;
    if (share > limit)
        share = limit;
    struct weft__chain chain = weft__inject_take(&scheduler->inject, share);
    struct weft_task *first = weft__chain_take(&chain);
    for (struct weft_task *task; (task = weft__chain_take(&chain));)
        queue(worker, task);
    return first;
}

/* ---- driver and timers ---- */

/* Queues what an engine or the wheel has made runnable: in order, at the tail, waking nobody. */
static void queue_list(struct weft__worker *worker, struct weft__wake_list *list)
{
    for (struct weft_task *task = list->first, *next; task; task = next) {
        next = task->next;
        if (task->scheduler == worker->scheduler)
            queue(worker, task);
        else
            weft__schedule(task);
    }
    *list = (struct weft__wake_list){ 0 };
}

static void expire_timers(struct weft__worker *worker)
{
    if (weft__wheel_is_empty(&worker->wheel))
        return;
    uint64_t now = weft__clock_now();
    if (!weft__wheel_is_due(&worker->wheel, now))
        return;
    struct weft__wake_list list = { 0 };
    weft__wheel_expire(&worker->wheel, now, &list);
    queue_list(worker, &list);
}

/* Hands out fetched events. The driver is ours. */
static void dispatch(struct weft__worker *worker, int count)
{
    struct weft__driver *driver = worker->scheduler->driver;
    weft__count(&worker->counters.turns, 1);
    if (count == 0)
        return;
    struct weft__wake_list list = { 0 };
    weft__count(&driver->events, (uint64_t)count);
    driver->engine->ops->dispatch(driver->engine, count, &list);
    queue_list(worker, &list);
}

/* A look at the driver without waiting, unless nothing is registered or somebody else has it. */
static void poll_driver(struct weft__worker *worker)
{
    struct weft__driver *driver = worker->scheduler->driver;
    if (weft__load(&driver->registered, relaxed) == 0 || !weft__driver_try_own(driver))
        return;
    dispatch(worker, driver->engine->ops->wait(driver->engine, 0));
    weft__driver_disown(driver);
}

static void maintain(struct weft__worker *worker)
{
    poll_driver(worker);
    expire_timers(worker);
    notify_surplus(worker); /* events, timers and yields are queued without */
}

/* ---- what to run next ---- */

static bool is_at(uint32_t tick, uint32_t mark)
{
    return (int32_t)(tick - mark) >= 0;
}

static uint32_t earlier(uint32_t a, uint32_t b)
{
    return is_at(a, b) ? b : a;
}

struct weft_task *weft__carrier_next(struct weft__carrier *carrier)
{
    struct weft__worker *worker = worker_of(carrier);
    if (WEFT__UNLIKELY(is_at(worker->tick, worker->home_at)))
        return NULL;
    struct weft_task *task = take_own(worker);
    if (task) {
        worker->tick++;
        weft__count(&worker->counters.polls, 1);
    }
    return task;
}

bool weft__carrier_wants_home(struct weft__carrier *carrier)
{
    struct weft__worker *worker = worker_of(carrier);
    worker->tick++; /* so that a lone yielder gets there now and then */
    return is_at(worker->tick, worker->home_at);
}

void weft__carrier_requeue(struct weft__carrier *carrier, struct weft_task *task)
{
    queue(worker_of(carrier), task);
}

void weft__carrier_ended(struct weft__carrier *carrier)
{
    _Atomic uint64_t *ended = &worker_of(carrier)->counters.ended;
    /* Release: with the task's end go its spawns, for weft__scheduler_is_empty. */
    weft__store(ended, weft__load(ended, relaxed) + 1, release);
}

void weft__carrier_refill(struct weft__carrier *carrier)
{
    carrier->budget = BUDGET;
}

void weft__carrier_exhausted(struct weft__carrier *carrier)
{
    weft__count(&worker_of(carrier)->counters.forced_yields, 1);
}

/* At home: what is due, then the next task from anywhere but other workers. */
static struct weft_task *next_at_home(struct weft__worker *worker)
{
    const struct weft__scheduler_config *config = &worker->scheduler->config;
    struct weft_task *task = NULL;
    uint32_t tick = ++worker->tick;
    if (is_at(tick, worker->event_at)) {
        worker->event_at = tick + config->event_interval;
        maintain(worker);
    }
    if (is_at(tick, worker->inject_at)) {
        worker->inject_at = tick + config->inject_interval;
        /* As many as we have just run of our own, so that neither queue starves the other. */
        uint32_t limit = config->inject_interval < BATCH ? config->inject_interval : BATCH;
        task = take_injected(worker, limit);
    }
    worker->home_at = earlier(worker->event_at, worker->inject_at);
    if (!task)
        task = take_own(worker);
    if (!task)
        task = take_injected(worker, BATCH);
    worker->carrier.budget = BUDGET;
    return task;
}

/* ---- searching ---- */

static struct weft_task *steal(struct weft__worker *worker)
{
    struct weft__scheduler *scheduler = worker->scheduler;
    unsigned count = scheduler->config.workers;
    unsigned start = weft__random_below(&worker->random, count);
    for (unsigned i = 0; i < count; i++) {
        struct weft__worker *victim = &scheduler->workers[(start + i) % count];
        if (victim == worker)
            continue;
        uint32_t moved = 0;
        struct weft_task *task = weft__ring_steal(&victim->ring, &worker->ring, &moved);
        if (task) {
            weft__count(&worker->counters.steals, 1);
            weft__count(&worker->counters.stolen, moved);
            return task;
        }
    }
    return take_injected(worker, BATCH);
}

static struct weft_task *search(struct weft__worker *worker)
{
    struct weft__scheduler *scheduler = worker->scheduler;
    if (scheduler->config.workers == 1)
        return NULL;
    if (!worker->searching && !weft__idle_begin_search(&scheduler->idle, worker))
        return NULL;
    return steal(worker);
}

/*
 * Nothing to steal, but others are awake: what they and we have just sent may have come back as
 * events, and they may have queued more than they can run at once.
 */
static struct weft_task *search_again(struct weft__worker *worker)
{
    const struct weft__scheduler *scheduler = worker->scheduler;
    if (weft__idle_sleepers(&scheduler->idle) + 1 >= scheduler->config.workers)
        return NULL;
    poll_driver(worker);
    struct weft_task *task = take_own(worker);
    if (!task)
        return search(worker);
    notify_surplus(worker);
    return task;
}

static void found(struct weft__worker *worker)
{
    worker->woken = false;
    worker->napped = false;
    if (worker->searching)
        weft__idle_end_search(&worker->scheduler->idle, worker);
}

/* ---- sleeping ---- */

/* The last look before sleep, after lying down: is there anything that a waker may have missed? */
static bool sees_work(const struct weft__worker *worker)
{
    const struct weft__scheduler *scheduler = worker->scheduler;
    if (weft__inject_length(&scheduler->inject) || weft__load(&scheduler->stopping, relaxed))
        return true;
    for (unsigned i = 0; i < scheduler->config.workers; i++)
        if (weft__ring_length(&scheduler->workers[i].ring))
            return true;
    return false;
}

/* Sleeps in the driver, which is ours. The number of events fetched. */
static int sleep_in_driver(struct weft__worker *worker, uint64_t deadline)
{
    struct weft__engine *engine = worker->scheduler->driver->engine;
    uint32_t bed = WEFT__BED_EMPTY;
    int count = 0;
    /* Acquire and release: see weft__idle_wake, with which this and the swap below pair. */
    if (weft__cas(&worker->bed, &bed, WEFT__BED_DRIVER, acq_rel, acquire))
        count = engine->ops->wait(engine, deadline);
    weft__swap(&worker->bed, WEFT__BED_EMPTY, acq_rel);
    return count;
}

static void sleep_in_bed(struct weft__worker *worker, uint64_t deadline)
{
    uint32_t bed = WEFT__BED_EMPTY;
    if (weft__cas(&worker->bed, &bed, WEFT__BED_FUTEX, acq_rel, acquire))
        while (weft__futex_wait(&worker->bed, WEFT__BED_FUTEX, deadline) &&
               weft__load(&worker->bed, relaxed) == WEFT__BED_FUTEX)
            continue;
    weft__swap(&worker->bed, WEFT__BED_EMPTY, acq_rel);
}

/* Whether somebody waits for events. */
static bool is_driver_watched(const struct weft__scheduler *scheduler)
{
    for (unsigned i = 0; i < scheduler->config.workers; i++)
        if (weft__load(&scheduler->workers[i].bed, relaxed) == WEFT__BED_DRIVER)
            return true;
    return false;
}

/*
 * Where to sleep. The last one awake sleeps in the driver. Whoever lies down while others are awake
 * naps in bed first, so that the driver is free for them: they turn it themselves when their tasks
 * are done, without a sleeping thread to be woken for each event. If the nap ends and the driver is
 * still nobody's, then those tasks take long, and we wait for events in their stead.
 */
static void doze(struct weft__worker *worker)
{
    struct weft__scheduler *scheduler = worker->scheduler;
    uint64_t deadline = weft__wheel_next(&worker->wheel);
    if (WEFT__UNLIKELY(weft__load(&scheduler->closing, relaxed))) {
        /* A refused spawn changes what shutdown counts, and cannot wake us. */
        uint64_t soon = weft__clock_now() + CLOSING_LOOK;
        deadline = soon < deadline ? soon : deadline;
    }
    bool excess = weft__stacks_have_excess(scheduler->stacks);
    uint64_t trim_at = UINT64_MAX;
    if (WEFT__UNLIKELY(excess)) {
        trim_at = weft__clock_now() + TRIM_PAUSE;
        deadline = trim_at < deadline ? trim_at : deadline;
    }
    bool alone = weft__idle_sleepers(&scheduler->idle) == scheduler->config.workers;
    bool nap = !alone && !worker->napped;
    weft__count(&worker->counters.parks, 1);
    worker->napped = nap;
    if (!nap && weft__driver_try_own(scheduler->driver)) {
        int count = sleep_in_driver(worker, deadline);
        if (excess && count == 0 && weft__clock_now() >= trim_at)
            weft__stacks_trim(scheduler->stacks);
        /* Up before handing out events: else each would find a sleeper to wake, ourselves. */
        weft__idle_get_up(&scheduler->idle, worker);
        dispatch(worker, count);
        weft__driver_disown(scheduler->driver);
    } else {
        /* Not watched, but not to be had: an awake one is just looking, and may go back to work. */
        nap = nap || !is_driver_watched(scheduler);
        uint64_t nap_end = nap ? weft__clock_now() + NAP : UINT64_MAX;
        sleep_in_bed(worker, nap_end < deadline ? nap_end : deadline);
        weft__idle_get_up(&scheduler->idle, worker);
    }
    expire_timers(worker);
    notify_surplus(worker);
}

/* Tells a shutdown that waits for the tasks to end that there is one dry worker. */
static void tell_dry(struct weft__scheduler *scheduler)
{
    if (weft__load(&scheduler->closing, relaxed)) {
        weft__add(&scheduler->drained, 1, release);
        weft__futex_wake(&scheduler->drained, 1);
    }
}

static void lie_down_and_sleep(struct weft__worker *worker)
{
    struct weft__scheduler *scheduler = worker->scheduler;
    if (worker->woken) {
        worker->woken = false;
        weft__count(&worker->counters.wakes_useless, 1);
    }
    tell_dry(scheduler);
    weft__idle_lie_down(&scheduler->idle, worker);
    if (sees_work(worker))
        weft__idle_get_up(&scheduler->idle, worker);
    else
        doze(worker);
}

/* ---- the loop ---- */

void weft__worker_run(struct weft__worker *worker, bool (*done)(struct weft__worker *, void *),
                      void *context)
{
    while (!done(worker, context)) {
        struct weft_task *task = next_at_home(worker);
        if (!task)
            task = search(worker);
        if (!task)
            task = search_again(worker);
        if (!task) {
            lie_down_and_sleep(worker);
            continue;
        }
        found(worker);
        weft__count(&worker->counters.polls, 1);
        weft__carrier_run(&worker->carrier, task);
    }
}

void weft__worker_enter(struct weft__worker *worker)
{
    weft__san_thread(&worker->carrier.home_san);
    weft__thread()->carrier = &worker->carrier;
}

void weft__worker_leave(struct weft__worker *worker)
{
    if (worker->searching)
        weft__idle_end_search(&worker->scheduler->idle, worker);
    weft__thread()->carrier = NULL;
}
