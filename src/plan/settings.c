/* SPDX-License-Identifier: MIT
 * The table of hyperparameters: names, ranges, canonical form. */
#include "plan/intern.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct rec_settings, field)

static const char *const samplers[] = {"hf", "llama.cpp", "ollama", NULL};
static const char *const early[] = {"false", "true", "never", NULL};

#define SHARE_OPEN "a number above 0 and at most 1, or off"
#define CUTOFF "a number from 0 to below 1, or off"
#define PENALTY "a number from -100 to 100, or off"

const struct plan_param plan_params[] = {
    {.name = "do_sample", .type = PLAN_PARAM_BOOL, .offset = AT(do_sample), .max = 1,
     .allowed = "true or false", .claimable = true},
    {.name = "early_stopping", .type = PLAN_PARAM_WORD, .offset = AT(early_stopping),
     .words = early, .allowed = "true, false or never"},
    {.name = "epsilon_cutoff", .type = PLAN_PARAM_F64, .offset = AT(epsilon_cutoff), .max = 1,
     .max_open = true, .has_off = true, .allowed = CUTOFF, .claimable = true},
    {.name = "eta_cutoff", .type = PLAN_PARAM_F64, .offset = AT(eta_cutoff), .max = 1,
     .max_open = true, .has_off = true, .allowed = CUTOFF, .claimable = true},
    {.name = "frequency_penalty", .type = PLAN_PARAM_F64, .offset = AT(frequency_penalty),
     .min = -100, .max = 100, .has_off = true, .allowed = PENALTY, .claimable = true},
    {.name = "length_penalty", .type = PLAN_PARAM_F64, .offset = AT(length_penalty),
     .min = -100, .max = 100, .has_off = true, .allowed = PENALTY},
    {.name = "max_new_tokens", .type = PLAN_PARAM_U32, .offset = AT(max_new_tokens), .min = 1,
     .max = 1000000, .allowed = "a whole number from 1 to 1000000"},
    {.name = "min_new_tokens", .type = PLAN_PARAM_U32, .offset = AT(min_new_tokens),
     .max = 1000000, .has_off = true, .allowed = "a whole number from 0 to 1000000, or off"},
    {.name = "min_p", .type = PLAN_PARAM_F64, .offset = AT(min_p), .max = 1, .has_off = true,
     .allowed = "a number from 0 to 1, or off", .claimable = true},
    {.name = "no_repeat_ngram_size", .type = PLAN_PARAM_U32, .offset = AT(no_repeat_ngram_size),
     .max = 1000, .has_off = true, .allowed = "a whole number from 0 to 1000, or off",
     .claimable = true},
    {.name = "noise", .type = PLAN_PARAM_NOISE, .offset = AT(noise), .has_off = true,
     .allowed = ARITH_NOISE_ALLOWED},
    {.name = "num_beams", .type = PLAN_PARAM_U32, .offset = AT(num_beams), .min = 1, .max = 1024,
     .allowed = "a whole number from 1 to 1024"},
    {.name = "num_return_sequences", .type = PLAN_PARAM_U32, .offset = AT(num_return_sequences),
     .min = 1, .max = 1024, .allowed = "a whole number from 1 to 1024"},
    {.name = "presence_penalty", .type = PLAN_PARAM_F64, .offset = AT(presence_penalty),
     .min = -100, .max = 100, .has_off = true, .allowed = PENALTY, .claimable = true},
    {.name = "repetition_penalty", .type = PLAN_PARAM_F64, .offset = AT(repetition_penalty),
     .min = 1e-6, .max = 1000, .has_off = true, .off_value = 1,
     .allowed = "a number from 1e-6 to 1000, or off", .claimable = true},
    {.name = "sampler", .type = PLAN_PARAM_WORD, .offset = AT(sampler), .words = samplers,
     .allowed = "hf, llama.cpp or ollama"},
    {.name = "temperature", .type = PLAN_PARAM_F64, .offset = AT(temperature), .max = 1000,
     .allowed = "a number from 1e-6 to 1000, or 0 (greedy)", .claimable = true},
    {.name = "top_k", .type = PLAN_PARAM_U32, .offset = AT(top_k), .max = 10000000,
     .has_off = true, .allowed = "a whole number from 1 to 10000000, or off", .claimable = true},
    {.name = "top_p", .type = PLAN_PARAM_F64, .offset = AT(top_p), .max = 1, .min_open = true,
     .has_off = true, .off_value = 1, .allowed = SHARE_OPEN, .claimable = true},
    {.name = "typical_p", .type = PLAN_PARAM_F64, .offset = AT(typical_p), .max = 1,
     .min_open = true, .has_off = true, .off_value = 1, .allowed = SHARE_OPEN, .claimable = true},
    {.name = NULL},
};

