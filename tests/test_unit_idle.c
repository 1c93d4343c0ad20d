/* test: valgrind */
/* The idle state by itself: who sleeps, who searches, whom a push wakes. No threads, no sleeping. */
#include "scheduler/scheduler.h"

#include "harness.h"

enum { WORKERS = 4 };

static struct weft__idle idle;
static struct weft__worker workers[WORKERS];

static void begin(unsigned count)
{
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = (struct weft__worker){ 0 };
    assert_int_equal(weft__idle_init(&idle, count), 0);
}

static void end(void)
{
    weft__idle_fini(&idle);
}

static bool has_token(unsigned i)
{
    return weft__load(&workers[i].bed, relaxed) == WEFT__BED_TOKEN;
}

/* parity 10.3 whom to wake, wake condition, woken worker counts as searching, found work */
static void test_whom_to_wake(void **state)
{
    (void)state;
    begin(3);
    assert_false(weft__idle_notify(&idle)); /* nobody sleeps */
    for (unsigned i = 0; i < 3; i++)
        weft__idle_lie_down(&idle, &workers[i]);
    assert_int_equal(weft__idle_sleepers(&idle), 3);

    assert_true(weft__idle_notify(&idle)); /* the one that lay down last */
    assert_true(has_token(2) && !has_token(1) && !has_token(0));
    assert_int_equal(weft__idle_sleepers(&idle), 2);
    assert_false(weft__idle_notify(&idle)); /* it searches: that is enough */

    weft__idle_get_up(&idle, &workers[2]);
    assert_true(workers[2].searching && workers[2].woken);
    weft__idle_end_search(&idle, &workers[2]); /* found: the last searcher wakes the next */
    assert_false(workers[2].searching);
    assert_true(has_token(1) && !has_token(0));
    weft__idle_get_up(&idle, &workers[1]);
    weft__idle_end_search(&idle, &workers[1]);
    assert_true(has_token(0));
    weft__idle_get_up(&idle, &workers[0]);
    weft__idle_end_search(&idle, &workers[0]);
    assert_int_equal(weft__load(&idle.summary, relaxed), 0);
    assert_false(weft__idle_notify(&idle));
    end();
}

/* parity 10.3 search limit: half of the workers, and of one the one */
static void test_search_limit(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= WORKERS; count++) {
        begin(count);
        unsigned searching = 0;
        for (unsigned i = 0; i < count; i++)
            searching += weft__idle_begin_search(&idle, &workers[i]);
        assert_int_equal(searching, (count + 1) / 2);
        end();
    }
}

/* parity 10.3 woken by I/O: up by itself, off the list, and no searcher; from any place on it */
static void test_up_by_itself(void **state)
{
    (void)state;
    for (unsigned who = 0; who < WORKERS; who++) {
        begin(WORKERS);
        for (unsigned i = 0; i < WORKERS; i++)
            weft__idle_lie_down(&idle, &workers[i]);
        weft__idle_get_up(&idle, &workers[who]);
        assert_false(workers[who].searching);
        assert_int_equal(weft__idle_sleepers(&idle), WORKERS - 1);
        for (unsigned woken = 0; woken < WORKERS - 1; woken++) { /* the others are still there */
            assert_true(weft__idle_notify(&idle));
            assert_false(has_token(who));
            for (unsigned i = 0; i < WORKERS; i++) {
                if (i != who && has_token(i) && !workers[i].woken) {
                    weft__idle_get_up(&idle, &workers[i]);
                    idle.searching--; /* it has nothing, and goes on: */
                    workers[i].searching = false;
                    weft__store(&idle.summary, (uint64_t)idle.sleeping << 32, relaxed);
                }
            }
        }
        assert_int_equal(weft__idle_sleepers(&idle), 0);
        end();
    }
}

/* parity 10.3 last searcher parks: it counts no more, and a push wakes somebody again */
static void test_searcher_lies_down(void **state)
{
    (void)state;
    begin(2);
    weft__idle_lie_down(&idle, &workers[0]);
    assert_true(weft__idle_begin_search(&idle, &workers[1]));
    assert_false(weft__idle_notify(&idle));
    weft__idle_lie_down(&idle, &workers[1]);
    assert_false(workers[1].searching);
    assert_true(weft__idle_notify(&idle));
    assert_true(has_token(1));
    end();
}

/* parity 10.3 park states: a token given before the sleep stays, and one is enough */
static void test_token(void **state)
{
    (void)state;
    begin(1);
    weft__idle_wake(&workers[0]);
    weft__idle_wake(&workers[0]);
    assert_true(has_token(0));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whom_to_wake), cmocka_unit_test(test_search_limit),
        cmocka_unit_test(test_up_by_itself), cmocka_unit_test(test_searcher_lies_down),
        cmocka_unit_test(test_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
