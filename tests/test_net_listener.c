/* test: valgrind serial timeout=180 */
/*
 * Listeners: where they listen, who gets a connection, what ends a wait; connections that die before
 * they are taken; and a process that runs out of descriptors.
 */
#include "flavors.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what the tests use ---- */

static weft_listener *listen_on(const char *where, char *address)
{
    weft_listener *listener;
    assert_int_equal(weft_tcp_listen(where, &listener), 0);
    assert_int_equal(weft_listener_local_address(listener, address, WEFT_ADDRESS_MAX), 0);
    return listener;
}

static int port_of(const char *address)
{
    return atoi(strrchr(address, ':') + 1);
}

/* A plain blocking socket, connected as soon as the kernel has put it into the backlog. */
static int plain_connect(const char *address)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    in.sin_port = htons((uint16_t)port_of(address));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void plain_reset(int fd)
{
    struct linger linger = { .l_onoff = 1 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

static intptr_t joined(weft_task *task)
{
    void *result = NULL;
    int rc = weft_join(task, &result);
    assert_true(rc == 0 || rc == -ECANCELED);
    return rc == -ECANCELED && !result ? -ECANCELED : (intptr_t)result; /* it may never have run */
}

/* Takes one connection and closes it again. */
static void *accept_once(void *arg)
{
    weft_stream *stream = NULL;
    int rc = weft_accept(arg, &stream);
    if (rc == 0)
        weft_close(stream);
    else
        assert_null(stream);
    return number(rc);
}

static void assert_takes_one(weft_listener *listener)
{
    assert_int_equal((intptr_t)accept_once(listener), 0);
}

/* ---- where ---- */

static int connects(const char *format, int port)
{
    char address[WEFT_ADDRESS_MAX];
    weft_stream *stream;
    snprintf(address, sizeof address, format, port);
    int rc = weft_tcp_connect(address, &stream);
    if (rc == 0)
        weft_close(stream);
    return rc;
}

static void *root_any_interface(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    (void)arg;
    weft_listener *listener = listen_on(":0", address);
    int port = port_of(address);
    if (has_ipv6()) {
        assert_int_equal(strncmp(address, "[::]:", 5), 0);
        assert_int_equal(connects("[::1]:%d", port), 0);
        assert_takes_one(listener);
    } else {
        assert_int_equal(strncmp(address, "0.0.0.0:", 8), 0);
    }
    assert_int_equal(connects("127.0.0.1:%d", port), 0);

    weft_stream *stream;
    assert_int_equal(weft_accept(listener, &stream), 0);
    assert_int_equal(weft_stream_peer_address(stream, address, sizeof address), 0);
    assert_non_null(strstr(address, "127.0.0.1"));
    weft_close(stream);
    weft_listener_close(listener);
    return NULL;
}

static void test_any_interface(void **state)
{
    (void)state;
    everywhere(root_any_interface);
}

static void *root_any_interface_in_use(void *arg)
{
    char address[WEFT_ADDRESS_MAX], any[WEFT_ADDRESS_MAX];
    weft_listener *second = NULL;
    (void)arg;
    weft_listener *listener = listen_on(":0", address);
    snprintf(any, sizeof any, ":%d", port_of(address));
    assert_int_equal(weft_tcp_listen(any, &second), -EADDRINUSE);
    assert_null(second);
    weft_listener_close(listener);
    assert_int_equal(weft_tcp_listen(any, &second), 0);
    weft_listener_close(second);
    return NULL;
}

static void test_any_interface_in_use(void **state)
{
    (void)state;
    everywhere(root_any_interface_in_use);
}

static void *root_ipv6(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    struct weft_listen_options options = { .ipv6_only = true };
    weft_listener *listener;
    (void)arg;
    listener = listen_on("[::1]:0", address);
    assert_int_equal(connects("[::1]:%d", port_of(address)), 0);
    assert_takes_one(listener);
    weft_listener_close(listener);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(weft_tcp_listen_with(i ? "[::]:0" : ":0", &options, &listener), 0);
        assert_int_equal(weft_listener_local_address(listener, address, sizeof address), 0);
        assert_int_equal(connects("127.0.0.1:%d", port_of(address)), -ECONNREFUSED);
        assert_int_equal(connects("[::1]:%d", port_of(address)), 0);
        assert_takes_one(listener);
        weft_listener_close(listener);
    }
    return NULL;
}

static void test_ipv6(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    everywhere(root_ipv6);
}

static void *root_sharing(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    struct weft_listen_options share = { .reuse_port = true };
    weft_listener *first, *second = NULL;
    (void)arg;
    first = listen_on("127.0.0.1:0", address);
    assert_int_equal(weft_tcp_listen(address, &second), -EADDRINUSE);
    assert_int_equal(weft_tcp_listen_with(address, &share, &second), -EADDRINUSE);
    assert_null(second);
    weft_listener_close(first);

    assert_int_equal(weft_tcp_listen_with("127.0.0.1:0", &share, &first), 0);
    assert_int_equal(weft_listener_local_address(first, address, sizeof address), 0);
    assert_int_equal(weft_tcp_listen_with(address, &share, &second), 0);
    weft_listener_close(first);
    weft_listener_close(second);
    return NULL;
}

static void test_sharing(void **state)
{
    (void)state;
    everywhere(root_sharing);
}

/* The descriptor behind a listener, found by its port: for options that cannot be asked for. */
static int descriptor_of(const char *address)
{
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in in;
        socklen_t length = sizeof in;
        if (getsockname(fd, (struct sockaddr *)&in, &length) == 0 && in.sin_family == AF_INET &&
            ntohs(in.sin_port) == port_of(address))
            return fd;
    }
    fail_msg("no descriptor for %s", address);
    return -1;
}

