/* test: serial timeout=120 */
/*
 * The runtime as an object: configuration, several of them, block_on, handles, the end, failures of
 * the system, WEFT_MAIN, metrics.
 */
#include "flavors.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Runs `body` in a child process; its exit status. An assertion that fails there kills it. */
static int in_child(int (*body)(const void *), const void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(arg));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status))
        fail_msg("the child was killed by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* Opens a runtime, expecting this; ends it again if there is one. */
static void expect_new(const struct weft_config *config, int code)
{
    int threads = threads_alive(), descriptors = descriptors_open();
    weft_runtime *runtime = (weft_runtime *)&code;

    assert_int_equal(weft_runtime_new(config, &runtime), code);
    if (code == 0) {
        void *result = NULL;
        assert_int_equal(weft_block_on(runtime, return_arg, &code, &result), 0);
        assert_ptr_equal(result, &code);
        assert_int_equal(weft_runtime_free(runtime), 0);
    } else {
        assert_ptr_equal(runtime, &code); /* untouched on failure */
    }
    assert_nothing_left(threads, descriptors);
}

/* ---- configuration ---- */

/* parity 1.3 Builder: what each field refuses */
static void test_config_is_checked(void **state)
{
    (void)state;
    static const struct weft_config bad[] = {
        { .flavor = (enum weft_flavor)2 },
        { .flavor = (enum weft_flavor)99 },
        { .worker_threads = 1025 },
        { .worker_threads = (unsigned)-1 },
        { .fiber_stack_size = 1 },
        { .fiber_stack_size = 16 * 1024 - 1 },
        { .fiber_stack_size = ((size_t)1 << 36) + 1 },
        { .fiber_stack_size = (size_t)-1 },
        { .thread_stack_size = 1 },
        { .event_interval = (1 << 30) + 1 },
        { .global_queue_interval = (1 << 30) + 1 },
        { .max_io_events = (1 << 16) + 1 },
        { .max_blocking_threads = (1 << 30) + 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_new(&bad[i], -EINVAL);

    static const struct weft_config good[] = {
        { .worker_threads = 1 },
        { .worker_threads = 3, .fiber_stack_size = 16 * 1024 },
        { .worker_threads = 1, .fiber_stack_size = 100 * 1000 }, /* not a multiple of a page */
        { .worker_threads = 2, .thread_stack_size = 256 * 1024 },
        { .worker_threads = 2,
          .event_interval = 1,
          .global_queue_interval = 1,
          .max_io_events = 1 },
        { .worker_threads = 2, .event_interval = 1 << 30, .global_queue_interval = 1 << 30 },
        { .worker_threads = 1, .max_io_events = 1 << 16, .max_blocking_threads = 1 },
        { .worker_threads = 2, .disable_lifo_slot = true, .disable_overflow_report = true },
        { .worker_threads = 2, .seed = 1, .thread_keep_alive = 1 },
        { .flavor = WEFT_CURRENT_THREAD, .worker_threads = 5000 }, /* ignored there */
        { .flavor = WEFT_CURRENT_THREAD, .event_interval = 1, .global_queue_interval = 1 },
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect_new(&good[i], 0);
    expect_new(NULL, 0);
    assert_int_equal(weft_runtime_new(NULL, NULL), -EINVAL);
}

/* The struct is size-versioned: older callers have a shorter one, newer ones a longer */
static void test_config_sizes(void **state)
{
    (void)state;
    struct {
        struct weft_config config;
        char later[64];
    } longer = { .config.worker_threads = 1 };
    weft_runtime *runtime = NULL;

    assert_int_equal(weft_runtime_new_sized(&longer.config, sizeof longer, &runtime), 0);
    assert_int_equal(weft_runtime_free(runtime), 0);
    longer.later[63] = 1; /* asks for what this library does not know */
    assert_int_equal(weft_runtime_new_sized(&longer.config, sizeof longer, &runtime), -EINVAL);

    struct weft_config shorter = { .worker_threads = 1, .seed = 5 };
    shorter.max_io_events = 1 << 30; /* beyond the size given: not looked at */
    assert_int_equal(
        weft_runtime_new_sized(&shorter, offsetof(struct weft_config, thread_name), &runtime), 0);
    assert_int_equal(weft_runtime_free(runtime), 0);
    assert_int_equal(weft_runtime_new_sized(&shorter, 0, &runtime), 0);
    assert_int_equal(weft_runtime_free(runtime), 0);
}

struct environment {
    const char *variable;
    const char *value;
    struct weft_config config;
    int code;
    unsigned workers; /* 0: any */
};

static int check_environment(const void *arg)
{
    const struct environment *environment = arg;
    weft_runtime *runtime = NULL;
    struct weft_metrics metrics = { 0 };

    setenv(environment->variable, environment->value, 1);
    int rc = weft_runtime_new(&environment->config, &runtime);
    if (rc != environment->code)
        return 1;
    if (rc < 0)
        return runtime ? 2 : 0;
    weft_handle *handle = weft_runtime_handle(runtime);
    if (weft_metrics_read(handle, &metrics) < 0)
        return 3;
    weft_handle_free(handle);
    if (weft_runtime_free(runtime) < 0)
        return 4;
    return environment->workers && metrics.workers != environment->workers ? 5 : 0;
}

/* parity 1.3 worker_threads: env, explicit value beats it, ignored on current-thread; WEFT_DRIVER */
static void test_environment(void **state)
{
    (void)state;
    static const struct environment cases[] = {
        { "WEFT_WORKER_THREADS", "1", { 0 }, 0, 1 },
        { "WEFT_WORKER_THREADS", "3", { 0 }, 0, 3 },
        { "WEFT_WORKER_THREADS", "007", { 0 }, 0, 7 },
        { "WEFT_WORKER_THREADS", "3", { .worker_threads = 2 }, 0, 2 },
        { "WEFT_WORKER_THREADS", "", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "0", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "-1", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "+1", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", " 1", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "1 ", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "two", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "2x", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "0x2", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "1025", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "4294967297", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "99999999999999999999999", { 0 }, -EINVAL, 0 },
        { "WEFT_WORKER_THREADS", "nonsense", { .worker_threads = 2 }, 0, 2 },
        { "WEFT_WORKER_THREADS", "nonsense", { .flavor = WEFT_CURRENT_THREAD }, 0, 1 },
        { "WEFT_DRIVER", "epoll", { .worker_threads = 1 }, 0, 1 },
        { "WEFT_DRIVER", "auto", { .worker_threads = 1 }, 0, 1 },
        { "WEFT_DRIVER", "", { .worker_threads = 1 }, 0, 1 },
        { "WEFT_DRIVER", "kqueue", { .worker_threads = 1 }, -EINVAL, 0 },
        { "WEFT_DRIVER", "EPOLL", { .flavor = WEFT_CURRENT_THREAD }, -EINVAL, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = in_child(check_environment, &cases[i]);
        if (status)
            fail_msg("%s=%s: step %d failed", cases[i].variable, cases[i].value, status);
    }
}

static void *root_thread_names(void *arg)
{
    const char *expected = arg;
    int named = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!file)
            continue;
        if (fgets(name, sizeof name, file)) {
            name[strcspn(name, "\n")] = 0;
            named += strcmp(name, expected) == 0;
        }
        fclose(file);
    }
    closedir(dir);
    /* At least the one we run on: the others may only just be starting. */
    assert_in_range(named, 1, 2);
    return NULL;
}

/* parity 1.3 thread_name: one name for all, cut to what Linux takes */
static void test_thread_names(void **state)
{
    (void)state;
    struct weft_config config = { .worker_threads = 2 };
    run_on(&config, root_thread_names, "weft");
    config.thread_name = "web";
    run_on(&config, root_thread_names, "web");
    config.thread_name = "a-very-long-thread-name";
    run_on(&config, root_thread_names, "a-very-long-thr");
}

/* ---- block_on ---- */

static void *root_nested(void *arg)
{
    weft_runtime **runtimes = arg;
    void *result = &result;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_block_on(runtimes[i], return_arg, NULL, &result), -EDEADLK);
        assert_ptr_equal(result, &result);
    }
    assert_int_equal(weft_runtime_free(runtimes[0]), -EDEADLK);
    /* Nothing has happened: we still work. */
    expect(weft_spawn(return_arg, number(3)), 0, number(3));
    return number(4);
}

/* parity 1.1 runtime inside a runtime; dropping one inside a task */
static void test_runtime_inside_a_runtime(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        weft_runtime *runtimes[2] = { NULL, NULL };
        void *result = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i], &runtimes[0]), 0);
        assert_int_equal(weft_runtime_new(&flavors[(i + 1) % FLAVORS], &runtimes[1]), 0);
        assert_int_equal(weft_block_on(runtimes[0], root_nested, runtimes, &result), 0);
        assert_ptr_equal(result, number(4));
        assert_int_equal(weft_runtime_free(runtimes[0]), 0);
        assert_int_equal(weft_block_on(runtimes[1], return_arg, number(5), &result), 0);
        assert_ptr_equal(result, number(5));
        assert_int_equal(weft_runtime_free(runtimes[1]), 0);
    }
    assert_int_equal(weft_runtime_free(NULL), 0);
    assert_int_equal(weft_block_on(NULL, return_arg, NULL, NULL), -EINVAL);
}

