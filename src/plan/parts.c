/* SPDX-License-Identifier: MIT
 * Reads host states, the parts of the grid that each purpose covers, claims and the decision. */
#include "plan/experiment.h"

#include <stdio.h>
#include <string.h>

/* ---- host states ------------------------------------------------------------------------------ */

/* Fills *h, which holds the defaults, from a mapping. */
static int parse_host(struct plan_parse *c, struct fy_node *map, const char *what,
                      struct plan_host *h, struct idem_err *err)
{
    static const char *const allowed[] = {"threads", "batch", "chunk", "cache", NULL};
    static const uint64_t max[] = {1024, 1024, 1 << 20};
    uint32_t *fields[] = {&h->state.threads, &h->state.batch, &h->state.chunk};
    char where[80], id[160];
    struct fy_node *n;
    if (plan_yaml_keys(&c->y, map, what, allowed, err))
        return -1;
    for (size_t i = 0; i < 3; i++) {
        uint64_t v = *fields[i];
        snprintf(where, sizeof where, "%s in %s", allowed[i], what);
        if ((n = plan_yaml_get(map, allowed[i])) &&
            plan_yaml_u64(&c->y, n, where, 1, max[i], &v, err))
            return -1;
        *fields[i] = (uint32_t)v;
    }
    if ((n = plan_yaml_get(map, "cache"))) {
        if (!plan_yaml_is_word(n, "cold") && !plan_yaml_is_word(n, "forked"))
            return plan_yaml_err(&c->y, n, err, "cache in %s; allowed: cold, forked", what);
        h->state.cache = plan_yaml_is_word(n, "cold") ? REC_CACHE_COLD : REC_CACHE_FORKED;
    }
    snprintf(id, sizeof id, "threads=%u batch=%u chunk=%u cache=%s", h->state.threads,
             h->state.batch, h->state.chunk, rec_cache_name(h->state.cache));
    h->id = arena_strdup(&c->p->arena, id);
    return h->id ? 0 : err_memory(err, "a host state", sizeof id);
}

int plan_parse_hosts(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    struct plan *p = c->p;
    struct fy_node *host = plan_yaml_get(root, "host"), *hosts = plan_yaml_get(root, "hosts");
    struct fy_node *states = NULL, *item;
    int n = 0;
    if (hosts) {
        if (!plan_yaml_is_mapping(hosts))
            return plan_yaml_err(&c->y, hosts, err, "hosts must be a mapping (key: value)");
        states = plan_yaml_need(&c->y, hosts, "hosts", "states", err);
        n = states ? plan_yaml_sequence(&c->y, states, "states in hosts", 1, PLAN_MAX_HOSTS, err)
                   : -1;
        if (n < 0)
            return -1;
    }
    p->hosts = arena_array(&p->arena, (size_t)n + 1, sizeof *p->hosts);
    if (!p->hosts)
        return err_memory(err, "host states", (size_t)n * sizeof *p->hosts);
    struct plan_host *h = &p->hosts[0];
    h->state = (struct rec_host){.threads = 2, .batch = 8, .chunk = 512};
    h->id = "threads=2 batch=8 chunk=512 cache=cold";
    if (host && parse_host(c, host, "host", h, err))
        return -1;
    p->n_hosts = 1;
    void *at = NULL;
    while (states && plan_yaml_item(states, &at, &item)) {
        h = &p->hosts[p->n_hosts];
        *h = p->hosts[0];
        if (parse_host(c, item, "a state in hosts", h, err))
            return -1;
        for (size_t i = 1; i < p->n_hosts; i++)
            if (!strcmp(h->id, p->hosts[i].id))
                return plan_yaml_err(&c->y, item, err, "a second state %s; it would count twice",
                                     h->id);
        p->n_hosts++;
    }
    return 0;
}

/* ---- parts of the grid ------------------------------------------------------------------------ */

