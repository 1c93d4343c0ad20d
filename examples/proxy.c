/* Passes connections on to another address. Usage: proxy LISTEN_ADDRESS TARGET_ADDRESS */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

/* A connection and its onward half. Whoever is the last to use it closes both. */
struct session {
    weft_stream *client, *target;
    _Atomic int users;
};

static const char *target_address; /* written before any task reads it */
static char has_run;               /* its address is what a direction returns */

static void release(struct session *session)
{
    if (atomic_fetch_sub(&session->users, 1) == 1) {
        weft_close(session->client);
        weft_close(session->target);
        free(session);
    }
}

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
    release(session);
    return &has_run;
}

static void *downwards(void *arg)
{
    struct session *session = arg;
    copy(session->target, session->client);
    release(session);
    return &has_run;
}

/* Waits for a direction. One that never ran cannot have released its share of the session. */
static void finish(weft_task *direction, struct session *session)
{
    void *ran = NULL;
    if (weft_join(direction, &ran) == -EINTR) { /* we are to end ourselves: it does on its own */
        weft_abort(direction);
        weft_detach(direction);
    } else if (!ran) {
        weft_shutdown_write(session->client);
        weft_shutdown_write(session->target);
        release(session);
    }
}

static void *pass_on(void *arg)
{
    struct session *session = malloc(sizeof *session);
    weft_stream *client = arg, *target;
    if (!session || weft_tcp_connect(target_address, &target) < 0) {
        free(session);
        weft_close(client);
        return NULL;
    }
    *session = (struct session){ client, target, 3 }; /* two directions and this task */
    weft_stream_set_nodelay(client, true);
    weft_stream_set_nodelay(target, true);

    weft_task *up = weft_spawn(upwards, session);
    weft_task *down = weft_spawn(downwards, session);
    finish(up, session);
    finish(down, session); /* NOLINT(clang-analyzer-unix.Malloc): it cannot count users */
    release(session);      /* NOLINT(clang-analyzer-unix.Malloc) */
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
