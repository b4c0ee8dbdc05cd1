/* SPDX-License-Identifier: MIT
 * Opening a safetensors file: every number of its header is checked here, once. */
#include "convert/safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 8 };
#define HEADER_MAX 100000000u        /* bytes, as in the format's own reader */

static const struct { const char *name; uint8_t bytes; enum st_dtype dtype; } dtypes[] = {
    {"F32", 4, ST_F32}, {"F16", 2, ST_F16}, {"BF16", 2, ST_BF16}, {"F64", 8, ST_OTHER},
    {"I64", 8, ST_OTHER}, {"U64", 8, ST_OTHER}, {"I32", 4, ST_OTHER}, {"U32", 4, ST_OTHER},
    {"I16", 2, ST_OTHER}, {"U16", 2, ST_OTHER}, {"I8", 1, ST_OTHER}, {"U8", 1, ST_OTHER},
    {"BOOL", 1, ST_OTHER}, {"F8_E4M3", 1, ST_OTHER}, {"F8_E5M2", 1, ST_OTHER}, {"F8_E8M0", 1, ST_OTHER},
};

int safetensors_err(const struct safetensors *s, const struct st_tensor *t, struct idem_err *err,
                    const char *fmt, ...)
{
    char msg[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_set(err, IDEM_ERR_FORMAT, "%s: tensor '%.*s' (byte %zu): %s", s->path,
                   (int)(t->name.len < 200 ? t->name.len : 200), t->name.s, t->at, msg);
}

/* Dtype and shape of a header's entry; *elem_bytes of one element. */
static int read_type(const struct safetensors *s, struct st_tensor *t, const struct jval *entry,
                     uint64_t *elem_bytes, struct idem_err *err)
{
    const struct jval *dtype = jdoc_get(entry, "dtype"), *shape = jdoc_get(entry, "shape");
    if (!dtype || dtype->type != JDOC_STRING)
        return safetensors_err(s, t, err, "'dtype' must be a string, not %s", jdoc_type_name(dtype));
    size_t i = 0, n = sizeof dtypes / sizeof dtypes[0];
    while (i < n && !jdoc_eq(dtype->str, dtypes[i].name))
        i++;
    if (i == n)
        return safetensors_err(s, t, err, "unknown dtype '%.*s'",
                               (int)(dtype->str.len < 32 ? dtype->str.len : 32), dtype->str.s);
    t->dtype = dtypes[i].dtype;
    t->dtype_name = dtype->str;
    *elem_bytes = dtypes[i].bytes;
    if (!shape || shape->type != JDOC_ARRAY)
        return safetensors_err(s, t, err, "'shape' must be an array, not %s", jdoc_type_name(shape));
    if (shape->n > ST_MAX_DIMS)
        return safetensors_err(s, t, err, "%zu dimensions are more than %d", shape->n, ST_MAX_DIMS);
    t->n_dims = (uint32_t)shape->n;
    t->n_elems = 1;
    for (size_t d = 0; d < ST_MAX_DIMS; d++) {
        t->shape[d] = 1;
        if (d < shape->n && !jdoc_u64(&shape->items[d], &t->shape[d]))
            return safetensors_err(s, t, err, "dimension %zu of 'shape' must be a whole number", d);
        if (t->shape[d] && t->n_elems > (UINT64_MAX >> 8) / t->shape[d])
            return safetensors_err(s, t, err, "a shape of more than 2^56 elements");
        t->n_elems *= t->shape[d];
    }
    return 0;
}

static int read_entry(struct safetensors *s, struct st_tensor *t, const struct jmember *m,
                      size_t data_start, struct idem_err *err)
{
    *t = (struct st_tensor){.name = m->key, .at = m->value.at};
    uint64_t elem = 0, from, to, size = s->len - data_start;
    if (m->value.type != JDOC_OBJECT)
        return safetensors_err(s, t, err, "its entry must be an object, not %s", jdoc_type_name(&m->value));
    if (m->key.len == 0 || memchr(m->key.s, '\0', m->key.len))
        return safetensors_err(s, t, err, "a name must have a character and no NUL");
    if (read_type(s, t, &m->value, &elem, err) != 0)
        return -1;
    const struct jval *o = jdoc_get(&m->value, "data_offsets");
    if (!o || o->type != JDOC_ARRAY || o->n != 2 || !jdoc_u64(&o->items[0], &from)
        || !jdoc_u64(&o->items[1], &to) || from > to)
        return safetensors_err(s, t, err, "'data_offsets' must be two whole numbers in order");
    if (to > size)
        return safetensors_err(s, t, err, "its data ends at %llu, but the file has %llu bytes of data: "
                               "it is cut short or damaged, fetch it again",
                               (unsigned long long)to, (unsigned long long)size);
    t->n_bytes = to - from;
    if (t->n_bytes != t->n_elems * elem)
        return safetensors_err(s, t, err, "its shape and dtype take %llu bytes, its data_offsets span %llu",
                               (unsigned long long)(t->n_elems * elem), (unsigned long long)t->n_bytes);
    t->offset = data_start + from;
    t->data = s->bytes + t->offset;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    return jdoc_cmp(x->name, y->name);
}

/* By place; of two at one place the empty one comes first. */
static int by_offset(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* The tensors must fill the data exactly. */
static int check_layout(const struct safetensors *s, size_t data_start, struct idem_err *err)
{
    uint64_t at = data_start;
    for (size_t i = 0; i < s->n; i++) {
        const struct st_tensor *t = &s->tensors[i];
        if (t->offset != at)
            return safetensors_err(s, t, err, "its data %s at byte %llu of the file",
                                   t->offset < at ? "overlaps another tensor's" : "follows a gap",
                                   (unsigned long long)(t->offset < at ? t->offset : at));
        at += t->n_bytes;
    }
    if (at != s->len)
        return err_set(err, IDEM_ERR_FORMAT, "%s: byte %llu: %llu bytes behind the last tensor belong to none",
                       s->path, (unsigned long long)at, (unsigned long long)(s->len - at));
    return 0;
}

static int read_header(struct safetensors *s, struct idem_err *err)
{
    uint64_t n = 0;
    if (s->len < PREFIX)
        return err_set(err, IDEM_ERR_FORMAT, "%s: %zu bytes are no safetensors file", s->path, s->len);
    for (int i = 0; i < PREFIX; i++)
        n |= (uint64_t)s->bytes[i] << (8 * i);
    if (n > HEADER_MAX)
        return err_set(err, IDEM_ERR_FORMAT, "%s: byte 0: a header of %llu bytes is more than the %u allowed; "
                       "this is no safetensors file", s->path, (unsigned long long)n, HEADER_MAX);
    if (n > s->len - PREFIX)
        return err_set(err, IDEM_ERR_FORMAT, "%s: byte 0: the header has %llu bytes, but only %zu follow: the "
                       "file is cut short or damaged, fetch it again", s->path, (unsigned long long)n,
                       s->len - PREFIX);
    if (jdoc_parse(&s->header, s->path, (const char *)s->bytes + PREFIX, (size_t)n, PREFIX, err) != 0)
        return -1;
    const struct jval *root = s->header.root;
    if (root->type != JDOC_OBJECT)
        return jdoc_err(&s->header, root, err, "the header must be an object, not %s", jdoc_type_name(root));
    s->tensors = calloc(root->n + 1, sizeof *s->tensors);
    if (!s->tensors)
        return err_memory(err, "the table of tensors", root->n * sizeof *s->tensors);
    size_t data_start = PREFIX + (size_t)n;
    for (size_t i = 0; i < root->n; i++) {
        if (jdoc_eq(root->members[i].key, "__metadata__"))
            continue;
        if (read_entry(s, &s->tensors[s->n], &root->members[i], data_start, err) != 0)
            return -1;
        s->n++;
    }
    qsort(s->tensors, s->n, sizeof *s->tensors, by_offset);
    if (check_layout(s, data_start, err) != 0)
        return -1;
    qsort(s->tensors, s->n, sizeof *s->tensors, by_name);
    return 0;
}

int safetensors_open_memory(struct safetensors *s, const void *data, size_t len, const char *name,
                            struct idem_err *err)
{
    struct file_map map = s->map;
    *s = (struct safetensors){.path = strdup(name), .map = map, .bytes = data, .len = len};
    int rc = s->path ? read_header(s, err) : err_memory(err, "a file name", strlen(name));
    if (rc != 0)
        safetensors_close(s);
    return rc;
}

int safetensors_open(struct safetensors *s, const char *path, struct idem_err *err)
{
    *s = (struct safetensors){0};
    if (file_map(&s->map, path, err) != 0)
        return -1;
    return safetensors_open_memory(s, s->map.data, s->map.len, path, err);
}

void safetensors_close(struct safetensors *s)
{
    jdoc_close(&s->header);
    file_unmap(&s->map);
    free(s->tensors);
    free(s->path);
    *s = (struct safetensors){0};
}

void safetensors_drop(const struct safetensors *s, uint64_t offset, uint64_t len)
{
    file_map_drop(&s->map, (size_t)offset, (size_t)len);
}