static int all_indices(struct plan_parse *c, size_t n, const uint32_t **out, struct idem_err *err)
{
    uint32_t *v = arena_array(&c->p->arena, n + 1, sizeof *v);
    if (!v)
        return err_memory(err, "a part of the grid", n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (uint32_t)i;
    *out = v;
    return 0;
}

/* `all`, a number (the first N), or a list of ids. With --limit, prompts that are not there are
 * left out; if none remains, the first one stands in, so that no control is lost. */
static int parse_prompt_part(struct plan_parse *c, struct fy_node *node, const char *what,
                             struct plan_part *part, struct idem_err *err)
{
    struct plan *p = c->p;
    uint64_t first = p->n_bases;
    if (node && plan_yaml_is_sequence(node)) {
        int n = plan_yaml_sequence(&c->y, node, what, 1, p->n_prompts_declared, err);
        uint32_t *v = n < 0 ? NULL : arena_array(&p->arena, (size_t)n + 1, sizeof *v);
        if (!v)
            return n < 0 ? -1 : err_memory(err, what, (size_t)n * sizeof *v);
        void *at = NULL;
        struct fy_node *item;
        while (plan_yaml_item(node, &at, &item)) {
            size_t i = 0;
            while (i < p->n_prompts_declared && !plan_yaml_is_word(item, c->declared[i].id))
                i++;
            if (i == p->n_prompts_declared)
                return plan_yaml_err(&c->y, item, err, "%s names a prompt that is not there", what);
            for (size_t k = 0; k < part->n_prompts; k++)
                if (v[k] == i)
                    return plan_yaml_err(&c->y, item, err, "%s names prompt '%s' twice", what,
                                         c->declared[i].id);
            if (i < p->n_bases)
                v[part->n_prompts++] = (uint32_t)i;
        }
        part->n_prompts = part->n_prompts ? part->n_prompts : 1;
        part->prompts = v;
        return 0;
    }
    char hint[160];
    snprintf(hint, sizeof hint, "%s (all, a list of ids, or the first N)", what);
    if (node && !plan_yaml_is_word(node, "all") &&
        plan_yaml_u64(&c->y, node, hint, 1, p->n_prompts_declared, &first, err))
        return -1;
    part->n_prompts = first < p->n_bases ? (size_t)first : p->n_bases;
    return all_indices(c, part->n_prompts, &part->prompts, err);
}

/* `all` or a list of ids. */
static int parse_setting_part(struct plan_parse *c, struct fy_node *node, const char *what,
                              struct plan_part *part, struct idem_err *err)
{
    struct plan *p = c->p;
    if (!node || plan_yaml_is_word(node, "all")) {
        part->n_settings = p->n_settings;
        return all_indices(c, p->n_settings, &part->settings, err);
    }
    int n = plan_yaml_sequence(&c->y, node, what, 1, p->n_settings, err);
    uint32_t *v = n < 0 ? NULL : arena_array(&p->arena, (size_t)n + 1, sizeof *v);
    if (!v)
        return n < 0 ? -1 : err_memory(err, what, (size_t)n * sizeof *v);
    void *at = NULL;
    struct fy_node *item;
    while (plan_yaml_item(node, &at, &item)) {
        if (plan_parse_setting(c, item, what, &v[part->n_settings], err))
            return -1;
        for (size_t k = 0; k < part->n_settings; k++)
            if (v[k] == v[part->n_settings])
                return plan_yaml_err(&c->y, item, err, "%s names one setting twice", what);
        part->n_settings++;
    }
    part->settings = v;
    return 0;
}

/* {settings | setting, prompts, seeds, count}; absent: all, all, n_seeds, count as given. */
static int parse_part(struct plan_parse *c, struct fy_node *map, const char *name,
                      const char *const *allowed, struct plan_part *part, struct idem_err *err)
{
    struct plan *p = c->p;
    char what[4][80];
    uint64_t seeds = part->n_seeds, count = part->count;
    static const char *const keys[] = {"settings", "prompts", "seeds", "count"};
    if (plan_yaml_keys(&c->y, map, name, allowed, err))
        return -1;
    for (size_t i = 0; i < 4; i++)
        snprintf(what[i], sizeof what[i], "%s in %s", keys[i], name);
    struct fy_node *one = plan_yaml_get(map, "setting"), *n;
    if (one) {
        uint32_t *v = arena_alloc(&p->arena, sizeof *v);
        if (!v)
            return err_memory(err, name, sizeof *v);
        if (plan_parse_setting(c, one, name, v, err))
            return -1;
        part->settings = v;
        part->n_settings = 1;
    } else if (parse_setting_part(c, plan_yaml_get(map, "settings"), what[0], part, err)) {
        return -1;
    }
    if (parse_prompt_part(c, plan_yaml_get(map, "prompts"), what[1], part, err))
        return -1;
    if ((n = plan_yaml_get(map, "seeds")) && !plan_yaml_is_word(n, "all") &&
        plan_yaml_u64(&c->y, n, what[2], 1, p->n_seeds, &seeds, err))
        return -1;
    if (n && plan_yaml_is_word(n, "all"))
        seeds = p->n_seeds;
    if ((n = plan_yaml_get(map, "count")) &&
        plan_yaml_u64(&c->y, n, what[3], 2, 100000, &count, err))
        return -1;
    part->n_seeds = (size_t)seeds;
    part->count = (uint32_t)count;
    return 0;
}

/* A control: one setting. sampled: noise must be able to show. */
static int parse_control(struct plan_parse *c, struct fy_node *controls, const char *key,
                         enum rec_purpose purpose, bool sampled, struct idem_err *err)
{
    static const char *const allowed[] = {"setting", "prompts", "count", NULL};
    static const char *const allowed_seeds[] = {"setting", "prompts", "seeds", NULL};
    bool vary = purpose == REC_PURPOSE_CONTROL_VARY;
    struct plan_part *part = &c->p->intern->parts[purpose];
    struct fy_node *map = plan_yaml_need(&c->y, controls, "controls", key, err), *setting;
    char name[80];
    snprintf(name, sizeof name, "control '%s'", key);
    part->n_seeds = vary ? c->p->n_seeds : 1;
    part->count = vary ? 1 : 2;
    if (!map || parse_part(c, map, name, vary ? allowed_seeds : allowed, part, err) ||
        !(setting = plan_yaml_need(&c->y, map, name, "setting", err)))
        return -1;
    if (purpose == REC_PURPOSE_CONTROL_CAPTURE && part->count != 2)
        return plan_yaml_err(&c->y, plan_yaml_get(map, "count"), err, "%s has no count: it is one "
                             "computation with and one without log-probabilities", name);
    if (sampled && !plan_settings_sampled(&c->p->settings[part->settings[0]].values))
        return plan_yaml_err(&c->y, setting, err, "%s needs a setting with do_sample and a "
                             "temperature above 0; '%s' is greedy", name,
                             c->p->settings[part->settings[0]].id);
    if (vary && part->n_seeds < 2)
        return plan_yaml_err(&c->y, map, err, "%s needs at least 2 seeds", name);
    return 0;
}

static int parse_controls(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"identical", "vary", "seed", "capture", NULL};
    struct fy_node *n = plan_yaml_need(&c->y, root, "the experiment", "controls", err);
    if (!n || plan_yaml_keys(&c->y, n, "controls", allowed, err) ||
        parse_control(c, n, "identical", REC_PURPOSE_CONTROL_IDENTICAL, false, err) ||
        parse_control(c, n, "vary", REC_PURPOSE_CONTROL_VARY, true, err) ||
        parse_control(c, n, "seed", REC_PURPOSE_CONTROL_SEED, true, err) ||
        parse_control(c, n, "capture", REC_PURPOSE_CONTROL_CAPTURE, false, err))
        return -1;
    return 0;
}

