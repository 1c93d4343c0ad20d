/* A worker's timers: see wheel.h. */
#include "time/wheel.h"

#include "base/base.h"
#include "task/carrier.h"

#define TICK_MAX (UINT64_MAX >> WEFT__TICK_SHIFT)
/*
 * How far ahead a timer can be filed: the wheel's span less one slot of the top level, so that a
 * timer never lands in the top slot that the present is in.
 */
#define TOP_SLOT (UINT64_C(1) << (WEFT__WHEEL_BITS * (WEFT__WHEEL_LEVELS - 1)))
#define REACH (TOP_SLOT * (WEFT__WHEEL_SLOTS - 1))

static uint64_t tick_of(uint64_t instant)
{
    return instant >> WEFT__TICK_SHIFT;
}

/* The first tick that does not begin before `deadline`. */
static uint64_t tick_after(uint64_t deadline)
{
    uint64_t tick = tick_of(deadline);
    return deadline == tick << WEFT__TICK_SHIFT || tick == TICK_MAX ? tick : tick + 1;
}

static uint64_t instant_of(uint64_t tick)
{
    return tick >= TICK_MAX ? UINT64_MAX : tick << WEFT__TICK_SHIFT;
}

void weft__wheel_init(struct weft__wheel *wheel, uint64_t now)
{
    wheel->lock = (struct weft__lock){ 0 };
    wheel->elapsed = tick_of(now);
    weft__store(&wheel->fired, 0, relaxed);
    weft__store(&wheel->next, UINT64_MAX, relaxed);
    for (int level = 0; level < WEFT__WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (int slot = 0; slot < WEFT__WHEEL_SLOTS; slot++)
            weft__list_init(&wheel->slots[level][slot]);
    }
}

/* The level is that of the highest digit (to base 64) in which `tick` differs from the present. */
static int level_of(uint64_t elapsed, uint64_t tick)
{
    uint64_t different = (elapsed ^ tick) | (WEFT__WHEEL_SLOTS - 1);
    int level = (63 - __builtin_clzll(different)) / WEFT__WHEEL_BITS;
    return level < WEFT__WHEEL_LEVELS ? level : WEFT__WHEEL_LEVELS - 1;
}

static int slot_of(int level, uint64_t tick)
{
    return (int)((tick >> (level * WEFT__WHEEL_BITS)) & (WEFT__WHEEL_SLOTS - 1));
}

/* The start of the next occupied slot; false if there is none. Lock held. */
static bool next_slot(const struct weft__wheel *wheel, int *level, int *slot, uint64_t *tick)
{
    for (int i = 0; i < WEFT__WHEEL_LEVELS; i++) {
        uint64_t occupied = wheel->occupied[i];
        if (!occupied)
            continue;
        int shift = i * WEFT__WHEEL_BITS;
        unsigned now = (unsigned)slot_of(i, wheel->elapsed);
        uint64_t ahead = occupied >> now | (now ? occupied << (64 - now) : 0);
        uint64_t distance = (uint64_t)__builtin_ctzll(ahead);
        *level = i;
        *slot = (int)((now + distance) & (WEFT__WHEEL_SLOTS - 1));
        *tick = ((wheel->elapsed >> shift) + distance) << shift;
        return true;
    }
    return false;
}

/* Recomputes `next`. Lock held. */
static void publish_next(struct weft__wheel *wheel)
{
    int level;
    int slot;
    uint64_t tick;
    uint64_t next = next_slot(wheel, &level, &slot, &tick) ? instant_of(tick) : UINT64_MAX;
    weft__store(&wheel->next, next, relaxed);
}

void weft__wheel_insert(struct weft__wheel *wheel, struct weft__timer *timer)
{
    uint64_t tick = timer->tick;
    if (tick <= wheel->elapsed)
        tick = wheel->elapsed + 1; /* overdue: as soon as can be */
    if (tick - wheel->elapsed > REACH)
        tick = wheel->elapsed + REACH; /* too far: filed again when that comes round */
    int level = level_of(wheel->elapsed, tick);
    int slot = slot_of(level, tick);
    weft__list_append(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
    int shift = level * WEFT__WHEEL_BITS;
    uint64_t instant = instant_of(tick >> shift << shift);
    if (instant < weft__load(&wheel->next, relaxed))
        weft__store(&wheel->next, instant, relaxed);
}

void weft__timer_arm(struct weft__timer *timer, struct weft__waiter *waiter, uint64_t deadline)
{
    struct weft__wheel *wheel = weft__carrier()->wheel;
    timer->tick = tick_after(deadline);
    timer->waiter = waiter;
    timer->wheel = wheel;
    weft__lock(&wheel->lock);
    weft__wheel_insert(wheel, timer);
    weft__unlock(&wheel->lock);
}

void weft__timer_disarm(struct weft__timer *timer)
{
    struct weft__wheel *wheel = timer->wheel;
    weft__lock(&wheel->lock);
    if (weft__list_has(&timer->link)) {
        struct weft__link *head = timer->link.next;
        weft__list_remove(&timer->link);
        if (weft__list_is_empty(head)) {
            /* Then `head` was no timer but its slot, whose place tells which one. */
            size_t index = (size_t)(head - &wheel->slots[0][0]);
            wheel->occupied[index / WEFT__WHEEL_SLOTS] &=
                ~(UINT64_C(1) << index % WEFT__WHEEL_SLOTS);
        }
    }
    weft__unlock(&wheel->lock);
}

/*
 * Timers lie on the stacks of sleepers, far apart and cold: fetches the waiter of the next one, and
 * the one after it.
 */
static void prefetch_next(const struct weft__link *head)
{
    struct weft__link *link = head->next;
    if (link == head)
        return;
    __builtin_prefetch(weft__container(link, struct weft__timer, link)->waiter, 1);
    __builtin_prefetch(link->next, 1);
}

/* Fires or files again everything in a slot whose time has come. Lock held. */
static void open_slot(struct weft__wheel *wheel, int level, int slot, struct weft__wake_list *list)
{
    struct weft__link due;
    weft__list_move(&wheel->slots[level][slot], &due);
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    for (struct weft__link *link; (link = weft__list_take(&due)) != NULL;) {
        struct weft__timer *timer = weft__container(link, struct weft__timer, link);
        prefetch_next(&due);
        if (timer->tick > wheel->elapsed) {
            weft__wheel_insert(wheel, timer);
        } else if (weft__wait_fire(timer->waiter, WEFT__WHY_TIMER, list)) {
            weft__count(&wheel->fired, 1);
        }
    }
}

void weft__wheel_expire(struct weft__wheel *wheel, uint64_t now, struct weft__wake_list *list)
{
    uint64_t target = tick_of(now);
    int level;
    int slot;
    uint64_t tick;
    weft__lock(&wheel->lock);
    while (next_slot(wheel, &level, &slot, &tick) && tick <= target) {
        if (tick > wheel->elapsed)
            wheel->elapsed = tick;
        open_slot(wheel, level, slot, list);
    }
    if (target > wheel->elapsed)
        wheel->elapsed = target; /* a clock that went back changes nothing */
    publish_next(wheel);
    weft__unlock(&wheel->lock);
}

uint64_t weft__wheel_next(struct weft__wheel *wheel)
{
    if (weft__wheel_is_empty(wheel))
        return UINT64_MAX;
    weft__lock(&wheel->lock);
    publish_next(wheel); /* disarming leaves it too early */
    uint64_t next = weft__load(&wheel->next, relaxed);
    weft__unlock(&wheel->lock);
    return next;
}
