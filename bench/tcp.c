/*
 * What a message costs: 64 bytes to and fro over loopback, a client task and a server task for each
 * connection in the same runtime. One operation is one round trip on any connection. Reads have
 * room to spare, as in real programs: that they come back short says that the socket is drained.
 */
#include "weft_bench.h"

enum { TRIPS = 40000, MESSAGE = 64, BUFFER = 1024, MOST_CONNECTIONS = 100 };

struct client {
    weft_stream *stream;
    weft_task *server;
    size_t trips;
};

static void *echo(void *arg)
{
    weft_stream *stream = arg;
    char buffer[BUFFER];
    ssize_t n;

    while ((n = MUST(weft_read(stream, buffer, sizeof buffer))) > 0)
        MUST(weft_write_all(stream, buffer, (size_t)n));
    weft_close(stream);
    return NULL;
}

static void *ping(void *arg)
{
    struct client *client = arg;
    char buffer[BUFFER] = { 0 };

    for (size_t i = 0; i < client->trips; i++) {
        MUST(weft_write_all(client->stream, buffer, MESSAGE));
        for (ssize_t n, received = 0; received < MESSAGE; received += n) {
            n = MUST(weft_read(client->stream, buffer, sizeof buffer));
            MUST(n > 0 ? 0 : WEFT_EEOF);
        }
    }
    return NULL;
}

/* Makes the connections, starts their servers, and fills in the client ends. */
static void connect_all(struct client *clients, unsigned count)
{
    char address[WEFT_ADDRESS_MAX];
    weft_listener *listener;

    MUST(weft_tcp_listen("127.0.0.1:0", &listener));
    MUST(weft_listener_local_address(listener, address, sizeof address));
    for (unsigned i = 0; i < count; i++) {
        weft_stream *server;

        MUST(weft_tcp_connect(address, &clients[i].stream));
        MUST(weft_accept(listener, &server));
        MUST(weft_stream_set_nodelay(clients[i].stream, true));
        MUST(weft_stream_set_nodelay(server, true));
        clients[i].server = weft_spawn(echo, server);
    }
    weft_listener_close(listener);
}

static void *root(void *arg)
{
    const struct bench_config *config = arg;
    unsigned count = config->connections;
    size_t trips = bench_repeat(config, TRIPS) / count;
    struct bench_laps laps = { .config = config, .operations = trips * count };
    struct client clients[MOST_CONNECTIONS];
    weft_task *tasks[MOST_CONNECTIONS];

    connect_all(clients, count);
    for (unsigned i = 0; i < count; i++)
        clients[i].trips = trips;
    while (bench_lap(&laps)) {
        for (unsigned i = 0; i < count; i++)
            tasks[i] = weft_spawn(ping, &clients[i]);
        for (unsigned i = 0; i < count; i++)
            MUST(weft_join(tasks[i], NULL));
    }
    for (unsigned i = 0; i < count; i++) {
        weft_close(clients[i].stream);
        MUST(weft_join(clients[i].server, NULL));
    }
    return NULL;
}

void tcp_ping_pong(const struct bench_config *config)
{
    bench_on_worker(config, root);
}
