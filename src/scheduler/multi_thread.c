/* The multi-thread flavor: each worker on a thread of its own. */
#include "platform/overflow.h"
#include "platform/system.h"
#include "scheduler/scheduler.h"

static bool is_stopping(struct weft__worker *worker, void *context)
{
    (void)context;
    return weft__load(&worker->scheduler->stopping, acquire);
}

static void *worker_main(void *arg)
{
    struct weft__worker *worker = arg;
    bool alternate =
        worker->scheduler->config.alternate_stacks && weft__overflow_thread_begin() == 0;
    weft__worker_enter(worker);
    weft__worker_run(worker, is_stopping, NULL);
    weft__worker_leave(worker);
    if (alternate)
        weft__overflow_thread_end();
    return NULL;
}

static void stop(struct weft__scheduler *scheduler, unsigned started)
{
    /* Release: all that was written before; workers acquire it as they leave their loop. */
    weft__store(&scheduler->stopping, true, seq_cst);
    weft__idle_wake_all(&scheduler->idle, scheduler->workers);
    for (unsigned i = 0; i < started; i++)
        pthread_join(scheduler->workers[i].thread, NULL);
}

int weft__multi_thread_start(struct weft__scheduler *scheduler)
{
    for (unsigned i = 0; i < scheduler->config.workers; i++) {
        struct weft__worker *worker = &scheduler->workers[i];
        int rc = weft__thread_start(&worker->thread, scheduler->config.thread_name,
                                    scheduler->config.thread_stack_size, worker_main, worker);
        if (rc < 0) {
            stop(scheduler, i);
            return rc;
        }
    }
    return 0;
}

void weft__multi_thread_stop(struct weft__scheduler *scheduler)
{
    stop(scheduler, scheduler->config.workers);
}
