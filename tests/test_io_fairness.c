/* What is ready all the time must not keep others from running. */
#include "flavors.h"

enum { BYTES = 2000, BUDGET = 128 };

struct pair {
    weft_stream *ends[2];
};

static struct pair connected(void)
{
    struct pair pair;
    weft_listener *listener;
    char address[WEFT_ADDRESS_MAX];
    assert_int_equal(weft_tcp_listen("127.0.0.1:0", &listener), 0);
    assert_int_equal(weft_listener_local_address(listener, address, sizeof address), 0);
    assert_int_equal(weft_tcp_connect(address, &pair.ends[0]), 0);
    assert_int_equal(weft_accept(listener, &pair.ends[1]), 0);
    weft_listener_close(listener);
    return pair;
}

static atomic_long turns;
static atomic_bool over;

static void *count_turns(void *arg)
{
    while (!atomic_load(&over)) {
        atomic_fetch_add(&turns, 1);
        assert_int_equal(weft_yield(), 0);
    }
    return arg;
}

/* Bytes by ones: each read fills its buffer, so there is always more to read, and never to wait. */
static void *root_reader(void *arg)
{
    struct pair pair = connected();
    char bytes[BYTES] = { 0 };
    struct weft_metrics before;
    struct weft_metrics after;
    assert_int_equal(weft_write_all(pair.ends[0], bytes, sizeof bytes), BYTES);
    assert_int_equal(weft_shutdown_write(pair.ends[0]), 0);

    atomic_store(&over, false);
    weft_task *other = weft_spawn(count_turns, NULL);
    UNTIL(atomic_load(&turns) > 0);
    long began = atomic_load(&turns);
    assert_int_equal(weft_metrics_read(NULL, &before), 0);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(weft_read(pair.ends[1], bytes, 1), 1);
    assert_int_equal(weft_metrics_read(NULL, &after), 0);
    /* On one thread the other task ran each time the budget was spent. */
    assert_true(atomic_load(&turns) - began >= BYTES / BUDGET - 1);
    assert_true(after.forced_yields - before.forced_yields >= BYTES / BUDGET - 1);
    atomic_store(&over, true);
    assert_int_equal(weft_join(other, NULL), 0);
    weft_close(pair.ends[0]);
    weft_close(pair.ends[1]);
    return arg;
}

/* parity 2.4 what is budgeted: socket I/O; 10.10 budget: a descriptor always ready starves nobody */
static void test_ready_reads_yield(void **state)
{
    (void)state;
    everywhere(root_reader);
}

/* ---- a cancel reaches a task that never has to wait ---- */

static void *flood(void *arg)
{
    static const char bytes[65536];
    while (weft_write_all(arg, bytes, sizeof bytes) > 0)
        ;
    return NULL;
}

static atomic_long reads;

static void *drink(void *arg)
{
    char bytes[16];
    uint64_t deadline = weft_now() + WEFT_SEC(20);
    while (weft_read(arg, bytes, sizeof bytes) > 0 && weft_now() < deadline)
        atomic_fetch_add(&reads, 1);
    return NULL;
}

static void *root_cancelled_reader(void *arg)
{
    struct pair pair = connected();
    atomic_store(&reads, 0);
    weft_task *writer = weft_spawn(flood, pair.ends[0]);
    weft_task *reader = weft_spawn(drink, pair.ends[1]);
    UNTIL(atomic_load(&reads) > 2 * BUDGET);
    weft_abort(reader);
    assert_int_equal(weft_join(reader, NULL), -ECANCELED);
    weft_abort(writer);
    assert_int_equal(weft_join(writer, NULL), -ECANCELED);
    weft_close(pair.ends[0]);
    weft_close(pair.ends[1]);
    return arg;
}

/* parity 10.8 abort, running: a reader whose socket is always full ends at its next forced yield */
static void test_cancel_reaches_a_reader(void **state)
{
    (void)state;
    everywhere(root_cancelled_reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_reads_yield),
        cmocka_unit_test(test_cancel_reaches_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
