/* test: valgrind */
/* The wait protocol: however many compete, one wins, and the waiter becomes runnable once. */
#include "harness.h"

#include <pthread.h>
#include <sched.h>

#include <weft/time.h>

#include "platform/barrier.h"
#include "task/task.h"
#include "task/wait.h"

static uint32_t word_of(const struct weft__waiter *waiter)
{
    return weft__load(&waiter->word, relaxed);
}

/* wait.h: who is not waiting cannot be fired */
static void test_not_waiting(void **state)
{
    (void)state;
    struct weft_task task = { .waiter.kind = WEFT__FIBER };
    struct weft__wake_list list = { 0 };

    assert_false(weft__wait_fire(&task.waiter, WEFT__WHY_SOURCE, &list));
    assert_false(weft__wait_fire(&task.waiter, WEFT__WHY_CANCEL, &list));
    assert_int_equal(word_of(&task.waiter), WEFT__RUNNING);
    weft__wait_begin(&task.waiter, 0);
    weft__wait_end(&task.waiter);
    assert_false(weft__wait_fire(&task.waiter, WEFT__WHY_SOURCE, &list));
    assert_null(list.first);
}

/* wait.h 3: over ARMED the waiter requeues itself, over PARKED the winner has it on the list */
static void test_one_winner_one_hand(void **state)
{
    (void)state;
    static const uint32_t codes[] = { WEFT__WHY_SOURCE, WEFT__WHY_TIMER, WEFT__WHY_CANCEL,
                                      WEFT__WHY_GONE };
    for (int parked = 0; parked < 2; parked++)
        for (int i = 0; i < 4; i++) {
            struct weft_task task = { .waiter.kind = WEFT__FIBER };
            struct weft__wake_list list = { 0 };
            weft__wait_begin(&task.waiter, 0);
            if (parked)
                weft__store(&task.waiter.word, WEFT__PARKED, relaxed);
            assert_true(weft__wait_fire(&task.waiter, codes[i], &list));
            assert_int_equal(word_of(&task.waiter), WEFT__FIRED | codes[i] << WEFT__CODE_SHIFT);
            assert_ptr_equal(list.first, parked ? &task : NULL);
            assert_ptr_equal(list.last, list.first);
            for (int k = 0; k < 4; k++)
                assert_false(weft__wait_fire(&task.waiter, codes[k], &list));
            assert_int_equal(word_of(&task.waiter), WEFT__FIRED | codes[i] << WEFT__CODE_SHIFT);
            assert_ptr_equal(list.last, list.first);
        }
}

/* The list keeps the order of firing */
static void test_list_order(void **state)
{
    (void)state;
    static struct weft_task tasks[5];
    struct weft__wake_list list = { 0 };
    for (int i = 0; i < 5; i++) {
        tasks[i] = (struct weft_task){ .waiter.kind = WEFT__STACKLESS };
        weft__store(&tasks[i].waiter.word, WEFT__PARKED, relaxed);
        assert_true(weft__wait_fire(&tasks[i].waiter, WEFT__WHY_SOURCE, &list));
    }
    struct weft_task *task = list.first;
    for (int i = 0; i < 5; i++, task = task->next)
        assert_ptr_equal(task, &tasks[i]);
    assert_null(task);
}

/* wait.h: a shield keeps cancellation off, nobody else */
static void test_shield(void **state)
{
    (void)state;
    for (int parked = 0; parked < 2; parked++) {
        struct weft_task task = { .waiter.kind = WEFT__FIBER };
        struct weft__wake_list list = { 0 };
        weft__wait_begin(&task.waiter, WEFT__SHIELDED);
        if (parked)
            weft__store(&task.waiter.word, WEFT__SHIELDED | WEFT__PARKED, relaxed);
        assert_false(weft__wait_fire(&task.waiter, WEFT__WHY_CANCEL, &list));
        assert_true(weft__wait_fire(&task.waiter, WEFT__WHY_TIMER, &list));
        assert_int_equal(word_of(&task.waiter), WEFT__FIRED | WEFT__WHY_TIMER << WEFT__CODE_SHIFT);
    }
}

/* ---- threads that race ---- */

enum { FIRERS = 3, ROUNDS = 20000 };

static struct weft_task raced;
static _Atomic uint32_t round_now; /* the round that the firers may fire in */
static _Atomic uint32_t done_with; /* firers that are through with it */
static _Atomic int wins[FIRERS];
static _Atomic int listed;

static uint32_t rounds_wanted(void)
{
    return (uint32_t)test_scale(ROUNDS, ROUNDS / 10);
}

