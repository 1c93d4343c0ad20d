/*
 * weft-bench: weft's own benchmarks, the twins of peers/tokio and peers/go. One line per sample:
 * wall and CPU nanoseconds per operation (memory rows: bytes per task); then runtime counters.
 */
#include "weft_bench.h"

#include <inttypes.h>
#include <stdio.h>

weft_runtime *bench_runtime_new(const struct bench_config *config)
{
    weft_runtime *runtime;

    MUST(weft_runtime_new(&(struct weft_config){ .worker_threads = config->workers }, &runtime));
    return runtime;
}

void bench_print_metrics(weft_handle *handle)
{
    struct weft_metrics m;

    MUST(weft_metrics_read(handle, &m));
    printf("# workers=%" PRIu64 " spawned=%" PRIu64 " polls=%" PRIu64 " steals=%" PRIu64
           " stolen=%" PRIu64 " parks=%" PRIu64 " wakes=%" PRIu64 " wakes_useless=%" PRIu64
           " overflows=%" PRIu64 " remote=%" PRIu64 " turns=%" PRIu64 " io_events=%" PRIu64
           " timers_fired=%" PRIu64 " forced_yields=%" PRIu64 "\n",
           m.workers, m.spawned, m.polls, m.steals, m.stolen, m.parks, m.wakes, m.wakes_useless,
           m.overflows, m.remote, m.turns, m.io_events, m.timers_fired, m.forced_yields);
}

void bench_runtime_end(weft_runtime *runtime)
{
    weft_handle *handle = weft_runtime_handle(runtime);

    bench_print_metrics(handle);
    weft_handle_free(handle);
    MUST(weft_runtime_free(runtime));
}

void bench_on_worker(const struct bench_config *config, weft_task_fn *root)
{
    weft_runtime *runtime = bench_runtime_new(config);

    MUST(weft_block_on(runtime, root, (void *)(uintptr_t)config, NULL));
    bench_runtime_end(runtime);
}

static void *gate(void *arg)
{
    struct bench_countdown *countdown = arg;

    atomic_store(&countdown->closed, true);
    (void)weft_sleep(WEFT_FOREVER);
    while (!atomic_load(&countdown->opened))
        ; /* the last task is inside weft_abort, on another worker */
    return NULL;
}

void bench_countdown_start(struct bench_countdown *countdown, size_t from)
{
    atomic_store_explicit(&countdown->left, from, memory_order_relaxed);
    atomic_store(&countdown->closed, false);
    atomic_store(&countdown->opened, false);
    countdown->gate = weft_spawn(gate, countdown);
    MUST(countdown->gate ? 0 : -ENOMEM);
}

void bench_countdown_down(struct bench_countdown *countdown)
{
    if (atomic_fetch_sub_explicit(&countdown->left, 1, memory_order_relaxed) == 1) {
        while (!atomic_load(&countdown->closed))
            MUST(weft_yield());
        weft_abort(countdown->gate);
        atomic_store(&countdown->opened, true);
    }
}

void bench_countdown_wait(struct bench_countdown *countdown)
{
    int rc = weft_join(countdown->gate, NULL);

    MUST(rc == -ECANCELED ? 0 : rc);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { .name = "spawn_many_local", .run = spawn_many_local },
        { .name = "spawn_many_remote", .run = spawn_many_remote },
        { .name = "spawn_join", .run = spawn_join },
        { .name = "chained_spawn", .run = chained_spawn },
        { .name = "yield_many", .run = yield_many },
        { .name = "sleep_many", .run = sleep_many },
        { .name = "sleep_many_stackless", .run = sleep_many_stackless },
        { .name = "tcp_ping_pong_c1_w1", .run = tcp_ping_pong, .connections = 1, .workers = 1 },
        { .name = "tcp_ping_pong_c2_w1", .run = tcp_ping_pong, .connections = 2, .workers = 1 },
        { .name = "tcp_ping_pong_c10_w1", .run = tcp_ping_pong, .connections = 10, .workers = 1 },
        { .name = "tcp_ping_pong_c100_w1", .run = tcp_ping_pong, .connections = 100, .workers = 1 },
        { .name = "tcp_ping_pong_c1_w2", .run = tcp_ping_pong, .connections = 1, .workers = 2 },
        { .name = "tcp_ping_pong_c2_w2", .run = tcp_ping_pong, .connections = 2, .workers = 2 },
        { .name = "tcp_ping_pong_c10_w2", .run = tcp_ping_pong, .connections = 10, .workers = 2 },
        { .name = "tcp_ping_pong_c100_w2", .run = tcp_ping_pong, .connections = 100, .workers = 2 },
        { .name = "memory_sleeping", .run = memory_sleeping },
        { .name = "memory_sleeping_stackless", .run = memory_sleeping_stackless },
    };

    return bench_main(argc, argv, benches, sizeof benches / sizeof benches[0]);
}
