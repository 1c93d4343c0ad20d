/* test: valgrind timeout=120 */
/*
 * The pool for blocking calls: results, growth, limits, cancellation of queued and of running jobs,
 * the end.
 */
#include "flavors.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "blocking/blocking.h"

static struct weft__blocking *pool_new(unsigned max_threads, uint64_t keep_alive)
{
    struct weft__blocking_config config = { .max_threads = max_threads,
                                            .keep_alive = keep_alive,
                                            .name = "a-name-that-is-too-long" };
    struct weft__blocking *pool;
    assert_int_equal(weft__blocking_new(&config, &pool), 0);
    return pool;
}

/* Threads of the pool, by their name (which the kernel has cut). */
static int pool_threads(void)
{
    int count = 0;
    struct dirent *entry;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file) {
            count += fgets(name, sizeof name, file) && strcmp(name, "a-name-that-is-\n") == 0;
            fclose(file);
        }
    }
    closedir(dir);
    return count;
}

/* A thread that has been joined may be seen for a little while yet. */
static void await_no_threads(void)
{
    UNTIL(pool_threads() == 0);
}

/* A job that the test lets begin and end. */
struct gate {
    struct weft__blocking *pool;
    sem_t go;
    _Atomic int begun, done, dropped;
    pthread_t thread;
};

static void gate_init(struct gate *gate, struct weft__blocking *pool)
{
    memset(gate, 0, sizeof *gate);
    gate->pool = pool;
    sem_init(&gate->go, 0, 0);
}

static void gate_work(void *arg)
{
    struct gate *gate = arg;
    gate->thread = pthread_self();
    gate->begun++;
    while (sem_wait(&gate->go) < 0)
        ;
    gate->done++;
}

static void gate_drop(void *arg)
{
    ((struct gate *)arg)->dropped++;
}

static void *gate_task(void *arg)
{
    struct gate *gate = arg;
    return (void *)(intptr_t)weft__blocking_run(gate->pool, gate_work, gate_drop, gate);
}

static void wait_until(_Atomic int *value, int wanted)
{
    UNTIL(*value >= wanted);
}

static intptr_t joined(weft_task *task, int rc)
{
    void *result;
    assert_int_equal(weft_join(task, &result), rc);
    return (intptr_t)result;
}

/* ---- what it is for ---- */

static void add_one(void *arg)
{
    ++*(int *)arg;
}

static void never(void *arg)
{
    (void)arg;
    fail_msg("dropped");
}

static void *add_many(void *arg)
{
    int value = 0;
    long rounds = test_scale(1000, 100);
    for (int i = 0; i < rounds; i++) {
        assert_int_equal(weft__blocking_run(arg, add_one, never, &value), 0);
        assert_int_equal(value, i + 1);
    }
    return NULL;
}

static void *root_results(void *arg)
{
    struct weft__blocking *pool = pool_new(3, WEFT_SEC(10));
    weft_task *tasks[20];
    (void)arg;
    for (int i = 0; i < 20; i++)
        tasks[i] = weft_spawn(add_many, pool);
    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_join(tasks[i], NULL), 0);
    weft__blocking_free(pool);
    return NULL;
}

static void test_results(void **state)
{
    (void)state;
    everywhere(root_results);
}

static int begun_of(struct gate *gates, int count)
{
    int begun = 0;
    for (int i = 0; i < count; i++)
        begun += gates[i].begun;
    return begun;
}

static void *root_grows_to_the_limit(void *arg)
{
    enum { LIMIT = 4, JOBS = 10 };
    struct weft__blocking *pool = pool_new(LIMIT, WEFT_SEC(10));
    struct gate gates[JOBS];
    weft_task *tasks[JOBS];
    (void)arg;
    await_no_threads();
    for (int i = 0; i < JOBS; i++) {
        gate_init(&gates[i], pool);
        tasks[i] = weft_spawn(gate_task, &gates[i]);
    }
    UNTIL(begun_of(gates, JOBS) >= LIMIT);
    assert_int_equal(pool_threads(), LIMIT);
    for (int i = 0; i < JOBS; i++)
        sem_post(&gates[i].go);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(joined(tasks[i], 0), 0);
        assert_int_equal(gates[i].done, 1);
        assert_int_equal(gates[i].dropped, 0);
    }
    assert_int_equal(pool_threads(), LIMIT);
    weft__blocking_free(pool);
    await_no_threads();
    return NULL;
}

