/* test: valgrind */
/*
 * Stackless tasks: what they await, how they end, and how often they are polled and dropped. Each
 * test runs on all flavors.
 */
#include "flavors.h"

#include <pthread.h>

/* What happened to a task, kept outside its frame. */
struct record {
    atomic_int polls;
    atomic_int drops;
    atomic_int stage; /* where it has got to */
    atomic_int seen;  /* a result it saw */
    atomic_bool go;
};

struct frame {
    WEFT_FRAME;
    struct record *record;
    weft_task *target;
    void *out;
    uint64_t due;
    long left;
};

static void drop_frame(void *opaque)
{
    struct frame *self = opaque;
    atomic_fetch_add(&self->record->drops, 1);
}

#define FRAME(...) (&(struct frame){ .weft_frame.drop = drop_frame, __VA_ARGS__ })

/* ---- running to the end ---- */

static int poll_end(struct frame *self)
{
    WEFT_BEGIN(self);
    atomic_fetch_add(&self->record->polls, 1);
    WEFT_END(self);
}

static int poll_return(struct frame *self)
{
    WEFT_BEGIN(self);
    WEFT_YIELD(self);
    WEFT_RETURN(self, number(self->left));
    WEFT_END(self);
}

static void *root_end(void *arg)
{
    struct record record = { 0 };

    expect(weft_spawn_stackless(poll_end, FRAME(.record = &record)), 0, NULL);
    assert_int_equal(atomic_load(&record.polls), 1);
    assert_int_equal(atomic_load(&record.drops), 1);
    expect(weft_spawn_stackless(poll_return, FRAME(.record = &record, .left = 99)), 0, number(99));
    assert_int_equal(atomic_load(&record.drops), 2);
    weft_detach(weft_spawn_stackless(poll_end, FRAME(.record = &record)));
    UNTIL(atomic_load(&record.drops) == 3);
    return arg;
}

/* parity 2.1 task::spawn; 10.7 destructor before completion: joined means dropped */
static void test_runs_to_its_end(void **state)
{
    (void)state;
    everywhere(root_end);
}

/* ---- awaiting ---- */

static int poll_sleeps(struct frame *self)
{
    WEFT_BEGIN(self);
    while (self->left-- > 0) {
        self->due = weft_now() + WEFT_US(200);
        WEFT_AWAIT(self, WEFT_AFTER(WEFT_US(200)));
        assert_int_equal(WEFT_RESULT(self), 0);
        assert_true(weft_now() >= self->due);
        atomic_fetch_add(&self->record->stage, 1);
    }
    WEFT_AWAIT(self, WEFT_AT(1)); /* long past */
    assert_int_equal(WEFT_RESULT(self), 0);
    WEFT_AWAIT(self, WEFT_AFTER(0));
    assert_int_equal(WEFT_RESULT(self), 0);
    WEFT_END(self);
}

static void *root_sleeps(void *arg)
{
    struct record record = { 0 };
    weft_task *tasks[20];

    for (int i = 0; i < 20; i++)
        tasks[i] = weft_spawn_stackless(poll_sleeps, FRAME(.record = &record, .left = 5));
    for (int i = 0; i < 20; i++)
        expect(tasks[i], 0, NULL);
    assert_int_equal(atomic_load(&record.stage), 100);
    assert_int_equal(atomic_load(&record.drops), 20);
    return arg;
}

/* parity 3.2 sleep, sleep_until: never early; past deadlines come soon */
static void test_sleeps(void **state)
{
    (void)state;
    everywhere(root_sleeps);
}

static int poll_yields(struct frame *self)
{
    WEFT_BEGIN(self);
    while (self->left-- > 0) {
        atomic_fetch_add(&self->record->polls, 1);
        WEFT_YIELD(self);
    }
    WEFT_END(self);
}

static void *root_yields(void *arg)
{
    struct record record = { 0 };
    weft_task *tasks[10];

    for (int i = 0; i < 10; i++)
        tasks[i] = weft_spawn_stackless(poll_yields, FRAME(.record = &record, .left = 300));
    for (int i = 0; i < 10; i++)
        expect(tasks[i], 0, NULL);
    assert_int_equal(atomic_load(&record.polls), 3000);
    return arg;
}

/* parity 10.2 yield */
static void test_yields(void **state)
{
    (void)state;
    everywhere(root_yields);
}

