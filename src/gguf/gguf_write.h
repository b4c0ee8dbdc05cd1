/* SPDX-License-Identifier: MIT
 * Writing a GGUF v3 file: keys and the table of tensors first, then the data as a stream.
 *
 *     struct gguf_writer *w = gguf_writer_new("out.gguf");
 *     gguf_put_str(w, "general.architecture", "llama");
 *     gguf_put_tensor(w, "output_norm.weight", QTYPE_F32, 1, (uint64_t[]){8});
 *     if (gguf_writer_begin(w, &err) == 0 && gguf_write(w, floats, 32, &err) == 0
 *         && gguf_writer_commit(w, &err) == 0) ...
 *     gguf_writer_free(w);
 *
 * The file is written under a temporary name in the same folder, synced and renamed by commit:
 * until then nothing stands under its name, and gguf_writer_free leaves nothing behind. */
#ifndef GGUF_WRITE_H
#define GGUF_WRITE_H

#include "gguf/gguf.h"

struct gguf_writer;

struct gguf_writer *gguf_writer_new(const char *path);   /* NULL: no memory */
void gguf_writer_free(struct gguf_writer *w);             /* may be NULL */

/* Keys, in the order of the file; one that is there already keeps its place and gets the new
 * value. Want of memory is remembered until gguf_writer_begin. */
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, double v);   /* rounded to binary32 */
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_strn(struct gguf_writer *w, const char *key, const char *s, size_t len);
void gguf_put_str(struct gguf_writer *w, const char *key, const char *s);
/* Arrays of n elements. */
void gguf_put_strs(struct gguf_writer *w, const char *key, const struct gguf_str *s, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
bool gguf_has(const struct gguf_writer *w, const char *key);

/* The next tensor of the table. ne[0] is the contiguous dimension, a multiple of the type's
 * block. Returns -1 with err for a bad shape, a name that is too long or there already. */
int gguf_put_tensor(struct gguf_writer *w, const char *name, enum qtype type, uint32_t n_dims,
                    const uint64_t *ne, struct idem_err *err);
uint64_t gguf_writer_data_bytes(const struct gguf_writer *w);   /* of all tensors, with padding */

/* Creates the temporary file, claims the disk space, writes everything before the data. */
int gguf_writer_begin(struct gguf_writer *w, struct idem_err *err);
/* The next bytes of the tensors' data, in the table's order; padding goes in by itself. */
int gguf_write(struct gguf_writer *w, const void *data, size_t len, struct idem_err *err);
/* All data is there: sync, rename. */
int gguf_writer_commit(struct gguf_writer *w, struct idem_err *err);

#endif
