/* test: valgrind timeout=180 */
/*
 * Streams: connecting, reading, writing, ending, cancelling; against weft itself, and against plain
 * blocking sockets on threads of their own. Everything runs on all flavors and leaves nothing open.
 */
#include "flavors.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what all tests use ---- */

static weft_listener *listen_here(char *address)
{
    weft_listener *listener;
    assert_int_equal(weft_tcp_listen("127.0.0.1:0", &listener), 0);
    assert_int_equal(weft_listener_local_address(listener, address, WEFT_ADDRESS_MAX), 0);
    return listener;
}

/* Both ends of a connection. */
struct pair {
    weft_stream *a, *b;
};

static struct pair connected(void)
{
    char address[WEFT_ADDRESS_MAX];
    weft_listener *listener = listen_here(address);
    struct pair pair;
    assert_int_equal(weft_tcp_connect(address, &pair.a), 0);
    assert_int_equal(weft_accept(listener, &pair.b), 0);
    weft_listener_close(listener);
    return pair;
}

static void close_pair(struct pair pair)
{
    weft_close(pair.a);
    weft_close(pair.b);
}

static intptr_t joined(weft_task *task)
{
    void *result = NULL;
    int rc = weft_join(task, &result);
    assert_true(rc == 0 || rc == -ECANCELED);
    return rc == -ECANCELED && !result ? -ECANCELED : (intptr_t)result; /* it may never have run */
}

static void assert_reads(weft_stream *stream, const char *text)
{
    char buffer[256];
    size_t length = strlen(text);
    assert_true(length < sizeof buffer);
    assert_int_equal(weft_read_exact(stream, buffer, length), length);
    assert_memory_equal(buffer, text, length);
}

static void assert_end(weft_stream *stream)
{
    char byte;
    assert_int_equal(weft_read(stream, &byte, 1), 0);
}

static void *echo(void *arg)
{
    weft_stream *stream = arg;
    char buffer[4096];
    ssize_t n;
    while ((n = weft_read(stream, buffer, sizeof buffer)) > 0)
        assert_int_equal(weft_write_all(stream, buffer, (size_t)n), n);
    weft_close(stream);
    return (void *)n;
}

/* A plain client: a thread with a blocking socket, which knows nothing of weft. */
struct client {
    pthread_t thread;
    weft_stream *stream; /* the weft end */
    void (*body)(int fd);
    char address[WEFT_ADDRESS_MAX];
};

static int plain_connect(const char *address)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void *client_thread(void *arg)
{
    struct client *client = arg;
    int fd = plain_connect(client->address);
    client->body(fd);
    close(fd);
    return NULL;
}

static void client_start(struct client *client, void (*body)(int fd))
{
    weft_listener *listener = listen_here(client->address);
    client->body = body;
    assert_int_equal(pthread_create(&client->thread, NULL, client_thread, client), 0);
    assert_int_equal(weft_accept(listener, &client->stream), 0);
    assert_int_equal(weft_stream_set_nodelay(client->stream, true), 0);
    weft_listener_close(listener);
}

/* To be called when the client has nothing more to wait for. */
static void client_finish(struct client *client)
{
    pthread_join(client->thread, NULL);
}

static void plain_read(int fd, void *buffer, size_t size)
{
    assert_int_equal(recv(fd, buffer, size, MSG_WAITALL), size);
}

static void plain_write(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

/* The descriptor behind a stream, found by its addresses: for options that cannot be asked for. */
static int descriptor_of(weft_stream *stream)
{
    char local[WEFT_ADDRESS_MAX], peer[WEFT_ADDRESS_MAX];
    assert_int_equal(weft_stream_local_address(stream, local, sizeof local), 0);
    assert_int_equal(weft_stream_peer_address(stream, peer, sizeof peer), 0);
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in in;
        socklen_t length = sizeof in;
        if (getsockname(fd, (struct sockaddr *)&in, &length) < 0 || in.sin_family != AF_INET ||
            ntohs(in.sin_port) != atoi(strrchr(local, ':') + 1))
            continue;
        length = sizeof in;
        if (getpeername(fd, (struct sockaddr *)&in, &length) == 0 &&
            ntohs(in.sin_port) == atoi(strrchr(peer, ':') + 1))
            return fd;
    }
    fail_msg("no descriptor for %s", local);
    return -1;
}

/* ---- talking ---- */

static void *root_round_trip(void *arg)
{
    struct pair pair = connected();
    (void)arg;
    assert_int_equal(weft_write(pair.a, "hello", 5), 5);
    assert_reads(pair.b, "hello");
    assert_int_equal(weft_write_all(pair.b, "world", 5), 5);
    assert_reads(pair.a, "world");
    weft_close(pair.a);
    assert_end(pair.b);
    assert_end(pair.b);
    weft_close(pair.b);
    return NULL;
}

static void test_round_trip(void **state)
{
    (void)state;
    everywhere(root_round_trip);
}

static void *ping(void *arg)
{
    weft_stream *stream = arg;
    long rounds = test_scale(200, 20);
    for (long i = 0; i < rounds; i++) {
        long answer = -1;
        assert_int_equal(weft_write_all(stream, &i, sizeof i), sizeof i);
        assert_int_equal(weft_read_exact(stream, &answer, sizeof answer), sizeof answer);
        assert_int_equal(answer, i);
    }
    weft_close(stream);
    return NULL;
}

