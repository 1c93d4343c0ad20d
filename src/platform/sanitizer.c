/*
 * Telling ASan, TSan and valgrind about stacks and switches. Protocol: sanitizer.h.
 */
#include "platform/sanitizer.h"

#include <pthread.h>
#include <string.h>

#if WEFT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

#if WEFT__ASAN
/* The sanitizers' own headers do not come with every compiler package. */
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **old_bottom, size_t *old_size);
void __asan_unpoison_memory_region(const volatile void *address, size_t size);
#endif

#if WEFT__TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_destroy_fiber(void *fiber);
#endif

void weft__san_stack_begin(struct weft__san *san, void *bottom, size_t size)
{
    memset(san, 0, sizeof *san);
#if WEFT__ASAN
    san->bottom = bottom;
    san->size = size;
#endif
#if WEFT_HAVE_VALGRIND
    san->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(bottom, (char *)bottom + size);
#endif
    (void)bottom, (void)size;
}

#if WEFT__ASAN || WEFT__TSAN
/* Forgets the context that died on the stack: its frames never returned, so they left traces. */
void weft__san_stack_reuse(struct weft__san *san)
{
#if WEFT__ASAN
    /* The frames' red zones. The fake stack went with the dying switch. */
    __asan_unpoison_memory_region(san->bottom, san->size);
    san->fake_stack = NULL;
#endif
#if WEFT__TSAN
    /* The shadow call stack: it would grow with every use of the stack until it overflows. */
    if (san->fiber != NULL)
        __tsan_destroy_fiber(san->fiber);
    san->fiber = NULL;
#endif
}
#endif

void weft__san_stack_end(struct weft__san *san)
{
    weft__san_stack_reuse(san); /* other memory will take the place */
#if WEFT_HAVE_VALGRIND
    VALGRIND_STACK_DEREGISTER(san->valgrind_id);
#endif
}

void weft__san_thread(struct weft__san *san)
{
    memset(san, 0, sizeof *san);
#if WEFT__ASAN
    pthread_attr_t attributes;
    void *bottom = NULL;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &bottom, &san->size);
        pthread_attr_destroy(&attributes);
    }
    san->bottom = bottom;
#endif
#if WEFT__TSAN
    san->fiber = __tsan_get_current_fiber();
#endif
}

#if WEFT__ASAN || WEFT__TSAN
WEFT__NO_TSAN void weft__san_leave(struct weft__san *from, struct weft__san *to, bool dying)
{
    (void)from, (void)to, (void)dying;
#if WEFT__ASAN
    /* Without a place to save it in, ASan frees the dying context's fake stack. */
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#if WEFT__TSAN
    /*
     * Not at stack creation: TSan has room for some thousand contexts, and before LLVM 22 it
     * crashes on destroying one that never ran.
     */
    if (to->fiber == NULL)
        to->fiber = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(to->fiber, 0); /* flags 0: leaving happens before arriving */
#endif
}

void weft__san_arrive(struct weft__san *self)
{
    (void)self;
#if WEFT__ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
}
#endif
