/* SPDX-License-Identifier: MIT
 * Reads an experiment file: header, settings, seeds. docs/experiment.md is its manual. */
#include "plan/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define ARENA_MAX ((size_t)4 << 30)

static int need_text(struct plan_parse *c, struct fy_node *root, const char *key, size_t max,
                     const char **out, struct idem_err *err)
{
    struct fy_node *n = plan_yaml_need(&c->y, root, "the experiment", key, err);
    if (!n)
        return -1;
    *out = plan_yaml_text(&c->y, n, key, max, &c->p->arena, err);
    return *out ? 0 : -1;
}

const char *plan_parse_id(const struct plan_yaml *y, struct fy_node *node, const char *what,
                          struct arena *a, struct idem_err *err)
{
    const char *s = plan_yaml_text(y, node, what, PLAN_MAX_ID, a, err);
    if (!s)
        return NULL;
    size_t ok = strspn(s, PLAN_ID_CHARACTERS);
    if (s[ok]) {
        plan_yaml_err(y, node, err, "%s is '%s'; allowed: letters, digits, '.', '_' and '-'", what,
                      s);
        return NULL;
    }
    return s;
}

/* ---- settings -------------------------------------------------------------------------------- */

/* What the ranges of single hyperparameters do not say; then the canonical form. */
static int complete_setting(struct plan_parse *c, struct fy_node *at, struct plan_setting *s,
                            struct idem_err *err)
{
    struct idem_err why = {0};
    if (rec_settings_check(&s->values, &why))
        return plan_yaml_err(&c->y, at, err, "%s", why.msg);
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json j = {.out = &b};
    plan_settings_json(&j, &s->values);
    s->canonical = b.failed ? NULL : arena_strndup(&c->p->arena, b.data, b.len);
    buf_release(&b);
    return s->canonical ? 0 : err_memory(err, "a setting", 1000);
}

static struct plan_setting *same_setting(const struct plan *p, const char *canonical)
{
    for (size_t i = 0; i < p->n_settings; i++)
        if (!strcmp(p->settings[i].canonical, canonical))
            return &p->settings[i];
    return NULL;
}

static int parse_base(struct plan_parse *c, struct fy_node *map, struct idem_err *err)
{
    struct plan *p = c->p;
    struct fy_node *n = plan_yaml_need(&c->y, map, "settings", "base", err);
    struct plan_setting *s = &p->settings[0];
    if (!n)
        return -1;
    s->id = "base";
    rec_settings_default(&s->values, REC_SAMPLER_HF);
    if (plan_settings_parse(&c->y, n, "base", &s->values, &s->named, &p->arena, err) ||
        complete_setting(c, n, s, err))
        return -1;
    p->n_settings = 1;
    return 0;
}

/* One level of one factor. A level that is the base's own adds nothing. */
static int parse_level(struct plan_parse *c, const struct plan_param *param, struct fy_node *node,
                       struct idem_err *err)
{
    struct plan *p = c->p;
    struct plan_setting *s = &p->settings[p->n_settings];
    char id[PLAN_MAX_ID * 2];
    *s = (struct plan_setting){.factor = param->name, .values = p->settings[0].values,
                                .named = p->settings[0].named};
    if (plan_level_parse(&c->y, param, node, "levels", &s->values, &s->named, err) ||
        complete_setting(c, node, s, err))
        return -1;
    s->level = plan_level_text(param, &s->values, &p->arena);
    if (!s->level)
        return err_memory(err, "a setting", 1000);
    const struct plan_setting *same = same_setting(p, s->canonical);
    if (same == &p->settings[0])
        return 0;
    if (same)
        return plan_yaml_err(&c->y, node, err, "level %s of %s stands there already", s->level,
                             param->name);
    snprintf(id, sizeof id, "%s=%s", param->name, s->level);
    s->id = arena_strdup(&p->arena, id);
    p->n_settings++;
    return s->id ? 0 : err_memory(err, "a setting", 1000);
}

static int parse_levels(struct plan_parse *c, struct fy_node *map, struct idem_err *err)
{
    void *at = NULL, *in;
    struct fy_node *key, *list, *item;
    if (plan_yaml_keys(&c->y, map, "levels", plan_setting_keys + 1, err))   /* `stop` is no factor */
        return -1;
    while (plan_yaml_pair(map, &at, &key, &list)) {
        const struct plan_param *param = plan_params;
        while (!plan_yaml_is_word(key, param->name))
            param++;
        if (plan_yaml_sequence(&c->y, list, param->name, 1, PLAN_MAX_SETTINGS, err) < 0)
            return -1;
        for (in = NULL; plan_yaml_item(list, &in, &item);) {
            if (c->p->n_settings >= PLAN_MAX_SETTINGS)
                return plan_yaml_err(&c->y, item, err, "more than %d settings", PLAN_MAX_SETTINGS);
            if (parse_level(c, param, item, err))
                return -1;
        }
    }
    return 0;
}