/* block_on reports as join does; a null function is refused */
static void test_block_on_codes(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        weft_runtime *runtime = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
        assert_int_equal(weft_block_on(runtime, NULL, NULL, NULL), -EINVAL);
        assert_null(weft_runtime_spawn(runtime, NULL, NULL));
        assert_null(weft_runtime_spawn(NULL, return_arg, NULL));
        for (int k = 0; k < 100; k++) {
            void *result = NULL;
            assert_int_equal(weft_block_on(runtime, return_arg, number(k), &result), 0);
            assert_ptr_equal(result, number(k));
        }
        assert_int_equal(weft_runtime_free(runtime), 0);
    }
}

struct caller {
    weft_runtime *runtime;
    pthread_t thread;
    long number;
};

static void *short_root(void *arg)
{
    struct caller *caller = arg;
    for (int i = 0; i < 5; i++) {
        expect(weft_spawn(return_arg, number(i)), 0, number(i));
        assert_int_equal(weft_sleep(WEFT_US(30)), 0);
        assert_int_equal(weft_yield(), 0);
    }
    return number(caller->number);
}

static void *call_block_on(void *arg)
{
    struct caller *caller = arg;
    for (int i = 0; i < 10; i++) {
        void *result = NULL;
        assert_int_equal(weft_block_on(caller->runtime, short_root, caller, &result), 0);
        assert_ptr_equal(result, number(caller->number));
    }
    return NULL;
}