const char *const plan_setting_keys[] = {
    "stop", "sampler", "do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p",
    "epsilon_cutoff", "eta_cutoff", "repetition_penalty", "presence_penalty", "frequency_penalty",
    "no_repeat_ngram_size", "max_new_tokens", "min_new_tokens", "num_return_sequences",
    "num_beams", "length_penalty", "early_stopping", "noise", NULL,
};

const struct plan_param *plan_param_find(const char *name)
{
    for (const struct plan_param *p = plan_params; p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

double plan_param_value(const struct plan_param *p, const struct rec_settings *s)
{
    const char *at = (const char *)s + p->offset;
    switch (p->type) {
    case PLAN_PARAM_BOOL: return *(const bool *)at;
    case PLAN_PARAM_U32:
    case PLAN_PARAM_NOISE: return *(const uint32_t *)at;
    case PLAN_PARAM_WORD: return *(const unsigned *)at;
    case PLAN_PARAM_F64: break;
    }
    return *(const double *)at;
}

static void set_value(const struct plan_param *p, struct rec_settings *s, double v)
{
    char *at = (char *)s + p->offset;
    if (p->type == PLAN_PARAM_BOOL)
        *(bool *)at = v != 0;
    else if (p->type == PLAN_PARAM_U32 || p->type == PLAN_PARAM_NOISE)
        *(uint32_t *)at = (uint32_t)v;
    else if (p->type == PLAN_PARAM_WORD)
        *(unsigned *)at = (unsigned)v;
    else
        *(double *)at = v;
}

unsigned plan_param_bit(const struct plan_param *p)
{
    return 1u << (unsigned)(p - plan_params);
}

void plan_param_copy(const struct plan_param *p, struct rec_settings *to,
                     const struct rec_settings *from)
{
    set_value(p, to, plan_param_value(p, from));
}

double plan_param_rank(const struct plan_param *p, const struct rec_settings *s)
{
    double v = plan_param_value(p, s);
    return p->offset == AT(top_k) && v == 0 ? 1e9 : v;
}

static int parse_noise(const struct plan_yaml *y, const struct plan_param *p, struct fy_node *node,
                       const char *what, struct rec_settings *s, struct idem_err *err)
{
    size_t len = 0;
    const char *text = fy_node_is_scalar(node) ? fy_node_get_scalar(node, &len) : NULL;
    char word[ARITH_NOISE_TEXT] = "";
    struct arith_noise z;
    if (text && len < sizeof word)
        memcpy(word, text, len);
    if (arith_noise_parse(word, &z, NULL) != 0)
        return plan_yaml_err(y, node, err, "%s is '%.*s'; allowed: %s", what, (int)(len < 60 ? len : 60),
                             text ? text : "", p->allowed);
    set_value(p, s, arith_noise_pack(&z));
    return 0;
}

int plan_param_parse(const struct plan_yaml *y, const struct plan_param *p, struct fy_node *node,
                     const char *where, struct rec_settings *s, struct idem_err *err)
{
    char what[160];
    snprintf(what, sizeof what, "%s in %s", p->name, where);
    if (p->has_off && plan_yaml_is_word(node, "off")) {
        set_value(p, s, p->off_value);
        return 0;
    }
    if (p->type == PLAN_PARAM_WORD) {
        for (unsigned i = 0; p->words[i]; i++)
            if (plan_yaml_is_word(node, p->words[i])) {
                set_value(p, s, i);
                return 0;
            }
        return plan_yaml_err(y, node, err, "%s is none of the words that are allowed: %s", what,
                             p->allowed);
    }
    if (p->type == PLAN_PARAM_NOISE)
        return parse_noise(y, p, node, what, s, err);
    if (p->type == PLAN_PARAM_BOOL) {
        bool b;
        if (plan_yaml_bool(y, node, what, &b, err))
            return -1;
        set_value(p, s, b);
        return 0;
    }
    double v;
    if (plan_yaml_f64(y, node, what, &v, err))
        return -1;
    bool whole = p->type != PLAN_PARAM_U32 || (v >= 0 && v <= UINT32_MAX && v == (double)(uint32_t)v);
    bool tiny = p->offset == AT(temperature) && v > 0 && v < 1e-6;
    if (!whole || tiny || v < p->min || v > p->max || (p->min_open && v == p->min) ||
        (p->max_open && v == p->max))
        return plan_yaml_err(y, node, err, "%s is %.17g; allowed: %s", what, v, p->allowed);
    set_value(p, s, v);
    return 0;
}

static int parse_stop(const struct plan_yaml *y, struct fy_node *node, const char *where,
                      struct rec_settings *s, struct arena *a, struct idem_err *err)
{
    char what[160];
    snprintf(what, sizeof what, "stop in %s", where);
    int n = plan_yaml_sequence(y, node, what, 0, 64, err);
    if (n < 0)
        return -1;
    const char **texts = arena_array(a, (size_t)n + 1, sizeof *texts);
    if (!texts)
        return err_memory(err, "stop texts", (unsigned)n * sizeof *texts);
    void *at = NULL;
    struct fy_node *item;
    for (int i = 0; i < n && plan_yaml_item(node, &at, &item); i++)
        if (!(texts[i] = plan_yaml_text(y, item, what, 1000, a, err)))
            return -1;
    s->stop = texts;
    s->n_stop = (size_t)n;
    return 0;
}

/* Where the sampler changes, its defaults take the place of those that nobody has named. */
static void change_sampler(const struct plan_param *p, unsigned named, struct rec_settings *s,
                           enum rec_sampler before)
{
    struct rec_settings d;
    if (p->offset != AT(sampler) || s->sampler == before)
        return;
    rec_settings_default(&d, s->sampler);
    for (const struct plan_param *q = plan_params; q->name; q++)
        if (q != p && !(named & plan_param_bit(q)))
            plan_param_copy(q, s, &d);
}

int plan_level_parse(const struct plan_yaml *y, const struct plan_param *p, struct fy_node *node,
                     const char *where, struct rec_settings *s, unsigned *named,
                     struct idem_err *err)
{
    enum rec_sampler before = s->sampler;
    if (plan_param_parse(y, p, node, where, s, err))
        return -1;
    change_sampler(p, *named, s, before);
    *named |= plan_param_bit(p);
    return 0;
}

int plan_settings_parse(const struct plan_yaml *y, struct fy_node *map, const char *where,
                        struct rec_settings *s, unsigned *named, struct arena *a,
                        struct idem_err *err)
{
    if (plan_yaml_is_mapping(map) && plan_yaml_get(map, "seed"))
        return plan_yaml_err(y, plan_yaml_get(map, "seed"), err, "'seed' does not belong in %s; "
                             "the seeds stand in 'seeds' at the top of the file", where);
    if (plan_yaml_keys(y, map, where, plan_setting_keys, err))
        return -1;
    struct fy_node *v = plan_yaml_get(map, "sampler");   /* first: the others' defaults are its */
    if (v && plan_level_parse(y, plan_param_find("sampler"), v, where, s, named, err))
        return -1;
    for (const struct plan_param *p = plan_params; p->name; p++)
        if (p->offset != AT(sampler) && (v = plan_yaml_get(map, p->name)) &&
            plan_level_parse(y, p, v, where, s, named, err))
            return -1;
    v = plan_yaml_get(map, "stop");
    return v ? parse_stop(y, v, where, s, a, err) : 0;
}

static void noise_text(const struct rec_settings *s, char out[ARITH_NOISE_TEXT])
{
    struct arith_noise z = rec_noise(s, 0);
    arith_noise_text(&z, out);
}

const char *plan_level_text(const struct plan_param *p, const struct rec_settings *s,
                            struct arena *a)
{
    double v = plan_param_value(p, s);
    char text[40];
    if (p->type == PLAN_PARAM_BOOL)
        return v != 0 ? "true" : "false";
    if (p->type == PLAN_PARAM_WORD)
        return p->words[(unsigned)v];
    if (p->type == PLAN_PARAM_NOISE) {
        noise_text(s, text);
        return arena_strdup(a, text);
    }
    if (p->offset == AT(top_k) && v == 0)
        return "off";            /* for the others the number itself says it */
    if (v >= 0 && v < 1e9 && v == (double)(uint64_t)v) {
        snprintf(text, sizeof text, "%.0f", v);
        return arena_strdup(a, text);
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return arena_strdup(a, text);
}

void plan_settings_words(struct buf *out, const struct rec_settings *s)
{
    struct rec_settings d;
    bool sampled = plan_settings_sampled(s), beams = s->num_beams > 1;
    rec_settings_default(&d, REC_SAMPLER_HF);
    d.top_k = 0;                 /* listed where it acts */
    buf_adds(out, sampled ? "sampled" : "greedy");
    for (const char *const *name = plan_setting_keys + 1; *name; name++) {
        const struct plan_param *p = plan_param_find(*name);
        double v = plan_param_value(p, s);
        bool always = p->offset == AT(max_new_tokens) || (sampled && p->offset == AT(temperature)) ||
                      (beams && p->offset == AT(length_penalty));
        bool drawing = p->offset == AT(temperature) || p->offset == AT(top_k) ||
                       p->offset == AT(top_p) || p->offset == AT(min_p) ||
                       (s->sampler == REC_SAMPLER_HF &&
                        (p->offset == AT(typical_p) || p->offset == AT(epsilon_cutoff) ||
                         p->offset == AT(eta_cutoff)));
        bool never = p->offset == AT(do_sample) || (!sampled && drawing) ||
                     (!beams && (p->offset == AT(length_penalty) || p->offset == AT(early_stopping)));
        if (never || (!always && v == plan_param_value(p, &d)))
            continue;
        char noise[ARITH_NOISE_TEXT];
        if (p->type == PLAN_PARAM_WORD)
            buf_addf(out, ", %s %s", p->name, p->words[(unsigned)v]);
        else if (p->type == PLAN_PARAM_NOISE)
            noise_text(s, noise), buf_addf(out, ", noise %s", noise);
        else
            buf_addf(out, ", %s %.10g", p->name, v);
    }
}

void plan_settings_fields(struct json *j, const struct rec_settings *s)
{
    for (const struct plan_param *p = plan_params; p->name; p++) {
        char noise[ARITH_NOISE_TEXT];
        if (p->type == PLAN_PARAM_NOISE) {   /* only where there is some: the keys of settings without */
            if (!s->noise)                   /* it are those of the time before it */
                continue;
            json_key(j, p->name);
            noise_text(s, noise);
            json_strz(j, noise);
            continue;
        }
        json_key(j, p->name);
        if (p->type == PLAN_PARAM_BOOL)
            json_bool(j, plan_param_value(p, s) != 0);
        else if (p->type == PLAN_PARAM_U32)
            json_u64(j, (uint64_t)plan_param_value(p, s));
        else if (p->offset == AT(early_stopping) && s->early_stopping != REC_EARLY_STOPPING_NEVER)
            json_bool(j, s->early_stopping == REC_EARLY_STOPPING_TRUE);
        else if (p->type == PLAN_PARAM_WORD)
            json_strz(j, p->words[(unsigned)plan_param_value(p, s)]);
        else
            json_f64(j, plan_param_value(p, s));
        if (!strcmp(p->name, "sampler")) {   /* keys stay in alphabetical order */
            json_key(j, "stop");
            json_begin(j, '[');
            for (size_t i = 0; i < s->n_stop; i++)
                json_str(j, s->stop[i], strlen(s->stop[i]));
            json_end(j);
        }
    }
}

void plan_settings_json(struct json *j, const struct rec_settings *s)
{
    json_begin(j, '{');
    plan_settings_fields(j, s);
    json_end(j);
}

bool plan_settings_sampled(const struct rec_settings *s)
{
    return s->do_sample && s->temperature > 0;
}
