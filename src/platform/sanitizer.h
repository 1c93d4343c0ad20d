/*
 * Telling ASan, TSan and valgrind about stacks and switches. Everything here is empty in a build
 * without them (valgrind's requests are a few no-op instructions, and only at stack creation).
 *
 * Protocol of a switch from context A to context B on one thread, A's side: weft__san_leave(&A,
 * &B, dying) right before weft__switch; the side that wakes up after the switch, at its first
 * instruction: weft__san_arrive(&self). A stack whose context ended by a dying switch is given to
 * the next context by weft__san_stack_reuse.
 *
 * TSan keeps a shadow call stack per context, which every instrumented function pushes on when it
 * is entered and pops when it returns. weft__san_leave already makes B the current context, so
 * between it and weft__switch nobody may return who was entered before it: call both from one
 * function, not weft__san_leave from a helper of its own (unless that is always inlined, or marked
 * WEFT__NO_TSAN as weft__san_leave itself is). The pop would otherwise hit B's shadow stack. What
 * that function reads and writes in between counts as done by B, which is harmless: leaving A
 * happens before arriving at B.
 */
#ifndef WEFT_PLATFORM_SANITIZER_H
#define WEFT_PLATFORM_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT__ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define WEFT__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT__TSAN 1
#endif
#endif

#ifndef WEFT__ASAN
#define WEFT__ASAN 0
#endif
#ifndef WEFT__TSAN
#define WEFT__TSAN 0
#endif

/*
 * For a function that TSan must not see at all, its entry and exit included. In clang no_sanitize
 * would keep those; in gcc it does not.
 */
#if !WEFT__TSAN
#define WEFT__NO_TSAN
#elif !defined(__clang__)
#define WEFT__NO_TSAN __attribute__((noinline, no_sanitize_thread))
#elif __has_attribute(disable_sanitizer_instrumentation)
#define WEFT__NO_TSAN __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#error "fibers under TSan need clang 14 or later, or gcc"
#endif

/* What the tools know of one context: a fiber's stack, or a thread's own. */
struct weft__san {
#if WEFT__ASAN
    void *fake_stack;   /* saved by ASan while the context is suspended */
    const void *bottom; /* lowest usable address */
    size_t size;
#endif
#if WEFT__TSAN
    void *fiber; /* TSan's idea of the context; NULL in one that has not run */
#endif
    unsigned valgrind_id; /* of the registered stack */
};

/*
 * A new fiber stack [bottom, bottom + size); its next use by a new context, after the last one died
 * on it; its end. Called from other contexts than the stack's own, when nothing runs on it.
 */
void weft__san_stack_begin(struct weft__san *san, void *bottom, size_t size);
void weft__san_stack_end(struct weft__san *san);
#if WEFT__ASAN || WEFT__TSAN
void weft__san_stack_reuse(struct weft__san *san);
#else
static inline void weft__san_stack_reuse(struct weft__san *san)
{
    (void)san;
}
#endif

/* The calling thread's own stack, before the first switch away from it. */
void weft__san_thread(struct weft__san *san);

#if WEFT__ASAN || WEFT__TSAN
void weft__san_leave(struct weft__san *from, struct weft__san *to, bool dying);
void weft__san_arrive(struct weft__san *self);
#else
static inline void weft__san_leave(struct weft__san *from, struct weft__san *to, bool dying)
{
    (void)from, (void)to, (void)dying;
}
static inline void weft__san_arrive(struct weft__san *self)
{
    (void)self;
}
#endif

#endif
