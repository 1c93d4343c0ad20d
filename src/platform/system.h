/*
 * Contract: clock, random numbers, CPUs, threads. Everything weft knows of the machine.
 */
#ifndef WEFT_PLATFORM_SYSTEM_H
#define WEFT_PLATFORM_SYSTEM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in ns. Async-signal-safe. */
uint64_t weft__clock_now(void);

/* A random number from the system, for seeds. */
uint64_t weft__random_seed(void);

/*
 * CPUs that this process may use: the smaller of the affinity mask and the cgroup (v1 or v2) CPU
 * quota rounded up, looked up along the path of the process's own cgroup; at least 1.
 */
unsigned weft__cpu_count(void);

/*
 * The quota part of it, for tests: of the given cgroup files' text, and the smallest one found from
 * files in the shape of /proc/self/cgroup and /proc/self/mountinfo. 0 means no quota.
 */
unsigned weft__cpu_quota_v2(const char *cpu_max_text);
unsigned weft__cpu_quota_v1(long long quota_us, long long period_us);
unsigned weft__cpu_quota_find(const char *cgroup, const char *mountinfo);

/*
 * Starts a thread with every signal blocked that can be, except those that a fault raises, named
 * `name` (cut to 15 bytes), with `stack_size` bytes of stack (0: default) and a timer slack of
 * 1 ns. 0 or a negative errno (-EAGAIN, -EINVAL).
 */
int weft__thread_start(pthread_t *thread, const char *name, size_t stack_size,
                       void *(*body)(void *), void *arg);

/* Lets another thread run. For the rare places that wait for a few instructions of another one. */
void weft__thread_yield(void);

/*
 * Grows the descriptor table to the soft limit (at most 1 M) in one step: the kernel stalls every
 * thread of a process each time it has to grow a shared table. Once a process, best before threads
 * start. Failures are ignored.
 */
void weft__fd_table_grow(void);

/* The address of this thread's errno, never remembered over a switch: see task/fiber.c. */
int *weft__errno(void);

#endif
