/* test: valgrind */
/* The ring of a worker, and chains: order, wrap-around, overflow, stealing. */
#include "harness.h"

#include <pthread.h>
#include <sched.h>

#include "scheduler/queue.h"
#include "task/task.h"

enum { SIZE = WEFT__RING_SIZE };

static struct weft_task tasks[2 * SIZE];

/* Where the counters start: at zero, in the middle, and right before they wrap. */
static const uint32_t starts[] = { 0, 100, UINT32_MAX - SIZE + 1, UINT32_MAX - 3, UINT32_MAX };
enum { STARTS = sizeof starts / sizeof starts[0] };

static struct weft__ring *ring_at(struct weft__ring *ring, uint32_t start)
{
    memset(ring, 0, sizeof *ring);
    weft__store(&ring->head, start, relaxed);
    weft__store(&ring->tail, start, relaxed);
    return ring;
}

static void push(struct weft__ring *ring, int from, int count)
{
    for (int i = from; i < from + count; i++)
        assert_true(weft__ring_push(ring, &tasks[i]));
}

static void expect_pops(struct weft__ring *ring, int from, int count)
{
    for (int i = from; i < from + count; i++)
        assert_ptr_equal(weft__ring_pop(ring), &tasks[i]);
}

/* parity 10.1 owner pop: FIFO; index layout: 32-bit wrap */
static void test_push_and_pop(void **state)
{
    (void)state;
    for (int i = 0; i < STARTS; i++) {
        struct weft__ring ring;
        ring_at(&ring, starts[i]);
        assert_null(weft__ring_pop(&ring));
        for (int round = 0; round < 5; round++) {
            push(&ring, 0, 100);
            assert_int_equal(weft__ring_length(&ring), 100);
            expect_pops(&ring, 0, 50);
            push(&ring, 100, 30);
            expect_pops(&ring, 50, 80);
            assert_int_equal(weft__ring_length(&ring), 0);
            assert_null(weft__ring_pop(&ring));
        }
    }
}

/* parity 10.1 local queue capacity: the 257th does not fit */
static void test_full(void **state)
{
    (void)state;
    for (int i = 0; i < STARTS; i++) {
        struct weft__ring ring;
        ring_at(&ring, starts[i]);
        push(&ring, 0, SIZE);
        assert_false(weft__ring_push(&ring, &tasks[SIZE]));
        assert_int_equal(weft__ring_length(&ring), SIZE);
        assert_ptr_equal(weft__ring_pop(&ring), &tasks[0]);
        assert_true(weft__ring_push(&ring, &tasks[SIZE]));
        assert_false(weft__ring_push(&ring, &tasks[SIZE + 1]));
        expect_pops(&ring, 1, SIZE);
    }
}

/* parity 10.1 overflow: the older half stays, the younger one goes out, in order */
static void test_overflow(void **state)
{
    (void)state;
    for (int i = 0; i < STARTS; i++) {
        struct weft__ring ring;
        struct weft__chain chain = { 0 };
        ring_at(&ring, starts[i]);
        push(&ring, 0, SIZE);
        assert_true(weft__ring_overflow(&ring, &chain));
        assert_int_equal(chain.count, SIZE / 2);
        assert_int_equal(weft__ring_length(&ring), SIZE / 2);
        push(&ring, SIZE, 10);
        for (int k = SIZE / 2; k < SIZE; k++)
            assert_ptr_equal(weft__chain_take(&chain), &tasks[k]);
        assert_null(weft__chain_take(&chain));
        assert_int_equal(chain.count, 0);
        expect_pops(&ring, 0, SIZE / 2);
        expect_pops(&ring, SIZE, 10);
        assert_null(weft__ring_pop(&ring));
    }
}

/* parity 10.1 overflow, thief active: not when somebody has made room */
static void test_overflow_refused(void **state)
{
    (void)state;
    struct weft__ring ring;
    struct weft__chain chain = { 0 };
    ring_at(&ring, 7);
    push(&ring, 0, SIZE);
    assert_ptr_equal(weft__ring_pop(&ring), &tasks[0]);
    assert_false(weft__ring_overflow(&ring, &chain));
    assert_int_equal(chain.count, 0);
    assert_true(weft__ring_push(&ring, &tasks[SIZE]));
    expect_pops(&ring, 1, SIZE);
}

