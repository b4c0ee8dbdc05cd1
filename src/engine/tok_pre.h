/* SPDX-License-Identifier: MIT
 * Pre-tokenizers: how byte-level BPE cuts a text into words before it merges. */
#ifndef ENGINE_TOK_PRE_H
#define ENGINE_TOK_PRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { TOK_PRE_STAGES = 4 };

/* The length in bytes (>= 1) of the first piece of s[0 .. len), len >= 1. */
struct tok_pre_stage { size_t (*next)(const char *s, size_t len); };

/* One value of tokenizer.ggml.pre. Each stage cuts the pieces of the one before; what a stage's
 * expression does not match stays together as a piece. */
struct tok_pre {
    const char *name;
    struct tok_pre_stage stage[TOK_PRE_STAGES];   /* the first with NULL ends them */
    bool ignore_merges;   /* a word that is a token is taken whole */
    bool add_bos;         /* where the file does not say */
    bool nfc;             /* the model's own tokenizer normalises to NFC */
};

const struct tok_pre *tok_pre_find(const char *name, size_t len);   /* NULL if not known */
void tok_pre_list(struct buf *out);                                 /* "gpt-2, phi-2, ..." */

bool tok_is_space(int32_t cp);   /* White_Space of Unicode */
/* \w: letters, marks, decimal and letter-like numbers, connecting punctuation, the joiners, letters
 * in circles and squares. False for -1. */
bool tok_is_word(int32_t cp);

/* Calls word(ctx, offset, length) for the words of valid UTF-8 s[0 .. len), left to right and
 * without gaps, until one returns not 0, which is then returned. Time grows linearly with len. */
int tok_pre_split(const struct tok_pre *p, const char *s, size_t len,
                  int (*word)(void *ctx, size_t offset, size_t length), void *ctx);

#endif