static void *root_exclusive(void *arg)
{
    struct weft_listen_options options = { .backlog = 5 };
    (void)arg;
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        char address[WEFT_ADDRESS_MAX];
        weft_listener *listener;
        options.exclusive_address = exclusive;
        assert_int_equal(weft_tcp_listen_with("127.0.0.1:0", &options, &listener), 0);
        assert_int_equal(weft_listener_local_address(listener, address, sizeof address), 0);
        int fd = descriptor_of(address), value = -1;
        socklen_t length = sizeof value;
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &length), 0);
        assert_int_equal(value, !exclusive);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        weft_listener_close(listener);
    }
    return NULL;
}

static void test_exclusive(void **state)
{
    (void)state;
    everywhere(root_exclusive);
}

/* ---- who gets it ---- */

static void *count_accepted(void *arg)
{
    weft_stream *stream;
    intptr_t count = 0;
    int rc;
    while ((rc = weft_accept(arg, &stream)) == 0) {
        weft_close(stream);
        count++;
    }
    assert_int_equal(rc, -EBADF);
    return (void *)count;
}

static void *connect_and_see_the_end(void *arg)
{
    weft_stream *stream;
    char byte;
    assert_int_equal(weft_tcp_connect(arg, &stream), 0);
    assert_int_equal(weft_read(stream, &byte, 1), 0);
    weft_close(stream);
    return NULL;
}

static void *root_several_acceptors(void *arg)
{
    enum { ACCEPTORS = 4, CLIENTS = 200 };
    long clients = test_scale(CLIENTS, 20);
    char address[WEFT_ADDRESS_MAX];
    weft_listener *listener = listen_on("127.0.0.1:0", address);
    weft_task *acceptors[ACCEPTORS], *tasks[CLIENTS];
    intptr_t total = 0;
    (void)arg;
    for (int i = 0; i < ACCEPTORS; i++)
        acceptors[i] = weft_spawn(count_accepted, listener);
    for (long i = 0; i < clients; i++)
        tasks[i] = weft_spawn(connect_and_see_the_end, address);
    for (long i = 0; i < clients; i++)
        assert_int_equal(weft_join(tasks[i], NULL), 0);
    weft_listener_close(listener);
    for (int i = 0; i < ACCEPTORS; i++)
        total += joined(acceptors[i]);
    assert_int_equal(total, clients);
    return NULL;
}

static void test_several_acceptors(void **state)
{
    (void)state;
    everywhere(root_several_acceptors);
}

/* ---- what ends a wait ---- */

static void *close_listener(void *arg)
{
    weft_listener_close(arg);
    return NULL;
}

