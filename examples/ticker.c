/*
 * The same program twice: as a fiber, which has a stack and sleeps where it stands, and as a
 * stackless task, whose whole state is the struct. All of them run at once and take turns.
 */
#include <stdio.h>
#include <weft.h>

enum { TICKS = 3 };

/* A fiber: a plain function with plain local variables. */
static void *fiber_ticker(void *name)
{
    for (int tick = 1; tick <= TICKS; tick++) {
        if (weft_sleep(WEFT_MS(10)) < 0)
            break; /* aborted */
        printf("fiber %s: tick %d\n", (char *)name, tick);
    }
    return NULL;
}

/* A stackless task: what must survive an await lives in its frame. */
struct ticker {
    WEFT_FRAME;
    const char *name;
    int tick;
};

static int stackless_ticker(struct ticker *self)
{
    WEFT_BEGIN(self);
    for (self->tick = 1; self->tick <= TICKS; self->tick++) {
        WEFT_AWAIT(self, WEFT_AFTER(WEFT_MS(10)));
        printf("stackless %s: tick %d\n", self->name, self->tick);
    }
    WEFT_END(self);
}

static int ticker(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_task *tasks[] = {
        weft_spawn(fiber_ticker, "A"),
        weft_spawn(fiber_ticker, "B"),
        weft_spawn_stackless(stackless_ticker, &(struct ticker){ .name = "A" }),
        weft_spawn_stackless(stackless_ticker, &(struct ticker){ .name = "B" }),
    };

    int failed = 0;
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        int rc = weft_join(tasks[i], NULL); /* one handle, one join for both kinds */
        if (rc < 0)
            failed = rc;
    }
    return failed;
}

WEFT_MAIN(ticker)
