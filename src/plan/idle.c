/* SPDX-License-Identifier: MIT
 * Hyperparameters that somebody has set and that change nothing, and why. */
#include "plan/intern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

unsigned plan_named(const char *name)
{
    for (const struct plan_param *p = plan_params; p->name; p++) {
        size_t i = 0;
        while (name[i] && p->name[i] == (name[i] == '-' ? '_' : name[i]))
            i++;
        if (!name[i] && !p->name[i])
            return plan_param_bit(p);
    }
    return 0;
}

static bool among(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(name, *words))
            return true;
    return false;
}

/* Whether the value is the one that says `not this one`. */
static bool is_off(const struct plan_param *p, const struct rec_settings *s)
{
    double v = plan_param_value(p, s);
    if (!strcmp(p->name, "temperature"))
        return v == 1;
    return p->has_off && strcmp(p->name, "length_penalty") != 0 && v == p->off_value;
}

static const char *const drawing[] = {"temperature", "top_k", "top_p", "min_p", "typical_p",
                                      "epsilon_cutoff", "eta_cutoff", NULL};
static const char *const truncating[] = {"top_k", "top_p", "min_p", NULL};
static const char *const narrowing[] = {"temperature", "top_p", "min_p", "typical_p", NULL};

/* Of a greedy setting. Hugging Face's runs no processor of sampling; in llama.cpp's chain the best
 * token survives all but typical_p. */
static const char *idle_greedy(const struct plan_param *p, const struct rec_settings *s)
{
    bool cold = s->temperature == 0;
    if (!strcmp(p->name, "do_sample"))
        return s->do_sample ? "temperature 0 is greedy: nothing is drawn" : NULL;
    if (!strcmp(p->name, "temperature"))
        return cold ? NULL : "do_sample is false: nothing is drawn";
    if (s->sampler != REC_SAMPLER_HF && !strcmp(p->name, "top_k") && s->typical_p < 1)
        return NULL;             /* what is typical is so among those */
    if (s->sampler != REC_SAMPLER_HF)
        return among(p->name, truncating) ? "the best token is taken, which it keeps" : NULL;
    if (!among(p->name, drawing))
        return NULL;
    return s->do_sample ? "temperature 0 is greedy: nothing is drawn"
                        : "do_sample is false: nothing is drawn";
}

static bool idle_why(const struct plan_param *p, const struct rec_settings *s, uint32_t n_vocab,
                     char *out, size_t size)
{
    const char *why = NULL;
    bool hf = s->sampler == REC_SAMPLER_HF;
    if (!plan_settings_sampled(s))
        why = idle_greedy(p, s);
    else if (!hf && s->top_k == 1 && among(p->name, narrowing))
        why = "top_k 1 leaves one token";
    if (!why && s->num_beams == 1 &&
        (!strcmp(p->name, "length_penalty") || !strcmp(p->name, "early_stopping")))
        why = "there is no beam search (num_beams 1)";
    if (!why && hf && s->max_new_tokens == 1 &&
        (!strcmp(p->name, "presence_penalty") || !strcmp(p->name, "frequency_penalty")))
        why = "the output has one token (max_new_tokens 1), and before it there is none";
    if (why) {
        snprintf(out, size, "%s", why);
    } else if (!strcmp(p->name, "top_k") && n_vocab && s->top_k >= n_vocab) {
        snprintf(out, size, "the vocabulary has no more than %" PRIu32 " tokens", n_vocab);
        why = out;
    }
    return why != NULL;
}

size_t plan_settings_idle(const struct rec_settings *s, unsigned named, uint32_t n_vocab,
                          struct plan_idle out[PLAN_IDLE_MAX])
{
    size_t n = 0;
    for (const struct plan_param *p = plan_params; p->name && n < PLAN_IDLE_MAX; p++)
        if ((named & plan_param_bit(p)) && !is_off(p, s) &&
            idle_why(p, s, n_vocab, out[n].why, sizeof out[n].why))
            out[n++].name = p->name;
    return n;
}
