/*
 * What a sleeping task weighs, as a fiber and as a stackless task: resident bytes per task with a
 * million of them (--quick: 100 000). One sample per process, since memory once touched stays. Page
 * tables are told separately.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weft_bench.h"

static atomic_size_t asleep;

static void *fiber(void *unused)
{
    atomic_fetch_add_explicit(&asleep, 1, memory_order_relaxed);
    (void)weft_sleep(WEFT_SEC(3600));
    return unused;
}

static int spawn_fiber(void)
{
    return weft_go(fiber, NULL);
}

struct stackless {
    WEFT_FRAME;
};

static int stackless(struct stackless *self)
{
    WEFT_BEGIN(self);
    atomic_fetch_add_explicit(&asleep, 1, memory_order_relaxed);
    WEFT_AWAIT(self, WEFT_AFTER(WEFT_SEC(3600)));
    WEFT_END(self);
}

static int spawn_stackless(void)
{
    struct stackless frame = { 0 };
    weft_task *task = weft_spawn_stackless(stackless, &frame);

    if (!task)
        return -ENOMEM;
    weft_detach(task);
    return 0;
}

struct memory {
    double resident, tables; /* bytes */
};

static struct memory memory_now(void)
{
    struct memory memory = { 0 };
    double kilobytes;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");

    MUST(status ? 0 : -ENOENT);
    while (fgets(line, sizeof line, status)) {
        if (sscanf(line, "VmRSS: %lf", &kilobytes) == 1)
            memory.resident = kilobytes * 1024;
        if (sscanf(line, "VmPTE: %lf", &kilobytes) == 1)
            memory.tables = kilobytes * 1024;
    }
    fclose(status);
    return memory;
}

static void measure(const struct bench_config *config, int (*spawn)(void))
{
    size_t tasks = config->quick ? 100000 : 1000000;
    struct memory before = memory_now();
    double cpu = bench_cpu(), count = (double)tasks;

    for (size_t i = 0; i < tasks; i++)
        MUST(spawn());
    while (atomic_load_explicit(&asleep, memory_order_relaxed) < tasks)
        MUST(weft_sleep(WEFT_MS(1)));
    MUST(weft_sleep(WEFT_MS(50)));

    struct memory after = memory_now();
    printf("%.1f %.2f\n", (after.resident - before.resident) / count, (bench_cpu() - cpu) / count);
    printf("# page_tables=%.1f\n", (after.tables - before.tables) / count);
    bench_print_metrics(NULL);
    fflush(stdout);
    _exit(0); /* without taking a million tasks down first */
}

static void *fiber_root(void *config)
{
    measure(config, spawn_fiber);
    return NULL;
}

static void *stackless_root(void *config)
{
    measure(config, spawn_stackless);
    return NULL;
}

void memory_sleeping(const struct bench_config *config)
{
    bench_on_worker(config, fiber_root);
}

void memory_sleeping_stackless(const struct bench_config *config)
{
    bench_on_worker(config, stackless_root);
}
