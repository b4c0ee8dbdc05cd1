/* SPDX-License-Identifier: MIT
 * Finding keys and tensors in an opened GGUF file, and reading values with a type and range. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_impl.h"

const char *gguf_path(const struct gguf *g) { return g->path; }
uint64_t gguf_file_bytes(const struct gguf *g) { return g->len; }
uint32_t gguf_version(const struct gguf *g) { return g->version; }
size_t gguf_n_kv(const struct gguf *g) { return g->n_kv; }
size_t gguf_n_tensors(const struct gguf *g) { return g->n_tensors; }

const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i)
{
    return i < g->n_kv ? &g->kv[i] : NULL;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const char *gguf_type_name(enum gguf_type t)
{
    static const char *const name[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool",
                                       "string", "array", "u64", "i64", "f64"};
    return (unsigned)t < sizeof name / sizeof name[0] ? name[t] : "unknown";
}

void gguf_drop(const struct gguf *g, const struct gguf_tensor *t)
{
    if (g->map.data)
        file_map_drop(&g->map, (size_t)t->offset, (size_t)t->n_bytes);
}

/* ---- by name ---------------------------------------------------------------------------- */

int gguf_str_cmp(struct gguf_str a, struct gguf_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Equal names stay in the order of the file, so that the second of them is reported. */
static int cmp_kv(const void *pa, const void *pb)
{
    const struct gguf_kv *a = *(const struct gguf_kv *const *)pa;
    const struct gguf_kv *b = *(const struct gguf_kv *const *)pb;
    int c = gguf_str_cmp(a->key, b->key);
    return c ? c : (a > b) - (a < b);
}

static int cmp_tensor(const void *pa, const void *pb)
{
    const struct gguf_tensor *a = *(const struct gguf_tensor *const *)pa;
    const struct gguf_tensor *b = *(const struct gguf_tensor *const *)pb;
    int c = gguf_str_cmp(a->name, b->name);
    return c ? c : (a > b) - (a < b);
}

int gguf_build_index(struct gguf *g, struct idem_err *err)
{
    char quoted[GGUF_QUOTED];
    g->kv_by_name = calloc(g->n_kv ? g->n_kv : 1, sizeof *g->kv_by_name);
    g->tensors_by_name = calloc(g->n_tensors ? g->n_tensors : 1, sizeof *g->tensors_by_name);
    if (!g->kv_by_name || !g->tensors_by_name)
        return err_memory(err, "a model file's index",
                          (g->n_kv + g->n_tensors) * sizeof *g->kv_by_name);
    for (size_t i = 0; i < g->n_kv; i++)
        g->kv_by_name[i] = &g->kv[i];
    for (size_t i = 0; i < g->n_tensors; i++)
        g->tensors_by_name[i] = &g->tensors[i];
    qsort(g->kv_by_name, g->n_kv, sizeof *g->kv_by_name, cmp_kv);
    qsort(g->tensors_by_name, g->n_tensors, sizeof *g->tensors_by_name, cmp_tensor);
    for (size_t i = 1; i < g->n_kv; i++) {
        const struct gguf_kv *a = g->kv_by_name[i - 1], *b = g->kv_by_name[i];
        if (gguf_str_cmp(a->key, b->key) == 0)
            return err_set(err, IDEM_ERR_FORMAT,
                           "%s: key '%s' (byte %llu): the key occurs twice, first with its value "
                           "at byte %llu", g->path, gguf_quote(quoted, b->key),
                           (unsigned long long)b->offset, (unsigned long long)a->offset);
    }
    for (size_t i = 1; i < g->n_tensors; i++) {
        const struct gguf_tensor *a = g->tensors_by_name[i - 1], *b = g->tensors_by_name[i];
        if (gguf_str_cmp(a->name, b->name) == 0)
            return err_set(err, IDEM_ERR_FORMAT,
                           "%s: tensor '%s' (byte %llu): the name occurs twice, first at byte "
                           "%llu", g->path, gguf_quote(quoted, b->name),
                           (unsigned long long)b->info_offset, (unsigned long long)a->info_offset);
    }
    return 0;
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    struct gguf_str want = {key, strlen(key)};
    size_t lo = 0, hi = g->n_kv;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = gguf_str_cmp(g->kv_by_name[mid]->key, want);
        if (c == 0)
            return g->kv_by_name[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    struct gguf_str want = {name, strlen(name)};
    size_t lo = 0, hi = g->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = gguf_str_cmp(g->tensors_by_name[mid]->name, want);
        if (c == 0)
            return g->tensors_by_name[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* ---- errors --------------------------------------------------------------------------- */

int gguf_err_key(const struct gguf *g, const char *key, struct idem_err *err, const char *fmt, ...)
{
    char msg[512], quoted[GGUF_QUOTED];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    const struct gguf_kv *kv = gguf_find(g, key);
    gguf_quote(quoted, (struct gguf_str){key, strlen(key)});
    if (!kv)
        return err_set(err, IDEM_ERR_FORMAT, "%s: key '%s': %s", g->path, quoted, msg);
    return err_set(err, IDEM_ERR_FORMAT, "%s: key '%s' (byte %llu): %s", g->path, quoted,
                   (unsigned long long)kv->offset, msg);
}

int gguf_err_tensor(const struct gguf *g, const struct gguf_tensor *t, struct idem_err *err,
                    const char *fmt, ...)
{
    char msg[512], quoted[GGUF_QUOTED];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_set(err, IDEM_ERR_FORMAT, "%s: tensor '%s' (byte %llu): %s", g->path,
                   gguf_quote(quoted, t->name), (unsigned long long)t->info_offset, msg);
}

/* ---- values ----------------------------------------------------------------------------- */

/* The key, or NULL; *rc then says whether that is an error. */
static const struct gguf_kv *lookup(const struct gguf *g, const char *key, bool required, int *rc,
                                    struct idem_err *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *rc = kv || !required ? 0
                          : gguf_err_key(g, key, err, "the key is missing; the file is incomplete "
                                         "for what it says it is, convert the model anew");
    return kv;
}

static int wrong_type(const struct gguf *g, const char *key, const struct gguf_kv *kv,
                      const char *want, struct idem_err *err)
{
    if (kv->type == GGUF_ARRAY)
        return gguf_err_key(g, key, err, "its type is array of %s, %s is needed",
                            gguf_type_name(kv->elem_type), want);
    return gguf_err_key(g, key, err, "its type is %s, %s is needed", gguf_type_name(kv->type), want);
}

int gguf_get_u32(const struct gguf *g, const char *key, bool required, uint32_t *out,
                 struct idem_err *err)
{
    int rc;
    const struct gguf_kv *kv = lookup(g, key, required, &rc, err);
    if (!kv)
        return rc;
    const uint8_t *p = kv->data;
    uint64_t v;
    switch (kv->type) {
    case GGUF_U8: v = p[0]; break;
    case GGUF_U16: v = gguf_u16(p); break;
    case GGUF_U32: v = gguf_u32(p); break;
    case GGUF_U64: v = gguf_u64(p); break;
    /* sign-extended: what is negative becomes larger than any u32 */
    case GGUF_I8: v = (uint64_t)(int64_t)(int8_t)p[0]; break;
    case GGUF_I16: v = (uint64_t)(int64_t)(int16_t)gguf_u16(p); break;
    case GGUF_I32: v = (uint64_t)(int64_t)(int32_t)gguf_u32(p); break;
    case GGUF_I64: v = gguf_u64(p); break;
    default: return wrong_type(g, key, kv, "an integer", err);
    }
    bool is_signed = kv->type == GGUF_I8 || kv->type == GGUF_I16 || kv->type == GGUF_I32 ||
                     kv->type == GGUF_I64;
    if (v > UINT32_MAX && is_signed)
        return gguf_err_key(g, key, err, "%lld is out of range: 0 to %u are allowed",
                            (long long)(int64_t)v, UINT32_MAX);
    if (v > UINT32_MAX)
        return gguf_err_key(g, key, err, "%llu is out of range: 0 to %u are allowed",
                            (unsigned long long)v, UINT32_MAX);
    *out = (uint32_t)v;
    return 0;
}

int gguf_get_f32(const struct gguf *g, const char *key, bool required, float *out,
                 struct idem_err *err)
{
    int rc;
    const struct gguf_kv *kv = lookup(g, key, required, &rc, err);
    if (!kv)
        return rc;
    float f;
    if (kv->type == GGUF_F32) {
        uint32_t u = gguf_u32(kv->data);
        memcpy(&f, &u, sizeof f);
    } else if (kv->type == GGUF_F64) {
        double d;
        uint64_t u = gguf_u64(kv->data);
        memcpy(&d, &u, sizeof d);
        f = fabs(d) > FLT_MAX ? INFINITY : (float)d;   /* a NaN stays one */
    } else {
        return wrong_type(g, key, kv, "f32", err);
    }
    if (!isfinite(f))
        return gguf_err_key(g, key, err, "its value is %s; a finite number is needed",
                            isnan(f) ? "not a number" : "infinite or too large");
    *out = f;
    return 0;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool required, bool *out,
                  struct idem_err *err)
{
    int rc;
    const struct gguf_kv *kv = lookup(g, key, required, &rc, err);
    if (!kv)
        return rc;
    if (kv->type != GGUF_BOOL)
        return wrong_type(g, key, kv, "bool", err);
    *out = kv->data[0] != 0;
    return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, bool required, struct gguf_str *out,
                 struct idem_err *err)
{
    int rc;
    const struct gguf_kv *kv = lookup(g, key, required, &rc, err);
    if (!kv)
        return rc;
    if (kv->type != GGUF_STRING)
        return wrong_type(g, key, kv, "string", err);
    const uint8_t *at = kv->data;
    *out = gguf_next_str(&at);
    return 0;
}

int gguf_get_array(const struct gguf *g, const char *key, enum gguf_type elem, bool required,
                   const struct gguf_kv **out, struct idem_err *err)
{
    int rc;
    char want[32];
    *out = NULL;
    const struct gguf_kv *kv = lookup(g, key, required, &rc, err);
    if (!kv)
        return rc;
    if (kv->type != GGUF_ARRAY || kv->elem_type != elem) {
        snprintf(want, sizeof want, "array of %s", gguf_type_name(elem));
        return wrong_type(g, key, kv, want, err);
    }
    *out = kv;
    return 0;
}

struct gguf_str gguf_next_str(const uint8_t **at)
{
    size_t n = (size_t)gguf_u64(*at);
    struct gguf_str s = {(const char *)*at + 8, n};
    *at += 8 + n;
    return s;
}
