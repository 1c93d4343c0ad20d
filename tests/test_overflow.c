/* Running into the guard of a fiber's stack: what is said, and how the process dies. */
#include "flavors.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) static int recurse(volatile char *above, int depth)
{
    volatile char frame[512];
    frame[0] = above ? above[0] : 1;
    return depth == 0 ? frame[0] : recurse(frame, depth - 1) + frame[0];
}

static void *overflow(void *arg)
{
    return number(recurse(NULL, *(int *)arg));
}

static const struct weft_site site = { "some/where.c", "somebody", 4242 };

static void *root_overflows(void *arg)
{
    int depth = 1 << 20;
    (void)arg;
    weft_yield();
    weft_task *task = weft_spawn_at(overflow, &depth, &site);
    (void)!weft_join(task, NULL);
    return NULL;
}

static void *root_overflows_itself(void *arg)
{
    (void)arg;
    int depth = 1 << 20;
    return overflow(&depth);
}

static void *write_to_null(void *arg)
{
    *(volatile int *)arg = 1;
    return NULL;
}

static void *root_null(void *arg)
{
    (void)arg;
    (void)!weft_join(weft_spawn(write_to_null, NULL), NULL);
    return NULL;
}

static void *root_uses_it_up(void *arg)
{
    /* Most of it is fine. */
    int depth = 200;
    (void)arg;
    return recurse(NULL, depth) == depth + 1 ? NULL : number(1);
}

struct death {
    int status;
    char text[1000];
};

/* Runs a root in a child, on the given runtime; how that died and what it said. */
static struct death die(struct weft_config config, weft_task_fn *root)
{
    struct death death = { 0 };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = { 0, 0 };
        weft_runtime *runtime = NULL;
        void *result = NULL;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL); /* cmocka may have one of its own, which would get its share */
        signal(SIGBUS, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        alarm(60);
        if (weft_runtime_new(&config, &runtime) != 0)
            _exit(100);
        if (weft_block_on(runtime, root, NULL, &result) != 0 || result)
            _exit(101);
        _exit(weft_runtime_free(runtime) == 0 ? 0 : 102);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t n; (n = read(ends[0], death.text + length, sizeof death.text - 1 - length)) > 0;)
        length += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &death.status, 0), pid);
    return death;
}

static void skip_where_it_cannot_work(void)
{
    if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
        skip(); /* they have handlers of their own */
}

static void assert_reported(const struct death *death, const char *place, size_t size)
{
    char bytes[64];
    snprintf(bytes, sizeof bytes, "its stack of %zu bytes", size);
    assert_true(WIFSIGNALED(death->status) && WTERMSIG(death->status) == SIGABRT);
    assert_non_null(strstr(death->text, "weft: stack overflow"));
    assert_non_null(strstr(death->text, place));
    assert_non_null(strstr(death->text, bytes));
    /* One line. (qemu adds one of its own.) */
    if (!strstr(death->text, "qemu:"))
        assert_ptr_equal(strchr(death->text, '\n'), death->text + strlen(death->text) - 1);
}

/* DESIGN 3: an overflow is reported: spawn site, stack size; then abort */
static void test_overflow_is_reported(void **state)
{
    (void)state;
    skip_where_it_cannot_work();
    static const size_t sizes[] = { 0, 16 * 1024, 64 * 1024, 1024 * 1024 };
    for (int i = 0; i < FLAVORS; i++)
        for (int k = 0; k < 4; k++) {
            struct weft_config config = flavors[i];
            config.fiber_stack_size = sizes[k];
            struct death death = die(config, root_overflows);
            assert_reported(&death, "some/where.c:4242 (in somebody)",
                            sizes[k] ? sizes[k] : 256 * 1024);
        }
    struct death death = die(flavors[0], root_overflows_itself);
    assert_reported(&death, "(in die)", 256 * 1024); /* where weft_block_on stands */
}

/* Any other fault takes its usual course */
static void test_null_is_no_overflow(void **state)
{
    (void)state;
    skip_where_it_cannot_work();
    for (int i = 0; i < FLAVORS; i++) {
        struct death death = die(flavors[i], root_null);
        if (!WIFSIGNALED(death.status) || WTERMSIG(death.status) != SIGSEGV)
            fail_msg("status %x: %s", (unsigned)death.status, death.text);
        assert_null(strstr(death.text, "weft: "));
    }
}

/* Without the handler an overflow is a plain fault */
static void test_report_can_be_off(void **state)
{
    (void)state;
    skip_where_it_cannot_work();
    for (int i = 0; i < FLAVORS; i++) {
        struct weft_config config = flavors[i];
        config.disable_overflow_report = true;
        struct death death = die(config, root_overflows);
        if (!WIFSIGNALED(death.status) || WTERMSIG(death.status) != SIGSEGV)
            fail_msg("status %x: %s", (unsigned)death.status, death.text);
        assert_null(strstr(death.text, "weft: "));
    }
}

/* A stack may be used up to its guard */
static void test_no_false_alarm(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        struct death death = die(flavors[i], root_uses_it_up);
        assert_true(WIFEXITED(death.status) && WEXITSTATUS(death.status) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow_is_reported),
        cmocka_unit_test(test_null_is_no_overflow),
        cmocka_unit_test(test_report_can_be_off),
        cmocka_unit_test(test_no_false_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
