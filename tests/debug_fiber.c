/* The program that gdb.sh stops and perf.sh samples: a fiber busy three calls down. */
#include <stdio.h>
#include <stdlib.h>

#include <weft.h>

volatile unsigned long counter;

/* Not inlined, not cloned, and each call followed by something, so that no frame is left out. */
__attribute__((noinline)) void debug_fiber_innermost(unsigned long rounds)
{
    for (unsigned long i = 0; i < rounds; i++)
        counter += i;
}

__attribute__((noinline)) void debug_fiber_middle(unsigned long rounds)
{
    debug_fiber_innermost(rounds);
    counter++;
}

static void *debug_fiber_work(void *arg)
{
    if (weft_yield() == 0) /* so that it has been switched to, not only started */
        debug_fiber_middle(*(unsigned long *)arg);
    counter++;
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    weft_runtime *runtime;
    if (weft_runtime_new(&(struct weft_config){ .worker_threads = 1 }, &runtime) < 0)
        return 1;
    if (weft_block_on(runtime, debug_fiber_work, &rounds, NULL) < 0)
        return 1;
    return weft_runtime_free(runtime) == 0 ? 0 : 1;
}
