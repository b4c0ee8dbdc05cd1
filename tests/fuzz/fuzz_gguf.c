/* SPDX-License-Identifier: MIT
 * libFuzzer: any bytes as a model file. What is accepted must be consistent and readable to its
 * last byte; what is refused must say so in printable words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

/* Reads every byte; volatile, so that no read is optimised away. */
static void touch(const void *data, uint64_t n)
{
    const volatile uint8_t *p = data;
    for (uint64_t i = 0; i < n; i++)
        (void)p[i];
}

static void check_refusal(const struct idem_err *err)
{
    MUST(err->code == IDEM_ERR_FORMAT || err->code == IDEM_ERR_UNSUPPORTED);
    MUST(strncmp(err->msg, "fuzz: ", 6) == 0 && strstr(err->msg, "(byte "));
    for (const char *p = err->msg; *p; p++)
        MUST((unsigned char)*p >= 0x20 && *p != 0x7F);
}

/* Every typed read of a key: it succeeds only for a type that fits. */
static void read_typed(const struct gguf *g, const struct gguf_kv *kv, const char *key)
{
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    struct gguf_str s = {NULL, 0};
    const struct gguf_kv *a;
    bool is_int = kv->type <= GGUF_I32 || kv->type == GGUF_U64 || kv->type == GGUF_I64;
    bool is_float = kv->type == GGUF_F32 || kv->type == GGUF_F64;
    struct idem_err err = {0};
    if (gguf_get_u32(g, key, true, &u, &err) != 0)
        check_refusal(&err);
    else
        MUST(is_int);
    if (gguf_get_f32(g, key, true, &f, &err) == 0)
        MUST(is_float && f - f == 0);
    MUST((gguf_get_bool(g, key, true, &b, &err) == 0) == (kv->type == GGUF_BOOL));
    MUST((gguf_get_str(g, key, true, &s, &err) == 0) == (kv->type == GGUF_STRING));
    MUST((gguf_get_array(g, key, kv->elem_type, true, &a, &err) == 0) == (kv->type == GGUF_ARRAY));
}

static void check_keys(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        touch(kv->data, kv->data_bytes);
        if (kv->elem_type == GGUF_STRING) {
            const uint8_t *at = kv->data;
            for (uint64_t k = 0; k < kv->n; k++) {
                struct gguf_str s = gguf_next_str(&at);
                touch(s.data, s.len);
            }
            MUST(at == kv->data + kv->data_bytes);
        }
        char *key = strndup(kv->key.data, kv->key.len);
        MUST(key && strlen(key) == kv->key.len && gguf_find(g, key) == kv);
        read_typed(g, kv, key);
        free(key);
    }
}

static void check_tensors(const struct gguf *g)
{
    uint64_t end = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct qtype_info *q = qtype_info((uint32_t)t->type);
        MUST(q && t->n_bytes > 0 && t->offset >= end);
        MUST(t->n_bytes / q->block_bytes * q->block_elems ==
             t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
        end = t->offset + t->n_bytes;
        MUST(end <= gguf_file_bytes(g));
        touch(t->data, t->n_bytes);
        char *name = strndup(t->name.data, t->name.len);
        MUST(name && gguf_find_tensor(g, name) == t);
        free(name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct idem_err err = {0};
    struct gguf *g = gguf_open_memory(data, len, "fuzz", &err);
    if (!g) {
        check_refusal(&err);
        return 0;
    }
    check_keys(g);
    check_tensors(g);
    gguf_close(g);
    return 0;
}
