/*
 * An HTTP/1.1 server with one page. Usage: http-hello [--port N] [--workers N]
 *
 * Keep-alive and pipelining: all requests that have arrived are answered with one write. Whatever
 * is wrong, or has a body, ends the connection: so no body is ever taken for a request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <weft.h>

enum {
    INPUT = 8192, /* the longest head of a request */
    REPLY = 128,  /* more than the longest reply */
    OUTPUT = (INPUT / (sizeof "GET / HTTP/1.1\n\n" - 1) + 1) * REPLY,
};

struct request {
    int status; /* to answer with */
    bool head;  /* HEAD: no body, please */
    bool last;  /* close after it */
};

static bool is_visible(const char *at, const char *end)
{
    for (const char *c = at; c < end; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return at < end;
}

static void read_request_line(struct request *request, const char *line, const char *end)
{
    const char *target = memchr(line, ' ', (size_t)(end - line));
    const char *version = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
    *request = (struct request){ .status = 400 };
    if (!version || !is_visible(line, target) || !is_visible(target + 1, version) ||
        end - version != 9 || memcmp(version, " HTTP/1.", 8) != 0 ||
        (version[8] != '0' && version[8] != '1'))
        return;
    request->head = target - line == 4 && memcmp(line, "HEAD", 4) == 0;
    request->last = version[8] == '0';
    bool get = target - line == 3 && memcmp(line, "GET", 3) == 0;
    request->status = get || request->head ? 200 : 405;
}

/* Whether this header is `name` with another value than `usual`. */
static bool is_unusual(const char *line, const char *colon, const char *end, const char *name,
                       const char *usual)
{
    size_t length = strlen(name);
    if ((size_t)(colon - line) != length || strncasecmp(line, name, length) != 0)
        return false;
    const char *value = colon + 1;
    for (; value < end && (*value == ' ' || *value == '\t'); value++)
        ;
    for (; value < end && (end[-1] == ' ' || end[-1] == '\t'); end--)
        ;
    length = strlen(usual);
    return (size_t)(end - value) != length || strncasecmp(value, usual, length) != 0;
}

static void read_header(struct request *request, const char *line, const char *end)
{
    const char *colon = memchr(line, ':', (size_t)(end - line));
    bool bad = !colon || !is_visible(line, colon);
    if (bad || (request->status == 200 && (is_unusual(line, colon, end, "Content-Length", "0") ||
                                           is_unusual(line, colon, end, "Transfer-Encoding", ""))))
        request->status = 400;
    else if (is_unusual(line, colon, end, "Connection", "keep-alive"))
        request->last = true;
}

/* Reads a request; its length, or 0 when there is more of it to come. */
static size_t read_request(struct request *request, const char *input, size_t size)
{
    const char *line = input, *newline;
    while ((newline = memchr(line, '\n', size - (size_t)(line - input))) != NULL) {
        const char *end = newline > line && newline[-1] == '\r' ? newline - 1 : newline;
        size_t length = (size_t)(newline + 1 - input);
        if (line == input)
            read_request_line(request, line, end);
        else if (line == end)
            return length;
        else
            read_header(request, line, end);
        if (request->status == 400)
            return length;
        line = newline + 1;
    }
    *request = (struct request){ .status = 431 };
    return size < INPUT ? 0 : size;
}

static const char *status_line(int status)
{
    switch (status) {
    case 200: return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n";
    case 405: return "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n";
    case 431: return "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n";
    default: return "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n";
    }
}

static char *write_reply(char *out, const struct request *request)
{
    out = stpcpy(out, status_line(request->status));
    out = stpcpy(out, request->last ? "Connection: close\r\n\r\n" : "\r\n");
    return request->status == 200 && !request->head ? stpcpy(out, "Hello, world!") : out;
}

/* Reads what still comes, within reason: closing with bytes unread would reset the last reply. */
static void drain(weft_stream *conn, char *buf, size_t size)
{
    weft_shutdown_write(conn);
    for (int i = 0; i < 100 && weft_read(conn, buf, size) > 0; i++)
        ;
}

static void *serve(void *arg)
{
    weft_stream *conn = arg;
    struct request request = { 0 };
    char input[INPUT], output[OUTPUT];
    size_t filled = 0;
    ssize_t n;

    while (!request.last && (n = weft_read(conn, input + filled, INPUT - filled)) > 0) {
        filled += (size_t)n;
        size_t used = 0, length;
        char *out = output;
        while (!request.last && (length = read_request(&request, input + used, filled - used))) {
            used += length;
            request.last |= request.status != 200;
            out = write_reply(out, &request);
        }
        if (out > output && weft_write_all(conn, output, (size_t)(out - output)) < 0)
            break;
        filled -= used;
        memmove(input, input + used, filled);
    }
    if (request.last && request.status != 200)
        drain(conn, input, sizeof input);
    weft_close(conn);
    return NULL;
}

static void print_counters(void)
{
    struct weft_metrics m;
    if (weft_metrics_read(NULL, &m) == 0)
        printf("counters: tasks=%llu polls=%llu steals=%llu parks=%llu wakes=%llu io_events=%llu\n",
               (unsigned long long)m.spawned, (unsigned long long)m.polls,
               (unsigned long long)m.steals, (unsigned long long)m.parks,
               (unsigned long long)m.wakes, (unsigned long long)m.io_events);
}

static const char *port = "8080";

static int server(int argc, char **argv)
{
    (void)argc;
    char address[WEFT_ADDRESS_MAX];
    snprintf(address, sizeof address, "127.0.0.1:%s", port);
    weft_listener *listener;
    int rc = weft_tcp_listen(address, &listener);
    if (rc < 0) {
        fprintf(stderr, "%s: %s: %s\n", argv[0], address, weft_strerror(rc));
        return rc;
    }
    weft_listener_local_address(listener, address, sizeof address);
    printf("listening on %s\n", address);
    fflush(stdout);

    weft_stream *conn;
    while ((rc = weft_accept(listener, &conn)) == 0) {
        weft_stream_set_nodelay(conn, true);
        if (weft_go(serve, conn) < 0)
            weft_close(conn);
    }
    weft_listener_close(listener);
    print_counters();
    return rc;
}

/* WEFT_MAIN by hand, because the arguments are wanted for the runtime. */
int main(int argc, char **argv)
{
    struct weft_config config = { 0 };
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--port") == 0) {
            port = argv[i + 1];
        } else if (i + 1 < argc && strcmp(argv[i], "--workers") == 0) {
            config.worker_threads = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--port N] [--workers N]\n", argv[0]);
            return 2;
        }
    }
    return weft_main(&config, sizeof config, server, argc, argv);
}
