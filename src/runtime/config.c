/* Configuration: defaults, environment, and what is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/stack.h"
#include "platform/system.h"
#include "runtime/runtime.h"

enum {
    MAX_WORKERS = 1024,
    MAX_INTERVAL = 1 << 30,
    MAX_IO_EVENTS = 1 << 16,
    MIN_FIBER_STACK = 16 * 1024,
    DEFAULT_FIBER_STACK = 256 * 1024,
};
#define MAX_FIBER_STACK (UINT64_C(1) << 36)

/* The worker count that the environment asks for: 0 if it does not, or -EINVAL. */
static int workers_from_environment(void)
{
    const char *text = getenv("WEFT_WORKER_THREADS");
    if (!text)
        return 0;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    char *end;
    unsigned long count = strtoul(text, &end, 10); /* overflow gives ULONG_MAX */
    if (*end || count < 1 || count > MAX_WORKERS)
        return -EINVAL;
    return (int)count;
}

static int choose_workers(const struct weft_config *config, unsigned *out)
{
    if (config->flavor == WEFT_CURRENT_THREAD) {
        *out = 1;
        return 0;
    }
    if (config->worker_threads > MAX_WORKERS)
        return -EINVAL;
    if (config->worker_threads) {
        *out = config->worker_threads;
        return 0;
    }
    int wanted = workers_from_environment();
    if (wanted < 0)
        return wanted;
    unsigned cpus = weft__cpu_count();
    *out = wanted ? (unsigned)wanted : cpus < MAX_WORKERS ? cpus : MAX_WORKERS;
    return 0;
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value ? value : otherwise;
}

/* The caller's struct may be shorter than ours (older) or longer (newer); zero means default. */
static int copy_config(const struct weft_config *from, size_t size, struct weft_config *to)
{
    memset(to, 0, sizeof *to);
    if (!from)
        return 0;
    const char *bytes = (const char *)from;
    for (size_t i = sizeof *to; i < size; i++)
        if (bytes[i])
            return -EINVAL; /* asks for something that this library does not know */
    memcpy(to, from, size < sizeof *to ? size : sizeof *to);
    return 0;
}

static int check(const struct weft_config *config)
{
    bool fine =
        (config->flavor == WEFT_MULTI_THREAD || config->flavor == WEFT_CURRENT_THREAD) &&
        config->event_interval <= MAX_INTERVAL && config->global_queue_interval <= MAX_INTERVAL &&
        config->max_io_events <= MAX_IO_EVENTS && config->max_blocking_threads <= MAX_INTERVAL &&
        (!config->fiber_stack_size || config->fiber_stack_size >= MIN_FIBER_STACK) &&
        config->fiber_stack_size <= MAX_FIBER_STACK &&
        (!config->thread_stack_size || config->thread_stack_size >= MIN_FIBER_STACK);
    return fine ? 0 : -EINVAL;
}

int weft__settings_read(const struct weft_config *given, size_t size,
                        struct weft__settings *settings)
{
    struct weft_config config;
    int rc = copy_config(given, size, &config);
    if (rc == 0)
        rc = check(&config);
    unsigned workers = 1;
    if (rc == 0)
        rc = choose_workers(&config, &workers);
    if (rc < 0)
        return rc;

    bool single = config.flavor == WEFT_CURRENT_THREAD;
    size_t page = weft__page_size();
    size_t stack = config.fiber_stack_size ? config.fiber_stack_size : DEFAULT_FIBER_STACK;
    if (stack < 2 * page)
        stack = 2 * page; /* the guard is one page of it, and pages may be large */
    *settings = (struct weft__settings){
        .flavor = config.flavor,
        .scheduler =
            {
                .single = single,
                .disable_slot = single || config.disable_lifo_slot,
                .workers = workers,
                .event_interval = or_default(config.event_interval, 61),
                .inject_interval = or_default(config.global_queue_interval, 31),
                .fiber_stack_size = (stack + page - 1) / page * page,
                .thread_stack_size = config.thread_stack_size,
                .thread_name = config.thread_name ? config.thread_name : "weft",
                .seed = config.seed,
                .alternate_stacks = !config.disable_overflow_report,
            },
        .max_io_events = or_default(config.max_io_events, 1024),
        .max_blocking_threads = or_default(config.max_blocking_threads, 512),
        .thread_keep_alive =
            config.thread_keep_alive ? config.thread_keep_alive : UINT64_C(10000000000),
        .overflow_report = !config.disable_overflow_report,
    };
    return 0;
}
