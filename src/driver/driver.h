/*
 * The driver: one engine, the records of its descriptors, and the engine contract.
 *
 * A runtime has one driver. One worker at a time owns it (weft__driver_try_own) and turns it: waits
 * for events and collects who became runnable. Workers that find it owned sleep beside it.
 */
#ifndef WEFT_DRIVER_DRIVER_H
#define WEFT_DRIVER_DRIVER_H

#include "driver/io.h"
#include "task/depot.h"
#include "task/wait.h"

/*
 * The engine contract. An engine knows descriptors and records; of tasks it knows only the wake
 * list it hands on. All calls but `wake` and `attach` come from the driver's owner.
 */
struct weft__engine {
    const struct weft__engine_ops *ops;
};

struct weft__engine_ops {
    const char *name;
    /* Begins to report edges of io->fd, both directions. Any thread, under the record's lock. */
    int (*attach)(struct weft__engine *engine, struct weft__io *io);
    /* Waits for events until `deadline` (0: do not wait). The number fetched; 0 also when woken. */
    int (*wait)(struct weft__engine *engine, uint64_t deadline);
    /* Hands out the fetched events: each moves counters and fires waiters. */
    void (*dispatch)(struct weft__engine *engine, int count, struct weft__wake_list *list);
    /* Makes the current or next `wait` return. Any thread, signal handlers included. */
    void (*wake)(struct weft__engine *engine);
    void (*destroy)(struct weft__engine *engine);
};

/* 0 and `*out`, or a negative code. `max_events` is the most taken from the kernel at once. */
int weft__engine_epoll(unsigned max_events, struct weft__engine **out);

struct weft__driver {
    struct weft__engine *engine;
    struct weft__depot records; /* of struct weft__record */
    _Atomic bool owned;         /* by the worker that waits or dispatches */
    _Atomic bool shut;          /* no more operations: they give WEFT_ESHUTDOWN */
    /* Descriptors the engine knows. A driver with none need not be looked at by busy workers. */
    _Atomic uint32_t registered;
    /* One for the runtime, one for each open record: the last one frees the driver. */
    _Atomic uint32_t references;
    _Atomic uint64_t events; /* total fetched; written by the owner */
};

/* The records' depot hands out these. The record is inside; its memory is type-stable. */
struct weft__record {
    struct weft__io io[1];
    struct weft__free free;
};

int weft__driver_new(unsigned max_events, struct weft__driver **out);
/*
 * No more operations, no more engine: the runtime's tasks are gone, and those of other runtimes that
 * wait here are sent away. The memory stays until the last reference: the runtime's, or a record's.
 */
void weft__driver_shutdown(struct weft__driver *driver);
void weft__driver_release(struct weft__driver *driver);

bool weft__driver_try_own(struct weft__driver *driver);
void weft__driver_disown(struct weft__driver *driver);

/* Makes the engine report edges of `io`. 0 or a code. The record's lock is held. */
int weft__driver_attach(struct weft__driver *driver, struct weft__io *io);

/* A closed record goes back; with it a reference to the driver. */
void weft__driver_put_record(struct weft__driver *driver, struct weft__io *io);

/* Ends every wait on a record, with WEFT__WHY_GONE. */
void weft__io_evict(struct weft__io *io);

/* An engine saw an event on `io`; `hangup`: the peer closed its side, or sent urgent data. */
void weft__io_edge(struct weft__io *io, bool readable, bool writable, bool hangup,
                   struct weft__wake_list *list);

#endif
