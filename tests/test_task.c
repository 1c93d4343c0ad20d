/* test: valgrind */
/*
 * Tasks with a stack: spawn, join, detach, abort, yield, and what survives a suspension. Each test
 * runs on all flavors.
 */
#include "flavors.h"

#include <pthread.h>
#include <unistd.h>

/* ---- spawn and join ---- */

static void *root_results(void *arg)
{
    expect(weft_spawn(return_arg, number(42)), 0, number(42));
    expect(weft_spawn(return_arg, NULL), 0, NULL);
    assert_int_equal(weft_join(weft_spawn(return_arg, number(1)), NULL), 0);

    weft_task *tasks[100];
    for (int i = 0; i < 100; i++)
        assert_non_null(tasks[i] = weft_spawn(return_arg, number(i)));
    for (int i = 99; i >= 0; i--)
        expect(tasks[i], 0, number(i));
    return arg;
}

/* parity 2.1 task::spawn, JoinHandle await, output ownership */
static void test_join_gives_the_result(void **state)
{
    (void)state;
    everywhere(root_results);
}

static atomic_int ran;

static void *count_run(void *arg)
{
    atomic_fetch_add(&ran, 1);
    return arg;
}

static void *root_not_inline(void *arg)
{
    atomic_store(&ran, 0);
    /* One task alone waits in the slot, which nobody else can see: it cannot have run. */
    weft_task *task = weft_spawn(count_run, NULL);
    assert_int_equal(atomic_load(&ran), 0);
    assert_false(weft_task_is_finished(task));
    expect(task, 0, NULL);
    assert_int_equal(atomic_load(&ran), 1);
    return arg;
}

/* parity 2.1 task::spawn: never runs inline; 1.1 Runtime::spawn */
static void test_spawn_never_runs_inline(void **state)
{
    (void)state;
    everywhere(root_not_inline);
}

/* parity 2.1 task::spawn outside a runtime; misuse gives codes */
static void test_misuse_outside(void **state)
{
    (void)state;
    assert_null(weft_spawn(return_arg, NULL));
    assert_int_equal(weft_go(return_arg, NULL), -EPERM);
    assert_int_equal(weft_go(NULL, NULL), -EINVAL);
    assert_int_equal(weft_yield(), -EPERM);
    assert_int_equal(weft_join(NULL, NULL), -ENOMEM);
    weft_abort(NULL);
    weft_detach(NULL);
    assert_false(weft_task_is_finished(NULL));
}

static void *root_misuse(void *arg)
{
    void *result = &result;

    assert_null(weft_spawn(NULL, NULL));
    assert_int_equal(weft_go(NULL, NULL), -EINVAL);
    assert_int_equal(weft_join(NULL, &result), -ENOMEM);
    assert_ptr_equal(result, &result); /* untouched on failure */
    return arg;
}

/* parity 2.1 task::spawn; a failed spawn is told by join */
static void test_misuse_inside(void **state)
{
    (void)state;
    everywhere(root_misuse);
}

static void *root_detach(void *arg)
{
    struct weft_metrics metrics;

    atomic_store(&ran, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(weft_go(count_run, NULL), 0);
        weft_detach(weft_spawn(count_run, NULL)); /* before it ran */
        weft_task *task = weft_spawn(count_run, NULL);
        UNTIL(weft_task_is_finished(task));
        weft_detach(task); /* after it ended */
    }
    UNTIL(atomic_load(&ran) == 300);
    /* All of them are gone, memory and all: only we are left. */
    UNTIL(weft_metrics_read(NULL, &metrics) == 0 && metrics.alive_tasks == 1);
    return arg;
}

/* parity 2.1 JoinHandle drop; 10.7 join handle drop */
static void test_detach(void **state)
{
    (void)state;
    everywhere(root_detach);
}

static void *root_is_finished(void *arg)
{
    weft_task *task = weft_spawn(sleep_for_ever, NULL);

    assert_false(weft_task_is_finished(task));
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_yield(), 0);
    assert_false(weft_task_is_finished(task));
    weft_abort(task);
    UNTIL(weft_task_is_finished(task));
    assert_int_equal(weft_join(task, NULL), -ECANCELED);

    task = weft_spawn(return_arg, NULL);
    weft_abort(task);
    assert_false(weft_task_is_finished(task)); /* it cannot have been picked up */
    UNTIL(weft_task_is_finished(task));
    expect(task, -ECANCELED, NULL);
    return arg;
}

