/* test: valgrind */
/* The timer wheel, driven by hand: levels, order, cancelling, odd clocks, and a naive model. */
#include "harness.h"

#include "base/base.h"
#include "task/carrier.h"
#include "task/task.h"
#include "time/wheel.h"

/* Instants in the tests are ticks; a wheel wants ns. */
static uint64_t ns(uint64_t tick)
{
    return tick << WEFT__TICK_SHIFT;
}

/* A timer with a task that waits for it; the task stands for any fired waiter. */
struct alarm {
    struct weft__timer timer;
    struct weft_task task;
    uint64_t deadline; /* ns */
};

static struct weft__wheel wheel;

/* Stands in for the worker whose wheel weft__timer_arm takes. */
static struct weft__carrier carrier = { .wheel = &wheel };

static void start(uint64_t tick)
{
    weft__thread()->carrier = &carrier;
    weft__wheel_init(&wheel, ns(tick));
}

static void arm(struct alarm *alarm, uint64_t deadline)
{
    alarm->deadline = deadline;
    alarm->timer.link.next = NULL;
    weft__wait_begin(&alarm->task.waiter, 0);
    weft__timer_arm(&alarm->timer, &alarm->task.waiter, deadline);
    /* Off its stack, so that a firing puts it on the list. */
    weft__store(&alarm->task.waiter.word, WEFT__PARKED, relaxed);
}

static bool is_fired(const struct alarm *alarm)
{
    uint32_t word = weft__load(&alarm->task.waiter.word, relaxed);
    return word == (WEFT__FIRED | WEFT__WHY_TIMER << WEFT__CODE_SHIFT);
}

static struct alarm *alarm_of(struct weft_task *task)
{
    return weft__container(task, struct alarm, task);
}

/* Moves the clock; how many fired. */
static int expire_at(uint64_t now)
{
    struct weft__wake_list list = { 0 };
    int count = 0;
    weft__wheel_expire(&wheel, now, &list);
    for (struct weft_task *task = list.first; task; task = task->next, count++) {
        assert_true(is_fired(alarm_of(task)));
        assert_true(alarm_of(task)->deadline <= now); /* never early */
    }
    return count;
}

static void assert_empty(void)
{
    assert_true(weft__wheel_next(&wheel) == UINT64_MAX);
    assert_true(weft__wheel_is_empty(&wheel));
    for (int level = 0; level < WEFT__WHEEL_LEVELS; level++) {
        assert_true(wheel.occupied[level] == 0);
        for (int slot = 0; slot < WEFT__WHEEL_SLOTS; slot++)
            assert_true(weft__list_is_empty(&wheel.slots[level][slot]));
    }
}

static const uint64_t origins[] = { 0,
                                    1,
                                    63,
                                    64,
                                    65,
                                    4095,
                                    4096,
                                    4097,
                                    99999,
                                    262143,
                                    1 << 24,
                                    UINT64_C(1) << 36,
                                    (UINT64_C(1) << 42) - 1,
                                    (UINT64_C(1) << 42) + 12345 };
static const uint64_t distances[] = { 1,
                                      2,
                                      62,
                                      63,
                                      64,
                                      65,
                                      127,
                                      128,
                                      4095,
                                      4096,
                                      4097,
                                      8191,
                                      262143,
                                      262144,
                                      262145,
                                      16777215,
                                      16777216,
                                      16777217,
                                      (1 << 30) - 1,
                                      1 << 30,
                                      (1 << 30) + 1 };
enum {
    ORIGINS = sizeof origins / sizeof origins[0],
    DISTANCES = sizeof distances / sizeof distances[0]
};

/* parity 3.4 levels: boundary values; 10.11 rounding: never early, and not late by a tick */
static void test_level_boundaries(void **state)
{
    (void)state;
    for (int i = 0; i < ORIGINS; i++)
        for (int k = 0; k < DISTANCES; k++) {
            struct alarm alarm = { .task.waiter.kind = WEFT__FIBER };
            uint64_t due = origins[i] + distances[k];
            start(origins[i]);
            arm(&alarm, ns(due));
            assert_true(weft__wheel_next(&wheel) <= ns(due));
            assert_int_equal(expire_at(ns(due) - 1), 0);
            assert_true(weft__wheel_next(&wheel) == ns(due));
            assert_true(weft__wheel_is_due(&wheel, ns(due)));
            assert_int_equal(expire_at(ns(due)), 1);
            assert_empty();
        }
}

