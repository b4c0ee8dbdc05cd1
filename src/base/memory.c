/* SPDX-License-Identifier: MIT
 * How much memory this process may use. */
#include "base/memory.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

/* The number in a file of the control group; 0 if there is none ("max" is none). */
static uint64_t read_number(const char *path)
{
    unsigned long long n = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &n) != 1)
        n = 0;
    fclose(f);
    return n;
}

uint64_t memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t limit = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : (uint64_t)1 << 30;
    static const char *const files[] = {       /* versions 2 and 1, as containers see them */
        "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        uint64_t n = read_number(files[i]);
        if (n > 0 && n < limit)
            limit = n;
    }
    return limit;
}
