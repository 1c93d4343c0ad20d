/* Object caches: see depot.h. */
#include "task/depot.h"

#include "base/atomic.h"
#include "base/base.h"

static struct weft__free *pop(struct weft__magazine *magazine)
{
    struct weft__free *object = magazine->top;
    if (object) {
        magazine->top = object->next;
        magazine->count--;
    }
    return object;
}

void weft__depot_init(struct weft__depot *depot, const struct weft__depot_ops *ops)
{
    *depot = (struct weft__depot){ .ops = ops };
}

/* Puts a full magazine to rest. Lock held. */
static void give(struct weft__depot *depot, struct weft__magazine *magazine)
{
    weft__assert(magazine->count == WEFT__MAGAZINE);
    magazine->top->magazine = depot->magazines;
    depot->magazines = magazine->top;
    weft__count(&depot->idle, magazine->count);
    *magazine = (struct weft__magazine){ 0 };
}

/* Takes the first magazine off a list; false if there is none. Lock held. */
static bool take_from(struct weft__free **list, struct weft__magazine *magazine)
{
    struct weft__free *first = *list;
    if (!first)
        return false;
    *list = first->magazine;
    *magazine = (struct weft__magazine){ first, WEFT__MAGAZINE };
    return true;
}

/* Fills an empty magazine from the depot, growing it if need be. Lock held. */
static int take(struct weft__depot *depot, struct weft__magazine *magazine)
{
    depot->takes++;
    if (take_from(&depot->magazines, magazine)) {
        weft__count(&depot->idle, -(size_t)magazine->count);
        return 0;
    }
    if (depot->loose.count) {
        *magazine = depot->loose;
        depot->loose = (struct weft__magazine){ 0 };
        return 0;
    }
    if (take_from(&depot->cold, magazine))
        return 0;
    return depot->ops->grow(depot, magazine);
}

bool weft__depot_take_idle(struct weft__depot *depot, struct weft__magazine *magazine)
{
    weft__lock(&depot->lock);
    bool taken = take_from(&depot->magazines, magazine);
    if (taken)
        weft__count(&depot->idle, -(size_t)magazine->count);
    weft__unlock(&depot->lock);
    return taken;
}

void weft__depot_put_cold(struct weft__depot *depot, struct weft__magazine *magazine)
{
    weft__lock(&depot->lock);
    magazine->top->magazine = depot->cold;
    depot->cold = magazine->top;
    weft__unlock(&depot->lock);
}

static WEFT__NOINLINE struct weft__free *get_slow(struct weft__depot *depot,
                                                  struct weft__cache *cache)
{
    if (cache) {
        if (cache->spare.count) {
            cache->hot = cache->spare;
            cache->spare = (struct weft__magazine){ 0 };
        } else {
            weft__lock(&depot->lock);
            int rc = take(depot, &cache->hot);
            weft__unlock(&depot->lock);
            if (rc < 0)
                return NULL;
        }
        cache->out++;
        return pop(&cache->hot);
    }
    weft__lock(&depot->lock);
    struct weft__free *object = NULL;
    if (depot->loose.count || take(depot, &depot->loose) == 0) {
        object = pop(&depot->loose);
        depot->out++;
    }
    weft__unlock(&depot->lock);
    return object;
}

struct weft__free *weft__depot_get(struct weft__depot *depot, struct weft__cache *cache)
{
    struct weft__free *object = cache ? pop(&cache->hot) : NULL;
    if (WEFT__LIKELY(object != NULL)) {
        cache->out++;
        return object;
    }
    return get_slow(depot, cache);
}

/* Lock held. */
static void put_loose(struct weft__depot *depot, struct weft__free *object)
{
    weft__magazine_push(&depot->loose, object);
    if (depot->loose.count == WEFT__MAGAZINE)
        give(depot, &depot->loose);
}

static void put_uncached(struct weft__depot *depot, struct weft__free *object)
{
    weft__lock(&depot->lock);
    put_loose(depot, object);
    depot->out--;
    bool last = depot->closed && depot->out == 0;
    weft__unlock(&depot->lock);
    if (last)
        depot->ops->destroy(depot);
}

void weft__depot_put(struct weft__depot *depot, struct weft__cache *cache,
                     struct weft__free *object)
{
    if (!cache) {
        put_uncached(depot, object);
        return;
    }
    if (WEFT__UNLIKELY(cache->hot.count == WEFT__MAGAZINE)) {
        if (cache->spare.count) {
            weft__lock(&depot->lock);
            give(depot, &cache->spare);
            weft__unlock(&depot->lock);
        }
        cache->spare = cache->hot;
        cache->hot = (struct weft__magazine){ 0 };
    }
    weft__magazine_push(&cache->hot, object);
    cache->out--;
}

void weft__depot_flush(struct weft__depot *depot, struct weft__cache *cache)
{
    weft__lock(&depot->lock);
    for (struct weft__free *object; (object = pop(&cache->hot));)
        put_loose(depot, object);
    for (struct weft__free *object; (object = pop(&cache->spare));)
        put_loose(depot, object);
    depot->out += cache->out;
    cache->out = 0;
    weft__unlock(&depot->lock);
}

void weft__depot_close(struct weft__depot *depot)
{
    weft__lock(&depot->lock);
    depot->closed = true;
    bool last = depot->out == 0;
    weft__unlock(&depot->lock);
    if (last)
        depot->ops->destroy(depot);
}
