/*
 * Streams: reading and writing, closing, and the options of a connection.
 *
 * What takes several steps holds the stream from the first to the last: otherwise another task
 * could close it in between, and the next step would meet a stranger in its place.
 */
#include "net/stream.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>

#include <weft/error.h>
#include <weft/time.h>

#include "net/address.h"
#include "platform/socket.h"

/* weft__io.flags; under the record's lock. */
enum { RESET_ON_CLOSE = 1 };

/* ---- one step ---- */

static bool is_bad_buffer(const void *buffer, size_t size)
{
    return (!buffer && size > 0) || size > SSIZE_MAX;
}

/* An operation on no bytes: tells only whether the stream is there. */
static ssize_t nothing(weft_stream *stream)
{
    int rc = weft__io_hold(&stream->io);
    if (rc == 0)
        weft__io_release(&stream->io);
    return rc;
}

static ssize_t recv_some(weft_stream *stream, void *buffer, size_t size)
{
    struct weft__op op = { .kind = WEFT__OP_RECV, .buffer = buffer, .size = size };
    return weft__io_run(&stream->io, &op);
}

static ssize_t send_some(weft_stream *stream, const void *data, size_t size)
{
    struct weft__op op = { .kind = WEFT__OP_SEND, .buffer = (void *)data, .size = size };
    return weft__io_run(&stream->io, &op);
}

ssize_t weft_read(weft_stream *stream, void *buffer, size_t size)
{
    if (!stream || is_bad_buffer(buffer, size))
        return -EINVAL;
    return size ? recv_some(stream, buffer, size) : nothing(stream);
}

ssize_t weft_write(weft_stream *stream, const void *data, size_t size)
{
    if (!stream || is_bad_buffer(data, size))
        return -EINVAL;
    return size ? send_some(stream, data, size) : nothing(stream);
}

/* ---- one step over a vector ---- */

/* The sum of the lengths, or -EINVAL. */
static ssize_t vector_size(const struct iovec *vector, int count)
{
    size_t total = 0;
    if (!vector || count <= 0)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (is_bad_buffer(vector[i].iov_base, vector[i].iov_len) ||
            vector[i].iov_len > SSIZE_MAX - total)
            return -EINVAL;
        total += vector[i].iov_len;
    }
    return (ssize_t)total;
}

/*
 * Passes a vector of at least one byte to the kernel, which takes IOV_MAX entries. Empty entries at
 * the front go first: with nothing but those it would transfer nothing, as at the end of a stream.
 */
static ssize_t run_vector(weft_stream *stream, enum weft__op_kind kind, const struct iovec *vector,
                          int count)
{
    while (vector->iov_len == 0) {
        vector++;
        count--;
    }
    struct weft__op op = {
        .kind = kind,
        .vector = vector,
        .count = count < IOV_MAX ? count : IOV_MAX,
    };
    return weft__io_run(&stream->io, &op);
}

static ssize_t transfer_some(weft_stream *stream, enum weft__op_kind kind,
                             const struct iovec *vector, int count)
{
    ssize_t total = stream ? vector_size(vector, count) : -EINVAL;
    if (total < 0)
        return total;
    return total ? run_vector(stream, kind, vector, count) : nothing(stream);
}

ssize_t weft_readv(weft_stream *stream, const struct iovec *vector, int count)
{
    return transfer_some(stream, WEFT__OP_RECVV, vector, count);
}

ssize_t weft_writev(weft_stream *stream, const struct iovec *vector, int count)
{
    return transfer_some(stream, WEFT__OP_SENDV, vector, count);
}

/* ---- all of it ---- */

/* What a step that gave `n` <= 0 means after `done` bytes: the end of a stream, or a code. */
static ssize_t ended(ssize_t n, size_t done)
{
    return n == 0 && done > 0 ? WEFT_EEOF : n;
}

static ssize_t recv_all(weft_stream *stream, char *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = recv_some(stream, buffer + done, size - done);
        if (n <= 0)
            return ended(n, done);
        done += (size_t)n;
    }
    return (ssize_t)size;
}

static ssize_t send_all(weft_stream *stream, const char *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = send_some(stream, data + done, size - done);
        if (n < 0)
            return n;
        done += (size_t)n;
    }
    return (ssize_t)size;
}

ssize_t weft_read_exact(weft_stream *stream, void *buffer, size_t size)
{
    if (!stream || is_bad_buffer(buffer, size))
        return -EINVAL;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    ssize_t n = recv_all(stream, buffer, size);
    weft__io_release(&stream->io);
    return n;
}

ssize_t weft_write_all(weft_stream *stream, const void *data, size_t size)
{
    if (!stream || is_bad_buffer(data, size))
        return -EINVAL;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    ssize_t n = send_all(stream, data, size);
    weft__io_release(&stream->io);
    return n;
}

static void entry_advance(struct iovec *entry, size_t n)
{
    if (n == 0)
        return; /* its base may be NULL */
    entry->iov_base = (char *)entry->iov_base + n;
    entry->iov_len -= n;
}

/* Takes `n` transferred bytes off the front of the vector; how many entries are now used up. */
static int vector_advance(struct iovec *vector, size_t n)
{
    int used = 0;
    while (n > 0 && n >= vector[used].iov_len) {
        n -= vector[used].iov_len;
        entry_advance(&vector[used], vector[used].iov_len);
        used++;
    }
    if (n > 0)
        entry_advance(&vector[used], n);
    return used;
}

