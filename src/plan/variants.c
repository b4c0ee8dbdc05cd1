/* SPDX-License-Identifier: MIT
 * The perturbed prompts of an experiment: every prompt under every perturbation. */
#include <stdio.h>
#include <string.h>

#include "perturb/perturb.h"
#include "plan/experiment.h"

enum { MAX_PERTURBATIONS = 1000, MAX_DRAWS = 1000, MAX_VARIANTS = 1000000, MAX_KEEP = 16, MAX_SPANS = 1000 };

struct variants {
    struct plan_parse *c;
    struct perturb_list *lists[PERTURB_N_LISTS];
    struct perturb_spec *specs;          /* [n_perturbations], beside plan.perturbations */
    size_t n_keep;
    const char *keep[MAX_KEEP];          /* names of attributes */
    struct fy_node *keep_at;
};

/* ---- what is to be done ------------------------------------------------------------------------- */

static int read_lists(struct variants *v, struct fy_node *map, struct idem_err *err)
{
    struct plan_parse *c = v->c;
    const char *names[PERTURB_N_LISTS];
    for (int i = 1; i < PERTURB_N_LISTS; i++)
        names[i - 1] = perturb_list_name((enum perturb_list_kind)i);
    names[PERTURB_N_LISTS - 1] = NULL;
    if (plan_yaml_keys(&c->y, map, "lists in perturbations", names, err))
        return -1;
    for (int i = 1; i < PERTURB_N_LISTS; i++) {
        struct fy_node *n = plan_yaml_get(map, names[i - 1]);
        struct buf path;
        if (!n)
            continue;
        const char *name = plan_yaml_text(&c->y, n, names[i - 1], 4096, &c->p->arena, err);
        if (!name)
            return -1;
        if (plan_parse_path(c, name, &path))
            err_memory(err, "the path of a list", strlen(name));
        else if (!(v->lists[i] = perturb_list_read((enum perturb_list_kind)i, path.data, err)))
            err_prefix(err, "%s: lists in perturbations", c->p->path);
        buf_release(&path);
        if (!v->lists[i])
            return -1;
    }
    return 0;
}

static int read_keep(struct variants *v, struct fy_node *n, struct idem_err *err)
{
    struct plan_parse *c = v->c;
    struct fy_node *item;
    void *at = NULL;
    v->keep_at = n;
    if (!plan_yaml_is_sequence(n)) {
        v->n_keep = 1;
        return (v->keep[0] = plan_yaml_text(&c->y, n, "keep in perturbations", PLAN_MAX_ID, &c->p->arena, err)) ? 0 : -1;
    }
    if (plan_yaml_sequence(&c->y, n, "keep in perturbations", 1, MAX_KEEP, err) < 0)
        return -1;
    while (plan_yaml_item(n, &at, &item))
        if (!(v->keep[v->n_keep++] = plan_yaml_text(&c->y, item, "keep in perturbations", PLAN_MAX_ID, &c->p->arena, err)))
            return -1;
    return 0;
}

/* One perturbation with one seed, at the end of those there are. */
static int add(struct variants *v, const struct perturb_spec *spec, uint64_t seed, struct fy_node *at, struct idem_err *err)
{
    struct plan *p = v->c->p;
    bool random = perturb_spec_random(spec);
    char id[PERTURB_MAX_NAME + 32];
    if (p->n_perturbations == MAX_PERTURBATIONS)
        return plan_yaml_err(&v->c->y, at, err, "more than %d perturbations, each seed counted", MAX_PERTURBATIONS);
    if (random)
        snprintf(id, sizeof id, "%s/%llu", spec->name, (unsigned long long)seed);
    else
        snprintf(id, sizeof id, "%s", spec->name);
    for (size_t i = 0; i < p->n_perturbations; i++)
        if (!strcmp(p->perturbations[i].id, id))
            return perturb_spec_identity(spec) ? 0   /* it is there already, always */
                   : plan_yaml_err(&v->c->y, at, err, "%s stands there twice; it would count twice", id);
    struct plan_perturbation *q = &p->perturbations[p->n_perturbations];
    *q = (struct plan_perturbation){.id = arena_strdup(&p->arena, id), .name = arena_strdup(&p->arena, spec->name),
                                    .random = random, .seed = random ? seed : 0};
    v->specs[p->n_perturbations++] = *spec;
    return q->id && q->name ? 0 : err_memory(err, "a perturbation", sizeof id);
}

