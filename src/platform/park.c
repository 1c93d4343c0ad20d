/*
 * Sleeping and waking by address. Contract: park.h.
 */
#include "platform/park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/barrier.h"
#include "platform/sanitizer.h"
#include "platform/system.h"

/* The kernel's own time type: 64 bits everywhere, whatever the C library's time_t is. */
struct kernel_time {
    int64_t seconds;
    int64_t nanoseconds;
};

#if defined(__LP64__)
#define FUTEX_CALL SYS_futex
#else
#define FUTEX_CALL SYS_futex_time64
#endif

bool weft__futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline)
{
    const uint64_t second = 1000000000;
    bool cut = false;
#if WEFT__TSAN
    /* TSan holds a signal back until the thread enters a call that it knows: make one at times. */
    uint64_t soon = weft__clock_now() + second / 20;
    cut = soon < deadline;
    deadline = cut ? soon : deadline;
    usleep(0);
#endif
    struct kernel_time until = {
        .seconds = (int64_t)(deadline / second),
        .nanoseconds = (int64_t)(deadline % second),
    };
    int saved = errno;

    /* Of the waits only the one with a bitset takes an absolute time, on the monotonic clock. */
    long rc = syscall(FUTEX_CALL, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                      deadline == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    bool timed_out = rc != 0 && errno == ETIMEDOUT;
    errno = saved;
    return cut || !timed_out;
}

void weft__futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;
    syscall(FUTEX_CALL, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
}

void weft__lock_slow(struct weft__lock *lock)
{
    /* The sections are a few dozen instructions: longer than this means the holder does not run. */
    for (int spins = 0; spins < 40; spins++) {
        weft__pause();
        uint32_t word = weft__load(&lock->word, relaxed);
        if (word == 0 && weft__try_lock(lock))
            return;
        if (word == 2)
            break; /* others sleep already: do not overtake them by spinning */
    }

    /*
     * Whoever comes out of here holds the lock in state 2, as it cannot know whether others still
     * sleep; its unlock then wakes one more, perhaps for nothing. That is never a wake too few:
     * the word is 2 whenever somebody may sleep. The kernel's check of the word pairs with the
     * exchange in weft__unlock. Acquire: see weft__lock.
     */
    while (weft__swap(&lock->word, 2, acquire) != 0)
        weft__futex_wait(&lock->word, 2, UINT64_MAX);
}
