/* The driver's life, the ownership of its engine, and the memory of its records. */
#include "driver/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Records come in blocks that are never freed before the driver. */
enum { BLOCK_RECORDS = 32 };

struct block {
    struct block *next;
    struct weft__record records[BLOCK_RECORDS];
};

struct driver_memory {
    struct weft__driver driver;
    struct block *blocks; /* under the depot's lock */
};

static int grow(struct weft__depot *depot, struct weft__magazine *magazine)
{
    struct driver_memory *memory = weft__container(depot, struct driver_memory, driver.records);
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        return -ENOMEM;
    block->next = memory->blocks;
    memory->blocks = block;
    for (int i = 0; i < BLOCK_RECORDS; i++)
        weft__magazine_push(magazine, &block->records[i].free);
    return 0;
}

static void destroy(struct weft__depot *depot)
{
    struct driver_memory *memory = weft__container(depot, struct driver_memory, driver.records);
    while (memory->blocks) {
        struct block *block = memory->blocks;
        memory->blocks = block->next;
        free(block);
    }
    free(memory);
}

static const struct weft__depot_ops depot_ops = { .grow = grow, .destroy = destroy };

/* The engine that WEFT_DRIVER names, or the best there is. */
static int choose_engine(unsigned max_events, struct weft__engine **out)
{
    const char *name = getenv("WEFT_DRIVER");
    if (!name || !*name || strcmp(name, "auto") == 0 || strcmp(name, "epoll") == 0)
        return weft__engine_epoll(max_events, out);
    if (strcmp(name, "io_uring") == 0 || strcmp(name, "poll") == 0)
        return -ENOTSUP;
    return -EINVAL;
}

int weft__driver_new(unsigned max_events, struct weft__driver **out)
{
    struct driver_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    struct weft__driver *driver = &memory->driver;
    int rc = choose_engine(max_events, &driver->engine);
    if (rc < 0) {
        free(memory);
        return rc;
    }
    weft__depot_init(&driver->records, &depot_ops);
    weft__store(&driver->references, 1, relaxed);
    *out = driver;
    return 0;
}

void weft__driver_release(struct weft__driver *driver)
{
    /* Release our use; acquire everybody's, if we are the last. */
    if (weft__sub(&driver->references, 1, acq_rel) == 1)
        weft__depot_close(&driver->records);
}

void weft__driver_shutdown(struct weft__driver *driver)
{
    struct driver_memory *memory = weft__container(driver, struct driver_memory, driver);
    weft__store(&driver->shut, true, seq_cst);
    /*
     * Whoever begins to wait after this has seen `shut`, under the record's lock; whoever waits is
     * sent away under it. So nobody attaches to the engine any more.
     */
    weft__lock(&driver->records.lock);
    struct block *block = memory->blocks;
    weft__unlock(&driver->records.lock);
    for (; block; block = block->next)
        for (int i = 0; i < BLOCK_RECORDS; i++)
            weft__io_evict(block->records[i].io);
    driver->engine->ops->destroy(driver->engine);
    driver->engine = NULL;
}

bool weft__driver_try_own(struct weft__driver *driver)
{
    /* Acquire and release: the engine's buffers pass from owner to owner. */
    return !weft__load(&driver->owned, relaxed) && !weft__swap(&driver->owned, true, acquire);
}

void weft__driver_disown(struct weft__driver *driver)
{
    weft__store(&driver->owned, false, release);
}

int weft__driver_attach(struct weft__driver *driver, struct weft__io *io)
{
    int rc = driver->engine->ops->attach(driver->engine, io);
    if (rc == 0) {
        io->registered = true;
        weft__add(&driver->registered, 1, relaxed);
    }
    return rc;
}

void weft__driver_put_record(struct weft__driver *driver, struct weft__io *io)
{
    struct weft__record *record = weft__container(io, struct weft__record, io[0]);
    weft__depot_put(&driver->records, NULL, &record->free);
    weft__driver_release(driver);
}