/* The perturbed prompts under the settings and seeds that `perturbations` names; all if it does not. */
static int parse_perturbed(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    struct plan *p = c->p;
    struct plan_part *part = &p->intern->parts[REC_PURPOSE_PERTURBED];
    struct fy_node *map = plan_yaml_get(root, "perturbations"), *n;
    uint64_t seeds = p->n_seeds;
    if (!map)
        return 0;
    if (!plan_yaml_is_mapping(map))
        map = NULL;
    *part = (struct plan_part){.n_prompts = p->n_prompts - p->n_bases, .count = 1};
    uint32_t *v = arena_array(&p->arena, part->n_prompts + 1, sizeof *v);
    if (!v)
        return err_memory(err, "perturbed prompts", part->n_prompts * sizeof *v);
    for (size_t i = 0; i < part->n_prompts; i++)
        v[i] = (uint32_t)(p->n_bases + i);
    part->prompts = v;
    if (map && (n = plan_yaml_get(map, "seeds")) && !plan_yaml_is_word(n, "all") &&
        plan_yaml_u64(&c->y, n, "seeds in perturbations", 1, p->n_seeds, &seeds, err))
        return -1;
    part->n_seeds = (size_t)seeds;
    return parse_setting_part(c, map ? plan_yaml_get(map, "settings") : NULL, "settings in perturbations", part, err);
}

