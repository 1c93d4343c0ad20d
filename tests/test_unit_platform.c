/* What src/platform/ promises in its headers. */
/* test: valgrind timeout=120 */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#if WEFT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#include "platform/context.h"
#include "platform/overflow.h"
#include "platform/park.h"
#include "platform/sanitizer.h"
#include "platform/socket.h"
#include "platform/stack.h"
#include "platform/system.h"

/* ---- contexts: the least that a fiber needs ------------------------------------------------- */

enum { STACK = 256 * 1024 };

struct context {
    void *saved;
    struct weft__san san;
    char *base;
    int died;
};

/* Where the running context takes its arguments from, one for each thread. */
static _Thread_local struct context *thread_context;
static _Thread_local struct context *fiber_context;

/* Out of line for the reason that weft__errno is. */
static __attribute__((noinline)) struct context *this_thread(void)
{
    __asm__ volatile("" ::: "memory");
    return thread_context;
}

static __attribute__((noinline)) struct context *this_fiber(void)
{
    __asm__ volatile("" ::: "memory");
    return fiber_context;
}

static void switch_contexts(struct context *from, struct context *to, bool dying)
{
    weft__san_leave(&from->san, &to->san, dying);
    weft__switch(&from->saved, to->saved);
    weft__san_arrive(&from->san);
}

static void context_new(struct context *context, void (*entry)(void))
{
    void *base = NULL;
    size_t page = weft__page_size();

    assert_int_equal(weft__map_reserve(STACK, &base), 0);
    assert_int_equal(weft__stack_guard(base), 0);
    memset(context, 0, sizeof *context);
    context->base = base;
    weft__san_stack_begin(&context->san, context->base + page, STACK - page);
    context->saved = weft__context_make(context->base + page, context->base + STACK, entry);
}

static void context_free(struct context *context)
{
    weft__san_stack_end(&context->san);
    weft__map_release(context->base, STACK);
}

/* From a thread's own stack into the fiber, until that comes back. */
static __attribute__((noinline)) void run(struct context *fiber)
{
    struct context thread;

    memset(&thread, 0, sizeof thread);
    weft__san_thread(&thread.san);
    thread_context = &thread;
    fiber_context = fiber;
    switch_contexts(&thread, fiber, false);
    thread_context = NULL;
    fiber_context = NULL;
}

static void back(void)
{
    switch_contexts(this_fiber(), this_thread(), false);
}

static void start(void)
{
    weft__san_arrive(&this_fiber()->san);
}

/* Does not return; and if it did, so would the entry function, into a trap. */
static void finish(void)
{
    this_fiber()->died = 1;
    switch_contexts(this_fiber(), this_thread(), true);
}

/* ---- the switch ----------------------------------------------------------------------------- */

static int trace[16];
static int traced;

static void count_entry(void)
{
    start();
    for (int i = 0; i < 5; i++) {
        trace[traced++] = 100 + i;
        back();
    }
    finish();
}

static void test_switch_ping_pong(void **state)
{
    (void)state;
    struct context fiber;

    traced = 0;
    context_new(&fiber, count_entry);
    for (int i = 0; i < 5; i++) {
        run(&fiber);
        trace[traced++] = i;
    }
    run(&fiber);
    assert_true(fiber.died);
    assert_int_equal(traced, 10);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(trace[2 * i], 100 + i);
        assert_int_equal(trace[2 * i + 1], i);
    }
    context_free(&fiber);
}

/* Fibers that hand over to each other without the thread's stack in between. */
enum { RING = 8 };
static struct context ring[RING];
static long ring_left;

static void ring_entry(void)
{
    start();
    int own = (int)(this_fiber() - ring);
    for (;;) {
        struct context *next = &ring[(own + 1) % RING];
        if (ring_left-- == 0)
            next = this_thread();
        else
            fiber_context = next;
        switch_contexts(&ring[own], next, false);
    }
}

static void test_switch_fiber_to_fiber(void **state)
{
    (void)state;

    ring_left = test_scale(100000, 1000);
    for (int i = 0; i < RING; i++)
        context_new(&ring[i], ring_entry);
    run(&ring[0]);
    assert_int_equal(ring_left, -1);
    for (int i = 0; i < RING; i++)
        context_free(&ring[i]);
}

static void *run_on_thread(void *fiber)
{
    run(fiber);
    return NULL;
}

/* pthread_self is declared const: a trap of the same kind as errno. */
static __attribute__((noinline)) pthread_t own_thread(void)
{
    __asm__ volatile("" ::: "memory");
    return pthread_self();
}

static pthread_t seen_threads[3];
static int *seen_errno[3];
static int thread_errno;

static void migrate_entry(void)
{
    start();
    double sum = 0.5;
    for (int i = 0; i < 3; i++) {
        seen_threads[i] = own_thread();
        seen_errno[i] = weft__errno();
        sum *= 3;
        *weft__errno() = 1000 + i;
        back();
    }
    thread_errno = *weft__errno();
    assert_true(sum == 0.5 * 27);
    finish();
}

