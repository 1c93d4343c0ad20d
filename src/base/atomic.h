/*
 * Atomics, by short names that carry their memory order: weft__load(&x, acquire).
 *
 * All lock-free code of weft goes through these, so that a model checker can take their place.
 */
#ifndef WEFT_BASE_ATOMIC_H
#define WEFT_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define weft__load(object, order) atomic_load_explicit((object), memory_order_##order)
#define weft__store(object, value, order)                                                          \
    atomic_store_explicit((object), (value), memory_order_##order)
#define weft__swap(object, value, order)                                                           \
    atomic_exchange_explicit((object), (value), memory_order_##order)
#define weft__add(object, value, order)                                                            \
    atomic_fetch_add_explicit((object), (value), memory_order_##order)
#define weft__sub(object, value, order)                                                            \
    atomic_fetch_sub_explicit((object), (value), memory_order_##order)
#define weft__or(object, value, order)                                                             \
    atomic_fetch_or_explicit((object), (value), memory_order_##order)
#define weft__and(object, value, order)                                                            \
    atomic_fetch_and_explicit((object), (value), memory_order_##order)
/* On failure `*expected` gets the value found. */
#define weft__cas(object, expected, value, success, failure)                                       \
    atomic_compare_exchange_strong_explicit((object), (expected), (value), memory_order_##success, \
                                            memory_order_##failure)
#define weft__fence(order) atomic_thread_fence(memory_order_##order)

/* A counter that one thread writes and any may read: no locked instruction. */
#define weft__count(counter, n)                                                                    \
    weft__store((counter), weft__load((counter), relaxed) + (n), relaxed)

#endif
