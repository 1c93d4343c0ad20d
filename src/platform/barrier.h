/*
 * Contract: what the CPU is told beyond the C memory model.
 */
#ifndef WEFT_PLATFORM_BARRIER_H
#define WEFT_PLATFORM_BARRIER_H

#include <stdatomic.h>

/* Inside a spin loop. */
static inline void weft__pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/*
 * A full fence, for a thread that has made an atomic read-modify-write of whatever order between
 * what comes before and this point. On x86 every such instruction is a full fence already.
 */
static inline void weft__fence_after_rmw(void)
{
#if defined(__x86_64__) || defined(__i386__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

#endif
