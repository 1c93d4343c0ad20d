/*
 * Memory for fiber stacks. Contract: stack.h.
 */
#include "platform/stack.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/atomic.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13; C libraries of that age do not have it yet */
#endif

size_t weft__page_size(void)
{
    /* Threads that race here store the same number. */
    static _Atomic size_t known;

    size_t size = weft__load(&known, relaxed);
    if (size == 0) {
        size = (size_t)sysconf(_SC_PAGESIZE);
        weft__store(&known, size, relaxed);
    }
    return size;
}

int weft__map_reserve(size_t bytes, void **base)
{
    int saved = errno;
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED) {
        errno = saved;
        return -ENOMEM;
    }

    /*
     * A huge page would make the first touch of one stack pay for eight, and for good. MAP_STACK
     * says so only since Linux 6.7. A kernel without huge pages refuses, which is as well.
     */
    madvise(map, bytes, MADV_NOHUGEPAGE);
    errno = saved;
    *base = map;
    return 0;
}

void weft__map_release(void *base, size_t bytes)
{
    int saved = errno;
    munmap(base, bytes);
    errno = saved;
}

/*
 * Makes a page a light guard and has the kernel write to it: uname fills 390 bytes of it, works in
 * every sandbox, and says EFAULT exactly when the guard is real.
 */
static bool probe_light_guard(void)
{
    size_t size = weft__page_size();
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;

    bool works = madvise(page, size, MADV_GUARD_INSTALL) == 0 &&
                 syscall(SYS_uname, (struct utsname *)page) < 0 && errno == EFAULT;
    munmap(page, size);
    return works;
}

bool weft__stack_guard_is_light(void)
{
    enum { unknown, light, heavy };
    static _Atomic int known; /* as in weft__page_size, racing threads agree */

    int kind = weft__load(&known, relaxed);
    if (kind == unknown) {
        int saved = errno;
        kind = probe_light_guard() ? light : heavy;
        errno = saved;
        weft__store(&known, kind, relaxed);
    }
    return kind == light;
}

int weft__stack_guard(void *base)
{
    int saved = errno;
    int rc = -1;

    /* The light guard can still be refused for one mapping: before 6.15, where memory is locked. */
    if (weft__stack_guard_is_light())
        rc = madvise(base, weft__page_size(), MADV_GUARD_INSTALL);
    if (rc != 0)
        rc = mprotect(base, weft__page_size(), PROT_NONE);
    errno = saved;
    return rc == 0 ? 0 : -ENOMEM;
}

void weft__stack_discard(void *from, void *to)
{
    uintptr_t mask = weft__page_size() - 1;
    uintptr_t first = ((uintptr_t)from + mask) & ~mask;
    uintptr_t end = (uintptr_t)to & ~mask;
    if (first >= end)
        return;

    int saved = errno;
    /* Locked memory (mlockall) cannot be given back; the zeros are promised all the same. */
    if (madvise((void *)first, end - first, MADV_DONTNEED) != 0)
        memset((void *)first, 0, end - first);
    errno = saved;
}