/* parity 1.1 block_on (CT): several threads at once, one drives, others take over; 10.6 */
static void test_block_on_from_several_threads(void **state)
{
    (void)state;
    enum { CALLERS = 6 };
    for (int i = 0; i < FLAVORS; i++) {
        struct caller callers[CALLERS];
        weft_runtime *runtime = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
        for (int k = 0; k < CALLERS; k++) {
            callers[k] = (struct caller){ .runtime = runtime, .number = k };
            assert_int_equal(pthread_create(&callers[k].thread, NULL, call_block_on, &callers[k]),
                             0);
        }
        for (int k = 0; k < CALLERS; k++)
            pthread_join(callers[k].thread, NULL);
        assert_int_equal(weft_runtime_free(runtime), 0);
    }
}

struct handover {
    weft_runtime *runtime;
    atomic_bool quick_has_ended;
};

static void *wait_for_the_quick_one(void *arg)
{
    struct handover *handover = arg;
    UNTIL(atomic_load(&handover->quick_has_ended));
    return NULL;
}

static void *block_on_quick(void *arg)
{
    struct handover *handover = arg;
    assert_int_equal(weft_block_on(handover->runtime, return_arg, NULL, NULL), 0);
    atomic_store(&handover->quick_has_ended, true);
    return NULL;
}

/* The driver of a current-thread runtime runs the others' roots, and tells them when they end */
static void test_waiting_root_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        struct handover handover = { 0 };
        pthread_t thread;
        assert_int_equal(weft_runtime_new(&flavors[i], &handover.runtime), 0);
        assert_int_equal(pthread_create(&thread, NULL, block_on_quick, &handover), 0);
        assert_int_equal(weft_block_on(handover.runtime, wait_for_the_quick_one, &handover, NULL),
                         0);
        pthread_join(thread, NULL);
        assert_int_equal(weft_runtime_free(handover.runtime), 0);
    }
}

static atomic_int steps;

static void *step_for_ever(void *arg)
{
    (void)arg;
    while (weft_yield() == 0)
        atomic_fetch_add(&steps, 1);
    return NULL;
}

static void *root_spawns_stepper(void *arg)
{
    weft_task **task = arg;
    *task = weft_spawn(step_for_ever, NULL);
    UNTIL(atomic_load(&steps) > 10);
    return NULL;
}

static void *root_sees_steps(void *arg)
{
    int before = atomic_load(&steps);
    UNTIL(atomic_load(&steps) > before + 10);
    return arg;
}

/* parity 1.1 block_on (CT): tasks freeze after return, resume at the next call; (MT): they go on */
static void test_tasks_between_block_ons(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        weft_runtime *runtime = NULL;
        weft_task *task = NULL;
        atomic_store(&steps, 0);
        assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
        assert_int_equal(weft_block_on(runtime, root_spawns_stepper, &task, NULL), 0);
        int before = atomic_load(&steps);
        if (flavors[i].flavor == WEFT_MULTI_THREAD) {
            UNTIL(atomic_load(&steps) > before + 10);
        } else {
            for (int k = 0; k < 1000; k++)
                sched_yield();
            assert_int_equal(atomic_load(&steps), before);
        }
        assert_int_equal(weft_block_on(runtime, root_sees_steps, NULL, NULL), 0);
        weft_abort(task);
        assert_int_equal(weft_runtime_free(runtime), 0);
        assert_int_equal(weft_join(task, NULL), -ECANCELED); /* after the runtime's end */
    }
}

static void *root_joins(void *arg)
{
    expect(arg, 0, number(6));
    return NULL;
}

/* parity 1.1 Runtime::spawn: before any block_on it waits (CT) or runs (MT) */
static void test_spawn_before_block_on(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        weft_runtime *runtime = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
        weft_task *task = weft_runtime_spawn(runtime, return_arg, number(6));
        assert_non_null(task);
        if (flavors[i].flavor == WEFT_MULTI_THREAD)
            UNTIL(weft_task_is_finished(task));
        else
            assert_false(weft_task_is_finished(task));
        assert_int_equal(weft_block_on(runtime, root_joins, task, NULL), 0);
        /* Never driven again: cancelled by the end. */
        task = weft_runtime_spawn(runtime, sleep_for_ever, NULL);
        assert_int_equal(weft_runtime_free(runtime), 0);
        assert_int_equal(weft_join(task, NULL), -ECANCELED);
    }
}

/* ---- two runtimes, other threads ---- */

struct pair {
    weft_runtime *other;
    weft_task *there;
};

static void *root_two(void *arg)
{
    struct pair *pair = arg;
    /* Tasks of the other runtime are spawned, joined and aborted from here. */
    for (int i = 0; i < 50; i++) {
        expect(weft_runtime_spawn(pair->other, return_arg, number(i)), 0, number(i));
        weft_task *task = weft_runtime_spawn(pair->other, sleep_for_ever, NULL);
        weft_abort(task);
        assert_int_equal(weft_join(task, NULL), -ECANCELED);
        weft_detach(weft_runtime_spawn(pair->other, return_arg, NULL));
    }
    return NULL;
}

