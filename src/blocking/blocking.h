/*
 * The pool for blocking calls: threads that run what would block a worker.
 *
 * Grows by a thread when a job finds none idle, up to `max_threads`; beyond that jobs queue. A
 * thread that has been idle for `keep_alive` ns leaves.
 */
#ifndef WEFT_BLOCKING_BLOCKING_H
#define WEFT_BLOCKING_BLOCKING_H

#include <stddef.h>
#include <stdint.h>

struct weft__blocking;

struct weft__blocking_config {
    unsigned max_threads;
    uint64_t keep_alive;
    size_t stack_size; /* 0: the system's */
    const char *name;  /* of the threads; copied */
};

int weft__blocking_new(const struct weft__blocking_config *config, struct weft__blocking **out);

/* Drops queued jobs (their waiters have gone), waits for running ones, joins all threads. */
void weft__blocking_free(struct weft__blocking *pool);

/*
 * Runs `work(arg)` on a pool thread while the calling fiber waits; 0 when it has run. -ECANCELED
 * when the task is aborted meanwhile: the work may still run, and `drop(arg)` is then called when
 * that is over (or instead of it); so `arg` is the pool's from the call on, unless 0 or another
 * code than -ECANCELED is returned, and then it is the caller's again. -EPERM outside a fiber,
 * -ENOMEM, -EAGAIN (no thread at all could be started), WEFT_ESHUTDOWN.
 */
int weft__blocking_run(struct weft__blocking *pool, void (*work)(void *), void (*drop)(void *),
                       void *arg);

#endif
