/* SPDX-License-Identifier: MIT
 * Opening a GGUF file: every byte of its structure is checked here, once. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "gguf/gguf_impl.h"

enum {
    MAX_DIMS = 4,
    MAX_KEY = 65535,          /* bytes, ggml docs/gguf.md */
    MAX_TENSOR_NAME = 64,
    MIN_KV = 8 + 1 + 4 + 1,   /* least bytes of a key and of a tensor's info in the file: */
    MIN_INFO = 8 + 1 + 4 + 4 + 8, /* they bound both counts before anything is allocated */
    DEFAULT_ALIGNMENT = 32
};

/* Where the reader stands, and what errors are to name. */
struct cursor {
    struct gguf *g;
    size_t at;
    enum { IN_HEADER, IN_KEY, IN_TENSOR } in;
    size_t i, n;              /* this is key or tensor i of n */
    struct gguf_str name;     /* .data is NULL until it has been read */
    struct idem_err *err;
};

static int fail(const struct cursor *c, enum idem_err_code code, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(const struct cursor *c, enum idem_err_code code, size_t at, const char *fmt, ...)
{
    char msg[512], quoted[GGUF_QUOTED], where[GGUF_QUOTED + 64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    const char *kind = c->in == IN_KEY ? "key" : "tensor";
    if (c->in == IN_HEADER)
        snprintf(where, sizeof where, "header");
    else if (c->name.data)
        snprintf(where, sizeof where, "%s '%s'", kind, gguf_quote(quoted, c->name));
    else
        snprintf(where, sizeof where, "%s %zu of %zu", kind, c->i + 1, c->n);
    return err_set(c->err, code, "%s: %s (byte %zu): %s", c->g->path, where, at, msg);
}

static size_t left(const struct cursor *c)
{
    return c->g->len - c->at;
}

/* The next n bytes, or NULL if the file ends before. */
static const uint8_t *take(struct cursor *c, uint64_t n, const char *what)
{
    if (n > left(c)) {
        fail(c, IDEM_ERR_FORMAT, c->at,
             "the file ends inside %s (%llu bytes, %zu left); it is cut short or damaged, "
             "fetch it again", what, (unsigned long long)n, left(c));
        return NULL;
    }
    const uint8_t *p = c->g->data + c->at;
    c->at += (size_t)n;
    return p;
}

static int take_u32(struct cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p = take(c, 4, what);
    if (p)
        *out = gguf_u32(p);
    return p ? 0 : -1;
}

static int take_u64(struct cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p = take(c, 8, what);
    if (p)
        *out = gguf_u64(p);
    return p ? 0 : -1;
}

static int take_str(struct cursor *c, const char *what_len, const char *what, struct gguf_str *out)
{
    uint64_t n;
    if (take_u64(c, what_len, &n) != 0)
        return -1;
    const uint8_t *p = take(c, n, what);
    if (!p)
        return -1;
    *out = (struct gguf_str){(const char *)p, (size_t)n};
    return 0;
}

/* A key or a tensor's name. From here on errors name it. */
static int take_name(struct cursor *c, size_t max, struct gguf_str *out)
{
    size_t at = c->at;
    if (take_str(c, "the length of its name", "its name", out) != 0)
        return -1;
    if (out->len == 0)
        return fail(c, IDEM_ERR_FORMAT, at, "its name is empty");
    c->name = *out;
    if (out->len > max)
        return fail(c, IDEM_ERR_FORMAT, at, "its name has %zu bytes; %zu are allowed",
                    out->len, max);
    if (memchr(out->data, 0, out->len) != NULL || !utf8_valid(out->data, out->len, NULL))
        return fail(c, IDEM_ERR_FORMAT, at + 8, "its name is not UTF-8 text without NUL; the file is damaged");
    return 0;
}

/* Bytes of one value of a fixed size; 0 for strings, arrays and unknown types. */
static uint32_t type_bytes(uint32_t type)
{
    switch (type) {
    case GGUF_U8: case GGUF_I8: case GGUF_BOOL: return 1;
    case GGUF_U16: case GGUF_I16: return 2;
    case GGUF_U32: case GGUF_I32: case GGUF_F32: return 4;
    case GGUF_U64: case GGUF_I64: case GGUF_F64: return 8;
    default: return 0;
    }
}

/* n elements of one type, which start at the cursor. */
static int skip_elements(struct cursor *c, uint32_t type, uint64_t n)
{
    uint32_t size = type == GGUF_STRING ? 8 : type_bytes(type);   /* at least */
    if (n > left(c) / size)
        return fail(c, IDEM_ERR_FORMAT, c->at,
                    "%llu values of type %s do not fit into the %zu bytes left; the file is cut "
                    "short or damaged, fetch it again", (unsigned long long)n,
                    gguf_type_name((enum gguf_type)type), left(c));
    if (type == GGUF_STRING) {
        struct gguf_str s;
        for (uint64_t i = 0; i < n; i++)
            if (take_str(c, "the length of a string", "a string", &s) != 0)
                return -1;
        return 0;
    }
    const uint8_t *p = c->g->data + c->at;
    if (type == GGUF_BOOL)
        for (uint64_t i = 0; i < n; i++)
            if (p[i] > 1)
                return fail(c, IDEM_ERR_FORMAT, c->at + (size_t)i,
                            "a bool is 0 or 1, not %u", p[i]);
    c->at += (size_t)n * size;
    return 0;
}

static int read_kv(struct cursor *c, struct gguf_kv *kv)
{
    uint32_t type, elem;
    uint64_t n = 1;
    c->name.data = NULL;
    if (take_name(c, MAX_KEY, &kv->key) != 0)
        return -1;
    size_t at = c->at;
    if (take_u32(c, "the type of its value", &type) != 0)
        return -1;
    if (type > GGUF_F64)
        return fail(c, IDEM_ERR_FORMAT, at, "value type %u does not exist", type);
    elem = type;
    if (type == GGUF_ARRAY) {
        at = c->at;
        if (take_u32(c, "the type of its array", &elem) != 0)
            return -1;
        if (elem == GGUF_ARRAY)
            return fail(c, IDEM_ERR_UNSUPPORTED, at, "an array of arrays cannot be read; remove the key");
        if (elem > GGUF_F64)
            return fail(c, IDEM_ERR_FORMAT, at, "array type %u does not exist", elem);
        if (take_u64(c, "the length of its array", &n) != 0)
            return -1;
    }
    size_t value = c->at;
    if (type != GGUF_ARRAY && type != GGUF_STRING) {
        if (!take(c, type_bytes(type), "its value"))
            return -1;
        c->at = value;
    }
    if (skip_elements(c, elem, n) != 0)
        return -1;
    kv->type = (enum gguf_type)type;
    kv->elem_type = (enum gguf_type)elem;
    kv->n = n;
    kv->offset = value;
    kv->data = c->g->data + value;
    kv->data_bytes = c->at - value;
    return 0;
}

/* a * b * c * d, or false if that exceeds 2^63 - 1 (the reference counts in int64). */
static bool product(const uint64_t ne[4], uint64_t *out)
{
    uint64_t n = 1;
    for (int d = 0; d < MAX_DIMS; d++) {
        if (ne[d] > (uint64_t)INT64_MAX / n)
            return false;
        n *= ne[d];
    }
    *out = n;
    return true;
}

static int read_dims(struct cursor *c, struct gguf_tensor *t)
{
    size_t at = c->at;
    if (take_u32(c, "its number of dimensions", &t->n_dims) != 0)
        return -1;
    if (t->n_dims > MAX_DIMS)
        return fail(c, IDEM_ERR_FORMAT, at, "it has %u dimensions; %d are allowed", t->n_dims,
                    MAX_DIMS);
    for (uint32_t d = 0; d < MAX_DIMS; d++)
        t->ne[d] = 1;
    at = c->at;
    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (take_u64(c, "its dimensions", &t->ne[d]) != 0)
            return -1;
        if (t->ne[d] == 0)
            return fail(c, IDEM_ERR_FORMAT, c->at - 8, "its dimension %u is 0", d);
    }
    uint64_t n;
    if (!product(t->ne, &n))
        return fail(c, IDEM_ERR_FORMAT, at, "it would have 2^63 elements or more");
    return 0;
}

static int read_info(struct cursor *c, struct gguf_tensor *t)
{
    uint32_t type;
    c->name.data = NULL;
    t->info_offset = c->at;
    if (take_name(c, MAX_TENSOR_NAME, &t->name) != 0 || read_dims(c, t) != 0)
        return -1;
    size_t at = c->at;
    if (take_u32(c, "its type", &type) != 0)
        return -1;
    const struct qtype_info *q = qtype_info(type);
    if (!q)
        return fail(c, IDEM_ERR_UNSUPPORTED, at,
                    "its weight type number %u is unknown here; take the model in another "
                    "quantisation, such as Q4_K or Q8_0", type);
    if (t->ne[0] % q->block_elems != 0)
        return fail(c, IDEM_ERR_FORMAT, at,
                    "its rows have %llu elements, which is no multiple of %u as type %s needs",
                    (unsigned long long)t->ne[0], q->block_elems, q->name);
    uint64_t parts[4] = {t->ne[0] / q->block_elems * t->ne[1], t->ne[2], t->ne[3], q->block_bytes};
    if (!product(parts, &t->n_bytes))
        return fail(c, IDEM_ERR_FORMAT, at, "it would have 2^63 bytes or more");
    t->type = (enum qtype)type;
    return take_u64(c, "the offset of its data", &t->offset);
}

/* Turns the offset of each tensor from one into the data section into one into the file. */
static int place_data(struct cursor *c, uint32_t alignment)
{
    struct gguf *g = c->g;
    uint64_t mask = alignment - 1u, start = ((uint64_t)c->at + mask) & ~mask, sum = 0;
    for (c->i = 0; c->i < g->n_tensors; c->i++) {
        struct gguf_tensor *t = &g->tensors[c->i];
        size_t at = (size_t)t->info_offset + 8 + t->name.len + 4 + 8u * t->n_dims + 4;
        c->name = t->name;
        if ((t->offset & mask) != 0)
            return fail(c, IDEM_ERR_FORMAT, at,
                        "the offset of its data, %llu, is no multiple of the alignment %u",
                        (unsigned long long)t->offset, alignment);
        if (t->offset != sum)
            return fail(c, IDEM_ERR_FORMAT, at,
                        "the offset of its data is %llu, but the tensors before it end at %llu",
                        (unsigned long long)t->offset, (unsigned long long)sum);
        /* sum stays below the file's size, start too unless nothing fits */
        if (start > g->len || sum > g->len - start || t->n_bytes > g->len - start - sum)
            return fail(c, IDEM_ERR_FORMAT, g->len,
                        "the file ends inside its data (%llu bytes from byte %llu on); it is cut "
                        "short, fetch it again", (unsigned long long)t->n_bytes,
                        (unsigned long long)(start + sum));
        sum += (t->n_bytes + mask) & ~mask;
        t->offset += start;
        t->data = g->data + t->offset;
    }
    return 0;
}

static int check_version(const struct cursor *c, uint32_t v)
{
    if (v == 2 || v == 3)
        return 0;
    if (v != 0 && (v & 0xFFFF) == 0)
        return fail(c, IDEM_ERR_UNSUPPORTED, 4,
                    "the file was written for a big-endian machine; convert the model anew "
                    "without that option");
    if (v == 0)
        return fail(c, IDEM_ERR_FORMAT, 4, "GGUF version 0 does not exist");
    return fail(c, IDEM_ERR_UNSUPPORTED, 4, "GGUF version %u cannot be read, only 2 and 3; %s", v,
                v == 1 ? "convert the model anew" : "a newer idem may know it");
}

static int read_header(struct cursor *c, uint64_t *n_tensors, uint64_t *n_kv)
{
    static const char lfs[] = "version https://git-lfs";
    struct gguf *g = c->g;
    if (g->len == 0)
        return fail(c, IDEM_ERR_FORMAT, 0, "the file is empty");
    if (g->len >= sizeof lfs - 1 && memcmp(g->data, lfs, sizeof lfs - 1) == 0)
        return fail(c, IDEM_ERR_FORMAT, 0,
                    "this is a Git LFS pointer, not the model; run 'git lfs pull'");
    if (memcmp(g->data, "GGUF", g->len < 4 ? g->len : 4) != 0)
        return fail(c, IDEM_ERR_FORMAT, 0,
                    "this is no GGUF file: it does not begin with the letters GGUF");
    if (!take(c, 4, "the letters GGUF") || take_u32(c, "the version", &g->version) != 0 ||
        check_version(c, g->version) != 0)
        return -1;
    if (take_u64(c, "the number of tensors", n_tensors) != 0)
        return -1;
    return take_u64(c, "the number of keys", n_kv);
}

/* Room for n entries; each takes at least min bytes in the file. */
static void *table(const struct cursor *c, const char *what, size_t at, uint64_t n, size_t min,
                   size_t size)
{
    if (n > left(c) / min) {
        fail(c, IDEM_ERR_FORMAT, at,
             "%llu %s are announced, but the %zu bytes left hold %zu at most; the file is cut "
             "short or damaged, fetch it again", (unsigned long long)n, what, left(c),
             left(c) / min);
        return NULL;
    }
    void *p = n > SIZE_MAX / size ? NULL : calloc(n ? (size_t)n : 1, size);
    if (!p)
        err_memory(c->err, what, (unsigned long long)n * size);
    return p;
}

static int read_alignment(struct cursor *c, uint32_t *out)
{
    const struct gguf_kv *kv = gguf_find(c->g, "general.alignment");
    *out = DEFAULT_ALIGNMENT;
    if (!kv)
        return 0;
    c->name = kv->key;
    if (kv->type != GGUF_U32)
        return fail(c, IDEM_ERR_FORMAT, (size_t)kv->offset, "it is a %s; it must be a u32",
                    gguf_type_name(kv->type));
    *out = gguf_u32(kv->data);
    if (*out == 0 || (*out & (*out - 1)) != 0)
        return fail(c, IDEM_ERR_FORMAT, (size_t)kv->offset, "%u is no power of two", *out);
    return 0;
}

static int parse(struct gguf *g, struct idem_err *err)
{
    struct cursor c = {.g = g, .err = err};
    uint64_t n_tensors, n_kv;
    uint32_t alignment;
    if (read_header(&c, &n_tensors, &n_kv) != 0)
        return -1;
    g->kv = table(&c, "keys", 16, n_kv, MIN_KV, sizeof *g->kv);
    if (!g->kv)
        return -1;
    g->n_kv = c.n = (size_t)n_kv;
    c.in = IN_KEY;
    for (c.i = 0; c.i < c.n; c.i++)
        if (read_kv(&c, &g->kv[c.i]) != 0)
            return -1;

    c.in = IN_HEADER;
    g->tensors = table(&c, "tensors", 8, n_tensors, MIN_INFO, sizeof *g->tensors);
    if (!g->tensors)
        return -1;
    g->n_tensors = c.n = (size_t)n_tensors;
    c.in = IN_TENSOR;
    for (c.i = 0; c.i < c.n; c.i++)
        if (read_info(&c, &g->tensors[c.i]) != 0)
            return -1;

    if (gguf_build_index(g, err) != 0)
        return -1;
    c.in = IN_KEY;
    if (read_alignment(&c, &alignment) != 0)
        return -1;
    c.in = IN_TENSOR;
    return place_data(&c, alignment);
}

static struct gguf *open_bytes(struct file_map map, const uint8_t *data, size_t len,
                               const char *name, struct idem_err *err)
{
    struct gguf *g = calloc(1, sizeof *g);
    char *path = strdup(name);
    if (!g || !path) {
        err_memory(err, "a model file's tables", sizeof *g);
        free(g);
        free(path);
        file_unmap(&map);
        return NULL;
    }
    *g = (struct gguf){.map = map, .data = data, .len = len, .path = path};
    if (parse(g, err) != 0) {
        gguf_close(g);
        return NULL;
    }
    return g;
}

struct gguf *gguf_open(const char *path, struct idem_err *err)
{
    struct file_map map;
    if (file_map(&map, path, err) != 0)
        return NULL;
    return open_bytes(map, map.data, map.len, path, err);
}

struct gguf *gguf_open_memory(const void *data, size_t len, const char *name, struct idem_err *err)
{
    return open_bytes((struct file_map){0}, data, len, name, err);
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    free(g->kv);
    free(g->tensors);
    free(g->kv_by_name);
    free(g->tensors_by_name);
    free(g->path);
    file_unmap(&g->map);
    free(g);
}
