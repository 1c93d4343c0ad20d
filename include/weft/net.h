/*
 * TCP: listeners and streams.
 *
 * Addresses are text: "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", "example.org:http", ":80" (to
 * listen on: any interface, IPv6 and IPv4), "localhost:0" (a free port). IPv4 is four decimal
 * numbers; "127.1" or "0x7f.1" is no address. Names are resolved away from the workers.
 *
 * A stream or listener belongs to the runtime it was made on, and may be used by all tasks of that
 * runtime at once: one task may read while another writes; several that read the same stream all
 * wake when there is something, and those that find nothing left wait again.
 *
 * Codes that every operation may return
 *   -EINVAL        a null handle or buffer (NULL with a length of 0 is fine), or a length above
 *                  SSIZE_MAX
 *   -EBADF         the stream or listener was closed by another task meanwhile
 *   -EPERM         it would have to wait, and the caller is not a fiber of a runtime; or it makes
 *                  a stream or listener, and there is no current runtime
 *   -ECANCELED     it would have to wait, and the calling task has been aborted
 *   WEFT_ESHUTDOWN the runtime it belongs to has been freed
 * and the kernel's own (-ECONNRESET, -EPIPE, ...). SIGPIPE is never raised.
 */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <sys/uio.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_stream weft_stream;
typedef struct weft_listener weft_listener;

/* Room for any address as text, with its port and terminating NUL. */
#define WEFT_ADDRESS_MAX 80

/* What weft_tcp_listen_with takes. Zero means default everywhere. */
struct weft_listen_options {
    int backlog;            /* default 1024; the kernel caps it at somaxconn */
    bool reuse_port;        /* SO_REUSEPORT: several listeners share the port */
    bool exclusive_address; /* do not set SO_REUSEADDR */
    bool ipv6_only;         /* a listener on [::] does not take IPv4 as well */
    /*
     * Called on the accepting task when the process is out of descriptors or memory, once per
     * spell: `code` is -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM. See weft_accept.
     */
    void (*on_exhausted)(void *context, int code);
    void *context;
};

/*
 * Binds and listens; tries the addresses of a name in order, the first that works wins. `options`
 * may be NULL. Returns 0, -EINVAL (text that is no address, a bad option), WEFT_ENONAME,
 * WEFT_ENAMEAGAIN, -EADDRINUSE, -EACCES, -EMFILE..., the last one when all failed. May suspend
 * (names only; on a thread that has entered a runtime it blocks instead). Cancellation leaves
 * nothing open.
 *
 * The macro passes the size of the struct, so that a later library can tell an older caller.
 */
WEFT_API int weft_tcp_listen_with_sized(const char *address,
                                        const struct weft_listen_options *options, size_t size,
                                        weft_listener **out) WEFT_MUST_USE;
#define weft_tcp_listen_with(address, options, out)                                                \
    weft_tcp_listen_with_sized((address), (options), sizeof(struct weft_listen_options), (out))
WEFT_API int weft_tcp_listen(const char *address, weft_listener **out) WEFT_MUST_USE;

/*
 * Takes the next connection. Connections that died in the backlog are skipped. When the process is
 * out of descriptors or memory it reports (on_exhausted) and waits with growing pauses (1 ms to
 * 100 ms), then goes on: it neither spins nor gives up. The spell is over with the next connection
 * that is accepted.
 *
 * Returns 0 or a code; a cancelled task gets -ECANCELED even when a connection is there, so a flood
 * cannot keep a server alive. May suspend. No connection is lost to cancellation.
 */
WEFT_API int weft_accept(weft_listener *listener, weft_stream **out) WEFT_MUST_USE;

/* The bound address, as text; -ENOSPC when `size` is too small (WEFT_ADDRESS_MAX is enough). */
WEFT_API int weft_listener_local_address(weft_listener *listener, char *text, size_t size);

/* Closes; tasks waiting in weft_accept get -EBADF. NULL is ignored. Any thread. Never suspends. */
WEFT_API void weft_listener_close(weft_listener *listener);

