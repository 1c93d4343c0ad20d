/* Stacks for fibers: see stack.h. */
#include "task/stack.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "platform/stack.h"

enum {
    SLAB_STACKS = 64,  /* stacks in one mapping */
    COLOURS = 16,      /* different top offsets */
    COLOUR_STEP = 64,  /* bytes between them: one cache line */
    IDLE_LIMIT = 1024, /* idle stacks in the depot that keep their memory for good */
    TRIM_AT_ONCE = 64, /* magazines */
};

struct slab {
    struct slab *next;
    char *base;
    unsigned used; /* stacks handed out at least once */
};

struct weft__stacks {
    struct weft__depot depot;
    struct slab *slabs; /* newest first; only that one has unused stacks */
    size_t size;
    uint64_t takes_seen; /* at the last trim */
};

static size_t slab_bytes(const struct weft__stacks *stacks)
{
    return stacks->size * SLAB_STACKS;
}

static int slab_new(struct weft__stacks *stacks)
{
    struct slab *slab = calloc(1, sizeof *slab);
    if (!slab)
        return -ENOMEM;
    void *base;
    int rc = weft__map_reserve(slab_bytes(stacks), &base);
    if (rc < 0) {
        free(slab);
        return rc;
    }
    slab->base = base;
    slab->next = stacks->slabs;
    stacks->slabs = slab;
    return 0;
}

/* Makes the next stack of a slab: guard at the bottom, descriptor at the coloured top. */
static struct weft__stack *stack_make(const struct weft__stacks *stacks, struct slab *slab)
{
    char *base = slab->base + slab->used * stacks->size;
    if (weft__stack_guard(base) < 0)
        return NULL;
    size_t colour = (size_t)(slab->used % COLOURS) * COLOUR_STEP;
    size_t room = (sizeof(struct weft__stack) + 63) & ~(size_t)63;
    struct weft__stack *stack = (struct weft__stack *)(void *)(base + stacks->size - colour - room);
    slab->used++;
    stack->bottom = base + weft__page_size();
    weft__san_stack_begin(&stack->san, stack->bottom, (size_t)((char *)stack - stack->bottom));
    return stack;
}

/* A few at a time, so that a program with ten tasks does not touch sixty stacks. */
static int grow(struct weft__depot *depot, struct weft__magazine *magazine)
{
    enum { STEP = 8 };
    struct weft__stacks *stacks = weft__container(depot, struct weft__stacks, depot);
    if (!stacks->slabs || stacks->slabs->used == SLAB_STACKS) {
        int rc = slab_new(stacks);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < STEP && stacks->slabs->used < SLAB_STACKS; i++) {
        struct weft__stack *stack = stack_make(stacks, stacks->slabs);
        if (!stack)
            return magazine->count ? 0 : -ENOMEM;
        weft__magazine_push(magazine, &stack->free);
    }
    return 0;
}

static void destroy(struct weft__depot *depot)
{
    struct weft__stacks *stacks = weft__container(depot, struct weft__stacks, depot);
    while (stacks->slabs) {
        struct slab *slab = stacks->slabs;
        stacks->slabs = slab->next;
        for (unsigned i = 0; i < slab->used; i++) {
            size_t colour = (size_t)(i % COLOURS) * COLOUR_STEP;
            size_t room = (sizeof(struct weft__stack) + 63) & ~(size_t)63;
            char *top = slab->base + (i + 1) * stacks->size;
            struct weft__stack *stack = (struct weft__stack *)(void *)(top - colour - room);
            weft__san_stack_end(&stack->san);
        }
        weft__map_release(slab->base, slab_bytes(stacks));
        free(slab);
    }
    free(stacks);
}

static const struct weft__depot_ops depot_ops = { .grow = grow, .destroy = destroy };

int weft__stacks_new(size_t size, struct weft__stacks **out)
{
    struct weft__stacks *stacks = calloc(1, sizeof *stacks);
    if (!stacks)
        return -ENOMEM;
    weft__depot_init(&stacks->depot, &depot_ops);
    stacks->size = size;
    *out = stacks;
    return 0;
}

void weft__stacks_free(struct weft__stacks *stacks)
{
    if (stacks)
        weft__depot_close(&stacks->depot);
}

struct weft__stack *weft__stack_get(struct weft__stacks *stacks, struct weft__cache *cache)
{
    struct weft__free *free = weft__depot_get(&stacks->depot, cache);
    return free ? weft__container(free, struct weft__stack, free) : NULL;
}

void weft__stack_put(struct weft__stacks *stacks, struct weft__cache *cache,
                     struct weft__stack *stack)
{
    weft__depot_put(&stacks->depot, cache, &stack->free);
}

void weft__stack_cache_flush(struct weft__stacks *stacks, struct weft__cache *cache)
{
    weft__depot_flush(&stacks->depot, cache);
}

bool weft__stacks_have_excess(struct weft__stacks *stacks)
{
    return weft__load(&stacks->depot.idle, relaxed) > IDLE_LIMIT;
}

void weft__stacks_trim(struct weft__stacks *stacks)
{
    weft__lock(&stacks->depot.lock);
    bool quiet = stacks->takes_seen == stacks->depot.takes;
    stacks->takes_seen = stacks->depot.takes;
    weft__unlock(&stacks->depot.lock);
    uintptr_t page = weft__page_size();
    struct weft__magazine magazine;
    for (int i = 0; quiet && i < TRIM_AT_ONCE && weft__stacks_have_excess(stacks); i++) {
        if (!weft__depot_take_idle(&stacks->depot, &magazine))
            return;
        for (struct weft__free *free = magazine.top; free; free = free->next) {
            struct weft__stack *stack = weft__container(free, struct weft__stack, free);
            weft__stack_discard(stack->bottom, (void *)((uintptr_t)stack & ~(page - 1)));
        }
        weft__depot_put_cold(&stacks->depot, &magazine);
    }
}

bool weft__stack_guards(const struct weft__stack *stack, const void *address)
{
    uintptr_t bottom = (uintptr_t)stack->bottom;
    uintptr_t at = (uintptr_t)address;
    return at < bottom && at >= bottom - weft__page_size();
}
