/* SPDX-License-Identifier: MIT
 * One safetensors file, mapped and checked.
 *
 *   file   = u64 n, n bytes of JSON, data          (little-endian)
 *   JSON   = {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [from, to]}, ...}
 *
 * The offsets count from the start of the data; the tensors fill it without gap or overlap. */
#ifndef CONVERT_SAFETENSORS_H
#define CONVERT_SAFETENSORS_H

#include "convert/jdoc.h"

enum st_dtype { ST_F32, ST_F16, ST_BF16, ST_OTHER };   /* ST_OTHER: known, but no float of these */
enum { ST_MAX_DIMS = 4 };

struct st_tensor {
    struct jstr name;
    enum st_dtype dtype;
    struct jstr dtype_name;          /* as in the file: "F8_E4M3" */
    uint32_t n_dims;                 /* shape beyond ST_MAX_DIMS is refused; 0: a scalar */
    uint64_t shape[ST_MAX_DIMS];     /* as in PyTorch: the last one is contiguous; rest 1 */
    uint64_t n_elems, n_bytes;
    uint64_t offset;                 /* byte offset in the file */
    size_t at;                       /* byte offset of its entry in the header */
    const uint8_t *data;             /* unaligned */
};

struct safetensors {
    char *path;
    struct file_map map;
    const uint8_t *bytes;            /* [len], the whole file */
    size_t len;
    struct jdoc header;
    struct st_tensor *tensors;       /* [n], sorted by name */
    size_t n;
};

int safetensors_open(struct safetensors *s, const char *path, struct idem_err *err);
/* The same on bytes that outlive s (for tests and the fuzzer). */
int safetensors_open_memory(struct safetensors *s, const void *data, size_t len, const char *name,
                            struct idem_err *err);
void safetensors_close(struct safetensors *s);
/* These bytes of the file are not needed in memory now. */
void safetensors_drop(const struct safetensors *s, uint64_t offset, uint64_t len);

/* "<path>: tensor '<name>' (byte <offset>): <message>". Returns -1. */
int safetensors_err(const struct safetensors *s, const struct st_tensor *t, struct idem_err *err,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
