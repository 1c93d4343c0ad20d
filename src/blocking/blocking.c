/*
 * The pool for blocking calls: threads, those of them that are idle, and the jobs that found none.
 *
 * A job goes from hand to hand: to the thread that has been idle for the shortest time (the others
 * may then leave), else to a new thread, else to the queue, from which a thread that is done with
 * its job helps itself. Handing over directly means that an idle thread never looks for work.
 *
 * Two parties know a job, the fiber that waits and the thread that works; either may be the last:
 *   - the thread sets `done` and fires the waiter, both under the job's lock, and is then through
 *     with it: the fiber frees it. Or it finds that the waiter has gone, and frees it itself;
 *   - the fiber, cancelled meanwhile, takes a queued job back; one that runs it abandons.
 *
 * Threads are joined in a chain: each, when it leaves, joins the one that left before it.
 */
#include "blocking/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/error.h>

#include "base/base.h"
#include "base/list.h"
#include "platform/park.h"
#include "platform/system.h"
#include "task/wait.h"

enum { NAME_MAX_LENGTH = 15 };

struct weft__blocking {
    struct weft__lock lock; /* guards all below */
    struct weft__link idle; /* of struct idler, the latest first */
    struct weft__link jobs; /* of struct job, the oldest first */
    /* Threads started and not yet leaving. Written under the lock; free() sleeps on it. */
    _Atomic uint32_t threads;
    bool shut;
    bool has_left;
    pthread_t left; /* the last thread that left, yet to be joined; with `has_left` */
    unsigned max_threads;
    uint64_t keep_alive;
    size_t stack_size;
    char name[NAME_MAX_LENGTH + 1];
};

struct job {
    struct weft__link link; /* in the queue or on no list; under the pool's lock */
    struct weft__blocking *pool;
    void (*work)(void *);
    void (*drop)(void *);
    void *arg;
    struct weft__lock lock;      /* guards the two below */
    struct weft__waiter *waiter; /* NULL: it has gone, the job belongs to the thread */
    bool done;
};

/* A thread that waits for a job, on its own stack. */
struct idler {
    struct weft__link link;
    struct job *job; /* set by who takes it off the list, under the pool's lock */
    _Atomic uint32_t woken;
};

int weft__blocking_new(const struct weft__blocking_config *config, struct weft__blocking **out)
{
    struct weft__blocking *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    weft__list_init(&pool->idle);
    weft__list_init(&pool->jobs);
    pool->max_threads = config->max_threads;
    pool->keep_alive = config->keep_alive;
    pool->stack_size = config->stack_size;
    snprintf(pool->name, sizeof pool->name, "%.15s", config->name);
    *out = pool;
    return 0;
}

/* ---- the threads ---- */

static struct job *take_queued(struct weft__blocking *pool)
{
    struct weft__link *link = weft__list_take(&pool->jobs);
    return link ? weft__container(link, struct job, link) : NULL;
}

static void list_prepend(struct weft__link *head, struct weft__link *node)
{
    weft__list_append(head->next, node); /* before the first is after the head */
}

/* Wakes a thread that the caller has just taken off the idle list, under the lock. */
static void idler_give(struct idler *idler, struct job *job)
{
    idler->job = job;
    /* Release: the job. From here on the thread may go, and its idler with it. */
    _Atomic uint32_t *woken = &idler->woken;
    weft__store(woken, 1, release);
    weft__futex_wake(woken, 1);
}

/* Waits for a job, for as long as an idle thread stays; NULL: leave. Lock held at both ends. */
static struct job *wait_idle(struct weft__blocking *pool)
{
    struct idler self = { 0 };
    uint64_t now = weft__clock_now();
    uint64_t deadline = pool->keep_alive > UINT64_MAX - now ? UINT64_MAX : now + pool->keep_alive;

    list_prepend(&pool->idle, &self.link);
    weft__unlock(&pool->lock);
    bool in_time = true;
    while (in_time && weft__load(&self.woken, acquire) == 0)
        in_time = weft__futex_wait(&self.woken, 0, deadline);
    weft__lock(&pool->lock);
    if (weft__list_has(&self.link))
        weft__list_remove(&self.link); /* nobody has taken us: the time was up */
    return self.job;
}

/* The next job of a thread that has none; NULL: leave. Lock held. */
static struct job *next_job(struct weft__blocking *pool)
{
    struct job *job = take_queued(pool);
    if (job || pool->shut)
        return job;
    return wait_idle(pool);
}

static void run(struct job *job)
{
    job->work(job->arg);

    struct weft__wake_list list = { 0 };
    weft__lock(&job->lock);
    bool abandoned = job->waiter == NULL;
    job->done = true;
    if (!abandoned) /* false: it has been cancelled, and will see `done` when it gets the lock */
        (void)weft__wait_fire(job->waiter, WEFT__WHY_SOURCE, &list);
    weft__unlock(&job->lock);
    if (abandoned) {
        job->drop(job->arg);
        free(job);
        return;
    }
    weft__wake(&list);
}