static void test_switch_migrates_between_threads(void **state)
{
    (void)state;
    struct context fiber;
    pthread_t thread;

    context_new(&fiber, migrate_entry);
    run(&fiber);
    assert_ptr_equal(seen_errno[0], &errno);
    assert_int_equal(errno, 1000);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(pthread_create(&thread, NULL, run_on_thread, &fiber), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(pthread_equal(seen_threads[i], thread));
        assert_ptr_not_equal(seen_errno[i], &errno);
    }
    errno = 77;
    run(&fiber);
    assert_int_equal(thread_errno, 77);
    assert_true(fiber.died);
    context_free(&fiber);
}

/*
 * Calls weft__switch with known values in all callee-saved registers and hands back what they hold
 * when it returns.
 */
#if defined(__x86_64__)
enum { REGISTERS = 6 };

static void switch_registers(void **save, void *load, const uint64_t *in, uint64_t *out)
{
    register void (*target)(void **, void *) __asm__("r8") = weft__switch;
    __asm__ volatile("movq %%rsp, %%rax\n\t"
                     "subq $128, %%rsp\n\t" /* the red zone */
                     "andq $-16, %%rsp\n\t"
                     "pushq %%rax\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rcx\n\t"
                     "pushq %%rcx\n\t"
                     "movq 0(%%rdx), %%rbx\n\t"
                     "movq 8(%%rdx), %%rbp\n\t"
                     "movq 16(%%rdx), %%r12\n\t"
                     "movq 24(%%rdx), %%r13\n\t"
                     "movq 32(%%rdx), %%r14\n\t"
                     "movq 40(%%rdx), %%r15\n\t"
                     "call *%%r8\n\t"
                     "popq %%rcx\n\t"
                     "popq %%rcx\n\t"
                     "movq %%rbx, 0(%%rcx)\n\t"
                     "movq %%rbp, 8(%%rcx)\n\t"
                     "movq %%r12, 16(%%rcx)\n\t"
                     "movq %%r13, 24(%%rcx)\n\t"
                     "movq %%r14, 32(%%rcx)\n\t"
                     "movq %%r15, 40(%%rcx)\n\t"
                     "popq %%rbp\n\t"
                     "popq %%rsp"
                     : "+D"(save), "+S"(load), "+d"(in), "+c"(out), "+r"(target)
                     :
                     : "rax", "rbx", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}
#elif defined(__aarch64__)
enum { REGISTERS = 19 };

static void switch_registers(void **save, void *load, const uint64_t *in, uint64_t *out)
{
    register void **x0 __asm__("x0") = save;
    register void *x1 __asm__("x1") = load;
    register const uint64_t *x2 __asm__("x2") = in;
    register uint64_t *x3 __asm__("x3") = out;
    register void (*x4)(void **, void *) __asm__("x4") = weft__switch;
    __asm__ volatile("sub sp, sp, #16\n\t"
                     "stp x29, x3, [sp]\n\t"
                     "ldp x19, x20, [x2, #0]\n\t"
                     "ldp x21, x22, [x2, #16]\n\t"
                     "ldp x23, x24, [x2, #32]\n\t"
                     "ldp x25, x26, [x2, #48]\n\t"
                     "ldp x27, x28, [x2, #64]\n\t"
                     "ldp d8, d9, [x2, #80]\n\t"
                     "ldp d10, d11, [x2, #96]\n\t"
                     "ldp d12, d13, [x2, #112]\n\t"
                     "ldp d14, d15, [x2, #128]\n\t"
                     "ldr x29, [x2, #144]\n\t"
                     "blr x4\n\t"
                     "ldr x3, [sp, #8]\n\t"
                     "stp x19, x20, [x3, #0]\n\t"
                     "stp x21, x22, [x3, #16]\n\t"
                     "stp x23, x24, [x3, #32]\n\t"
                     "stp x25, x26, [x3, #48]\n\t"
                     "stp x27, x28, [x3, #64]\n\t"
                     "stp d8, d9, [x3, #80]\n\t"
                     "stp d10, d11, [x3, #96]\n\t"
                     "stp d12, d13, [x3, #112]\n\t"
                     "stp d14, d15, [x3, #128]\n\t"
                     "str x29, [x3, #144]\n\t"
                     "ldr x29, [sp]\n\t"
                     "add sp, sp, #16"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                     :
                     : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
                       "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8",
                       "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19",
                       "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                       "v31", "memory", "cc");
}
#else
enum { REGISTERS = 0 };
#endif

#if defined(__x86_64__) || defined(__aarch64__)
static void check_registers(struct context *from, struct context *to, uint64_t pattern)
{
    uint64_t in[REGISTERS], out[REGISTERS];

    for (int i = 0; i < REGISTERS; i++)
        in[i] = pattern * (uint64_t)(i + 1);
    weft__san_leave(&from->san, &to->san, false);
    switch_registers(&from->saved, to->saved, in, out);
    weft__san_arrive(&from->san);
    for (int i = 0; i < REGISTERS; i++)
        assert_int_equal(out[i], in[i]);
}

static void registers_entry(void)
{
    start();
    for (uint64_t i = 0; i < 10; i++)
        check_registers(this_fiber(), this_thread(), 0x0123456789abcdef + i);
    finish();
}

static void test_switch_keeps_registers(void **state)
{
    (void)state;
    struct context fiber, thread;

    memset(&thread, 0, sizeof thread);
    weft__san_thread(&thread.san);
    context_new(&fiber, registers_entry);
    thread_context = &thread;
    fiber_context = &fiber;
    for (uint64_t i = 0; i < 10; i++)
        check_registers(&thread, &fiber, 0xfedcba9876543210 - i);
    run(&fiber);
    assert_true(fiber.died);
    context_free(&fiber);
}
#else
static void test_switch_keeps_registers(void **state)
{
    (void)state;
    skip();
}
#endif

static char printed[64];
static uintptr_t frame_at_entry;

static void aligned_entry(void)
{
    start();
    /* x86-64: the frame pointer is pushed where the stack pointer was 8 modulo 16. */
    frame_at_entry = (uintptr_t)__builtin_frame_address(0);
    double x = 1.5, y = -2.25;
    back();
    /* printf stores vector registers with instructions that fault on a wrong alignment. */
    snprintf(printed, sizeof printed, "%.3f %.3f %.3f", x, y, x * y);
    finish();
}

static void test_entry_is_aligned_and_floats_survive(void **state)
{
    (void)state;

    for (size_t odd = 0; odd < 32; odd++) {
        struct context fiber;
        double a = 0.125 * (double)odd, b = 3.75;

        context_new(&fiber, aligned_entry);
        size_t page = weft__page_size();
        char *top = fiber.base + STACK - odd;
        fiber.saved = weft__context_make(fiber.base + page, top, aligned_entry);
        assert_true((char *)fiber.saved < top);
        assert_true((char *)fiber.saved >= fiber.base + STACK - 32 - WEFT__CONTEXT_ROOM);
        printed[0] = '\0';
        run(&fiber);
        assert_int_equal(frame_at_entry % 16, 0);
        run(&fiber);
        assert_string_equal(printed, "1.500 -2.250 -3.375");
        assert_true(a == 0.125 * (double)odd && b == 3.75);
        context_free(&fiber);
    }
}

static void *caller_seen;

static void unwind_entry(void)
{
    start();
    /* The frame pointer that the entry found: no caller. */
    caller_seen = *(void **)__builtin_frame_address(0);
    finish();
}

static void test_entry_has_no_caller(void **state)
{
    (void)state;
    struct context fiber;

    caller_seen = &fiber;
    context_new(&fiber, unwind_entry);
    run(&fiber);
    assert_null(caller_seen);
    context_free(&fiber);
}

/* Leaves red zones behind under ASan, and call stack entries under TSan. */
static __attribute__((noinline)) void die_deep(int depth)
{
    volatile char local[128];

    memset((char *)local, depth, sizeof local);
    if (depth == 0)
        finish();
    else
        die_deep(depth - 1);
    assert_int_equal(local[5], depth);
}

static void deep_entry(void)
{
    start();
    char local[1024];
    memset(local, 1, sizeof local);
    __asm__ volatile("" ::"r"(local) : "memory");
    back();
    die_deep(100);
}

static void test_stack_reuse(void **state)
{
    (void)state;
    struct context fiber;
    size_t page = weft__page_size();

    context_new(&fiber, deep_entry);
    for (long i = 0; i < test_scale(5000, 2000); i++) {
        fiber.saved = weft__context_make(fiber.base + page, fiber.base + STACK, deep_entry);
        fiber.died = 0;
        run(&fiber);
        run(&fiber);
        assert_true(fiber.died);
        weft__san_stack_reuse(&fiber.san);
    }
    context_free(&fiber);
}

static void test_stack_never_run(void **state)
{
    (void)state;
    struct context fiber;

    context_new(&fiber, deep_entry);
    context_free(&fiber);
}

/* Many threads, many fibers, each fiber resumed by whichever thread finds it free. */
enum { CROWD = 16, CROWD_THREADS = 4 };
static struct context crowd[CROWD];
static struct weft__lock crowd_locks[CROWD];
static long crowd_steps;
static long crowd_done[CROWD];

static void crowd_entry(void)
{
    start();
    int own = (int)(this_fiber() - crowd);
    for (long i = 0; i < crowd_steps; i++) {
        double x = 1.0 / (double)(i + 1);
        crowd_done[own]++;
        back();
        assert_true(x == 1.0 / (double)(i + 1));
    }
    finish();
}

static void *crowd_main(void *arg)
{
    unsigned at = (unsigned)(uintptr_t)arg * 7;

    for (int idle = 0; idle < CROWD; at++) {
        struct weft__lock *lock = &crowd_locks[at % CROWD];
        struct context *fiber = &crowd[at % CROWD];

        if (!weft__try_lock(lock))
            continue;
        if (fiber->died) {
            idle++;
        } else {
            idle = 0;
            run(fiber);
        }
        weft__unlock(lock);
    }
    return NULL;
}

static void test_switch_crowd(void **state)
{
    (void)state;
    pthread_t threads[CROWD_THREADS];

    crowd_steps = test_scale(20000, 200);
    memset(crowd_done, 0, sizeof crowd_done);
    for (int i = 0; i < CROWD; i++)
        context_new(&crowd[i], crowd_entry);
    for (int i = 0; i < CROWD_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, (void *)(uintptr_t)i), 0);
    for (int i = 0; i < CROWD_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd_done[i], crowd_steps);
        context_free(&crowd[i]);
    }
}