/* parity 2.1 JoinHandle::is_finished: false right after abort */
static void test_is_finished(void **state)
{
    (void)state;
    everywhere(root_is_finished);
}

/* ---- abort, by the state of the task ---- */

static void *root_abort_fresh(void *arg)
{
    atomic_store(&ran, 0);
    weft_task *task = weft_spawn(count_run, number(1));
    weft_abort(task);
    weft_abort(task);
    expect(task, -ECANCELED, NULL);
    assert_int_equal(atomic_load(&ran), 0);
    return arg;
}

/* parity 2.1 JoinHandle::abort; 10.8 abort, queued; abort twice */
static void test_abort_before_start(void **state)
{
    (void)state;
    everywhere(root_abort_fresh);
}

static atomic_int started;

static void *suspend_in_sleep(void *arg)
{
    (void)arg;
    atomic_fetch_add(&started, 1);
    assert_int_equal(weft_sleep(WEFT_SEC(1000)), -ECANCELED);
    return number(1);
}

static void *suspend_in_yield(void *arg)
{
    (void)arg;
    atomic_fetch_add(&started, 1);
    uint64_t deadline = weft_now() + WEFT_SEC(120);
    int rc = 0;
    while (rc == 0 && weft_now() < deadline)
        rc = weft_yield();
    assert_int_equal(rc, -ECANCELED);
    return number(1);
}

static void *suspend_in_join(void *arg)
{
    weft_task *other = arg;
    atomic_fetch_add(&started, 1);
    void *result = &result;
    assert_int_equal(weft_join(other, &result), -EINTR);
    assert_ptr_equal(result, &result);
    return number(1);
}

static void *root_abort_suspended(void *arg)
{
    weft_task_fn *const ways[] = { suspend_in_sleep, suspend_in_yield, suspend_in_join };

    for (int way = 0; way < 3; way++) {
        for (int delay = 0; delay < 4; delay++) {
            weft_task *other = weft_spawn(sleep_for_ever, NULL);
            atomic_store(&started, 0);
            weft_task *task = weft_spawn(ways[way], other);
            UNTIL(atomic_load(&started));
            for (int i = 0; i < delay; i++) /* on its way out, or asleep by now */
                assert_int_equal(weft_yield(), 0);
            weft_abort(task);
            weft_abort(task);
            expect(task, -ECANCELED, number(1)); /* what it returned is not lost */
            /* A join that was cut short has left the handle valid. */
            assert_false(weft_task_is_finished(other));
            weft_abort(other);
            assert_int_equal(weft_join(other, NULL), -ECANCELED);
        }
    }
    return arg;
}

/* parity 2.1 JoinHandle::abort; 10.8 abort, idle; 2.1 JoinHandle cancel-safety */
static void test_abort_suspended(void **state)
{
    (void)state;
    everywhere(root_abort_suspended);
}

/* A task that keeps its thread until it is told to go on, and a thread that aborts it meanwhile. */
struct stubborn {
    weft_task *task;
    atomic_bool runs;
    atomic_bool released;
    bool suspends_then;
};

static void *spin(void *arg)
{
    struct stubborn *self = arg;
    uint64_t deadline = weft_now() + WEFT_SEC(60);

    atomic_store(&self->runs, true);
    while (!atomic_load(&self->released) && weft_now() < deadline)
        sched_yield();
    if (self->suspends_then)
        assert_int_equal(weft_sleep(0), -ECANCELED);
    return number(7);
}

static void *abort_running(void *arg)
{
    struct stubborn *stubborn = arg;

    UNTIL(atomic_load(&stubborn->runs));
    weft_abort(stubborn->task);
    assert_false(weft_task_is_finished(stubborn->task));
    weft_abort(stubborn->task);
    atomic_store(&stubborn->released, true);
    return NULL;
}

static void *root_abort_running(void *arg)
{
    for (int suspends = 0; suspends < 2; suspends++) {
        struct stubborn stubborn = { .suspends_then = suspends };
        pthread_t thread;
        stubborn.task = weft_spawn(spin, &stubborn);
        assert_int_equal(pthread_create(&thread, NULL, abort_running, &stubborn), 0);
        expect(stubborn.task, suspends ? -ECANCELED : 0, number(7));
        pthread_join(thread, NULL);
    }
    return arg;
}

