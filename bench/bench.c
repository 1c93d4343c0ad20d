/* The command line and the stopwatch of the benchmark programs; measures nothing itself. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static void usage(const char *program)
{
    fprintf(stderr, "usage: %s NAME [--workers W] [--samples N] [--quick] | --list\n", program);
    exit(2);
}

static unsigned number(const char *program, const char *text)
{
    char *end = NULL;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;

    if (value == 0 || value > 1000000 || *end != '\0')
        usage(program);
    return (unsigned)value;
}

int bench_main(int argc, char **argv, const struct bench *benches, size_t count)
{
    struct bench_config config = { .workers = 2, .samples = 5 };

    if (argc < 2)
        usage(argv[0]);
    if (strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < count; i++)
            puts(benches[i].name);
        return 0;
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--workers") == 0)
            config.workers = number(argv[0], argv[++i]);
        else if (strcmp(argv[i], "--samples") == 0)
            config.samples = number(argv[0], argv[++i]);
        else if (strcmp(argv[i], "--quick") == 0)
            config.quick = true;
        else
            usage(argv[0]);
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(argv[1], benches[i].name) == 0) {
            config.connections = benches[i].connections;
            if (benches[i].workers)
                config.workers = benches[i].workers;
            benches[i].run(&config);
            return 0;
        }
    }
    usage(argv[0]);
    return 2;
}

size_t bench_repeat(const struct bench_config *config, size_t full)
{
    return config->quick ? full / 4 : full;
}

static double wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double bench_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

bool bench_lap(struct bench_laps *laps)
{
    double wall = wall_clock(), cpu = bench_cpu(), operations = (double)laps->operations;

    if (laps->begun > 1)
        printf("%.2f %.2f\n", (wall - laps->wall) / operations, (cpu - laps->cpu) / operations);
    if (laps->begun > laps->config->samples)
        return false;
    laps->begun++;
    laps->cpu = bench_cpu();
    laps->wall = wall_clock();
    return true;
}

ssize_t bench_must(ssize_t rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "%s: code %zd (%s)\n", what, rc, strerror((int)-rc));
        exit(1);
    }
    return rc;
}