static int poll_joins(struct frame *self)
{
    WEFT_BEGIN(self);
    WEFT_AWAIT(self, WEFT_JOIN(self->target, &self->out));
    atomic_store(&self->record->seen, WEFT_RESULT(self));
    WEFT_RETURN(self, self->out);
    WEFT_END(self);
}

static void *sleep_then_return(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_US(200)), 0);
    return arg;
}

static weft_task *spawn_joiner(struct record *record, weft_task *target)
{
    return weft_spawn_stackless(poll_joins, FRAME(.record = record, .target = target));
}

static void *root_joins(void *arg)
{
    struct record record = { 0 };

    /* fibers: fresh, asleep, ended */
    expect(spawn_joiner(&record, weft_spawn(return_arg, number(1))), 0, number(1));
    assert_int_equal(atomic_load(&record.seen), 0);
    expect(spawn_joiner(&record, weft_spawn(sleep_then_return, number(2))), 0, number(2));
    weft_task *target = weft_spawn(return_arg, number(3));
    UNTIL(weft_task_is_finished(target));
    expect(spawn_joiner(&record, target), 0, number(3));
    assert_int_equal(atomic_load(&record.seen), 0);

    /* aborted ones: fresh, asleep */
    target = weft_spawn(return_arg, number(4));
    weft_abort(target);
    expect(spawn_joiner(&record, target), 0, NULL);
    assert_int_equal(atomic_load(&record.seen), -ECANCELED);
    target = weft_spawn(sleep_for_ever, NULL);
    weft_task *joiner = spawn_joiner(&record, target);
    for (int i = 0; i < 5; i++)
        weft_yield();
    weft_abort(target);
    assert_int_equal(weft_join(joiner, NULL), 0);
    assert_int_equal(atomic_load(&record.seen), -ECANCELED);

    /* a failed spawn */
    expect(spawn_joiner(&record, NULL), 0, NULL);
    assert_int_equal(atomic_load(&record.seen), -ENOMEM);

    /* a chain of stackless tasks, each awaiting the next */
    target = weft_spawn(sleep_then_return, number(5));
    for (int i = 0; i < 100; i++)
        target = spawn_joiner(&record, target);
    expect(target, 0, number(5));
    return arg;
}

/* parity 2.1 JoinHandle await, from a stackless task: of finished, aborted and running ones */
static void test_joins(void **state)
{
    (void)state;
    everywhere(root_joins);
}

static int poll_join_self(struct frame *self)
{
    WEFT_BEGIN(self);
    while (!atomic_load(&self->record->go))
        WEFT_YIELD(self);
    WEFT_AWAIT(self, WEFT_JOIN(self->target, NULL));
    atomic_store(&self->record->seen, WEFT_RESULT(self));
    WEFT_END(self);
}

static weft_task *_Atomic self_handle;

static int poll_join_own_handle(struct frame *self)
{
    WEFT_BEGIN(self);
    WEFT_AWAIT(self, WEFT_JOIN(atomic_load(&self_handle), NULL));
    atomic_store(&self->record->seen, WEFT_RESULT(self));
    WEFT_END(self);
}

static void *root_join_misuse(void *arg)
{
    struct record record = { 0 }, other = { 0 };

    /* oneself: the task is in the slot until we suspend, so it finds its handle */
    weft_task *task = weft_spawn_stackless(poll_join_own_handle, FRAME(.record = &record));
    atomic_store(&self_handle, task);
    expect(task, 0, NULL);
    assert_int_equal(atomic_load(&record.seen), -EDEADLK);

    /* one that is being joined already */
    if (is_single()) {
        weft_task *target = weft_spawn(sleep_for_ever, NULL);
        weft_task *first = spawn_joiner(&other, target);
        weft_task *second =
            weft_spawn_stackless(poll_join_self, FRAME(.record = &record, .target = target));
        for (int i = 0; i < 10; i++)
            weft_yield();
        atomic_store(&record.go, true);
        expect(second, 0, NULL);
        assert_int_equal(atomic_load(&record.seen), -EINVAL);
        weft_abort(target);
        expect(first, 0, number(-ECANCELED));
        assert_int_equal(atomic_load(&other.seen), -ECANCELED);
    }
    return arg;
}

/* weft_join's -EDEADLK and -EINVAL, awaited */
static void test_join_misuse(void **state)
{
    (void)state;
    everywhere(root_join_misuse);
}

static int poll_ready_joins(struct frame *self)
{
    WEFT_BEGIN(self);
    while (self->left-- > 0) {
        self->target = weft_spawn(return_arg, NULL);
        while (!weft_task_is_finished(self->target))
            WEFT_YIELD(self);
        WEFT_AWAIT(self, WEFT_JOIN(self->target, NULL)); /* always ready */
        assert_int_equal(WEFT_RESULT(self), 0);
    }
    WEFT_END(self);
}

