/* Connecting: each address in turn until one answers. */
#include <errno.h>

#include <weft/error.h>

#include "net/resolve.h"
#include "net/stream.h"
#include "platform/socket.h"
#include "runtime/services.h"
#include "task/wait.h"

/* Waits for the outcome of a connect under way; the stream is closed if that is a failure. */
static int finish(weft_stream *stream)
{
    struct weft__op op = { .kind = WEFT__OP_CONNECT };
    int rc = (int)weft__io_run(&stream->io, &op);
    if (rc < 0)
        weft__io_close(&stream->io);
    return rc;
}

static int connect_to(struct weft__driver *driver, const union weft__sockaddr *address,
                      weft_stream **out)
{
    int fd = weft__sys_socket(address->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    weft_stream *stream = NULL;
    int started = weft__sys_connect(fd, &address->any, weft__sockaddr_length(address));
    int rc =
        started == 0 || started == -EINPROGRESS ? weft__stream_open(driver, fd, &stream) : started;
    if (rc < 0) {
        weft__sys_close(fd);
        return rc;
    }
    if (started == -EINPROGRESS)
        rc = finish(stream);
    if (rc == 0)
        *out = stream;
    return rc;
}

/* Another address would not fare better. */
static bool is_final(int code)
{
    return code == -ECANCELED || code == -ENOMEM || code == WEFT_ESHUTDOWN;
}

int weft_tcp_connect(const char *address, weft_stream **out)
{
    if (!address || !out)
        return -EINVAL;
    const struct weft__services *services = weft__services_current();
    int rc = -EPERM;
    /* A connect always waits: who may not wait does not bother the other side. */
    if (!services || !weft__wait_self(&rc))
        return rc;
    struct weft__driver *driver = services->driver;

    struct weft__addresses addresses;
    rc = weft__resolve(services->blocking, address, false, &addresses);
    if (rc < 0)
        return rc;
    for (int i = 0; i < addresses.count; i++) {
        rc = connect_to(driver, &addresses.list[i], out);
        if (rc == 0 || is_final(rc))
            break;
    }
    weft__addresses_free(&addresses);
    return rc;
}
