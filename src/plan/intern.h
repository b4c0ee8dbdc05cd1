/* SPDX-License-Identifier: MIT
 * What the files of this room share: which part of the grid each purpose covers, and the
 * table of hyperparameters. */
#ifndef PLAN_INTERN_H
#define PLAN_INTERN_H

#include "base/buf.h"
#include "base/json.h"
#include "plan/plan.h"
#include "plan/yaml.h"

enum {
    PLAN_MAX_PROMPTS = 100000, PLAN_MAX_SETTINGS = 1000, PLAN_MAX_HOSTS = 1000,
    PLAN_MAX_SEEDS = 100000, PLAN_MAX_TRIALS = 10000000, PLAN_MAX_TEXT = 1 << 20,
    PLAN_MAX_LINE = 2000, PLAN_MAX_ID = 64, PLAN_MAX_TOP = 1000,
    PLAN_MAX_CHAT_VARS = 16
};

/* A rectangle of the grid: these prompts x these settings x the first n_seeds seeds, each
 * `count` times (count: repeats of a key). */
struct plan_part {
    const uint32_t *prompts, *settings;
    size_t n_prompts, n_settings, n_seeds;
    uint32_t count;
};

struct plan_intern {
    struct plan_part parts[PLAN_N_PURPOSES];   /* by enum rec_purpose; n_settings 0: not asked for */
};

/* ---- hyperparameters (settings.c) ---------------------------------------------------------- */

enum plan_param_type { PLAN_PARAM_BOOL, PLAN_PARAM_U32, PLAN_PARAM_F64, PLAN_PARAM_WORD,
                       PLAN_PARAM_NOISE /* a noise as text; its value is the packed number */ };

struct plan_param {
    const char *name;
    enum plan_param_type type;
    size_t offset;              /* in struct rec_settings */
    double min, max;            /* of numbers, inclusive */
    bool min_open, max_open;    /* min, max itself is not allowed */
    const char *const *words;   /* of PLAN_PARAM_WORD: by value, NULL-terminated */
    bool has_off;               /* the word `off` stands for off_value */
    double off_value;
    const char *allowed;        /* in words, for messages */
    bool claimable;             /* has a direction of its own: may stand in claims */
};

/* NULL-terminated by name == NULL, in alphabetical order; at most 31. */
extern const struct plan_param plan_params[];
/* All keys of a setting, NULL-terminated: `stop`, then the names of plan_params in the order in
 * which people read them. */
extern const char *const plan_setting_keys[];
const struct plan_param *plan_param_find(const char *name);
double plan_param_value(const struct plan_param *p, const struct rec_settings *s);
unsigned plan_param_bit(const struct plan_param *p);   /* its bit in plan_setting.named */
void plan_param_copy(const struct plan_param *p, struct rec_settings *to,
                     const struct rec_settings *from);
/* The value where `off` counts as what it does: for top_k, more than any number. */
double plan_param_rank(const struct plan_param *p, const struct rec_settings *s);

/* Sets one hyperparameter from a scalar. `where` names the mapping for messages. */
int plan_param_parse(const struct plan_yaml *y, const struct plan_param *p, struct fy_node *node,
                     const char *where, struct rec_settings *s, struct idem_err *err);
/* The same, and marks it in *named, the set of what the file says in so many words. Where the
 * sampler changes by it, all that is not in *named takes the new sampler's defaults. */
int plan_level_parse(const struct plan_yaml *y, const struct plan_param *p, struct fy_node *node,
                     const char *where, struct rec_settings *s, unsigned *named,
                     struct idem_err *err);
/* Sets all that the mapping names, `stop` included, `sampler` first. */
int plan_settings_parse(const struct plan_yaml *y, struct fy_node *map, const char *where,
                        struct rec_settings *s, unsigned *named, struct arena *a,
                        struct idem_err *err);
/* "0.1", "50", "true", "off" (top_k only): shortest text that reads back to the same value. */
const char *plan_level_text(const struct plan_param *p, const struct rec_settings *s,
                            struct arena *a);
bool plan_settings_sampled(const struct rec_settings *s);   /* noise enters */

#endif
