/* test: valgrind */
/* Object caches: magazines that move, objects that change hands, the end of a depot. */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/base.h"
#include "task/depot.h"

struct object {
    struct weft__free free;
    _Atomic int out; /* how often it is out: 0 or 1 */
};

/* A depot that counts what it is asked for. */
struct store {
    struct weft__depot depot;
    struct object *objects;
    unsigned capacity;
    unsigned made;
    unsigned step; /* objects a growth makes */
    bool *destroyed;
};

static int grow(struct weft__depot *depot, struct weft__magazine *magazine)
{
    struct store *store = weft__container(depot, struct store, depot);
    if (store->made == store->capacity)
        return -ENOMEM;
    for (unsigned i = 0; i < store->step && store->made < store->capacity; i++)
        weft__magazine_push(magazine, &store->objects[store->made++].free);
    return 0;
}

static void destroy(struct weft__depot *depot)
{
    struct store *store = weft__container(depot, struct store, depot);
    *store->destroyed = true;
    free(store->objects);
    free(store);
}

static struct store *store_new(unsigned capacity, unsigned step, bool *destroyed)
{
    static const struct weft__depot_ops ops = { .grow = grow, .destroy = destroy };
    struct store *store = calloc(1, sizeof *store);
    weft__depot_init(&store->depot, &ops);
    store->objects = calloc(capacity, sizeof *store->objects);
    store->capacity = capacity;
    store->step = step;
    store->destroyed = destroyed;
    *destroyed = false;
    return store;
}

/* Objects that rest in the depot. */
static size_t resting(struct store *store)
{
    return weft__load(&store->depot.idle, relaxed) + store->depot.loose.count;
}

static struct object *get(struct store *store, struct weft__cache *cache)
{
    struct weft__free *link = weft__depot_get(&store->depot, cache);
    if (!link)
        return NULL;
    struct object *object = weft__container(link, struct object, free);
    assert_int_equal(weft__add(&object->out, 1, relaxed), 0); /* nobody else has it */
    return object;
}

static void put(struct store *store, struct weft__cache *cache, struct object *object)
{
    assert_int_equal(weft__sub(&object->out, 1, relaxed), 1);
    weft__depot_put(&store->depot, cache, &object->free);
}

/* All the objects there are, each once; then -ENOMEM; then again from the cache */
static void test_get_and_put(void **state)
{
    (void)state;
    static const unsigned steps[] = { 1, 8, WEFT__MAGAZINE };
    enum { COUNT = 5 * WEFT__MAGAZINE + 7 };
    struct object *out[COUNT];

    for (int with_cache = 0; with_cache < 2; with_cache++)
        for (int i = 0; i < 3; i++) {
            bool destroyed;
            struct weft__cache own = { 0 }, *cache = with_cache ? &own : NULL;
            struct store *store = store_new(COUNT, steps[i], &destroyed);
            for (int round = 0; round < 3; round++) {
                for (int k = 0; k < COUNT; k++)
                    assert_non_null(out[k] = get(store, cache));
                assert_null(get(store, cache));
                for (int k = 0; k < COUNT; k++)
                    put(store, cache, out[round & 1 ? k : COUNT - 1 - k]);
            }
            assert_int_equal(store->made, COUNT);
            if (cache) {
                weft__depot_flush(&store->depot, cache);
                assert_int_equal(own.out, 0);
                assert_int_equal(own.hot.count + own.spare.count, 0);
                assert_int_equal(resting(store), COUNT);
            }
            assert_int_equal(store->depot.out, 0);
            weft__depot_close(&store->depot);
            assert_true(destroyed);
        }
}

/* The hot path goes last in, first out, and reuses without growing */
static void test_cache_is_warm(void **state)
{
    (void)state;
    bool destroyed;
    struct weft__cache cache = { 0 };
    struct store *store = store_new(1000, 8, &destroyed);
    struct object *first = get(store, &cache);
    put(store, &cache, first);
    for (int i = 0; i < 1000; i++) {
        struct object *object = get(store, &cache);
        assert_ptr_equal(object, first);
        put(store, &cache, object);
    }
    assert_int_equal(store->made, 8);
    assert_int_equal(store->depot.takes, 1);

    /* Up and down around a magazine's edge does not go to the depot each time. */
    struct object *out[3 * WEFT__MAGAZINE];
    for (int i = 0; i < 3 * WEFT__MAGAZINE; i++)
        out[i] = get(store, &cache);
    for (int i = 0; i < 3 * WEFT__MAGAZINE; i++)
        put(store, &cache, out[i]);
    uint64_t takes = store->depot.takes;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < WEFT__MAGAZINE; i++)
            out[i] = get(store, &cache);
        for (int i = 0; i < WEFT__MAGAZINE; i++)
            put(store, &cache, out[i]);
    }
    assert_in_range(store->depot.takes - takes, 0, 1);
    weft__depot_flush(&store->depot, &cache);
    weft__depot_close(&store->depot);
    assert_true(destroyed);
}

