/*
 * Contract: memory for fiber stacks.
 *
 * Stacks come in slabs: one private, no-reserve mapping without huge pages that holds `count`
 * stacks of `size` bytes each. The lowest page of each is its guard: the stack's usable part is
 * [base + page, base + size). Guards are made with MADV_GUARD_INSTALL where that demonstrably works
 * (checked once, by letting the kernel write to one; qemu-user accepts the call and does nothing),
 * else with mprotect, whose failure (the map count) is a failure of weft__stack_guard.
 */
#ifndef WEFT_PLATFORM_STACK_H
#define WEFT_PLATFORM_STACK_H

#include <stdbool.h>
#include <stddef.h>

/* The page size, read once. */
size_t weft__page_size(void);

/* Reserves zeroed memory, `bytes` of it (a multiple of the page size), touched page by page. 0 and `*base`, or -ENOMEM. */
int weft__map_reserve(size_t bytes, void **base);
void weft__map_release(void *base, size_t bytes);

/* Makes the page at `base` a guard. 0 or -ENOMEM. Done once a stack, when first handed out. */
int weft__stack_guard(void *base);

/* Gives the whole pages inside [from, to) back to the system; they read as zeros afterwards. */
void weft__stack_discard(void *from, void *to);

/* Whether guards are made with MADV_GUARD_INSTALL (for tests and reports). */
bool weft__stack_guard_is_light(void);

#endif