static void *root_many_connections(void *arg)
{
    enum { MANY = 100 };
    long count = test_scale(MANY, 10);
    weft_task *tasks[MANY][2];
    (void)arg;
    for (long i = 0; i < count; i++) {
        struct pair pair = connected();
        tasks[i][0] = weft_spawn(echo, pair.b);
        tasks[i][1] = weft_spawn(ping, pair.a);
    }
    for (long i = 0; i < count; i++) {
        assert_int_equal(joined(tasks[i][1]), 0);
        assert_int_equal(joined(tasks[i][0]), 0);
    }
    return NULL;
}

static void test_many_connections(void **state)
{
    (void)state;
    everywhere(root_many_connections);
}

static void body_one_byte_at_a_time(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (int i = 0; i < 300; i++) {
        unsigned char sent = (unsigned char)i, got;
        plain_write(fd, &sent, 1);
        if (i % 3 == 0)
            continue; /* sometimes several in a row */
        for (int n = i % 3 == 1 ? 2 : 1; n > 0; n--)
            plain_read(fd, &got, 1);
        assert_int_equal(got, sent);
    }
}

static void *root_one_byte_at_a_time(void *arg)
{
    struct client client;
    (void)arg;
    client_start(&client, body_one_byte_at_a_time);
    assert_int_equal(joined(weft_spawn(echo, client.stream)), 0);
    client_finish(&client);
    return NULL;
}

static void test_one_byte_at_a_time(void **state)
{
    (void)state;
    everywhere(root_one_byte_at_a_time);
}

static void body_blocks(int fd)
{
    static char sent[30000], got[30000];
    for (int round = 0; round < 50; round++) {
        memset(sent, round + 1, sizeof sent);
        plain_write(fd, sent, sizeof sent);
        plain_read(fd, got, sizeof got);
        assert_memory_equal(got, sent, sizeof got);
    }
    shutdown(fd, SHUT_WR);
    assert_int_equal(recv(fd, got, 1, 0), 0);
}

static void *root_plain_client(void *arg)
{
    struct client client;
    (void)arg;
    client_start(&client, body_blocks);
    assert_int_equal(joined(weft_spawn(echo, client.stream)), 0);
    client_finish(&client);
    return NULL;
}

static void test_plain_client(void **state)
{
    (void)state;
    everywhere(root_plain_client);
}

/* ---- many bytes, both ways at once, in pieces of all sizes ---- */

struct flow {
    weft_stream *stream;
    uint64_t seed; /* of the pieces; the bytes are the same for all */
    size_t left;
    uint64_t sum;
};