static void *root_ready_joins(void *arg)
{
    struct record record = { 0 };
    expect(weft_spawn_stackless(poll_ready_joins, FRAME(.record = &record, .left = 400)), 0, NULL);
    return arg;
}

/* parity 2.4 budget: a ready await on an empty budget yields, and keeps its result */
static void test_ready_awaits(void **state)
{
    (void)state;
    everywhere(root_ready_joins);
}

/* What needs a stack refuses. */
static int poll_misuse(struct frame *self)
{
    WEFT_BEGIN(self);
    assert_int_equal(weft_yield(), -EPERM);
    assert_int_equal(weft_sleep(0), -EPERM);
    assert_int_equal(weft_sleep(WEFT_FOREVER), -EPERM);
    assert_int_equal(weft_join(self->target, NULL), -EDEADLK);
    WEFT_AWAIT(self, WEFT_JOIN(self->target, NULL)); /* the handle is still good */
    assert_int_equal(WEFT_RESULT(self), 0);
    WEFT_END(self);
}

static void *root_misuse(void *arg)
{
    struct record record = { 0 };
    weft_task *target = weft_spawn(sleep_then_return, NULL);
    expect(weft_spawn_stackless(poll_misuse, FRAME(.record = &record, .target = target)), 0, NULL);
    return arg;
}

/* Suspending calls inside a stackless task */
static void test_fiber_calls_refuse(void **state)
{
    (void)state;
    everywhere(root_misuse);
}

/* ---- abort ---- */

static int poll_for_ever(struct frame *self)
{
    WEFT_BEGIN(self);
    atomic_fetch_add(&self->record->polls, 1);
    WEFT_AWAIT(self, WEFT_AFTER(WEFT_FOREVER));
    atomic_fetch_add(&self->record->polls, 1000);
    WEFT_END(self);
}

static int poll_yield_for_ever(struct frame *self)
{
    WEFT_BEGIN(self);
    for (;;) {
        atomic_store(&self->record->polls, 1);
        WEFT_YIELD(self);
    }
    WEFT_END(self);
}

static int poll_join_for_ever(struct frame *self)
{
    WEFT_BEGIN(self);
    atomic_fetch_add(&self->record->polls, 1);
    WEFT_AWAIT(self, WEFT_JOIN(self->target, NULL));
    atomic_fetch_add(&self->record->polls, 1000);
    WEFT_END(self);
}

static void *root_abort(void *arg)
{
    struct record record = { 0 };

    /* fresh: never polled, dropped all the same */
    weft_task *task = weft_spawn_stackless(poll_for_ever, FRAME(.record = &record));
    weft_abort(task);
    expect(task, -ECANCELED, NULL);
    assert_int_equal(atomic_load(&record.polls), 0);
    assert_int_equal(atomic_load(&record.drops), 1);

    int (*const ways[])(struct frame *) = { poll_for_ever, poll_yield_for_ever,
                                            poll_join_for_ever };
    for (int way = 0; way < 3; way++)
        for (int delay = 0; delay < 4; delay++) {
            record = (struct record){ 0 };
            weft_task *other = weft_spawn(sleep_for_ever, NULL);
            task = weft_spawn_stackless(ways[way], FRAME(.record = &record, .target = other));
            UNTIL(atomic_load(&record.polls) == 1);
            for (int i = 0; i < delay; i++)
                weft_yield();
            weft_abort(task);
            weft_abort(task);
            expect(task, -ECANCELED, NULL);
            assert_int_equal(atomic_load(&record.polls), 1); /* not called again */
            assert_int_equal(atomic_load(&record.drops), 1);
            /* A join that was cut short has consumed nothing. */
            assert_false(weft_task_is_finished(other));
            weft_abort(other);
            assert_int_equal(weft_join(other, NULL), -ECANCELED);
        }

    /* finished: keeps its result */
    task = weft_spawn_stackless(poll_return, FRAME(.record = &record, .left = 5));
    UNTIL(weft_task_is_finished(task));
    weft_abort(task);
    expect(task, 0, number(5));
    return arg;
}

/* parity 10.8 abort, idle, queued, complete: dropped exactly once, never polled again */
static void test_abort(void **state)
{
    (void)state;
    everywhere(root_abort);
}