int plan_parse_parts(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const repeat_keys[] = {"settings", "prompts", "seeds", "count", NULL};
    static const char *const host_keys[] = {"settings", "prompts", "seeds", "states", NULL};
    struct plan *p = c->p;
    struct plan_part *parts = p->intern->parts;
    struct fy_node *n;
    struct plan_part *seeds = &parts[REC_PURPOSE_SEEDS];
    *seeds = (struct plan_part){.n_prompts = p->n_bases, .n_settings = p->n_settings,
                                .n_seeds = p->n_seeds, .count = 1};
    if (all_indices(c, p->n_bases, &seeds->prompts, err) ||
        all_indices(c, p->n_settings, &seeds->settings, err))
        return -1;
    if ((n = plan_yaml_get(root, "repeats"))) {
        parts[REC_PURPOSE_REPEATS] = (struct plan_part){.n_seeds = 1, .count = 2};
        if (parse_part(c, n, "repeats", repeat_keys, &parts[REC_PURPOSE_REPEATS], err))
            return -1;
        p->n_repeats = parts[REC_PURPOSE_REPEATS].count;
    }
    if ((n = plan_yaml_get(root, "hosts"))) {
        parts[REC_PURPOSE_HOSTS] = (struct plan_part){.n_seeds = 1, .count = 1};
        if (parse_part(c, n, "hosts", host_keys, &parts[REC_PURPOSE_HOSTS], err))
            return -1;
    }
    return parse_perturbed(c, root, err) || parse_controls(c, root, err) ? -1 : 0;
}

/* ---- claims ------------------------------------------------------------------------------------- */

/* Puts the base and all levels of a factor in the order that the claim gives them. */
static int order_settings(struct plan_parse *c, const struct plan_param *param, bool lower,
                          struct fy_node *at, struct plan_claim *claim, struct idem_err *err)
{
    struct plan *p = c->p;
    uint32_t *v = arena_array(&p->arena, p->n_settings + 1, sizeof *v);
    const char **levels = arena_array(&p->arena, p->n_settings + 1, sizeof *levels);
    if (!v || !levels)
        return err_memory(err, "a claim", p->n_settings * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < p->n_settings; i++) {
        const struct plan_setting *s = &p->settings[i];
        if (i && (!s->factor || strcmp(s->factor, param->name) != 0))
            continue;
        double rank = plan_param_rank(param, &s->values);
        size_t k = n++;
        while (k > 0 && lower == (rank < plan_param_rank(param, &p->settings[v[k - 1]].values))) {
            v[k] = v[k - 1];
            k--;
        }
        v[k] = (uint32_t)i;
    }
    for (size_t k = 0; k < n; k++)
        if (!(levels[k] = plan_level_text(param, &p->settings[v[k]].values, &p->arena)))
            return err_memory(err, "a claim", 100);
    if (n < 2)
        return plan_yaml_err(&c->y, at, err, "a claim about %s needs at least one level of it that "
                             "is not the base's; add one under levels", param->name);
    claim->settings = v;
    claim->levels = levels;
    claim->n_settings = n;
    return 0;
}

