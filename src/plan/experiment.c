/* SPDX-License-Identifier: MIT
 * Reads an experiment file: header, prompts, settings, seeds. docs/experiment.md is its manual. */
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

/* Letters, digits and ._- only: ids become columns, anchors and file names. */
static const char *parse_id(const struct plan_yaml *y, struct fy_node *node, const char *what,
                            struct arena *a, struct idem_err *err)
{
    const char *s = plan_yaml_text(y, node, what, PLAN_MAX_ID, a, err);
    if (!s)
        return NULL;
    size_t ok = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (s[ok]) {
        plan_yaml_err(y, node, err, "%s is '%s'; allowed: letters, digits, '.', '_' and '-'", what,
                      s);
        return NULL;
    }
    return s;
}

/* ---- prompts -------------------------------------------------------------------------------- */

static int compare_vars(const void *a, const void *b)
{
    return strcmp(((const struct idem_chat_var *)a)->name, ((const struct idem_chat_var *)b)->name);
}

/* chat_template and chat_vars of a prompt; the variables in the order of their names. */
static int parse_chat(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *node,
                      struct plan_prompt *q, struct idem_err *err)
{
    struct arena *a = &c->p->arena;
    struct fy_node *n, *key, *value;
    void *at = NULL;
    if ((n = plan_yaml_get(node, "chat_template")) &&
        !(q->chat_template = plan_yaml_text(y, n, "chat_template of a prompt", PLAN_MAX_TEXT, a, err)))
        return -1;
    if (n && !q->chat)
        return plan_yaml_err(y, n, err, "prompt '%s' has a chat_template but is not chat; write 'chat: true' or "
                             "take it out", q->id);
    if (!(n = plan_yaml_get(node, "chat_vars")))
        return 0;
    if (!q->chat || !plan_yaml_is_mapping(n))
        return plan_yaml_err(y, n, err, "chat_vars of prompt '%s' must be names with values, beside 'chat: true'", q->id);
    struct idem_chat_var *vars = arena_array(a, PLAN_MAX_CHAT_VARS, sizeof *vars);
    if (!vars)
        return err_memory(err, "variables of a chat template", PLAN_MAX_CHAT_VARS);
    while (plan_yaml_pair(n, &at, &key, &value)) {
        if (q->n_chat_vars == PLAN_MAX_CHAT_VARS)
            return plan_yaml_err(y, n, err, "prompt '%s' has more than %d chat_vars", q->id, PLAN_MAX_CHAT_VARS);
        struct idem_chat_var *v = &vars[q->n_chat_vars++];
        if (!(v->name = plan_yaml_text(y, key, "a name in chat_vars", 64, a, err)) ||
            !(v->value = plan_yaml_text(y, value, "a value in chat_vars", PLAN_MAX_TEXT, a, err)))
            return -1;
        if (v->name[strspn(v->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
            return plan_yaml_err(y, key, err, "'%s' is no name of a variable: letters, digits and _ only", v->name);
    }
    qsort(vars, q->n_chat_vars, sizeof *vars, compare_vars);
    q->chat_vars = vars;
    return 0;
}

static int parse_prompt(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *node,
                        struct plan_prompt *q, struct idem_err *err)
{
    static const char *const allowed[] = {"id", "kind", "text", "chat", "system", "chat_template", "chat_vars", NULL};
    struct arena *a = &c->p->arena;
    struct fy_node *id, *kind, *text, *n;
    if (plan_yaml_keys(y, node, "a prompt", allowed, err) ||
        !(id = plan_yaml_need(y, node, "a prompt", "id", err)) ||
        !(kind = plan_yaml_need(y, node, "a prompt", "kind", err)) ||
        !(text = plan_yaml_need(y, node, "a prompt", "text", err)) ||
        !(q->id = parse_id(y, id, "id of a prompt", a, err)) ||
        !(q->kind = parse_id(y, kind, "kind of a prompt", a, err)) ||
        !(q->text = plan_yaml_text(y, text, "text of a prompt", PLAN_MAX_TEXT, a, err)))
        return -1;
    if ((n = plan_yaml_get(node, "chat")) && plan_yaml_bool(y, n, "chat of a prompt", &q->chat, err))
        return -1;
    if ((n = plan_yaml_get(node, "system"))) {
        if (!(q->system = plan_yaml_text(y, n, "system of a prompt", PLAN_MAX_TEXT, a, err)))
            return -1;
        if (!q->chat)
            return plan_yaml_err(y, n, err, "prompt '%s' has a system message but is not chat; "
                                 "write 'chat: true' or take it out", q->id);
    }
    if (parse_chat(c, y, node, q, err))
        return -1;
    struct digest d = {0};
    if (digest_init(&d))
        return err_memory(err, "a digest", 0);
    digest_str(&d, q->chat ? "chat" : "raw", q->chat ? 4 : 3);
    digest_str(&d, q->system ? q->system : "", q->system ? strlen(q->system) : 0);
    digest_str(&d, q->text, strlen(q->text));
    if (q->chat_template || q->n_chat_vars)
        digest_str(&d, q->chat_template ? q->chat_template : "", q->chat_template ? strlen(q->chat_template) : 0);
    for (size_t i = 0; i < q->n_chat_vars; i++) {
        digest_str(&d, q->chat_vars[i].name, strlen(q->chat_vars[i].name));
        digest_str(&d, q->chat_vars[i].value, strlen(q->chat_vars[i].value));
    }
    digest_final(&d, q->digest);
    return 0;
}

struct prompt_ref {              /* for finding equal ids and equal texts */
    const char *key, *id;
    size_t index;
};

static int compare_refs(const void *a, const void *b)
{
    const struct prompt_ref *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

static int check_unique(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *list,
                        bool by_id, struct idem_err *err)
{
    const struct plan *p = c->p;
    size_t n = p->n_prompts, second = 0;
    const struct prompt_ref *first = NULL;
    struct prompt_ref *refs = calloc(n + 1, sizeof *refs);
    if (!refs)
        return err_memory(err, "prompt ids", n * sizeof *refs);
    for (size_t i = 0; i < n; i++)
        refs[i] = (struct prompt_ref){by_id ? p->prompts[i].id : p->prompts[i].digest,
                                      p->prompts[i].id, i};
    qsort(refs, n, sizeof *refs, compare_refs);
    for (size_t i = 1; i < n && !first; i++)
        if (!strcmp(refs[i - 1].key, refs[i].key)) {
            first = &refs[i - 1];
            second = refs[i].index;
        }
    int rc = 0;
    if (first) {
        void *at = NULL;
        struct fy_node *node = NULL;
        for (size_t i = 0; i <= second && plan_yaml_item(list, &at, &node); i++)
            ;
        rc = by_id ? plan_yaml_err(y, node, err, "a second prompt with the id '%s'; ids must "
                                   "differ", first->id)
                   : plan_yaml_err(y, node, err, "prompt '%s' is the same as prompt '%s'; it would "
                                   "count twice", p->prompts[second].id, first->id);
    }
    free(refs);
    return rc;
}

static int parse_prompt_list(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *list,
                             struct idem_err *err)
{
    struct plan *p = c->p;
    int n = plan_yaml_sequence(y, list, "prompts", 1, PLAN_MAX_PROMPTS, err);
    if (n < 0)
        return -1;
    p->prompts = arena_array(&p->arena, (size_t)n, sizeof *p->prompts);
    if (!p->prompts)
        return err_memory(err, "prompts", (size_t)n * sizeof *p->prompts);
    void *at = NULL;
    struct fy_node *item;
    while (plan_yaml_item(list, &at, &item))
        if (parse_prompt(c, y, item, &p->prompts[p->n_prompts++], err))
            return -1;
    if (check_unique(c, y, list, true, err) || check_unique(c, y, list, false, err))
        return -1;
    p->n_prompts_declared = p->n_prompts;
    if (c->o->limit_prompts && c->o->limit_prompts < p->n_prompts)
        p->n_prompts = c->o->limit_prompts;
    return 0;
}

/* A path that does not begin with '/' is relative to the experiment file. */
static int prompt_path(struct plan_parse *c, const char *name, struct buf *path)
{
    const char *slash = strrchr(c->p->path, '/');
    buf_init(path, 1 << 16);
    if (name[0] != '/' && slash)
        buf_add(path, c->p->path, (size_t)(slash - c->p->path) + 1);
    buf_adds(path, name);
    return path->failed ? -1 : 0;
}

static int parse_prompt_file(struct plan_parse *c, struct fy_node *node, struct idem_err *err)
{
    static const char *const allowed[] = {"prompts", "source", "license", NULL};
    struct buf path = {0}, text = {0};
    struct plan_yaml y = {0};
    struct fy_node *root, *list;
    int rc = -1;
    buf_init(&text, 4 << 20);
    const char *name = plan_yaml_text(&c->y, node, "prompts", 4096, &c->p->arena, err);
    if (!name)
        return -1;
    if (prompt_path(c, name, &path)) {
        err_memory(err, "the path of the prompt file", strlen(name));
    } else if (file_read(&text, path.data, err)) {
        err_prefix(err, "%s: prompts", c->p->path);
    } else if (!plan_yaml_open(&y, path.data, text.data ? text.data : "", text.len, err)) {
        root = plan_yaml_root(&y);
        if (!root)
            plan_yaml_err(&y, NULL, err, "an empty prompt file");
        else if (!plan_yaml_keys(&y, root, "a prompt file", allowed, err) &&
                 (list = plan_yaml_need(&y, root, "a prompt file", "prompts", err)))
            rc = parse_prompt_list(c, &y, list, err);
    }
    plan_yaml_close(&y);
    buf_release(&text);
    buf_release(&path);
    return rc;
}

static int parse_prompts(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    struct fy_node *n = plan_yaml_need(&c->y, root, "the experiment", "prompts", err);
    if (!n)
        return -1;
    return plan_yaml_is_sequence(n) ? parse_prompt_list(c, &c->y, n, err)
                                    : parse_prompt_file(c, n, err);
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
        if (!(s->id = parse_id(&c->y, key, "name of a corner", &p->arena, err)) ||
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
        "name", "hypothesis", "title", "question", "model", "prompts", "settings", "seeds", "host",
        "repeats", "hosts", "keep", "controls", "claims", "decision", NULL,
    };
    struct plan *p = c->p;
    struct fy_node *n;
    if (!root)
        return err_set(err, IDEM_ERR_FORMAT, "%s: the file is empty; docs/experiment.md says what "
                       "must be in it", p->path);
    if (plan_yaml_keys(&c->y, root, "the experiment", allowed, err) ||
        !(n = plan_yaml_need(&c->y, root, "the experiment", "name", err)) ||
        !(p->name = parse_id(&c->y, n, "name", &p->arena, err)) ||
        !(n = plan_yaml_need(&c->y, root, "the experiment", "hypothesis", err)) ||
        !(p->hypothesis = parse_id(&c->y, n, "hypothesis", &p->arena, err)) ||
        need_text(c, root, "title", PLAN_MAX_LINE, &p->title, err) ||
        need_text(c, root, "question", PLAN_MAX_LINE, &p->question, err) ||
        need_text(c, root, "model", 4096, &p->model, err))
        return -1;
    if (parse_prompts(c, root, err) || parse_settings(c, root, err) || parse_seeds(c, root, err) ||
        parse_keep(c, root, err) || plan_parse_hosts(c, root, err) ||
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
