/* The weft side: what its benchmarks share, and their names. */
#ifndef WEFT_BENCH_H
#define WEFT_BENCH_H

#include <stdatomic.h>

#include <weft.h>

#include "bench.h"

/* A multi-thread runtime with `config->workers` workers; ending it prints its counters first. */
weft_runtime *bench_runtime_new(const struct bench_config *config);
void bench_runtime_end(weft_runtime *runtime);

/* Prints the counters of a runtime, of the current one with NULL, as one line of `# key=value`. */
void bench_print_metrics(weft_handle *handle);

/* Runs `root(config)` to its end as a task on a worker of a new runtime. */
void bench_on_worker(const struct bench_config *config, weft_task_fn *root);

/*
 * Tasks count down, the last one wakes the task that waits. While weft has no notify the wake goes
 * through a gate: a task that sleeps for ever until it is aborted. Its cost, one spawn and one join
 * per countdown, is spread over a thousand tasks or more. To be replaced by weft_notify.
 *
 * The gate lives from before the abort begins until after it has returned: an abort in progress
 * must not overlap with the end of the join. So the last task waits should the gate, which was
 * spawned first, not have started yet.
 */
struct bench_countdown {
    atomic_size_t left;
    weft_task *gate;
    atomic_bool closed; /* the gate has started */
    atomic_bool opened; /* weft_abort has returned */
};

void bench_countdown_start(struct bench_countdown *countdown, size_t from);
void bench_countdown_down(struct bench_countdown *countdown);
void bench_countdown_wait(struct bench_countdown *countdown);

void spawn_many_local(const struct bench_config *config);
void spawn_many_remote(const struct bench_config *config);
void spawn_join(const struct bench_config *config);
void chained_spawn(const struct bench_config *config);
void yield_many(const struct bench_config *config);
void sleep_many(const struct bench_config *config);
void sleep_many_stackless(const struct bench_config *config);
void tcp_ping_pong(const struct bench_config *config);
void memory_sleeping(const struct bench_config *config);
void memory_sleeping_stackless(const struct bench_config *config);

#endif
