/* SPDX-License-Identifier: MIT
 * A beam search carried out on a backend that has nodes: sample/beam.h decides, this computes.
 * The running beams are forks of one prefix and are decoded together, in groups of the batch.
 *
 * The result is a function of (model, prompt, settings, and with do_sample seed and prompt that
 * keys the noise): not of threads, batch, chunk and cache. */
#ifndef RUN_BEAM_H
#define RUN_BEAM_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "run/walk.h"

struct run_beam_job {
    const struct rec_settings *set;      /* num_beams > 1 */
    const int32_t *prompt;               /* [n_prompt], n_prompt >= 1 */
    size_t n_prompt;
    const int32_t *key_prompt;           /* ids that key the noise */
    size_t n_key_prompt;
    uint64_t seed;
    const uint64_t *noise_seed;          /* of the noise added to the arithmetic; NULL: seed */
    uint32_t n_top;                      /* 0: nothing is captured but the tokens and the score */
};

struct run_beam_cost {
    double started, wall_ms;             /* seconds since 1970; of the whole search */
    uint64_t n_forward;                  /* tokens that went through the model for it */
};

struct run_beam;
/* Of o: threads, chunk, batch, exact_batch, cache, stop, stepped and ctx; the rest is not looked
 * at. */
struct run_beam *run_beam_open(struct backend *b, const struct run_walk_options *o,
                               struct idem_err *err);
/* Fills out[num_return_sequences], best score first; the caller releases them. After an error out
 * is released and zero. */
int run_beam_search(struct run_beam *w, const struct run_beam_job *job, struct rec_output *out,
                    struct run_beam_cost *cost, struct idem_err *err);
void run_beam_close(struct run_beam *w);   /* NULL is allowed */

#endif
