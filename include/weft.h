/*
 * weft: an asynchronous runtime for C.
 *
 * This header brings in everything; each header below also stands alone.
 *
 * Rules that hold for every function
 *  - Functions return 0 or a count on success and a negative code on failure: `-errno` values and
 *    the `WEFT_E...` codes of <weft/error.h>. weft neither sets nor relies on `errno`.
 *  - Results come through out-parameters, which stand last and are untouched on failure, except
 *    where a declaration says otherwise.
 *  - "May suspend" means: the calling task may be set aside and later go on, perhaps on another
 *    thread. Such a call is also a cancellation point: once the task has been aborted it returns
 *    -ECANCELED instead of suspending (weft_join: -EINTR). A call that returned -ECANCELED had no effect, except for
 *    the partial transfers documented in <weft/net.h>.
 *  - A call that may suspend returns -EPERM outside a task, and inside a stackless task, which
 *    has no stack to set aside and awaits with WEFT_AWAIT instead. (weft_join blocks plain threads,
 *    and says -EDEADLK in a stackless task.)
 *  - Functions that free or close accept NULL.
 *  - Durations and instants are nanoseconds in a uint64_t; see <weft/time.h>.
 */
#ifndef WEFT_H
#define WEFT_H

#include <weft/base.h>
#include <weft/error.h>
#include <weft/metrics.h>
#include <weft/net.h>
#include <weft/runtime.h>
#include <weft/stackless.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/version.h>

#endif
