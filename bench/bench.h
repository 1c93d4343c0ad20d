/* What every benchmark program here shares: the command line, the stopwatch, giving up. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct bench_config {
    unsigned workers;
    unsigned samples;
    unsigned connections; /* tcp_ping_pong only */
    bool quick;
};

struct bench {
    const char *name;
    void (*run)(const struct bench_config *config);
    unsigned connections;
    unsigned workers; /* 0: as --workers says */
};

/* main() of `PROGRAM NAME [--workers W] [--samples N] [--quick]` and `PROGRAM --list`. */
int bench_main(int argc, char **argv, const struct bench *benches, size_t count);

/* How often to repeat something: `full`, or a quarter of that for --quick. */
size_t bench_repeat(const struct bench_config *config, size_t full);

/*
 * The stopwatch. The body of `while (bench_lap(&laps))` is one sample of `operations` operations:
 * it runs once to warm up, then once per sample, and each sample's line is printed as it ends.
 */
struct bench_laps {
    const struct bench_config *config;
    size_t operations;
    unsigned begun;
    double wall, cpu; /* when the running lap began, ns */
};

bool bench_lap(struct bench_laps *laps);

/* User and system CPU time of the whole process, ns. */
double bench_cpu(void);

/* Ends the process with a message when `rc` is a negative error code; else returns it. */
ssize_t bench_must(ssize_t rc, const char *what);
#define MUST(call) bench_must((call), #call)

#endif
