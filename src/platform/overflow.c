/*
 * Reporting a fault in a stack's guard page. Contract: overflow.h.
 *
 * A stack that has overflown has no room for a signal handler, hence the alternate stacks: each
 * thread that runs fibers has one.
 */
#include "platform/overflow.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "platform/park.h"
#include "platform/stack.h"

static const int fault_signals[] = { SIGSEGV, SIGBUS };
enum { FAULT_SIGNALS = sizeof fault_signals / sizeof *fault_signals };

/*
 * Written under `install_lock`, each before the handler that reads it can run. A handler that wants
 * to run only once (SA_RESETHAND) is replaced by the default in `used_up`.
 */
static struct weft__lock install_lock;
static bool installed;
static weft__fault_fn *fault_callback;
static struct sigaction previous[FAULT_SIGNALS];
static atomic_bool used_up[FAULT_SIGNALS];

/*
 * Goes on as if the default action were installed, by installing it: a fault happens again when the
 * handler returns to it. One sent by kill() does not, so it is sent again, and waits until then.
 */
static void take_default(int signal, const siginfo_t *info)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigaction(signal, &action, NULL);
    if (info->si_code <= 0)
        raise(signal);
}

/* Does what the kernel would have done with the signal if weft's handler were not there. */
static void pass_on(int index, siginfo_t *info, void *context)
{
    const struct sigaction *action = &previous[index];
    int signal = fault_signals[index];
    bool plain = (action->sa_flags & SA_SIGINFO) == 0;

    if (plain && action->sa_handler == SIG_IGN) {
        /* A fault cannot be ignored: the kernel takes the default action then. */
        if (info->si_code > 0)
            take_default(signal, info);
        return;
    }
    bool once = (action->sa_flags & (int)SA_RESETHAND) != 0;
    if ((plain && action->sa_handler == SIG_DFL) ||
        (once && weft__swap(&used_up[index], true, relaxed))) {
        take_default(signal, info);
        return;
    }

    /* Nobody restores the mask here: returning from weft's handler does. */
    sigset_t mask = action->sa_mask;
    if ((action->sa_flags & SA_NODEFER) != 0) {
        sigset_t itself;
        sigemptyset(&itself);
        sigaddset(&itself, signal);
        pthread_sigmask(SIG_UNBLOCK, &itself, NULL);
    }
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    if (plain)
        action->sa_handler(signal);
    else
        action->sa_sigaction(signal, info, context);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    if (info->si_code > 0) /* a fault; kill() has no address */
        fault_callback(info->si_addr);
    errno = saved;
    for (int i = 0; i < FAULT_SIGNALS; i++)
        if (fault_signals[i] == signal)
            pass_on(i, info, context);
}

int weft__overflow_install(weft__fault_fn *on_fault)
{
    int rc = 0;
    int saved = errno;
    weft__lock(&install_lock);
    if (!installed) {
        fault_callback = on_fault;
        /* In two steps each: a fault on another thread may come as soon as the handler stands. */
        for (int i = 0; i < FAULT_SIGNALS && rc == 0; i++) {
            struct sigaction action = { .sa_sigaction = on_signal,
                                        .sa_flags = SA_SIGINFO | SA_ONSTACK };
            sigemptyset(&action.sa_mask);
            if (sigaction(fault_signals[i], NULL, &previous[i]) != 0 ||
                sigaction(fault_signals[i], &action, NULL) != 0)
                rc = -errno;
        }
        installed = rc == 0;
    }
    weft__unlock(&install_lock);
    errno = saved;
    return rc;
}

/* The mapping of this thread's alternate stack, guard page first; NULL if it is not from here. */
static _Thread_local void *own_map;

/*
 * What a handler gets to use: the register state that the kernel saves there (with AVX-512 and AMX
 * over 10 KiB) and room for the report and for other libraries' handlers.
 */
static size_t alternate_size(void)
{
    size_t page = weft__page_size();
    size_t size = 65536;
#ifdef AT_MINSIGSTKSZ
    size += getauxval(AT_MINSIGSTKSZ);
#endif
    return (size + page - 1) & ~(page - 1);
}

int weft__overflow_thread_begin(void)
{
    int saved = errno;
    stack_t present;
    if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) {
        errno = saved;
        return 0; /* somebody else's (ASan's, the program's) will do */
    }

    size_t page = weft__page_size();
    size_t size = alternate_size();
    void *map = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = map == MAP_FAILED ? -ENOMEM : 0;
    if (rc == 0) {
        stack_t mine = { .ss_sp = (char *)map + page, .ss_size = size };
        rc = weft__stack_guard(map);
        if (rc == 0 && sigaltstack(&mine, NULL) != 0)
            rc = -errno;
        if (rc == 0)
            own_map = map;
        else
            munmap(map, page + size);
    }
    errno = saved;
    return rc;
}

void weft__overflow_thread_end(void)
{
    if (own_map == NULL)
        return;

    int saved = errno;
    size_t page = weft__page_size();
    stack_t present;
    stack_t none = { .ss_flags = SS_DISABLE };
    /* Unless somebody has put another one in its place meanwhile. */
    if (sigaltstack(NULL, &present) == 0 && present.ss_sp == (char *)own_map + page)
        sigaltstack(&none, NULL);
    munmap(own_map, page + alternate_size());
    own_map = NULL;
    errno = saved;
}

void weft__report_text(struct weft__report *report, const char *text)
{
    while (*text != '\0' && report->length < sizeof report->text)
        report->text[report->length++] = *text++;
}

void weft__report_number(struct weft__report *report, unsigned long long number)
{
    char digits[24];
    char *first = digits + sizeof digits;

    *--first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    weft__report_text(report, first);
}

void weft__report_write(const struct weft__report *report)
{
    int saved = errno;
    for (size_t done = 0; done < report->length;) {
        ssize_t n = write(STDERR_FILENO, report->text + done, report->length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    errno = saved;
}
