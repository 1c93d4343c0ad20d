/*
 * What a timer costs: 100 000 tasks sleep 1 to 100 ms each, as fibers and as stackless tasks. The
 * CPU time counts; the wall time has a floor of 100 ms / 100 000 = 1000 ns.
 */
#include "weft_bench.h"

enum { TASKS = 100000, LONGEST = 100 };

static struct bench_countdown countdown;

static void *fiber(void *milliseconds)
{
    MUST(weft_sleep(WEFT_MS((uintptr_t)milliseconds)));
    bench_countdown_down(&countdown);
    return NULL;
}

static void *fiber_root(void *arg)
{
    struct bench_laps laps = { .config = arg, .operations = TASKS };

    while (bench_lap(&laps)) {
        bench_countdown_start(&countdown, TASKS);
        for (uintptr_t i = 0; i < TASKS; i++)
            MUST(weft_go(fiber, (void *)(1 + i % LONGEST)));
        bench_countdown_wait(&countdown);
    }
    return NULL;
}

void sleep_many(const struct bench_config *config)
{
    bench_on_worker(config, fiber_root);
}

struct stackless {
    WEFT_FRAME;
    uint64_t time;
};

static int stackless(struct stackless *self)
{
    WEFT_BEGIN(self);
    WEFT_AWAIT(self, WEFT_AFTER(self->time));
    MUST(WEFT_RESULT(self));
    bench_countdown_down(&countdown);
    WEFT_END(self);
}

static void *stackless_root(void *arg)
{
    struct bench_laps laps = { .config = arg, .operations = TASKS };

    while (bench_lap(&laps)) {
        bench_countdown_start(&countdown, TASKS);
        for (unsigned i = 0; i < TASKS; i++) {
            struct stackless frame = { .time = WEFT_MS(1 + i % LONGEST) };
            weft_task *task = weft_spawn_stackless(stackless, &frame);
            MUST(task ? 0 : -ENOMEM);
            weft_detach(task);
        }
        bench_countdown_wait(&countdown);
    }
    return NULL;
}

void sleep_many_stackless(const struct bench_config *config)
{
    bench_on_worker(config, stackless_root);
}