static uint32_t roll(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void add_up(uint64_t *sum, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *sum = *sum * 31 + bytes[i];
}

static size_t piece(struct flow *flow, size_t most)
{
    size_t size = roll(&flow->seed) % 4 ? roll(&flow->seed) % most + 1 : most;
    return size < flow->left ? size : flow->left;
}

static void *send_flow(void *arg)
{
    struct flow *flow = arg;
    uint64_t bytes = 7;
    unsigned char *buffer = calloc(1, 100000);
    while (flow->left) {
        size_t size = piece(flow, 100000);
        for (size_t i = 0; i < size; i += 1 + i / 16)
            buffer[i] = (unsigned char)roll(&bytes);
        add_up(&flow->sum, buffer, size);
        assert_int_equal(weft_write_all(flow->stream, buffer, size), size);
        flow->left -= size;
    }
    free(buffer);
    assert_int_equal(weft_shutdown_write(flow->stream), 0);
    return NULL;
}

static void *receive_flow(void *arg)
{
    struct flow *flow = arg;
    unsigned char *buffer = malloc(70000);
    for (;;) {
        ssize_t n = weft_read(flow->stream, buffer, roll(&flow->seed) % 70000 + 1);
        assert_true(n >= 0);
        if (n == 0)
            break;
        add_up(&flow->sum, buffer, (size_t)n);
        flow->left -= (size_t)n;
    }
    free(buffer);
    return NULL;
}

static void *root_many_bytes(void *arg)
{
    size_t size = (size_t)test_scale(64, 4) << 20;
    struct pair pair = connected();
    struct flow out[2] = { { pair.a, 1, size, 0 }, { pair.b, 2, size, 0 } };
    struct flow in[2] = { { pair.b, 3, size, 0 }, { pair.a, 4, size, 0 } };
    weft_task *tasks[4];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        tasks[i] = weft_spawn(send_flow, &out[i]);
        tasks[2 + i] = weft_spawn(receive_flow, &in[i]);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(joined(tasks[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(in[i].left, 0);
        assert_true(in[i].sum == out[i].sum);
    }
    close_pair(pair);
    return NULL;
}

static void test_many_bytes(void **state)
{
    (void)state;
    everywhere(root_many_bytes);
}

/* ---- all of it, or the end ---- */

static void *root_exact(void *arg)
{
    struct pair pair = connected();
    char buffer[16];
    (void)arg;
    assert_int_equal(weft_write_all(pair.a, "0123456789abcdefghij", 20), 20);
    weft_close(pair.a);
    assert_int_equal(weft_read_exact(pair.b, buffer, 16), 16);
    assert_memory_equal(buffer, "0123456789abcdef", 16);
    assert_int_equal(weft_read_exact(pair.b, buffer, 16), WEFT_EEOF);
    assert_memory_equal(buffer, "ghij", 4);
    assert_int_equal(weft_read_exact(pair.b, buffer, 16), 0);
    weft_close(pair.b);
    return NULL;
}

static void test_exact(void **state)
{
    (void)state;
    everywhere(root_exact);
}

/* ---- vectors ---- */

enum { ENTRIES = 3000, VECTOR_BYTES = ENTRIES * 16 };

static unsigned char vector_source[VECTOR_BYTES], vector_target[VECTOR_BYTES];

/* Cuts the bytes into more entries than the kernel takes at once; the first `empty` are empty. */
static void cut(struct iovec *vector, unsigned char *bytes, int empty, uint64_t seed)
{
    size_t at = 0;
    for (int i = 0; i < ENTRIES; i++) {
        size_t size = i < empty || roll(&seed) % 8 == 0 ? 0 : roll(&seed) % 17;
        if (i == ENTRIES - 1 || size > VECTOR_BYTES - at)
            size = VECTOR_BYTES - at;
        vector[i] = (struct iovec){ size ? bytes + at : NULL, size };
        at += size;
    }
}

static void assert_used_up(const struct iovec *vector)
{
    for (int i = 0; i < ENTRIES; i++)
        assert_int_equal(vector[i].iov_len, 0);
}

static void *send_vector(void *arg)
{
    static struct iovec vector[ENTRIES];
    cut(vector, vector_source, 0, 1);
    assert_int_equal(weft_writev_all(arg, vector, ENTRIES), VECTOR_BYTES);
    assert_used_up(vector);
    cut(vector, vector_source, IOV_MAX + 5, 2);
    assert_int_equal(weft_writev_all(arg, vector, ENTRIES), VECTOR_BYTES);
    assert_used_up(vector);
    return NULL;
}

static void *root_vectors(void *arg)
{
    static struct iovec vector[ENTRIES];
    struct pair pair = connected();
    (void)arg;
    for (size_t i = 0; i < VECTOR_BYTES; i++)
        vector_source[i] = (unsigned char)(i * 7 + i / 256);
    weft_task *task = weft_spawn(send_vector, pair.a);
    for (int round = 0; round < 2; round++) {
        memset(vector_target, 0, sizeof vector_target);
        cut(vector, vector_target, round ? 0 : IOV_MAX * 2, 3);
        assert_int_equal(weft_readv_exact(pair.b, vector, ENTRIES), VECTOR_BYTES);
        assert_memory_equal(vector_target, vector_source, VECTOR_BYTES);
        assert_used_up(vector);
    }
    assert_int_equal(joined(task), 0);
    close_pair(pair);
    return NULL;
}

static void test_vectors(void **state)
{
    (void)state;
    everywhere(root_vectors);
}

static void *root_vector_steps(void *arg)
{
    struct pair pair = connected();
    struct iovec out[] = { { NULL, 0 }, { "abc", 3 }, { NULL, 0 }, { "defg", 4 } };
    char first[2], second[10];
    struct iovec in[] = { { NULL, 0 }, { first, 2 }, { second, 10 } };
    (void)arg;
    assert_int_equal(weft_writev(pair.a, out, 4), 7);
    assert_int_equal(weft_readv(pair.b, in, 3), 7);
    assert_memory_equal(first, "ab", 2);
    assert_memory_equal(second, "cdefg", 5);
    assert_int_equal(in[1].iov_len, 2); /* not advanced: only the forms for all of it do that */

    assert_int_equal(weft_write_all(pair.a, "xyz", 3), 3);
    weft_close(pair.a);
    assert_int_equal(weft_readv_exact(pair.b, in, 3), WEFT_EEOF);
    assert_memory_equal(first, "xy", 2);
    assert_int_equal(in[1].iov_len, 0);
    assert_int_equal(in[2].iov_len, 9); /* what is left was not transferred */
    assert_ptr_equal(in[2].iov_base, second + 1);
    assert_int_equal(weft_readv_exact(pair.b, in, 3), 0);
    weft_close(pair.b);
    return NULL;
}

static void test_vector_steps(void **state)
{
    (void)state;
    everywhere(root_vector_steps);
}

/* ---- ending ---- */

static void *root_half_close(void *arg)
{
    struct pair pair = connected();
    char buffer[8192];
    (void)arg;
    assert_int_equal(weft_write_all(pair.a, "question", 8), 8);
    assert_int_equal(weft_shutdown_write(pair.a), 0);
    assert_int_equal(weft_shutdown_write(pair.a), 0);
    assert_reads(pair.b, "question");
    assert_end(pair.b);
    assert_int_equal(weft_write(pair.a, "x", 1), -EPIPE);
    memset(buffer, 'a', sizeof buffer);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_write_all(pair.b, buffer, sizeof buffer), sizeof buffer);
    weft_close(pair.b);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_read_exact(pair.a, buffer, sizeof buffer), sizeof buffer);
    assert_end(pair.a);
    weft_close(pair.a);
    return NULL;
}

static void test_half_close(void **state)
{
    (void)state;
    everywhere(root_half_close);
}

static void *root_reset(void *arg)
{
    struct pair pair = connected();
    char byte, text[WEFT_ADDRESS_MAX] = "untouched";
    (void)arg;
    assert_int_equal(weft_stream_set_reset_on_close(pair.a), 0);
    weft_close(pair.a);
    assert_int_equal(weft_read(pair.b, &byte, 1), -ECONNRESET);
    assert_int_equal(weft_read(pair.b, &byte, 1), 0); /* told once, as by the kernel */
    assert_int_equal(weft_write(pair.b, "x", 1), -EPIPE);
    assert_int_equal(weft_shutdown_write(pair.b), 0);
    assert_int_equal(weft_stream_peer_address(pair.b, text, sizeof text), -ENOTCONN);
    assert_string_equal(text, "untouched");
    weft_close(pair.b);

    /* Streams that come after it end in order again. */
    for (int i = 0; i < 100; i++) {
        pair = connected();
        weft_close(pair.a);
        assert_end(pair.b);
        weft_close(pair.b);
    }

    /* A stream that waits when the reset comes is told so too. */
    pair = connected();
    assert_int_equal(weft_stream_set_reset_on_close(pair.a), 0);
    weft_task *reader = weft_spawn(echo, pair.b);
    assert_int_equal(weft_write_all(pair.a, "x", 1), 1);
    assert_reads(pair.a, "x");
    weft_close(pair.a);
    assert_int_equal(joined(reader), -ECONNRESET);
    return NULL;
}

static void test_reset(void **state)
{
    (void)state;
    everywhere(root_reset);
}

/* Writing to a peer that has gone gives a code; the kernel has a signal for it, which would kill us. */
static void *root_no_sigpipe(void *arg)
{
    struct pair pair = connected();
    char data[1000] = "";
    struct iovec vector = { data, sizeof data };
    ssize_t n;
    (void)arg;
    weft_close(pair.b);
    for (int i = 0; (n = weft_write(pair.a, data, sizeof data)) > 0; i++)
        assert_true(i < 100000);
    assert_true(n == -EPIPE || n == -ECONNRESET);
    assert_int_equal(weft_write(pair.a, data, sizeof data), -EPIPE);
    assert_int_equal(weft_write_all(pair.a, data, sizeof data), -EPIPE);
    assert_int_equal(weft_writev(pair.a, &vector, 1), -EPIPE);
    assert_int_equal(weft_writev_all(pair.a, &vector, 1), -EPIPE);
    weft_close(pair.a);
    return NULL;
}

static void test_no_sigpipe(void **state)
{
    sigset_t set, before;
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &set, &before);
    everywhere(root_no_sigpipe);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The last bytes and the end of the stream arrive together, before a read with room for more. */
static void *root_data_and_end(void *arg)
{
    char address[WEFT_ADDRESS_MAX], buffer[4096];
    weft_listener *listener = listen_here(address);
    long rounds = test_scale(200, 30);
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        weft_stream *stream;
        int fd = plain_connect(address);
        if (i % 2 == 0) {
            plain_write(fd, "12345", 5);
            close(fd);
        }
        assert_int_equal(weft_accept(listener, &stream), 0);
        if (i % 2 == 1) { /* with a wait before it, so that the engine knows the descriptor */
            plain_write(fd, "1", 1);
            assert_reads(stream, "1");
            plain_write(fd, "2345", 4);
            close(fd);
        }
        assert_int_equal(weft_read(stream, buffer, sizeof buffer), i % 2 ? 4 : 5);
        assert_int_equal(weft_read(stream, buffer, sizeof buffer), 0);
        weft_close(stream);
    }
    weft_listener_close(listener);
    return NULL;
}

