/*
 * Stacks for fibers: a depot of them, in slabs of one mapping.
 *
 * A fiber gets a stack when it first runs and gives it back when it ends. A stack's descriptor
 * stands at its top, in the page that the fiber touches anyway. The tops are *coloured*: shifted
 * by multiples of the cache line, because equal addresses modulo the stack size would all compete
 * for the same few sets of the CPU caches.
 */
#ifndef WEFT_TASK_STACK_H
#define WEFT_TASK_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/sanitizer.h"
#include "task/depot.h"

struct weft__stack {
    struct weft__free free; /* while in the depot */
    char *bottom;           /* lowest usable address: right above the guard page */
    struct weft__san san;
};

struct weft__stacks;

/* `size` bytes of address space each: a multiple of the page size. */
int weft__stacks_new(size_t size, struct weft__stacks **out);
/* All stacks are back. */
void weft__stacks_free(struct weft__stacks *stacks);

struct weft__stack *weft__stack_get(struct weft__stacks *stacks, struct weft__cache *cache);
void weft__stack_put(struct weft__stacks *stacks, struct weft__cache *cache,
                     struct weft__stack *stack);
void weft__stack_cache_flush(struct weft__stacks *stacks, struct weft__cache *cache);

/*
 * Memory that idle stacks keep comes back to the system in two steps: there are many of them, and
 * since the last look, by a worker with nothing to do, none were needed. Trim gives back some of it then, all
 * but the page that the descriptor is in; call it again while there is excess.
 */
bool weft__stacks_have_excess(struct weft__stacks *stacks);
void weft__stacks_trim(struct weft__stacks *stacks);

/* Where a fiber's frames begin: right below the descriptor. */
static inline void *weft__stack_top(struct weft__stack *stack)
{
    return stack;
}

/* Whether `address` lies in the guard page of `stack`. Async-signal-safe. */
bool weft__stack_guards(const struct weft__stack *stack, const void *address);

#endif