static void mask_entry(void)
{
    start();
    back();
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    thread_errno = sigismember(&mask, SIGUSR2);
    finish();
}

/* The mask is the thread's: a context does not carry the one it was suspended under along. */
static void test_signal_mask_stays_with_thread(void **state)
{
    (void)state;
    struct context fiber;
    sigset_t mask;

    context_new(&fiber, mask_entry);
    run(&fiber);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    run(&fiber);
    assert_int_equal(thread_errno, 1);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    context_free(&fiber);
}

/* ---- stacks --------------------------------------------------------------------------------- */

/* Runs `body` in a child; its wait status, and what it wrote to stderr. */
static int in_child(void (*body)(void), char *output, size_t size)
{
    int pipe_fds[2];

    assert_int_equal(pipe(pipe_fds), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = { 0, 0 };

        setrlimit(RLIMIT_CORE, &no_core);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        body();
        _exit(0);
    }
    close(pipe_fds[1]);

    size_t length = 0;
    char sink[512];
    for (;;) {
        size_t room = length + 1 < size ? size - 1 - length : 0;
        ssize_t n =
            read(pipe_fds[0], room > 0 ? output + length : sink, room > 0 ? room : sizeof sink);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (room > 0)
            length += (size_t)n;
    }
    output[length] = '\0';
    close(pipe_fds[0]);

    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_stack_map(void **state)
{
    (void)state;
    void *base = NULL;
    size_t page = weft__page_size();

    assert_int_equal(page, sysconf(_SC_PAGESIZE));
    assert_int_equal(weft__map_reserve(4 * STACK, &base), 0);
    assert_int_equal((uintptr_t)base % page, 0);

    char *stack = base;
    assert_int_equal(weft__stack_guard(stack + STACK), 0);
    stack[0] = 1;
    stack[STACK - 1] = 2;
    stack[STACK + page] = 3;
    assert_int_equal(stack[0], 1);
    weft__map_release(base, 4 * STACK);

    errno = 5;
    void *untouched = &page;
    assert_int_equal(weft__map_reserve((size_t)1 << 60, &untouched), -ENOMEM);
    assert_ptr_equal(untouched, &page);
    assert_int_equal(errno, 5);
}

static void test_stack_discard(void **state)
{
    (void)state;
    void *base = NULL;
    size_t page = weft__page_size();

    assert_int_equal(weft__map_reserve(8 * page, &base), 0);
    assert_int_equal(weft__stack_guard(base), 0);
    char *stack = base;
    memset(stack + page, 7, 7 * page);
    /* Pages that are only partly in the range stay. */
    weft__stack_discard(stack + 2 * page - 8, stack + 5 * page + 8);
    assert_int_equal(stack[2 * page - 1], 7);
    assert_int_equal(stack[2 * page], 0);
    assert_int_equal(stack[5 * page - 1], 0);
    assert_int_equal(stack[5 * page], 7);
    weft__stack_discard(stack + 6 * page + 1, stack + 7 * page - 1);
    assert_int_equal(stack[6 * page], 7);
    weft__map_release(base, 8 * page);
}

static void test_guard_stops_the_kernel_too(void **state)
{
    (void)state;
    void *base = NULL;
    size_t page = weft__page_size();

    assert_int_equal(weft__map_reserve(2 * page, &base), 0);
    assert_int_equal(weft__stack_guard(base), 0);
    print_message("guards are made with %s\n",
                  weft__stack_guard_is_light() ? "MADV_GUARD_INSTALL" : "mprotect");
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(syscall(SYS_read, fds[0], base, 1), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(syscall(SYS_read, fds[0], (char *)base + page, 1), 1);
    close(fds[0]);
    close(fds[1]);
    /* Giving back the pages leaves the guard. */
    weft__stack_discard(base, (char *)base + 2 * page);
    assert_int_equal(syscall(SYS_uname, (struct utsname *)base), -1);
    assert_int_equal(errno, EFAULT);
    weft__map_release(base, 2 * page);
}

static char *guarded;

static void write_to_guard(void)
{
    *(volatile char *)guarded = 1;
}

static void test_guard_stops_the_program(void **state)
{
    (void)state;
    void *base = NULL;
    char output[512];

    assert_int_equal(weft__map_reserve(2 * weft__page_size(), &base), 0);
    assert_int_equal(weft__stack_guard(base), 0);
    guarded = base;
    int status = in_child(write_to_guard, output, sizeof output);
    assert_true(status != 0);
    weft__map_release(base, 2 * weft__page_size());
}

/* ---- overflow ------------------------------------------------------------------------------- */

static struct context overflowing;

static void report_overflow(void *address)
{
    size_t page = weft__page_size();

    if ((uintptr_t)address - (uintptr_t)overflowing.base >= page || overflowing.base == NULL)
        return;
    struct weft__report report = { .length = 0 };
    weft__report_text(&report, "test: fiber overflowed its stack of ");
    weft__report_number(&report, STACK - page);
    weft__report_text(&report, " bytes\n");
    weft__report_write(&report);
    abort();
}

static __attribute__((noinline)) int recurse(int depth)
{
    volatile char room[512];

    room[depth % 512] = (char)depth;
    if (depth < 0)
        return 0;
    int deeper = recurse(depth + 1);
    return deeper + room[depth % 512];
}

static void overflow_entry(void)
{
    start();
    thread_errno = recurse(1);
    finish();
}

static void overflow(void)
{
    if (weft__overflow_install(report_overflow) != 0 || weft__overflow_thread_begin() != 0)
        _exit(3);
    context_new(&overflowing, overflow_entry);
    run(&overflowing);
}

static void *overflow_main(void *arg)
{
    overflow();
    return arg;
}

static void overflow_on_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, overflow_main, NULL) != 0)
        _exit(4);
    pthread_join(thread, NULL);
}

