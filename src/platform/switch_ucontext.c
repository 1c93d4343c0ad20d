/*
 * The context switch where there is no assembly for the CPU, or WEFT_SWITCH_UCONTEXT asks for this
 * one. Contract: context.h. Slow, for each switch makes two system calls about the signal mask.
 */
#include "platform/context.h"

#if !WEFT__SWITCH_ASSEMBLY

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#include "platform/sanitizer.h"

WEFT__NO_TSAN void weft__switch(void **save, void *load)
{
    ucontext_t *to = load;
    ucontext_t here;

    /* Hidden from the compiler, which would warn of a local's address in the open. */
    void *self = &here;
    __asm__("" : "+r"(self));
    *save = self;

    /* The mask belongs to the thread, not to the context, and that may come from another thread. */
    pthread_sigmask(SIG_SETMASK, NULL, &to->uc_sigmask);
    swapcontext(&here, to);
}

void *weft__context_make(void *bottom, void *top, void (*entry)(void))
{
    ucontext_t *context = (ucontext_t *)(((uintptr_t)top - sizeof *context) & ~(uintptr_t)63);

    _Static_assert(sizeof *context + 64 + 512 <= WEFT__CONTEXT_ROOM, "it fits, with a margin");
    getcontext(context);
    context->uc_stack.ss_sp = bottom;
    context->uc_stack.ss_size = (size_t)((char *)context - (char *)bottom);
    context->uc_link = NULL;
    /* getcontext took the frame pointer of this call along: frame-pointer unwinders stop at 0. */
#if defined(__x86_64__) && defined(__LP64__)
    context->uc_mcontext.gregs[REG_RBP] = 0;
#elif defined(__aarch64__)
    context->uc_mcontext.regs[29] = 0;
#endif
    makecontext(context, entry, 0);
    return context;
}

#else

/* An empty file is no C. */
typedef int weft__switch_is_in_assembly;

#endif
