/* test: serial */
/* What runs when and where: slot, queues, stealing, sleeping and waking, the budget. */
#include "flavors.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void join_all(weft_task **tasks, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(weft_join(tasks[i], NULL), 0);
}

static struct weft_metrics metrics_now(void)
{
    struct weft_metrics metrics;
    assert_int_equal(weft_metrics_read(NULL, &metrics), 0);
    return metrics;
}

/* A log of who ran, in order. */
static atomic_int log_length;
static int log_entries[10000];

static void *log_me(void *arg)
{
    log_entries[atomic_fetch_add(&log_length, 1)] = (int)(intptr_t)arg;
    return NULL;
}

static void expect_log(const int *expected, int count)
{
    assert_int_equal(atomic_load(&log_length), count);
    for (int i = 0; i < count; i++)
        assert_int_equal(log_entries[i], expected[i]);
}

/* ---- the slot ---- */

static void *root_slot_order(void *arg)
{
    static const int with_slot[] = { 4, 1, 2, 3 }, without[] = { 1, 2, 3, 4 };
    bool slot = flavor->flavor == WEFT_MULTI_THREAD && !flavor->disable_lifo_slot;
    weft_task *tasks[4];

    atomic_store(&log_length, 0);
    for (int i = 0; i < 4; i++)
        tasks[i] = weft_spawn(log_me, number(i + 1));
    join_all(tasks, 4);
    expect_log(slot ? with_slot : without, 4);
    return arg;
}

/* parity 10.2 LIFO slot: the latest first, who was there goes to the tail; 10.6: none there */
static void test_slot_order(void **state)
{
    (void)state;
    static const struct weft_config configs[] = {
        { .worker_threads = 1 },
        { .worker_threads = 1, .disable_lifo_slot = true },
        { .flavor = WEFT_CURRENT_THREAD },
    };
    for (int i = 0; i < 3; i++)
        run_on(&configs[i], root_slot_order, NULL);
}

struct chain {
    int left;
    int longest; /* links that ran without the third between them */
    int since_third;
    bool third_done;
    weft_task *_Atomic last;
};

static void *chain_link(void *arg)
{
    struct chain *chain = arg;
    if (++chain->since_third > chain->longest)
        chain->longest = chain->since_third;
    if (--chain->left > 0)
        assert_int_equal(weft_go(chain_link, chain), 0);
    return NULL;
}

static void *third(void *arg)
{
    struct chain *chain = arg;
    while (chain->left > 0) {
        chain->since_third = 0;
        assert_int_equal(weft_yield(), 0);
    }
    chain->third_done = true;
    return NULL;
}

static void *root_slot_cap(void *arg)
{
    struct chain chain = { .left = 1000 };
    weft_task *other = weft_spawn(third, &chain);
    assert_int_equal(weft_go(chain_link, &chain), 0); /* displaces it to the queue */
    join_all(&other, 1);
    assert_true(chain.third_done);
    /* Three from the slot, then one from the queue's tail; a little more at the start. */
    assert_in_range(chain.longest, 1, 6);
    return arg;
}

static void *ping_pong(void *arg)
{
    struct chain *chain = arg;
    /* Each round wakes two tasks through the slot: the child, then us by its end. */
    while (chain->left-- > 0) {
        if (++chain->since_third > chain->longest)
            chain->longest = chain->since_third;
        weft_task *child = weft_spawn(return_arg, NULL);
        join_all(&child, 1);
    }
    return NULL;
}

static void *root_ping_pong(void *arg)
{
    struct chain chain = { .left = 1000 };
    weft_task *other = weft_spawn(third, &chain);
    weft_task *pair = weft_spawn(ping_pong, &chain);
    join_all(&pair, 1);
    chain.left = 0;
    join_all(&other, 1);
    assert_in_range(chain.longest, 1, 6);
    return arg;
}

/* parity 10.2 LIFO cap: two tasks that wake each other do not starve a third */
static void test_slot_cap(void **state)
{
    (void)state;
    run_on(&flavors[0], root_slot_cap, NULL);
    run_on(&flavors[0], root_ping_pong, NULL);
    run_on(&flavors[3], root_ping_pong, NULL);
}