/* The same, by following weft__wheel_next: a sleeper wakes at most once a level */
static void test_following_next(void **state)
{
    (void)state;
    for (int i = 0; i < ORIGINS; i++)
        for (int k = 0; k < DISTANCES; k++) {
            struct alarm alarm = { .task.waiter.kind = WEFT__FIBER };
            uint64_t due = origins[i] + distances[k];
            int looks = 0;
            start(origins[i]);
            arm(&alarm, ns(due));
            while (!is_fired(&alarm)) {
                uint64_t next = weft__wheel_next(&wheel);
                assert_true(next <= ns(due));
                expire_at(next);
                assert_in_range(++looks, 1, WEFT__WHEEL_LEVELS + 1);
            }
            assert_true(wheel.elapsed == due);
            assert_empty();
        }
}

/* Deadlines within a tick are rounded up to the next one */
static void test_rounding(void **state)
{
    (void)state;
    for (uint64_t part = 1; part < ns(1); part += 1000) {
        struct alarm alarm = { .task.waiter.kind = WEFT__FIBER };
        start(1000);
        arm(&alarm, ns(1005) + part);
        assert_int_equal(expire_at(ns(1005) + part), 0);
        assert_int_equal(expire_at(ns(1006) - 1), 0);
        assert_int_equal(expire_at(ns(1006)), 1);
    }
}

/* parity 10.11 overdue: as soon as can be */
static void test_overdue(void **state)
{
    (void)state;
    for (int i = 0; i < ORIGINS; i++) {
        struct alarm now = { .task.waiter.kind = WEFT__FIBER }, past = now, zero = now;
        start(origins[i]);
        arm(&now, ns(origins[i]));
        arm(&past, ns(origins[i] / 2));
        arm(&zero, 0);
        assert_true(weft__wheel_next(&wheel) <= ns(origins[i] + 1));
        assert_int_equal(expire_at(ns(origins[i] + 1)), 3);
        assert_empty();
    }
}

/* parity 3.4 range: ten years, a century, for ever */
static void test_far_future(void **state)
{
    (void)state;
    const uint64_t year = UINT64_C(31556952) * 1000000000;
    const uint64_t deadlines[] = { 2 * year,   3 * year,       10 * year,
                                   100 * year, UINT64_MAX - 1, UINT64_MAX };
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 6; k++) {
            struct alarm alarm = { .task.waiter.kind = WEFT__FIBER };
            int looks = 0;
            start(origins[i]);
            arm(&alarm, deadlines[k]);
            while (!is_fired(&alarm)) {
                uint64_t next = weft__wheel_next(&wheel);
                if (deadlines[k] >= UINT64_MAX - 1 && next == UINT64_MAX)
                    break; /* the end of time */
                assert_true(next < UINT64_MAX);
                expire_at(next);
                assert_in_range(++looks, 1, 400);
            }
            if (deadlines[k] < UINT64_MAX - 1) {
                assert_true(ns(wheel.elapsed) >= deadlines[k]);
                assert_true(ns(wheel.elapsed) < deadlines[k] + 2 * ns(1));
                assert_empty();
            }
        }
    }
}

/* parity 3.4 firing order: deadlines first, then oldest insert first */
static void test_order(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static struct alarm alarms[COUNT];
    start(10);
    for (int i = 0; i < COUNT; i++) {
        alarms[i] = (struct alarm){ .task.waiter.kind = WEFT__FIBER };
        arm(&alarms[i], ns(20 + (uint64_t)(i * 37 % 10)));
    }
    struct weft__wake_list list = { 0 };
    weft__wheel_expire(&wheel, ns(1000), &list);
    int count = 0;
    struct alarm *last = NULL;
    for (struct weft_task *task = list.first; task; task = task->next, count++) {
        struct alarm *alarm = alarm_of(task);
        if (last)
            assert_true(last->deadline < alarm->deadline ||
                        (last->deadline == alarm->deadline && last < alarm));
        last = alarm;
    }
    assert_int_equal(count, COUNT);
    assert_empty();
}

/* parity 3.4 occupancy; 10.11 cancel: the last one out of a slot clears its bit */
static void test_disarm(void **state)
{
    (void)state;
    for (int i = 0; i < ORIGINS; i++)
        for (int k = 0; k < DISTANCES; k++) {
            struct alarm a = { .task.waiter.kind = WEFT__FIBER }, b = a, c = a;
            uint64_t due = ns(origins[i] + distances[k]);
            start(origins[i]);
            arm(&a, due);
            arm(&b, due);
            arm(&c, due);
            weft__timer_disarm(&b.timer);
            weft__timer_disarm(&b.timer); /* twice does nothing */
            weft__timer_disarm(&a.timer);
            assert_true(weft__wheel_next(&wheel) <= due);
            weft__timer_disarm(&c.timer);
            assert_empty();
            assert_int_equal(expire_at(due), 0);
            assert_false(is_fired(&a) || is_fired(&b) || is_fired(&c));

            arm(&a, due + ns(5));
            assert_int_equal(expire_at(due + ns(5)), 1);
            weft__timer_disarm(&a.timer); /* after it fired */
            assert_empty();
        }
}

