/*
 * What every test program includes: cmocka, or the part of it that the tests use, written out below
 * for places without it (WEFT_TEST_MINI: the aarch64 cross build).
 *
 *     static void test_something(void **state)
 *     {
 *         (void)state;
 *         assert_int_equal(weft_thing(), 0);
 *     }
 *
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = { cmocka_unit_test(test_something) };
 *         return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 *
 * An assertion may stand in a task, on any thread. When one fails it says so and aborts the whole
 * program: cmocka's usual longjmp back into the test's frame would cross stacks. `skip()` belongs in
 * the test function itself. For sizes that would be slow under sanitizers, valgrind and emulators
 * there is `test_scale(normal, small)`.
 *
 * WEFT_TEST_FILTER='test_some*' in the environment runs only the tests with such a name.
 */
#ifndef WEFT_TESTS_HARNESS_H
#define WEFT_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The normal size of something, or the small one where all is slow (WEFT_TEST_SCALE=small). */
static inline long test_scale(long normal, long small)
{
    const char *scale = getenv("WEFT_TEST_SCALE");

    return scale && strcmp(scale, "small") == 0 ? small : normal;
}

#ifndef WEFT_TEST_MINI

#include <cmocka.h>

__attribute__((constructor)) static void harness_start(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    cmocka_set_test_filter(getenv("WEFT_TEST_FILTER"));
}

#else

#include <fnmatch.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

/* clang-format off */
#define cmocka_unit_test(f) { #f, f, NULL, NULL }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) { #f, f, setup, teardown }
/* clang-format on */

static jmp_buf harness_skip;

#define HARNESS_HERE __FILE__, __LINE__

static inline void harness_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    abort();
}

static inline void harness_check(const char *file, int line, const char *what, int ok)
{
    if (!ok)
        harness_fail(file, line, what);
}

static inline void harness_compare(const char *file, int line, const char *what, uintmax_t a,
                                   uintmax_t b, int equal)
{
    if ((a == b) != equal) {
        fprintf(stderr, "%jd and %jd\n", (intmax_t)a, (intmax_t)b);
        harness_fail(file, line, what);
    }
}

static inline void harness_range(const char *file, int line, const char *what, uintmax_t v,
                                 uintmax_t low, uintmax_t high)
{
    if (v < low || v > high) {
        fprintf(stderr, "%ju, and the range is %ju..%ju\n", v, low, high);
        harness_fail(file, line, what);
    }
}

#define assert_int_equal(a, b)                                                                     \
    harness_compare(HARNESS_HERE, #a " == " #b, (uintmax_t)(a), (uintmax_t)(b), 1)
#define assert_int_not_equal(a, b)                                                                 \
    harness_compare(HARNESS_HERE, #a " != " #b, (uintmax_t)(a), (uintmax_t)(b), 0)
#define assert_ptr_equal(p, q)                                                                     \
    harness_compare(HARNESS_HERE, #p " == " #q, (uintptr_t)(p), (uintptr_t)(q), 1)
#define assert_ptr_not_equal(p, q)                                                                 \
    harness_compare(HARNESS_HERE, #p " != " #q, (uintptr_t)(p), (uintptr_t)(q), 0)
#define assert_in_range(v, low, high)                                                              \
    harness_range(HARNESS_HERE, #v " in " #low ".." #high, (uintmax_t)(v), (uintmax_t)(low),       \
                  (uintmax_t)(high))
#define assert_true(c) harness_check(HARNESS_HERE, #c, !!(c))
#define assert_false(c) harness_check(HARNESS_HERE, "not " #c, !(c))
#define assert_null(p) harness_check(HARNESS_HERE, #p " is NULL", (p) == NULL)
#define assert_non_null(p) harness_check(HARNESS_HERE, #p " is not NULL", (p) != NULL)
#define assert_string_equal(s, t) harness_check(HARNESS_HERE, #s " equals " #t, strcmp(s, t) == 0)
#define assert_string_not_equal(s, t)                                                              \
    harness_check(HARNESS_HERE, #s " differs from " #t, strcmp(s, t) != 0)
#define assert_memory_equal(p, q, n)                                                               \
    harness_check(HARNESS_HERE, #p " equals " #q, memcmp(p, q, n) == 0)
#define fail() harness_fail(HARNESS_HERE, "fail()")
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), fail())
#define print_message(...) ((void)printf(__VA_ARGS__))
#define skip() longjmp(harness_skip, 1)

/* False when the test was skipped. By itself, so that no variable lives across the longjmp. */
__attribute__((noinline, unused)) static int harness_run_one(void (*run)(void **state),
                                                             void **state)
{
    return setjmp(harness_skip) == 0 ? (run(state), 1) : 0;
}

static inline int harness_run(const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
                              int (*teardown)(void **))
{
    const char *filter = getenv("WEFT_TEST_FILTER");
    void *group = NULL;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (setup)
        assert_int_equal(setup(&group), 0);
    for (const struct CMUnitTest *test = tests; test < tests + count; test++) {
        void *state = group;

        if (filter && fnmatch(filter, test->name, 0) != 0)
            continue;
        printf("[ RUN      ] %s\n", test->name);
        if (test->setup)
            assert_int_equal(test->setup(&state), 0);
        printf("[ %8s ] %s\n", harness_run_one(test->run, &state) ? "OK" : "SKIPPED", test->name);
        if (test->teardown)
            assert_int_equal(test->teardown(&state), 0);
    }
    if (teardown)
        assert_int_equal(teardown(&group), 0);
    return 0;
}

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    harness_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#endif
#endif