static int parse_claim(struct plan_parse *c, struct fy_node *map, struct plan_claim *claim,
                       struct idem_err *err)
{
    static const char *const allowed[] = {"id", "text", "factor", "more_deterministic", NULL};
    struct plan *p = c->p;
    struct fy_node *id, *text, *factor, *dir;
    if (plan_yaml_keys(&c->y, map, "a claim", allowed, err) ||
        !(id = plan_yaml_need(&c->y, map, "a claim", "id", err)) ||
        !(text = plan_yaml_need(&c->y, map, "a claim", "text", err)) ||
        !(factor = plan_yaml_need(&c->y, map, "a claim", "factor", err)) ||
        !(dir = plan_yaml_need(&c->y, map, "a claim", "more_deterministic", err)) ||
        !(claim->id = plan_yaml_text(&c->y, id, "id of a claim", PLAN_MAX_ID, &p->arena, err)) ||
        !(claim->text = plan_yaml_text(&c->y, text, "text of a claim", PLAN_MAX_LINE, &p->arena,
                                       err)) ||
        !(claim->factor = plan_yaml_text(&c->y, factor, "factor of a claim", PLAN_MAX_ID, &p->arena,
                                         err)))
        return -1;
    const struct plan_param *param = plan_param_find(claim->factor);
    if (!param || !param->claimable)
        return plan_yaml_err(&c->y, factor, err, "factor of a claim is '%s'; allowed: do_sample, "
                             "temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, "
                             "eta_cutoff, repetition_penalty, presence_penalty, frequency_penalty, "
                             "no_repeat_ngram_size", claim->factor);
    bool lower = plan_yaml_is_word(dir, "lower");
    if (!lower && !plan_yaml_is_word(dir, "higher"))
        return plan_yaml_err(&c->y, dir, err, "more_deterministic of a claim; allowed: lower, "
                             "higher (false counts as lower than true, top_k off as highest)");
    for (const struct plan_claim *q = p->claims; q < claim; q++)
        if (!strcmp(q->id, claim->id))
            return plan_yaml_err(&c->y, id, err, "a second claim with the id '%s'", claim->id);
    return order_settings(c, param, lower, factor, claim, err);
}

int plan_parse_claims(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    struct plan *p = c->p;
    struct fy_node *list = plan_yaml_get(root, "claims"), *item;
    if (!list)
        return 0;
    int n = plan_yaml_sequence(&c->y, list, "claims", 1, 100, err);
    if (n < 0)
        return -1;
    p->claims = arena_array(&p->arena, (size_t)n, sizeof *p->claims);
    if (!p->claims)
        return err_memory(err, "claims", (size_t)n * sizeof *p->claims);
    void *at = NULL;
    while (plan_yaml_item(list, &at, &item)) {
        if (parse_claim(c, item, &p->claims[p->n_claims], err))
            return -1;
        p->n_claims++;
    }
    return 0;
}

/* ---- the decision -------------------------------------------------------------------------------- */

int plan_parse_decision(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"confidence", "max_differing", "correction", "measure",
                                          "text", NULL};
    static const char *const measures[] = {"distinct_outputs", "identical_pairs", "parted_share"};
    struct plan_decision *d = &c->p->decision;
    struct fy_node *map = plan_yaml_need(&c->y, root, "the experiment", "decision", err), *n, *m, *t;
    *d = (struct plan_decision){.confidence = 0.95, .measure = measures[0]};
    if (!map || plan_yaml_keys(&c->y, map, "decision", allowed, err))
        return -1;
    if ((n = plan_yaml_get(map, "confidence"))) {
        if (plan_yaml_f64(&c->y, n, "confidence in decision", &d->confidence, err))
            return -1;
        if (d->confidence < 0.5 || d->confidence >= 1)
            return plan_yaml_err(&c->y, n, err, "confidence in decision is %.17g; allowed: from 0.5 "
                                 "to below 1", d->confidence);
    }
    if ((n = plan_yaml_get(map, "correction"))) {
        if (!plan_yaml_is_word(n, "holm") && !plan_yaml_is_word(n, "none"))
            return plan_yaml_err(&c->y, n, err, "correction in decision; allowed: holm, none");
        d->correction = plan_yaml_is_word(n, "none") ? PLAN_CORRECTION_NONE : PLAN_CORRECTION_HOLM;
    }
    if ((n = plan_yaml_get(map, "measure"))) {
        size_t i = 0;
        while (i < 3 && !plan_yaml_is_word(n, measures[i]))
            i++;
        if (i == 3)
            return plan_yaml_err(&c->y, n, err, "measure in decision; allowed: distinct_outputs, "
                                 "identical_pairs, parted_share");
        d->measure = measures[i];
    }
    if (!(m = plan_yaml_need(&c->y, map, "decision", "max_differing", err)) ||
        plan_yaml_f64(&c->y, m, "max_differing in decision", &d->max_differing, err))
        return -1;
    if (d->max_differing <= 0 || d->max_differing >= 1)
        return plan_yaml_err(&c->y, m, err, "max_differing in decision is %.17g; allowed: above 0 "
                             "and below 1", d->max_differing);
    if (!(t = plan_yaml_need(&c->y, map, "decision", "text", err)))
        return -1;
    d->text = plan_yaml_text(&c->y, t, "text of the decision", 10000, &c->p->arena, err);
    return d->text ? 0 : -1;
}
