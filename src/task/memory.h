/*
 * Memory for tasks: size classes of type-stable slabs.
 *
 * Because the memory is type-stable and every slab can be walked, a runtime keeps no list of its
 * tasks: shutdown (and later the task dump) looks at the state words of all slots instead, and
 * spawning and ending a task touches nothing shared.
 */
#ifndef WEFT_TASK_MEMORY_H
#define WEFT_TASK_MEMORY_H

#include "task/depot.h"

enum {
    WEFT__TASK_CLASSES = 7,
    WEFT__TASK_MAX = 4096, /* bytes of the largest class, header included */
};

struct weft_task;
struct weft__task_memory;

/* The caches of one worker, for one memory. */
struct weft__task_caches {
    struct weft__task_memory *memory;
    struct weft__cache of[WEFT__TASK_CLASSES];
};

int weft__task_memory_new(struct weft__task_memory **out);

/* The runtime lets go; what is still referenced stays until it is released. */
void weft__task_memory_close(struct weft__task_memory *memory);

/* Zeroed only at its first use ever; NULL without memory or when `size` > WEFT__TASK_MAX. */
struct weft_task *weft__task_alloc(struct weft__task_memory *memory,
                                   struct weft__task_caches *caches, size_t size);

/* Frees a task; `caches` are the calling worker's, whatever its runtime, or NULL. Any thread. */
void weft__task_dealloc(struct weft_task *task, struct weft__task_caches *caches);

void weft__task_caches_flush(struct weft__task_caches *caches);

/*
 * Calls `visit` with every slot that was ever used. Nothing keeps its task alive or the slot from
 * being reused meanwhile: the state word tells. Any thread.
 */
void weft__task_each(struct weft__task_memory *memory, void (*visit)(struct weft_task *task));

#endif
