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

const char *rec_cache_name(enum rec_cache c)
{
    return c == REC_CACHE_FORKED ? "forked" : "cold";
}

const char *rec_purpose_name(enum rec_purpose p)
{
    static const char *const names[] = {
        "seeds", "repeats", "hosts", "control:identical", "control:vary", "control:seed",
        "control:capture",
    };
    return names[p];
}

void rec_settings_default(struct rec_settings *s)
{
    *s = (struct rec_settings){
        .do_sample = false, .temperature = 1, .top_k = 50, .top_p = 1, .min_p = 0,
        .repetition_penalty = 1, .no_repeat_ngram_size = 0, .max_new_tokens = 20,
        .num_return_sequences = 1,
    };
}
