/* test: serial timeout=300 */
/*
 * Much at once, in random order. Whatever happens, each joiner is answered exactly once and nothing
 * is left behind: tasks, threads, descriptors.
 */
#include "flavors.h"

#include <pthread.h>

/* xorshift32; each user has its own. */
static unsigned next_random(unsigned *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void assert_only_me(void)
{
    struct weft_metrics metrics;
    UNTIL(weft_metrics_read(NULL, &metrics) == 0 && metrics.alive_tasks == 1);
}

static void *root_million(void *arg)
{
    enum { AT_ONCE = 100 };
    long rounds = test_scale(1000000, 20000) / AT_ONCE / FLAVORS;
    weft_task *tasks[AT_ONCE];
    for (long i = 0; i < rounds; i++) {
        for (int k = 0; k < AT_ONCE; k++)
            tasks[k] = weft_spawn(return_arg, number(i + k));
        for (int k = 0; k < AT_ONCE; k++) {
            void *result = NULL;
            assert_int_equal(weft_join(tasks[k], &result), 0);
            assert_ptr_equal(result, number(i + k));
        }
    }
    assert_only_me();
    return arg;
}

/* A million tasks that are spawned and joined */
static void test_million(void **state)
{
    (void)state;
    everywhere(root_million);
}

static atomic_long asleep, woken;

static void *sleep_long(void *arg)
{
    atomic_fetch_add(&asleep, 1);
    int rc = weft_sleep_until(*(uint64_t *)arg);
    assert_true(rc == 0 || rc == -ECANCELED);
    atomic_fetch_add(&woken, 1);
    return NULL;
}

static void *root_sleepers(void *arg)
{
    long count = test_scale(100000, 1000);
    weft_task **tasks = calloc((size_t)count, sizeof *tasks);
    uint64_t never = WEFT_FOREVER, soon = weft_now() + WEFT_MS(100);
    (void)arg;

    atomic_store(&asleep, 0);
    atomic_store(&woken, 0);
    for (long i = 0; i < count; i++)
        assert_non_null(tasks[i] = weft_spawn(sleep_long, i % 2 ? &never : &soon));
    UNTIL(atomic_load(&asleep) == count);
    long first_half = 0, cancelled = 0;
    for (long i = 0; i < count; i++) {
        if (i % 2)
            weft_abort(tasks[i]);
        int rc = weft_join(tasks[i], NULL);
        assert_int_equal(rc, i % 2 ? -ECANCELED : 0);
        cancelled += rc < 0;
        first_half += rc == 0;
    }
    assert_int_equal(first_half + cancelled, count);
    assert_int_equal(atomic_load(&woken), count);
    free(tasks);
    assert_only_me();
    return NULL;
}

/* 100 000 fibers asleep at once: half of them wake, half are aborted */
static void test_sleepers(void **state)
{
    (void)state;
    run_on(&flavors[1], root_sleepers, NULL);
    run_on(&flavors[3], root_sleepers, NULL);
}

/* ---- tasks that abort each other ---- */

enum { MOST = 10000 };

static weft_task *_Atomic crowd[MOST]; /* whose handle; each is taken by one joiner */
static atomic_long crowd_answers, crowd_size;
static atomic_int readers[MOST]; /* aborters that hold a pointer to it: it must not be joined yet */

static void abort_somebody(unsigned *random)
{
    unsigned i = next_random(random) % (unsigned)atomic_load(&crowd_size);
    atomic_fetch_add(&readers[i], 1);
    weft_abort(atomic_load(&crowd[i]));
    atomic_fetch_sub(&readers[i], 1);
}

static void join_somebody(unsigned *random)
{
    unsigned i = next_random(random) % (unsigned)atomic_load(&crowd_size);
    weft_task *task = atomic_exchange(&crowd[i], NULL);
    if (!task)
        return;
    while (atomic_load(&readers[i]))
        sched_yield();
    int rc = weft_join(task, NULL);
    if (rc == -EINTR || rc == -EDEADLK)
        atomic_store(&crowd[i], task); /* it stays ours to give */
    else if (rc == 0 || rc == -ECANCELED)
        atomic_fetch_add(&crowd_answers, 1);
    else
        fail_msg("join gave %d", rc);
}

struct brief {
    WEFT_FRAME;
    int left;
};

static int poll_brief(struct brief *self)
{
    WEFT_BEGIN(self);
    while (self->left-- > 0) {
        WEFT_YIELD(self);
        WEFT_AWAIT(self, WEFT_AFTER(WEFT_US(50)));
    }
    WEFT_END(self);
}

static void *live_wildly(void *arg)
{
    unsigned random = (unsigned)(intptr_t)arg * 2654435761u + 1;
    for (int i = 0; i < 20; i++) {
        switch (next_random(&random) % 8) {
        case 0: (void)weft_sleep(WEFT_US(next_random(&random) % 300)); break;
        case 1:
        case 2: (void)weft_yield(); break;
        case 3: {
            weft_task *child = weft_spawn(return_arg, arg);
            if (next_random(&random) % 2)
                weft_abort(child);
            int rc = weft_join(child, NULL);
            if (rc == -EINTR)
                weft_detach(child);
            break;
        }
        case 4: (void)!weft_go(return_arg, arg); break;
        case 5: abort_somebody(&random); break;
        case 6: {
            weft_task *child = weft_spawn_stackless(poll_brief, &(struct brief){ .left = 2 });
            if (next_random(&random) % 2)
                weft_abort(child);
            weft_detach(child);
            break;
        }
        default:
            if (next_random(&random) % 16 == 0)
                abort_somebody(&random);
            break;
        }
    }
    return NULL;
}

/* Takes each place of the crowd in turn: a joiner that races with nobody for the handle. */
static void *root_crowd(void *arg)
{
    long count = test_scale(MOST, 500);
    unsigned random = 12345;

    atomic_store(&crowd_answers, 0);
    atomic_store(&crowd_size, count);
    for (long i = 0; i < count; i++)
        atomic_store(&crowd[i], NULL);
    for (long i = 0; i < count; i++)
        atomic_store(&crowd[i], weft_spawn(live_wildly, number(i)));
    for (long i = 0; i < count / 10; i++)
        join_somebody(&random);
    for (long i = 0; i < count; i++) {
        weft_task *task = atomic_exchange(&crowd[i], NULL);
        if (!task)
            continue;
        /* No fiber holds readers over a suspension, but its thread may be off the CPU. */
        while (atomic_load(&readers[i]))
            sched_yield();
        int rc = weft_join(task, NULL);
        assert_true(rc == 0 || rc == -ECANCELED);
        atomic_fetch_add(&crowd_answers, 1);
    }
    assert_int_equal(atomic_load(&crowd_answers), count);
    assert_only_me();
    return arg;
}

/* 10 000 tasks abort each other while they sleep, yield, join, spawn */
static void test_crowd(void **state)
{
    (void)state;
    everywhere(root_crowd);
}

/* ---- foreign threads ---- */

struct foreigner {
    weft_handle *handle;
    pthread_t thread;
    unsigned random;
    atomic_bool *over;
    atomic_bool done;
};

static void *nap(void *arg)
{
    (void)weft_sleep(WEFT_US((long)(intptr_t)arg));
    return arg;
}

static void *be_foreign(void *arg)
{
    struct foreigner *self = arg;
    long rounds = test_scale(2000, 100);
    for (long i = 0; i < rounds && !(self->over && atomic_load(self->over)); i++) {
        weft_task *task = weft_handle_spawn(self->handle, i % 3 ? nap : live_wildly,
                                            number(next_random(&self->random) % 200));
        assert_non_null(task);
        switch (next_random(&self->random) % 4) {
        case 0: weft_detach(task); continue;
        case 1:
        case 2: weft_abort(task); break;
        default: break;
        }
        int rc = weft_join(task, NULL);
        assert_true(rc == 0 || rc == -ECANCELED);
    }
    atomic_store(&self->done, true);
    return NULL;
}

static void *root_foreigners(void *arg)
{
    enum { THREADS = 4 };
    struct foreigner foreigners[THREADS] = { 0 };
    atomic_store(&crowd_size, 1);
    for (int i = 0; i < THREADS; i++) {
        foreigners[i].handle = weft_handle_current();
        foreigners[i].random = 777u + (unsigned)i;
        assert_int_equal(pthread_create(&foreigners[i].thread, NULL, be_foreign, &foreigners[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++) {
        while (!atomic_load(&foreigners[i].done))
            assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
        pthread_join(foreigners[i].thread, NULL);
        weft_handle_free(foreigners[i].handle);
    }
    assert_only_me();
    return arg;
}

/* Threads outside spawn, abort, join and detach */
static void test_foreign_threads(void **state)
{
    (void)state;
    everywhere(root_foreigners);
}

/* ---- the end in the middle of it ---- */

static void *multiply(void *arg)
{
    long depth = (long)(intptr_t)arg;
    unsigned random = (unsigned)depth * 99991u + 17;
    for (int i = 0; i < 3 && depth > 0; i++)
        (void)!weft_go(multiply, number(depth - 1));
    if (next_random(&random) % 2)
        (void)weft_sleep(WEFT_US(next_random(&random) % 2000));
    else
        (void)weft_yield();
    weft_task *task = weft_spawn(nap, number(100));
    int rc = weft_join(task, NULL);
    if (rc == -EINTR)
        weft_detach(task);
    return NULL;
}

static void *root_middle(void *arg)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_go(multiply, number(5)), 0);
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        (void)weft_yield();
    return NULL;
}

/* The runtime is freed while tasks and foreign threads are at it */
static void test_end_in_the_middle(void **state)
{
    (void)state;
    int threads = threads_alive(), descriptors = descriptors_open();
    long rounds = test_scale(80, 12);
    for (long i = 0; i < rounds; i++) {
        struct foreigner foreigners[2] = { 0 };
        atomic_bool over = false;
        weft_runtime *runtime = NULL;
        atomic_store(&crowd_size, 1);
        assert_int_equal(weft_runtime_new(&flavors[i % FLAVORS], &runtime), 0);
        bool foreign = flavors[i % FLAVORS].flavor == WEFT_MULTI_THREAD;
        for (int k = 0; k < 2 && foreign; k++) {
            foreigners[k].handle = weft_runtime_handle(runtime);
            foreigners[k].random = (unsigned)(i * 2 + k + 1);
            foreigners[k].over = &over;
            assert_int_equal(
                pthread_create(&foreigners[k].thread, NULL, be_foreign, &foreigners[k]), 0);
        }
        assert_int_equal(weft_block_on(runtime, root_middle, number(i * 7 % 200), NULL), 0);
        assert_int_equal(weft_runtime_free(runtime), 0);
        atomic_store(&over, true);
        for (int k = 0; k < 2 && foreign; k++) {
            pthread_join(foreigners[k].thread, NULL);
            weft_handle_free(foreigners[k].handle);
        }
    }
    assert_nothing_left(threads, descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_sleepers),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_foreign_threads),
        cmocka_unit_test(test_end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