/* parity 10.8 abort, running: without a suspension afterwards the result wins */
static void test_abort_running(void **state)
{
    (void)state;
    everywhere(root_abort_running);
}

static void *root_abort_finished(void *arg)
{
    weft_task *task = weft_spawn(return_arg, number(3));

    UNTIL(weft_task_is_finished(task));
    weft_abort(task);
    weft_abort(task);
    expect(task, 0, number(3));
    return arg;
}

/* parity 10.8 abort, complete: no-op, the output stays */
static void test_abort_finished(void **state)
{
    (void)state;
    everywhere(root_abort_finished);
}

struct self {
    weft_task *_Atomic handle;
    bool suspends_then;
};

static void *abort_self(void *arg)
{
    struct self *self = arg;

    UNTIL(atomic_load(&self->handle));
    weft_abort(atomic_load(&self->handle));
    assert_false(weft_task_is_finished(atomic_load(&self->handle)));
    if (self->suspends_then)
        assert_int_equal(weft_yield(), -ECANCELED);
    return number(9);
}

static void *root_abort_self(void *arg)
{
    for (int suspends = 0; suspends < 2; suspends++) {
        struct self self = { .suspends_then = suspends };
        weft_task *task = weft_spawn(abort_self, &self);
        atomic_store(&self.handle, task);
        expect(task, suspends ? -ECANCELED : 0, number(9));
    }
    return arg;
}

/* parity 10.8 abort, running: self-abort */
static void test_abort_self(void **state)
{
    (void)state;
    everywhere(root_abort_self);
}

struct sticky {
    weft_task *finished;
    weft_task *alive;
};

static void *stay_cancelled(void *arg)
{
    struct sticky *sticky = arg;
    void *result = NULL;

    assert_int_equal(weft_sleep(WEFT_FOREVER), -ECANCELED);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_yield(), -ECANCELED);
        assert_int_equal(weft_sleep(0), -ECANCELED);
        assert_int_equal(weft_sleep(WEFT_FOREVER), -ECANCELED);
        assert_int_equal(weft_sleep_until(1), -ECANCELED);
        assert_int_equal(weft_join(sticky->alive, &result), -EINTR);
    }
    /* What need not suspend still works: a join of what has ended, a spawn, a detach, an abort. */
    assert_int_equal(weft_join(sticky->finished, &result), 0);
    assert_ptr_equal(result, number(5));
    assert_int_equal(weft_go(return_arg, NULL), 0);
    weft_abort(sticky->alive);
    weft_detach(sticky->alive);
    return number(6);
}

static void *root_sticky(void *arg)
{
    struct sticky sticky = { .finished = weft_spawn(return_arg, number(5)),
                             .alive = weft_spawn(sleep_for_ever, NULL) };
    UNTIL(weft_task_is_finished(sticky.finished));
    weft_task *task = weft_spawn(stay_cancelled, &sticky);
    for (int i = 0; i < 10; i++)
        weft_yield();
    weft_abort(task);
    expect(task, -ECANCELED, number(6));
    return arg;
}

/* parity 10.8: cancellation is sticky (a design difference: Tokio unwinds instead) */
static void test_cancel_is_sticky(void **state)
{
    (void)state;
    everywhere(root_sticky);
}

struct ranking {
    weft_task *target;
    atomic_bool may_end;
    atomic_bool joins;
};

static void *end_when_told(void *arg)
{
    struct ranking *ranking = arg;
    UNTIL(atomic_load(&ranking->may_end));
    return number(11);
}

/* Never told of its cancellation, as its only suspending call has a result to give. */
static void *join_target(void *arg)
{
    struct ranking *ranking = arg;
    void *result = NULL;

    atomic_store(&ranking->joins, true);
    int rc = weft_join(ranking->target, &result);
    if (rc == -EINTR) /* possible with several workers only: the target had not ended */
        return number(-EINTR);
    assert_int_equal(rc, 0);
    assert_ptr_equal(result, number(11));
    return number(12);
}