/* Cold magazines are used when there is nothing else, and then all of them */
static void test_cold_magazines(void **state)
{
    (void)state;
    enum { COUNT = 4 * WEFT__MAGAZINE };
    bool destroyed;
    struct weft__cache cache = { 0 };
    struct weft__magazine magazine = { 0 };
    struct store *store = store_new(COUNT, WEFT__MAGAZINE, &destroyed);
    struct object *out[COUNT];

    for (int i = 0; i < COUNT; i++)
        out[i] = get(store, &cache);
    assert_false(weft__depot_take_idle(&store->depot, &magazine));
    for (int i = 0; i < COUNT; i++)
        put(store, &cache, out[i]);
    weft__depot_flush(&store->depot, &cache);

    int cold = 0;
    for (; weft__depot_take_idle(&store->depot, &magazine); cold++) {
        assert_int_equal(magazine.count, WEFT__MAGAZINE);
        weft__depot_put_cold(&store->depot, &magazine);
    }
    assert_int_equal(cold, 4);
    assert_int_equal(resting(store), 0);
    for (int i = 0; i < COUNT; i++)
        assert_non_null(out[i] = get(store, &cache));
    assert_null(get(store, &cache));
    assert_int_equal(store->made, COUNT);
    for (int i = 0; i < COUNT; i++)
        put(store, NULL, out[i]);
    weft__depot_flush(&store->depot, &cache);
    weft__depot_close(&store->depot);
    assert_true(destroyed);
}

/* The depot outlives its owner until the last object is back */
static void test_close_with_objects_out(void **state)
{
    (void)state;
    for (int flushed_first = 0; flushed_first < 2; flushed_first++) {
        bool destroyed;
        struct weft__cache cache = { 0 };
        struct store *store = store_new(100, 8, &destroyed);
        struct object *a = get(store, &cache), *b = get(store, NULL), *c = get(store, &cache);
        if (!flushed_first)
            put(store, NULL, b);
        weft__depot_flush(&store->depot, &cache);
        assert_int_equal(store->depot.out, flushed_first ? 3 : 2);
        weft__depot_close(&store->depot);
        assert_false(destroyed);
        if (flushed_first)
            put(store, NULL, b);
        put(store, NULL, a);
        assert_false(destroyed);
        put(store, NULL, c);
        assert_true(destroyed);
    }
}

/* What one cache gets another may put: the counts balance when all are flushed */
static void test_objects_move_between_caches(void **state)
{
    (void)state;
    bool destroyed;
    struct weft__cache caches[2] = { 0 };
    struct store *store = store_new(10000, WEFT__MAGAZINE, &destroyed);
    for (int i = 0; i < 5000; i++)
        put(store, &caches[1], get(store, &caches[0]));
    /* They came round through the depot: a few magazines are enough for ever. */
    assert_in_range(store->made, 1, 6 * WEFT__MAGAZINE);
    assert_int_equal(caches[0].out, 5000);
    assert_int_equal(caches[1].out, -5000);
    weft__depot_flush(&store->depot, &caches[0]);
    weft__depot_flush(&store->depot, &caches[1]);
    assert_int_equal(store->depot.out, 0);
    assert_int_equal(resting(store), store->made);
    weft__depot_close(&store->depot);
    assert_true(destroyed);
}

enum { THREADS = 4, SLOTS = 200 };

static _Atomic(struct object *) slots[SLOTS];
static struct store *shared;

static void *exchange(void *arg)
{
    uint64_t random = 99 + (uint64_t)(intptr_t)arg;
    struct weft__cache own = { 0 }, *cache = (intptr_t)arg ? &own : NULL; /* one without */
    long rounds = test_scale(30000, 3000);

    for (long i = 0; i < rounds; i++) {
        struct object *fresh = weft__random_below(&random, 2) ? get(shared, cache) : NULL;
        uint32_t slot = weft__random_below(&random, SLOTS);
        struct object *old = weft__swap(&slots[slot], fresh, acq_rel);
        if (old)
            put(shared, cache, old);
    }
    if (cache)
        weft__depot_flush(&shared->depot, cache);
    return NULL;
}

/* Threads with and without caches pass objects round; none is ever out twice */
static void test_threads(void **state)
{
    (void)state;
    bool destroyed;
    pthread_t threads[THREADS];
    shared = store_new(SLOTS + THREADS * 4 * WEFT__MAGAZINE, 16, &destroyed);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, exchange, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    weft__depot_close(&shared->depot);
    bool any = false;
    for (int i = 0; i < SLOTS; i++) {
        struct object *object = weft__swap(&slots[i], NULL, relaxed);
        any |= object != NULL;
        if (object) {
            assert_false(destroyed);
            put(shared, NULL, object);
        }
    }
    assert_true(any);
    assert_true(destroyed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_put),
        cmocka_unit_test(test_cache_is_warm),
        cmocka_unit_test(test_cold_magazines),
        cmocka_unit_test(test_close_with_objects_out),
        cmocka_unit_test(test_objects_move_between_caches),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
