/*
 * How many CPUs this process may use. Contract: system.h.
 *
 * Affinity is one system call. The quota takes looking for: /proc/self/cgroup names the process's
 * cgroup as a path inside a hierarchy, /proc/self/mountinfo says where that hierarchy is mounted,
 * and every cgroup from there up to the mount may set a quota, of which the smallest counts.
 */
#include "platform/system.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `quota` of every `period` as a number of CPUs, rounded up. */
static unsigned quota_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > INT_MAX ? INT_MAX : (unsigned)cpus;
}

unsigned weft__cpu_quota_v1(long long quota_us, long long period_us)
{
    return quota_cpus(quota_us, period_us);
}

/* "max 100000", "150000 100000", or the quota alone with the default period. */
unsigned weft__cpu_quota_v2(const char *cpu_max_text)
{
    long long quota, period = 100000;
    if (sscanf(cpu_max_text, "%lld %lld", &quota, &period) < 1)
        return 0;
    return quota_cpus(quota, period);
}

/* Reads a small file as text; false when there is none. */
static bool read_text(const char *directory, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return false;

    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, size - 1, file);
    fclose(file);
    text[n] = '\0';
    return n > 0;
}

/* The quota that one cgroup's directory sets itself, 0 if none. */
static unsigned directory_quota(const char *directory, bool v2)
{
    char text[64], period[64];
    if (v2)
        return read_text(directory, "cpu.max", text, sizeof text) ? weft__cpu_quota_v2(text) : 0;
    if (!read_text(directory, "cpu.cfs_quota_us", text, sizeof text) ||
        !read_text(directory, "cpu.cfs_period_us", period, sizeof period))
        return 0;
    return weft__cpu_quota_v1(atoll(text), atoll(period));
}

/* The smallest quota from `mount`/`path` up to `mount` itself. */
static unsigned walk_up(const char *mount, const char *path, bool v2)
{
    char directory[PATH_MAX];
    size_t top = strlen(mount);
    int length = snprintf(directory, sizeof directory, "%s%s", mount, path);
    if (length < 0 || (size_t)length >= sizeof directory)
        return 0;

    unsigned least = 0;
    for (;;) {
        unsigned here = directory_quota(directory, v2);
        if (here != 0 && (least == 0 || here < least))
            least = here;
        char *slash = strrchr(directory, '/');
        if (slash == NULL || (size_t)(slash - directory) < top)
            return least;
        *slash = '\0';
    }
}

/* Whether a comma-separated list has this word. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    while (*list != '\0') {
        size_t part = strcspn(list, ",\n");
        if (part == length && strncmp(list, word, length) == 0)
            return true;
        list += part;
        list += strspn(list, ",\n");
    }
    return false;
}

/*
 * The path of this process's cgroup, in the unified hierarchy (v2) or in the one that has the cpu
 * controller: lines "0::/path" and "4:cpu,cpuacct:/path". False when there is none.
 */
static bool own_cgroup(const char *file_name, bool v2, char *path, size_t size)
{
    FILE *file = fopen(file_name, "re");
    if (file == NULL)
        return false;

    bool found = false;
    char *line = NULL;
    size_t room = 0;
    while (!found && getline(&line, &room, file) > 0) {
        char *controllers = strchr(line, ':');
        char *where = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (where == NULL)
            continue;
        *where++ = '\0';
        controllers++;
        where[strcspn(where, "\n")] = '\0';
        if (v2 ? *controllers != '\0' : !has_word(controllers, "cpu"))
            continue;
        size_t length = strlen(where);
        found = length < size;
        if (found)
            memcpy(path, where, length + 1);
    }
    free(line);
    fclose(file);
    return found;
}

/* Undoes mountinfo's escapes in place: a space is \040, a backslash \134. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0'; out++) {
        unsigned code;
        if (*in == '\\' && sscanf(in + 1, "%3o", &code) == 1) {
            *out = (char)code;
            in += 4;
        } else {
            *out = *in++;
        }
    }
    *out = '\0';
}

/*
 * Where in the file system the cgroup `path` of the hierarchy lies: mountinfo's lines read
 *
 *     36 25 0:32 /root /mount/point rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct
 *
 * "/root" is the cgroup that shows at the mount point. In a container without a cgroup namespace it
 * is the container's own and `path` begins with it; the rest of `path` is then below the mount.
 * Where `path` lies elsewhere, the mount itself is the best that can be seen.
 */
static unsigned hierarchy_quota(const char *mountinfo, const char *path, bool v2)
{
    FILE *file = fopen(mountinfo, "re");
    if (file == NULL)
        return 0;

    unsigned least = 0;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        char *rest = line;
        char *tail = strstr(line, " - ");
        if (tail == NULL)
            continue;
        *tail = '\0';
        tail += strlen(" - ");

        for (int skipped = 0; skipped < 3; skipped++) /* id, parent, device */
            strsep(&rest, " ");
        char *root = strsep(&rest, " ");
        char *mount = strsep(&rest, " ");
        char *type = strsep(&tail, " ");
        strsep(&tail, " "); /* source */
        if (mount == NULL || tail == NULL)
            continue;
        if (v2 ? strcmp(type, "cgroup2") != 0
               : strcmp(type, "cgroup") != 0 || !has_word(tail, "cpu"))
            continue;

        unescape(root);
        unescape(mount);
        size_t prefix = strcmp(root, "/") == 0 ? 0 : strlen(root);
        const char *below = "";
        if (strncmp(path, root, prefix) == 0 && path[prefix] == '/' && strstr(path, "/..") == NULL)
            below = path + prefix;
        unsigned here = walk_up(mount, below, v2);
        if (here != 0 && (least == 0 || here < least))
            least = here;
    }
    free(line);
    fclose(file);
    return least;
}

unsigned weft__cpu_quota_find(const char *cgroup, const char *mountinfo)
{
    /* Both hierarchies may be mounted, but only one of them has the cpu controller. */
    for (int v2 = 1; v2 >= 0; v2--) {
        char path[PATH_MAX];
        unsigned quota = 0;
        if (own_cgroup(cgroup, v2, path, sizeof path))
            quota = hierarchy_quota(mountinfo, path, v2);
        if (quota != 0)
            return quota;
    }
    return 0;
}

/* 0 when the system does not say. */
static unsigned affinity_cpus(void)
{
    /* The largest mask that Linux can be built with; a plain cpu_set_t is too small for some. */
    enum { most = 8192 };
    cpu_set_t sets[most / CPU_SETSIZE];
    memset(sets, 0, sizeof sets);
    if (sched_getaffinity(0, sizeof sets, sets) != 0)
        return 0;
    return (unsigned)CPU_COUNT_S(sizeof sets, sets);
}

unsigned weft__cpu_count(void)
{
    int saved = errno;
    unsigned cpus = affinity_cpus();
    unsigned quota = weft__cpu_quota_find("/proc/self/cgroup", "/proc/self/mountinfo");
    errno = saved;

    if (cpus == 0)
        cpus = 1;
    return quota != 0 && quota < cpus ? quota : cpus;
}
