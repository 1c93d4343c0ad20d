/* Counters that a runtime keeps about itself. Always on; workers count without locked instructions. */
#ifndef WEFT_METRICS_H
#define WEFT_METRICS_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* All counts are totals since the runtime was made, summed over its workers, except the first two. */
struct weft_metrics {
    uint64_t workers;       /* worker threads; 1 for a current-thread runtime */
    uint64_t alive_tasks;   /* spawned and not yet ended; a snapshot that may lag */
    uint64_t spawned;       /* tasks spawned; WEFT_MAIN itself spawns three */
    uint64_t polls;         /* times a task was run or resumed */
    uint64_t steals;        /* successful steal operations */
    uint64_t stolen;        /* tasks moved by them */
    uint64_t parks;         /* times a worker went to sleep */
    uint64_t wakes;         /* signals sent to sleeping workers */
    uint64_t wakes_useless; /* times a woken worker found nothing to do */
    uint64_t overflows;     /* times a local queue overflowed into the inject queue */
    uint64_t remote;        /* times a thread that is no worker made a task runnable */
    uint64_t turns;         /* looks at the driver */
    uint64_t io_events;     /* readiness events received */
    uint64_t timers_fired;  /* timers that expired */
    uint64_t forced_yields; /* times a task used up its budget */
};

/*
 * Reads the counters of a runtime, or of the current one with a null handle. Returns 0, -EINVAL
 * (null `out`), -EPERM (null handle outside a runtime). Any thread. Does not suspend. The macro
 * passes the size of the struct.
 */
WEFT_API int weft_metrics_read_sized(weft_handle *handle, size_t size, struct weft_metrics *out);
#define weft_metrics_read(handle, out)                                                             \
    weft_metrics_read_sized((handle), sizeof(struct weft_metrics), (out))

WEFT_END_DECLS

#endif