/* parity 10.1 steal amount: half, rounded up; the youngest stolen is run, the others are queued */
static void test_steal(void **state)
{
    (void)state;
    static const int lengths[] = { 1, 2, 3, 4, 5, 100, 255, 256 };
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (int i = 0; i < STARTS; i++)
            for (int j = 0; j < STARTS; j++) {
                struct weft__ring victim, own;
                int length = lengths[k], half = length - length / 2;
                uint32_t moved = 0;
                ring_at(&victim, starts[i]);
                ring_at(&own, starts[j]);
                push(&victim, 0, length);
                assert_ptr_equal(weft__ring_steal(&victim, &own, &moved), &tasks[half - 1]);
                assert_int_equal(moved, half);
                assert_int_equal(weft__ring_length(&own), half - 1);
                expect_pops(&own, 0, half - 1);
                expect_pops(&victim, half, length - half);
                assert_null(weft__ring_pop(&victim));
                assert_null(weft__ring_pop(&own));
            }
}

/* parity 10.1: nothing to steal */
static void test_steal_nothing(void **state)
{
    (void)state;
    struct weft__ring victim, own;
    uint32_t moved = 77;
    ring_at(&victim, UINT32_MAX);
    ring_at(&own, 5);
    assert_null(weft__ring_steal(&victim, &own, &moved));
    assert_int_equal(weft__ring_length(&own), 0);
}

static void test_chains(void **state)
{
    (void)state;
    struct weft__chain chain = { 0 }, more = { 0 };

    assert_null(weft__chain_take(&chain));
    weft__chain_join(&chain, &more);
    assert_int_equal(chain.count, 0);
    for (int i = 0; i < 3; i++)
        weft__chain_append(&more, &tasks[i]);
    weft__chain_join(&chain, &more); /* to an empty one */
    assert_int_equal(more.count, 0);
    assert_null(weft__chain_take(&more));
    for (int i = 3; i < 6; i++)
        weft__chain_append(&more, &tasks[i]);
    weft__chain_join(&chain, &more);
    weft__chain_join(&chain, &more); /* nothing more */
    assert_int_equal(chain.count, 6);
    for (int i = 0; i < 6; i++)
        assert_ptr_equal(weft__chain_take(&chain), &tasks[i]);
    assert_null(weft__chain_take(&chain));
    weft__chain_append(&chain, &tasks[9]); /* after it was emptied */
    assert_ptr_equal(weft__chain_take(&chain), &tasks[9]);
    assert_int_equal(chain.count, 0);
}

/* ---- all at once ---- */

enum { THIEVES = 3, ITEMS = 4000 };

static struct weft_task *items;
static _Atomic int taken[ITEMS];
static _Atomic bool finished;
static struct weft__ring shared;

static void take(struct weft_task *task)
{
    weft__add(&taken[task - items], 1, relaxed);
}

static void *thief(void *arg)
{
    struct weft__ring own;
    uint32_t moved;
    (void)arg;
    ring_at(&own, UINT32_MAX - 9);
    for (;;) {
        bool last = weft__load(&finished, acquire);
        struct weft_task *task = weft__ring_steal(&shared, &own, &moved);
        if (!task && last)
            return NULL;
        if (!task)
            sched_yield();
        for (; task; task = weft__ring_pop(&own))
            take(task);
    }
}

static void own_it(int count, uint64_t *random)
{
    for (int i = 0; i < count; i++) {
        struct weft_task *task = &items[i];
        while (!weft__ring_push(&shared, task)) {
            struct weft__chain chain = { 0 };
            if (weft__ring_overflow(&shared, &chain))
                for (struct weft_task *out; (out = weft__chain_take(&chain));)
                    take(out);
        }
        if (weft__random_below(random, 3) == 0) {
            task = weft__ring_pop(&shared);
            if (task)
                take(task);
        }
        if (weft__random_below(random, 100) == 0)
            sched_yield();
    }
    for (struct weft_task *task; (task = weft__ring_pop(&shared));)
        take(task);
}

/* parity 10.1 two-phase steal: pop, overflow and thieves at once, over the wrap of the counters */
static void test_everybody_once(void **state)
{
    (void)state;
    uint64_t random = 4711;
    int count = (int)test_scale(ITEMS, ITEMS / 4);
    int rounds = (int)test_scale(50, 5);

    items = calloc(ITEMS, sizeof *items);
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[THIEVES];
        for (int i = 0; i < count; i++)
            weft__store(&taken[i], 0, relaxed);
        weft__store(&finished, false, relaxed);
        ring_at(&shared, UINT32_MAX - (uint32_t)count / 2);
        for (int i = 0; i < THIEVES; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, thief, NULL), 0);
        own_it(count, &random);
        weft__store(&finished, true, release);
        for (int i = 0; i < THIEVES; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < count; i++)
            assert_int_equal(weft__load(&taken[i], relaxed), 1);
    }
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_and_pop), cmocka_unit_test(test_full),
        cmocka_unit_test(test_overflow),     cmocka_unit_test(test_overflow_refused),
        cmocka_unit_test(test_steal),        cmocka_unit_test(test_steal_nothing),
        cmocka_unit_test(test_chains),       cmocka_unit_test(test_everybody_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
