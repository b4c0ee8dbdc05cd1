/* SPDX-License-Identifier: MIT
 * A Hugging Face checkpoint folder to a GGUF file (docs/convert.md). */
#ifndef CONVERT_H
#define CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum convert_type { CONVERT_AUTO = 0, CONVERT_F32, CONVERT_F16, CONVERT_BF16, CONVERT_Q8_0 };

struct convert_options {
    const char *dir, *out;
    enum convert_type type;      /* AUTO: BF16 for a checkpoint in bfloat16, else F16 */
    /* Hears how many bytes of the weights are converted, returns false to stop. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

struct convert_result {
    char arch[32], hf_class[64], tokenizer[16], pre[32];
    const char *type;            /* "BF16" */
    uint64_t n_params, n_tensors, n_tokens, n_layers;
    uint64_t bytes_in, bytes_out;
    struct buf notes;            /* lines for the user; release it */
};

/* Reads opt->dir, writes opt->out: all of it or nothing. Memory: the tokenizer's files and a few
 * megabytes, whatever the size of the weights. r->notes is the caller's also on error. */
int convert_checkpoint(const struct convert_options *opt, struct convert_result *r, struct idem_err *err);

#endif
