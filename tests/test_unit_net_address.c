/* test: valgrind */
/* Addresses as text: what is a literal, what is a name, what is neither; and the way back. */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>

#include <weft.h>

#include "net/address.h"

static struct weft__endpoint parsed(const char *text)
{
    struct weft__endpoint endpoint;
    if (weft__address_parse(text, &endpoint) < 0)
        fail_msg("cannot parse '%s'", text);
    return endpoint;
}

static void assert_refused(const char *text)
{
    struct weft__endpoint endpoint;
    if (weft__address_parse(text, &endpoint) != -EINVAL)
        fail_msg("should be refused: '%s'", text);
}

static void test_literals_come_back(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:80",
        "0.0.0.0:0",
        "255.255.255.255:65535",
        "[::]:0",
        "[::1]:443",
        "[2001:db8::1]:65535",
        "[::ffff:127.0.0.1]:8080",
        "[fe80::1%2]:80",
        "[fe80::1%4294967295]:80",
        "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct weft__endpoint endpoint = parsed(texts[i]);
        char text[WEFT_ADDRESS_MAX];
        assert_int_equal(endpoint.kind, WEFT__HOST_LITERAL);
        assert_int_equal(weft__address_format(&endpoint.literal, text, sizeof text), 0);
        assert_string_equal(text, texts[i]);
    }
}

static void test_literals_mean_what_they_say(void **state)
{
    (void)state;
    struct weft__endpoint v4 = parsed("10.1.2.3:4660");
    assert_int_equal(v4.literal.v4.sin_family, AF_INET);
    assert_int_equal(v4.literal.v4.sin_addr.s_addr, htonl(0x0a010203));
    assert_int_equal(v4.literal.v4.sin_port, htons(0x1234));
    assert_int_equal(weft__sockaddr_length(&v4.literal), sizeof(struct sockaddr_in));

    struct weft__endpoint v6 = parsed("[fe80::5%7]:4660");
    assert_int_equal(v6.literal.v6.sin6_family, AF_INET6);
    assert_int_equal(v6.literal.v6.sin6_addr.s6_addr[0], 0xfe);
    assert_int_equal(v6.literal.v6.sin6_addr.s6_addr[15], 5);
    assert_int_equal(v6.literal.v6.sin6_scope_id, 7);
    assert_int_equal(v6.literal.v6.sin6_port, htons(0x1234));
    assert_int_equal(weft__sockaddr_length(&v6.literal), sizeof(struct sockaddr_in6));

    assert_int_equal(parsed("127.0.0.1:00080").port, 80);
}

static void test_the_rest_goes_to_the_resolver(void **state)
{
    (void)state;
    struct weft__endpoint name = parsed("example.org:8080");
    assert_int_equal(name.kind, WEFT__HOST_NAME);
    assert_string_equal(name.host, "example.org");
    assert_string_equal(name.service, "");
    assert_int_equal(name.port, 8080);

    struct weft__endpoint service = parsed("a-b.example.:http-alt");
    assert_int_equal(service.kind, WEFT__HOST_NAME);
    assert_string_equal(service.host, "a-b.example.");
    assert_string_equal(service.service, "http-alt");

    struct weft__endpoint both = parsed("[::1]:https");
    assert_int_equal(both.kind, WEFT__HOST_LITERAL);
    assert_string_equal(both.host, "::1");
    assert_string_equal(both.service, "https");

    struct weft__endpoint scoped = parsed("[fe80::1%eth0]:80");
    assert_int_equal(scoped.kind, WEFT__HOST_SCOPED);
    assert_string_equal(scoped.host, "fe80::1%eth0");

    struct weft__endpoint any = parsed(":80");
    assert_int_equal(any.kind, WEFT__HOST_ANY);
    assert_int_equal(any.port, 80);
    assert_int_equal(parsed(":http").kind, WEFT__HOST_ANY);
    assert_int_equal(parsed("x1:80").kind, WEFT__HOST_NAME);
    assert_int_equal(parsed("1.2.3.com:80").kind, WEFT__HOST_NAME);
    assert_int_equal(parsed("b\xc3\xbc"
                            "cher.example:80")
                         .kind,
                     WEFT__HOST_NAME);
}

