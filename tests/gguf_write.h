/* SPDX-License-Identifier: MIT
 * For tests: builds a GGUF v2 or v3 file in memory from keys and tensors.
 *
 *     struct gw w;
 *     gw_init(&w, 3, 32);
 *     gw_str(&w, "general.architecture", "llama");
 *     gw_u32(&w, "llama.block_count", 1);
 *     gw_tensor(&w, "output_norm.weight", QTYPE_F32, 1, (uint64_t[]){8}, floats);
 *     size_t len;
 *     uint8_t *bytes = gw_finish(&w, &len);      // the caller frees
 *
 * Nothing is checked: tests also write files that are wrong. No memory: abort(). */
#ifndef TESTS_GGUF_WRITE_H
#define TESTS_GGUF_WRITE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"

struct gw_bytes { uint8_t *p; size_t len, cap; };

struct gw {
    uint32_t version, alignment;
    uint64_t n_kv, n_tensors;     /* as announced; may be overwritten before gw_finish */
    struct gw_bytes kv, info, data;
};

static inline void gw_put(struct gw_bytes *b, const void *p, size_t n)
{
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            abort();
    }
    if (p && n)
        memcpy(b->p + b->len, p, n);
    else if (n)
        memset(b->p + b->len, 0, n);       /* p NULL: n zeros */
    b->len += n;
}

static inline void gw_put_u32(struct gw_bytes *b, uint32_t v)
{
    uint8_t p[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    gw_put(b, p, 4);
}

static inline void gw_put_u64(struct gw_bytes *b, uint64_t v)
{
    gw_put_u32(b, (uint32_t)v);
    gw_put_u32(b, (uint32_t)(v >> 32));
}

static inline void gw_put_str(struct gw_bytes *b, const char *s, size_t n)
{
    gw_put_u64(b, n);
    gw_put(b, s, n);
}

static inline void gw_pad(struct gw_bytes *b, size_t alignment)
{
    if (alignment && b->len % alignment)
        gw_put(b, NULL, alignment - b->len % alignment);
}

static inline void gw_init(struct gw *w, uint32_t version, uint32_t alignment)
{
    *w = (struct gw){.version = version, .alignment = alignment};
}

static inline void gw_release(struct gw *w)
{
    free(w->kv.p);
    free(w->info.p);
    free(w->data.p);
    *w = (struct gw){0};
}

/* ---- keys ------------------------------------------------------------------------------ */

/* Key and type; the value must follow. */
static inline void gw_key(struct gw *w, const char *key, uint32_t type)
{
    gw_put_str(&w->kv, key, strlen(key));
    gw_put_u32(&w->kv, type);
    w->n_kv++;
}

/* A scalar of any type from its little-endian bytes. */
static inline void gw_raw(struct gw *w, const char *key, uint32_t type, const void *value, size_t n)
{
    gw_key(w, key, type);
    gw_put(&w->kv, value, n);
}

static inline void gw_u32(struct gw *w, const char *key, uint32_t v)
{
    gw_key(w, key, GGUF_U32);
    gw_put_u32(&w->kv, v);
}

static inline void gw_u64(struct gw *w, const char *key, uint64_t v)
{
    gw_key(w, key, GGUF_U64);
    gw_put_u64(&w->kv, v);
}

static inline void gw_f32(struct gw *w, const char *key, float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    gw_key(w, key, GGUF_F32);
    gw_put_u32(&w->kv, u);
}

static inline void gw_bool(struct gw *w, const char *key, bool v)
{
    gw_raw(w, key, GGUF_BOOL, &(uint8_t){v ? 1 : 0}, 1);
}

static inline void gw_strn(struct gw *w, const char *key, const char *s, size_t n)
{
    gw_key(w, key, GGUF_STRING);
    gw_put_str(&w->kv, s, n);
}

static inline void gw_str(struct gw *w, const char *key, const char *s)
{
    gw_strn(w, key, s, strlen(s));
}

/* An array's key, element type and announced length; the elements must follow. */
static inline void gw_array(struct gw *w, const char *key, uint32_t elem, uint64_t n)
{
    gw_key(w, key, GGUF_ARRAY);
    gw_put_u32(&w->kv, elem);
    gw_put_u64(&w->kv, n);
}

static inline void gw_strs(struct gw *w, const char *key, const char *const *s, size_t n)
{
    gw_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        gw_put_str(&w->kv, s[i], strlen(s[i]));
}

static inline void gw_i32s(struct gw *w, const char *key, const int32_t *v, size_t n)
{
    gw_array(w, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        gw_put_u32(&w->kv, (uint32_t)v[i]);
}

static inline void gw_f32s(struct gw *w, const char *key, const float *v, size_t n)
{
    gw_array(w, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &v[i], sizeof u);
        gw_put_u32(&w->kv, u);
    }
}

/* ---- tensors ------------------------------------------------------------------------------ */

/* An info with any type number and offset, and no data. */
static inline void gw_info(struct gw *w, const char *name, uint32_t type, uint32_t n_dims,
                           const uint64_t *ne, uint64_t offset)
{
    gw_put_str(&w->info, name, strlen(name));
    gw_put_u32(&w->info, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        gw_put_u64(&w->info, ne[d]);
    gw_put_u32(&w->info, type);
    gw_put_u64(&w->info, offset);
    w->n_tensors++;
}

/* A tensor with its data, as many bytes as type and shape need (NULL: zeros). */
static inline void gw_tensor(struct gw *w, const char *name, enum qtype type, uint32_t n_dims,
                             const uint64_t *ne, const void *data)
{
    const struct qtype_info *q = qtype_info((uint32_t)type);
    uint64_t n = 1;
    for (uint32_t d = 0; d < n_dims; d++)
        n *= ne[d];
    gw_pad(&w->data, w->alignment);
    gw_info(w, name, (uint32_t)type, n_dims, ne, w->data.len);
    gw_put(&w->data, data, (size_t)(n / q->block_elems * q->block_bytes));
}

/* ---- the file ------------------------------------------------------------------------------ */

/* The whole file (malloc, the caller frees); the writer is released. The alignment is written
 * only if a test put general.alignment among the keys. No padding behind the last tensor. */
static inline uint8_t *gw_finish(struct gw *w, size_t *len)
{
    struct gw_bytes f = {0};
    gw_put(&f, "GGUF", 4);
    gw_put_u32(&f, w->version);
    gw_put_u64(&f, w->n_tensors);
    gw_put_u64(&f, w->n_kv);
    gw_put(&f, w->kv.p, w->kv.len);
    gw_put(&f, w->info.p, w->info.len);
    if (w->data.len) {
        gw_pad(&f, w->alignment);
        gw_put(&f, w->data.p, w->data.len);
    }
    gw_release(w);
    *len = f.len;
    return f.p;
}

/* The same into a file; -1 if it cannot be written. */
static inline int gw_save(struct gw *w, const char *path)
{
    size_t len;
    uint8_t *p = gw_finish(w, &len);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(p, 1, len, f) == len;
    if (f)
        ok = fclose(f) == 0 && ok;
    free(p);
    return ok ? 0 : -1;
}

#endif
