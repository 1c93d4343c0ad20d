/*
 * Stackless tasks: a function over a frame, for when there are very many of them.
 *
 *     struct ticker { WEFT_FRAME; int left; };
 *
 *     static int ticker(struct ticker *self)
 *     {
 *         WEFT_BEGIN(self);
 *         while (self->left-- > 0) {
 *             WEFT_AWAIT(self, WEFT_AFTER(WEFT_MS(10)));
 *             puts("tick");
 *         }
 *         WEFT_END(self);
 *     }
 *
 *     weft_task *t = weft_spawn_stackless(ticker, &(struct ticker){.left = 3});
 *
 * The function is called again and again, each time from the point of its last WEFT_AWAIT or
 * WEFT_YIELD. What must survive such a point lives in the frame: local variables do not. Between
 * WEFT_BEGIN and WEFT_END there must be no `switch` around an await, and no two awaits or yields on one line.
 * In C++, which has no compound literals, name the frame first.
 *
 * An aborted stackless task is not called again; the `drop` function of its frame runs instead.
 */
#ifndef WEFT_STACKLESS_H
#define WEFT_STACKLESS_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* What a stackless function returns; the macros below do it. */
enum weft_poll {
    WEFT_DONE = 0,    /* the task has ended */
    WEFT_PENDING = 1, /* call again when what it awaits has happened */
};

/* Heads every frame. Zero-initialise it, apart from `drop`. */
struct weft_frame {
    /* Called once with the frame when the task ends, however it ends: returned, aborted, never
     * started. Runs on a worker (or, refused by a runtime that shuts down, on the spawning thread),
     * before the joiner is told. May be NULL. Must not suspend. */
    void (*drop)(void *frame);
    void *value;           /* what weft_join will give: see WEFT_RETURN */
    unsigned resume;       /* private: where the function goes on; 0 is its beginning */
    int result;            /* outcome of the last await: see WEFT_RESULT */
    uintptr_t reserved[6]; /* private: the pending await */
};

/* The first member of a frame struct. */
#define WEFT_FRAME struct weft_frame weft_frame

/* Something to wait for. Made by the macros below; the fields are private. */
struct weft_case {
    unsigned kind;
    uint64_t when;
    void *object;
    void **out;
};

enum weft_case_kind { WEFT_CASE_AT = 1, WEFT_CASE_JOIN = 2 };

WEFT_API struct weft_case weft_case_after(uint64_t duration);
WEFT_API struct weft_case weft_case_at(uint64_t deadline);
WEFT_API struct weft_case weft_case_join(weft_task *task, void **result);

/* Ready after `duration` ns, or at the instant `deadline` (see weft_sleep). Result: 0. */
#define WEFT_AFTER(duration) weft_case_after(duration)
#define WEFT_AT(deadline) weft_case_at(deadline)
/* Ready when `task` has ended. Result and `*out` as weft_join's; `out` must outlive the await. */
#define WEFT_JOIN(task, out) weft_case_join((task), (out))

/*
 * Starts a stackless task on the current runtime. `frame` is copied into the task, so it may be a
 * compound literal; it must begin with WEFT_FRAME. Returns as weft_spawn does; on NULL the frame
 * was not taken over and `drop` does not run. Any thread. Does not suspend.
 */
#define weft_spawn_stackless(fn, ...)                                                              \
    weft_spawn_stackless_at(                                                                       \
        ((void)sizeof((fn)(__VA_ARGS__)), WEFT_FRAME_IS_FIRST(__VA_ARGS__), (weft_poll_fn *)(fn)), \
        (__VA_ARGS__), sizeof *(__VA_ARGS__), WEFT_SITE)
#define WEFT_FRAME_IS_FIRST(...)                                                                   \
    ((void)sizeof(char[__builtin_offsetof(__typeof__(*(__VA_ARGS__)), weft_frame) == 0 ? 1 : -1]))

typedef int weft_poll_fn(void *frame);
WEFT_API weft_task *weft_spawn_stackless_at(weft_poll_fn *fn, const void *frame, size_t size,
                                            const struct weft_site *site) WEFT_MUST_USE;

/* Arms the await; false when it is ready at once, and then the result is set. For the macros. */
WEFT_API bool weft_frame_await(struct weft_frame *frame, struct weft_case wait);
/* Sends the task to the tail of its worker's queue. For the macros. */
WEFT_API void weft_frame_yield(struct weft_frame *frame);

#define WEFT_BEGIN(self)                                                                           \
    switch ((self)->weft_frame.resume) {                                                           \
    case 0:

/* Waits until `wait` is ready. The outcome is then WEFT_RESULT(self). */
#define WEFT_AWAIT(self, wait)                                                                     \
    do {                                                                                           \
        (self)->weft_frame.resume = __LINE__;                                                      \
        if (weft_frame_await(&(self)->weft_frame, (wait)))                                         \
            return WEFT_PENDING;                                                                   \
        __attribute__((fallthrough));                                                              \
    case __LINE__:;                                                                                \
    } while (0)

/* The outcome of the last await: 0 or a negative code. */
#define WEFT_RESULT(self) ((self)->weft_frame.result)

/* Lets other tasks run. */
#define WEFT_YIELD(self)                                                                           \
    do {                                                                                           \
        (self)->weft_frame.resume = __LINE__;                                                      \
        weft_frame_yield(&(self)->weft_frame);                                                     \
        return WEFT_PENDING;                                                                       \
    case __LINE__:;                                                                                \
    } while (0)

/* Ends the task; `result` (a pointer) goes to weft_join. */
#define WEFT_RETURN(self, result)                                                                  \
    do {                                                                                           \
        (self)->weft_frame.value = (result);                                                       \
        return WEFT_DONE;                                                                          \
    } while (0)

/* Ends the task with NULL. */
#define WEFT_END(self)                                                                             \
    }                                                                                              \
    (void)(self);                                                                                  \
    return WEFT_DONE

WEFT_END_DECLS

#endif