static int parse_corners(struct plan_parse *c, struct fy_node *map, struct idem_err *err)
{
    struct plan *p = c->p;
    void *at = NULL;
    struct fy_node *key, *value;
    if (!plan_yaml_is_mapping(map))
        return plan_yaml_err(&c->y, map, err, "corners must be a mapping (name: hyperparameters)");
    while (plan_yaml_pair(map, &at, &key, &value)) {
        struct plan_setting *s = &p->settings[p->n_settings];
        if (p->n_settings >= PLAN_MAX_SETTINGS)
            return plan_yaml_err(&c->y, key, err, "more than %d settings", PLAN_MAX_SETTINGS);
        *s = (struct plan_setting){.values = p->settings[0].values,
                                    .named = p->settings[0].named};
        if (!(s->id = plan_parse_id(&c->y, key, "name of a corner", &p->arena, err)) ||
            plan_settings_parse(&c->y, value, s->id, &s->values, &s->named, &p->arena, err) ||
            complete_setting(c, key, s, err))
            return -1;
        if (!strcmp(s->id, "base"))
            return plan_yaml_err(&c->y, key, err, "a corner cannot be called 'base'");
        const struct plan_setting *same = same_setting(p, s->canonical);
        if (same)
            return plan_yaml_err(&c->y, key, err, "corner '%s' is the same as setting '%s'; it "
                                 "would count twice", s->id, same->id);
        p->n_settings++;
    }
    return 0;
}

static int parse_settings(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"base", "levels", "corners", NULL};
    struct plan *p = c->p;
    struct fy_node *map = plan_yaml_need(&c->y, root, "the experiment", "settings", err), *n;
    if (!map || plan_yaml_keys(&c->y, map, "settings", allowed, err))
        return -1;
    p->settings = arena_array(&p->arena, PLAN_MAX_SETTINGS + 1, sizeof *p->settings);
    if (!p->settings)
        return err_memory(err, "settings", PLAN_MAX_SETTINGS * sizeof *p->settings);
    if (parse_base(c, map, err) ||
        ((n = plan_yaml_get(map, "levels")) && parse_levels(c, n, err)) ||
        ((n = plan_yaml_get(map, "corners")) && parse_corners(c, n, err)))
        return -1;
    return 0;
}

int plan_parse_setting(struct plan_parse *c, struct fy_node *node, const char *what,
                       uint32_t *index, struct idem_err *err)
{
    const struct plan *p = c->p;
    const char *names[PLAN_MAX_SETTINGS + 1];
    struct buf list;
    for (size_t i = 0; i < p->n_settings; i++) {
        if (plan_yaml_is_word(node, p->settings[i].id)) {
            *index = (uint32_t)i;
            return 0;
        }
        names[i] = p->settings[i].id;
    }
    names[p->n_settings] = NULL;
    const char *s = plan_yaml_text(&c->y, node, what, 200, &c->p->arena, err);
    if (!s)
        return -1;
    const char *near = plan_nearest(s, strlen(s), names);
    buf_init(&list, 600);
    for (size_t i = 0; names[i] && i < 40; i++)
        buf_addf(&list, "%s%s", i ? ", " : "", names[i]);
    plan_yaml_err(&c->y, node, err, "%s: no setting is called '%s'%s%s%s%s", what, s,
                  near ? "; did you mean '" : "", near ? near : "",
                  near ? "'? There are: " : "; there are: ", list.data ? list.data : "");
    buf_release(&list);
    return -1;
}

/* ---- seeds and what is kept ------------------------------------------------------------------- */

static int parse_seed_list(struct plan_parse *c, struct fy_node *list, struct idem_err *err)
{
    struct plan *p = c->p;
    int n = plan_yaml_sequence(&c->y, list, "seeds", 1, PLAN_MAX_SEEDS, err);
    if (n < 0)
        return -1;
    p->seeds = arena_array(&p->arena, (size_t)n, sizeof *p->seeds);
    if (!p->seeds)
        return err_memory(err, "seeds", (size_t)n * sizeof *p->seeds);
    void *at = NULL;
    struct fy_node *item;
    while (plan_yaml_item(list, &at, &item)) {
        uint64_t v;
        if (plan_yaml_u64(&c->y, item, "a seed", 0, INT64_MAX, &v, err))
            return -1;
        for (size_t i = 0; i < p->n_seeds; i++)
            if (p->seeds[i] == v)
                return plan_yaml_err(&c->y, item, err, "seed %llu stands there twice; it would "
                                     "count twice", (unsigned long long)v);
        p->seeds[p->n_seeds++] = v;
    }
    return 0;
}

