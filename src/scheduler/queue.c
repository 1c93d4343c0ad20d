/* Run queues: see queue.h. */
#include "scheduler/queue.h"

#include "task/task.h"

enum { SIZE = WEFT__RING_SIZE, MASK = WEFT__RING_SIZE - 1 };

void weft__chain_append(struct weft__chain *chain, struct weft_task *task)
{
    task->next = NULL;
    if (chain->first)
        chain->last->next = task;
    else
        chain->first = task;
    chain->last = task;
    chain->count++;
}

struct weft_task *weft__chain_take(struct weft__chain *chain)
{
    struct weft_task *task = chain->first;
    if (task) {
        chain->first = task->next;
        chain->count--;
    }
    return task;
}

void weft__chain_join(struct weft__chain *chain, struct weft__chain *more)
{
    if (!more->first)
        return;
    if (chain->first)
        chain->last->next = more->first;
    else
        chain->first = more->first;
    chain->last = more->last;
    chain->count += more->count;
    *more = (struct weft__chain){ 0 };
}

bool weft__ring_overflow(struct weft__ring *ring, struct weft__chain *chain)
{
    uint32_t tail = weft__load(&ring->tail, relaxed);
    uint32_t head = tail - SIZE;
    /* Claims all of it; from here on thieves see an empty ring. */
    if (!weft__cas(&ring->head, &head, tail, acq_rel, relaxed))
        return false;
    for (uint32_t i = SIZE / 2; i < SIZE; i++)
        weft__chain_append(chain, weft__load(&ring->slots[(tail + i) & MASK], relaxed));
    /* The older half is put back by moving the tail over it: one turn on, it is in its place. */
    weft__store(&ring->tail, tail + SIZE / 2, release);
    return true;
}

struct weft_task *weft__ring_steal(struct weft__ring *victim, struct weft__ring *own,
                                   uint32_t *moved)
{
    uint32_t own_tail = weft__load(&own->tail, relaxed);
    uint32_t head = weft__load(&victim->head, acquire);
    for (;;) {
        /* Acquire: the slots below the tail, and the tasks in them. */
        uint32_t length = weft__load(&victim->tail, acquire) - head;
        if (length > SIZE) {
            head = weft__load(&victim->head, acquire); /* the two were read too far apart */
            continue;
        }
        uint32_t count = length - length / 2;
        if (count == 0)
            return NULL;
        for (uint32_t i = 0; i < count; i++) {
            struct weft_task *task = weft__load(&victim->slots[(head + i) & MASK], relaxed);
            weft__store(&own->slots[(own_tail + i) & MASK], task, relaxed);
        }
        if (weft__cas(&victim->head, &head, head + count, acq_rel, acquire)) {
            *moved = count;
            weft__store(&own->tail, own_tail + count - 1, release);
            return weft__load(&own->slots[(own_tail + count - 1) & MASK], relaxed);
        }
    }
}