static void *root_ranking(void *arg)
{
    struct ranking ranking = { 0 };

    ranking.target = weft_spawn(end_when_told, &ranking);
    weft_task *joiner = weft_spawn(join_target, &ranking);
    UNTIL(atomic_load(&ranking.joins));
    for (int i = 0; i < 10; i++)
        weft_yield();
    /* The target stands in the queue, the joiner gets behind it: it ends before the joiner runs. */
    atomic_store(&ranking.may_end, true);
    weft_abort(joiner);
    void *result = NULL;
    int rc = weft_join(joiner, &result);
    if (result == number(-EINTR)) {
        assert_int_equal(rc, -ECANCELED);
        expect(ranking.target, 0, number(11));
    } else {
        assert_ptr_equal(result, number(12));
        assert_int_equal(rc, 0); /* nothing has ever told it that it is cancelled */
    }
    return arg;
}

/* DESIGN 1: rank is result, cancelled; weft_join's -ECANCELED means that a cancel was delivered */
static void test_result_ranks_above_cancel(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        everywhere(root_ranking);
}

/* ---- joining, the odd ways ---- */

static void *join_in_thread(void *arg)
{
    void *result = NULL;
    assert_int_equal(weft_join(arg, &result), 0);
    return result;
}

static void *sleep_a_little(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    return arg;
}

struct thread_join {
    pthread_t thread;
    atomic_bool joined;
    weft_task *task;
};

static void *join_and_tell(void *arg)
{
    struct thread_join *join = arg;
    void *result = join_in_thread(join->task);
    atomic_store(&join->joined, true);
    return result;
}

static void *root_thread_join(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct thread_join join = { 0 };
        join.task = weft_spawn(i & 1 ? sleep_a_little : return_arg, number(i));
        if (i % 3 == 0)
            UNTIL(weft_task_is_finished(join.task));
        assert_int_equal(pthread_create(&join.thread, NULL, join_and_tell, &join), 0);
        UNTIL(atomic_load(&join.joined));
        void *result = NULL;
        pthread_join(join.thread, &result);
        assert_ptr_equal(result, number(i));
    }
    return arg;
}

/* weft_join from plain threads, which block */
static void test_join_from_a_thread(void **state)
{
    (void)state;
    everywhere(root_thread_join);
}

struct twice {
    weft_task *task;
    atomic_bool may_end;
    atomic_int waiting;
};

static void *end_when_allowed(void *arg)
{
    struct twice *twice = arg;
    UNTIL(atomic_load(&twice->may_end));
    return number(4);
}

static void *join_first(void *arg)
{
    struct twice *twice = arg;
    void *result = NULL;
    atomic_fetch_add(&twice->waiting, 1);
    assert_int_equal(weft_join(twice->task, &result), 0);
    return result;
}

static void *root_double_join(void *arg)
{
    struct twice twice = { 0 };
    void *result = &twice;

    twice.task = weft_spawn(end_when_allowed, &twice);
    weft_task *first = weft_spawn(join_first, &twice);
    if (is_single()) {
        UNTIL(atomic_load(&twice.waiting)); /* it goes on to wait without anybody between */
        assert_int_equal(weft_join(twice.task, &result), -EINVAL);
        assert_int_equal(weft_join(twice.task, &result), -EINVAL);
        assert_ptr_equal(result, &twice);
    }
    atomic_store(&twice.may_end, true);
    expect(first, 0, number(4));
    return arg;
}

/* weft_join: -EINVAL while somebody joins */
static void test_double_join(void **state)
{
    (void)state;
    everywhere(root_double_join);
}

static void *join_self(void *arg)
{
    struct self *self = arg;
    void *result = &result;

    UNTIL(atomic_load(&self->handle));
    assert_int_equal(weft_join(atomic_load(&self->handle), &result), -EDEADLK);
    assert_ptr_equal(result, &result);
    return number(2);
}

static void *root_join_self(void *arg)
{
    struct self self = { .handle = NULL };
    weft_task *task = weft_spawn(join_self, &self);
    atomic_store(&self.handle, task);
    expect(task, 0, number(2)); /* the handle has stayed valid */
    return arg;
}

/* weft_join: -EDEADLK for oneself */
static void test_join_self(void **state)
{
    (void)state;
    everywhere(root_join_self);
}

/* ---- yield ---- */

struct turns {
    atomic_int others;
    atomic_bool stop;
};

static void *take_turns(void *arg)
{
    struct turns *turns = arg;
    uint64_t deadline = weft_now() + WEFT_SEC(60);
    while (!atomic_load(&turns->stop) && weft_now() < deadline) {
        atomic_fetch_add(&turns->others, 1);
        assert_int_equal(weft_yield(), 0);
    }
    return NULL;
}

