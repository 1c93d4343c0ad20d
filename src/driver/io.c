/*
 * Operations on descriptors: try, wait for an edge, try again. See io.h for the edge counters.
 *
 * Lock order: a record's lock, then (inside attach) the kernel's. Waiters are fired under the lock
 * and made runnable after it.
 */
#include "driver/io.h"

#include <errno.h>

#include <weft/error.h>

#include "base/base.h"
#include "driver/driver.h"
#include "platform/socket.h"
#include "task/carrier.h"

enum { CLOSED = 1, HOLD = 2 };

/* A fiber that waits for an edge; on its stack. */
struct io_wait {
    struct weft__link link; /* in a side's waiters; under the record's lock */
    struct weft__waiter *waiter;
};

/* ---- life ---- */

int weft__io_open(struct weft__driver *driver, int fd, struct weft__io **out)
{
    if (weft__load(&driver->shut, relaxed))
        return WEFT_ESHUTDOWN;
    struct weft__free *object = weft__depot_get(&driver->records, NULL);
    if (!object)
        return -ENOMEM;
    struct weft__io *io = weft__container(object, struct weft__record, free)->io;
    /* Under the lock: a late event for the record's last owner may be moving the counters. */
    weft__lock(&io->lock);
    io->fd = fd;
    io->driver = driver;
    io->registered = false;
    io->flags = 0;
    io->owner = NULL;
    weft__store(&io->trust_short, true, relaxed);
    for (int i = 0; i < 2; i++) {
        weft__store(&io->side[i].edges, 0, relaxed);
        weft__store(&io->side[i].drained, UINT64_MAX, relaxed);
        weft__list_init(&io->side[i].waiters);
    }
    weft__unlock(&io->lock);
    weft__add(&driver->references, 1, relaxed);
    weft__store(&io->holds, HOLD, release); /* from now on it may be held */
    *out = io;
    return 0;
}

int weft__io_hold(struct weft__io *io)
{
    uint32_t holds = weft__load(&io->holds, relaxed);
    do {
        if (holds & CLOSED)
            return -EBADF;
    } while (!weft__cas(&io->holds, &holds, holds + HOLD, acquire, relaxed));
    if (WEFT__UNLIKELY(weft__load(&io->driver->shut, relaxed))) {
        weft__io_release(io);
        return WEFT_ESHUTDOWN;
    }
    return 0;
}

void weft__io_release(struct weft__io *io)
{
    /* Release our use of the descriptor; acquire everybody's, if we are the one to close it. */
    if (weft__sub(&io->holds, HOLD, acq_rel) != (HOLD | CLOSED))
        return;
    struct weft__driver *driver = io->driver;
    if (io->registered)
        weft__sub(&driver->registered, 1, relaxed);
    weft__sys_close(io->fd); /* the engine forgets it with that */
    weft__driver_put_record(driver, io);
}

static void fire_all(struct weft__io_side *side, uint32_t code, struct weft__wake_list *list)
{
    for (struct weft__link *link; (link = weft__list_take(&side->waiters)) != NULL;)
        weft__wait_fire(weft__container(link, struct io_wait, link)->waiter, code, list);
}

void weft__io_evict(struct weft__io *io)
{
    /* Of a record that was never open the lists are not even initialised. */
    if (weft__load(&io->holds, acquire) < HOLD)
        return;
    struct weft__wake_list list = { 0 };
    weft__lock(&io->lock);
    fire_all(&io->side[WEFT__READ], WEFT__WHY_GONE, &list);
    fire_all(&io->side[WEFT__WRITE], WEFT__WHY_GONE, &list);
    weft__unlock(&io->lock);
    weft__wake(&list);
}

void weft__io_close(struct weft__io *io)
{
    uint32_t holds = weft__or(&io->holds, CLOSED, acq_rel);
    if (holds & CLOSED)
        return;
    weft__io_evict(io);
    weft__io_release(io);
}

/* ---- edges ---- */

static void edge(struct weft__io_side *side, struct weft__wake_list *list)
{
    /* Release: pairs with the reader's acquire, so that it sees `trust_short` as well. */
    weft__store(&side->edges, weft__load(&side->edges, relaxed) + 1, release);
    fire_all(side, WEFT__WHY_SOURCE, list);
}

void weft__io_edge(struct weft__io *io, bool readable, bool writable, bool hangup,
                   struct weft__wake_list *list)
{
    weft__lock(&io->lock);
    if (hangup)
        weft__store(&io->trust_short, false, relaxed);
    /* A record in the depot has waiter lists from its last use, or none yet at all. */
    if (weft__load(&io->holds, relaxed) & ~(uint32_t)CLOSED) {
        if (readable)
            edge(&io->side[WEFT__READ], list);
        if (writable)
            edge(&io->side[WEFT__WRITE], list);
    }
    weft__unlock(&io->lock);
}

