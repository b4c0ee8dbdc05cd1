/* SPDX-License-Identifier: MIT
 * What the files of this room share: the working memory, the processors, the noise. */
#ifndef SAMPLE_SAMPLER_H
#define SAMPLE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "record/record.h"
#include "sample/sample.h"

/* Weights of top_p are integers below 2^44 + 1, so that the sum over this many stays below 2^64. */
#define SAMPLER_MAX_VOCAB ((size_t)1 << 19)

struct sampler {
    size_t max_vocab;
    float *score;        /* [max_vocab] by id: processed scores; meaning only at survivors */
    int32_t *alive;      /* [max_vocab] ids of the survivors, ascending; n_alive of them */
    size_t n_alive;
    uint64_t *heap;      /* [max_vocab] rank keys */
    uint64_t *weight;    /* [max_vocab] by id: weights of top_p */
    uint8_t *seen;       /* [max_vocab] by id: all 0 between calls */
};

/* Order of tokens as one integer: a larger key is a larger value, or, at equal values, the lower
 * id. -0 and +0 are equal. */
uint64_t rank_key(float value, int32_t id);
int32_t rank_id(uint64_t key);

/* The k best of x[n] in order (best first) into key[k]; 1 <= k <= n. */
void rank_top(uint64_t *key, size_t k, const float *x, size_t n);
/* A heap of n keys, the largest at h[0]; taking it leaves n - 1. */
void rank_heapify(uint64_t *h, size_t n);
void rank_pop(uint64_t *h, size_t n);

/* Runs the processors of set over logits: fills score, alive, n_alive (at least 1). *changed: the
 * processed distribution may differ from the raw one. */
int process_run(struct sampler *s, const struct rec_settings *set, bool sampled,
                const float *logits, size_t n_vocab, const int32_t *context, size_t n_context,
                bool *changed, struct idem_err *err);

/* 52 random bits for a token, and the noise made of them (sample/noise.c has the layout). */
struct noise { uint64_t key; uint32_t sample, position; };
int noise_init(struct noise *z, const struct sample_key *key, struct idem_err *err);
uint64_t noise_bits(const struct noise *z, int32_t id);
double noise_gumbel(uint64_t bits);
/* The survivor with the largest score + noise, ties to the lowest id. */
int32_t noise_draw(const struct noise *z, const float *score, const int32_t *alive, size_t n);

#endif