static void test_data_and_end(void **state)
{
    (void)state;
    everywhere(root_data_and_end);
}

/* Urgent data cuts a read short though there is more behind it. */
static void body_urgent(int fd)
{
    char answer;
    for (int i = 0; i < 50; i++) {
        plain_write(fd, "abc", 3);
        assert_int_equal(send(fd, "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
        plain_write(fd, "def", 3);
        plain_read(fd, &answer, 1);
    }
}

static void *root_urgent(void *arg)
{
    struct client client;
    char buffer[4096];
    (void)arg;
    client_start(&client, body_urgent);
    for (int i = 0; i < 50; i++) {
        for (ssize_t got = 0; got < 6;) {
            ssize_t n = weft_read(client.stream, buffer + got, sizeof buffer - (size_t)got);
            assert_true(n > 0);
            got += n;
            assert_true(got <= 6);
        }
        assert_memory_equal(buffer, "abcdef", 6);
        assert_int_equal(weft_write(client.stream, "k", 1), 1);
    }
    assert_end(client.stream);
    weft_close(client.stream);
    client_finish(&client);
    return NULL;
}

static void test_urgent(void **state)
{
    (void)state;
    everywhere(root_urgent);
}

/* ---- several tasks on one stream ---- */

static void *read_one(void *arg)
{
    char byte;
    return (void *)weft_read(arg, &byte, 1);
}

static void *write_for_ever(void *arg)
{
    char data[10000] = "";
    ssize_t n;
    while ((n = weft_write_all(arg, data, sizeof data)) > 0)
        ;
    return (void *)n;
}

static void *root_close_under(void *arg)
{
    long rounds = test_scale(200, 30);
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        struct pair pair = connected();
        weft_task *readers[3], *writer = weft_spawn(write_for_ever, pair.a);
        for (int r = 0; r < 3; r++)
            readers[r] = weft_spawn(read_one, pair.a);
        for (long n = i % 16; n > 0; n--)
            assert_int_equal(weft_yield(), 0);
        weft_close(pair.a);
        for (int r = 0; r < 3; r++)
            assert_int_equal(joined(readers[r]), -EBADF);
        assert_int_equal(joined(writer), -EBADF);
        weft_close(pair.b);
    }
    return NULL;
}

static void test_close_under(void **state)
{
    (void)state;
    everywhere(root_close_under);
}

static void *count_bytes(void *arg)
{
    intptr_t count = 0;
    char byte;
    ssize_t n;
    while ((n = weft_read(arg, &byte, 1)) > 0)
        count++;
    assert_int_equal(n, 0);
    return (void *)count;
}

static void *root_two_readers(void *arg)
{
    struct pair pair = connected();
    weft_task *readers[2];
    long count = test_scale(2000, 200);
    (void)arg;
    for (int r = 0; r < 2; r++)
        readers[r] = weft_spawn(count_bytes, pair.a);
    for (long i = 0; i < count; i++) {
        assert_int_equal(weft_write_all(pair.b, "xyz", 3), 3);
        if (i % 2)
            assert_int_equal(weft_yield(), 0);
    }
    weft_close(pair.b);
    assert_int_equal(joined(readers[0]) + joined(readers[1]), 3 * count);
    weft_close(pair.a);
    return NULL;
}

static void test_two_readers(void **state)
{
    (void)state;
    everywhere(root_two_readers);
}

/* ---- cancellation ---- */

/* An aborted read has taken the byte and says so, or has not, and then the next one gets it. */
static void *root_cancel_read(void *arg)
{
    struct pair pair = connected();
    long rounds = test_scale(1000, 100);
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        weft_task *reader = weft_spawn(read_one, pair.a);
        for (long n = i % 4; n > 0; n--)
            assert_int_equal(weft_yield(), 0);
        if (i % 3 == 0) {
            weft_abort(reader);
            assert_int_equal(joined(reader), -ECANCELED);
            assert_int_equal(weft_write(pair.b, "x", 1), 1);
            assert_reads(pair.a, "x");
            continue;
        }
        assert_int_equal(weft_write(pair.b, "x", 1), 1);
        weft_abort(reader);
        intptr_t n = joined(reader);
        assert_true(n == 1 || n == -ECANCELED);
        if (n == -ECANCELED)
            assert_reads(pair.a, "x");
    }
    close_pair(pair);
    return NULL;
}

