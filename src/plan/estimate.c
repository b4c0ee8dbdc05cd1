/* SPDX-License-Identifier: MIT
 * What a plan will cost, and the smallest share of differing outputs that it could detect. */
#include <math.h>
#include <string.h>

#include "plan/intern.h"

/* Bytes of one stored token and alternative, and of one trial, measured on databases of the
 * shipped experiments (SQLite rows with their indices). */
enum { DISK_PER_TOKEN = 70, DISK_PER_TOP = 20, DISK_PER_TRIAL = 350, DISK_FIXED = 200000 };

/* Decode speed at a batch size: between the two rates, linear in the batch, then flat. */
static double decode_rate(const struct plan_rates *r, uint32_t batch)
{
    double f = batch >= 8 ? 1 : (double)(batch - 1) / 7;
    return r->decode_1 + f * (r->decode_8 - r->decode_1);
}

static bool has(const uint32_t *v, size_t n, size_t x)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == x)
            return true;
    return false;
}

/* Fresh trials that are compared with another one: in each cell (prompt, setting, seed, sample)
 * all but the first. REPEATS and HOSTS are both rectangles of cells, which may overlap. */
static uint64_t n_computations(const struct plan *p)
{
    const struct plan_part *rep = &p->intern->parts[REC_PURPOSE_REPEATS];
    const struct plan_part *host = &p->intern->parts[REC_PURPOSE_HOSTS];
    uint64_t both_prompts = 0, total = 0, n_rep = rep->count, n_host = p->n_hosts - 1;
    for (size_t i = 0; i < rep->n_prompts; i++)
        both_prompts += has(host->prompts, host->n_prompts, rep->prompts[i]);
    for (size_t s = 0; s < p->n_settings; s++) {
        bool in_rep = has(rep->settings, rep->n_settings, s);
        bool in_host = has(host->settings, host->n_settings, s);
        uint64_t rep_cells = in_rep ? rep->n_prompts * rep->n_seeds : 0;
        uint64_t host_cells = in_host ? host->n_prompts * host->n_seeds : 0;
        size_t seeds = rep->n_seeds < host->n_seeds ? rep->n_seeds : host->n_seeds;
        uint64_t both = in_rep && in_host ? both_prompts * seeds : 0, n = 0;
        n += both * (n_rep + n_host - 1);
        n += (rep_cells - both) * (n_rep ? n_rep - 1 : 0);
        n += (host_cells - both) * (n_host ? n_host - 1 : 0);
        total += n * p->settings[s].values.num_return_sequences;
    }
    return total;
}

void plan_estimate(const struct plan *p, const uint32_t *prompt_tokens,
                   const struct plan_rates *rates, struct plan_estimate *out)
{
    *out = (struct plan_estimate){.n_trials = p->n_trials};
    double disk = DISK_FIXED;
    uint32_t last_prompt = UINT32_MAX, last_noise = 0;
    uint64_t last_seed = 0;
    for (size_t i = 0; i < p->n_trials; i++) {
        const struct rec_trial *t = &p->trials[i];
        bool seeds = rec_purpose_shares(t->purpose);
        uint32_t batch = p->hosts[t->host].state.batch;
        const struct rec_settings *set = &p->settings[t->setting].values;
        uint64_t decode = (uint64_t)set->max_new_tokens * set->num_beams;
        uint64_t prefill = prompt_tokens ? prompt_tokens[t->prompt]
                                         : strlen(p->prompts[t->prompt].text) / 3 + 1;
        uint64_t together = batch > set->num_beams ? batch : set->num_beams;
        uint64_t held = together * (prefill + set->max_new_tokens);
        if (held > out->cache_tokens)
            out->cache_tokens = held;
        struct arith_noise z = rec_noise(set, t->seed);
        bool same = set->noise == last_noise && (t->seed == last_seed || !arith_noise_is_seeded(&z));
        if (seeds && t->prompt == last_prompt && (same || !set->noise))
            prefill = 0;          /* the trials that share compute a prompt once, and once for each noise */
        if (seeds) {
            last_prompt = t->prompt;
            last_noise = set->noise;
            last_seed = t->seed;
        }
        out->prefill_tokens += prefill;
        out->decode_tokens += decode;
        if (!seeds) {
            out->fresh_prefill_tokens += prefill;
            out->fresh_decode_tokens += decode;
        }
        if (rates->prefill > 0 && rates->decode_1 > 0 && rates->decode_8 > 0)
            out->seconds += (double)prefill / rates->prefill +
                            (double)decode / decode_rate(rates, batch);
        disk += DISK_PER_TRIAL + (double)set->max_new_tokens *
                                 (DISK_PER_TOKEN + DISK_PER_TOP * (double)t->n_top);
    }
    out->disk_bytes = (uint64_t)disk;
    out->n_computations = n_computations(p);
    out->detectable = out->n_computations
        ? 1 - pow(1 - p->decision.confidence, 1 / (double)out->n_computations) : 1;
}
