/*
 * A stream is the record of its descriptor, seen through an opaque type: no memory of its own.
 */
#ifndef WEFT_NET_STREAM_H
#define WEFT_NET_STREAM_H

#include <weft/net.h>

#include "base/base.h"
#include "driver/io.h"

struct weft_stream {
    struct weft__io io;
};

/* Makes a stream of a connected socket. As weft__io_open: on failure `fd` is still the caller's. */
static inline int weft__stream_open(struct weft__driver *driver, int fd, weft_stream **out)
{
    struct weft__io *io;
    int rc = weft__io_open(driver, fd, &io);
    if (rc == 0)
        *out = weft__container(io, struct weft_stream, io);
    return rc;
}

#endif
