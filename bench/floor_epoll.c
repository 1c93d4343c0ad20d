/*
 * weft-floor: the TCP ping-pong with nothing around it: one thread, one epoll loop, both ends of
 * all connections. What a runtime adds to this is its price. With one thread at any --workers, it
 * is a true floor for the w1 rows; in the w2 rows it shows what a second worker is worth.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { TRIPS = 40000, MESSAGE = 64, BUFFER = 1024, MOST_CONNECTIONS = 100 };

#define SYSTEM(call) bench_must((call) < 0 ? -errno : 0, #call)

struct end {
    int fd;
    bool is_client;
    size_t trips; /* still to go; clients only */
};

static struct end ends[2 * MOST_CONNECTIONS];

/* The client ends stand at the even places, their servers right behind them. */
static void connect_all(int epoll, unsigned connections)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof address;
    struct sockaddr *plain = (struct sockaddr *)&address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SYSTEM(bind(listener, plain, length));
    SYSTEM(listen(listener, MOST_CONNECTIONS));
    SYSTEM(getsockname(listener, plain, &length));
    for (unsigned i = 0; i < 2 * connections; i += 2) {
        SYSTEM(ends[i].fd = socket(AF_INET, SOCK_STREAM, 0));
        SYSTEM(connect(ends[i].fd, plain, length));
        SYSTEM(ends[i + 1].fd = accept(listener, NULL, NULL));
        ends[i].is_client = true;
        for (unsigned j = i; j < i + 2; j++) {
            struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &ends[j] };

            SYSTEM(setsockopt(ends[j].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
            SYSTEM(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[j].fd, &event));
        }
    }
    close(listener);
}

static void send_message(const struct end *end, const char *message)
{
    bench_must(write(end->fd, message, MESSAGE) == MESSAGE ? 0 : -EIO, "write");
}

/* Each event is one whole message: a peer never has more than one under way. */
static void run_trips(int epoll, unsigned connections, size_t trips)
{
    struct epoll_event events[2 * MOST_CONNECTIONS];
    char message[BUFFER] = { 0 };
    unsigned unfinished = connections;

    for (unsigned i = 0; i < 2 * connections; i += 2) {
        ends[i].trips = trips;
        send_message(&ends[i], message);
    }
    while (unfinished > 0) {
        int count = epoll_wait(epoll, events, 2 * MOST_CONNECTIONS, -1);

        SYSTEM(count);
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;

            bench_must(read(end->fd, message, BUFFER) == MESSAGE ? 0 : -EIO, "read");
            if (!end->is_client || --end->trips > 0)
                send_message(end, message);
            else
                unfinished--;
        }
    }
}

static void tcp_ping_pong(const struct bench_config *config)
{
    size_t trips = bench_repeat(config, TRIPS) / config->connections;
    struct bench_laps laps = { .config = config, .operations = trips * config->connections };
    int epoll = epoll_create1(0);

    SYSTEM(epoll);
    connect_all(epoll, config->connections);
    while (bench_lap(&laps))
        run_trips(epoll, config->connections, trips);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { .name = "tcp_ping_pong_c1_w1", .run = tcp_ping_pong, .connections = 1 },
        { .name = "tcp_ping_pong_c2_w1", .run = tcp_ping_pong, .connections = 2 },
        { .name = "tcp_ping_pong_c10_w1", .run = tcp_ping_pong, .connections = 10 },
        { .name = "tcp_ping_pong_c100_w1", .run = tcp_ping_pong, .connections = 100 },
        { .name = "tcp_ping_pong_c1_w2", .run = tcp_ping_pong, .connections = 1 },
        { .name = "tcp_ping_pong_c2_w2", .run = tcp_ping_pong, .connections = 2 },
        { .name = "tcp_ping_pong_c10_w2", .run = tcp_ping_pong, .connections = 10 },
        { .name = "tcp_ping_pong_c100_w2", .run = tcp_ping_pong, .connections = 100 },
    };

    return bench_main(argc, argv, benches, sizeof benches / sizeof benches[0]);
}