static void *root_close_under(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    long rounds = test_scale(200, 30);
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        weft_listener *listener = listen_on("127.0.0.1:0", address);
        weft_task *tasks[2];
        for (int t = 0; t < 2; t++)
            tasks[t] = weft_spawn(accept_once, listener);
        for (long n = i % 8; n > 0; n--)
            assert_int_equal(weft_yield(), 0);
        if (i % 2) {
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, close_listener, listener), 0);
            pthread_join(thread, NULL);
        } else {
            weft_listener_close(listener);
        }
        for (int t = 0; t < 2; t++)
            assert_int_equal(joined(tasks[t]), -EBADF);
        assert_int_equal(connects("127.0.0.1:%d", port_of(address)), -ECONNREFUSED);
    }
    return NULL;
}

static void test_close_under(void **state)
{
    (void)state;
    everywhere(root_close_under);
}

/* Aborted while a connection comes: either the task has taken it, or it is there for the next one. */
static void *root_cancel_loses_nothing(void *arg)
{
    char address[WEFT_ADDRESS_MAX], byte;
    weft_listener *listener = listen_on("127.0.0.1:0", address);
    long rounds = test_scale(500, 50);
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        weft_task *task = weft_spawn(accept_once, listener);
        for (long n = i % 4; n > 0; n--)
            assert_int_equal(weft_yield(), 0);
        weft_stream *client;
        assert_int_equal(weft_tcp_connect(address, &client), 0);
        weft_abort(task);
        intptr_t rc = joined(task);
        assert_true(rc == 0 || rc == -ECANCELED);
        if (rc == -ECANCELED)
            assert_takes_one(listener);
        assert_int_equal(weft_read(client, &byte, 1), 0);
        weft_close(client);
    }
    weft_listener_close(listener);
    return NULL;
}

static void test_cancel_loses_nothing(void **state)
{
    (void)state;
    everywhere(root_cancel_loses_nothing);
}

static void *cancelled_acceptor(void *arg)
{
    while (weft_yield() == 0)
        ;
    return accept_once(arg);
}

/* A flood of connections does not keep a cancelled server alive. */
static void *root_cancel_wins(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    weft_listener *listener = listen_on("127.0.0.1:0", address);
    int client = plain_connect(address);
    (void)arg;
    weft_task *task = weft_spawn(cancelled_acceptor, listener);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_yield(), 0);
    weft_abort(task);
    assert_int_equal(joined(task), -ECANCELED);
    assert_takes_one(listener);
    close(client);
    weft_listener_close(listener);
    return NULL;
}

static void test_cancel_wins(void **state)
{
    (void)state;
    everywhere(root_cancel_wins);
}

/* ---- clients that die ---- */

static void *root_resets(void *arg)
{
    char address[WEFT_ADDRESS_MAX], byte;
    weft_listener *listener = listen_on("127.0.0.1:0", address);
    long rounds = test_scale(20, 3);
    (void)arg;
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < 20; i++)
            plain_reset(plain_connect(address));
        int good = plain_connect(address);
        assert_int_equal(send(good, "g", 1, MSG_NOSIGNAL), 1);
        bool found = false;
        for (int i = 0; i <= 20 && !found; i++) { /* whether dead ones are seen is the kernel's */
            weft_stream *stream;
            assert_int_equal(weft_accept(listener, &stream), 0);
            ssize_t n = weft_read(stream, &byte, 1);
            found = n == 1;
            assert_true(found || n == -ECONNRESET);
            weft_close(stream);
        }
        assert_true(found);
        close(good);
    }
    weft_listener_close(listener);
    return NULL;
}

static void test_resets(void **state)
{
    (void)state;
    everywhere(root_resets);
}

/* ---- out of descriptors: in a child process, whose limit is its own ---- */

enum { LIMIT = 64, CLIENTS = 10 };

static _Atomic int reports, last_code;

static void on_exhausted(void *context, int code)
{
    assert_string_equal(context, "context");
    last_code = code;
    reports++;
}

static const struct weft_listen_options reporting = { .on_exhausted = on_exhausted,
                                                      .context = "context" };

/* Takes all descriptors there are; how many. */
static int use_up(int *fds)
{
    int count = 0;
    while ((fds[count] = dup(0)) >= 0)
        count++;
    assert_int_equal(errno, EMFILE);
    return count;
}

static uint64_t cpu_time(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * WEFT_SEC(1) +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * WEFT_US(1);
}

/* Sleeps by itself what the task sleeps: weft_yield in UNTIL would count as the listener's time. */
static void await_report(int wanted)
{
    for (int i = 0; i < 30000 && reports < wanted; i++)
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    assert_int_equal(reports, wanted);
}