static void test_cancel_read(void **state)
{
    (void)state;
    everywhere(root_cancel_read);
}

enum { BIG = 32 << 20 };

struct big_write {
    weft_stream *stream;
    char *data;
    struct iovec vector[3];
    _Atomic bool begun;
};

static void *write_big(void *arg)
{
    struct big_write *big = arg;
    for (int i = 0; i < 3; i++)
        big->vector[i] = (struct iovec){ big->data, BIG };
    big->begun = true;
    return (void *)weft_writev_all(big->stream, big->vector, 3);
}

/* What is left in the vector of an aborted write was not sent, and the rest was. */
static void *root_cancel_write(void *arg)
{
    struct pair pair = connected();
    struct big_write big = { .stream = pair.a, .data = calloc(1, BIG) };
    size_t got = 0;
    ssize_t n;
    static char buffer[65536];
    (void)arg;
    weft_task *writer = weft_spawn(write_big, &big);
    UNTIL(big.begun);
    for (int i = 0; i < 10; i++) {
        assert_true((n = weft_read(pair.b, buffer, sizeof buffer)) > 0);
        got += (size_t)n;
    }
    weft_abort(writer);
    assert_int_equal(joined(writer), -ECANCELED);
    assert_int_equal(weft_shutdown_write(pair.a), 0);
    while ((n = weft_read(pair.b, buffer, sizeof buffer)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    size_t left = big.vector[0].iov_len + big.vector[1].iov_len + big.vector[2].iov_len;
    assert_int_equal(got + left, 3 * (size_t)BIG);
    assert_true(left > 0);
    free(big.data);
    close_pair(pair);
    return NULL;
}

static void test_cancel_write(void **state)
{
    (void)state;
    everywhere(root_cancel_write);
}

static void *cancelled_task(void *arg)
{
    struct pair *pair = arg;
    char byte;
    weft_stream *out = NULL;
    while (weft_yield() == 0)
        ;
    assert_int_equal(weft_read(pair->a, &byte, 1), 1); /* is there: no need to wait */
    assert_int_equal(weft_write(pair->a, "y", 1), 1);  /* fits */
    assert_int_equal(weft_read(pair->a, &byte, 1), -ECANCELED);
    assert_int_equal(weft_read_exact(pair->a, &byte, 1), -ECANCELED);
    assert_int_equal(weft_read(pair->a, &byte, 0), 0);
    assert_int_equal(weft_tcp_connect("127.0.0.1:1", &out), -ECANCELED);
    assert_int_equal(weft_tcp_connect("localhost:1", &out), -ECANCELED);
    assert_null(out);
    assert_int_equal(weft_shutdown_write(pair->a), 0); /* never waits */
    return NULL;
}

static void *root_cancelled_task(void *arg)
{
    struct pair pair = connected();
    (void)arg;
    assert_int_equal(weft_write(pair.b, "x", 1), 1);
    weft_task *task = weft_spawn(cancelled_task, &pair);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_yield(), 0);
    weft_abort(task);
    assert_int_equal(weft_join(task, NULL), -ECANCELED);
    close_pair(pair);
    return NULL;
}

static void test_cancelled_task(void **state)
{
    (void)state;
    everywhere(root_cancelled_task);
}

/* ---- connecting ---- */

/* A port that nobody else gets, and nobody listens on. */
static int dead_port(char *address)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    snprintf(address, WEFT_ADDRESS_MAX, "127.0.0.1:%d", ntohs(in.sin_port));
    return fd;
}

static void *root_refused(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    weft_stream *stream = NULL;
    (void)arg;
    int port = dead_port(address);
    int before = descriptors_open();
    for (int i = 0; i < 50; i++)
        assert_int_equal(weft_tcp_connect(address, &stream), -ECONNREFUSED);
    assert_null(stream);
    assert_int_equal(descriptors_open(), before);
    close(port);
    return NULL;
}

static void test_refused(void **state)
{
    (void)state;
    everywhere(root_refused);
}

static void *connect_once(void *arg)
{
    weft_stream *stream = NULL;
    int rc = weft_tcp_connect(arg, &stream);
    if (rc == 0)
        weft_close(stream);
    else
        assert_null(stream);
    return (void *)(intptr_t)rc;
}