/* parity 10.5 wake routing: two runtimes wake each other's tasks */
static void test_two_runtimes(void **state)
{
    (void)state;
    int threads = threads_alive(), descriptors = descriptors_open();
    for (int i = 0; i < FLAVORS; i++)
        for (int k = 0; k < 3; k++) { /* the other one must run by itself */
            weft_runtime *runtime = NULL;
            struct pair pair = { 0 };
            assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
            assert_int_equal(weft_runtime_new(&flavors[k], &pair.other), 0);
            assert_int_equal(weft_block_on(runtime, root_two, &pair, NULL), 0);
            assert_int_equal(weft_runtime_free(runtime), 0);
            assert_int_equal(weft_runtime_free(pair.other), 0);
        }
    assert_nothing_left(threads, descriptors);
}

static void *make_runtime(void *config)
{
    weft_runtime *runtime = NULL;
    assert_int_equal(weft_runtime_new(config, &runtime), 0);
    assert_int_equal(weft_block_on(runtime, return_arg, NULL, NULL), 0);
    return runtime;
}

static void *end_runtime(void *runtime)
{
    assert_int_equal(weft_block_on(runtime, return_arg, NULL, NULL), 0);
    assert_int_equal(weft_runtime_free(runtime), 0);
    return NULL;
}

/* A runtime belongs to no thread */
static void test_made_here_freed_there(void **state)
{
    (void)state;
    int threads = threads_alive(), descriptors = descriptors_open();
    for (int i = 0; i < FLAVORS; i++) {
        pthread_t thread;
        void *runtime = NULL;
        struct weft_config config = flavors[i];
        assert_int_equal(pthread_create(&thread, NULL, make_runtime, &config), 0);
        pthread_join(thread, &runtime);
        assert_int_equal(pthread_create(&thread, NULL, end_runtime, runtime), 0);
        pthread_join(thread, NULL);
    }
    assert_nothing_left(threads, descriptors);
}

/* ---- handles and enter ---- */

static void *root_handle(void *arg)
{
    weft_handle *handle = weft_handle_current();
    assert_ptr_equal(handle, arg);
    assert_int_equal(weft_handle_flavor(handle), flavor->flavor);
    expect(weft_handle_spawn(handle, return_arg, number(1)), 0, number(1));
    assert_null(weft_handle_spawn(handle, NULL, NULL));
    weft_handle_free(handle);

    /* A task has its runtime. */
    assert_int_equal(weft_enter(arg), -EDEADLK);
    assert_int_equal(weft_leave(1), -EDEADLK);
    return NULL;
}

/* parity 1.1 Handle clone/current/try_current/spawn/flavor; it outlives the runtime */
static void test_handles(void **state)
{
    (void)state;
    assert_null(weft_handle_current());
    assert_null(weft_runtime_handle(NULL));
    assert_null(weft_handle_clone(NULL));
    weft_handle_free(NULL);
    assert_null(weft_handle_spawn(NULL, return_arg, NULL));
    assert_int_equal(weft_enter(NULL), -EINVAL);
    assert_int_equal(weft_leave(0), -EPERM);
    assert_int_equal(weft_leave(1), -EPERM);

    for (int i = 0; i < FLAVORS; i++) {
        weft_runtime *runtime = NULL;
        struct weft_metrics metrics;
        flavor = &flavors[i];
        assert_int_equal(weft_runtime_new(flavor, &runtime), 0);
        weft_handle *handle = weft_runtime_handle(runtime);
        weft_handle *clone = weft_handle_clone(handle);
        assert_int_equal(weft_block_on(runtime, root_handle, handle, NULL), 0);
        weft_handle_free(handle);
        assert_int_equal(weft_runtime_free(runtime), 0);

        /* After the end: spawns give cancelled tasks, nothing runs, nothing crashes. */
        weft_task *tasks[200];
        for (int k = 0; k < 200; k++)
            assert_non_null(tasks[k] = weft_handle_spawn(clone, return_arg, NULL));
        assert_int_equal(weft_handle_flavor(clone), flavor->flavor);
        assert_int_equal(weft_metrics_read(clone, &metrics), 0); /* the totals stay */
        assert_int_equal(metrics.alive_tasks, 0);
        assert_in_range(metrics.spawned, 202, 202);
        int depth = weft_enter(clone);
        assert_int_equal(depth, 1);
        assert_int_equal(weft_go(return_arg, NULL), WEFT_ESHUTDOWN);
        weft_task *task = weft_spawn(return_arg, NULL);
        assert_int_equal(weft_leave(depth), 0);
        weft_handle_free(clone);
        /* Task handles outlive even the last handle of the runtime. */
        for (int k = 0; k < 200; k++) {
            assert_true(weft_task_is_finished(tasks[k]));
            weft_abort(tasks[k]);
            expect(tasks[k], -ECANCELED, NULL);
        }
        expect(task, -ECANCELED, NULL);
    }
}

