/* SPDX-License-Identifier: MIT
 * One output on its way: what it was asked for, the tokens drawn so far, its text, its end. */
#ifndef RUN_SEQ_H
#define RUN_SEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "record/record.h"
#include "sample/sample.h"

struct run_seq {
    const struct rec_settings *set;
    const int32_t *prompt;           /* [n_prompt], the caller's */
    size_t n_prompt;
    struct sample_key key;           /* position moves with the output */
    uint32_t n_top;                  /* 0: nothing is captured but the tokens */
    size_t tag;                      /* the caller's own number */
    struct arith_noise noise;        /* of set under the seed: of every forward pass for it */

    struct rec_output out;           /* grows; tokens[].top are set once it has ended */
    struct rec_token last;           /* the newest token; its top points into tops */
    size_t cap_tokens;
    int32_t *context;                /* [n_prompt + out.n_tokens]: prompt and output */
    struct buf text;
    size_t n_shown, n_text_before;   /* bytes told of already; bytes before the newest token */
    double started, wall_ms;         /* seconds since 1970; its share of the time of its steps */
    uint64_t n_forward;              /* tokens that went through the model for it */
    struct run_seq *next;            /* beside it at the same node of the tree */
    struct idem_err err;             /* of the newest draw */
};

/* An empty prefix with this noise added (z NULL or none: without). -1: error. */
int run_node_new(struct backend *b, const struct arith_noise *z, struct idem_err *err);
/* A sampler that knows which tokens of b end a text; *n_ends: how many. */
struct sampler *run_seq_sampler(struct backend *b, size_t n_vocab, size_t *n_ends,
                                struct idem_err *err);

/* key_prompt: the ids that key the noise. The sequence keeps pointers to set and prompt. NULL
 * without memory. */
struct run_seq *run_seq_new(const struct rec_settings *set, const int32_t *prompt, size_t n_prompt,
                            const int32_t *key_prompt, size_t n_key_prompt, uint64_t seed,
                            uint32_t sample, uint32_t n_top, struct idem_err *err);
void run_seq_free(struct run_seq *s);   /* NULL is allowed */

/* Draws the next token from logits. Touches nothing but s, the sampler and thread-safe reads of
 * b, so sequences may draw at once in different threads. After it out.stop says whether the
 * output has ended. */
int run_seq_draw(struct run_seq *s, struct sampler *sampler, struct backend *b,
                 const float *logits, const struct sample_stats *stats);
/* Appends a token that was chosen elsewhere (a beam search). t->top is copied; t has n_top
 * alternatives, or all that the vocabulary has. Error in s->err. */
int run_seq_push(struct run_seq *s, struct backend *b, const struct rec_token *t);
/* Whether this token would end the output. s is the same afterwards. Error in s->err. */
int run_seq_would_end(struct run_seq *s, struct backend *b, int32_t id, bool *ends);
/* Another sequence with the same past; it goes its own way. NULL without memory. */
struct run_seq *run_seq_clone(const struct run_seq *s, struct idem_err *err);
/* The bytes of text that are certain now and were not told before: what could still become
 * the beginning of a stop text is held back until it is decided. */
const char *run_seq_news(struct run_seq *s, size_t *len);
/* Moves the ended output to *o; logits is the running digest of its steps (NULL: not captured). */
int run_seq_finish(struct run_seq *s, const struct digest *logits, struct rec_output *o,
                   struct idem_err *err);

#endif