static void *log_and_yield(void *arg)
{
    for (int i = 0; i < 100; i++) {
        log_me(arg);
        assert_int_equal(weft_yield(), 0);
    }
    return NULL;
}

static void *root_alternate(void *arg)
{
    weft_task *tasks[3];
    atomic_store(&log_length, 0);
    for (int i = 0; i < 3; i++)
        tasks[i] = weft_spawn(log_and_yield, number(i));
    join_all(tasks, 3);
    assert_int_equal(atomic_load(&log_length), 300);
    for (int i = 3; i < 300; i++)
        assert_int_equal(log_entries[i], log_entries[i - 3]); /* always the same round */
    return arg;
}

/* parity 10.2 self-wake goes to the tail: yielding tasks take turns */
static void test_yielding_tasks_alternate(void **state)
{
    (void)state;
    run_on(&flavors[0], root_alternate, NULL);
    run_on(&flavors[3], root_alternate, NULL);
}

/* ---- queues ---- */

static atomic_int runs[2000];

static void *count_run(void *arg)
{
    atomic_fetch_add(&runs[(intptr_t)arg], 1);
    return NULL;
}

static void *root_overflow(void *arg)
{
    enum { COUNT = 2000 };
    static weft_task *tasks[COUNT];
    uint64_t overflows = metrics_now().overflows;

    for (int i = 0; i < COUNT; i++) {
        atomic_store(&runs[i], 0);
        tasks[i] = weft_spawn(count_run, number(i));
    }
    if (flavor->flavor == WEFT_MULTI_THREAD && flavor->worker_threads == 1)
        /* One in the slot, 256 fit; each overflow takes out half and the new one. */
        assert_int_equal(metrics_now().overflows - overflows, (COUNT - 1 - 256 + 128) / 129);
    join_all(tasks, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(atomic_load(&runs[i]), 1);
    return arg;
}

/* parity 10.1 overflow to the global queue: each task runs exactly once */
static void test_overflow(void **state)
{
    (void)state;
    everywhere(root_overflow);
}

struct remote {
    weft_handle *handle;
    pthread_t thread;
    atomic_bool arrived;
    atomic_bool pushed;
    atomic_int yields;
};

static void *arrive(void *arg)
{
    struct remote *remote = arg;
    atomic_store(&remote->arrived, true);
    return NULL;
}

static void *push_remote(void *arg)
{
    struct remote *remote = arg;
    weft_task *task = weft_handle_spawn(remote->handle, arrive, remote);
    atomic_store(&remote->pushed, true);
    weft_detach(task);
    return NULL;
}

static void *yield_until_arrived(void *arg)
{
    struct remote *remote = arg;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    while (!atomic_load(&remote->arrived) && weft_now() < deadline) {
        if (atomic_load(&remote->pushed))
            atomic_fetch_add(&remote->yields, 1);
        assert_int_equal(weft_yield(), 0);
    }
    assert_true(atomic_load(&remote->arrived));
    return NULL;
}

static void *root_remote(void *arg)
{
    struct remote remote = { .handle = weft_handle_current() };
    weft_task *busy[20];

    for (int i = 0; i < 20; i++)
        busy[i] = weft_spawn(yield_until_arrived, &remote);
    assert_int_equal(pthread_create(&remote.thread, NULL, push_remote, &remote), 0);
    join_all(busy, 20);
    pthread_join(remote.thread, NULL);
    /* At most an interval of ticks until it is taken, then the queue before it. */
    if (is_single())
        assert_in_range(atomic_load(&remote.yields), 0, 31 + 61 + 21);
    weft_handle_free(remote.handle);
    return arg;
}

/* parity 10.1 global-tick take; 10.6 remote queue: a busy local queue does not starve it */
static void test_remote_is_not_starved(void **state)
{
    (void)state;
    everywhere(root_remote);
}

static void *root_local_not_starved(void *arg)
{
    /* The other way round: much in the inject queue, and a task that yields. */
    enum { COUNT = 3000 };
    static weft_task *tasks[COUNT];
    for (int i = 0; i < COUNT; i++)
        tasks[i] = weft_spawn(return_arg, NULL);
    int yields = 0;
    for (int i = 0; i < COUNT; i += !!weft_task_is_finished(tasks[i])) {
        if (weft_task_is_finished(tasks[i]))
            continue;
        assert_int_equal(weft_yield(), 0);
        assert_in_range(++yields, 1, 100000000);
    }
    join_all(tasks, COUNT);
    if (flavor->flavor == WEFT_MULTI_THREAD) /* else there is one queue for all */
        assert_true(yields > 1);
    return arg;
}

/* parity 10.1: neither queue starves the other */
static void test_local_is_not_starved(void **state)
{
    (void)state;
    run_on(&flavors[0], root_local_not_starved, NULL);
    run_on(&flavors[3], root_local_not_starved, NULL);
}

/* ---- waking ---- */

static void *root_one_spawn(void *arg)
{
    /* The wakes of our own start may still be under way: so one quiet round out of many will do. */
    uint64_t woken = 1;
    for (int round = 0; round < 50 && woken; round++) {
        uint64_t before = metrics_now().wakes;
        for (int i = 0; i < 1000; i++) {
            weft_task *task = weft_spawn(return_arg, NULL);
            join_all(&task, 1);
        }
        woken = metrics_now().wakes - before;
    }
    assert_int_equal(woken, 0);
    return arg;
}

/* parity 10.2 LIFO and worker wake-up; 10.3: one task spawned and joined wakes nobody */
static void test_one_spawn_wakes_nobody(void **state)
{
    (void)state;
    everywhere(root_one_spawn);
}

struct burst {
    _Atomic pid_t threads[8];
    atomic_uint distinct;
    unsigned wanted;
};

static void note_thread(struct burst *burst)
{
    pid_t self = gettid();
    for (int i = 0; i < 8; i++) {
        pid_t none = 0;
        if (atomic_load(&burst->threads[i]) == self)
            return;
        if (atomic_compare_exchange_strong(&burst->threads[i], &none, self)) {
            atomic_fetch_add(&burst->distinct, 1);
            return;
        }
        if (none == self)
            return;
    }
    fail_msg("more threads than workers");
}

static void *take_part(void *arg)
{
    struct burst *burst = arg;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    do {
        note_thread(burst);
        assert_int_equal(weft_yield(), 0);
        sched_yield();
    } while (atomic_load(&burst->distinct) < burst->wanted && weft_now() < deadline);
    assert_int_equal(atomic_load(&burst->distinct), burst->wanted);
    return NULL;
}

static void *root_burst(void *arg)
{
    struct burst burst = { .wanted = is_single() ? 1 : flavor->worker_threads };
    weft_task *tasks[100];

    for (int i = 0; i < 100; i++)
        tasks[i] = weft_spawn(take_part, &burst);
    join_all(tasks, 100);
    if (!is_single())
        assert_true(metrics_now().steals > 0);
    return arg;
}

/* parity 10.3 found work: the last searcher wakes one more, so a burst wakes all */
static void test_burst_wakes_all(void **state)
{
    (void)state;
    everywhere(root_burst);
}

static uint64_t cpu_time(void)
{
    struct timespec time;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *root_idle(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_MS(20)), 0); /* all lie down */
    struct weft_metrics before = metrics_now();
    uint64_t cpu = cpu_time();
    assert_int_equal(weft_sleep(WEFT_MS(150)), 0);
    cpu = cpu_time() - cpu;
    struct weft_metrics after = metrics_now();
    assert_in_range(cpu, 0, is_slow() ? WEFT_MS(75) : WEFT_MS(15));
    /* One for the sleep, a nap, and the odd turn of the wheel's upper levels. */
    assert_in_range(after.parks - before.parks, 1, 12);
    assert_in_range(after.polls - before.polls, 1, 2);
    return arg;
}

