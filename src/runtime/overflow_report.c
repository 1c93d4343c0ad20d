/* What is said when a fiber runs into the guard page of its stack. */
#include <stdlib.h>

#include "platform/overflow.h"
#include "runtime/runtime.h"

/* In the signal handler, on the alternate stack. */
static void on_fault(void *address)
{
    struct weft__carrier *carrier = weft__carrier();
    struct weft_task *task = carrier ? carrier->task : NULL;
    if (!task || task->waiter.kind != WEFT__FIBER)
        return;
    const struct weft__stack *stack = weft__fiber(task)->stack;
    if (!stack || !weft__stack_guards(stack, address))
        return;
    struct weft__report report = { .length = 0 };
    weft__report_text(&report, "weft: stack overflow in the task spawned at ");
    if (task->site) {
        weft__report_text(&report, task->site->file);
        weft__report_text(&report, ":");
        weft__report_number(&report, (unsigned long long)task->site->line);
        weft__report_text(&report, " (in ");
        weft__report_text(&report, task->site->function);
        weft__report_text(&report, ")");
    } else {
        weft__report_text(&report, "an unknown place");
    }
    weft__report_text(&report, ": its stack of ");
    weft__report_number(&report, task->scheduler->config.fiber_stack_size);
    weft__report_text(&report, " bytes is used up (see fiber_stack_size in struct weft_config)\n");
    weft__report_write(&report);
    abort();
}

int weft__overflow_report_install(void)
{
    return weft__overflow_install(on_fault);
}
