/* Addresses as text. Contract: address.h. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/net.h>

/* A stretch of the text that is being read. */
struct span {
    const char *at;
    size_t length;
};

socklen_t weft__sockaddr_length(const union weft__sockaddr *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

void weft__sockaddr_set_port(union weft__sockaddr *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET6)
        address->v6.sin6_port = htons(port);
    else
        address->v4.sin_port = htons(port);
}

/* ---- characters: the C library's classes depend on the locale ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Host names: no blanks, control characters or delimiters; bytes beyond ASCII are let through. */
static bool is_host_char(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && !strchr(":[]/%@", c);
}

static bool is_service_char(char c)
{
    return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '+';
}

/* ---- pieces ---- */

static bool span_copy(struct span span, char *out, size_t room)
{
    if (span.length >= room)
        return false;
    memcpy(out, span.at, span.length);
    out[span.length] = '\0';
    return true;
}

/* A decimal number up to `max`: digits only, no sign. */
static bool read_number(struct span span, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (span.length == 0)
        return false;
    for (size_t i = 0; i < span.length; i++) {
        if (!is_digit(span.at[i]))
            return false;
        value = value * 10 + (uint64_t)(span.at[i] - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

/* The name of a service has a letter, and so cannot be taken for a number out of range. */
static bool read_service(struct span span, struct weft__endpoint *out)
{
    bool has_letter = false;
    for (size_t i = 0; i < span.length; i++) {
        if (!is_service_char(span.at[i]))
            return false;
        has_letter |= is_letter(span.at[i]);
    }
    return has_letter && span_copy(span, out->service, sizeof out->service);
}

static bool read_port(struct span span, struct weft__endpoint *out)
{
    uint64_t port;
    if (!read_number(span, UINT16_MAX, &port))
        return read_service(span, out);
    out->port = (uint16_t)port;
    return true;
}

static bool read_v4(const char *host, union weft__sockaddr *out)
{
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) != 1)
        return false;
    out->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = address };
    return true;
}

/* What stands between brackets: an IPv6 address and perhaps a scope, "%2" or "%eth0". */
static bool read_bracketed(struct span span, struct weft__endpoint *out)
{
    const char *percent = memchr(span.at, '%', span.length);
    size_t length = percent ? (size_t)(percent - span.at) : span.length;
    char digits[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (!span_copy((struct span){ span.at, length }, digits, sizeof digits) ||
        inet_pton(AF_INET6, digits, &address) != 1)
        return false;

    out->kind = WEFT__HOST_LITERAL;
    uint64_t scope = 0;
    if (percent) {
        struct span name = { percent + 1, span.length - length - 1 };
        if (name.length == 0)
            return false;
        if (!read_number(name, UINT32_MAX, &scope))
            out->kind = WEFT__HOST_SCOPED;
    }
    out->literal.v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_addr = address,
        .sin6_scope_id = (uint32_t)scope,
    };
    return span_copy(span, out->host, sizeof out->host);
}

/*
 * Whether the last label looks like a number: then it is no name, but an address gone wrong
 * ("127.1", "0x7f.1", "256.0.0.1"), which resolvers read in ways that surprise.
 */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *label = dot ? dot + 1 : host;
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return true;
    return *label && label[strspn(label, "0123456789")] == '\0';
}

static bool read_host(struct span span, struct weft__endpoint *out)
{
    for (size_t i = 0; i < span.length; i++)
        if (!is_host_char(span.at[i]))
            return false;
    if (!span_copy(span, out->host, sizeof out->host))
        return false;
    if (span.length == 0)
        out->kind = WEFT__HOST_ANY;
    else if (read_v4(out->host, &out->literal))
        out->kind = WEFT__HOST_LITERAL;
    else
        out->kind = WEFT__HOST_NAME;
    return out->kind != WEFT__HOST_NAME || !ends_in_number(out->host);
}

int weft__address_parse(const char *text, struct weft__endpoint *out)
{
    *out = (struct weft__endpoint){ 0 };
    const char *colon = strrchr(text, ':');
    if (!colon || !read_port((struct span){ colon + 1, strlen(colon + 1) }, out))
        return -EINVAL;

    struct span host = { text, (size_t)(colon - text) };
    bool bracketed = host.length >= 2 && host.at[0] == '[' && host.at[host.length - 1] == ']';
    if (bracketed) {
        host.at++;
        host.length -= 2;
    }
    if (!(bracketed ? read_bracketed(host, out) : read_host(host, out)))
        return -EINVAL;
    if (out->kind == WEFT__HOST_LITERAL)
        weft__sockaddr_set_port(&out->literal, out->port);
    return 0;
}

static void format_v6(const struct sockaddr_in6 *address, char *text, size_t size)
{
    char digits[INET6_ADDRSTRLEN] = "";
    char scope[sizeof "%4294967295"] = "";
    inet_ntop(AF_INET6, &address->sin6_addr, digits, sizeof digits);
    if (address->sin6_scope_id)
        snprintf(scope, sizeof scope, "%%%u", (unsigned)address->sin6_scope_id);
    snprintf(text, size, "[%s%s]:%u", digits, scope, ntohs(address->sin6_port));
}

static void format_v4(const struct sockaddr_in *address, char *text, size_t size)
{
    char digits[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &address->sin_addr, digits, sizeof digits);
    snprintf(text, size, "%s:%u", digits, ntohs(address->sin_port));
}

int weft__address_format(const union weft__sockaddr *address, char *text, size_t size)
{
    char whole[WEFT_ADDRESS_MAX];
    if (address->any.sa_family == AF_INET6)
        format_v6(&address->v6, whole, sizeof whole);
    else
        format_v4(&address->v4, whole, sizeof whole);
    size_t length = strlen(whole) + 1;
    if (length > size)
        return -ENOSPC;
    memcpy(text, whole, length);
    return 0;
}