/* parity 10.3: an idle runtime does nothing */
static void test_idle(void **state)
{
    (void)state;
    everywhere(root_idle);
}

/* parity 10.3 token semantics: pushes from outside, one by one, are never lost */
struct poke {
    weft_handle *handle;
    atomic_int done;
    atomic_bool finished;
};

static void *be_poked(void *arg)
{
    struct poke *poke = arg;
    atomic_fetch_add(&poke->done, 1);
    return NULL;
}

static void *poke_one_by_one(void *arg)
{
    struct poke *poke = arg;
    int rounds = (int)test_scale(5000, 300);
    for (int i = 0; i < rounds; i++) {
        /* All go back to sleep in between, or are just about to. */
        weft_task *task = weft_handle_spawn(poke->handle, be_poked, poke);
        if (i % 2) {
            assert_int_equal(weft_join(task, NULL), 0);
        } else {
            weft_detach(task);
            UNTIL(atomic_load(&poke->done) == i + 1);
        }
    }
    atomic_store(&poke->finished, true);
    return NULL;
}

static void *root_pokes(void *arg)
{
    struct poke poke = { .handle = weft_handle_current() };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, poke_one_by_one, &poke), 0);
    while (!atomic_load(&poke.finished))
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    pthread_join(thread, NULL);
    weft_handle_free(poke.handle);
    return arg;
}

