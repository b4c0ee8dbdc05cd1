/* SPDX-License-Identifier: MIT
 * What settings may be: the range of each hyperparameter, and what cannot stand together. */
#include <math.h>

#include "base/err.h"
#include "record/record.h"

static int bad(struct idem_err *err, const char *name, double value, const char *allowed)
{
    return err_set(err, IDEM_ERR_USAGE, "%s is %g, but it must be %s", name, value, allowed);
}

/* Written so that NaN fails; the lower bounds of temperature and repetition_penalty are those that
 * binary32 can divide by. */
static int check_reals(const struct rec_settings *s, struct idem_err *err)
{
    const struct {
        const char *name;
        double value;
        bool fits;
        const char *allowed;
    } t[] = {
        {"temperature", s->temperature,
         s->temperature == 0.0 || (s->temperature >= 1e-6 && s->temperature <= 1e6),
         "between 1e-6 and 1e6, or 0 for greedy decoding"},
        {"top_p", s->top_p, s->top_p > 0.0 && s->top_p <= 1.0, "above 0 and at most 1 (1: off)"},
        {"min_p", s->min_p, s->min_p >= 0.0 && s->min_p <= 1.0, "between 0 and 1 (0: off)"},
        {"typical_p", s->typical_p, s->typical_p > 0.0 && s->typical_p <= 1.0,
         "above 0 and at most 1 (1: off)"},
        {"epsilon_cutoff", s->epsilon_cutoff, s->epsilon_cutoff >= 0.0 && s->epsilon_cutoff < 1.0,
         "at least 0 and below 1 (0: off)"},
        {"eta_cutoff", s->eta_cutoff, s->eta_cutoff >= 0.0 && s->eta_cutoff < 1.0,
         "at least 0 and below 1 (0: off)"},
        {"repetition_penalty", s->repetition_penalty,
         s->repetition_penalty >= 1e-6 && s->repetition_penalty <= 1e6,
         "between 1e-6 and 1e6 (1: off)"},
        {"presence_penalty", s->presence_penalty, fabs(s->presence_penalty) <= 100.0,
         "between -100 and 100 (0: off)"},
        {"frequency_penalty", s->frequency_penalty, fabs(s->frequency_penalty) <= 100.0,
         "between -100 and 100 (0: off)"},
        {"length_penalty", s->length_penalty, fabs(s->length_penalty) <= 100.0,
         "between -100 and 100 (0: off)"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        if (!t[i].fits)
            return bad(err, t[i].name, t[i].value, t[i].allowed);
    return 0;
}

static int check_counts(const struct rec_settings *s, struct idem_err *err)
{
    const struct {
        const char *name;
        uint32_t value, min;
    } t[] = {
        {"top_k", s->top_k, 0},
        {"no_repeat_ngram_size", s->no_repeat_ngram_size, 0},
        {"max_new_tokens", s->max_new_tokens, 1},
        {"min_new_tokens", s->min_new_tokens, 0},
        {"num_return_sequences", s->num_return_sequences, 1},
        {"num_beams", s->num_beams, 1},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        if (t[i].value < t[i].min || t[i].value > INT32_MAX)
            return bad(err, t[i].name, t[i].value, t[i].min ? "between 1 and 2147483647"
                                                            : "between 0 and 2147483647 (0: off)");
    return 0;
}

static int check_outputs(const struct rec_settings *s, struct idem_err *err)
{
    bool sampled = s->do_sample && s->temperature > 0.0;
    if (s->min_new_tokens > s->max_new_tokens)
        return err_set(err, IDEM_ERR_USAGE, "min_new_tokens is %u, more than max_new_tokens, which "
                       "is %u; lower the one or raise the other", s->min_new_tokens,
                       s->max_new_tokens);
    if (s->num_beams > 1 && s->num_return_sequences > s->num_beams)
        return err_set(err, IDEM_ERR_USAGE, "num_return_sequences is %u, but %u beams end in %u "
                       "outputs at most; raise num_beams", s->num_return_sequences, s->num_beams,
                       s->num_beams);
    if (s->num_beams == 1 && s->num_return_sequences > 1 && !sampled)
        return err_set(err, IDEM_ERR_USAGE, "num_return_sequences is %u, but greedy decoding has "
                       "one output; set do_sample (with a temperature above 0), use num_beams, or "
                       "ask for 1", s->num_return_sequences);
    return 0;
}

/* The chain of llama.cpp, which Ollama drives, has no such step. */
static int check_chain(const struct rec_settings *s, struct idem_err *err)
{
    const char *name = s->epsilon_cutoff > 0.0       ? "epsilon_cutoff"
                       : s->eta_cutoff > 0.0         ? "eta_cutoff"
                       : s->no_repeat_ngram_size > 0 ? "no_repeat_ngram_size"
                       : s->min_new_tokens > 0       ? "min_new_tokens"
                       : s->num_beams > 1            ? "num_beams"
                                                     : NULL;
    if (s->sampler == REC_SAMPLER_HF || !name)
        return 0;
    return err_set(err, IDEM_ERR_USAGE, "%s is set, but the sampler %s has no such step; leave it "
                   "out, or use the sampler hf", name, rec_sampler_name(s->sampler));
}

int rec_settings_check(const struct rec_settings *s, struct idem_err *err)
{
    if (check_reals(s, err) != 0 || check_counts(s, err) != 0 || check_outputs(s, err) != 0 ||
        check_chain(s, err) != 0)
        return -1;
    struct arith_noise z = arith_noise_unpack(s->noise, 0);
    if (arith_noise_pack(&z) != s->noise)
        return err_set(err, IDEM_ERR_USAGE, "noise has the number %u, which is none of: "
                       ARITH_NOISE_ALLOWED, s->noise);
    for (size_t i = 0; i < s->n_stop; i++)
        if (!s->stop[i] || s->stop[i][0] == '\0')
            return err_set(err, IDEM_ERR_USAGE, "stop text %zu is empty, and an empty text would "
                           "end every output at once; remove it", i + 1);
    return 0;
}