static void *root_yield(void *arg)
{
    struct turns turns = { 0 };

    /* Alone: it comes back. */
    for (int i = 0; i < 1000; i++)
        assert_int_equal(weft_yield(), 0);

    weft_task *task = weft_spawn(take_turns, &turns);
    for (int i = 0; i < 100; i++) {
        int before = atomic_load(&turns.others);
        if (is_single()) {
            assert_int_equal(weft_yield(), 0);
            /* Twice when we come back from maintenance with the other one already queued. */
            assert_in_range(atomic_load(&turns.others) - before, 1, 2);
        } else {
            UNTIL(atomic_load(&turns.others) > before);
        }
    }
    atomic_store(&turns.stop, true);
    expect(task, 0, NULL);
    return arg;
}

/* parity 2.4 yield_now; 10.2 yield goes to the tail */
static void test_yield(void **state)
{
    (void)state;
    everywhere(root_yield);
}

/* ---- many ---- */

struct chain {
    long left;
    atomic_bool done;
};

static void *chain_link(void *arg)
{
    struct chain *chain = arg;
    if (chain->left-- > 0)
        assert_int_equal(weft_go(chain_link, chain), 0);
    else
        atomic_store(&chain->done, true);
    return NULL;
}

static void *root_chain(void *arg)
{
    struct chain chain = { .left = test_scale(100000, 3000) };
    assert_int_equal(weft_go(chain_link, &chain), 0);
    UNTIL(atomic_load(&chain.done));
    return arg;
}

/* 10^5 tasks, each spawned by the one before */
static void test_chained_spawn(void **state)
{
    (void)state;
    everywhere(root_chain);
}

static void *nest(void *arg)
{
    long depth = (long)(intptr_t)arg;
    void *result = number(-1);
    if (depth == 0)
        return number(0);
    assert_int_equal(weft_join(weft_spawn(nest, number(depth - 1)), &result), 0);
    return number((long)(intptr_t)result + 1);
}

static void *root_nest(void *arg)
{
    long depth = test_scale(2000, 200);
    expect(weft_spawn(nest, number(depth)), 0, number(depth));
    return arg;
}

/* A chain of joins: each task waits for the next */
static void test_nested_joins(void **state)
{
    (void)state;
    everywhere(root_nest);
}

/* ---- what a suspension must not disturb ---- */

/*
 * Out of line: glibc declares the function behind `errno` const, so a compiler may keep its address
 * over a suspension, after which it is another thread's. That is the trap of every thread-local.
 */
__attribute__((noinline)) static int *own_errno(void)
{
    int *address = &errno;
    __asm__ volatile("" : "+r"(address) : : "memory");
    return address;
}

static void *keep_errno(void *arg)
{
    int mine = 1000 + (int)(intptr_t)arg;

    for (int i = 0; i < 50; i++) {
        *own_errno() = mine;
        weft_yield();
        assert_int_equal(*own_errno(), mine);
        if (i % 10 == 0) {
            weft_sleep(WEFT_US(10));
            assert_int_equal(*own_errno(), mine);
        }
        weft_task *task = weft_spawn(return_arg, NULL);
        (void)!weft_join(task, NULL);
        assert_int_equal(*own_errno(), mine);
    }
    return NULL;
}

static void *root_errno(void *arg)
{
    weft_task *tasks[8];
    for (int i = 0; i < 8; i++)
        tasks[i] = weft_spawn(keep_errno, number(i));
    *own_errno() = 77;
    for (int i = 0; i < 8; i++)
        assert_int_equal(weft_join(tasks[i], NULL), 0);
    assert_int_equal(*own_errno(), 77);
    return arg;
}

/* DESIGN 3: errno is saved by the switch; weft does not set it */
static void test_errno_survives(void **state)
{
    (void)state;
    everywhere(root_errno);
}

static void *keep_floats(void *arg)
{
    double seed = (double)(intptr_t)arg;
    double a = seed, b = seed / 3, c = seed * 7, d = seed + 0.25, e = -seed, f = 1 / (seed + 1);
    double g = seed - 0.5, h = seed * seed, sum = a + b + c + d + e + f + g + h;

    for (int i = 0; i < 200; i++) {
        weft_yield();
        /* All of them live across the yield, in registers where the ABI has some to save. */
        assert_true(a + b + c + d + e + f + g + h == sum);
        a += 1;
        e -= 1;
        sum = a + b + c + d + e + f + g + h;
    }
    return number(sum == a + b + c + d + e + f + g + h);
}

