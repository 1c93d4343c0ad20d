/*
 * Contract: the context switch.
 *
 * A suspended context is one pointer, into its own stack, below which its registers are saved.
 * One of switch_x86_64.S, switch_aarch64.S, switch_ucontext.c implements this.
 *
 * What is saved: the callee-saved registers of the platform's C ABI, no more. The floating-point
 * environment (MXCSR and x87 control word, FPCR) is *not* part of a context: it belongs to the
 * thread, all workers run with the default one, and a task that changes rounding or exception
 * masks restores it before it suspends. The signal mask belongs to the thread as well.
 */
#ifndef WEFT_PLATFORM_CONTEXT_H
#define WEFT_PLATFORM_CONTEXT_H

#include <stddef.h>

/*
 * Saves the running context in `*save` and goes on with `load`. Returns when somebody switches back
 * to `*save`, possibly on another thread. `*save` is written before anything of `load` runs.
 */
void weft__switch(void **save, void *load);

/*
 * Lays out a new context on the stack [bottom, top) that enters `entry()` when first switched to.
 * `entry` never returns. `top` need not be aligned. At entry the stack is aligned as the ABI wants
 * and unwinding stops there (return address undefined, frame pointer 0).
 */
void *weft__context_make(void *bottom, void *top, void (*entry)(void));

/* Whether the switch is in assembly: the two CPUs that have it, unless the build says otherwise. */
#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__) &&                          \
    !defined(WEFT_SWITCH_UCONTEXT)
#define WEFT__SWITCH_ASSEMBLY 1
#else
#define WEFT__SWITCH_ASSEMBLY 0
#endif

/*
 * Bytes that weft__context_make may take at the top of the stack. A ucontext_t lies there where
 * that is the switch, and every switch puts another one on the stack: 968 bytes on x86-64, 4560 on
 * aarch64.
 */
#if WEFT__SWITCH_ASSEMBLY
enum { WEFT__CONTEXT_ROOM = 2048 };
#else
enum { WEFT__CONTEXT_ROOM = 8192 };
#endif

#endif
