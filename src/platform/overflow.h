/*
 * Contract: reporting a fault in a stack's guard page.
 *
 * A process-wide SIGSEGV and SIGBUS handler on an alternate stack. On a fault it asks the callback
 * whether the address lies in the guard of the running fiber; the callback, if so, writes its
 * report and aborts. Otherwise the handler that was installed before gets the signal, as if weft
 * were not there (default action included: the core dump shows the fault).
 */
#ifndef WEFT_PLATFORM_OVERFLOW_H
#define WEFT_PLATFORM_OVERFLOW_H

/* Runs in the signal handler: only async-signal-safe calls. Returns if the fault is not its own. */
typedef void weft__fault_fn(void *address);

/* Installs the handler once a process; later calls do nothing. 0 or a negative errno. */
int weft__overflow_install(weft__fault_fn *on_fault);

/* Gives the calling thread an alternate signal stack (unless it has one), and takes it back. */
int weft__overflow_thread_begin(void);
void weft__overflow_thread_end(void);

/* For reports out of signal handlers: appends text or a number to a buffer, and writes it out. */
struct weft__report {
    char text[512];
    unsigned length;
};
void weft__report_text(struct weft__report *report, const char *text);
void weft__report_number(struct weft__report *report, unsigned long long number);
void weft__report_write(const struct weft__report *report); /* to stderr */

#endif