static void *root_floats(void *arg)
{
    weft_task *tasks[8];
    for (int i = 0; i < 8; i++)
        tasks[i] = weft_spawn(keep_floats, number(i));
    for (int i = 0; i < 8; i++)
        expect(tasks[i], 0, number(1));
    return arg;
}

/* DESIGN 3: the switch saves what the ABI says is the callee's */
static void test_floats_survive(void **state)
{
    (void)state;
    everywhere(root_floats);
}

__attribute__((noinline)) static int dig(volatile char *above, int depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    frame[1023] = above ? above[0] : 0;
    if (depth > 0 && dig(frame, depth - 1) != depth - 1)
        return -1;
    if (depth == 50 && weft_yield() < 0)
        return -1;
    return frame[0] == (char)depth ? depth : -1;
}

static void *use_stack(void *arg)
{
    return number(dig(NULL, (int)(intptr_t)arg));
}

static void *root_deep(void *arg)
{
    int depth = BUILT_WITH_ASAN || BUILT_WITH_TSAN ? 60 : 120;
    weft_task *tasks[16];
    for (int i = 0; i < 16; i++)
        tasks[i] = weft_spawn(use_stack, number(depth));
    for (int i = 0; i < 16; i++)
        expect(tasks[i], 0, number(depth));
    return arg;
}

/* Fibers use half of their 256 KiB, and suspend deep down */
static void test_deep_stacks(void **state)
{
    (void)state;
    everywhere(root_deep);
}

static void *wait_to_be_freed(void *arg)
{
    atomic_fetch_add(&started, 1);
    weft_sleep(WEFT_FOREVER);
    return arg;
}

static void *root_no_stack(void *arg)
{
    enum { MOST = 8000 };
    static weft_task *tasks[MOST];
    int count = 0, with_stack = 0, without = 0;

    atomic_store(&started, 0);
    for (; count < MOST; count++) {
        assert_non_null(tasks[count] = weft_spawn(wait_to_be_freed, NULL));
        if (count % 100 == 99)
            weft_yield();
    }
    /* They all have started, or ended for want of a stack. */
    for (int i = 0; i < MOST; i++)
        weft_abort(tasks[i]);
    for (int i = 0; i < MOST; i++) {
        void *result = &count;
        int rc = weft_join(tasks[i], &result);
        if (rc == -ENOMEM) {
            assert_ptr_equal(result, &count);
            without++;
        } else {
            assert_int_equal(rc, -ECANCELED);
            with_stack++;
        }
    }
    assert_true(with_stack > 0);
    print_message("%d fibers found room for a stack, %d did not\n", with_stack, without);
    /* The stacks are free again. */
    assert_int_equal(weft_join(weft_spawn(return_arg, NULL), NULL), 0);
    return arg;
}

/* A fiber that can get no stack never runs, and join says -ENOMEM (64 GiB of addresses each) */
static void test_no_room_for_stacks(void **state)
{
    (void)state;
    if (is_slow())
        skip();
    for (int i = 0; i < FLAVORS; i++) {
        struct weft_config config = flavors[i];
        config.fiber_stack_size = (size_t)1 << 36;
        run_on(&config, root_no_stack, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_gives_the_result),
        cmocka_unit_test(test_spawn_never_runs_inline),
        cmocka_unit_test(test_misuse_outside),
        cmocka_unit_test(test_misuse_inside),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_is_finished),
        cmocka_unit_test(test_abort_before_start),
        cmocka_unit_test(test_abort_suspended),
        cmocka_unit_test(test_abort_running),
        cmocka_unit_test(test_abort_finished),
        cmocka_unit_test(test_abort_self),
        cmocka_unit_test(test_cancel_is_sticky),
        cmocka_unit_test(test_result_ranks_above_cancel),
        cmocka_unit_test(test_join_from_a_thread),
        cmocka_unit_test(test_double_join),
        cmocka_unit_test(test_join_self),
        cmocka_unit_test(test_yield),
        cmocka_unit_test(test_chained_spawn),
        cmocka_unit_test(test_nested_joins),
        cmocka_unit_test(test_errno_survives),
        cmocka_unit_test(test_floats_survive),
        cmocka_unit_test(test_deep_stacks),
        cmocka_unit_test(test_no_room_for_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
