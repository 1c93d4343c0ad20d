/* Memory for tasks: see memory.h. */
#include "task/memory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "platform/stack.h"
#include "task/task.h"

enum { SLAB_SIZE = 512 * 1024 };

/* Stands at the head of a slab, which is aligned to its size. */
struct slab {
    struct slab *next;
    struct size_class *owner;
    size_t carved; /* bytes handed out so far, this header included; under the depot's lock */
};

struct size_class {
    struct weft__depot depot;
    struct slab *slabs; /* newest first; only that one has room left */
    size_t size;        /* of an object */
    size_t first;       /* offset of a slab's first object */
};

struct weft__task_memory {
    struct size_class *classes[WEFT__TASK_CLASSES];
};

static const size_t class_sizes[WEFT__TASK_CLASSES] = { 128, 192,  256,           384,
                                                        512, 1024, WEFT__TASK_MAX };

static unsigned class_for(size_t size)
{
    unsigned class = 0;
    while (class_sizes[class] < size)
        class ++;
    return class;
}

/* An aligned slab: reserves twice the size and gives the ends back. */
static struct slab *slab_new(struct size_class *class)
{
    void *map;
    if (weft__map_reserve(2 * (size_t)SLAB_SIZE, &map) < 0)
        return NULL;
    uintptr_t begin = (uintptr_t)map;
    uintptr_t start = (begin + SLAB_SIZE - 1) & ~((uintptr_t)SLAB_SIZE - 1);
    if (start > begin)
        weft__map_release(map, start - begin);
    weft__map_release((void *)(start + SLAB_SIZE), begin + SLAB_SIZE - start);

    struct slab *slab = (struct slab *)start;
    slab->owner = class;
    slab->carved = class->first;
    slab->next = class->slabs;
    class->slabs = slab;
    return slab;
}

static int grow(struct weft__depot *depot, struct weft__magazine *magazine)
{
    struct size_class *class = weft__container(depot, struct size_class, depot);
    struct slab *slab = class->slabs;
    if (!slab || slab->carved + class->size > SLAB_SIZE) {
        slab = slab_new(class);
        if (!slab)
            return -ENOMEM;
    }
    for (int i = 0; i < WEFT__MAGAZINE && slab->carved + class->size <= SLAB_SIZE; i++) {
        struct weft_task *task = (struct weft_task *)(void *)((char *)slab + slab->carved);
        slab->carved += class->size;
        weft__magazine_push(magazine, &task->free);
    }
    return 0;
}

static void destroy(struct weft__depot *depot)
{
    struct size_class *class = weft__container(depot, struct size_class, depot);
    while (class->slabs) {
        struct slab *slab = class->slabs;
        class->slabs = slab->next;
        weft__map_release(slab, SLAB_SIZE);
    }
    free(class);
}

static const struct weft__depot_ops depot_ops = { .grow = grow, .destroy = destroy };

int weft__task_memory_new(struct weft__task_memory **out)
{
    struct weft__task_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    for (unsigned i = 0; i < WEFT__TASK_CLASSES; i++) {
        struct size_class *class = calloc(1, sizeof *class);
        if (!class) {
            weft__task_memory_close(memory);
            return -ENOMEM;
        }
        weft__depot_init(&class->depot, &depot_ops);
        class->size = class_sizes[i];
        /* Objects start at a multiple of two cache lines, so none shares one with another. */
        class->first = (sizeof(struct slab) + 127) & ~(size_t)127;
        memory->classes[i] = class;
    }
    *out = memory;
    return 0;
}

void weft__task_memory_close(struct weft__task_memory *memory)
{
    for (unsigned i = 0; i < WEFT__TASK_CLASSES; i++)
        if (memory->classes[i])
            weft__depot_close(&memory->classes[i]->depot);
    free(memory);
}

struct weft_task *weft__task_alloc(struct weft__task_memory *memory,
                                   struct weft__task_caches *caches, size_t size)
{
    if (size > WEFT__TASK_MAX)
        return NULL;
    unsigned class = class_for(size);
    struct weft__free *object =
        weft__depot_get(&memory->classes[class]->depot, caches ? &caches->of[class] : NULL);
    return object ? weft__container(object, struct weft_task, free) : NULL;
}

void weft__task_dealloc(struct weft_task *task, struct weft__task_caches *caches)
{
    struct slab *slab = (struct slab *)((uintptr_t)task & ~((uintptr_t)SLAB_SIZE - 1));
    struct size_class *class = slab->owner;
    unsigned index = class_for(class->size);
    /* A worker of another runtime must not keep our memory in its cache. */
    bool ours = caches && caches->memory->classes[index] == class;
    weft__depot_put(&class->depot, ours ? &caches->of[index] : NULL, &task->free);
}

void weft__task_caches_flush(struct weft__task_caches *caches)
{
    for (unsigned i = 0; i < WEFT__TASK_CLASSES; i++)
        weft__depot_flush(&caches->memory->classes[i]->depot, &caches->of[i]);
}

static void each_of_class(struct size_class *class, void (*visit)(struct weft_task *))
{
    weft__lock(&class->depot.lock);
    struct slab *slab = class->slabs;
    size_t end = slab ? slab->carved : 0;
    weft__unlock(&class->depot.lock);
    for (; slab; slab = slab->next) {
        for (size_t offset = class->first; offset < end; offset += class->size)
            visit((struct weft_task *)(void *)((char *)slab + offset));
        end = slab->next ? slab->next->carved : 0; /* older slabs are full: this is final */
    }
}

void weft__task_each(struct weft__task_memory *memory, void (*visit)(struct weft_task *))
{
    for (unsigned i = 0; i < WEFT__TASK_CLASSES; i++)
        each_of_class(memory->classes[i], visit);
}