/* A full backlog lets a connect wait as long as one likes. */
static void *root_cancel_connect(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    long rounds = test_scale(50, 10);
    (void)arg;
    int port = dead_port(address);
    assert_int_equal(listen(port, 0), 0);
    int filler = plain_connect(address);
    int before = descriptors_open();
    for (long i = 0; i < rounds; i++) {
        weft_task *task = weft_spawn(connect_once, address);
        for (long n = i % 8; n > 0; n--)
            assert_int_equal(weft_yield(), 0);
        weft_abort(task);
        assert_int_equal(joined(task), -ECANCELED);
        assert_int_equal(descriptors_open(), before);
    }
    close(filler);
    close(port);
    return NULL;
}

static void test_cancel_connect(void **state)
{
    (void)state;
    everywhere(root_cancel_connect);
}

static void *root_names(void *arg)
{
    char address[WEFT_ADDRESS_MAX], name[WEFT_ADDRESS_MAX];
    weft_listener *listener;
    weft_stream *client = NULL, *server;
    (void)arg;
    assert_int_equal(weft_tcp_listen("localhost:0", &listener), 0);
    assert_int_equal(weft_listener_local_address(listener, address, sizeof address), 0);
    snprintf(name, sizeof name, "localhost%s", strrchr(address, ':'));
    assert_int_equal(weft_tcp_connect(name, &client), 0);
    assert_int_equal(weft_accept(listener, &server), 0);
    weft_close(client);
    weft_close(server);
    weft_listener_close(listener);

    client = NULL;
    assert_int_equal(weft_tcp_connect("127.0.0.1:no-such-service", &client), WEFT_ENONAME);
    assert_null(client);
    return NULL;
}

/* On a machine without a name server this takes as long as the resolver is told to try. */
static void *root_unknown_name(void *arg)
{
    weft_stream *client = NULL;
    (void)arg;
    int rc = weft_tcp_connect("no-such-host.invalid:80", &client);
    assert_true(rc == WEFT_ENONAME || rc == WEFT_ENAMEAGAIN);
    assert_null(client);
    return NULL;
}

static void test_unknown_name(void **state)
{
    (void)state;
    run_on(&flavors[0], root_unknown_name, NULL);
}

static void test_names(void **state)
{
    (void)state;
    everywhere(root_names);
}

static void *root_cancel_names(void *arg)
{
    weft_task *tasks[8];
    (void)arg;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 8; i++)
            tasks[i] = weft_spawn(connect_once, "localhost:1");
        for (int n = 0; n < round * 4; n++)
            assert_int_equal(weft_yield(), 0);
        for (int i = 0; i < 8; i++) {
            weft_abort(tasks[i]);
            intptr_t rc = joined(tasks[i]);
            assert_true(rc == -ECANCELED || rc == -ECONNREFUSED);
        }
    }
    return NULL;
}

static void test_cancel_names(void **state)
{
    (void)state;
    everywhere(root_cancel_names);
}

/* ---- addresses and options ---- */

static void *root_addresses(void *arg)
{
    struct pair pair = connected();
    char a[WEFT_ADDRESS_MAX], b[WEFT_ADDRESS_MAX], tiny[8] = "same";
    (void)arg;
    assert_int_equal(weft_stream_local_address(pair.a, a, sizeof a), 0);
    assert_int_equal(weft_stream_peer_address(pair.b, b, sizeof b), 0);
    assert_string_equal(a, b);
    assert_int_equal(strncmp(a, "127.0.0.1:", 10), 0);
    assert_int_equal(weft_stream_local_address(pair.b, a, sizeof a), 0);
    assert_int_equal(weft_stream_peer_address(pair.a, b, sizeof b), 0);
    assert_string_equal(a, b);
    assert_int_equal(weft_stream_local_address(pair.a, tiny, sizeof tiny), -ENOSPC);
    assert_int_equal(weft_stream_peer_address(pair.a, tiny, 0), -ENOSPC);
    assert_string_equal(tiny, "same");
    close_pair(pair);
    return NULL;
}

