/* SPDX-License-Identifier: MIT
 * Beam search, the part that knows no model: candidates, who goes on, who has finished, when it
 * is over. Meaning: transformers 5.23, GenerationMixin._beam_search (generation/utils.py) for one
 * prompt, whose binary32 arithmetic is followed, so that scores tie here where they tie there.
 *
 * A step: each running beam offers its tokens with sum = its own sum + the token's processed
 * log-probability. The best K = max(2, 1 + number of end-of-text tokens) * num_beams of all are
 * the candidates, best first. The best num_beams of those that do not end go on. Those that end
 * (end of text, stop text, or max_new_tokens) and stand among the first num_beams candidates go to
 * the pool with sum / length^length_penalty, length counting the new token and not the prompt; the
 * pool keeps its best num_beams. With do_sample the candidates are K draws without replacement
 * from softmax(sum), in the order of the draws: the K largest of sum + Gumbel noise.
 *
 * Ties, which transformers leaves open, go to the lower beam, then to the lower token id; in the
 * pool to what was there before. Where transformers fills up with beams of score -1e9 (fewer
 * candidates than K, all of the best ones ended), there is nothing here: fewer beams go on.
 */
#ifndef SAMPLE_BEAM_H
#define SAMPLE_BEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "record/record.h"
#include "sample/sample.h"

struct beam_candidate {
    double rank;                 /* order of candidates: sum, with do_sample sum + noise */
    float sum;                   /* of processed log-probabilities, this token's included */
    float logprob, logprob_processed;   /* of this token */
    uint32_t beam;               /* which running beam it continues */
    int32_t token;
    bool stops;                  /* the caller's to set: the sequence ends with this token */
};

/* K of the header. n_eos: tokens of the vocabulary that end a text. */
size_t beam_n_candidates(const struct rec_settings *set, size_t n_eos);

/* Puts c into list[*n], best first, if it is among the best max; list has room for max. Beams
 * are offered in ascending order, and within one its tokens by ascending id. */
void beam_keep(struct beam_candidate *list, size_t *n, size_t max, const struct beam_candidate *c);

/* sum / length^length_penalty; length >= 1. */
float beam_score(float sum, size_t length, double length_penalty);

/* What one running beam is asked. */
struct beam_offer {
    uint32_t beam;               /* its place among the running ones */
    float sum;                   /* of its processed log-probabilities */
    const struct sample_stats *stats;    /* of its logits */
    const int32_t *context;      /* [n_context]: prompt and output; the last n_output are output */
    size_t n_context, n_output;
    struct sample_key key;       /* of the noise: position is n_output */
    size_t n_top, max;           /* alternatives to keep; candidates to offer */
};
/* x[n_vocab of sample_open]: its logits; becomes its log-probabilities. Processors run on
 * log-probabilities, as in transformers; those of sampling only with do_sample, and then leave at
 * least number of ends + 1 tokens. Puts the best max into list (beam_keep). Fills *raw: entropy,
 * margin, tail_mass, n_top and top; a token's logprob_processed is the number that is added to the
 * sum, not normalised again. */
int beam_offer(struct sampler *s, const struct rec_settings *set, const struct beam_offer *o,
               float *x, struct rec_token *raw, struct beam_candidate *list, size_t *n,
               struct idem_err *err);

struct beam_finished {
    float score;
    size_t candidate;            /* that it came from in this step; SIZE_MAX: there before */
    void *output;                /* the caller's */
};

/* What one search has come to. pool has room for 2 * num_beams. */
struct beam_state {
    const struct rec_settings *set;
    size_t length;               /* tokens of the running beams */
    struct beam_finished *pool;  /* best first; the first n_pool count */
    size_t n_pool, n_fell;       /* pool[n_pool .. n_pool + n_fell) fell out in the last step */
    size_t *running;             /* [num_beams]: candidates that go on, best first */
    size_t n_running;
    bool over;                   /* nothing more is to be computed */
};

int beam_open(struct beam_state *s, const struct rec_settings *set, struct idem_err *err);
void beam_close(struct beam_state *s);   /* the outputs are the caller's to free before */
/* One step with n candidates, best first, whose `stops` is set: length grows by one; running,
 * pool and over are set. What came into the pool has output NULL, the caller's to fill; what
 * fell out of it is the caller's to free if it is not NULL. */
void beam_step(struct beam_state *s, const struct beam_candidate *c, size_t n);

#endif
