/* SPDX-License-Identifier: MIT
 * Defaults, names and release of the plain structs. */
#include "record/record.h"

#include <stdlib.h>

void rec_output_release(struct rec_output *o)
{
    free(o->tokens);
    free(o->tops);
    free(o->text);
    *o = (struct rec_output){0};
}

const char *rec_stop_name(enum rec_stop s)
{
    static const char *const names[] = {"none", "eos", "stop", "length"};
    return names[s];
}

const char *rec_sampler_name(enum rec_sampler s)
{
    static const char *const names[] = {"hf", "llama.cpp", "ollama"};
    return names[s];
}

const char *rec_early_stopping_name(enum rec_early_stopping e)
{
    static const char *const names[] = {"false", "true", "never"};
    return names[e];
}

const char *rec_cache_name(enum rec_cache c)
{
    return c == REC_CACHE_FORKED ? "forked" : "cold";
}

const char *rec_purpose_name(enum rec_purpose p)
{
    static const char *const names[] = {
        "seeds", "repeats", "hosts", "control:identical", "control:vary", "control:seed",
        "control:capture", "perturbed",
    };
    return names[p];
}

/* llama.cpp's common_params_sampling (common/common.h, August 2026), Ollama's DefaultOptions
 * (api/types.go, v0.32.10 and later: repeat_penalty 1.0). Both sample unless told otherwise. */
void rec_settings_default(struct rec_settings *s, enum rec_sampler sampler)
{
    *s = (struct rec_settings){
        .sampler = sampler, .do_sample = false, .temperature = 1, .top_k = 50, .top_p = 1,
        .min_p = 0, .typical_p = 1, .repetition_penalty = 1, .max_new_tokens = 20,
        .num_return_sequences = 1, .num_beams = 1, .length_penalty = 1,
    };
    if (sampler == REC_SAMPLER_HF)
        return;
    s->do_sample = true;
    s->temperature = 0.8;
    s->top_k = 40;
    s->top_p = sampler == REC_SAMPLER_OLLAMA ? 0.9 : 0.95;
    s->min_p = sampler == REC_SAMPLER_OLLAMA ? 0 : 0.05;
}