static void test_addresses(void **state)
{
    (void)state;
    everywhere(root_addresses);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void *root_options(void *arg)
{
    struct pair pair = connected();
    int fd = descriptor_of(pair.a);
    (void)arg;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(descriptor_of(pair.b), F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(descriptor_of(pair.b), F_GETFD) & FD_CLOEXEC);

    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(weft_stream_set_nodelay(pair.a, true), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(weft_stream_set_nodelay(pair.a, false), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);

    int idle = option(fd, IPPROTO_TCP, TCP_KEEPIDLE);
    struct weft_keepalive none = { 0 }, some = { WEFT_SEC(30), WEFT_MS(1500), 4 };
    struct weft_keepalive bad_probes = { .probes = -1 }, bad_idle = { .idle = UINT64_MAX };
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(weft_stream_set_keepalive(pair.a, &bad_probes), -EINVAL);
    assert_int_equal(weft_stream_set_keepalive(pair.a, &bad_idle), -EINVAL);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(weft_stream_set_keepalive(pair.a, &none), 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), idle);
    assert_int_equal(weft_stream_set_keepalive(pair.a, &some), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 2);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    assert_int_equal(weft_stream_set_keepalive(pair.a, NULL), 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close_pair(pair);
    return NULL;
}

static void test_options(void **state)
{
    (void)state;
    everywhere(root_options);
}

/* ---- misuse ---- */

static void *root_bad_arguments(void *arg)
{
    struct pair pair = connected();
    char byte = 0, text[WEFT_ADDRESS_MAX];
    struct iovec good = { &byte, 1 }, null = { NULL, 1 }, empty[2] = { { NULL, 0 }, { &byte, 0 } };
    struct iovec huge[2] = { { &byte, SSIZE_MAX }, { &byte, 1 } };
    size_t too_long = (size_t)SSIZE_MAX + 1;
    weft_stream *stream = NULL;
    (void)arg;
    weft_close(NULL);

    assert_int_equal(weft_read(NULL, &byte, 1), -EINVAL);
    assert_int_equal(weft_read(pair.a, NULL, 1), -EINVAL);
    assert_int_equal(weft_read(pair.a, &byte, too_long), -EINVAL);
    assert_int_equal(weft_read_exact(NULL, &byte, 1), -EINVAL);
    assert_int_equal(weft_read_exact(pair.a, NULL, 1), -EINVAL);
    assert_int_equal(weft_read_exact(pair.a, &byte, too_long), -EINVAL);
    assert_int_equal(weft_write(NULL, &byte, 1), -EINVAL);
    assert_int_equal(weft_write(pair.a, NULL, 1), -EINVAL);
    assert_int_equal(weft_write(pair.a, &byte, too_long), -EINVAL);
    assert_int_equal(weft_write_all(NULL, &byte, 1), -EINVAL);
    assert_int_equal(weft_write_all(pair.a, NULL, 1), -EINVAL);
    assert_int_equal(weft_write_all(pair.a, &byte, too_long), -EINVAL);

    assert_int_equal(weft_readv(NULL, &good, 1), -EINVAL);
    assert_int_equal(weft_readv(pair.a, NULL, 1), -EINVAL);
    assert_int_equal(weft_readv(pair.a, &good, 0), -EINVAL);
    assert_int_equal(weft_readv(pair.a, &good, -1), -EINVAL);
    assert_int_equal(weft_readv(pair.a, &null, 1), -EINVAL);
    assert_int_equal(weft_readv(pair.a, huge, 2), -EINVAL);
    assert_int_equal(weft_writev(NULL, &good, 1), -EINVAL);
    assert_int_equal(weft_writev(pair.a, NULL, 1), -EINVAL);
    assert_int_equal(weft_writev(pair.a, &good, 0), -EINVAL);
    assert_int_equal(weft_writev(pair.a, &null, 1), -EINVAL);
    assert_int_equal(weft_writev(pair.a, huge, 2), -EINVAL);
    assert_int_equal(weft_readv_exact(NULL, &good, 1), -EINVAL);
    assert_int_equal(weft_readv_exact(pair.a, &good, 0), -EINVAL);
    assert_int_equal(weft_readv_exact(pair.a, huge, 2), -EINVAL);
    assert_int_equal(weft_writev_all(NULL, &good, 1), -EINVAL);
    assert_int_equal(weft_writev_all(pair.a, &good, -1), -EINVAL);
    assert_int_equal(weft_writev_all(pair.a, &null, 1), -EINVAL);

    /* No bytes at all is no misuse. */
    assert_int_equal(weft_read(pair.a, &byte, 0), 0);
    assert_int_equal(weft_read(pair.a, NULL, 0), 0);
    assert_int_equal(weft_read_exact(pair.a, NULL, 0), 0);
    assert_int_equal(weft_write(pair.a, NULL, 0), 0);
    assert_int_equal(weft_write_all(pair.a, &byte, 0), 0);
    assert_int_equal(weft_readv(pair.a, empty, 2), 0);
    assert_int_equal(weft_writev(pair.a, empty, 2), 0);
    assert_int_equal(weft_readv_exact(pair.a, empty, 2), 0);
    assert_int_equal(weft_writev_all(pair.a, empty, 2), 0);

    assert_int_equal(weft_shutdown_write(NULL), -EINVAL);
    assert_int_equal(weft_stream_local_address(NULL, text, sizeof text), -EINVAL);
    assert_int_equal(weft_stream_local_address(pair.a, NULL, sizeof text), -EINVAL);
    assert_int_equal(weft_stream_peer_address(NULL, text, sizeof text), -EINVAL);
    assert_int_equal(weft_stream_peer_address(pair.a, NULL, sizeof text), -EINVAL);
    assert_int_equal(weft_stream_set_nodelay(NULL, true), -EINVAL);
    assert_int_equal(weft_stream_set_keepalive(NULL, NULL), -EINVAL);
    assert_int_equal(weft_stream_set_reset_on_close(NULL), -EINVAL);

    assert_int_equal(weft_tcp_connect(NULL, &stream), -EINVAL);
    assert_int_equal(weft_tcp_connect("127.0.0.1:1", NULL), -EINVAL);
    assert_int_equal(weft_tcp_connect("nonsense", &stream), -EINVAL);
    assert_int_equal(weft_tcp_connect("127.1:80", &stream), -EINVAL);
    assert_int_equal(weft_tcp_connect(":80", &stream), -EINVAL); /* any interface is nobody */
    assert_int_equal(weft_tcp_connect(":http", &stream), -EINVAL);
    assert_null(stream);
    close_pair(pair);
    return NULL;
}

static void test_bad_arguments(void **state)
{
    (void)state;
    everywhere(root_bad_arguments);
}

/* A thread outside tasks may do all that need not wait. */
static void *foreign_thread(void *arg)
{
    struct pair *pair = arg;
    char buffer[100], text[WEFT_ADDRESS_MAX];
    weft_stream *stream = NULL;
    assert_int_equal(weft_tcp_connect("127.0.0.1:1", &stream), -EPERM);
    assert_int_equal(weft_tcp_connect("localhost:1", &stream), -EPERM);
    assert_null(stream);
    assert_int_equal(weft_read(pair->a, buffer, sizeof buffer), -EPERM);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_write_all(pair->b, "four", 4), 4);
        assert_int_equal(weft_read(pair->a, buffer, sizeof buffer), 4);
        assert_int_equal(weft_read(pair->a, buffer, sizeof buffer), -EPERM);
    }
    assert_int_equal(weft_stream_local_address(pair->a, text, sizeof text), 0);
    assert_int_equal(weft_stream_set_nodelay(pair->a, true), 0);
    assert_int_equal(weft_shutdown_write(pair->b), 0);
    assert_int_equal(weft_read(pair->a, buffer, sizeof buffer), 0);
    weft_close(pair->b);
    return NULL;
}

