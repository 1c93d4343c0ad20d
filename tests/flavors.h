/*
 * The four shapes of a runtime that every integration test runs on: multi-thread with one, two and
 * four workers, and current-thread.
 *
 *     static void *root(void *arg) { ... assertions ...; return NULL; }
 *     static void test_it(void **state) { (void)state; everywhere(root); }
 *
 * `flavor` is the config of the runtime that is running; `is_single()` tells whether it has only one
 * thread for tasks. After each run threads and descriptors are counted: none may be left behind.
 */
#ifndef WEFT_TESTS_FLAVORS_H
#define WEFT_TESTS_FLAVORS_H

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <weft.h>

#if defined(__SANITIZE_ADDRESS__)
#define BUILT_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#endif
#ifndef BUILT_WITH_ASAN
#define BUILT_WITH_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define BUILT_WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BUILT_WITH_TSAN 1
#endif
#endif
#ifndef BUILT_WITH_TSAN
#define BUILT_WITH_TSAN 0
#endif

#define UNUSED __attribute__((unused))

/* The config of the runtime that `everywhere` is running. */
UNUSED static const struct weft_config *flavor;

UNUSED static bool is_single(void)
{
    return flavor->flavor == WEFT_CURRENT_THREAD || flavor->worker_threads == 1;
}

/* What is slow here: sanitizers, valgrind, emulators. */
UNUSED static bool is_slow(void)
{
    return test_scale(0, 1) == 1;
}

/*
 * Waits until the condition holds, from a task or a plain thread, letting others run. Every wait in
 * the tests is bounded by this deadline.
 */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t until_ = weft_now() + WEFT_SEC(is_slow() ? 120 : 30);                             \
        while (!(condition)) {                                                                     \
            if (weft_now() > until_)                                                               \
                fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__, #condition);          \
            (void)weft_yield();                                                                    \
            sched_yield();                                                                         \
        }                                                                                          \
    } while (0)

/* Entries of a folder like /proc/self/fd. */
UNUSED static int entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

UNUSED static int threads_alive(void)
{
    return entries("/proc/self/task");
}

/* The descriptor of the listing itself is counted, too: always one more. */
UNUSED static int descriptors_open(void)
{
    return entries("/proc/self/fd");
}

#if BUILT_WITH_TSAN
static void *flavors_nothing(void *arg)
{
    return arg;
}

/* With the first thread that TSan sees starts one of its own; so that it is in every count: */
__attribute__((constructor)) static void flavors_start(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, flavors_nothing, NULL) == 0)
        pthread_join(thread, NULL);
}
#endif

/* A joined thread may still be listed for a moment. */
#define assert_nothing_left(threads, descriptors)                                                  \
    do {                                                                                           \
        UNTIL(threads_alive() <= (threads));                                                       \
        assert_int_equal(descriptors_open(), (descriptors));                                       \
    } while (0)

/* One runtime, one root task that returns NULL. */
UNUSED static void run_on(const struct weft_config *config, weft_task_fn *root, void *arg)
{
    int threads = threads_alive();
    int descriptors = descriptors_open();
    weft_runtime *runtime = NULL;
    void *result = &runtime;

    flavor = config;
    assert_int_equal(weft_runtime_new(config, &runtime), 0);
    assert_int_equal(weft_block_on(runtime, root, arg, &result), 0);
    assert_null(result);
    assert_int_equal(weft_runtime_free(runtime), 0);
    assert_nothing_left(threads, descriptors);
}

static const struct weft_config flavors[] = {
    { .worker_threads = 1 },
    { .worker_threads = 2 },
    { .worker_threads = 4 },
    { .flavor = WEFT_CURRENT_THREAD },
};
enum { FLAVORS = sizeof flavors / sizeof flavors[0] };

UNUSED static void everywhere_with(weft_task_fn *root, void *arg)
{
    for (int i = 0; i < FLAVORS; i++)
        run_on(&flavors[i], root, arg);
}

UNUSED static void everywhere(weft_task_fn *root)
{
    everywhere_with(root, NULL);
}

/* A small integer as a task's argument or result. */
UNUSED static void *number(long n)
{
    return (void *)(intptr_t)n;
}

/* ---- tasks that several files use ---- */

UNUSED static void *return_arg(void *arg)
{
    return arg;
}

UNUSED static void *sleep_for_ever(void *arg)
{
    (void)arg;
    return number(weft_sleep(WEFT_FOREVER));
}

/* Joins, and expects this code and this result. */
UNUSED static void expect(weft_task *task, int code, void *expected)
{
    void *result = &result;
    assert_int_equal(weft_join(task, &result), code);
    assert_ptr_equal(result, expected);
}

#endif
