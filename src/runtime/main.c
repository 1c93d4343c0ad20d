/*
 * main() for WEFT_MAIN: the root task, and the signals that end it.
 *
 * The handler writes to one end of a socket pair; a fiber waits at the other and aborts the root.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/error.h>

#include "platform/socket.h"
#include "runtime/runtime.h"

static int signal_pair[2] = { -1, -1 };
static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    if (signals_seen++) {
        /* The second one: as if nobody had ever caught it. Delivered when we return. */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    weft__sys_send(signal_pair[1], "", 1);
}

struct program {
    weft_main_fn *root;
    int argc;
    char **argv;
    int status;
};

static void *run_root(void *arg)
{
    struct program *program = arg;
    program->status = program->root(program->argc, program->argv);
    return NULL;
}

/* Waits for the byte. The root outlives us: see supervise. */
static void *watch_signals(void *arg)
{
    struct weft_task *root = arg;
    struct weft__io *io;
    if (weft__io_open(weft__services_current()->driver, signal_pair[0], &io) == 0) {
        char byte;
        struct weft__op op = { .kind = WEFT__OP_RECV, .buffer = &byte, .size = 1 };
        if (weft__io_run(io, &op) == 1)
            weft_abort(root);
        weft__io_close(io);
        signal_pair[0] = -1;
    }
    return NULL;
}

static void *supervise(void *arg)
{
    struct program *program = arg;
    weft_task *root = weft_spawn(run_root, program);
    if (!root) {
        program->status = -ENOMEM;
        return NULL;
    }
    weft__add(&root->state, WEFT__REFERENCE, relaxed); /* for the watcher, until it has ended */
    weft_task *watcher = weft_spawn(watch_signals, root);
    int rc = weft_join(root, NULL);
    if (rc < 0 && program->status == 0)
        program->status = rc;
    weft_abort(watcher);
    rc = weft_join(watcher, NULL); /* without memory there is none; so be it */
    (void)rc;
    weft__task_release(root);
    return NULL;
}

static int catch_signals(void)
{
    int rc = weft__sys_socket_pair(signal_pair);
    if (rc < 0)
        return rc;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return 0;
}

int weft_main(const struct weft_config *config, size_t size, weft_main_fn *root, int argc,
              char **argv)
{
    struct program program = { .root = root, .argc = argc, .argv = argv };
    weft_runtime *runtime = NULL;
    int rc = root ? weft_runtime_new_sized(config, size, &runtime) : -EINVAL;
    if (rc == 0)
        rc = catch_signals();
    if (rc == 0)
        rc = weft_block_on(runtime, supervise, &program, NULL);
    weft_runtime_free(runtime);
    if (rc < 0) {
        fprintf(stderr, "weft: cannot run: %s\n", weft_strerror(rc));
        return EXIT_FAILURE;
    }
    if (signals_seen && (program.status == -ECANCELED || program.status == -EINTR))
        return EXIT_SUCCESS;
    if (program.status < 0) {
        fprintf(stderr, "%s: %s\n", argc > 0 ? argv[0] : "weft", weft_strerror(program.status));
        return EXIT_FAILURE;
    }
    return program.status;
}