static void test_grows_to_the_limit(void **state)
{
    (void)state;
    everywhere(root_grows_to_the_limit);
}

static void note_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
}

/* An idle thread is used again; after its keep-alive it has gone, and the next job gets a new one */
static void *root_keep_alive(void *arg)
{
    struct weft__blocking *pool = pool_new(8, WEFT_MS(5));
    pthread_t thread;
    (void)arg;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(weft__blocking_run(pool, note_thread, never, &thread), 0);
        await_no_threads();
    }
    weft__blocking_free(pool);

    pool = pool_new(8, UINT64_MAX);
    pthread_t first;
    assert_int_equal(weft__blocking_run(pool, note_thread, never, &first), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(weft_sleep(WEFT_MS(1)),
                         0); /* time for it to become idle; else a second may start */
        assert_int_equal(weft__blocking_run(pool, note_thread, never, &thread), 0);
    }
    assert_in_range(pool_threads(), 1, 2);
    weft__blocking_free(pool);
    await_no_threads();
    return NULL;
}

static void test_keep_alive(void **state)
{
    (void)state;
    everywhere(root_keep_alive);
}

/* ---- cancellation ---- */

static void *root_cancel_running(void *arg)
{
    struct weft__blocking *pool = pool_new(1, WEFT_SEC(10));
    struct gate gate;
    (void)arg;
    gate_init(&gate, pool);
    weft_task *task = weft_spawn(gate_task, &gate);
    wait_until(&gate.begun, 1);
    weft_abort(task);
    assert_int_equal(joined(task, -ECANCELED), -ECANCELED); /* while the job still runs */
    assert_int_equal(gate.done, 0);
    assert_int_equal(gate.dropped, 0);
    sem_post(&gate.go);
    wait_until(&gate.dropped, 1);
    assert_int_equal(gate.done, 1);
    weft__blocking_free(pool);
    return NULL;
}

static void test_cancel_running(void **state)
{
    (void)state;
    everywhere(root_cancel_running);
}

static void *root_cancel_queued(void *arg)
{
    struct weft__blocking *pool = pool_new(1, WEFT_SEC(10));
    struct gate busy, queued;
    (void)arg;
    gate_init(&busy, pool);
    gate_init(&queued, pool);
    weft_task *first = weft_spawn(gate_task, &busy);
    wait_until(&busy.begun, 1);
    weft_task *second = weft_spawn(gate_task, &queued);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_yield(), 0);
    weft_abort(second);
    intptr_t result = joined(second, -ECANCELED);
    if (result == -ECANCELED) /* else it has never run: the machine is very busy */
        assert_int_equal(queued.dropped, 1);
    assert_int_equal(queued.begun, 0);
    sem_post(&busy.go);
    assert_int_equal(joined(first, 0), 0);
    weft__blocking_free(pool);
    assert_int_equal(queued.begun, 0);
    return NULL;
}

static void test_cancel_queued(void **state)
{
    (void)state;
    everywhere(root_cancel_queued);
}

struct race {
    struct weft__blocking *pool;
    _Atomic int worked, dropped, entered;
};

static void race_work(void *arg)
{
    ((struct race *)arg)->worked++;
}

static void race_drop(void *arg)
{
    ((struct race *)arg)->dropped++;
}

static void *race_task(void *arg)
{
    struct race *race = arg;
    race->entered++;
    return (void *)(intptr_t)weft__blocking_run(race->pool, race_work, race_drop, race);
}

