/* SPDX-License-Identifier: MIT
 * What the files of this room share: the opened file, little-endian reads, quoting of names. */
#ifndef GGUF_IMPL_H
#define GGUF_IMPL_H

#include "base/file.h"
#include "gguf/gguf.h"

struct gguf {
    struct file_map map;                     /* .data NULL if the bytes are the caller's */
    const uint8_t *data;                     /* [len], the whole file */
    size_t len;
    char *path;
    uint32_t version;
    size_t n_kv, n_tensors;
    struct gguf_kv *kv;                      /* [n_kv], in the order of the file */
    struct gguf_tensor *tensors;             /* [n_tensors], in the order of the file */
    const struct gguf_kv **kv_by_name;       /* [n_kv], sorted by key */
    const struct gguf_tensor **tensors_by_name;
};

static inline uint16_t gguf_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t gguf_u32(const uint8_t *p)
{
    return (uint32_t)gguf_u16(p) | (uint32_t)gguf_u16(p + 2) << 16;
}

static inline uint64_t gguf_u64(const uint8_t *p)
{
    return (uint64_t)gguf_u32(p) | (uint64_t)gguf_u32(p + 4) << 32;
}

/* Order of bytes, then of length. */
int gguf_str_cmp(struct gguf_str a, struct gguf_str b);

/* Room for a quoted name: 64 bytes of it as "\xNN", an ellipsis, a NUL. */
enum { GGUF_QUOTED = 64 * 4 + 4 };

/* A name from the file, fit to be printed: control characters, bidirectional controls, invalid
 * UTF-8, quotes and backslashes become \xNN; what is longer than 64 bytes ends in an ellipsis. */
const char *gguf_quote(char out[GGUF_QUOTED], struct gguf_str s);

/* Fills kv_by_name and tensors_by_name; a key or name that occurs twice is an error. */
int gguf_build_index(struct gguf *g, struct idem_err *err);

#endif