static void *root_foreign_thread(void *arg)
{
    struct pair pair = connected();
    pthread_t thread;
    (void)arg;
    assert_int_equal(pthread_create(&thread, NULL, foreign_thread, &pair), 0);
    pthread_join(thread, NULL);
    assert_end(pair.a);
    weft_close(pair.a);

    /* The same when the engine has been told of the descriptors by tasks that had to wait. */
    pair = connected();
    weft_task *task = weft_spawn(read_one, pair.a);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_yield(), 0);
    assert_int_equal(weft_write(pair.b, "x", 1), 1);
    assert_int_equal(joined(task), 1);
    assert_int_equal(pthread_create(&thread, NULL, foreign_thread, &pair), 0);
    pthread_join(thread, NULL);
    weft_close(pair.a);
    return NULL;
}

static void test_foreign_thread(void **state)
{
    (void)state;
    everywhere(root_foreign_thread);
}

/* The waiting half of a connection may be closed by a thread that knows nothing of the runtime. */
static void *close_stream(void *arg)
{
    weft_close(arg);
    return NULL;
}

static void *root_foreign_close(void *arg)
{
    struct pair pair = connected();
    pthread_t thread;
    (void)arg;
    weft_task *task = weft_spawn(read_one, pair.a);
    assert_int_equal(weft_yield(), 0);
    assert_int_equal(pthread_create(&thread, NULL, close_stream, pair.a), 0);
    assert_int_equal(joined(task), -EBADF);
    pthread_join(thread, NULL);
    weft_close(pair.b);
    return NULL;
}

static void test_foreign_close(void **state)
{
    (void)state;
    everywhere(root_foreign_close);
}

static void *leave_pair(void *arg)
{
    *(struct pair *)arg = connected();
    return NULL;
}

static void test_after_the_runtime(void **state)
{
    (void)state;
    for (size_t i = 0; i < FLAVORS; i++) {
        int before = descriptors_open();
        weft_runtime *runtime;
        struct pair pair;
        char byte = 0, text[WEFT_ADDRESS_MAX];
        assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
        assert_int_equal(weft_block_on(runtime, leave_pair, &pair, NULL), 0);
        assert_int_equal(weft_stream_set_reset_on_close(pair.a), 0);
        assert_int_equal(weft_runtime_free(runtime), 0);
        assert_int_equal(weft_read(pair.a, &byte, 1), WEFT_ESHUTDOWN);
        assert_int_equal(weft_write(pair.a, &byte, 1), WEFT_ESHUTDOWN);
        assert_int_equal(weft_write_all(pair.a, &byte, 0), WEFT_ESHUTDOWN);
        assert_int_equal(weft_shutdown_write(pair.a), WEFT_ESHUTDOWN);
        assert_int_equal(weft_stream_peer_address(pair.a, text, sizeof text), WEFT_ESHUTDOWN);
        assert_int_equal(weft_stream_set_nodelay(pair.a, true), WEFT_ESHUTDOWN);
        close_pair(pair);
        assert_int_equal(descriptors_open(), before);
    }
}

/* Records are used again: a stream must not inherit the reset of the one before (it once did). */
static void *root_recycled(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct pair pair = connected();
        assert_int_equal(weft_stream_set_reset_on_close(pair.a), 0);
        close_pair(pair);
    }
    for (int i = 0; i < 40; i++) {
        struct pair pair = connected();
        char byte;
        weft_close(pair.a);
        assert_int_equal(weft_read(pair.b, &byte, 1), 0);
        weft_close(pair.b);
    }
    return arg;
}

static void test_recycled(void **state)
{
    (void)state;
    everywhere(root_recycled);
}

static void test_outside(void **state)
{
    weft_stream *stream = NULL;
    (void)state;
    assert_int_equal(weft_tcp_connect("127.0.0.1:1", &stream), -EPERM);
    assert_int_equal(weft_tcp_connect("localhost:1", &stream), -EPERM);
    assert_null(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_plain_client),
        cmocka_unit_test(test_many_bytes),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vector_steps),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_recycled),
        cmocka_unit_test(test_no_sigpipe),
        cmocka_unit_test(test_data_and_end),
        cmocka_unit_test(test_urgent),
        cmocka_unit_test(test_close_under),
        cmocka_unit_test(test_two_readers),
        cmocka_unit_test(test_cancel_read),
        cmocka_unit_test(test_cancel_write),
        cmocka_unit_test(test_cancelled_task),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cancel_connect),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_unknown_name),
        cmocka_unit_test(test_cancel_names),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_foreign_thread),
        cmocka_unit_test(test_foreign_close),
        cmocka_unit_test(test_after_the_runtime),
        cmocka_unit_test(test_outside),
    };
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1); /* see test_unknown_name */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
