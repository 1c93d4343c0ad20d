/* Small things that every room uses: assertions, container_of, attributes, a random generator. */
#ifndef WEFT_BASE_BASE_H
#define WEFT_BASE_BASE_H

#include <stddef.h>
#include <stdint.h>

/* The struct that holds `member` at `pointer`. */
#define weft__container(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define WEFT__CACHE_LINE 64
#define WEFT__NOINLINE __attribute__((noinline))
#define WEFT__COLD __attribute__((cold, noinline))
#define WEFT__LIKELY(x) __builtin_expect(!!(x), 1)
#define WEFT__UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Prints "weft: function: message" on stderr and aborts: misuse that no code can report. */
_Noreturn void weft__fatal(const char *function, const char *message);

/* Invariants. Checked in debug builds only; never with side effects inside. */
#ifdef WEFT_DEBUG
#define weft__assert(condition)                                                                    \
    ((condition) ? (void)0 : weft__fatal(__func__, "broken invariant: " #condition))
#else
#define weft__assert(condition) ((void)sizeof(!(condition)))
#endif

/* xorshift64*: Marsaglia, "Xorshift RNGs", 2003, with Vigna's multiplier. State is never zero. */
static inline uint32_t weft__random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)((x * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

/* A number in [0, bound), by multiplication instead of division (Lemire). */
static inline uint32_t weft__random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(((uint64_t)weft__random(state) * bound) >> 32);
}

#endif