/* parity 3.4 clock going backwards: changes nothing */
static void test_clock_goes_back(void **state)
{
    (void)state;
    struct alarm a = { .task.waiter.kind = WEFT__FIBER }, b = a;
    start(5000);
    arm(&a, ns(5100));
    assert_int_equal(expire_at(ns(5050)), 0);
    assert_int_equal(expire_at(ns(100)), 0);
    assert_int_equal(expire_at(0), 0);
    assert_true(wheel.elapsed == 5050);
    arm(&b, ns(5060));
    assert_int_equal(expire_at(ns(5059)), 0);
    assert_int_equal(expire_at(ns(5060)), 1);
    assert_int_equal(expire_at(ns(5100)), 1);
    assert_empty();
}

/* Who was fired by something else meanwhile stays with that */
static void test_loser_is_not_listed(void **state)
{
    (void)state;
    struct alarm a = { .task.waiter.kind = WEFT__FIBER };
    struct weft__wake_list list = { 0 };
    start(0);
    arm(&a, ns(10));
    assert_true(weft__wait_fire(&a.task.waiter, WEFT__WHY_CANCEL, &list));
    uint64_t fired = weft__load(&wheel.fired, relaxed);
    assert_int_equal(expire_at(ns(10)), 0);
    assert_true(weft__load(&wheel.fired, relaxed) == fired);
    assert_empty();
}

/* ---- against a list that is searched from end to end ---- */

enum { MODEL = 64 };

/* parity 3.4: random arming, cancelling and clock steps of all sizes */
static void test_against_a_model(void **state)
{
    (void)state;
    static struct alarm alarms[MODEL];
    static bool armed[MODEL];
    uint64_t random = 20240607;
    long rounds = test_scale(200000, 20000);
    uint64_t now = ns(123456789);

    start(123456789);
    memset(armed, 0, sizeof armed);
    for (long round = 0; round < rounds; round++) {
        int i = (int)weft__random_below(&random, MODEL);
        switch (weft__random_below(&random, 4)) {
        case 0:
        case 1: /* arm, near or far */
            if (!armed[i]) {
                unsigned bits = weft__random_below(&random, 44);
                uint64_t delta = (((uint64_t)weft__random(&random) << 32) | weft__random(&random)) &
                                 ((UINT64_C(1) << (bits + 10)) - 1);
                alarms[i] = (struct alarm){ .task.waiter.kind = WEFT__FIBER };
                arm(&alarms[i], now + delta);
                armed[i] = true;
            }
            break;
        case 2:
            if (armed[i]) {
                weft__timer_disarm(&alarms[i].timer);
                armed[i] = false;
            }
            break;
        default: { /* the clock moves: a little, or right to what is next */
            uint64_t next = weft__wheel_next(&wheel);
            bool any = false;
            for (int k = 0; k < MODEL; k++)
                any |= armed[k];
            assert_true(any == (next != UINT64_MAX));
            unsigned bits = 10 + weft__random_below(&random, 20);
            uint64_t step = weft__random(&random) & ((UINT64_C(1) << bits) - 1);
            now = weft__random_below(&random, 2) && any && next > now ? next : now + step;
            expire_at(now);
            for (int k = 0; k < MODEL; k++) {
                if (!armed[k])
                    continue;
                /* Rounded up to a tick, at least one ahead of the time of arming. */
                bool must = alarms[k].timer.tick <= now >> WEFT__TICK_SHIFT &&
                            alarms[k].deadline + ns(1) <= now;
                if (must)
                    assert_true(is_fired(&alarms[k]));
                if (is_fired(&alarms[k])) {
                    assert_true(alarms[k].deadline <= now);
                    armed[k] = false;
                }
            }
        }
        }
    }
    for (int k = 0; k < MODEL; k++)
        if (armed[k])
            weft__timer_disarm(&alarms[k].timer);
    assert_empty();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_boundaries),
        cmocka_unit_test(test_following_next),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_far_future),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_disarm),
        cmocka_unit_test(test_clock_goes_back),
        cmocka_unit_test(test_loser_is_not_listed),
        cmocka_unit_test(test_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
