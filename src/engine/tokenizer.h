/* SPDX-License-Identifier: MIT
 * Text to token ids and back: byte-level BPE and SentencePiece from a GGUF vocabulary. */
#ifndef ENGINE_TOKENIZER_H
#define ENGINE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "gguf/gguf.h"
#include "idem.h"

struct tokenizer;   /* immutable after tok_open, any number of threads; owns copies of all it needs */

/* Reads tokenizer.ggml.*; errors name the key. n_vocab: rows of token_embd, or 0 if unknown:
 * more tokens than rows is an error, fewer are filled with unused ids. */
struct tokenizer *tok_open(const struct gguf *g, enum idem_normalize normalize, size_t n_vocab,
                           struct idem_err *err);
void tok_close(struct tokenizer *t);

/* What idem_model_info reports. */
struct tok_info {
    const char *name;                 /* "gpt2/smollm" */
    uint32_t n_vocab;
    int32_t bos, eos, unk, pad;       /* -1 if absent */
    bool add_bos, add_eos;
};
const struct tok_info *tok_info(const struct tokenizer *t);

/* The meaning of each is that of its idem_ namesake in idem.h. */
int tok_tokenize(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
                 int32_t *ids, size_t cap, size_t *n, struct idem_err *err);
int tok_detokenize(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                   char *out, size_t cap, size_t *len, struct idem_err *err);
const char *tok_bytes(const struct tokenizer *t, int32_t id, size_t *len);
bool tok_is_eog(const struct tokenizer *t, int32_t id);
bool tok_is_control(const struct tokenizer *t, int32_t id);

#endif
