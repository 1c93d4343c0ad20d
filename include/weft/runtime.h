/*
 * Runtimes: making one, running the root task on it, handles for other threads, and WEFT_MAIN.
 */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/base.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

enum weft_flavor {
    WEFT_MULTI_THREAD = 0,   /* N worker threads with work stealing */
    WEFT_CURRENT_THREAD = 1, /* tasks run only inside weft_block_on, on the thread that calls it */
};

/* What weft_runtime_new takes. Zero means default everywhere: use designated initialisers. */
struct weft_config {
    enum weft_flavor flavor;

    /*
     * Worker threads, 1 to 1024; ignored by WEFT_CURRENT_THREAD. Default: WEFT_WORKER_THREADS from
     * the environment, else the CPUs this process may use (affinity mask and cgroup quota).
     */
    unsigned worker_threads;

    const char *thread_name; /* of workers and pool threads; default "weft"; cut to 15 bytes */

    size_t fiber_stack_size;  /* bytes of address space a fiber; default 256 KiB, at least 16 KiB */
    size_t thread_stack_size; /* bytes; default: the system's */

    unsigned event_interval;        /* scheduler ticks between looks at the driver; default 61 */
    unsigned global_queue_interval; /* ticks between looks at the inject queue; default 31 */
    unsigned max_io_events;         /* events taken from the kernel at once; default 1024 */
    unsigned max_blocking_threads;  /* threads for blocking calls; default 512 */
    uint64_t thread_keep_alive;     /* ns an idle blocking thread stays; default 10 s */

    uint64_t seed;          /* for the choice of steal victims; default: random */
    bool disable_lifo_slot; /* woken tasks go to the tail of the queue instead of running next */

    /* Do not install the SIGSEGV/SIGBUS handler that reports fiber stack overflows. */
    bool disable_overflow_report;
};

/*
 * Makes a runtime and starts its workers. `config` may be NULL; it is copied. Returns 0, -EINVAL
 * (a field out of range, or a bad WEFT_WORKER_THREADS / WEFT_DRIVER in the environment), -ENOTSUP
 * (a driver this system does not have), -ENOMEM, -EAGAIN (no threads), -EMFILE... from the kernel;
 * on failure nothing is left behind. Any thread. Does not suspend.
 *
 * The macro passes the size of the struct, so that a later library can tell an older caller.
 */
WEFT_API int weft_runtime_new_sized(const struct weft_config *config, size_t size,
                                    weft_runtime **out) WEFT_MUST_USE;
#define weft_runtime_new(config, out)                                                              \
    weft_runtime_new_sized((config), sizeof(struct weft_config), (out))

/*
 * Shuts the runtime down and frees it: new work is refused, every task is cancelled and runs until
 * it returns, threads are joined. Waits for ever: a task that never returns is waited for. Task
 * handles, weft_handles, streams and listeners that are still held stay valid: tasks can be joined,
 * handles give cancelled tasks, streams and listeners give WEFT_ESHUTDOWN, and all can be released.
 *
 * Returns 0, or -EDEADLK when called from inside a task (of any runtime: it would block a worker),
 * and then nothing has happened. NULL gives 0. Any plain thread. Blocks it; does not suspend.
 */
WEFT_API int weft_runtime_free(weft_runtime *runtime);

/*
 * Runs `fn(arg)` as the root task of the runtime and blocks the calling thread until it has ended.
 * On WEFT_CURRENT_THREAD the calling thread runs the tasks meanwhile; when several threads call at
 * once, one of them does and the others wait for their root, taking over if need be. Tasks spawned
 * by the root go on after it (multi-thread) or stay frozen until the next call (current-thread).
 *
 * Returns as weft_join does: 0 or -ECANCELED with `*result`; -EINVAL (null runtime or fn), -EDEADLK
 * (called from inside a task or worker of any runtime), -ENOMEM, WEFT_ESHUTDOWN.
 */
WEFT_API int weft_block_on_at(weft_runtime *runtime, weft_task_fn *fn, void *arg, void **result,
                              const struct weft_site *site);
#define weft_block_on(runtime, fn, arg, result)                                                    \
    weft_block_on_at((runtime), (fn), (arg), (result), WEFT_SITE)

/* weft_spawn on a given runtime, from any thread. NULL also when `runtime` is NULL. */
WEFT_API weft_task *weft_runtime_spawn_at(weft_runtime *runtime, weft_task_fn *fn, void *arg,
                                          const struct weft_site *site) WEFT_MUST_USE;
#define weft_runtime_spawn(runtime, fn, arg)                                                       \
    weft_runtime_spawn_at((runtime), (fn), (arg), WEFT_SITE)

/*
 * Handles: counted references through which other threads reach a runtime. A handle does not keep
 * the runtime running; after weft_runtime_free its spawns give cancelled tasks.
 *
 * weft_runtime_handle and weft_handle_current give a new reference, to be released with
 * weft_handle_free; NULL from weft_runtime_handle(NULL), and from weft_handle_current outside a
 * runtime. Any thread. None of these suspends.
 */
WEFT_API weft_handle *weft_runtime_handle(weft_runtime *runtime) WEFT_MUST_USE;
WEFT_API weft_handle *weft_handle_current(void) WEFT_MUST_USE;
WEFT_API weft_handle *weft_handle_clone(weft_handle *handle);
WEFT_API void weft_handle_free(weft_handle *handle);
WEFT_API enum weft_flavor weft_handle_flavor(const weft_handle *handle);

WEFT_API weft_task *weft_handle_spawn_at(weft_handle *handle, weft_task_fn *fn, void *arg,
                                         const struct weft_site *site) WEFT_MUST_USE;
#define weft_handle_spawn(handle, fn, arg) weft_handle_spawn_at((handle), (fn), (arg), WEFT_SITE)

/*
 * Makes the handle's runtime the current one of this thread, without running it: weft_spawn and
 * weft_tcp_listen then work here. Returns a depth (1 or more) to give back to weft_leave, or
 * -EINVAL (null handle), -ENOMEM. Enters nest; they must be left in reverse order.
 *
 * weft_leave returns 0, or -EPERM when `depth` is not that of the innermost enter of this thread,
 * and then nothing has happened. Inside a task both return -EDEADLK: a task has its runtime.
 */
WEFT_API int weft_enter(weft_handle *handle) WEFT_MUST_USE;
WEFT_API int weft_leave(int depth);

/*
 * main() for a program whose root task is `int root(int argc, char **argv)`: makes a runtime with
 * the given fields of struct weft_config, runs root, frees the runtime.
 *
 *     WEFT_MAIN(server)
 *     WEFT_MAIN(server, .flavor = WEFT_CURRENT_THREAD)
 *
 * The first SIGINT or SIGTERM aborts the root task, a second one ends the process. When root has
 * ended, all other tasks are cancelled and waited for. The exit status is root's value; 0 if that is
 * -ECANCELED or -EINTR after a signal; 1, with the code's text on stderr, if it is another negative
 * code or the runtime could not be made.
 */
#define WEFT_MAIN(root, ...)                                                                       \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        const struct weft_config weft_main_config = { __VA_ARGS__ };                               \
        return weft_main(&weft_main_config, sizeof weft_main_config, (root), argc, argv);          \
    }

typedef int weft_main_fn(int argc, char **argv);
WEFT_API int weft_main(const struct weft_config *config, size_t size, weft_main_fn *root, int argc,
                       char **argv);

WEFT_END_DECLS

#endif