static int read_spec(struct variants *v, struct fy_node *n, struct perturb_spec *spec, struct idem_err *err)
{
    struct plan_parse *c = v->c;
    struct idem_err why = {0};
    const char *name = plan_yaml_text(&c->y, n, "a perturbation", 200, &c->p->arena, err);
    if (!name)
        return -1;
    if (perturb_spec_parse(spec, name, &why))
        return plan_yaml_err(&c->y, n, err, "%s", why.msg);
    enum perturb_list_kind list = perturb_spec_list(spec);
    if (list && !v->lists[list])
        return plan_yaml_err(&c->y, n, err, "%s needs a list; write 'lists: {%s: FILE}' in perturbations", name,
                             perturb_list_name(list));
    return perturb_spec_check(spec, v->lists[list], &why) ? plan_yaml_err(&c->y, n, err, "%s", why.msg) : 0;
}

/* seeds: N stands for 1 to N; or a list. */
static int read_seeds(struct variants *v, const struct perturb_spec *spec, struct fy_node *n, struct idem_err *err)
{
    const struct plan_yaml *y = &v->c->y;
    struct fy_node *item;
    void *at = NULL;
    uint64_t seed, count;
    if (!perturb_spec_random(spec))
        return plan_yaml_err(y, n, err, "%s leaves nothing to chance, so seeds would change nothing; take them out",
                             spec->name);
    if (!plan_yaml_is_sequence(n)) {
        if (plan_yaml_u64(y, n, "seeds of a perturbation (a list, or how many: 1 to N)", 1, MAX_DRAWS, &count, err))
            return -1;
        for (seed = 1; seed <= count; seed++)
            if (add(v, spec, seed, n, err))
                return -1;
        return 0;
    }
    if (plan_yaml_sequence(y, n, "seeds of a perturbation", 1, MAX_DRAWS, err) < 0)
        return -1;
    while (plan_yaml_item(n, &at, &item))
        if (plan_yaml_u64(y, item, "a seed of a perturbation", 0, INT64_MAX, &seed, err) || add(v, spec, seed, item, err))
            return -1;
    return 0;
}

static int read_entry(struct variants *v, struct fy_node *n, struct idem_err *err)
{
    static const char *const allowed[] = {"kind", "seeds", NULL};
    struct perturb_spec spec;
    struct fy_node *kind, *seeds;
    if (!plan_yaml_is_mapping(n))
        return read_spec(v, n, &spec, err) || add(v, &spec, 1, n, err) ? -1 : 0;
    if (plan_yaml_keys(&v->c->y, n, "a perturbation", allowed, err) ||
        !(kind = plan_yaml_need(&v->c->y, n, "a perturbation", "kind", err)) || read_spec(v, kind, &spec, err))
        return -1;
    seeds = plan_yaml_get(n, "seeds");
    return seeds ? read_seeds(v, &spec, seeds, err) : add(v, &spec, 1, n, err);
}