static void test_nonsense_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:",
        "localhost:",
        "[::1]",
        "[::1]:",
        "::1",
        "::1:80",
        "[]:80",
        "[:80",
        "]:80",
        "[::1:80",
        "::1]:80",
        "[127.0.0.1]:80",
        "[::1]80",
        "[::1]x:80",
        "x[::1]:80",
        "[[::1]]:80",
        "[::1%]:80",
        "[%1]:80",
        "[::g]:80",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        " 127.0.0.1:80",
        "127.0.0.1 :80",
        "127.0.0.1:8_0",
        "127.0.0.1:0x50\n",
        "256.0.0.1:80",
        "1.2.3:80",
        "127.1:80",
        "1:80",
        "1.2.3.4.5:80",
        "0x7f.1:80",
        "0x7f000001:80",
        "01.02.03.04:80",
        "a.b.0x1:80",
        "exa mple:80",
        "http://example.org:80",
        "user@example.org:80",
        "example.org/x:80",
        "a\tb:80",
        "a\x7f:80",
        "a:b:80",
        "127.0.0.1:80:80",
        "fe80::1%eth0:80",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i]);
}

static void test_lengths_are_bounded(void **state)
{
    char text[512];
    (void)state;
    memset(text, 'a', sizeof text);
    strcpy(text + 253, ":80");
    assert_int_equal(strlen(parsed(text).host), 253);
    text[253] = 'a';
    strcpy(text + 254, ":80");
    assert_refused(text);

    strcpy(text, "h:");
    memset(text + 2, 's', 32);
    text[34] = '\0';
    assert_int_equal(strlen(parsed(text).service), 32);
    strcpy(text + 34, "s");
    assert_refused(text);

    strcpy(text, "[::1%");
    memset(text + 5, 'i', 300);
    strcpy(text + 305, "]:80");
    assert_refused(text);
    strcpy(text, "[::1%4294967296]:80"); /* no number any more: an interface of that name */
    assert_int_equal(parsed(text).kind, WEFT__HOST_SCOPED);
}

static void test_format_needs_room(void **state)
{
    struct weft__endpoint endpoint = parsed("127.0.0.1:80");
    char text[16] = "untouched";
    (void)state;
    assert_int_equal(weft__address_format(&endpoint.literal, text, 12), -ENOSPC);
    assert_int_equal(weft__address_format(&endpoint.literal, text, 0), -ENOSPC);
    assert_string_equal(text, "untouched");
    assert_int_equal(weft__address_format(&endpoint.literal, text, 13), 0);
    assert_string_equal(text, "127.0.0.1:80");
}

/* Whatever the text, parse stays inside it and says yes or no. For the sanitizers. */
static void test_random_texts(void **state)
{
    static const char alphabet[] = "0123456789abcdefx.:[]%-_ /\x80";
    unsigned seed = 1;
    long rounds = test_scale(300000, 20000);
    (void)state;
    for (long round = 0; round < rounds; round++) {
        int length = rand_r(&seed) % 24;
        char *text = malloc((size_t)length + 1); /* exact, so that a step too far is seen */
        for (int i = 0; i < length; i++)
            text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        text[length] = '\0';
        struct weft__endpoint endpoint;
        int rc = weft__address_parse(text, &endpoint);
        assert_true(rc == 0 || rc == -EINVAL);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_come_back),
        cmocka_unit_test(test_literals_mean_what_they_say),
        cmocka_unit_test(test_the_rest_goes_to_the_resolver),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_lengths_are_bounded),
        cmocka_unit_test(test_format_needs_room),
        cmocka_unit_test(test_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
