/*
 * From the text of an address to the socket addresses to try, in order.
 *
 * Literals are answered at once. Names go to getaddrinfo: on a pool thread while the calling fiber
 * waits, or right here when the caller is a plain thread.
 */
#ifndef WEFT_NET_RESOLVE_H
#define WEFT_NET_RESOLVE_H

#include "net/address.h"

struct weft__blocking;

struct weft__addresses {
    union weft__sockaddr *list; /* `few`, or on the heap */
    int count;                  /* at least 1 */
    bool any; /* the text was ":port"; the list is [::] and 0.0.0.0, for hosts without IPv6 */
    union weft__sockaddr few[2];
};

/*
 * 0 and `*out`, to be given to weft__addresses_free, which must not be moved; -EINVAL (no address;
 * ":port" unless `passive`), WEFT_ENONAME, WEFT_ENAMEAGAIN, -ENOMEM, or weft__blocking_run's. May
 * suspend. `pool` is that of the current runtime.
 */
int weft__resolve(struct weft__blocking *pool, const char *text, bool passive,
                  struct weft__addresses *out);
void weft__addresses_free(struct weft__addresses *addresses);

#endif