static int poll_abort_self(struct frame *self)
{
    WEFT_BEGIN(self);
    weft_abort(atomic_load(&self_handle));
    if (self->left)
        WEFT_YIELD(self);
    atomic_fetch_add(&self->record->polls, 1);
    WEFT_RETURN(self, number(3));
    WEFT_END(self);
}

static void *root_abort_self(void *arg)
{
    for (int suspends = 0; suspends < 2; suspends++) {
        struct record record = { 0 };
        weft_task *task =
            weft_spawn_stackless(poll_abort_self, FRAME(.record = &record, .left = suspends));
        atomic_store(&self_handle, task);
        expect(task, suspends ? -ECANCELED : 0, suspends ? NULL : number(3));
        assert_int_equal(atomic_load(&record.polls), !suspends);
        assert_int_equal(atomic_load(&record.drops), 1);
    }
    return arg;
}

/* parity 10.8 abort, running: returns ready, so the result wins; else cancelled */
static void test_abort_self(void **state)
{
    (void)state;
    everywhere(root_abort_self);
}

/* A drop that detaches what its task was waiting for, and uses the runtime. */
static void drop_and_detach(void *opaque)
{
    struct frame *self = opaque;

    assert_int_equal(weft_sleep(WEFT_FOREVER), -EPERM);
    weft_abort(self->target);
    weft_detach(self->target);
    weft_task *task = weft_spawn(return_arg, NULL);
    assert_non_null(task);
    weft_detach(task);
    atomic_fetch_add(&self->record->drops, 1);
}

static void *root_drop_works(void *arg)
{
    struct weft_metrics metrics;
    for (int i = 0; i < 50; i++) {
        struct record record = { 0 };
        weft_task *task = weft_spawn_stackless(
            poll_join_for_ever, &(struct frame){ .weft_frame.drop = drop_and_detach,
                                                 .record = &record,
                                                 .target = weft_spawn(sleep_for_ever, NULL) });
        for (int k = 0; k < i % 5; k++)
            weft_yield();
        weft_abort(task);
        expect(task, -ECANCELED, NULL);
        assert_in_range(atomic_load(&record.polls), 0, 1);
        assert_int_equal(atomic_load(&record.drops), 1);
    }
    UNTIL(weft_metrics_read(NULL, &metrics) == 0 && metrics.alive_tasks == 1);
    return arg;
}

/* drop may call what does not suspend */
static void test_drop_may_work(void **state)
{
    (void)state;
    everywhere(root_drop_works);
}

/* ---- spawning ---- */

struct big_frame {
    WEFT_FRAME;
    char bytes[3500];
};

struct too_big_frame {
    WEFT_FRAME;
    char bytes[4096];
};

static int poll_big(struct big_frame *self)
{
    WEFT_BEGIN(self);
    for (size_t i = 0; i < sizeof self->bytes; i++)
        assert_int_equal(self->bytes[i], (char)i);
    WEFT_YIELD(self);
    for (size_t i = 0; i < sizeof self->bytes; i++)
        assert_int_equal(self->bytes[i], (char)i);
    WEFT_RETURN(self, number(1));
    WEFT_END(self);
}

static int poll_too_big(struct too_big_frame *self)
{
    (void)self;
    fail();
    return WEFT_DONE;
}

static atomic_int unexpected_drops;

static void drop_unexpected(void *frame)
{
    (void)frame;
    atomic_fetch_add(&unexpected_drops, 1);
}

static void *root_big(void *arg)
{
    static struct big_frame big;
    static struct too_big_frame too_big = { .weft_frame.drop = drop_unexpected };

    for (size_t i = 0; i < sizeof big.bytes; i++)
        big.bytes[i] = (char)i;
    weft_task *tasks[10];
    for (int i = 0; i < 10; i++)
        tasks[i] = weft_spawn_stackless(poll_big, &big);
    for (int i = 0; i < 10; i++)
        expect(tasks[i], 0, number(1));
    assert_null(weft_spawn_stackless(poll_too_big, &too_big));
    assert_int_equal(atomic_load(&unexpected_drops), 0);
    return arg;
}

/* The frame is copied; one too large gives NULL and is not dropped */
static void test_frame_sizes(void **state)
{
    (void)state;
    everywhere(root_big);
}

static void test_outside(void **state)
{
    (void)state;
    struct record record = { 0 };
    assert_null(weft_spawn_stackless(poll_end, FRAME(.record = &record)));
    assert_int_equal(atomic_load(&record.drops), 0);
}

