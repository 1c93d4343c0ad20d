/*
 * Run queues: a worker's ring, which others may steal from, and a plain chain of tasks.
 *
 * The ring. Its owner pushes at the tail and pops at the head; thieves take a run of up to half from
 * the head. Everybody who takes does it as Go's scheduler does: copy, then claim with one
 * compare-and-swap of the head; a failed claim means that the copies are worthless. Counters only
 * grow, and wrap. A slot is overwritten only after the head has passed it, which makes the claim of
 * whoever was still copying it fail.
 */
#ifndef WEFT_SCHEDULER_QUEUE_H
#define WEFT_SCHEDULER_QUEUE_H

#include "base/atomic.h"
#include "base/base.h"

struct weft_task;

#ifndef WEFT__RING_SIZE
#define WEFT__RING_SIZE 256 /* a power of two */
#endif

struct weft__ring {
    /* Next to take. Moved by anybody's compare-and-swap. */
    _Alignas(WEFT__CACHE_LINE) _Atomic uint32_t head;
    /* Next to fill. Moved by the owner only. */
    _Alignas(WEFT__CACHE_LINE) _Atomic uint32_t tail;
    _Atomic(struct weft_task *) slots[WEFT__RING_SIZE];
};

/* Tasks linked by ->next, in order. */
struct weft__chain {
    struct weft_task *first;
    struct weft_task *last;
    uint32_t count;
};

void weft__chain_append(struct weft__chain *chain, struct weft_task *task);
struct weft_task *weft__chain_take(struct weft__chain *chain);
/* Moves all of `more` to the end of `chain`. */
void weft__chain_join(struct weft__chain *chain, struct weft__chain *more);

/* Owner. False when full. */
static inline bool weft__ring_push(struct weft__ring *ring, struct weft_task *task)
{
    uint32_t tail = weft__load(&ring->tail, relaxed);
    /* Acquire: thieves are done with the slots that the head has passed. */
    if (tail - weft__load(&ring->head, acquire) >= WEFT__RING_SIZE)
        return false;
    weft__store(&ring->slots[tail & (WEFT__RING_SIZE - 1)], task, relaxed);
    weft__store(&ring->tail, tail + 1, release); /* publishes the slot, and the task itself */
    return true;
}

/* Owner. The oldest, or NULL. */
static inline struct weft_task *weft__ring_pop(struct weft__ring *ring)
{
    uint32_t tail = weft__load(&ring->tail, relaxed);
    uint32_t head = weft__load(&ring->head, relaxed);
    while (head != tail) {
        struct weft_task *task = weft__load(&ring->slots[head & (WEFT__RING_SIZE - 1)], relaxed);
        /* Release: pairs with push's acquire. The task itself is the owner's own writing. */
        if (weft__cas(&ring->head, &head, head + 1, release, relaxed))
            return task;
    }
    return NULL;
}

/* Owner. What stands `ahead` places behind the oldest, if that many are there; a hint. */
static inline struct weft_task *weft__ring_peek(struct weft__ring *ring, uint32_t ahead)
{
    uint32_t at = weft__load(&ring->head, relaxed) + ahead;
    if ((int32_t)(weft__load(&ring->tail, relaxed) - at) <= 0)
        return NULL;
    return weft__load(&ring->slots[at & (WEFT__RING_SIZE - 1)], relaxed);
}

/*
 * Owner, of a full ring: takes the younger half out, to `chain`. False when a thief has made room
 * meanwhile. (The older half stays, so that tasks which just came from the inject queue are not
 * sent back there.)
 */
bool weft__ring_overflow(struct weft__ring *ring, struct weft__chain *chain);

/*
 * Owner of `own`, which is empty: takes half, rounded up, of what `victim` has. Returns the youngest
 * of them, to be run now, with the others in `own`; NULL if there was nothing. `*moved` is how many.
 */
struct weft_task *weft__ring_steal(struct weft__ring *victim, struct weft__ring *own,
                                   uint32_t *moved);

/* Anybody; a snapshot. */
static inline uint32_t weft__ring_length(const struct weft__ring *ring)
{
    /* Head first: it never passes a tail that is read later. */
    uint32_t head = weft__load(&ring->head, acquire);
    return weft__load(&ring->tail, acquire) - head;
}

#endif
