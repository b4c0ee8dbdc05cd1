/* SPDX-License-Identifier: MIT
 * Settings out of a JSON object, for the tests of the sampler: what the object leaves out has the
 * defaults of its sampler. */
#ifndef SAMPLE_JSON_H
#define SAMPLE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <json-c/json.h>

#include "record/record.h"

/* Returns false at a key that is no hyperparameter of the sampler. */
static inline bool sample_json_settings(struct json_object *o, struct rec_settings *s)
{
#define AT(field) offsetof(struct rec_settings, field)
    static const struct { const char *name; char type; size_t at; } t[] = {
        {"do_sample", 'b', AT(do_sample)}, {"temperature", 'd', AT(temperature)},
        {"top_k", 'u', AT(top_k)}, {"top_p", 'd', AT(top_p)}, {"min_p", 'd', AT(min_p)},
        {"typical_p", 'd', AT(typical_p)}, {"epsilon_cutoff", 'd', AT(epsilon_cutoff)},
        {"eta_cutoff", 'd', AT(eta_cutoff)}, {"repetition_penalty", 'd', AT(repetition_penalty)},
        {"presence_penalty", 'd', AT(presence_penalty)},
        {"frequency_penalty", 'd', AT(frequency_penalty)},
        {"no_repeat_ngram_size", 'u', AT(no_repeat_ngram_size)},
        {"min_new_tokens", 'u', AT(min_new_tokens)}, {"max_new_tokens", 'u', AT(max_new_tokens)},
    };
#undef AT
    struct json_object *v = NULL;
    enum rec_sampler sampler = REC_SAMPLER_HF;
    if (json_object_object_get_ex(o, "sampler", &v))
        while (sampler < REC_SAMPLER_OLLAMA &&
               strcmp(json_object_get_string(v), rec_sampler_name(sampler)) != 0)
            sampler++;
    rec_settings_default(s, sampler);
    json_object_object_foreach(o, key, value) {
        size_t i = 0, n = sizeof t / sizeof t[0];
        while (i < n && strcmp(t[i].name, key) != 0)
            i++;
        if (i == n && strcmp(key, "sampler") != 0)
            return false;
        char *at = i < n ? (char *)s + t[i].at : NULL;
        bool b = json_object_get_boolean(value);
        uint32_t u = (uint32_t)json_object_get_int64(value);
        double d = json_object_get_double(value);
        if (at && t[i].type == 'b')
            memcpy(at, &b, sizeof b);
        else if (at && t[i].type == 'u')
            memcpy(at, &u, sizeof u);
        else if (at)
            memcpy(at, &d, sizeof d);
    }
    return true;
}

#endif
