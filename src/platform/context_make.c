/*
 * Laying out a new context: the frame that weft__switch finds when it first goes there. The frames
 * mirror the pictures at the top of switch_x86_64.S and switch_aarch64.S.
 */
#include "platform/context.h"

#if WEFT__SWITCH_ASSEMBLY

#include <stdint.h>

#if defined(__x86_64__)
void weft__context_end(void); /* in the assembly file: the caller that `entry` seems to have */

struct frame {
    uint64_t r15, r14, r13, r12, rbx;
    uint64_t rbp;         /* 0: frame-pointer unwinders stop here */
    void (*entry)(void);  /* where the switch returns to, */
    void (*caller)(void); /* and where that would return to */
};
#define FRAME(function)                                                                            \
    {                                                                                              \
        .entry = (function), .caller = weft__context_end                                           \
    }
#else
void weft__context_start(void); /* in the assembly file: calls what x19 holds */

struct frame {
    void (*entry)(void); /* x19 */
    uint64_t x20_28[9];
    uint64_t fp;         /* 0: frame-pointer unwinders stop here */
    void (*start)(void); /* lr */
    uint64_t d8_15[8];
};
#define FRAME(function)                                                                            \
    {                                                                                              \
        .entry = (function), .start = weft__context_start                                          \
    }
#endif

_Static_assert(sizeof(struct frame) + 32 <= WEFT__CONTEXT_ROOM, "alignment, frame and margin fit");

void *weft__context_make(void *bottom, void *top, void (*entry)(void))
{
    (void)bottom;

    /*
     * `end` is where the stack pointer is right before `entry` is called. Some room stays above, so
     * that whatever looks there (an unwinder, for the caller's frame) still reads mapped memory.
     */
    uintptr_t end = ((uintptr_t)top & ~(uintptr_t)15) - 16;
    struct frame *frame = (struct frame *)(end - sizeof *frame);

    *frame = (struct frame)FRAME(entry);
    return frame;
}

#else

/* An empty file is no C. */
typedef int weft__switch_is_ucontext;

#endif