/* The calling thread leaves; lock held, released here. */
static void leave(struct weft__blocking *pool)
{
    pthread_t before = pool->left;
    bool has_before = pool->has_left;
    pool->left = pthread_self();
    pool->has_left = true;
    weft__count(&pool->threads, (uint32_t)-1);
    if (pool->shut)
        weft__futex_wake(&pool->threads, 1);
    weft__unlock(&pool->lock);
    if (has_before)
        pthread_join(before, NULL);
}

static void *thread_body(void *arg)
{
    struct job *job = arg;
    struct weft__blocking *pool = job->pool;
    do {
        run(job);
        weft__lock(&pool->lock);
        job = next_job(pool);
        if (job)
            weft__unlock(&pool->lock);
    } while (job);
    leave(pool);
    return NULL;
}

void weft__blocking_free(struct weft__blocking *pool)
{
    if (!pool)
        return;
    struct weft__link dropped, *link;
    weft__lock(&pool->lock);
    pool->shut = true;
    weft__list_move(&pool->jobs, &dropped);
    while ((link = weft__list_take(&pool->idle)) != NULL)
        idler_give(weft__container(link, struct idler, link), NULL);
    weft__unlock(&pool->lock);

    while ((link = weft__list_take(&dropped)) != NULL) {
        struct job *job = weft__container(link, struct job, link);
        job->drop(job->arg);
        free(job);
    }
    uint32_t threads;
    while ((threads = weft__load(&pool->threads, acquire)) > 0)
        weft__futex_wait(&pool->threads, threads, UINT64_MAX);
    /* The last one to leave may still be in leave(); the lock tells when it has let go of it. */
    weft__lock(&pool->lock);
    bool has_left = pool->has_left;
    weft__unlock(&pool->lock);
    if (has_left)
        pthread_join(pool->left, NULL);
    free(pool);
}

/* ---- the fiber's side ---- */

/*
 * A thread of its own for a job that found no idle one. True when it has one or, because other
 * threads will come to it, has been queued. Lock held, also while the thread is started: else another
 * submit could count on a thread that is then refused.
 */
static bool grow_or_queue(struct weft__blocking *pool, struct job *job)
{
    uint32_t threads = weft__load(&pool->threads, relaxed);
    if (threads < pool->max_threads) {
        weft__count(&pool->threads, 1);
        pthread_t thread;
        int rc = weft__thread_start(&thread, pool->name, pool->stack_size, thread_body, job);
        if (rc == 0)
            return true;
        weft__count(&pool->threads, (uint32_t)-1);
        if (weft__load(&pool->threads, relaxed) == 0)
            return false;
    }
    weft__list_append(&pool->jobs, &job->link);
    return true;
}

/* Finds hands for the job; a code when there are none, and then nobody knows it. */
static int submit(struct weft__blocking *pool, struct job *job)
{
    int rc = 0;
    weft__lock(&pool->lock);
    struct weft__link *idle = pool->shut ? NULL : weft__list_take(&pool->idle);
    if (pool->shut)
        rc = WEFT_ESHUTDOWN;
    else if (idle)
        idler_give(weft__container(idle, struct idler, link), job);
    else if (!grow_or_queue(pool, job))
        rc = -EAGAIN;
    weft__unlock(&pool->lock);
    return rc;
}

/*
 * The fiber no longer waits, whatever ended that. 0: the work is done. Else it is taken back from
 * the queue, or abandoned to the thread that is at it.
 */
static int settle(struct weft__blocking *pool, struct job *job)
{
    weft__lock(&pool->lock);
    bool queued = weft__list_has(&job->link);
    if (queued)
        weft__list_remove(&job->link);
    weft__unlock(&pool->lock);

    weft__lock(&job->lock);
    bool done = job->done;
    job->waiter = NULL;
    weft__unlock(&job->lock);
    if (queued)
        job->drop(job->arg);
    if (queued || done)
        free(job); /* the thread fired under the job's lock, so it is through with it as well */
    return done ? 0 : -ECANCELED;
}

int weft__blocking_run(struct weft__blocking *pool, void (*work)(void *), void (*drop)(void *),
                       void *arg)
{
    int rc;
    struct weft__waiter *self = weft__wait_self(&rc);
    if (!self) {
        if (rc == -ECANCELED)
            drop(arg);
        return rc;
    }
    struct job *job = malloc(sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct job){ .pool = pool, .work = work, .drop = drop, .arg = arg, .waiter = self };

    weft__wait_begin(self, 0);
    rc = submit(pool, job);
    if (rc < 0) {
        weft__wait_end(self);
        free(job);
        return rc;
    }
    weft__wait_park(self, UINT64_MAX);
    rc = settle(pool, job);
    if (rc == 0)
        self->cancel_seen = false; /* a cancel that lost to the result has not been told */
    return rc;
}
