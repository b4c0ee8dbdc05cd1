/* SPDX-License-Identifier: MIT
 * The table of hyperparameters: names, ranges, canonical form. */
#include "plan/intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct rec_settings, field)

const struct plan_param plan_params[] = {
    {"do_sample", PLAN_PARAM_BOOL, AT(do_sample), 0, 1, false, false, 0, "true or false", true},
    {"max_new_tokens", PLAN_PARAM_U32, AT(max_new_tokens), 1, 1000000, false, false, 0,
     "a whole number from 1 to 1000000", false},
    {"min_p", PLAN_PARAM_F64, AT(min_p), 0, 1, false, true, 0, "a number from 0 to 1, or off", true},
    {"no_repeat_ngram_size", PLAN_PARAM_U32, AT(no_repeat_ngram_size), 0, 1000, false, true, 0,
     "a whole number from 0 to 1000, or off", true},
    {"num_return_sequences", PLAN_PARAM_U32, AT(num_return_sequences), 1, 1024, false, false, 0,
     "a whole number from 1 to 1024", false},
    {"repetition_penalty", PLAN_PARAM_F64, AT(repetition_penalty), 1e-6, 1000, false, true, 1,
     "a number from 1e-6 to 1000, or off", true},
    {"temperature", PLAN_PARAM_F64, AT(temperature), 0, 1000, false, false, 0,
     "a number from 1e-6 to 1000, or 0 (greedy)", true},
    {"top_k", PLAN_PARAM_U32, AT(top_k), 0, 10000000, false, true, 0,
     "a whole number from 1 to 10000000, or off", true},
    {"top_p", PLAN_PARAM_F64, AT(top_p), 0, 1, true, true, 1,
     "a number above 0 and at most 1, or off", true},
    {NULL, 0, 0, 0, 0, false, false, 0, NULL, false},
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
    case PLAN_PARAM_U32: return *(const uint32_t *)at;
    case PLAN_PARAM_F64: break;
    }
    return *(const double *)at;
}

static void set_value(const struct plan_param *p, struct rec_settings *s, double v)
{
    char *at = (char *)s + p->offset;
    if (p->type == PLAN_PARAM_BOOL)
        *(bool *)at = v != 0;
    else if (p->type == PLAN_PARAM_U32)
        *(uint32_t *)at = (uint32_t)v;
    else
        *(double *)at = v;
}

double plan_param_rank(const struct plan_param *p, const struct rec_settings *s)
{
    double v = plan_param_value(p, s);
    return p->offset == AT(top_k) && v == 0 ? 1e9 : v;
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
    if (!whole || tiny || v < p->min || v > p->max || (p->min_open && v == p->min))
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

int plan_settings_parse(const struct plan_yaml *y, struct fy_node *map, const char *where,
                        struct rec_settings *s, struct arena *a, struct idem_err *err)
{
    static const char *const allowed[] = {
        "do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
        "no_repeat_ngram_size", "max_new_tokens", "num_return_sequences", "stop", NULL,
    };
    if (plan_yaml_is_mapping(map) && plan_yaml_get(map, "seed"))
        return plan_yaml_err(y, plan_yaml_get(map, "seed"), err, "'seed' does not belong in %s; "
                             "the seeds stand in 'seeds' at the top of the file", where);
    if (plan_yaml_keys(y, map, where, allowed, err))
        return -1;
    struct fy_node *v;
    for (const struct plan_param *p = plan_params; p->name; p++)
        if ((v = plan_yaml_get(map, p->name)) && plan_param_parse(y, p, v, where, s, err))
            return -1;
    v = plan_yaml_get(map, "stop");
    return v ? parse_stop(y, v, where, s, a, err) : 0;
}

const char *plan_level_text(const struct plan_param *p, const struct rec_settings *s,
                            struct arena *a)
{
    double v = plan_param_value(p, s);
    char text[40];
    if (p->type == PLAN_PARAM_BOOL)
        return v != 0 ? "true" : "false";
    if (p->offset == AT(top_k) && v == 0)
        return "off";            /* for the others the number itself says it */
    if (v < 1e9 && v == (double)(uint64_t)v) {
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

void plan_settings_json(struct json *j, const struct rec_settings *s)
{
    json_begin(j, '{');
    for (const struct plan_param *p = plan_params; p->name; p++) {
        json_key(j, p->name);
        if (p->type == PLAN_PARAM_BOOL)
            json_bool(j, plan_param_value(p, s) != 0);
        else if (p->type == PLAN_PARAM_U32)
            json_u64(j, (uint64_t)plan_param_value(p, s));
        else
            json_f64(j, plan_param_value(p, s));
        if (!strcmp(p->name, "repetition_penalty")) {   /* keys stay in alphabetical order */
            json_key(j, "stop");
            json_begin(j, '[');
            for (size_t i = 0; i < s->n_stop; i++)
                json_str(j, s->stop[i], strlen(s->stop[i]));
            json_end(j);
        }
    }
    json_end(j);
}

bool plan_settings_sampled(const struct rec_settings *s)
{
    return s->do_sample && s->temperature > 0;
}