/* parity 1.1 enter / EnterGuard: nested, left in reverse order */
static void test_enter_and_leave(void **state)
{
    (void)state;
    weft_runtime *a = NULL, *b = NULL;
    assert_int_equal(weft_runtime_new(&flavors[0], &a), 0);
    assert_int_equal(weft_runtime_new(&flavors[1], &b), 0);
    weft_handle *of_a = weft_runtime_handle(a), *of_b = weft_runtime_handle(b);

    int first = weft_enter(of_a);
    assert_int_equal(first, 1);
    expect(weft_spawn(return_arg, number(1)), 0, number(1));
    weft_handle *current = weft_handle_current();
    assert_ptr_equal(current, of_a);
    weft_handle_free(current);
    int second = weft_enter(of_b);
    assert_int_equal(second, 2);
    int third = weft_enter(of_a);
    assert_int_equal(third, 3);
    assert_int_equal(weft_leave(second), -EPERM);
    assert_int_equal(weft_leave(first), -EPERM);
    assert_int_equal(weft_leave(4), -EPERM);
    assert_int_equal(weft_leave(0), -EPERM);
    assert_int_equal(weft_leave(-1), -EPERM);
    assert_int_equal(weft_leave(third), 0);
    assert_int_equal(weft_leave(third), -EPERM);
    current = weft_handle_current();
    assert_ptr_equal(current, of_b);
    weft_handle_free(current);

    /* Entered, one may still block on, even on the other runtime. */
    assert_int_equal(weft_block_on(a, return_arg, NULL, NULL), 0);

    /* The runtime ends while it is entered. */
    weft_handle_free(of_b);
    assert_int_equal(weft_runtime_free(b), 0);
    expect(weft_spawn(return_arg, NULL), -ECANCELED, NULL);
    assert_int_equal(weft_leave(second), 0);
    expect(weft_spawn(return_arg, number(2)), 0, number(2));
    assert_int_equal(weft_leave(first), 0);
    assert_null(weft_spawn(return_arg, NULL));
    weft_handle_free(of_a);
    assert_int_equal(weft_runtime_free(a), 0);
}

struct reader {
    weft_handle *handle;
    atomic_bool reads;
    atomic_bool over;
};

static void *read_metrics_until_the_end(void *arg)
{
    struct reader *reader = arg;
    struct weft_metrics metrics;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    while (!atomic_load(&reader->over) && weft_now() < deadline) {
        assert_int_equal(weft_metrics_read(reader->handle, &metrics), 0);
        assert_true(metrics.alive_tasks <= metrics.spawned);
        atomic_store(&reader->reads, true);
    }
    weft_task *task = weft_handle_spawn(reader->handle, return_arg, NULL);
    assert_int_equal(weft_join(task, NULL), -ECANCELED);
    return NULL;
}

/* parity 1.1 Handle: another thread's handle is safe at any moment of the runtime's end */
static void test_metrics_race_the_end(void **state)
{
    (void)state;
    for (long i = 0; i < test_scale(200, 20); i++) {
        weft_runtime *runtime = NULL;
        struct reader reader = { 0 };
        pthread_t thread;
        assert_int_equal(weft_runtime_new(&flavors[i % FLAVORS], &runtime), 0);
        reader.handle = weft_runtime_handle(runtime);
        assert_int_equal(pthread_create(&thread, NULL, read_metrics_until_the_end, &reader), 0);
        UNTIL(atomic_load(&reader.reads));
        assert_int_equal(weft_runtime_free(runtime), 0);
        atomic_store(&reader.over, true);
        pthread_join(thread, NULL);
        weft_handle_free(reader.handle);
    }
}

/* ---- the end ---- */

static atomic_long ended_cancelled;

static void *wait_simply(void *arg)
{
    long way = (long)(intptr_t)arg;
    int rc = 0;
    if (way % 3 == 0) {
        rc = weft_sleep(WEFT_FOREVER);
    } else if (way % 3 == 1) {
        uint64_t deadline = weft_now() + WEFT_SEC(120);
        while (rc == 0 && weft_now() < deadline)
            rc = weft_yield();
    } else {
        weft_task *task = weft_spawn(sleep_for_ever, NULL);
        rc = weft_join(task, NULL);
        if (rc == -EINTR)
            weft_detach(task);
        assert_true(rc == -EINTR || rc == -ECANCELED);
        rc = -ECANCELED;
    }
    assert_int_equal(rc, -ECANCELED);
    /* On the way out it may still spawn; on a closing runtime that task never runs. */
    weft_detach(weft_spawn(return_arg, NULL));
    atomic_fetch_add(&ended_cancelled, 1);
    return NULL;
}

static void *root_leaves_many(void *arg)
{
    long count = test_scale(6000, 600);
    for (long i = 0; i < count; i++) {
        assert_int_equal(weft_go(wait_simply, number(i)), 0);
        if (i % 100 == 99)
            weft_yield();
    }
    return arg;
}

/* parity 1.4 Drop (MT and CT); 10.8 shutdown of idle, queued and running tasks */
static void test_free_with_many_tasks(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        atomic_store(&ended_cancelled, 0);
        run_on(&flavors[i], root_leaves_many, NULL);
        /* Some had not begun, and never did. */
        assert_in_range(atomic_load(&ended_cancelled), 1, test_scale(6000, 600));
    }
}

struct outside_joiner {
    weft_runtime *runtime;
    weft_task *task;
    atomic_bool joins;
};

