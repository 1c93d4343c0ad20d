/* test: serial timeout=120 */
/*
 * Every allocation that the library makes fails once: the n-th one, for every n until a run needs
 * fewer. Each time there is a clear code, nothing leaks, nothing hangs.
 *
 * The functions below stand before the C library's. They fail and count only what libweft asks for:
 * who calls is told by the return address.
 */
#include "flavors.h"

#if BUILT_WITH_ASAN || BUILT_WITH_TSAN || !defined(__GLIBC__)

static void test_failing_allocations(void **state)
{
    (void)state;
    skip(); /* the sanitizers stand there themselves */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_failing_allocations) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *pointer);

static uintptr_t library_begin, library_end;
static atomic_bool armed;
static atomic_long asked;   /* allocations of the library since it was armed */
static atomic_long fail_at; /* which of them fails; -1: none */
static atomic_long mapped;  /* bytes */

/* What the library has and has not yet freed, whoever frees it. Open addressing, never emptied. */
enum { TABLE = 1 << 14 };
static _Atomic uintptr_t table[TABLE];
static atomic_long outstanding;

static void remember(void *pointer)
{
    size_t i = ((uintptr_t)pointer >> 4) % TABLE;
    for (;; i = (i + 1) % TABLE) {
        uintptr_t found = atomic_load(&table[i]);
        if (found <= 1 && atomic_compare_exchange_strong(&table[i], &found, (uintptr_t)pointer))
            break;
    }
    atomic_fetch_add(&outstanding, 1);
}

static void forget(void *pointer)
{
    size_t i = ((uintptr_t)pointer >> 4) % TABLE;
    for (size_t n = 0; n < TABLE; n++, i = (i + 1) % TABLE) {
        uintptr_t found = atomic_load(&table[i]);
        if (found == 0)
            return;
        if (found == (uintptr_t)pointer) {
            atomic_store(&table[i], 1); /* a gap; searches go on over it */
            atomic_fetch_sub(&outstanding, 1);
            return;
        }
    }
}

static bool is_library(const void *caller)
{
    return atomic_load_explicit(&armed, memory_order_relaxed) &&
           (uintptr_t)caller - library_begin < library_end - library_begin;
}

/* Whether this one may be had. */
static bool may_have(void)
{
    return atomic_fetch_add(&asked, 1) != atomic_load(&fail_at);
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    if (!is_library(CALLER))
        return __libc_malloc(size);
    void *pointer = may_have() ? __libc_malloc(size) : NULL;
    if (pointer)
        remember(pointer);
    return pointer;
}

void *calloc(size_t count, size_t size)
{
    if (!is_library(CALLER))
        return __libc_calloc(count, size);
    void *pointer = may_have() ? __libc_calloc(count, size) : NULL;
    if (pointer)
        remember(pointer);
    return pointer;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (!is_library(CALLER))
        return __libc_memalign(alignment, size);
    void *pointer = may_have() ? __libc_memalign(alignment, size) : NULL;
    if (pointer)
        remember(pointer);
    return pointer;
}

void free(void *pointer)
{
    if (pointer && atomic_load(&outstanding))
        forget(pointer);
    __libc_free(pointer);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    bool library = is_library(CALLER);
    if (library && !may_have()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *map = (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    if (library && map != MAP_FAILED)
        atomic_fetch_add(&mapped, (long)length);
    return map;
}

int munmap(void *address, size_t length)
{
    if (is_library(CALLER))
        atomic_fetch_sub(&mapped, (long)length);
    return (int)syscall(SYS_munmap, address, length);
}

/* The first argument of each mapping tells the file. */
static int find_library(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    if (!strstr(info->dlpi_name, "libweft"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && header->p_flags & PF_X) {
            library_begin = info->dlpi_addr + header->p_vaddr;
            library_end = library_begin + header->p_memsz;
        }
    }
    return 1;
}

/* ---- what is tried ---- */

static void *sleep_briefly(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_US(50)), 0);
    return arg;
}

struct frame {
    WEFT_FRAME;
    char bytes[500];
};

