/* SPDX-License-Identifier: MIT
 * From logits to a token, in Hugging Face's or llama.cpp's order and meaning, with counter-based
 * noise. docs/sampling.md has every formula. Sources: transformers generation/logits_process.py and
 * utils.py; llama.cpp src/llama-sampler.cpp; Philox: Salmon et al. 2011 (Random123). */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "record/record.h"

/* Checks every range; the error names the hyperparameter, its value, and what is allowed. */
int sample_check(const struct rec_settings *s, struct idem_err *err);

/* What the noise of one draw is a function of, besides the token id. */
struct sample_key {
    uint64_t seed;
    uint8_t prompt_digest[32];   /* SHA-256 of the unperturbed prompt's ids (little-endian i32) */
    uint32_t sample;             /* 0 .. num_return_sequences - 1 */
    uint32_t position;           /* 0 for the first new token: the length of the output so far */
};
void sample_key_init(struct sample_key *k, uint64_t seed, const int32_t *prompt, size_t n_prompt,
                     uint32_t sample);

/* Raw statistics of a logits vector, computed by the engine's kernel (idem_logits_stats). */
struct sample_stats { double logsumexp; double entropy; float max; int32_t argmax; };

/* Working memory of one thread for logits of n_vocab tokens (1 .. 524288); reused between calls.
 * NULL on error. sample_close(NULL) is fine. */
struct sampler;
struct sampler *sample_open(size_t n_vocab, struct idem_err *err);
void sample_close(struct sampler *s);
/* Tells which tokens end a text: min_new_tokens forbids them for a while. Ids that the vocabulary
 * lacks are passed over. Without it there are none. */
int sample_ends(struct sampler *s, const int32_t *ids, size_t n, struct idem_err *err);

/* One step. logits[n_vocab of sample_open] (not changed) must be finite; set has passed
 * sample_check and is no beam search; context: all token ids before this one, the last
 * key->position of them output, the others prompt (ids that the vocabulary lacks are passed over,
 * negative ones are an error). Greedy takes the largest processed score, ties to the lowest id;
 * sampling takes the largest of score + Gumbel noise keyed by (key, id), which draws from the
 * processed distribution exactly (sample/noise.c has the layout of the key).
 * sampler hf: greedy runs penalties, no_repeat_ngram_size and min_new_tokens only; sampling runs
 * all processors. The other two: greedy is temperature 0 at the end of the whole chain, which
 * leaves one token.
 * Where no_repeat_ngram_size or min_new_tokens forbids every token: an error (Hugging Face: token
 * 0, or a crash).
 * Fills out->id, logprob, logprob_processed, entropy, margin, tail_mass, n_top, and
 * top[0 .. min(n_top, n_vocab)) in out->top, which has room for n_top entries (NULL if n_top = 0).
 * With processors that change nothing, processed equals raw bit for bit. */
int sample_step(struct sampler *s, const struct rec_settings *set, const float *logits,
                const struct sample_stats *stats, const int32_t *context, size_t n_context,
                const struct sample_key *key, size_t n_top, struct rec_token *out,
                struct idem_err *err);

#endif