static ssize_t transfer_all(weft_stream *stream, enum weft__op_kind kind, struct iovec *vector,
                            int count, size_t total)
{
    size_t done = 0;
    while (done < total) {
        ssize_t n = run_vector(stream, kind, vector, count);
        if (n <= 0)
            return ended(n, done);
        done += (size_t)n;
        int used = vector_advance(vector, (size_t)n);
        vector += used;
        count -= used;
    }
    return (ssize_t)total;
}

static ssize_t hold_and_transfer_all(weft_stream *stream, enum weft__op_kind kind,
                                     struct iovec *vector, int count)
{
    ssize_t total = stream ? vector_size(vector, count) : -EINVAL;
    if (total < 0)
        return total;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    ssize_t n = transfer_all(stream, kind, vector, count, (size_t)total);
    weft__io_release(&stream->io);
    return n;
}

ssize_t weft_readv_exact(weft_stream *stream, struct iovec *vector, int count)
{
    return hold_and_transfer_all(stream, WEFT__OP_RECVV, vector, count);
}

ssize_t weft_writev_all(weft_stream *stream, struct iovec *vector, int count)
{
    return hold_and_transfer_all(stream, WEFT__OP_SENDV, vector, count);
}

/* ---- ending ---- */

int weft_shutdown_write(weft_stream *stream)
{
    if (!stream)
        return -EINVAL;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    rc = weft__sys_shutdown_write(stream->io.fd);
    weft__io_release(&stream->io);
    return rc == -ENOTCONN ? 0 : rc;
}

/* Resets a connection: to dissolve it is to reset it, on Linux and the BSDs. */
static void reset(int fd)
{
    (void)weft__sys_connect(fd, &(struct sockaddr){ .sa_family = AF_UNSPEC },
                            sizeof(struct sockaddr));
}

/* Waiters are told -EBADF first, which the reset would make -ECONNRESET. */
static void close_with_reset(struct weft__io *io)
{
    int rc = weft__io_hold(io);
    if (rc == WEFT_ESHUTDOWN)
        reset(io->fd); /* the open handle keeps it open, and nobody waits */
    weft__io_close(io);
    if (rc == 0) {
        reset(io->fd);
        weft__io_release(io);
    }
}

void weft_close(weft_stream *stream)
{
    if (!stream)
        return;
    struct weft__io *io = &stream->io;
    weft__lock(&io->lock);
    bool with_reset = io->flags & RESET_ON_CLOSE;
    weft__unlock(&io->lock);
    if (with_reset)
        close_with_reset(io);
    else
        weft__io_close(io);
}

int weft_stream_set_reset_on_close(weft_stream *stream)
{
    if (!stream)
        return -EINVAL;
    struct weft__io *io = &stream->io;
    int rc = weft__io_hold(io);
    if (rc < 0)
        return rc;
    weft__lock(&io->lock);
    io->flags |= RESET_ON_CLOSE;
    weft__unlock(&io->lock);
    weft__io_release(io);
    return 0;
}

/* ---- addresses and options ---- */

typedef int get_address(int fd, struct sockaddr_storage *address, socklen_t *length);

static int address_text(weft_stream *stream, get_address *get, char *text, size_t size)
{
    if (!stream || !text)
        return -EINVAL;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    rc = get(stream->io.fd, &address, &length);
    weft__io_release(&stream->io);
    return rc < 0 ? rc : weft__address_format((union weft__sockaddr *)&address, text, size);
}

int weft_stream_local_address(weft_stream *stream, char *text, size_t size)
{
    return address_text(stream, weft__sys_local_address, text, size);
}

int weft_stream_peer_address(weft_stream *stream, char *text, size_t size)
{
    return address_text(stream, weft__sys_peer_address, text, size);
}

int weft_stream_set_nodelay(weft_stream *stream, bool on)
{
    if (!stream)
        return -EINVAL;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    rc = weft__sys_setsockopt(stream->io.fd, IPPROTO_TCP, TCP_NODELAY, on);
    weft__io_release(&stream->io);
    return rc;
}

/* Rounded up, so that no positive duration becomes 0; too many seconds are left to the kernel. */
static int whole_seconds(uint64_t ns)
{
    uint64_t seconds = ns / WEFT_SEC(1) + (ns % WEFT_SEC(1) > 0);
    return seconds > INT_MAX ? INT_MAX : (int)seconds;
}

/* Sets an option unless the value is 0 or an earlier one has failed. */
static int set_unless_zero(int rc, int fd, int name, int value)
{
    return rc < 0 || value == 0 ? rc : weft__sys_setsockopt(fd, IPPROTO_TCP, name, value);
}

/* The values first: if one of them is refused, keepalive has not been turned on. */
static int set_keepalive(int fd, const struct weft_keepalive *keepalive)
{
    int rc = 0;
    if (keepalive) {
        rc = set_unless_zero(rc, fd, TCP_KEEPIDLE, whole_seconds(keepalive->idle));
        rc = set_unless_zero(rc, fd, TCP_KEEPINTVL, whole_seconds(keepalive->interval));
        rc = set_unless_zero(rc, fd, TCP_KEEPCNT, keepalive->probes);
    }
    return rc < 0 ? rc : weft__sys_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive != NULL);
}

int weft_stream_set_keepalive(weft_stream *stream, const struct weft_keepalive *keepalive)
{
    if (!stream)
        return -EINVAL;
    int rc = weft__io_hold(&stream->io);
    if (rc < 0)
        return rc;
    rc = set_keepalive(stream->io.fd, keepalive);
    weft__io_release(&stream->io);
    return rc;
}
