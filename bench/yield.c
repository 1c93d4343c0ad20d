/* What a trip through the scheduler costs: 200 tasks yield 1000 times each. */
#include "weft_bench.h"

enum { TASKS = 200, YIELDS = 1000 };

static void *yielder(void *unused)
{
    for (int i = 0; i < YIELDS; i++)
        MUST(weft_yield());
    return unused;
}

static void *root(void *arg)
{
    const struct bench_config *config = arg;
    size_t rounds = bench_repeat(config, 20);
    struct bench_laps laps = { .config = config, .operations = rounds * TASKS * YIELDS };
    weft_task *tasks[TASKS];

    while (bench_lap(&laps)) {
        for (size_t round = 0; round < rounds; round++) {
            for (int i = 0; i < TASKS; i++)
                tasks[i] = weft_spawn(yielder, NULL);
            for (int i = 0; i < TASKS; i++)
                MUST(weft_join(tasks[i], NULL));
        }
    }
    return NULL;
}

void yield_many(const struct bench_config *config)
{
    bench_on_worker(config, root);
}
