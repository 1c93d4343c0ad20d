/* Two tasks: one makes a greeting, the other waits for it. */
#include <stdio.h>
#include <weft.h>

static void *greet(void *name)
{
    weft_sleep(WEFT_MS(10)); /* only this task sleeps, not the thread */
    printf("hello, %s\n", (char *)name);
    return name;
}

static int hello(int argc, char **argv)
{
    weft_task *task = weft_spawn(greet, argc > 1 ? argv[1] : "world");
    puts("the greeting is on its way");

    void *name;
    int rc = weft_join(task, &name);
    if (rc < 0) {
        fprintf(stderr, "hello: %s\n", weft_strerror(rc));
        return rc;
    }
    printf("%s has been greeted\n", (char *)name);
    return 0;
}

WEFT_MAIN(hello)
