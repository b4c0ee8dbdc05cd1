/* SPDX-License-Identifier: MIT
 * A read-only, bounds-checked reader of GGUF v2 and v3 files (ggml docs/gguf.md).
 *
 *   file   = "GGUF" u32 version u64 n_tensors u64 n_kv kv* info* padding data
 *   kv     = string key, u32 type, value         (array: u32 type, u64 count, elements)
 *   info   = string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset from data
 *   string = u64 length, bytes
 *
 * Everything is little-endian. Every error names the file, the key or tensor, and the byte
 * offset where the file stops making sense. */
#ifndef GGUF_H
#define GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/qtype.h"

enum gguf_type {
    GGUF_U8 = 0, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
    GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64
};

struct gguf_str { const char *data; size_t len; };   /* in the file's bytes, no NUL behind */

struct gguf_kv {
    struct gguf_str key;
    enum gguf_type type;
    enum gguf_type elem_type;    /* of an array, else equal to type */
    uint64_t n;                  /* elements of an array, else 1 */
    uint64_t offset;             /* byte offset of the value in the file */
    const uint8_t *data;         /* the (first) value in the file, unaligned */
    uint64_t data_bytes;
};

struct gguf_tensor {
    struct gguf_str name;
    enum qtype type;
    uint32_t n_dims;             /* 0 to 4; 0: one element */
    uint64_t ne[4];              /* ne[0] is contiguous; unused ones are 1 */
    uint64_t n_bytes;
    uint64_t info_offset;        /* byte offset of its info in the file */
    uint64_t offset;             /* byte offset of its data in the file */
    const uint8_t *data;
};

struct gguf;   /* owns the mapping */

/* Maps and checks the whole structure: header, every key and value (strings of arrays, bools),
 * tensor table, that each tensor's data lies in the file where the reference reader wants it.
 * Names are UTF-8 without NUL, not empty, unique; what a string value holds is for its user to
 * check. The file must not shrink while it is open (SIGBUS). */
struct gguf *gguf_open(const char *path, struct idem_err *err);
/* The same on bytes in memory, which must outlive it (for tests and the fuzzer). */
struct gguf *gguf_open_memory(const void *data, size_t len, const char *name, struct idem_err *err);
void gguf_close(struct gguf *g);

const char *gguf_path(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g);
uint32_t gguf_version(const struct gguf *g);
size_t gguf_n_kv(const struct gguf *g);
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key);             /* or NULL */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name); /* or NULL */
const char *gguf_type_name(enum gguf_type t);
/* Tells the operating system that this tensor's pages are not needed in memory any more. */
void gguf_drop(const struct gguf *g, const struct gguf_tensor *t);

/* Typed reads. Present with a fitting type: stored in *out, returns 0. Absent: *out keeps its
 * value (the default) and 0 is returned, unless required: error. Wrong type or range: error
 * with key and offset. Integers of any width are accepted if the value fits. */
int gguf_get_u32(const struct gguf *g, const char *key, bool required, uint32_t *out, struct idem_err *err);
int gguf_get_f32(const struct gguf *g, const char *key, bool required, float *out, struct idem_err *err);   /* finite only */
int gguf_get_bool(const struct gguf *g, const char *key, bool required, bool *out, struct idem_err *err);
int gguf_get_str(const struct gguf *g, const char *key, bool required, struct gguf_str *out, struct idem_err *err);
/* The array `key` with element type `elem`; *out = NULL if absent and not required. */
int gguf_get_array(const struct gguf *g, const char *key, enum gguf_type elem, bool required,
                   const struct gguf_kv **out, struct idem_err *err);
/* Walks the strings of a string array: *at starts as kv->data; call kv->n times. */
struct gguf_str gguf_next_str(const uint8_t **at);

/* Fills err with "<file>: key '<key>' (byte <offset>): <message>" and the like. Return -1. */
int gguf_err_key(const struct gguf *g, const char *key, struct idem_err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int gguf_err_tensor(const struct gguf *g, const struct gguf_tensor *t, struct idem_err *err,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