/* Whatever wins, the argument is dropped exactly when the caller was told -ECANCELED. */
static void *root_cancel_races(void *arg)
{
    struct weft__blocking *pool = pool_new(2, WEFT_SEC(10));
    long rounds = test_scale(2000, 200);
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        struct race race = { .pool = pool };
        weft_task *task = weft_spawn(race_task, &race);
        for (long n = i % 8; n > 0; n--)
            assert_int_equal(weft_yield(), 0);
        weft_abort(task);
        void *result;
        int rc = weft_join(task, &result);
        if (!race.entered) {
            assert_int_equal(rc, -ECANCELED);
        } else if ((intptr_t)result == -ECANCELED) {
            assert_int_equal(rc, -ECANCELED);
            wait_until(&race.dropped, 1);
        } else {
            assert_int_equal((intptr_t)result, 0);
            assert_int_equal(rc, 0);
            assert_int_equal(race.worked, 1);
            assert_int_equal(race.dropped, 0);
        }
        assert_in_range(race.dropped, 0, 1);
    }
    weft__blocking_free(pool);
    return NULL;
}

static void test_cancel_races(void **state)
{
    (void)state;
    everywhere(root_cancel_races);
}

static void *already_cancelled(void *arg)
{
    struct gate *gate = arg;
    gate->begun++;
    while (weft_yield() == 0)
        ;
    int rc = weft__blocking_run(gate->pool, gate_work, gate_drop, gate);
    return (void *)(intptr_t)rc;
}

static void *root_cancelled_before(void *arg)
{
    struct weft__blocking *pool = pool_new(2, WEFT_SEC(10));
    struct gate gate;
    (void)arg;
    gate_init(&gate, pool);
    weft_task *task = weft_spawn(already_cancelled, &gate);
    wait_until(&gate.begun, 1);
    weft_abort(task);
    assert_int_equal(joined(task, -ECANCELED), -ECANCELED);
    assert_int_equal(gate.dropped, 1);
    assert_int_equal(gate.begun, 1);
    weft__blocking_free(pool);
    return NULL;
}

static void test_cancelled_before(void **state)
{
    (void)state;
    everywhere(root_cancelled_before);
}

/* ---- the end ---- */

/* free() waits for a job that was left behind, and for its drop. */
static void *post_later(void *arg)
{
    struct gate *gate = arg;
    assert_int_equal(gate->done, 0);
    sem_post(&gate->go);
    return NULL;
}

static void *root_free_waits(void *arg)
{
    struct weft__blocking *pool = pool_new(2, WEFT_SEC(10));
    struct gate gate;
    pthread_t thread;
    (void)arg;
    gate_init(&gate, pool);
    weft_task *task = weft_spawn(gate_task, &gate);
    wait_until(&gate.begun, 1);
    weft_abort(task);
    assert_int_equal(joined(task, -ECANCELED), -ECANCELED);
    assert_int_equal(pthread_create(&thread, NULL, post_later, &gate), 0);
    weft__blocking_free(pool);
    assert_int_equal(gate.done, 1);
    assert_int_equal(gate.dropped, 1);
    pthread_join(thread, NULL);
    return NULL;
}

static void test_free_waits(void **state)
{
    (void)state;
    everywhere(root_free_waits);
}

static void test_outside(void **state)
{
    int value = 0;
    (void)state;
    struct weft__blocking *pool = pool_new(2, 0);
    assert_int_equal(weft__blocking_run(pool, add_one, never, &value), -EPERM);
    assert_int_equal(value, 0);
    weft__blocking_free(pool);
    weft__blocking_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),          cmocka_unit_test(test_grows_to_the_limit),
        cmocka_unit_test(test_keep_alive),       cmocka_unit_test(test_cancel_running),
        cmocka_unit_test(test_cancel_queued),    cmocka_unit_test(test_cancel_races),
        cmocka_unit_test(test_cancelled_before), cmocka_unit_test(test_free_waits),
        cmocka_unit_test(test_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