static void test_overflow_is_reported(void **state)
{
    (void)state;
    char output[4096], wanted[128];
    void (*ways[])(void) = { overflow, overflow_on_thread };

    snprintf(wanted, sizeof wanted, "test: fiber overflowed its stack of %zu bytes\n",
             (size_t)STACK - weft__page_size());
    for (int i = 0; i < 2; i++) {
        int status = in_child(ways[i], output, sizeof output);
        if (strstr(output, wanted) == NULL)
            fail_msg("status %#x: %s", (unsigned)status, output);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

/* Says how the child ended. The exit code cannot: valgrind puts its own in its place. */
static _Noreturn void end_with(int code)
{
    struct weft__report report = { .length = 0 };

    weft__report_text(&report, "ended with ");
    weft__report_number(&report, (unsigned)code);
    weft__report_text(&report, ".\n");
    weft__report_write(&report);
    _exit(0);
}

static void own_plain(int signal)
{
    end_with(signal == SIGSEGV ? 41 : 1);
}

static void own_info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    end_with(signal == SIGSEGV && (char *)info->si_addr == guarded ? 42 : 1);
}

static volatile sig_atomic_t repaired;

static void own_repair(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (++repaired > 10)
        end_with(1);
    mprotect(info->si_addr, 1, PROT_READ | PROT_WRITE);
}

static void overflow_after(const struct sigaction *action)
{
    if (sigaction(SIGSEGV, action, NULL) != 0 || weft__overflow_thread_begin() != 0 ||
        weft__overflow_install(report_overflow) != 0 ||
        weft__overflow_install(report_overflow) != 0)
        end_with(3);
    guarded = mmap(NULL, weft__page_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void chain_plain(void)
{
    overflow_after(&(struct sigaction){ .sa_handler = own_plain });
    write_to_guard();
}

static void chain_info(void)
{
    overflow_after(&(struct sigaction){ .sa_sigaction = own_info, .sa_flags = SA_SIGINFO });
    write_to_guard();
}

static void chain_repair(void)
{
    overflow_after(&(struct sigaction){ .sa_sigaction = own_repair, .sa_flags = SA_SIGINFO });
    write_to_guard();
    mprotect(guarded, 1, PROT_NONE);
    write_to_guard();
    end_with(repaired == 2 ? 43 : 1);
}

static void chain_once(void)
{
    overflow_after(&(struct sigaction){ .sa_sigaction = own_repair,
                                        .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND) });
    write_to_guard();
    mprotect(guarded, 1, PROT_NONE);
    write_to_guard();
    end_with(1);
}

static void chain_default(void)
{
    overflow_after(&(struct sigaction){ .sa_handler = SIG_DFL });
    write_to_guard();
    end_with(1);
}

static void chain_default_sent(void)
{
    overflow_after(&(struct sigaction){ .sa_handler = SIG_DFL });
    raise(SIGSEGV);
    end_with(1);
}

static void chain_ignored(void)
{
    overflow_after(&(struct sigaction){ .sa_handler = SIG_IGN });
    write_to_guard();
    end_with(1);
}

static void chain_ignored_sent(void)
{
    overflow_after(&(struct sigaction){ .sa_handler = SIG_IGN });
    raise(SIGSEGV);
    end_with(44);
}

static void test_overflow_chains(void **state)
{
    (void)state;
    static const struct {
        void (*body)(void);
        int code;   /* what it says at the end, or */
        int signal; /* what kills it */
    } cases[] = {
        { chain_plain, 41, 0 },        { chain_info, 42, 0 },
        { chain_repair, 43, 0 },       { chain_once, 0, SIGSEGV },
        { chain_default, 0, SIGSEGV }, { chain_default_sent, 0, SIGSEGV },
        { chain_ignored, 0, SIGSEGV }, { chain_ignored_sent, 44, 0 },
    };
    char output[4096];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* Valgrind does not keep all registers up to date for going on after a fault. */
        if (RUNNING_ON_VALGRIND && (cases[i].body == chain_repair || cases[i].body == chain_once))
            continue;
        int status = in_child(cases[i].body, output, sizeof output);
        char wanted[32];

        snprintf(wanted, sizeof wanted, "ended with %d.\n", cases[i].code);
        if (cases[i].signal != 0 ? !WIFSIGNALED(status) || WTERMSIG(status) != cases[i].signal
                                 : strstr(output, wanted) == NULL)
            fail_msg("case %zu: status %#x: %s", i, (unsigned)status, output);
    }
}

static void *alternate_main(void *arg)
{
    (void)arg;
    stack_t before, during, after;

    sigaltstack(NULL, &before);
    assert_int_equal(weft__overflow_thread_begin(), 0);
    sigaltstack(NULL, &during);
    assert_false(during.ss_flags & SS_DISABLE);
    if (!(before.ss_flags & SS_DISABLE))
        assert_ptr_equal(during.ss_sp, before.ss_sp);
    weft__overflow_thread_end();
    sigaltstack(NULL, &after);
    assert_int_equal(after.ss_flags, before.ss_flags);
    weft__overflow_thread_end();
    return NULL;
}

static void test_alternate_stack(void **state)
{
    (void)state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, alternate_main, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_report(void **state)
{
    (void)state;
    struct weft__report report = { .length = 0 };

    weft__report_number(&report, 0);
    weft__report_text(&report, " ");
    weft__report_number(&report, 18446744073709551615ULL);
    assert_int_equal(report.length, 22);
    assert_memory_equal(report.text, "0 18446744073709551615", 22);
    for (int i = 0; i < 100; i++)
        weft__report_text(&report, "too long ");
    assert_int_equal(report.length, sizeof report.text);
}

/* ---- futex and lock ------------------------------------------------------------------------- */

static void test_futex_deadline(void **state)
{
    (void)state;
    _Atomic uint32_t word = 5;

    errno = 3;
    uint64_t begin = weft__clock_now();
    while (weft__futex_wait(&word, 5, begin + 20000000)) /* spurious */
        ;
    uint64_t end = weft__clock_now();
    assert_true(end >= begin + 20000000);
    assert_true(end < begin + 2000000000);
    assert_false(weft__futex_wait(&word, 5, 0));
    assert_true(weft__futex_wait(&word, 6, UINT64_MAX)); /* another value: no wait */
    assert_true(weft__futex_wait(&word, 6, begin));
    assert_int_equal(errno, 3);
}

static void *waker_main(void *arg)
{
    _Atomic uint32_t *word = arg;

    weft__store(word, 1, release);
    weft__futex_wake(word, 1);
    return NULL;
}

static void test_futex_wake(void **state)
{
    (void)state;
    pthread_t thread;
    _Atomic uint32_t word = 0;

    assert_int_equal(pthread_create(&thread, NULL, waker_main, &word), 0);
    while (weft__load(&word, acquire) == 0)
        assert_true(weft__futex_wait(&word, 0, UINT64_MAX));
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static struct weft__lock shared_lock;
static long shared_count;
static long lock_rounds;

static void *lock_main(void *arg)
{
    for (long i = 0; i < lock_rounds; i++) {
        weft__lock(&shared_lock);
        shared_count++;
        if (i % 64 == 0)
            weft__thread_yield(); /* so that the others come to sleep */
        weft__unlock(&shared_lock);
    }
    return arg;
}

static void test_lock_contended(void **state)
{
    (void)state;
    pthread_t threads[4];

    lock_rounds = test_scale(200000, 5000);
    shared_count = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, lock_main, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(shared_count, 4 * lock_rounds);
    assert_int_equal(weft__load(&shared_lock.word, relaxed), 0);

    assert_true(weft__try_lock(&shared_lock));
    assert_false(weft__try_lock(&shared_lock));
    weft__unlock(&shared_lock);
}

/* ---- the machine ---------------------------------------------------------------------------- */

static void test_clock_and_seed(void **state)
{
    (void)state;
    uint64_t before = weft__clock_now();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = weft__clock_now();
        assert_true(now >= before);
        before = now;
    }
    assert_true(weft__random_seed() != weft__random_seed());
}

static void test_cpu_count(void **state)
{
    (void)state;
    cpu_set_t before, one;
    unsigned count = weft__cpu_count();

    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(count >= 1);
    assert_true(count <= (unsigned)CPU_COUNT(&before));
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        assert_int_equal(weft__cpu_count(), 1);
        break;
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(weft__cpu_count(), count);
}

static void test_quota_text(void **state)
{
    (void)state;

    assert_int_equal(weft__cpu_quota_v2("max 100000\n"), 0);
    assert_int_equal(weft__cpu_quota_v2("max\n"), 0);
    assert_int_equal(weft__cpu_quota_v2(""), 0);
    assert_int_equal(weft__cpu_quota_v2("nonsense"), 0);
    assert_int_equal(weft__cpu_quota_v2("100000 100000\n"), 1);
    assert_int_equal(weft__cpu_quota_v2("150000 100000\n"), 2);
    assert_int_equal(weft__cpu_quota_v2("1000 100000\n"), 1);
    assert_int_equal(weft__cpu_quota_v2("400000"), 4);
    assert_int_equal(weft__cpu_quota_v2("0 100000"), 0);
    assert_int_equal(weft__cpu_quota_v2("100000 0"), 0);
    assert_int_equal(weft__cpu_quota_v2("9223372036854775807 1"), 2147483647);
    assert_int_equal(weft__cpu_quota_v1(-1, 100000), 0);
    assert_int_equal(weft__cpu_quota_v1(250000, 100000), 3);
    assert_int_equal(weft__cpu_quota_v1(50000, 100000), 1);
    assert_int_equal(weft__cpu_quota_v1(50000, 0), 0);
    assert_int_equal(weft__cpu_quota_v1(50000, -5), 0);
}

/* A made-up /proc and cgroup tree in a directory of its own. */
static char tree[] = "/tmp/weft-cgroup-XXXXXX";

static void tree_file(const char *name, const char *format, ...)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", tree, name);
    for (char *slash = path + strlen(tree) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

static unsigned tree_quota(void)
{
    char cgroup[256], mountinfo[256];

    snprintf(cgroup, sizeof cgroup, "%s/cgroup", tree);
    snprintf(mountinfo, sizeof mountinfo, "%s/mountinfo", tree);
    return weft__cpu_quota_find(cgroup, mountinfo);
}

static void test_quota_lookup(void **state)
{
    (void)state;

    assert_non_null(mkdtemp(tree));
    assert_int_equal(tree_quota(), 0); /* no files at all */

    /* v2: the smallest on the way up counts, the root has none. */
    tree_file("cgroup", "0::/user/app\n");
    tree_file("mountinfo",
              "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
              "31 23 0:28 / %s/v2 rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n",
              tree);
    assert_int_equal(tree_quota(), 0);
    tree_file("v2/user/app/cpu.max", "max 100000\n");
    assert_int_equal(tree_quota(), 0);
    tree_file("v2/user/cpu.max", "350000 100000\n");
    assert_int_equal(tree_quota(), 4);
    tree_file("v2/user/app/cpu.max", "800000 100000\n");
    assert_int_equal(tree_quota(), 4);
    tree_file("v2/user/app/cpu.max", "120000 100000\n");
    assert_int_equal(tree_quota(), 2);
    tree_file("v2/cpu.max", "100000 100000\n"); /* a container's root */
    assert_int_equal(tree_quota(), 1);

    /* A path outside of what is mounted: the mount itself. */
    tree_file("cgroup", "0::/../elsewhere\n");
    assert_int_equal(tree_quota(), 1);
    tree_file("v2/cpu.max", "500000 100000\n");
    assert_int_equal(tree_quota(), 5);
    tree_file("cgroup", "0::/\n");
    assert_int_equal(tree_quota(), 5);

    /* The mount shows a part of the hierarchy, and has a space in its name. */
    tree_file("cgroup", "0::/docker/abc/inner\n");
    tree_file("mountinfo", "31 23 0:28 /docker/abc %s/v\\0402 rw - cgroup2 none rw\n", tree);
    tree_file("v 2/cpu.max", "600000 100000\n");
    assert_int_equal(tree_quota(), 6);
    tree_file("v 2/inner/cpu.max", "210000 100000\n");
    assert_int_equal(tree_quota(), 3);
    tree_file("cgroup", "0::/docker/abcdef/inner\n");
    assert_int_equal(tree_quota(), 6);

    /* v1, beside a v2 hierarchy without the controller. */
    tree_file("cgroup", "4:memory:/m\n3:cpuset:/s\n2:cpu,cpuacct:/app\n0::/x\n");
    tree_file("mountinfo",
              "31 23 0:28 / %s/unified rw - cgroup2 cgroup2 rw\n"
              "32 23 0:29 / %s/cpuset rw - cgroup cgroup rw,cpuset\n"
              "33 23 0:30 / %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
              tree, tree, tree);
    tree_file("cpuset/cpu.cfs_quota_us", "100000\n");
    tree_file("cpuset/cpu.cfs_period_us", "100000\n");
    assert_int_equal(tree_quota(), 0);
    tree_file("cpu/app/cpu.cfs_quota_us", "-1\n");
    tree_file("cpu/app/cpu.cfs_period_us", "100000\n");
    assert_int_equal(tree_quota(), 0);
    tree_file("cpu/cpu.cfs_quota_us", "700000\n");
    tree_file("cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(tree_quota(), 7);
    tree_file("cpu/app/cpu.cfs_quota_us", "25000\n");
    tree_file("cpu/app/cpu.cfs_period_us", "10000\n");
    assert_int_equal(tree_quota(), 3);

    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", tree);
    assert_int_equal(system(command), 0);
}

static void *thread_report(void *arg)
{
    char *name = arg;
    sigset_t mask;

    prctl(PR_GET_NAME, name);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_true(sigismember(&mask, SIGTERM));
    assert_true(sigismember(&mask, SIGUSR1));
    assert_false(sigismember(&mask, SIGSEGV));
    assert_false(sigismember(&mask, SIGBUS));
    int slack = prctl(PR_GET_TIMERSLACK);
    assert_true(slack == 1 || slack == -1); /* emulators do not know it */
    return name + 1;
}

static void test_thread_start(void **state)
{
    (void)state;
    pthread_t thread;
    char name[16];
    void *result;
    sigset_t before, after;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(
        weft__thread_start(&thread, "weft-worker-name-too-long", 0, thread_report, name), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, name + 1);
    assert_string_equal(name, "weft-worker-nam");
    assert_int_equal(weft__thread_start(&thread, "small", 256 * 1024, thread_report, name), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_string_equal(name, "small");
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));

    pthread_t untouched = thread;
    assert_int_equal(weft__thread_start(&thread, "x", 1, thread_report, name), -EINVAL);
    assert_true(pthread_equal(thread, untouched));
}

static void grow_table(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    int next = dup(0);
    close(next);
    weft__fd_table_grow();
    weft__fd_table_grow();
    int after = dup(0);
    if (after != next)
        _exit(2); /* leaks a descriptor */

    char line[256];
    unsigned long size = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "FDSize: %lu", &size);
    _exit(size >= limit.rlim_cur ? 0 : 3);
}

static void test_fd_table(void **state)
{
    (void)state;
    char output[256];
    int status = in_child(grow_table, output, sizeof output);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- sockets -------------------------------------------------------------------------------- */

static void test_sockets(void **state)
{
    (void)state;
    struct sockaddr_in loopback = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_storage local, peer;
    socklen_t length = 0, peer_length = 0;

    errno = 9;
    int listener = weft__sys_socket(AF_INET, SOCK_STREAM);
    assert_true(listener >= 0);
    assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(weft__sys_setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    assert_int_equal(weft__sys_bind(listener, (struct sockaddr *)&loopback, sizeof loopback), 0);
    assert_int_equal(weft__sys_listen(listener, 5), 0);
    assert_int_equal(weft__sys_accept(listener), -EAGAIN);
    assert_int_equal(weft__sys_local_address(listener, &local, &length), 0);
    assert_int_equal(length, sizeof loopback);

    int client = weft__sys_socket(AF_INET, SOCK_STREAM);
    assert_int_equal(weft__sys_peer_address(client, &peer, &peer_length), -ENOTCONN);
    assert_int_equal(peer_length, 0);
    int rc = weft__sys_connect(client, (struct sockaddr *)&local, length);
    assert_true(rc == 0 || rc == -EINPROGRESS);
    int server;
    while ((server = weft__sys_accept(listener)) == -EAGAIN)
        weft__thread_yield();
    assert_true(server >= 0);
    assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(weft__sys_socket_error(client), 0);
    assert_int_equal(weft__sys_peer_address(client, &peer, &peer_length), 0);
    assert_int_equal(((struct sockaddr_in *)&peer)->sin_port,
                     ((struct sockaddr_in *)&local)->sin_port);

    char buffer[16] = "";
    assert_int_equal(weft__sys_recv(server, buffer, sizeof buffer), -EAGAIN);
    struct iovec out[2000], in[2] = { { buffer, 2 }, { buffer + 8, 8 } };
    for (int i = 0; i < 2000; i++)
        out[i] = (struct iovec){ "abcde", 5 };
    assert_int_equal(weft__sys_sendv(client, out, 1), 5);
    while ((rc = (int)weft__sys_recvv(server, in, 2)) == -EAGAIN)
        weft__thread_yield();
    assert_int_equal(rc, 5);
    assert_memory_equal(buffer, "ab", 2);
    assert_memory_equal(buffer + 8, "cde", 3);
    assert_int_equal(weft__sys_sendv(client, out, 2000), 1024 * 5); /* capped at IOV_MAX */
    assert_int_equal(weft__sys_sendv(client, out, -1), -EINVAL);
    assert_int_equal(weft__sys_recvv(client, in, -1), -EINVAL);

    /* The other end is gone: an error, and no SIGPIPE. */
    assert_int_equal(weft__sys_shutdown_write(client), 0);
    assert_int_equal(weft__sys_send(client, "x", 1), -EPIPE);
    assert_int_equal(weft__sys_sendv(client, out, 1), -EPIPE);
    weft__sys_close(server);
    weft__sys_close(client);
    weft__sys_close(listener);
    assert_int_equal(weft__sys_accept(listener), -EBADF);
    assert_int_equal(weft__sys_socket_error(listener), -EBADF);

    /* Nobody listens there any more. */
    client = weft__sys_socket(AF_INET, SOCK_STREAM);
    rc = weft__sys_connect(client, (struct sockaddr *)&local, length);
    while (rc == -EINPROGRESS || rc == 0) {
        rc = weft__sys_socket_error(client);
        weft__thread_yield();
    }
    assert_int_equal(rc, -ECONNREFUSED);
    weft__sys_close(client);
    assert_int_equal(errno, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch_ping_pong),
        cmocka_unit_test(test_switch_fiber_to_fiber),
        cmocka_unit_test(test_switch_migrates_between_threads),
        cmocka_unit_test(test_switch_keeps_registers),
        cmocka_unit_test(test_entry_is_aligned_and_floats_survive),
        cmocka_unit_test(test_entry_has_no_caller),
        cmocka_unit_test(test_stack_reuse),
        cmocka_unit_test(test_stack_never_run),
        cmocka_unit_test(test_switch_crowd),
        cmocka_unit_test(test_signal_mask_stays_with_thread),
        cmocka_unit_test(test_stack_map),
        cmocka_unit_test(test_stack_discard),
        cmocka_unit_test(test_guard_stops_the_kernel_too),
        cmocka_unit_test(test_guard_stops_the_program),
        cmocka_unit_test(test_overflow_is_reported),
        cmocka_unit_test(test_overflow_chains),
        cmocka_unit_test(test_alternate_stack),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_futex_deadline),
        cmocka_unit_test(test_futex_wake),
        cmocka_unit_test(test_lock_contended),
        cmocka_unit_test(test_clock_and_seed),
        cmocka_unit_test(test_cpu_count),
        cmocka_unit_test(test_quota_text),
        cmocka_unit_test(test_quota_lookup),
        cmocka_unit_test(test_thread_start),
        cmocka_unit_test(test_fd_table),
        cmocka_unit_test(test_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
