/*
 * Listeners: binding, and accepting without spinning, giving up or losing a connection.
 *
 * A listener is the record of its descriptor; beside it, on the heap, stands what accepting needs
 * to remember. A task that accepts counts as a user of that memory but holds the descriptor only
 * during each attempt, so that closing frees the port even while somebody pauses. Whether the
 * record is still this listener's is told by its `owner`.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>
#include <weft/task.h>
#include <weft/time.h>

#include "driver/driver.h"
#include "net/address.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "platform/socket.h"
#include "runtime/services.h"

enum { DEFAULT_BACKLOG = 1024 };

#define PAUSE_FIRST WEFT_MS(1)
#define PAUSE_LAST WEFT_MS(100)

struct weft_listener {
    struct weft__io io;
};

/* What a listener remembers; its record's `owner`. */
struct accepting {
    _Atomic uint32_t users; /* the open listener, and each task in weft_accept */
    _Atomic bool exhausted; /* a spell without descriptors or memory is on, and was reported */
    void (*on_exhausted)(void *context, int code);
    void *context;
};

static void accepting_release(struct accepting *accepting)
{
    if (weft__sub(&accepting->users, 1, acq_rel) == 1)
        free(accepting);
}

/* ---- listening ---- */

static int set_options(int fd, int family, const struct weft_listen_options *options)
{
    int rc = 0;
    if (!options->exclusive_address)
        rc = weft__sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && options->reuse_port)
        rc = weft__sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && family == AF_INET6)
        rc = weft__sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
    return rc;
}