/* parity 10.3 last searcher parks, token semantics: the lost wake-up, looked for */
static void test_no_wake_is_lost(void **state)
{
    (void)state;
    everywhere(root_pokes);
}

/* ---- the budget ---- */

static atomic_bool witnessed;

static void *witness(void *arg)
{
    atomic_store(&witnessed, true);
    return arg;
}

static void *root_budget(void *arg)
{
    enum { COUNT = 400 };
    static weft_task *tasks[COUNT];
    for (int i = 0; i < COUNT; i++)
        tasks[i] = weft_spawn(return_arg, NULL);
    for (int i = 0; i < COUNT; i++)
        UNTIL(weft_task_is_finished(tasks[i]));
    uint64_t forced = metrics_now().forced_yields;
    atomic_store(&witnessed, false);
    assert_int_equal(weft_go(witness, NULL), 0);
    int joined = 0;
    while (joined < COUNT && !atomic_load(&witnessed))
        join_all(&tasks[joined++], 1); /* each is ready: nothing here would ever suspend */
    if (is_single())
        assert_in_range(joined, 1, 130);
    UNTIL(atomic_load(&witnessed)); /* another worker may have it, and no CPU just now */
    join_all(&tasks[joined], COUNT - joined);
    assert_in_range(metrics_now().forced_yields - forced, is_single() ? 1 : 0, 4);
    return arg;
}

/* parity 2.4 budget: an always-ready loop of joins lets others run */
static void test_budget(void **state)
{
    (void)state;
    everywhere(root_budget);
}

/* ---- fairness ---- */

static void *fair_share(void *arg)
{
    atomic_int *mine = arg;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    while (atomic_load(mine) < 500 && weft_now() < deadline) {
        atomic_fetch_add(mine, 1);
        assert_int_equal(weft_yield(), 0);
    }
    return NULL;
}

static void *root_fair(void *arg)
{
    enum { COUNT = 50 };
    weft_task *tasks[COUNT];
    atomic_int shares[COUNT] = { 0 };
    for (int i = 0; i < COUNT; i++)
        tasks[i] = weft_spawn(fair_share, &shares[i]);
    join_all(tasks, 1);
    /* When one of them has had all its turns the others have had nearly theirs, on one thread. */
    for (int i = 0; i < COUNT && is_single(); i++)
        assert_in_range(atomic_load(&shares[i]), 490, 500);
    join_all(tasks + 1, COUNT - 1);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(atomic_load(&shares[i]), 500);
    return arg;
}

/* parity 10.2 fairness promise */
static void test_fairness(void **state)
{
    (void)state;
    everywhere(root_fair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_order),
        cmocka_unit_test(test_slot_cap),
        cmocka_unit_test(test_yielding_tasks_alternate),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_remote_is_not_starved),
        cmocka_unit_test(test_local_is_not_starved),
        cmocka_unit_test(test_one_spawn_wakes_nobody),
        cmocka_unit_test(test_burst_wakes_all),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_no_wake_is_lost),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_fairness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
