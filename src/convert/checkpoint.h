/* SPDX-License-Identifier: MIT
 * The weights of a Hugging Face checkpoint folder: model.safetensors, or the shards that
 * model.safetensors.index.json names. */
#ifndef CONVERT_CHECKPOINT_H
#define CONVERT_CHECKPOINT_H

#include "convert/safetensors.h"

struct ckpt_tensor {
    const struct safetensors *file;
    const struct st_tensor *t;
    bool used;                       /* for the caller */
};

struct checkpoint {
    struct safetensors *files;       /* [n_files], by name */
    size_t n_files;
    struct ckpt_tensor *tensors;     /* [n], by file, then by name: llama.cpp's order */
    struct ckpt_tensor **by_name;    /* [n], sorted */
    size_t n;
    uint64_t n_bytes;                /* of all tensors */
};

/* Opens and checks every file. Two tensors of one name, shards that lack a tensor of the index
 * or have one that is not in it, and folders without safetensors are errors. */
int checkpoint_open(struct checkpoint *c, const char *dir, struct idem_err *err);
void checkpoint_close(struct checkpoint *c);
struct ckpt_tensor *checkpoint_find(const struct checkpoint *c, const char *name);   /* or NULL */

/* "<dir>/<name>" (malloc) if that is a file, else NULL. */
char *checkpoint_file(const char *dir, const char *name);

#endif