/* A listening socket, or a code. */
static int listen_on(const union weft__sockaddr *address, const struct weft_listen_options *options)
{
    int fd = weft__sys_socket(address->any.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    int rc = set_options(fd, address->any.sa_family, options);
    if (rc == 0)
        rc = weft__sys_bind(fd, &address->any, weft__sockaddr_length(address));
    if (rc == 0)
        rc = weft__sys_listen(fd, options->backlog ? options->backlog : DEFAULT_BACKLOG);
    if (rc == 0)
        return fd;
    weft__sys_close(fd);
    return rc;
}

/* This host does not have IPv6: not built in, or turned off. */
static bool is_family_missing(int code)
{
    return code == -EAFNOSUPPORT || code == -EPROTONOSUPPORT || code == -EADDRNOTAVAIL;
}

static int listen_on_first(const struct weft__addresses *addresses,
                           const struct weft_listen_options *options)
{
    int fd = -EADDRNOTAVAIL;
    for (int i = 0; i < addresses->count; i++) {
        fd = listen_on(&addresses->list[i], options);
        if (fd >= 0)
            return fd;
        /* ":80" is one address in two clothes: IPv4 stands in for IPv6, not for a port in use. */
        if (addresses->any && (options->ipv6_only || !is_family_missing(fd)))
            break;
    }
    return fd;
}

static int listener_open(struct weft__driver *driver, int fd,
                         const struct weft_listen_options *options, weft_listener **out)
{
    struct accepting *accepting = calloc(1, sizeof *accepting);
    if (!accepting)
        return -ENOMEM;
    accepting->users = 1;
    accepting->on_exhausted = options->on_exhausted;
    accepting->context = options->context;
    struct weft__io *io;
    int rc = weft__io_open(driver, fd, &io);
    if (rc < 0) {
        free(accepting);
        return rc;
    }
    weft__lock(&io->lock);
    io->owner = accepting;
    weft__unlock(&io->lock);
    *out = weft__container(io, struct weft_listener, io);
    return 0;
}

/* Copies the options of a caller whose struct may be shorter or, where it is all zeros, longer. */
static int read_options(const struct weft_listen_options *from, size_t size,
                        struct weft_listen_options *to)
{
    memset(to, 0, sizeof *to);
    if (!from)
        return 0;
    const unsigned char *bytes = (const unsigned char *)from;
    for (size_t i = sizeof *to; i < size; i++)
        if (bytes[i])
            return -EINVAL;
    memcpy(to, from, size < sizeof *to ? size : sizeof *to);
    return to->backlog < 0 ? -EINVAL : 0;
}

int weft_tcp_listen_with_sized(const char *address, const struct weft_listen_options *options,
                               size_t size, weft_listener **out)
{
    struct weft_listen_options known;
    if (!address || !out || read_options(options, size, &known) < 0)
        return -EINVAL;
    const struct weft__services *services = weft__services_current();
    if (!services)
        return -EPERM;
    struct weft__driver *driver = services->driver;

    struct weft__addresses addresses;
    int rc = weft__resolve(services->blocking, address, true, &addresses);
    if (rc < 0)
        return rc;
    int fd = listen_on_first(&addresses, &known);
    weft__addresses_free(&addresses);
    if (fd < 0)
        return fd;
    rc = listener_open(driver, fd, &known, out);
    if (rc < 0)
        weft__sys_close(fd);
    return rc;
}

int weft_tcp_listen(const char *address, weft_listener **out)
{
    return weft_tcp_listen_with(address, NULL, out);
}

/* ---- accepting ---- */

/* Joins the users of what the listener remembers; NULL when it is closed. */
static struct accepting *accepting_of(weft_listener *listener)
{
    weft__lock(&listener->io.lock);
    struct accepting *accepting = listener->io.owner;
    if (accepting)
        weft__add(&accepting->users, 1, relaxed);
    weft__unlock(&listener->io.lock);
    return accepting;
}

/* Holds the descriptor, if the record is still that listener's. */
static int hold(weft_listener *listener, const struct accepting *accepting)
{
    weft__lock(&listener->io.lock);
    int rc = listener->io.owner == accepting ? weft__io_hold(&listener->io) : -EBADF;
    weft__unlock(&listener->io.lock);
    return rc;
}

/* One attempt: 0 and a stream, or a code. A connection that finds no memory here is closed. */
static int accept_once(weft_listener *listener, const struct accepting *accepting,
                       weft_stream **out)
{
    int rc = hold(listener, accepting);
    if (rc < 0)
        return rc;
    struct weft__op op = { .kind = WEFT__OP_ACCEPT };
    int fd = (int)weft__io_run(&listener->io, &op);
    rc = fd < 0 ? fd : weft__stream_open(listener->io.driver, fd, out);
    if (fd >= 0 && rc < 0)
        weft__sys_close(fd);
    weft__io_release(&listener->io);
    return rc;
}

/* The connection has died before it was taken: Linux passes its errors on through accept. */
static bool is_connection_dead(int code)
{
    switch (-code) {
    case ECONNABORTED:
    case ECONNRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EPROTO:
    case ETIMEDOUT: return true;
    default: return false;
    }
}

static bool is_exhaustion(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM;
}

/* Says so once: a spell lasts until some task has accepted a connection again. */
static void report(struct accepting *accepting, int code)
{
    if (!weft__swap(&accepting->exhausted, true, relaxed) && accepting->on_exhausted)
        accepting->on_exhausted(accepting->context, code);
}

/* Waits before the next attempt. 0, or a code to give up with. */
static int pause_accepting(uint64_t *pause)
{
    uint64_t now = *pause;
    *pause = now * 2 > PAUSE_LAST ? PAUSE_LAST : now * 2;
    return weft_sleep(now);
}

static int accept_next(weft_listener *listener, struct accepting *accepting, weft_stream **out)
{
    uint64_t pause = PAUSE_FIRST;
    for (;;) {
        int rc = accept_once(listener, accepting, out);
        if (rc == 0) {
            if (weft__load(&accepting->exhausted, relaxed))
                weft__store(&accepting->exhausted, false, relaxed);
            return 0;
        }
        if (is_exhaustion(rc)) {
            report(accepting, rc);
            rc = pause_accepting(&pause);
        } else if (is_connection_dead(rc)) {
            rc = weft_yield(); /* a flood of them must not keep the worker, or outlive a cancel */
        }
        if (rc < 0)
            return rc;
    }
}

int weft_accept(weft_listener *listener, weft_stream **out)
{
    if (!listener || !out)
        return -EINVAL;
    int rc;
    if (!weft__wait_self(&rc) && rc == -ECANCELED)
        return rc; /* even when there is a connection to take */
    struct accepting *accepting = accepting_of(listener);
    if (!accepting)
        return -EBADF;
    rc = accept_next(listener, accepting, out);
    accepting_release(accepting);
    return rc;
}

/* ---- the rest ---- */

int weft_listener_local_address(weft_listener *listener, char *text, size_t size)
{
    if (!listener || !text)
        return -EINVAL;
    int rc = weft__io_hold(&listener->io);
    if (rc < 0)
        return rc;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    rc = weft__sys_local_address(listener->io.fd, &address, &length);
    weft__io_release(&listener->io);
    return rc < 0 ? rc : weft__address_format((union weft__sockaddr *)&address, text, size);
}

void weft_listener_close(weft_listener *listener)
{
    if (!listener)
        return;
    struct weft__io *io = &listener->io;
    weft__lock(&io->lock);
    struct accepting *accepting = io->owner;
    io->owner = NULL;
    weft__unlock(&io->lock);
    if (!accepting)
        return; /* closed already */
    weft__io_close(io);
    accepting_release(accepting);
}
