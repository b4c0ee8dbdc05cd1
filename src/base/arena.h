/* SPDX-License-Identifier: MIT
 * Many small allocations with one lifetime. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *head;
    size_t used, max;   /* bytes handed out, ceiling */
};

void arena_init(struct arena *a, size_t max);
/* Zeroed, aligned to 16; NULL when memory or the ceiling is reached. */
void *arena_alloc(struct arena *a, size_t n_bytes);
void *arena_array(struct arena *a, size_t n, size_t size);   /* NULL on overflow too */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_strdup(struct arena *a, const char *s);
void arena_release(struct arena *a);

#endif