static void *fire_each_round(void *arg)
{
    uint32_t code = (uint32_t)(intptr_t)arg;
    for (uint32_t round = 1; round <= rounds_wanted(); round++) {
        while (weft__load(&round_now, acquire) < round)
            sched_yield();
        struct weft__wake_list list = { 0 };
        if (weft__wait_fire(&raced.waiter, code, &list))
            weft__add(&wins[code], 1, relaxed);
        if (list.first)
            weft__add(&listed, 1, relaxed);
        weft__add(&done_with, 1, release);
    }
    return NULL;
}

/* wait.h 2 and 3: timer, source and cancel against each other and against the way out */
static void test_fire_races_park(void **state)
{
    (void)state;
    pthread_t threads[FIRERS];
    raced = (struct weft_task){ .waiter.kind = WEFT__FIBER };
    weft__store(&round_now, 0, relaxed);
    for (intptr_t i = 0; i < FIRERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fire_each_round, (void *)i), 0);
    for (uint32_t round = 1; round <= rounds_wanted(); round++) {
        for (int i = 0; i < FIRERS; i++)
            weft__store(&wins[i], 0, relaxed);
        weft__store(&listed, 0, relaxed);
        weft__store(&done_with, 0, relaxed);
        weft__wait_begin(&raced.waiter, 0);
        weft__store(&round_now, round, release);
        for (uint32_t i = 0; i < round % 50; i++) /* the way out has many lengths */
            weft__pause();
        /* As in weft__park_finish. */
        uint32_t word = WEFT__ARMED;
        bool parked = weft__cas(&raced.waiter.word, &word, WEFT__PARKED, seq_cst, acquire);
        while (weft__load(&done_with, acquire) < FIRERS)
            sched_yield();
        word = word_of(&raced.waiter);
        assert_int_equal(word & WEFT__PHASE, WEFT__FIRED);
        for (uint32_t i = 0; i < FIRERS; i++)
            assert_int_equal(weft__load(&wins[i], relaxed), i == word >> WEFT__CODE_SHIFT);
        /* Either we have to requeue it, or exactly one of them has it on a list. */
        assert_int_equal(weft__load(&listed, relaxed), parked);
        weft__wait_end(&raced.waiter);
    }
    for (int i = 0; i < FIRERS; i++)
        pthread_join(threads[i], NULL);
}

/* A waiter of a plain thread, on its stack. */
struct thread_wait {
    struct weft__waiter *waiter; /* under the lock; NULL: gone */
    struct weft__lock lock;
    _Atomic bool stop;
    _Atomic int fired;
};

static void *fire_now_and_then(void *arg)
{
    struct thread_wait *wait = arg;
    while (!weft__load(&wait->stop, acquire)) {
        struct weft__wake_list list = { 0 };
        weft__lock(&wait->lock);
        if (wait->waiter && weft__wait_fire(wait->waiter, WEFT__WHY_SOURCE, &list)) {
            weft__add(&wait->fired, 1, relaxed);
            wait->waiter = NULL;
        }
        weft__unlock(&wait->lock);
        assert_null(list.first); /* threads are woken at once */
        sched_yield();
    }
    return NULL;
}

/* wait.h: a plain thread sleeps on the word; deadline and source compete */
static void test_thread_waits(void **state)
{
    (void)state;
    struct thread_wait wait = { 0 };
    pthread_t thread;
    int by_source = 0, rounds = (int)test_scale(3000, 300);

    assert_int_equal(pthread_create(&thread, NULL, fire_now_and_then, &wait), 0);
    for (int i = 0; i < rounds; i++) {
        struct weft__waiter self = { .kind = WEFT__THREAD };
        uint64_t deadline = i % 3 ? weft_now() + (uint64_t)(i % 40) * 500 : UINT64_MAX;
        weft__wait_begin(&self, 0);
        weft__lock(&wait.lock);
        wait.waiter = &self;
        weft__unlock(&wait.lock);
        uint32_t code = weft__wait_park(&self, deadline);
        weft__lock(&wait.lock);
        bool taken = wait.waiter == NULL;
        wait.waiter = NULL;
        weft__unlock(&wait.lock);
        assert_int_equal(word_of(&self), WEFT__RUNNING);
        assert_true(code == WEFT__WHY_SOURCE || code == WEFT__WHY_TIMER);
        assert_true(taken == (code == WEFT__WHY_SOURCE));
        assert_true(code == WEFT__WHY_SOURCE || weft_now() >= deadline);
        by_source += code == WEFT__WHY_SOURCE;
    }
    weft__store(&wait.stop, true, release);
    pthread_join(thread, NULL);
    assert_int_equal(weft__load(&wait.fired, relaxed), by_source);
    assert_true(by_source >= rounds / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_waiting),     cmocka_unit_test(test_one_winner_one_hand),
        cmocka_unit_test(test_list_order),      cmocka_unit_test(test_shield),
        cmocka_unit_test(test_fire_races_park), cmocka_unit_test(test_thread_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