struct outsider {
    weft_handle *handle;
    struct record record;
    weft_task *tasks[50];
    atomic_bool done;
};

static void *spawn_from_outside(void *arg)
{
    struct outsider *outsider = arg;
    int depth = weft_enter(outsider->handle);

    assert_int_equal(depth, 1);
    for (int i = 0; i < 50; i++) {
        outsider->tasks[i] =
            weft_spawn_stackless(poll_return, FRAME(.record = &outsider->record, .left = i));
        assert_non_null(outsider->tasks[i]);
    }
    /* Plain threads may join them as well. */
    for (int i = 0; i < 25; i++)
        expect(outsider->tasks[i], 0, number(i));
    assert_int_equal(weft_leave(depth), 0);
    atomic_store(&outsider->done, true);
    return NULL;
}

static void *root_outsider(void *arg)
{
    struct outsider outsider = { .handle = weft_handle_current() };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, spawn_from_outside, &outsider), 0);
    UNTIL(atomic_load(&outsider.done));
    pthread_join(thread, NULL);
    for (int i = 25; i < 50; i++)
        expect(outsider.tasks[i], 0, number(i));
    assert_int_equal(atomic_load(&outsider.record.drops), 50);
    weft_handle_free(outsider.handle);
    return arg;
}

/* parity 2.1 spawn: outside a runtime; from an entered thread; 1.1 enter */
static void test_spawn_from_outside(void **state)
{
    (void)state;
    everywhere(root_outsider);
}

/* ---- together with fibers ---- */

struct mixed {
    struct record record;
    atomic_long sum;
};

static int poll_mixed(struct frame *self)
{
    WEFT_BEGIN(self);
    while (self->left-- > 0) {
        self->target = weft_spawn(return_arg, number(self->left));
        WEFT_AWAIT(self, WEFT_JOIN(self->target, &self->out));
        assert_int_equal(WEFT_RESULT(self), 0);
        assert_ptr_equal(self->out, number(self->left));
        WEFT_YIELD(self);
        WEFT_AWAIT(self, WEFT_AFTER(WEFT_US(20)));
    }
    WEFT_RETURN(self, number(8));
    WEFT_END(self);
}

static void *mixed_fiber(void *arg)
{
    struct record *record = arg;
    for (int i = 0; i < 10; i++) {
        expect(weft_spawn_stackless(poll_mixed, FRAME(.record = record, .left = 3)), 0, number(8));
        weft_yield();
    }
    return NULL;
}

static void *root_mixed(void *arg)
{
    struct record record = { 0 };
    weft_task *fibers[10];
    weft_task *stackless[10];

    for (int i = 0; i < 10; i++) {
        fibers[i] = weft_spawn(mixed_fiber, &record);
        stackless[i] = weft_spawn_stackless(poll_mixed, FRAME(.record = &record, .left = 10));
    }
    for (int i = 0; i < 10; i++) {
        expect(fibers[i], 0, NULL);
        expect(stackless[i], 0, number(8));
    }
    assert_int_equal(atomic_load(&record.drops), 110);
    return arg;
}

/* Both kinds in one scheduler, joining each other */
static void test_mixed_with_fibers(void **state)
{
    (void)state;
    everywhere(root_mixed);
}

/* Left behind when the root ends: cancelled and dropped by the runtime's end. */
static struct record left_behind;

static void *root_leaves_them(void *arg)
{
    for (int i = 0; i < 300; i++) {
        int (*poll)(struct frame *) = i % 3 ? poll_for_ever : poll_yield_for_ever;
        weft_detach(weft_spawn_stackless(poll, FRAME(.record = &left_behind)));
    }
    for (int i = 0; i < 20; i++)
        weft_yield();
    return arg;
}

/* parity 1.4 Drop; 10.8 shutdown, idle and queued tasks: each is dropped once */
static void test_dropped_at_shutdown(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        left_behind = (struct record){ 0 };
        run_on(&flavors[i], root_leaves_them, NULL);
        assert_int_equal(atomic_load(&left_behind.drops), 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_to_its_end),
        cmocka_unit_test(test_sleeps),
        cmocka_unit_test(test_yields),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_join_misuse),
        cmocka_unit_test(test_ready_awaits),
        cmocka_unit_test(test_fiber_calls_refuse),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_self),
        cmocka_unit_test(test_drop_may_work),
        cmocka_unit_test(test_frame_sizes),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_spawn_from_outside),
        cmocka_unit_test(test_mixed_with_fibers),
        cmocka_unit_test(test_dropped_at_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
