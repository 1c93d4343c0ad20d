/* Sends back what it gets: one task a connection. Usage: echo [PORT] */
#include <stdio.h>
#include <weft.h>

static void *echo(void *arg)
{
    weft_stream *conn = arg;
    char buf[4096];
    ssize_t n;

    while ((n = weft_read(conn, buf, sizeof buf)) > 0)
        if (weft_write_all(conn, buf, (size_t)n) < 0)
            break;
    weft_close(conn);
    return NULL;
}

static int listen_on(const char *port, weft_listener **listener)
{
    char address[WEFT_ADDRESS_MAX];
    snprintf(address, sizeof address, "127.0.0.1:%s", port);
    int rc = weft_tcp_listen(address, listener);
    if (rc < 0) {
        fprintf(stderr, "echo: cannot listen on %s: %s\n", address, weft_strerror(rc));
        return rc;
    }
    weft_listener_local_address(*listener, address, sizeof address);
    printf("listening on %s\n", address);
    fflush(stdout);
    return 0;
}

static int server(int argc, char **argv)
{
    weft_listener *listener;
    int rc = listen_on(argc > 1 ? argv[1] : "8080", &listener);
    if (rc < 0)
        return rc;

    weft_stream *conn;
    while ((rc = weft_accept(listener, &conn)) == 0) {
        weft_stream_set_nodelay(conn, true);
        if (weft_go(echo, conn) < 0) /* spawn and detach */
            weft_close(conn);
    }
    weft_listener_close(listener);
    return rc;
}

WEFT_MAIN(server)
