/*
 * Addresses as text: "127.0.0.1:80", "[fe80::1%2]:80", "example.org:http", ":80".
 *
 * Reading a text asks nobody: it tells literals, which are complete, from names, which resolve.c
 * has looked up. Writing is the inverse: what format gives, parse takes for a literal.
 */
#ifndef WEFT_NET_ADDRESS_H
#define WEFT_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

union weft__sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

socklen_t weft__sockaddr_length(const union weft__sockaddr *address);
void weft__sockaddr_set_port(union weft__sockaddr *address, uint16_t port);

enum {
    WEFT__HOST_MAX = 254,   /* a DNS name of 253 characters and the NUL */
    WEFT__SERVICE_MAX = 33, /* 32 and the NUL */
};

enum weft__host_kind {
    WEFT__HOST_ANY,     /* ":80": every interface */
    WEFT__HOST_LITERAL, /* an IP address, in `literal` */
    WEFT__HOST_SCOPED,  /* an IPv6 address with an interface name: text for the resolver */
    WEFT__HOST_NAME,    /* text for the resolver */
};

/* A text taken to pieces. */
struct weft__endpoint {
    enum weft__host_kind kind;
    union weft__sockaddr literal;    /* with the port, if that is known */
    char host[WEFT__HOST_MAX];       /* empty for ANY */
    char service[WEFT__SERVICE_MAX]; /* name of a service to look up; empty: `port` is it */
    uint16_t port;
};

/* 0 or -EINVAL. */
int weft__address_parse(const char *text, struct weft__endpoint *out);

/* Writes the text and its NUL. 0, or -ENOSPC, and then nothing was written. */
int weft__address_format(const union weft__sockaddr *address, char *text, size_t size);

#endif