/* One spell: reported once, cheap while it lasts, over with the next free descriptor. */
static void *root_exhaustion(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    weft_listener *listener;
    int fds[LIMIT], clients[CLIENTS];
    (void)arg;
    assert_int_equal(weft_tcp_listen_with("127.0.0.1:0", &reporting, &listener), 0);
    assert_int_equal(weft_listener_local_address(listener, address, sizeof address), 0);
    assert_int_equal(connects("127.0.0.1:%d", port_of(address)), 0); /* all that is lazy is done */
    assert_takes_one(listener);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = plain_connect(address);
    reports = 0;

    for (int spell = 1; spell <= 2; spell++) {
        int count = use_up(fds);
        weft_task *tasks[3];
        for (int i = 0; i < 3; i++)
            tasks[i] = weft_spawn(accept_once, listener);
        await_report(spell);
        assert_int_equal(last_code, -EMFILE);

        uint64_t before = cpu_time();
        assert_int_equal(weft_sleep(WEFT_MS(300)), 0);
        uint64_t used = cpu_time() - before;
        assert_true(used < WEFT_MS(is_slow() ? 100 : 20));
        assert_int_equal(reports, spell);
        for (int i = 0; i < 3; i++)
            assert_false(weft_task_is_finished(tasks[i]));

        while (count > 0)
            close(fds[--count]);
        for (int i = 0; i < 3; i++)
            assert_int_equal(joined(tasks[i]), 0);
        assert_int_equal(reports, spell);
    }
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    weft_listener_close(listener);
    return NULL;
}

/* What ends the wait of somebody who pauses. */
static void *root_leaving_a_pause(void *arg)
{
    char address[WEFT_ADDRESS_MAX];
    weft_listener *listener;
    int fds[LIMIT];
    (void)arg;
    assert_int_equal(weft_tcp_listen_with("127.0.0.1:0", &reporting, &listener), 0);
    assert_int_equal(weft_listener_local_address(listener, address, sizeof address), 0);
    int client = plain_connect(address);
    reports = 0;
    int count = use_up(fds);
    weft_task *task = weft_spawn(accept_once, listener);
    await_report(1);
    weft_abort(task);
    assert_int_equal(joined(task), -ECANCELED);

    task = weft_spawn(accept_once, listener);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_yield(), 0);
    weft_listener_close(listener);
    assert_int_equal(joined(task), -EBADF);
    assert_int_equal(reports, 1);
    while (count > 0)
        close(fds[--count]);
    /* The port is free at once, though the task was still in its pause. */
    assert_int_equal(connects("127.0.0.1:%d", port_of(address)), -ECONNREFUSED);
    close(client);
    return NULL;
}

/* Valgrind checks the limit by itself, after the kernel has accepted: the connection is lost then. */
static bool is_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "vgpreload");
}