static int parse_seeds(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"first", "count", NULL};
    struct plan *p = c->p;
    struct fy_node *n = plan_yaml_need(&c->y, root, "the experiment", "seeds", err), *f, *k;
    uint64_t first, count;
    if (!n)
        return -1;
    if (plan_yaml_is_sequence(n))
        return parse_seed_list(c, n, err);
    if (plan_yaml_keys(&c->y, n, "seeds (a list, or first and count)", allowed, err) ||
        !(f = plan_yaml_need(&c->y, n, "seeds", "first", err)) ||
        !(k = plan_yaml_need(&c->y, n, "seeds", "count", err)) ||
        plan_yaml_u64(&c->y, f, "first of seeds", 0, (uint64_t)INT64_MAX - PLAN_MAX_SEEDS, &first,
                      err) ||
        plan_yaml_u64(&c->y, k, "count of seeds", 1, PLAN_MAX_SEEDS, &count, err))
        return -1;
    p->seeds = arena_array(&p->arena, (size_t)count, sizeof *p->seeds);
    if (!p->seeds)
        return err_memory(err, "seeds", (size_t)count * sizeof *p->seeds);
    for (p->n_seeds = 0; p->n_seeds < count; p->n_seeds++)
        p->seeds[p->n_seeds] = first + p->n_seeds;
    return 0;
}

static int parse_keep(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"top", NULL};
    struct fy_node *n = plan_yaml_get(root, "keep"), *t;
    uint64_t v = 8;
    if (n && (plan_yaml_keys(&c->y, n, "keep", allowed, err) ||
              !(t = plan_yaml_need(&c->y, n, "keep", "top", err)) ||
              plan_yaml_u64(&c->y, t, "top in keep (alternatives per token)", 1, PLAN_MAX_TOP, &v,
                            err)))
        return -1;
    c->p->n_top = (uint32_t)v;
    return 0;
}

/* ---- the file ---------------------------------------------------------------------------------- */

static int parse_root(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {
        "name", "hypothesis", "title", "question", "model", "prompts", "perturbations", "answer", "settings", "seeds",
        "host", "repeats", "hosts", "keep", "controls", "claims", "decision", NULL,
    };
    struct plan *p = c->p;
    struct fy_node *n;
    if (!root)
        return err_set(err, IDEM_ERR_FORMAT, "%s: the file is empty; docs/experiment.md says what "
                       "must be in it", p->path);
    if (plan_yaml_keys(&c->y, root, "the experiment", allowed, err) ||
        !(n = plan_yaml_need(&c->y, root, "the experiment", "name", err)) ||
        !(p->name = plan_parse_id(&c->y, n, "name", &p->arena, err)) ||
        !(n = plan_yaml_need(&c->y, root, "the experiment", "hypothesis", err)) ||
        !(p->hypothesis = plan_parse_id(&c->y, n, "hypothesis", &p->arena, err)) ||
        need_text(c, root, "title", PLAN_MAX_LINE, &p->title, err) ||
        need_text(c, root, "question", PLAN_MAX_LINE, &p->question, err) ||
        need_text(c, root, "model", 4096, &p->model, err))
        return -1;
    if (plan_parse_prompts(c, root, err) || parse_settings(c, root, err) || parse_seeds(c, root, err) ||
        parse_keep(c, root, err) || plan_parse_perturbations(c, root, err) ||
        plan_parse_answer(c, root, err) || plan_parse_hosts(c, root, err) ||
        plan_parse_parts(c, root, err) || plan_parse_claims(c, root, err))
        return -1;
    return plan_parse_decision(c, root, err);
}

struct plan *plan_open(const char *path, const struct plan_options *o, struct idem_err *err)
{
    static const struct plan_options none = {0};
    struct plan_parse c = {.o = o ? o : &none};
    struct buf text;
    int rc = -1;
    buf_init(&text, 4 << 20);
    struct plan *p = calloc(1, sizeof *p);
    if (!p) {
        err_memory(err, "a plan", sizeof *p);
        return NULL;
    }
    c.p = p;
    arena_init(&p->arena, ARENA_MAX);
    p->intern = arena_alloc(&p->arena, sizeof *p->intern);
    p->path = arena_strdup(&p->arena, path);
    if (!p->intern || !p->path)
        err_memory(err, "a plan", sizeof *p->intern);
    else if (!file_read(&text, path, err)) {
        p->text = arena_strndup(&p->arena, text.data ? text.data : "", text.len);
        p->text_len = text.len;
        if (!p->text)
            err_memory(err, "an experiment file", text.len);
        else if (!plan_yaml_open(&c.y, p->path, p->text, p->text_len, err))
            rc = parse_root(&c, plan_yaml_root(&c.y), err);
    }
    plan_yaml_close(&c.y);
    buf_release(&text);
    if (rc) {
        plan_close(p);
        return NULL;
    }
    return p;
}

void plan_close(struct plan *p)
{
    if (!p)
        return;
    arena_release(&p->arena);
    free(p);
}