/* The list of what is done; identity comes first, whether it stands there or not. */
static int read_apply(struct variants *v, struct fy_node *list, struct idem_err *err)
{
    struct plan *p = v->c->p;
    struct perturb_spec identity;
    struct fy_node *item;
    void *at = NULL;
    if (plan_yaml_sequence(&v->c->y, list, "perturbations", 1, MAX_PERTURBATIONS, err) < 0)
        return -1;
    p->perturbations = arena_array(&p->arena, MAX_PERTURBATIONS, sizeof *p->perturbations);
    v->specs = arena_array(&p->arena, MAX_PERTURBATIONS, sizeof *v->specs);
    if (!p->perturbations || !v->specs)
        return err_memory(err, "perturbations", MAX_PERTURBATIONS * sizeof *v->specs);
    if (perturb_spec_parse(&identity, "identity", err) || add(v, &identity, 0, list, err))
        return -1;
    while (plan_yaml_item(list, &at, &item))
        if (read_entry(v, item, err))
            return -1;
    return 0;
}

/* ---- doing it ------------------------------------------------------------------------------------ */

/* Every place of the kept attributes in the body of a prompt. */
static int find_keep(struct variants *v, const struct plan_prompt *q, struct perturb_span *spans, size_t *n,
                     struct idem_err *err)
{
    const struct plan_yaml *y = &v->c->y;
    *n = 0;
    for (size_t k = 0; k < v->n_keep; k++) {
        const char *text = NULL, *at = q->text + q->body_from, *end = q->text + q->body_to;
        for (size_t i = 0; i < q->n_attributes; i++)
            if (!strcmp(q->attributes[i].name, v->keep[k]))
                text = q->attributes[i].value;
        if (!text || !text[0])
            return plan_yaml_err(y, v->keep_at, err, "prompt '%s' has no attribute '%s' to keep; give it one, or "
                                 "take it out of keep", q->id, v->keep[k]);
        size_t len = strlen(text), before = *n;
        while (*n < MAX_SPANS && (at = memmem(at, (size_t)(end - at), text, len))) {
            spans[(*n)++] = (struct perturb_span){(size_t)(at - q->text), (size_t)(at - q->text) + len};
            at += len;
        }
        if (*n == before)
            return plan_yaml_err(y, v->keep_at, err, "prompt '%s' does not hold its own '%s' (%.80s), which is to be "
                                 "kept", q->id, v->keep[k], text);
    }
    return 0;
}

/* What the key of a trial names: the prompt, what was done, and what came out. */
static int variant_digest(const struct plan_prompt *base, const struct plan_perturbation *b, struct plan_prompt *q,
                          struct idem_err *err)
{
    struct digest d = {0};
    if (digest_init(&d))
        return err_memory(err, "a digest", 0);
    digest_str(&d, "perturbed", 9);
    digest_str(&d, base->digest, DIGEST_HEX - 1);
    digest_str(&d, b->name, strlen(b->name));
    digest_u64(&d, b->seed);
    digest_str(&d, q->text, strlen(q->text));
    digest_final(&d, q->digest);
    return 0;
}

static const char *order_text(const struct perturb_result *r, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < r->n_order; i++)
        buf_addf(&b, "%s%u", i ? "," : "", r->order[i]);
    const char *s = b.failed ? NULL : arena_strndup(a, b.data ? b.data : "", b.len);
    buf_release(&b);
    return s;
}

static int keep_variant(struct variants *v, const struct plan_prompt *base, uint32_t index,
                        const struct perturb_result *r, struct idem_err *err)
{
    struct plan *p = v->c->p;
    const struct plan_perturbation *b = &p->perturbations[index];
    struct plan_prompt *q = &p->prompts[p->n_prompts];
    char id[PLAN_MAX_ID + PERTURB_MAX_NAME + 40];
    *q = *base;
    q->perturbation = index;
    q->attributes = NULL;
    q->n_attributes = 0;
    snprintf(id, sizeof id, "%s/%s", base->id, b->id);
    q->body_from = r->body_from;
    q->body_to = r->body_to;
    if (!(q->id = arena_strdup(&p->arena, id)) || !(q->text = arena_strndup(&p->arena, r->text, r->len)) ||
        !(q->diff = arena_strdup(&p->arena, r->diff)) || (r->n_order && !(q->order = order_text(r, &p->arena))))
        return err_memory(err, "a perturbed prompt", r->len);
    if (r->len > PLAN_MAX_TEXT)
        return err_set(err, IDEM_ERR_LIMIT, "%s: prompt '%s' has %zu bytes; allowed: at most %d", p->path, id, r->len,
                       PLAN_MAX_TEXT);
    for (size_t i = p->n_prompts; i > 0 && p->prompts[i - 1].base == base->base && p->prompts[i - 1].perturbation != 0 &&
                                  p->prompts[i - 1].perturbation != PLAN_UNPERTURBED; i--)
        if (!strcmp(p->prompts[i - 1].text, q->text)) {
            p->n_same++;
            break;
        }
    p->n_prompts++;
    return variant_digest(base, b, q, err);
}

