/*
 * The epoll engine: every descriptor registered once, edge-triggered, for both directions.
 *
 * The event's data is the record's address: records are type-stable, so an event for a closed
 * descriptor is harmless. Closing a descriptor takes it out of the set.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "driver/driver.h"
#include "platform/system.h"

struct epoll {
    struct weft__engine engine;
    int fd;
    int wake_fd;       /* eventfd, edge-triggered and never read: each write is an edge */
    bool milliseconds; /* the kernel has no epoll_pwait2 (before 5.11) */
    int max_events;
    /*
     * Bumped before a record is told to the kernel, read before records come back: what the kernel
     * orders anyhow, said so that tools see it (they do not know epoll_pwait2).
     */
    _Atomic uint32_t attached;
    struct epoll_event events[]; /* fetched; the driver's owner's */
};

static struct epoll *epoll_of(struct weft__engine *engine)
{
    return weft__container(engine, struct epoll, engine);
}

static int attach(struct weft__engine *engine, struct weft__io *io)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
        .data.ptr = io,
    };
    weft__add(&epoll_of(engine)->attached, 1, release);
    int saved = errno;
    int rc = epoll_ctl(epoll_of(engine)->fd, EPOLL_CTL_ADD, io->fd, &event) < 0 ? -errno : 0;
    errno = saved;
    return rc;
}

/* ns from now until `deadline`, 0 if it has passed. */
static uint64_t remaining(uint64_t deadline)
{
    uint64_t now = weft__clock_now();
    return deadline > now ? deadline - now : 0;
}

static int wait_milliseconds(struct epoll *epoll, uint64_t deadline)
{
    int timeout = -1;
    if (deadline == 0) {
        timeout = 0;
    } else if (deadline != UINT64_MAX) {
        uint64_t ms = (remaining(deadline) + 999999) / 1000000; /* up: never early */
        timeout = ms > INT32_MAX ? INT32_MAX : (int)ms;
    }
    return epoll_wait(epoll->fd, epoll->events, epoll->max_events, timeout);
}

static int wait_nanoseconds(struct epoll *epoll, uint64_t deadline)
{
    struct timespec timeout = { 0 };
    if (deadline != 0 && deadline != UINT64_MAX) {
        uint64_t ns = remaining(deadline);
        timeout.tv_sec = (time_t)(ns / 1000000000);
        timeout.tv_nsec = (long)(ns % 1000000000);
    }
    return epoll_pwait2(epoll->fd, epoll->events, epoll->max_events,
                        deadline == UINT64_MAX ? NULL : &timeout, NULL);
}

static int wait(struct weft__engine *engine, uint64_t deadline)
{
    struct epoll *epoll = epoll_of(engine);
    if (!epoll->milliseconds) {
        int count = wait_nanoseconds(epoll, deadline);
        if (count >= 0)
            return count;
        /* EPERM: seccomp filters older than the call refuse what they do not know. */
        if (errno != ENOSYS && errno != EPERM)
            return 0;
        epoll->milliseconds = true;
    }
    int count = wait_milliseconds(epoll, deadline);
    return count < 0 ? 0 : count; /* EINTR: the caller comes back */
}

static void dispatch(struct weft__engine *engine, int count, struct weft__wake_list *list)
{
    struct epoll *epoll = epoll_of(engine);
    (void)weft__load(&epoll->attached, acquire);
    for (int i = 0; i < count; i++) {
        struct weft__io *io = epoll->events[i].data.ptr;
        if (!io)
            continue; /* a wake-up */
        uint32_t events = epoll->events[i].events;
        bool dead = events & (EPOLLHUP | EPOLLERR);
        weft__io_edge(io, dead || events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI),
                      dead || events & EPOLLOUT, dead || events & (EPOLLRDHUP | EPOLLPRI), list);
    }
}

static void wake(struct weft__engine *engine)
{
    uint64_t one = 1;
    int saved = errno; /* may run in a signal handler */
    /* Fails only when the counter is full, after 2^64 wakes. */
    ssize_t n = write(epoll_of(engine)->wake_fd, &one, sizeof one);
    (void)n;
    errno = saved;
}

static void destroy(struct weft__engine *engine)
{
    struct epoll *epoll = epoll_of(engine);
    if (epoll->wake_fd >= 0)
        close(epoll->wake_fd);
    if (epoll->fd >= 0)
        close(epoll->fd);
    free(epoll);
}

static const struct weft__engine_ops epoll_ops = {
    .name = "epoll",
    .attach = attach,
    .wait = wait,
    .dispatch = dispatch,
    .wake = wake,
    .destroy = destroy,
};

int weft__engine_epoll(unsigned max_events, struct weft__engine **out)
{
    struct epoll *epoll = calloc(1, sizeof *epoll + max_events * sizeof epoll->events[0]);
    if (!epoll)
        return -ENOMEM;
    epoll->engine.ops = &epoll_ops;
    epoll->max_events = (int)max_events;
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    epoll->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
    if (epoll->fd < 0 || epoll->wake_fd < 0 ||
        epoll_ctl(epoll->fd, EPOLL_CTL_ADD, epoll->wake_fd, &event) < 0) {
        int rc = -errno;
        destroy(&epoll->engine);
        return rc;
    }
    *out = &epoll->engine;
    return 0;
}
