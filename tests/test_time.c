/* test: valgrind */
/* Sleeping: never early, in order, cancellable, and cheap in great numbers. */
#include "flavors.h"

static void *root_never_early(void *arg)
{
    /* Around the wheel's tick of 16384 ns and its first levels. */
    static const uint64_t durations[] = { 1,      100,     1000,    16383,   16384,   16385,  32768,
                                          100000, 1000000, 1048576, 1048577, 1100000, 2000000 };
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        uint64_t before = weft_now();
        assert_int_equal(weft_sleep(durations[i]), 0);
        assert_true(weft_now() - before >= durations[i]);

        uint64_t deadline = weft_now() + durations[i];
        assert_int_equal(weft_sleep_until(deadline), 0);
        assert_true(weft_now() >= deadline);
    }
    return arg;
}

/* parity 3.2 sleep, sleep_until; 10.11 rounding: never early */
static void test_never_early(void **state)
{
    (void)state;
    everywhere(root_never_early);
}

static void *root_late(void *arg)
{
    /* On a machine with others on it one round may be late; not each of them. */
    uint64_t best = WEFT_FOREVER;
    for (int i = 0; i < 20 && best > WEFT_MS(1); i++) {
        uint64_t deadline = weft_now() + WEFT_MS(2);
        assert_int_equal(weft_sleep_until(deadline), 0);
        uint64_t late = weft_now() - deadline;
        best = late < best ? late : best;
    }
    assert_in_range(best, 0, WEFT_MS(20));
    return arg;
}

/* DESIGN 6: fired soon on an idle machine */
static void test_not_late(void **state)
{
    (void)state;
    everywhere(root_late);
}

static void *root_zero(void *arg)
{
    assert_int_equal(weft_sleep(0), 0);
    assert_int_equal(weft_sleep_until(0), 0);
    assert_int_equal(weft_sleep_until(1), 0);
    assert_int_equal(weft_sleep_until(weft_now()), 0);
    return arg;
}

static atomic_int witness;

static void *count_witness(void *arg)
{
    atomic_fetch_add(&witness, 1);
    return arg;
}

static void *root_zero_yields(void *arg)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&witness, 0);
        weft_task *task = weft_spawn(count_witness, NULL);
        assert_int_equal(i ? weft_sleep_until(1) : weft_sleep(0), 0);
        assert_int_equal(atomic_load(&witness), 1); /* the slot's or queue's task went first */
        expect(task, 0, NULL);
    }
    return arg;
}

/* parity 3.2 sleep: d = 0 and past deadlines let others run once */
static void test_nothing_to_wait_for(void **state)
{
    (void)state;
    everywhere(root_zero);
    everywhere(root_zero_yields);
}

static void *sleep_arg(void *arg)
{
    return number(weft_sleep_until(*(uint64_t *)arg));
}

static void *root_cancel(void *arg)
{
    static const uint64_t far[] = { UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2,
                                    WEFT_SEC(UINT64_C(315360000)) /* ten years of uptime */ };
    uint64_t hour = weft_now() + WEFT_SEC(3600);

    for (int i = 0; i < 5; i++) {
        uint64_t deadline = i < 4 ? far[i] : hour;
        weft_task *task = weft_spawn(sleep_arg, &deadline);
        for (int k = 0; k < 5 * i; k++)
            weft_yield();
        assert_false(weft_task_is_finished(task));
        weft_abort(task);
        assert_int_equal(weft_join(task, NULL), -ECANCELED);
    }
    return arg;
}

/* parity 3.2 drop; 10.11 cancel; durations that overflow mean for ever */
static void test_cancelled_while_asleep(void **state)
{
    (void)state;
    everywhere(root_cancel);
}

/* parity 3.2: no suspension outside a task */
static void test_outside(void **state)
{
    (void)state;
    assert_int_equal(weft_sleep(1), -EPERM);
    assert_int_equal(weft_sleep(0), -EPERM);
    assert_int_equal(weft_sleep_until(0), -EPERM);
    assert_int_equal(weft_sleep_until(WEFT_FOREVER), -EPERM);
    assert_true(weft_now() > 0);
    assert_true(weft_after(WEFT_FOREVER - 1, 5) == WEFT_FOREVER);
    assert_true(weft_after(5, WEFT_FOREVER) == WEFT_FOREVER);
    assert_true(weft_after(WEFT_FOREVER, WEFT_FOREVER) == WEFT_FOREVER);
    assert_true(weft_after(WEFT_FOREVER - 5, 5) == WEFT_FOREVER);
    assert_true(weft_after(3, 4) == 7);
}

struct sleeper {
    uint64_t deadline;
    uint64_t woke;
    int place; /* in the order of waking */
};

static atomic_int places;

static void *sleep_in_order(void *arg)
{
    struct sleeper *sleeper = arg;
    assert_int_equal(weft_sleep_until(sleeper->deadline), 0);
    sleeper->woke = weft_now();
    sleeper->place = atomic_fetch_add(&places, 1);
    return NULL;
}