static int perturb_one(struct variants *v, const struct plan_prompt *base, uint32_t index, struct perturb_input *in,
                       struct idem_err *err)
{
    struct plan *p = v->c->p;
    struct perturb_result r;
    in->list = v->lists[perturb_spec_list(&v->specs[index])];
    if (perturb_apply(&v->specs[index], p->perturbations[index].seed, in, &r, err))
        return err_prefix(err, "%s: prompt '%s', %s", p->path, base->id, p->perturbations[index].id);
    int rc = 0;
    if (r.applies) {
        p->perturbations[index].n_applies++;
        rc = keep_variant(v, base, index, &r, err);
    } else {
        p->skips[p->n_skips++] = (struct plan_skip){.prompt = base->base, .perturbation = index, .why = r.why};
    }
    perturb_result_release(&r);
    return rc;
}

static int perturb_all(struct variants *v, struct idem_err *err)
{
    struct plan *p = v->c->p;
    size_t n = p->n_prompts, all = n * p->n_perturbations;
    if (all > MAX_VARIANTS)
        return err_set(err, IDEM_ERR_LIMIT, "%s: %zu prompts under %zu perturbations are more than %d; take fewer",
                       p->path, n, p->n_perturbations, MAX_VARIANTS);
    struct plan_prompt *prompts = arena_array(&p->arena, n + all, sizeof *prompts);
    struct perturb_span *spans = arena_array(&p->arena, MAX_SPANS, sizeof *spans);
    p->skips = arena_array(&p->arena, all, sizeof *p->skips);
    if (!prompts || !spans || !p->skips)
        return err_memory(err, "perturbed prompts", (n + all) * sizeof *prompts);
    memcpy(prompts, p->prompts, n * sizeof *prompts);
    p->prompts = prompts;
    for (size_t i = 0; i < n; i++) {
        const struct plan_prompt *q = &prompts[i];
        struct perturb_input in = {.text = q->text, .len = strlen(q->text), .body_from = q->body_from,
                                   .body_to = q->body_to, .keep = spans};
        if (find_keep(v, q, spans, &in.n_keep, err))
            return -1;
        for (uint32_t k = 0; k < p->n_perturbations; k++)
            if (perturb_one(v, q, k, &in, err))
                return -1;
    }
    return 0;
}

int plan_parse_perturbations(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"keep", "lists", "settings", "seeds", "apply", NULL};
    struct fy_node *n = plan_yaml_get(root, "perturbations"), *apply = n, *part;
    struct variants v = {.c = c};
    int rc = 0;
    if (!n)
        return 0;
    if (!plan_yaml_is_sequence(n)) {
        if (plan_yaml_keys(&c->y, n, "perturbations", allowed, err) ||
            !(apply = plan_yaml_need(&c->y, n, "perturbations", "apply", err)) ||
            ((part = plan_yaml_get(n, "lists")) && read_lists(&v, part, err)) ||
            ((part = plan_yaml_get(n, "keep")) && read_keep(&v, part, err)))
            rc = -1;
    }
    if (rc == 0 && (read_apply(&v, apply, err) || perturb_all(&v, err)))
        rc = -1;
    for (int i = 0; i < PERTURB_N_LISTS; i++)
        perturb_list_free(v.lists[i]);
    return rc;
}
