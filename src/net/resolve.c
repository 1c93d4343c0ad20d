/* Names to addresses. Contract: resolve.h. */
#include "net/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#include <weft/error.h>

#include "blocking/blocking.h"
#include "task/carrier.h"

/* A question to getaddrinfo and its answer. On the heap: a cancelled asker leaves it behind. */
struct lookup {
    struct weft__endpoint endpoint;
    struct addrinfo *found;
    int rc; /* 0 or the code for the caller */
};

/* `error` is errno as getaddrinfo left it. */
static int code_of(int eai, int error)
{
    switch (eai) {
    case 0: return 0;
    case EAI_AGAIN: return WEFT_ENAMEAGAIN;
    case EAI_MEMORY: return -ENOMEM;
    case EAI_SYSTEM: return error ? -error : -EIO;
    default: return WEFT_ENONAME;
    }
}

static void lookup_work(void *arg)
{
    struct lookup *lookup = arg;
    const struct weft__endpoint *endpoint = &lookup->endpoint;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    if (endpoint->kind == WEFT__HOST_LITERAL || endpoint->kind == WEFT__HOST_SCOPED)
        hints.ai_flags = AI_NUMERICHOST;

    int saved = errno; /* of a plain thread: pool threads do not care */
    errno = 0;
    /* Without a host the answer is the loopback addresses; only their port is looked at then. */
    int eai = getaddrinfo(endpoint->host[0] ? endpoint->host : NULL,
                          endpoint->service[0] ? endpoint->service : NULL, &hints, &lookup->found);
    lookup->rc = code_of(eai, errno);
    errno = saved;
}

static void lookup_drop(void *arg)
{
    struct lookup *lookup = arg;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    free(lookup);
}

static bool is_internet(const struct addrinfo *info)
{
    return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

static union weft__sockaddr sockaddr_of(const struct addrinfo *info)
{
    union weft__sockaddr address = { 0 };
    if (info->ai_family == AF_INET6)
        address.v6 = *(const struct sockaddr_in6 *)(const void *)info->ai_addr;
    else
        address.v4 = *(const struct sockaddr_in *)(const void *)info->ai_addr;
    return address;
}

/* Fills `out` from what was found. */
static int collect(const struct lookup *lookup, struct weft__addresses *out)
{
    int count = 0;
    for (const struct addrinfo *info = lookup->found; info; info = info->ai_next)
        count += is_internet(info);
    if (count == 0)
        return WEFT_ENONAME;

    union weft__sockaddr *list = out->few;
    if ((size_t)count > sizeof out->few / sizeof out->few[0])
        list = malloc((size_t)count * sizeof *list);
    if (!list)
        return -ENOMEM;
    int n = 0;
    for (const struct addrinfo *info = lookup->found; info; info = info->ai_next) {
        if (!is_internet(info))
            continue;
        list[n] = sockaddr_of(info);
        if (!lookup->endpoint.service[0])
            weft__sockaddr_set_port(&list[n], lookup->endpoint.port);
        n++;
    }
    out->list = list;
    out->count = count;
    return 0;
}

/* Asks getaddrinfo. Only a plain thread may be blocked; a stackless task gets -EPERM. */
static int look_up(struct weft__blocking *pool, const struct weft__endpoint *endpoint,
                   struct weft__addresses *out)
{
    struct lookup *lookup = malloc(sizeof *lookup);
    if (!lookup)
        return -ENOMEM;
    *lookup = (struct lookup){ .endpoint = *endpoint };
    int rc = 0;
    if (weft__task_current())
        rc = weft__blocking_run(pool, lookup_work, lookup_drop, lookup);
    else
        lookup_work(lookup);
    if (rc == -ECANCELED)
        return rc; /* the pool drops it */
    if (rc == 0)
        rc = lookup->rc;
    if (rc == 0)
        rc = collect(lookup, out);
    lookup_drop(lookup);
    return rc;
}

/* Every interface: IPv6, which takes IPv4 in as well, or IPv4 alone. */
static void set_any(struct weft__addresses *out, uint16_t port)
{
    out->few[0].v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
    out->few[1].v4 = (struct sockaddr_in){ .sin_family = AF_INET };
    out->list = out->few;
    out->count = 2;
    out->any = true;
    for (int i = 0; i < out->count; i++)
        weft__sockaddr_set_port(&out->list[i], port);
}

static uint16_t port_of(const union weft__sockaddr *address)
{
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

static int resolve_any(struct weft__blocking *pool, const struct weft__endpoint *endpoint,
                       struct weft__addresses *out)
{
    uint16_t port = endpoint->port;
    if (endpoint->service[0]) {
        int rc = look_up(pool, endpoint, out);
        if (rc < 0)
            return rc;
        port = port_of(&out->list[0]);
        weft__addresses_free(out);
    }
    set_any(out, port);
    return 0;
}

int weft__resolve(struct weft__blocking *pool, const char *text, bool passive,
                  struct weft__addresses *out)
{
    struct weft__endpoint endpoint;
    int rc = weft__address_parse(text, &endpoint);
    if (rc < 0)
        return rc;
    *out = (struct weft__addresses){ 0 };
    if (endpoint.kind == WEFT__HOST_ANY)
        return passive ? resolve_any(pool, &endpoint, out) : -EINVAL;
    if (endpoint.kind != WEFT__HOST_LITERAL || endpoint.service[0])
        return look_up(pool, &endpoint, out);
    out->few[0] = endpoint.literal;
    out->list = out->few;
    out->count = 1;
    return 0;
}

void weft__addresses_free(struct weft__addresses *addresses)
{
    if (addresses->list != addresses->few)
        free(addresses->list);
}
