/* Passes connections on to another address. Usage: proxy LISTEN_ADDRESS TARGET_ADDRESS */
#include <stdio.h>
#include <weft.h>

/* A connection and its onward half. Lives on the stack of pass_on, which waits for both directions. */
struct session {
    weft_stream *client, *target;
};

static const char *target_address; /* written before any task reads it */

/* The end of one stream becomes the end of the other: half a connection may be closed. */
static void copy(weft_stream *from, weft_stream *to)
{
    char buf[16384];
    ssize_t n;
    while ((n = weft_read(from, buf, sizeof buf)) > 0)
        if (weft_write_all(to, buf, (size_t)n) < 0)
            break;
    weft_shutdown_write(to);
}

static void *upwards(void *arg)
{
    struct session *session = arg;
    copy(session->client, session->target);
    return NULL;
}

static void *downwards(void *arg)
{
    struct session *session = arg;
    copy(session->target, session->client);
    return NULL;
}

/* Waits for a direction. If we are told to end meanwhile, we tell it, and go on waiting. */
static void finish(weft_task *direction)
{
    while (weft_join(direction, NULL) == -EINTR) {
        weft_abort(direction);
        weft_yield();
    }
}

static void *pass_on(void *arg)
{
    struct session session = { .client = arg };
    if (weft_tcp_connect(target_address, &session.target) == 0) {
        weft_stream_set_nodelay(session.client, true);
        weft_stream_set_nodelay(session.target, true);
        weft_task *up = weft_spawn(upwards, &session);
        weft_task *down = weft_spawn(downwards, &session);
        if (!up || !down) { /* out of memory: half a connection is of no use */
            weft_abort(up);
            weft_abort(down);
        }
        finish(up);
        finish(down);
        weft_close(session.target);
    }
    weft_close(session.client);
    return NULL;
}

static int proxy(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: proxy LISTEN_ADDRESS TARGET_ADDRESS\n");
        return 2;
    }
    target_address = argv[2];
    weft_listener *listener;
    int rc = weft_tcp_listen(argv[1], &listener);
    if (rc < 0) {
        fprintf(stderr, "proxy: %s: %s\n", argv[1], weft_strerror(rc));
        return rc;
    }
    char address[WEFT_ADDRESS_MAX];
    weft_listener_local_address(listener, address, sizeof address);
    printf("listening on %s\n", address);
    fflush(stdout);

    weft_stream *conn;
    while ((rc = weft_accept(listener, &conn)) == 0)
        if (weft_go(pass_on, conn) < 0)
            weft_close(conn);
    weft_listener_close(listener);
    return rc;
}

WEFT_MAIN(proxy)
