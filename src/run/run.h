/* SPDX-License-Identifier: MIT
 * Carries out a plan, and single requests, on a backend that has nodes (backend.h): joins
 * plan, backend, sample and store.
 *
 * Trials with purpose SEEDS share a prefix tree: a prefix that several trials have in common
 * is computed once, with the result as if each had been computed alone (invariant 1). All
 * others are computed anew from an empty cache in the host state that they name.
 */
#ifndef RUN_H
#define RUN_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/digest.h"
#include "base/err.h"
#include "plan/plan.h"
#include "record/record.h"
#include "store/store.h"

/* Set by a signal handler: the tokens being computed are finished, complete trials saved, and
 * the call returns -1 with IDEM_ERR_INTERRUPTED. NULL: never stops. */
typedef const volatile sig_atomic_t *run_stop_flag;

/* ---- a whole plan --------------------------------------------------------------------------- */

struct run_progress {
    size_t done, total;            /* trials, those stored by an earlier start included */
    uint64_t tokens;               /* computed since this start (prefill and decode) */
    double tok_s;                  /* tokens computed per second, lately */
    double eta_s;                  /* seconds left; < 0: not known yet */
    const char *stage;             /* "seeds", "hosts", … */
};
typedef void (*run_progress_fn)(void *ctx, const struct run_progress *p);

struct run_options {               /* all zero is the default */
    uint32_t threads;              /* of the SEEDS trials; 0: as hosts[0] says. No bit changes. */
    uint32_t batch;                /* of the SEEDS trials: sequences per step; 0: as hosts[0] says */
    run_stop_flag stop;
    run_progress_fn progress;      /* called at most ten times a second; may be NULL */
    void *progress_ctx;
};

/* Creates or resumes the run database of an expanded plan (store_open_run with everything that
 * plan and backend know). model_path: the file that b was opened with. b must live as long as the
 * store. NULL on error. */
struct store *run_open_store(const struct plan *p, struct backend *b, const char *model_path,
                             const char *path, struct idem_err *err);

/* Runs what s does not have yet and stores it, some trials to a transaction. s must have been
 * made for this plan. Killed at any instant and called again, it ends with the same content.
 * An error names the trial, its prompt and its setting. */
int run_execute(const struct plan *p, struct backend *b, struct store *s,
                const struct run_options *o, struct idem_err *err);

/* The ids of one prompt of a plan, as run_execute gives them to the model (chat template and
 * special tokens applied). The caller frees *ids. */
int run_prompt_ids(struct backend *b, const struct plan_prompt *p, int32_t **ids, size_t *n,
                   struct idem_err *err);

/* ---- single requests ------------------------------------------------------------------------- */

struct run_request {
    const int32_t *prompt;         /* [n_prompt], n_prompt >= 1 */
    size_t n_prompt;
    const int32_t *key_prompt;     /* ids that key the noise, or NULL: prompt itself */
    size_t n_key_prompt;
    struct rec_settings settings;  /* num_return_sequences outputs */
    uint64_t seed;
    const uint64_t *noise_seed;    /* of settings.noise; NULL: seed. All samples have the same noise. */
    uint32_t n_top;
    struct rec_host host;          /* zero fields: threads and chunk as the backend has them, batch 1 */
};

/* One token of sample `sample` was chosen. bytes: what it adds to the text (NULL for a control
 * token). A non-zero return ends with IDEM_ERR_INTERRUPTED. A beam search tells at its end. */
typedef int (*run_token_fn)(void *ctx, uint32_t sample, const struct rec_token *t,
                            const char *bytes, size_t len);

/* Fills out[settings.num_return_sequences]; the caller releases each with rec_output_release.
 * num_beams > 1: one beam search, best score first (run/beam.h, sample/beam.h). Else the samples
 * are decoded together. host.batch > 1 fills the batch with other sequences that are computed
 * beside them. After an error all of out is released and zero. */
int run_generate(struct backend *b, const struct run_request *r, run_token_fn on_token, void *ctx,
                 run_stop_flag stop, struct rec_output *out, struct idem_err *err);

/* noise: added to the arithmetic; NULL: none.
 * SHA-256 over the logits after every token of ids[n] and of n_greedy greedy tokens behind them
 * (binary32 little-endian, positions ascending, n + n_greedy vectors at most: generation ends
 * at an end-of-text token). *n_tokens: number of vectors. Host state as in run_request. */
int run_digest(struct backend *b, const int32_t *ids, size_t n, size_t n_greedy,
               const struct rec_host *host, const struct arith_noise *noise, run_stop_flag stop,
               char hex[DIGEST_HEX],
               size_t *n_tokens, struct idem_err *err);

/* Log-probability of each token of ids[n] given those before it: out->tokens[n], each with the
 * n_top best alternatives at its place. tokens[0] has logprob, entropy, margin and tail_mass NAN
 * and no top. logprob_processed equals logprob. The caller releases out. */
int run_score(struct backend *b, const int32_t *ids, size_t n, uint32_t n_top,
              const struct rec_host *host, const struct arith_noise *noise, run_stop_flag stop,
              struct rec_output *out,
              struct idem_err *err);

#endif
