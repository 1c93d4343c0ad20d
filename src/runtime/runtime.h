/*
 * A runtime: the rooms put together.
 *
 * struct weft_handle is the counted core that handles share with the runtime; weft_runtime is the
 * same object in its owner's eyes. weft_runtime_free ends everything that runs and keeps only what
 * handles need to say that it is over.
 */
#ifndef WEFT_RUNTIME_RUNTIME_H
#define WEFT_RUNTIME_RUNTIME_H

#include <weft/runtime.h>

#include "runtime/services.h"
#include "scheduler/scheduler.h"

/* A current-thread runtime is driven by one of the threads in weft_block_on at a time. */
struct weft__baton {
    pthread_mutex_t lock;
    pthread_cond_t changed;   /* the baton is free, or somebody's root has ended */
    bool held;                /* by the driving thread */
    _Atomic unsigned waiting; /* threads that wait for it, or for their root */
};

struct weft_handle {
    _Atomic uint32_t references; /* the runtime's own one, and the handles' */
    enum weft_flavor flavor;
    struct weft__scheduler scheduler;
    struct weft__services services;
    struct weft__baton baton;
};

struct weft_runtime {
    struct weft_handle core;
};

void weft__core_release(struct weft_handle *core);

/* Of the running task, or entered by this thread; NULL outside. */
struct weft_handle *weft__core_current(void);

/* ---- config.c ---- */

/* What weft_runtime_new makes of the caller's config: defaults filled in, checked. */
struct weft__settings {
    enum weft_flavor flavor;
    struct weft__scheduler_config scheduler;
    unsigned max_io_events;
    unsigned max_blocking_threads;
    uint64_t thread_keep_alive;
    bool overflow_report;
};

/* 0, or -EINVAL. Strings still point into the caller's config. */
int weft__settings_read(const struct weft_config *given, size_t size,
                        struct weft__settings *settings);

/* ---- current_thread.c ---- */

/* Drives the runtime until `root` has ended, alone or in turn with other threads. */
void weft__current_thread_drive(struct weft_handle *core, struct weft_task *root);

/* Drives it until all tasks have ended. */
void weft__current_thread_drain(struct weft_handle *core);

/* ---- overflow_report.c ---- */

int weft__overflow_report_install(void);

#endif
