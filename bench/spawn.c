/*
 * What a spawn costs: 10 000 detached tasks at once, from a task and from a thread outside; one
 * task spawned and joined, over and over; a chain in which each task spawns the next.
 */
#include <semaphore.h>

#include "weft_bench.h"

enum { TASKS = 10000, LINKS = 1000, JOINS = 100000 };

static struct bench_countdown countdown;

static void *count_down(void *unused)
{
    bench_countdown_down(&countdown);
    return unused;
}

static void *local_root(void *arg)
{
    const struct bench_config *config = arg;
    size_t rounds = bench_repeat(config, 40);
    struct bench_laps laps = { .config = config, .operations = rounds * TASKS };

    while (bench_lap(&laps)) {
        for (size_t round = 0; round < rounds; round++) {
            bench_countdown_start(&countdown, TASKS);
            for (size_t i = 0; i < TASKS; i++)
                MUST(weft_go(count_down, NULL));
            bench_countdown_wait(&countdown);
        }
    }
    return NULL;
}

void spawn_many_local(const struct bench_config *config)
{
    bench_on_worker(config, local_root);
}

/* From outside there is a thread to wake, not a task. */
static atomic_size_t remote_left;
static sem_t remote_done;

static void *remote_count_down(void *unused)
{
    if (atomic_fetch_sub_explicit(&remote_left, 1, memory_order_relaxed) == 1)
        sem_post(&remote_done);
    return unused;
}

void spawn_many_remote(const struct bench_config *config)
{
    weft_runtime *runtime = bench_runtime_new(config);
    size_t rounds = bench_repeat(config, 40);
    struct bench_laps laps = { .config = config, .operations = rounds * TASKS };

    sem_init(&remote_done, 0, 0);
    while (bench_lap(&laps)) {
        for (size_t round = 0; round < rounds; round++) {
            atomic_store_explicit(&remote_left, TASKS, memory_order_relaxed);
            for (size_t i = 0; i < TASKS; i++) {
                weft_task *task = weft_runtime_spawn(runtime, remote_count_down, NULL);
                MUST(task ? 0 : -ENOMEM);
                weft_detach(task);
            }
            while (sem_wait(&remote_done) != 0)
                ; /* interrupted by a signal */
        }
    }
    bench_runtime_end(runtime);
}

static void *nothing(void *unused)
{
    return unused;
}

static void *join_root(void *arg)
{
    const struct bench_config *config = arg;
    size_t joins = bench_repeat(config, 4) * JOINS;
    struct bench_laps laps = { .config = config, .operations = joins };

    while (bench_lap(&laps))
        for (size_t i = 0; i < joins; i++)
            MUST(weft_join(weft_spawn(nothing, NULL), NULL));
    return NULL;
}

void spawn_join(const struct bench_config *config)
{
    bench_on_worker(config, join_root);
}

static void *chain_link(void *arg)
{
    uintptr_t left = (uintptr_t)arg;

    if (left == 0)
        bench_countdown_down(&countdown);
    else
        MUST(weft_go(chain_link, (void *)(left - 1)));
    return NULL;
}

static void *chain_root(void *arg)
{
    const struct bench_config *config = arg;
    size_t chains = bench_repeat(config, 400);
    struct bench_laps laps = { .config = config, .operations = chains * LINKS };

    while (bench_lap(&laps)) {
        for (size_t i = 0; i < chains; i++) {
            bench_countdown_start(&countdown, 1);
            chain_link((void *)(uintptr_t)LINKS);
            bench_countdown_wait(&countdown);
        }
    }
    return NULL;
}

void chained_spawn(const struct bench_config *config)
{
    bench_on_worker(config, chain_root);
}