/*
 * Connects; tries the addresses of a name in order. Returns 0, -ECONNREFUSED, -EHOSTUNREACH,
 * -ETIMEDOUT..., the last one when all failed, or as weft_tcp_listen; -EINVAL also for ":80", which
 * names nobody. Fibers only. May suspend. Cancellation leaves nothing open.
 */
WEFT_API int weft_tcp_connect(const char *address, weft_stream **out) WEFT_MUST_USE;

/*
 * Reads what is there, waiting for at least one byte. Returns the count, 0 at the end of the stream
 * (or for no room at all), or a code. May suspend. -ECANCELED means that nothing was taken.
 *
 * Vectors, here and below, have any number of entries from 1 up (0 or less: -EINVAL), empty ones
 * among them; how many the kernel takes at once does not matter.
 */
WEFT_API ssize_t weft_read(weft_stream *stream, void *buffer, size_t size) WEFT_MUST_USE;
WEFT_API ssize_t weft_readv(weft_stream *stream, const struct iovec *vector, int count)
    WEFT_MUST_USE;

/* Writes some of it, waiting until at least one byte fits. Returns the count or a code. */
WEFT_API ssize_t weft_write(weft_stream *stream, const void *data, size_t size) WEFT_MUST_USE;
WEFT_API ssize_t weft_writev(weft_stream *stream, const struct iovec *vector, int count)
    WEFT_MUST_USE;

/*
 * Reads or writes all of it, however many steps that takes. Returns `size` (the sum of the vector),
 * or a code. weft_read_exact returns 0 when the stream ended before the first byte, and WEFT_EEOF
 * when it ended in between. May suspend several times.
 *
 * When one of these fails, bytes may have been transferred. The vectored forms tell how many: they
 * advance the entries of `vector` in place, so what is left in it was not transferred.
 */
WEFT_API ssize_t weft_read_exact(weft_stream *stream, void *buffer, size_t size) WEFT_MUST_USE;
WEFT_API ssize_t weft_write_all(weft_stream *stream, const void *data, size_t size) WEFT_MUST_USE;
WEFT_API ssize_t weft_readv_exact(weft_stream *stream, struct iovec *vector, int count)
    WEFT_MUST_USE;
WEFT_API ssize_t weft_writev_all(weft_stream *stream, struct iovec *vector, int count)
    WEFT_MUST_USE;

/*
 * Ends the writing direction (FIN); the peer reads the end of the stream, reading here goes on.
 * Calling it again, or after the peer is gone, gives 0. Any thread. Never suspends.
 */
WEFT_API int weft_shutdown_write(weft_stream *stream);

/*
 * Closes both directions; tasks waiting on the stream get -EBADF. The handle is gone: it must not
 * be used by anyone who starts a call later. NULL is ignored. Any thread. Never suspends.
 */
WEFT_API void weft_close(weft_stream *stream);

/* As weft_listener_local_address. -ENOTCONN when the peer is gone. */
WEFT_API int weft_stream_local_address(weft_stream *stream, char *text, size_t size);
WEFT_API int weft_stream_peer_address(weft_stream *stream, char *text, size_t size);

/* TCP_NODELAY: small writes go out at once. Off by default, as in the kernel. */
WEFT_API int weft_stream_set_nodelay(weft_stream *stream, bool on);

/* What weft_stream_set_keepalive takes; zero leaves the system's value. Whole seconds count. */
struct weft_keepalive {
    uint64_t idle;     /* ns without traffic before the first probe */
    uint64_t interval; /* ns between probes */
    int probes;        /* unanswered probes until the connection is dropped */
};

/* SO_KEEPALIVE: on with the given values, off with NULL. */
WEFT_API int weft_stream_set_keepalive(weft_stream *stream, const struct weft_keepalive *keepalive);

/* weft_close will reset the connection, as SO_LINGER with 0 s, instead of ending it in order. */
WEFT_API int weft_stream_set_reset_on_close(weft_stream *stream);

WEFT_END_DECLS

#endif