static void *root_order(void *arg)
{
    enum { COUNT = 40 };
    struct sleeper sleepers[COUNT];
    weft_task *tasks[COUNT];
    uint64_t first = weft_now() + WEFT_MS(3);

    atomic_store(&places, 0);
    for (int i = 0; i < COUNT; i++) {
        /* Every third of the ticks, armed in a shuffled order. */
        int rank = i * 17 % COUNT;
        sleepers[i] = (struct sleeper){ .deadline = first + (uint64_t)rank * 3 * 16384 };
        tasks[i] = weft_spawn(sleep_in_order, &sleepers[i]);
    }
    for (int i = 0; i < COUNT; i++)
        expect(tasks[i], 0, NULL);
    for (int i = 0; i < COUNT; i++) {
        assert_true(sleepers[i].woke >= sleepers[i].deadline);
        if (is_single()) /* one wheel, one queue: the order is that of the deadlines */
            assert_int_equal(sleepers[i].place, i * 17 % COUNT);
    }
    return arg;
}

/* parity 10.11 firing; 3.4 order */
static void test_wake_in_order(void **state)
{
    (void)state;
    everywhere(root_order);
}

static void *root_same_tick(void *arg)
{
    enum { COUNT = 30 };
    struct sleeper sleepers[COUNT];
    weft_task *tasks[COUNT];
    uint64_t deadline = weft_now() + WEFT_MS(3);

    atomic_store(&places, 0);
    for (int i = 0; i < COUNT; i++) {
        sleepers[i] = (struct sleeper){ .deadline = deadline };
        tasks[i] = weft_spawn(sleep_in_order, &sleepers[i]);
        weft_yield(); /* it is armed */
    }
    for (int i = 0; i < COUNT; i++)
        expect(tasks[i], 0, NULL);
    for (int i = 0; i < COUNT && is_single(); i++)
        assert_int_equal(sleepers[i].place, i);
    return arg;
}

/* parity 3.4 firing order: oldest insert first */
static void test_one_slot_is_fifo(void **state)
{
    (void)state;
    everywhere(root_same_tick);
}

static void *root_many(void *arg)
{
    long count = test_scale(10000, 500);
    weft_task **tasks = calloc((size_t)count, sizeof *tasks);
    struct sleeper *sleepers = calloc((size_t)count, sizeof *sleepers);
    struct weft_metrics metrics;

    uint64_t now = weft_now();
    for (long i = 0; i < count; i++) {
        sleepers[i].deadline = now + WEFT_MS(1) + (uint64_t)(i * 7919 % 50000) * 1000;
        tasks[i] = weft_spawn(sleep_in_order, &sleepers[i]);
    }
    for (long i = 0; i < count; i++) {
        expect(tasks[i], 0, NULL);
        assert_true(sleepers[i].woke >= sleepers[i].deadline);
    }
    assert_int_equal(weft_metrics_read(NULL, &metrics), 0);
    assert_in_range(metrics.timers_fired, 0, count); /* late comers had nothing to wait for */
    UNTIL(weft_sleep(WEFT_US(100)) == 0 && weft_metrics_read(NULL, &metrics) == 0 &&
          metrics.timers_fired > 0);
    free(sleepers);
    free(tasks);
    return arg;
}

/* 10 000 sleepers, each woken once, none early */
static void test_many_sleepers(void **state)
{
    (void)state;
    everywhere(root_many);
}

static atomic_bool busy_may_stop;

static void *keep_busy(void *arg)
{
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    while (!atomic_load(&busy_may_stop) && weft_now() < deadline)
        weft_yield();
    return arg;
}

static void *root_busy(void *arg)
{
    weft_task *tasks[8];

    atomic_store(&busy_may_stop, false);
    for (int i = 0; i < 8; i++)
        tasks[i] = weft_spawn(keep_busy, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(weft_sleep(WEFT_US(300)), 0);
    atomic_store(&busy_may_stop, true);
    for (int i = 0; i < 8; i++)
        expect(tasks[i], 0, NULL);
    return arg;
}

/* parity 10.2 maintenance: timers are served under full load */
static void test_timers_under_load(void **state)
{
    (void)state;
    everywhere(root_busy);
}

static void *race_the_timer(void *arg)
{
    int rc = weft_sleep(WEFT_US((long)(intptr_t)arg));
    assert_true(rc == 0 || rc == -ECANCELED);
    return number(rc);
}

static void *root_cancel_race(void *arg)
{
    long rounds = test_scale(300, 50);
    for (long i = 0; i < rounds; i++) {
        weft_task *task = weft_spawn(race_the_timer, number(10 + i % 60));
        uint64_t until = weft_now() + WEFT_US(i % 90);
        while (weft_now() < until)
            weft_yield();
        weft_abort(task);
        void *result = NULL;
        int rc = weft_join(task, &result);
        /* What the sleep said is what the join says, unless it never ran. */
        if (result)
            assert_int_equal(rc, (int)(intptr_t)result);
        else
            assert_true(rc == 0 || rc == -ECANCELED);
    }
    return arg;
}

/* parity 3.2 drop concurrent with firing: exactly one of the two */
static void test_cancel_races_the_timer(void **state)
{
    (void)state;
    everywhere(root_cancel_race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_early),
        cmocka_unit_test(test_not_late),
        cmocka_unit_test(test_nothing_to_wait_for),
        cmocka_unit_test(test_cancelled_while_asleep),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_wake_in_order),
        cmocka_unit_test(test_one_slot_is_fifo),
        cmocka_unit_test(test_many_sleepers),
        cmocka_unit_test(test_timers_under_load),
        cmocka_unit_test(test_cancel_races_the_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