static void *join_outside(void *arg)
{
    struct outside_joiner *joiner = arg;
    atomic_store(&joiner->joins, true);
    assert_int_equal(weft_join(joiner->task, NULL), -ECANCELED);
    return NULL;
}

static void *spawn_blocker(void *arg)
{
    struct outside_joiner *joiner = arg;
    joiner->task = weft_spawn(sleep_for_ever, NULL);
    for (int i = 0; i < 5; i++)
        weft_yield();
    return NULL;
}

/* parity 10.8: joiners on plain threads are answered by the end */
static void test_joiner_outside_is_answered(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        struct outside_joiner joiner = { 0 };
        pthread_t thread;
        assert_int_equal(weft_runtime_new(&flavors[i], &joiner.runtime), 0);
        assert_int_equal(weft_block_on(joiner.runtime, spawn_blocker, &joiner, NULL), 0);
        assert_int_equal(pthread_create(&thread, NULL, join_outside, &joiner), 0);
        UNTIL(atomic_load(&joiner.joins));
        assert_int_equal(weft_runtime_free(joiner.runtime), 0);
        pthread_join(thread, NULL);
    }
}

struct spawner {
    weft_handle *handle;
    atomic_bool runs;
    long refused;
};

static void *spawn_until_refused(void *arg)
{
    struct spawner *spawner = arg;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    int depth = weft_enter(spawner->handle);
    assert_int_equal(depth, 1);
    int rc = 0;
    while (rc == 0 && weft_now() < deadline) {
        rc = weft_go(return_arg, NULL);
        weft_task *task = weft_spawn(sleep_for_ever, NULL);
        weft_detach(task);
        atomic_store(&spawner->runs, true);
    }
    assert_int_equal(rc, WEFT_ESHUTDOWN);
    assert_int_equal(weft_leave(depth), 0);
    return NULL;
}

/* parity 1.4, 10.8 spawn during shutdown, from foreign threads */
static void test_spawn_races_the_end(void **state)
{
    (void)state;
    for (long i = 0; i < test_scale(60, 12); i++) {
        struct spawner spawners[2] = { 0 };
        pthread_t threads[2];
        weft_runtime *runtime = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i % FLAVORS], &runtime), 0);
        for (int k = 0; k < 2; k++) {
            spawners[k].handle = weft_runtime_handle(runtime);
            assert_int_equal(pthread_create(&threads[k], NULL, spawn_until_refused, &spawners[k]),
                             0);
        }
        UNTIL(atomic_load(&spawners[0].runs) && atomic_load(&spawners[1].runs));
        assert_int_equal(weft_runtime_free(runtime), 0);
        for (int k = 0; k < 2; k++) {
            pthread_join(threads[k], NULL);
            weft_handle_free(spawners[k].handle);
        }
    }
}

/* parity 1.1: nothing is left behind, however often */
static void test_many_runtimes(void **state)
{
    (void)state;
    int threads = threads_alive(), descriptors = descriptors_open();
    for (long i = 0; i < test_scale(200, 20); i++) {
        weft_runtime *runtime = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i % FLAVORS], &runtime), 0);
        if (i % 2)
            assert_int_equal(weft_block_on(runtime, return_arg, NULL, NULL), 0);
        assert_int_equal(weft_runtime_free(runtime), 0);
    }
    assert_nothing_left(threads, descriptors);
}

/* ---- freed while somebody is in block_on ---- */

struct blocked {
    weft_runtime *runtime;
    atomic_bool runs;
    int code;
};

static void *root_blocked(void *arg)
{
    struct blocked *blocked = arg;
    atomic_store(&blocked->runs, true);
    return number(weft_sleep(WEFT_FOREVER));
}

static void *block(void *arg)
{
    struct blocked *blocked = arg;
    blocked->code = weft_block_on(blocked->runtime, root_blocked, blocked, NULL);
    return NULL;
}

/* parity 10.8 shutdown, idle task: the root of another thread's block_on as well (it once hung) */
static void test_free_during_block_on(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        struct blocked blocked = { 0 };
        pthread_t thread;
        assert_int_equal(weft_runtime_new(&flavors[i], &blocked.runtime), 0);
        assert_int_equal(pthread_create(&thread, NULL, block, &blocked), 0);
        UNTIL(atomic_load(&blocked.runs));
        assert_int_equal(weft_runtime_free(blocked.runtime), 0);
        pthread_join(thread, NULL);
        assert_int_equal(blocked.code, -ECANCELED);
    }
}

/* ---- when the system refuses ---- */

static int with_few_descriptors(const void *arg)
{
    const struct weft_config *config = arg;
    int threads = threads_alive(); /* qemu and TSan have their own */
    int open = descriptors_open();
    int lowest = dup(STDERR_FILENO); /* the lowest number that is free */
    close(lowest);
    struct rlimit limit;
    weft_runtime *runtime = NULL;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1;
    rlim_t usual = limit.rlim_cur;
    for (int spare = 0; spare < 2; spare++) {
        limit.rlim_cur = (rlim_t)(lowest + spare);
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 2;
        if (weft_runtime_new(config, &runtime) != -EMFILE || runtime)
            return 3;
        limit.rlim_cur = usual;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || descriptors_open() != open)
            return 4;
        if (threads_alive() != threads)
            return 5;
    }
    if (weft_runtime_new(config, &runtime) != 0)
        return 6;
    if (weft_block_on(runtime, return_arg, NULL, NULL) != 0 || weft_runtime_free(runtime) != 0)
        return 7;
    return 0;
}