/* Waits until the counter of `side` differs from `seen`. 0 or a code. */
static int wait_edge(struct weft__io *io, struct weft__io_side *side, uint64_t seen)
{
    int rc = 0;
    struct io_wait wait = { .waiter = weft__wait_self(&rc) };
    if (!wait.waiter)
        return rc;

    weft__lock(&io->lock);
    if (weft__load(&io->holds, relaxed) & CLOSED)
        rc = -EBADF;
    else if (weft__load(&io->driver->shut, relaxed))
        rc = WEFT_ESHUTDOWN;
    else if (!io->registered)
        rc = weft__driver_attach(io->driver, io);
    if (rc < 0 || weft__load(&side->edges, relaxed) != seen) {
        weft__unlock(&io->lock);
        return rc;
    }
    weft__wait_begin(wait.waiter, 0);
    weft__list_append(&side->waiters, &wait.link);
    weft__unlock(&io->lock);

    switch (weft__wait_park(wait.waiter, UINT64_MAX)) {
    case WEFT__WHY_SOURCE: return 0;
    case WEFT__WHY_GONE: return weft__load(&io->driver->shut, relaxed) ? WEFT_ESHUTDOWN : -EBADF;
    default:
        weft__lock(&io->lock);
        if (weft__list_has(&wait.link))
            weft__list_remove(&wait.link);
        weft__unlock(&io->lock);
        return -ECANCELED;
    }
}

/* ---- operations ---- */

static enum weft__direction direction_of(enum weft__op_kind kind)
{
    switch (kind) {
    case WEFT__OP_SEND:
    case WEFT__OP_SENDV:
    case WEFT__OP_CONNECT: return WEFT__WRITE;
    default: return WEFT__READ;
    }
}

/* The outcome of a connect under way. No error and no peer: not yet. */
static ssize_t connect_outcome(int fd)
{
    int error = weft__sys_socket_error(fd);
    if (error < 0)
        return error;
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int rc = weft__sys_peer_address(fd, &peer, &length);
    return rc == -ENOTCONN ? -EAGAIN : rc;
}

static ssize_t perform(int fd, const struct weft__op *op)
{
    switch (op->kind) {
    case WEFT__OP_RECV: return weft__sys_recv(fd, op->buffer, op->size);
    case WEFT__OP_SEND: return weft__sys_send(fd, op->buffer, op->size);
    case WEFT__OP_RECVV: return weft__sys_recvv(fd, op->vector, op->count);
    case WEFT__OP_SENDV: return weft__sys_sendv(fd, op->vector, op->count);
    case WEFT__OP_ACCEPT: return weft__sys_accept(fd);
    case WEFT__OP_CONNECT: return connect_outcome(fd);
    }
    return -EINVAL;
}

/* Whether a transfer of `n` bytes was all the kernel had, or had room for. */
static bool came_short(const struct weft__op *op, ssize_t n)
{
    switch (op->kind) {
    case WEFT__OP_RECV:
    case WEFT__OP_SEND: return n > 0 && (size_t)n < op->size;
    default: return false;
    }
}

/* Only a fiber may take it for granted: others do not wait for the edge that would deny it. */
static bool is_drained(const struct weft__io *io, const struct weft__io_side *side, uint64_t seen)
{
    if (weft__load(&side->drained, relaxed) != seen || !weft__load(&io->trust_short, relaxed))
        return false;
    const struct weft_task *task = weft__task_current();
    return task && task->waiter.kind == WEFT__FIBER;
}

ssize_t weft__io_run(struct weft__io *io, struct weft__op *op)
{
    int rc = weft__io_hold(io);
    if (rc < 0)
        return rc;
    if (!weft__budget_point()) {
        weft__io_release(io);
        return -ECANCELED;
    }
    struct weft__io_side *side = &io->side[direction_of(op->kind)];
    ssize_t n;
    for (;;) {
        /* Acquire, and before the system call: what happens after it moves the counter on. */
        uint64_t seen = weft__load(&side->edges, acquire);
        if (!is_drained(io, side, seen)) {
            n = perform(io->fd, op);
            if (came_short(op, n))
                weft__store(&side->drained, seen, relaxed);
            if (n != -EAGAIN)
                break;
        }
        n = wait_edge(io, side, seen);
        if (n < 0)
            break;
    }
    weft__io_release(io);
    return n;
}