static void in_child_with_limit(weft_task_fn *root)
{
    if (is_under_valgrind())
        skip();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = LIMIT;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        everywhere(root);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_exhaustion(void **state)
{
    (void)state;
    in_child_with_limit(root_exhaustion);
}

static void test_leaving_a_pause(void **state)
{
    (void)state;
    in_child_with_limit(root_leaving_a_pause);
}

/* ---- misuse ---- */

static void *root_bad_arguments(void *arg)
{
    char address[WEFT_ADDRESS_MAX], tiny[4] = "abc";
    weft_listener *listener = NULL;
    weft_stream *stream = NULL;
    struct weft_listen_options bad = { .backlog = -1 };
    (void)arg;
    assert_int_equal(weft_tcp_listen(NULL, &listener), -EINVAL);
    assert_int_equal(weft_tcp_listen("127.0.0.1:0", NULL), -EINVAL);
    assert_int_equal(weft_tcp_listen("127.0.0.1", &listener), -EINVAL);
    assert_int_equal(weft_tcp_listen("127.0.0.1:70000", &listener), -EINVAL);
    assert_int_equal(weft_tcp_listen("::1:0", &listener), -EINVAL);
    assert_int_equal(weft_tcp_listen("", &listener), -EINVAL);
    assert_int_equal(weft_tcp_listen_with("127.0.0.1:0", &bad, &listener), -EINVAL);
    assert_int_equal(weft_tcp_listen("192.0.2.77:0", &listener), -EADDRNOTAVAIL);
    assert_int_equal(weft_tcp_listen(":no-such-service", &listener), WEFT_ENONAME);
    assert_null(listener);
    assert_int_equal(weft_accept(NULL, &stream), -EINVAL);
    weft_listener_close(NULL);

    listener = listen_on("127.0.0.1:0", address);
    assert_int_equal(weft_accept(listener, NULL), -EINVAL);
    assert_int_equal(weft_listener_local_address(listener, NULL, 100), -EINVAL);
    assert_int_equal(weft_listener_local_address(NULL, address, sizeof address), -EINVAL);
    assert_int_equal(weft_listener_local_address(listener, tiny, sizeof tiny), -ENOSPC);
    assert_string_equal(tiny, "abc");
    weft_listener_close(listener);
    return NULL;
}

static void test_bad_arguments(void **state)
{
    (void)state;
    everywhere(root_bad_arguments);
}

/* Programs built with an older or a newer header than the library's. */
static void *root_option_sizes(void *arg)
{
    struct {
        struct weft_listen_options known;
        char unknown[16];
    } newer = { .known = { .backlog = 10 } };
    struct weft_listen_options garbage;
    weft_listener *listener = NULL;
    (void)arg;
    assert_int_equal(
        weft_tcp_listen_with_sized("127.0.0.1:0", &newer.known, sizeof newer, &listener), 0);
    weft_listener_close(listener);
    listener = NULL;
    newer.unknown[15] = 1; /* wants something that this library does not know */
    assert_int_equal(
        weft_tcp_listen_with_sized("127.0.0.1:0", &newer.known, sizeof newer, &listener), -EINVAL);
    assert_null(listener);

    memset(&garbage, 0xff, sizeof garbage);
    garbage.backlog = 10;
    assert_int_equal(
        weft_tcp_listen_with_sized("127.0.0.1:0", &garbage, sizeof garbage.backlog, &listener), 0);
    weft_listener_close(listener);
    return NULL;
}

static void test_option_sizes(void **state)
{
    (void)state;
    everywhere(root_option_sizes);
}

static void test_outside(void **state)
{
    weft_listener *listener = NULL;
    (void)state;
    assert_int_equal(weft_tcp_listen("127.0.0.1:0", &listener), -EPERM);
    assert_null(listener);
}

/* A thread that has entered a runtime may listen, by name as well, and take what is there. */
static void test_entered_thread(void **state)
{
    (void)state;
    for (int i = 0; i < FLAVORS; i++) {
        int before = descriptors_open();
        char address[WEFT_ADDRESS_MAX];
        weft_runtime *runtime;
        weft_listener *listener, *other;
        weft_stream *stream = NULL;
        assert_int_equal(weft_runtime_new(&flavors[i], &runtime), 0);
        weft_handle *handle = weft_runtime_handle(runtime);
        int depth = weft_enter(handle);
        assert_true(depth > 0);
        assert_int_equal(weft_tcp_listen("localhost:0", &other), 0);
        listener = listen_on("127.0.0.1:0", address);
        assert_int_equal(weft_tcp_connect(address, &stream), -EPERM);
        assert_int_equal(weft_leave(depth), 0);

        assert_int_equal(weft_accept(listener, &stream), -EPERM);
        assert_null(stream);
        int client = plain_connect(address);
        assert_int_equal(weft_accept(listener, &stream), 0);
        weft_close(stream);
        close(client);

        weft_handle_free(handle);
        assert_int_equal(weft_runtime_free(runtime), 0);
        assert_int_equal(weft_accept(listener, &stream), WEFT_ESHUTDOWN);
        assert_int_equal(weft_listener_local_address(other, address, sizeof address),
                         WEFT_ESHUTDOWN);
        weft_listener_close(listener);
        weft_listener_close(other);
        assert_int_equal(descriptors_open(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_interface), cmocka_unit_test(test_any_interface_in_use),
        cmocka_unit_test(test_ipv6),          cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_exclusive),     cmocka_unit_test(test_several_acceptors),
        cmocka_unit_test(test_close_under),   cmocka_unit_test(test_cancel_loses_nothing),
        cmocka_unit_test(test_cancel_wins),   cmocka_unit_test(test_resets),
        cmocka_unit_test(test_exhaustion),    cmocka_unit_test(test_leaving_a_pause),
        cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_option_sizes),
        cmocka_unit_test(test_outside),       cmocka_unit_test(test_entered_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