/* parity 1.1 Runtime::new: fails with the OS error when epoll or eventfd does; nothing leaks */
static void test_no_descriptors(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++)
        assert_int_equal(in_child(with_few_descriptors, &flavors[i]), 0);
}

static int with_few_threads(const void *arg)
{
    const struct weft_config *config = arg;
    int threads = threads_alive();
    int descriptors = descriptors_open();
    struct rlimit limit;
    weft_runtime *runtime = NULL;

    if (getuid() == 0 && setuid(54321) != 0) /* the limit does not bind root */
        return 77;
    if (getrlimit(RLIMIT_NPROC, &limit) != 0)
        return 1;
    limit.rlim_cur = config->seed; /* threads of this user, in all */
    if (setrlimit(RLIMIT_NPROC, &limit) != 0)
        return 2;
    int rc = weft_runtime_new(config, &runtime);
    if (rc == 0)
        return 77; /* the limit does not bind us here, either */
    if (rc != -EAGAIN || runtime)
        return 3;
    for (int i = 0; i < 10000 && threads_alive() > threads; i++)
        sched_yield();
    if (threads_alive() != threads)
        return 4;
    if (descriptors_open() != descriptors)
        return 5;
    /* One flavor needs no thread. */
    struct weft_config single = { .flavor = WEFT_CURRENT_THREAD };
    if (weft_runtime_new(&single, &runtime) != 0)
        return 6;
    if (weft_block_on(runtime, return_arg, NULL, NULL) != 0 || weft_runtime_free(runtime) != 0)
        return 7;
    return 0;
}

/* parity 1.1 Runtime::new: no thread leaked when a later one cannot be started */
static void test_no_threads(void **state)
{
    (void)state;
    bool skipped = false;
    /* none at all, and a few of those wanted; `seed` carries the limit */
    static const struct weft_config configs[] = {
        { .worker_threads = 1, .seed = 1 },
        { .worker_threads = 8, .seed = 1 },
        { .worker_threads = 8, .seed = 4 },
    };
    for (int i = 0; i < 3; i++) {
        int status = in_child(with_few_threads, &configs[i]);
        if (status == 77)
            skipped = true;
        else
            assert_int_equal(status, 0);
    }
    if (skipped)
        skip();
}

static int with_little_address_space(const void *arg)
{
    struct weft_config config = *(const struct weft_config *)arg;
    struct rlimit limit;
    int failures = 0, successes = 0;

    if (getrlimit(RLIMIT_AS, &limit) != 0)
        return 1;
    /* Grows from nothing until it is enough: a new thing fails each time. */
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld", &pages) != 1)
        return 2;
    fclose(file);
    rlim_t base = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
    for (rlim_t more = 0; more < 64 << 20 && successes < 3; more += 200 << 10) {
        weft_runtime *runtime = NULL;
        limit.rlim_cur = base + more;
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            return 3;
        int rc = weft_runtime_new(&config, &runtime);
        if (rc == 0) {
            void *result = NULL;
            rc = weft_block_on(runtime, return_arg, number(5), &result);
            if (rc == 0 ? result != number(5) : rc != -ENOMEM)
                return 4;
            if (weft_runtime_free(runtime) != 0)
                return 5;
            successes += rc == 0;
        } else if (rc != -ENOMEM && rc != -EAGAIN) {
            return 6;
        }
        failures += rc < 0;
    }
    return successes == 3 && failures > 0 ? 0 : 7;
}

/* parity 1.1 Runtime::new: without memory it says so */
static void test_no_memory(void **state)
{
    (void)state;
    if (BUILT_WITH_ASAN || BUILT_WITH_TSAN || is_slow())
        skip(); /* their shadows are larger than any limit */
    for (int i = 0; i < FLAVORS; i++) {
        int status = in_child(with_little_address_space, &flavors[i]);
        assert_int_equal(status, 0);
    }
}

/* ---- WEFT_MAIN ---- */

static int ready_pipe[2];

static int main_value(int argc, char **argv)
{
    return strcmp(argv[argc - 1], "negative") == 0 ? -EIO : argc;
}

static int main_sleeps(int argc, char **argv)
{
    (void)argc, (void)argv;
    if (write(ready_pipe[1], "", 1) != 1)
        return 99;
    return weft_sleep(WEFT_FOREVER);
}

static int main_cleans_up(int argc, char **argv)
{
    return main_sleeps(argc, argv) == -ECANCELED ? 42 : 98;
}

static int main_ignores(int argc, char **argv)
{
    (void)main_sleeps(argc, argv);
    /* Told once, and again ready: now for the second signal. */
    if (write(ready_pipe[1], "", 1) != 1)
        return 99;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    while (weft_now() < deadline)
        sched_yield();
    return 97;
}

struct program {
    struct weft_config config;
    weft_main_fn *root;
    char *argument;
    int signals; /* how many it gets */
    int number;  /* which */
    int status;  /* its exit status, or minus the signal that killed it */
};