static int poll_frame(struct frame *self)
{
    WEFT_BEGIN(self);
    WEFT_AWAIT(self, WEFT_AFTER(WEFT_US(50)));
    WEFT_END(self);
}

static atomic_int drops;

static void drop_frame(void *frame)
{
    (void)frame;
    atomic_fetch_add(&drops, 1);
}

static void *root(void *arg)
{
    enum { COUNT = 150 }; /* more than a magazine, and than a slab of stacks */
    weft_task *tasks[COUNT];
    struct frame frame = { .weft_frame.drop = drop_frame };
    (void)arg;

    for (int i = 0; i < COUNT; i++)
        tasks[i] = weft_spawn(sleep_briefly, number(i));
    weft_task *stackless = weft_spawn_stackless(poll_frame, &frame);
    int rc = weft_go(return_arg, NULL);
    assert_true(rc == 0 || rc == -ENOMEM);
    for (int i = 0; i < COUNT; i++) {
        void *result = &tasks;
        rc = weft_join(tasks[i], &result);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_ptr_equal(result, rc == 0 ? number(i) : (void *)&tasks);
    }
    rc = weft_join(stackless, NULL);
    assert_int_equal(rc, stackless ? 0 : -ENOMEM);
    assert_int_equal(atomic_exchange(&drops, 0), stackless != NULL);
    rc = weft_go(sleep_for_ever, NULL);
    assert_true(rc == 0 || rc == -ENOMEM);
    weft_yield();
    return NULL;
}

/* Everything once. */
static void live(const struct weft_config *config)
{
    weft_runtime *runtime = NULL;
    int rc = weft_runtime_new(config, &runtime);
    if (rc < 0) {
        assert_true(rc == -ENOMEM || rc == -EAGAIN); /* -EAGAIN: a thread's own memory */
        assert_null(runtime);
        return;
    }
    void *result = &runtime;
    rc = weft_block_on(runtime, root, NULL, &result);
    assert_true(rc == 0 ? result == NULL : rc == -ENOMEM && result == &runtime);

    weft_handle *handle = weft_runtime_handle(runtime);
    int depth = weft_enter(handle);
    assert_true(depth == 1 || depth == -ENOMEM);
    if (depth == 1) {
        weft_task *task = weft_spawn(sleep_for_ever, NULL);
        weft_detach(task);
        assert_int_equal(weft_leave(depth), 0);
    } else {
        assert_null(weft_spawn(sleep_for_ever, NULL));
    }
    assert_int_equal(weft_runtime_free(runtime), 0);
    weft_task *task = weft_handle_spawn(handle, return_arg, NULL);
    rc = weft_join(task, NULL);
    assert_int_equal(rc, task ? -ECANCELED : -ENOMEM);
    weft_handle_free(handle);
}

/* DESIGN: no memory is an error code like others; fail the n-th allocation for every n */
static void test_failing_allocations(void **state)
{
    (void)state;
    if (!library_end)
        skip(); /* linked in: nobody can tell who calls */
    for (int i = 0; i < FLAVORS; i++) {
        long n = -1; /* the first time nothing fails */
        int descriptors = descriptors_open(), threads = threads_alive();
        do {
            atomic_store(&asked, 0);
            atomic_store(&mapped, 0);
            atomic_store(&outstanding, 0);
            for (int k = 0; k < TABLE; k++)
                atomic_store(&table[k], 0);
            atomic_store(&fail_at, n);
            atomic_store(&armed, true);
            live(&flavors[i]);
            UNTIL(threads_alive() == threads);
            atomic_store(&armed, false);
            assert_int_equal(descriptors_open(), descriptors);
            if (atomic_load(&outstanding) || atomic_load(&mapped))
                fail_msg("flavor %d, allocation %ld of %ld: %ld not freed, %ld bytes still mapped",
                         i, n, atomic_load(&asked), atomic_load(&outstanding),
                         atomic_load(&mapped));
            n++;
            assert_in_range(n, 0, 2000);
        } while (n <= atomic_load(&asked));
        print_message("flavor %d: %ld allocations\n", i, n);
        assert_true(n > 10);
    }
}

int main(void)
{
    dl_iterate_phdr(find_library, NULL);
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_failing_allocations) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
