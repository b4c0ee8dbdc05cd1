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

/* Weights are integers below 2^44 + 1, so that the sum over this many stays below 2^64. */
#define SAMPLER_MAX_VOCAB ((size_t)1 << 19)

struct sampler {
    size_t max_vocab;
    float *score;        /* [max_vocab] by id: processed scores; meaning only at survivors */
    int32_t *alive;      /* [max_vocab] ids of the survivors, ascending; n_alive of them */
    size_t n_alive;
    uint64_t *heap;      /* [max_vocab] rank keys */
    uint64_t *weight;    /* [max_vocab] by id: probabilities, counts */
    uint8_t *seen;       /* [max_vocab] by id: all 0 between calls */
    int32_t *ends;       /* [n_ends] tokens that end a text, for min_new_tokens */
    size_t n_ends;
};

/* ---- what one step and a beam search share (sample.c) ------------------------------------------ */

/* Logits must be finite, ids of the context not negative. */
int sample_check_input(const float *logits, size_t n_vocab, const int32_t *context,
                       size_t n_context, struct idem_err *err);
/* Raw fields: the best n_top, entropy, margin, tail. Leaves the best id in out->id. */
void sample_raw(struct sampler *s, const float *logits, const struct sample_stats *stats,
                size_t n_top, struct rec_token *out);
bool sample_survives(const struct sampler *s, int32_t id);

/* ---- ranks (rank.c) ----------------------------------------------------------------------------- */

/* Order of tokens as one integer: a larger key is a larger value, or, at equal values, the lower
 * id. -0 and +0 are equal. */
uint64_t rank_key(float value, int32_t id);
int32_t rank_id(uint64_t key);

/* The id with the largest score among ids alive[n] (ascending, n >= 1), ties to the lowest id. */
int32_t rank_best(const float *score, const int32_t *alive, size_t n);
/* The k best of x[n] in order (best first) into key[k]; 1 <= k <= n. */
void rank_top(uint64_t *key, size_t k, const float *x, size_t n);
/* A heap of n keys, the largest at h[0]; taking it leaves n - 1. */
void rank_heapify(uint64_t *h, size_t n);
void rank_pop(uint64_t *h, size_t n);

/* ---- processors (process.c, select.c, chain_llama.c) ------------------------------------------ */

struct process_input {
    const float *scores;         /* [max_vocab]: logits, or log-probabilities; -inf: removed before */
    const int32_t *context;      /* [n_context]: prompt and output; the last n_output are output */
    size_t n_context, n_output;
    size_t min_keep;             /* >= 1: as many survive the processors of sampling at least; 1 but
                                    for beams, where it is the number of ends + 1 */
};

/* Runs the processors of set: fills score, alive, n_alive (at least 1). *changed: the processed
 * distribution may differ from the raw one. */
int process_run(struct sampler *s, const struct rec_settings *set, const struct process_input *in,
                bool *changed, struct idem_err *err);
bool process_sampling(const struct rec_settings *set);   /* noise enters: not greedy */
int chain_llama_run(struct sampler *s, const struct rec_settings *set,
                    const struct process_input *in, struct idem_err *err);
int process_heat(struct sampler *s, double temperature, struct idem_err *err);   /* s / temperature */

/* Hugging Face's; each narrows alive. */
void select_top_k(struct sampler *s, size_t k, size_t min_keep);
void select_top_p(struct sampler *s, double top_p, size_t min_keep);
void select_min_p(struct sampler *s, double min_p, size_t min_keep);
void select_typical(struct sampler *s, double mass, size_t min_keep);
void select_epsilon(struct sampler *s, double epsilon, size_t min_keep);
void select_eta(struct sampler *s, double epsilon, size_t min_keep);
/* Common to both orders. */
void select_exactly(struct sampler *s, size_t k);   /* the k best, ties to the lowest ids */
void select_seen(struct sampler *s, bool keep);     /* only what is marked, or not; clears marks */
void select_from(struct sampler *s, float least);   /* only scores of at least this */
int32_t select_best(const struct sampler *s);       /* rank_best of the survivors */
/* e[j] = e^(score - base) of survivors at, at + 1, …, in ascending order of id, at most
 * SELECT_EXPS of them; returns how many: 0 after the last. */
enum { SELECT_EXPS = 256 };
size_t select_exps(const struct sampler *s, size_t at, double base, double e[SELECT_EXPS]);
/* Fills weight of the survivors with floor(2^44 e^(score - best)) and returns the sum, so that
 * sums of probabilities are exact and have no order. */
uint64_t select_weigh(struct sampler *s);
/* Fills heap with the n_alive rank keys of the survivors and makes it a heap: by score; or, the
 * nearest first, by |information - entropy|. Returns the entropy in nats; *logsumexp: the log of
 * the sum of e^score. */
void select_rank(struct sampler *s);
double select_rank_typical(struct sampler *s, double *logsumexp);

/* ---- noise ------------------------------------------------------------------------------------ */

/* 52 random bits for a token, and the noise made of them (sample/noise.c has the layout). */
struct noise { uint64_t key; uint32_t sample, position, beam; };   /* beam: 0 without beams */
int noise_init(struct noise *z, const struct sample_key *key, struct idem_err *err);
uint64_t noise_bits(const struct noise *z, int32_t id);
/* The four words of Philox of the pairs first, first + 1, … of ids (philox.c). */
enum { NOISE_PAIRS = 8 };
void noise_words(const struct noise *z, uint32_t first, uint32_t word[4][NOISE_PAIRS]);
double noise_gumbel(uint64_t bits);
/* The survivor with the largest score + noise, ties to the lowest id. */
int32_t noise_draw(const struct noise *z, const float *score, const int32_t *alive, size_t n);

#endif