static void run_program(const struct program *program)
{
    assert_int_equal(pipe(ready_pipe), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = { "program", program->argument, NULL };
        if (program->status == 1 && !program->root)
            close(STDERR_FILENO);
        alarm(60);
        _exit(weft_main(&program->config, sizeof program->config, program->root, 2, argv));
    }
    close(ready_pipe[1]);
    for (int i = 0; i < program->signals; i++) {
        char byte;
        assert_int_equal(read(ready_pipe[0], &byte, 1), 1);
        assert_int_equal(kill(pid, program->number), 0);
    }
    close(ready_pipe[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), program->status);
}

/* parity 8 #[tokio::main]; WEFT_MAIN: exit status and signals */
static void test_main(void **state)
{
    (void)state;
    if (BUILT_WITH_TSAN)
        skip(); /* it holds signals back until the thread calls something that it knows to block */
    for (int i = 0; i < FLAVORS; i++) {
        const struct program programs[] = {
            { flavors[i], main_value, "positive", 0, 0, 2 },
            { flavors[i], main_value, "negative", 0, 0, 1 },
            { flavors[i], main_sleeps, "", 1, SIGTERM, 0 },
            { flavors[i], main_sleeps, "", 1, SIGINT, 0 },
            { flavors[i], main_cleans_up, "", 1, SIGTERM, 42 },
            { flavors[i], main_ignores, "", 2, SIGTERM, -SIGTERM },
            { flavors[i], main_ignores, "", 2, SIGINT, -SIGINT },
            { flavors[i], NULL, "", 0, 0, 1 },
        };
        for (size_t k = 0; k < sizeof programs / sizeof programs[0]; k++)
            run_program(&programs[k]);
    }
    const struct program bad = { { .worker_threads = 5000 }, main_value, "", 0, 0, 1 };
    run_program(&bad);
}

/* ---- metrics ---- */

static void *root_metrics(void *arg)
{
    enum { COUNT = 500 };
    struct weft_metrics before, after;
    weft_task *tasks[COUNT];

    assert_int_equal(weft_metrics_read(NULL, NULL), -EINVAL);
    assert_int_equal(weft_metrics_read(NULL, &before), 0);
    assert_int_equal(before.workers, is_single() ? 1 : flavor->worker_threads);
    assert_int_equal(before.alive_tasks, 1);
    assert_true(before.spawned >= 1 && before.polls >= 1 && before.remote >= 1);
    for (int i = 0; i < COUNT; i++)
        tasks[i] = weft_spawn(sleep_for_ever, NULL);
    assert_int_equal(weft_metrics_read(NULL, &after), 0);
    assert_int_equal(after.spawned, before.spawned + COUNT);
    assert_int_equal(after.alive_tasks, 1 + COUNT);
    for (int i = 0; i < COUNT; i++)
        weft_abort(tasks[i]);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(weft_join(tasks[i], NULL), -ECANCELED);
    assert_int_equal(weft_metrics_read(NULL, &after), 0);
    assert_int_equal(after.alive_tasks, 1);
    assert_true(after.polls >= before.polls + COUNT);
    assert_true(after.stolen >= after.steals);
    if (is_single())
        assert_int_equal(after.steals, 0);

    uint64_t fired = after.timers_fired;
    UNTIL(weft_sleep(WEFT_US(200)) == 0 && weft_metrics_read(NULL, &after) == 0 &&
          after.timers_fired > fired);

    struct {
        struct weft_metrics metrics;
        uint64_t later[4];
    } longer;
    memset(&longer, 0xff, sizeof longer);
    assert_int_equal(weft_metrics_read_sized(NULL, sizeof longer, &longer.metrics), 0);
    assert_int_equal(longer.metrics.workers, after.workers);
    assert_int_equal(longer.later[3], 0);
    struct weft_metrics shorter;
    memset(&shorter, 0xff, sizeof shorter);
    assert_int_equal(weft_metrics_read_sized(NULL, sizeof(uint64_t), &shorter), 0);
    assert_int_equal(shorter.workers, after.workers);
    assert_true(shorter.alive_tasks == UINT64_MAX);
    return arg;
}

/* parity 1.5 RuntimeMetrics */
static void test_metrics(void **state)
{
    (void)state;
    struct weft_metrics metrics;
    assert_int_equal(weft_metrics_read(NULL, &metrics), -EPERM);
    everywhere(root_metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_is_checked),
        cmocka_unit_test(test_config_sizes),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_thread_names),
        cmocka_unit_test(test_runtime_inside_a_runtime),
        cmocka_unit_test(test_block_on_codes),
        cmocka_unit_test(test_block_on_from_several_threads),
        cmocka_unit_test(test_waiting_root_is_told),
        cmocka_unit_test(test_tasks_between_block_ons),
        cmocka_unit_test(test_spawn_before_block_on),
        cmocka_unit_test(test_two_runtimes),
        cmocka_unit_test(test_made_here_freed_there),
        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_enter_and_leave),
        cmocka_unit_test(test_metrics_race_the_end),
        cmocka_unit_test(test_free_with_many_tasks),
        cmocka_unit_test(test_free_during_block_on),
        cmocka_unit_test(test_joiner_outside_is_answered),
        cmocka_unit_test(test_spawn_races_the_end),
        cmocka_unit_test(test_many_runtimes),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_no_threads),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_main),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
