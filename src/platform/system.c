/*
 * Clock, random numbers, threads, descriptors. Contract: system.h. CPUs are counted in cpu.c.
 */
#include "platform/system.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"

uint64_t weft__clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock and a valid address */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t weft__random_seed(void)
{
    uint64_t seed;
    int saved = errno;

    /* Not blocking: in the first second after boot a time-based seed is good enough for us. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        seed = weft__clock_now() ^ ((uint64_t)getpid() << 40);
        seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9; /* splitmix64, to spread the bits */
        seed = (seed ^ (seed >> 27)) * 0x94d049bb133111eb;
        seed ^= seed >> 31;
    }
    errno = saved;
    return seed;
}

/* What a new thread takes over from the one that starts it; the new one frees it. */
struct start {
    void *(*body)(void *);
    void *arg;
    char name[16];
};

static void *thread_main(void *opaque)
{
    struct start start = *(struct start *)opaque;
    free(opaque);

    if (start.name[0] != '\0')
        pthread_setname_np(pthread_self(), start.name);
    /* The default lets the kernel wake sleepers 50 us late. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    return start.body(start.arg);
}

int weft__thread_start(pthread_t *thread, const char *name, size_t stack_size,
                       void *(*body)(void *), void *arg)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return -EAGAIN;
    if (stack_size != 0 && pthread_attr_setstacksize(&attributes, stack_size) != 0) {
        pthread_attr_destroy(&attributes);
        return -EINVAL;
    }

    struct start *start = calloc(1, sizeof *start);
    if (start == NULL) {
        pthread_attr_destroy(&attributes);
        return -EAGAIN;
    }
    start->body = body;
    start->arg = arg;
    if (name != NULL)
        strncat(start->name, name, sizeof start->name - 1);

    /*
     * The program's signals are for the program's threads. A blocked fault, though, would kill the
     * process without a word. The new thread inherits the mask from its first instruction on.
     */
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    pthread_t started;
    int rc = pthread_create(&started, &attributes, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    pthread_attr_destroy(&attributes);
    if (rc != 0) {
        free(start);
        return rc == EINVAL ? -EINVAL : -EAGAIN;
    }
    *thread = started;
    return 0;
}

void weft__thread_yield(void)
{
    sched_yield();
}

void weft__fd_table_grow(void)
{
    static atomic_bool done;
    if (weft__swap(&done, true, relaxed))
        return;

    const rlim_t most = 1 << 20;
    struct rlimit limit;
    int saved = errno;
    int fd = eventfd(0, EFD_CLOEXEC); /* any descriptor will do */
    if (fd >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        /* The table grows to hold the copy, and never shrinks. */
        rlim_t size = limit.rlim_cur < most ? limit.rlim_cur : most;
        int high = size > 0 ? fcntl(fd, F_DUPFD_CLOEXEC, (int)(size - 1)) : -1;
        if (high >= 0)
            close(high);
    }
    if (fd >= 0)
        close(fd);
    errno = saved;
}

/*
 * glibc declares the function behind `errno` const, so a compiler may call it once and keep the
 * address over a switch, after which it is another thread's. Hence: never inlined, and the volatile
 * assembly keeps whole-program optimisation from deciding that this function is const as well.
 */
#if defined(__clang__)
__attribute__((noinline))
#else
__attribute__((noinline, noclone, noipa))
#endif
int *weft__errno(void)
{
    int *address = &errno;
    __asm__ volatile("" : "+r"(address) : : "memory");
    return address;
}
