/*
 * Object caches: a magazine per worker over a shared depot (Bonwick and Adams, "Magazines and
 * Vmem", USENIX 2001).
 *
 * Getting and putting an object touches only the worker's own cache; once in WEFT__MAGAZINE objects
 * a whole magazine moves from or to the depot, under its lock. Threads without a cache use the
 * depot directly. Memory of objects is type-stable: it goes back to the system only with the whole
 * depot, and that outlives its owner for as long as objects are out.
 */
#ifndef WEFT_TASK_DEPOT_H
#define WEFT_TASK_DEPOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "platform/park.h"

enum { WEFT__MAGAZINE = 64 };

/* Overlays a free object; its owner knows where. */
struct weft__free {
    struct weft__free *next;     /* in its magazine */
    struct weft__free *magazine; /* first object of the next magazine; in the depot only */
};

/* A stack of free objects. `count` is its length. */
struct weft__magazine {
    struct weft__free *top;
    unsigned count;
};

/* One worker's cache. Zero-initialised. Only its worker touches it. */
struct weft__cache {
    struct weft__magazine hot;   /* gets and puts go here */
    struct weft__magazine spare; /* full or empty */
    int64_t out;                 /* objects got minus objects put here; may be negative */
};

struct weft__depot;

/* How a depot makes objects and lets them go. Called with the depot's lock held. */
struct weft__depot_ops {
    /* Makes up to WEFT__MAGAZINE new objects and puts their links on `magazine`. 0 or -ENOMEM. */
    int (*grow)(struct weft__depot *depot, struct weft__magazine *magazine);
    /* Frees all memory, the depot's own included. */
    void (*destroy)(struct weft__depot *depot);
};

struct weft__depot {
    struct weft__lock lock; /* guards all below */
    const struct weft__depot_ops *ops;
    struct weft__free *magazines; /* full, all of them; through ->magazine of their first object */
    struct weft__free *cold;      /* the same, but used only when there are no others */
    struct weft__magazine loose;  /* for threads without a cache */
    _Atomic size_t idle;          /* objects in `magazines`; written under the lock */
    uint64_t takes;               /* magazines ever taken out */
    int64_t out;                  /* objects out, as far as threads without a cache know */
    bool closed;                  /* the owner has gone: destroyed when `out` reaches 0 */
};

void weft__depot_init(struct weft__depot *depot, const struct weft__depot_ops *ops);

/* An object's link, or NULL without memory. `cache` is the calling worker's, or NULL. */
struct weft__free *weft__depot_get(struct weft__depot *depot, struct weft__cache *cache);
void weft__depot_put(struct weft__depot *depot, struct weft__cache *cache,
                     struct weft__free *object);

/* Empties a cache into the depot, when its worker ends. */
void weft__depot_flush(struct weft__depot *depot, struct weft__cache *cache);

/*
 * Takes a magazine out, to do something to its objects that make them cold (false if there is
 * none), and puts it back as that.
 */
bool weft__depot_take_idle(struct weft__depot *depot, struct weft__magazine *magazine);
void weft__depot_put_cold(struct weft__depot *depot, struct weft__magazine *magazine);

/* The owner lets go, after all caches were flushed: destroyed now, or with the last object put. */
void weft__depot_close(struct weft__depot *depot);

static inline void weft__magazine_push(struct weft__magazine *magazine, struct weft__free *object)
{
    object->next = magazine->top;
    magazine->top = object;
    magazine->count++;
}

#endif
