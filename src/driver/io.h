/*
 * Descriptors and the operations on them: the driver as the net room sees it.
 *
 * An operation first tries its plain non-blocking system call. Only when that would block does the
 * engine come in: with a readiness engine (epoll) the fiber waits until the descriptor's *edge
 * counter* for that direction has moved, and tries again.
 *
 * Edge counters replace readiness bits. The caller reads the counter (seen), makes the system call,
 * and if that would block waits until the counter differs from `seen`. An event that arrives at any
 * point in between has moved the counter, so it cannot be lost, and nothing has ever to be cleared.
 * A transfer that comes back short has drained the socket: `drained = seen` is noted, and the next
 * call waits at once instead of asking again, unless the counter has moved or the peer has closed
 * its side (whose edge may be long over).
 *
 * struct weft__io is type-stable (driver/driver.h): an event that was already fetched when its
 * descriptor was closed moves a counter of whoever has the record now, which costs one vain try.
 */
#ifndef WEFT_DRIVER_IO_H
#define WEFT_DRIVER_IO_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/atomic.h"
#include "base/list.h"
#include "platform/park.h"

struct weft__driver;

enum weft__direction { WEFT__READ = 0, WEFT__WRITE = 1 };

/* One direction of a descriptor. */
struct weft__io_side {
    _Atomic uint64_t edges;    /* events seen; written under the record's lock; never wraps */
    _Atomic uint64_t drained;  /* value of `edges` at which the kernel had no more, or none */
    struct weft__link waiters; /* of struct io_wait; under the lock */
};

struct weft__io {
    /*
     * Holders * 2 + closed. The open handle is one holder, each operation in progress another, so
     * the descriptor is closed, and its number reused, only when nobody is inside a system call.
     */
    _Atomic uint32_t holds;
    int fd; /* set by open, valid while held */
    struct weft__driver *driver;
    struct weft__lock lock; /* guards the waiters, `registered`, and writes to edges */
    bool registered;        /* the engine knows the descriptor */
    /* A short transfer means drained. False once the peer has closed, or sent urgent data. */
    _Atomic bool trust_short;
    struct weft__io_side side[2];
    /* What the owner (a stream, a listener) keeps beside the record. Zeroed by open. */
    uint32_t flags;
    void *owner;
};

enum weft__op_kind {
    WEFT__OP_RECV,    /* buffer, size -> bytes; 0 at the end */
    WEFT__OP_SEND,    /* buffer, size -> bytes */
    WEFT__OP_RECVV,   /* vector, count -> bytes */
    WEFT__OP_SENDV,   /* vector, count -> bytes */
    WEFT__OP_ACCEPT,  /* -> a descriptor */
    WEFT__OP_CONNECT, /* after -EINPROGRESS: -> 0 or the socket's error */
};

struct weft__op {
    enum weft__op_kind kind;
    void *buffer; /* SEND only reads it */
    size_t size;
    const struct iovec *vector;
    int count;
};

/*
 * Takes over `fd`, which must be non-blocking. 0 and `*out`, or -ENOMEM / WEFT_ESHUTDOWN, and then
 * the descriptor is still the caller's. Any thread.
 */
int weft__io_open(struct weft__driver *driver, int fd, struct weft__io **out);

/*
 * Performs the operation: its result, or a negative code: -EBADF (closed), -EPERM (would wait
 * outside a fiber), -ECANCELED, WEFT_ESHUTDOWN, or the system call's. May suspend. Each
 * operation costs one unit of the task's budget, and one that finds the budget empty yields first.
 */
ssize_t weft__io_run(struct weft__io *io, struct weft__op *op);

/* Keeps the descriptor open during a system call of the caller's own. 0, -EBADF, WEFT_ESHUTDOWN. */
int weft__io_hold(struct weft__io *io);
void weft__io_release(struct weft__io *io);

/* Closes: waiters get -EBADF, the descriptor goes when the last holder has left. */
void weft__io_close(struct weft__io *io);

#endif
