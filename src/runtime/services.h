/* What a runtime offers to the primitives above it. */
#ifndef WEFT_RUNTIME_SERVICES_H
#define WEFT_RUNTIME_SERVICES_H

struct weft__services {
    struct weft__driver *driver;
    struct weft__blocking *blocking;
};

/*
 * Those of the current runtime: the task's that is running, else the one this thread has entered.
 * NULL outside. Valid while the task runs or the thread stays entered.
 */
const struct weft__services *weft__services_current(void);

#endif
