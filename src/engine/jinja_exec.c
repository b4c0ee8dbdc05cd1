/* SPDX-License-Identifier: MIT
 * Runs Jinja's statements, and renders a template. */
#include <stdio.h>

#include "engine/jinja_impl.h"

enum { MEMORY_BYTES = 64 << 20, OUTPUT_BYTES = 16 << 20, STEPS = 2000000, PER_BYTE = 8 };

enum { OK = 0, FAILED = -1, BREAK = 1, CONTINUE = 2 };   /* how a list of statements ends */

static int run(struct jx *x, const struct jnode *n);

static int put(struct jx *x, const char *s, size_t len)
{
    if (buf_append(x->out, s, len) != 0) {
        x->out->failed = true;
        return jinja_fail(x, IDEM_ERR_LIMIT, "the template writes more than %zu bytes", x->out->max);
    }
    return jinja_spend(x, 1 + len / 64);
}

/* ---- scopes and captured output --------------------------------------------------------------------- */

/* Runs statements with `scope`; *out (if not NULL) gets what they write. */
static int run_in(struct jx *x, const struct jnode *n, struct jscope *scope, struct jv *out)
{
    struct jscope *outer = x->scope;
    struct buf *before = x->out, own;
    buf_init(&own, x->max_out);
    x->scope = scope;
    if (out)
        x->out = &own;
    int rc = run(x, n);
    x->scope = outer;
    x->out = before;
    if (out && rc != FAILED && jv_from_buf(x, &own, out) != 0)
        rc = FAILED;
    buf_release(&own);
    return rc;
}

static struct jscope *scope_in(struct jx *x, struct jscope *parent)
{
    struct jscope *s = jinja_new(x, 1, sizeof *s);
    if (s)
        s->parent = parent;
    return s;
}

/* The value of filters behind nothing, applied to v: of blocks. */
static int filtered(struct jx *x, const struct jnode *n, struct jv *v)
{
    struct jargs args;
    if (!n)
        return 0;
    if (filtered(x, n->a, v) != 0 || jinja_eval_args(x, n->b, &args) != 0)
        return -1;
    x->at = n;
    struct jv self = *v;
    return jinja_filter(x, n->s, n->len, self, &args, v);
}

/* ---- setting ------------------------------------------------------------------------------------------ */

static int assign(struct jx *x, const struct jnode *to, struct jv v)
{
    const struct jlist *l;
    x->at = to;
    if (to->kind == JN_NAME)
        return jinja_set_var(x, to->s, to->len, v);
    if (to->kind == JN_ATTR) {
        struct jv space;
        if (jinja_eval(x, to->a, &space) != 0)
            return -1;
        x->at = to;
        if (space.type != JV_NAMESPACE)
            return jinja_fail(x, IDEM_ERR_FORMAT, "only a namespace can be set into, not %s", jv_type_name(&space));
        if (to->s[0] == '_')
            return jinja_fail(x, IDEM_ERR_FORMAT, "a name in a namespace cannot begin with '_'");
        return jv_put(x, space.dict, jv_str(to->s, to->len), v);
    }
    if (jv_iterate(x, &v, &l) != 0)
        return -1;
    size_t i = 0;
    for (const struct jnode *t = to->a; t; t = t->next, i++)
        if (i < l->n && assign(x, t, l->at[i]) != 0)
            return -1;
    x->at = to;
    return i == l->n ? 0 : jinja_fail(x, IDEM_ERR_FORMAT, "%zu values for %zu names", l->n, i);
}

static int set(struct jx *x, const struct jnode *n)
{
    struct jv v;
    if (n->kind == JN_SET)
        return jinja_eval(x, n->b, &v) == 0 ? assign(x, n->a, v) : FAILED;
    struct jscope *s = scope_in(x, x->scope);
    if (!s || run_in(x, n->c, s, &v) == FAILED || filtered(x, n->b, &v) != 0)
        return FAILED;
    return assign(x, n->a, v);
}

static int with(struct jx *x, const struct jnode *n)
{
    struct jscope *s = scope_in(x, x->scope), *outer = x->scope;
    for (const struct jnode *name = n->a, *value = n->b; s && name; name = name->next, value = value->next) {
        struct jv v;
        if (jinja_eval(x, value, &v) != 0)
            return FAILED;
        x->scope = s;
        int rc = assign(x, name, v);
        x->scope = outer;
        if (rc != 0)
            return FAILED;
    }
    return s ? run_in(x, n->c, s, NULL) : FAILED;
}

/* ---- loops -------------------------------------------------------------------------------------------- */

/* What a loop walks over: all that passes its condition. */
static int loop_items(struct jx *x, const struct jnode *n, const struct jlist **items)
{
    struct jv v;
    if (jinja_eval(x, n->b, &v) != 0)
        return FAILED;
    x->at = n->b;
    if (jv_iterate(x, &v, items) != 0)
        return FAILED;
    if (!n->d)
        return OK;
    struct jlist *kept = jinja_new(x, 1, sizeof *kept);
    struct jscope *outer = x->scope;
    for (size_t i = 0; kept && i < (*items)->n; i++) {
        struct jv so = {0};
        if ((x->scope = scope_in(x, outer)) == NULL || assign(x, n->a, (*items)->at[i]) != 0 ||
            jinja_eval(x, n->d, &so) != 0 || (jv_truth(&so) && jv_push(x, kept, (*items)->at[i]) != 0))
            return FAILED;
    }
    x->scope = outer;
    *items = kept;
    return kept ? OK : FAILED;
}

static int loop(struct jx *x, const struct jnode *n)
{
    const struct jlist *items;
    struct jloop *l = jinja_new(x, 1, sizeof *l);
    struct jscope *outer = x->scope;
    if (!l || loop_items(x, n, &items) != OK)
        return FAILED;
    l->items = items;
    l->depth = 1;
    bool completed = false;     /* a run of the body that no jump left; only then is `else` skipped */
    for (l->i = 0; l->i < items->n; l->i++) {
        struct jscope *s = scope_in(x, outer);
        if (!s)
            return FAILED;
        x->scope = s;
        int rc = assign(x, n->a, items->at[l->i]);
        if (rc == 0)
            rc = jinja_set_var(x, "loop", 4, (struct jv){.type = JV_LOOP, {.loop = l}});
        x->scope = outer;
        if (rc != 0 || (rc = run_in(x, n->c, s, NULL)) == FAILED)
            return FAILED;
        if (rc == BREAK)
            break;
        completed |= rc == OK;
    }
    if (completed || !n->e)
        return OK;
    struct jscope *s = scope_in(x, outer);
    return s ? run_in(x, n->e, s, NULL) : FAILED;
}

/* ---- macros ------------------------------------------------------------------------------------------- */

static struct jmacro *macro(struct jx *x, const struct jnode *n)
{
    struct jmacro *m = jinja_new(x, 1, sizeof *m);
    if (m)
        *m = (struct jmacro){.node = n, .scope = x->scope};
    return m;
}

/* One parameter: from its place, its keyword or its default. *used counts what was taken. */
static int parameter(struct jx *x, const struct jnode *p, size_t i, const struct jargs *args, size_t *used)
{
    struct jv v = jv_undefined(p->s, p->len);
    const struct jv *kw = jv_lookup(x, &args->kw, p->s, p->len);
    if (i < args->pos.n && kw)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is given twice", (int)p->len, p->s);
    *used += i < args->pos.n || kw;
    if (i < args->pos.n)
        v = args->pos.at[i];
    else if (kw)
        v = *kw;
    else if (p->a && jinja_eval(x, p->a, &v) != 0)
        return -1;
    return jinja_set_var(x, p->s, p->len, v);
}

int jinja_call_macro(struct jx *x, const struct jmacro *m, const struct jargs *args, struct jv *out)
{
    struct jscope *s = scope_in(x, m->scope), *outer = x->scope;
    const struct jnode *from = x->at;
    size_t i = 0, used = 0;
    int rc = s ? 0 : -1;
    if (x->depth + 10 > JINJA_MAX_DEPTH)
        return jinja_fail(x, IDEM_ERR_LIMIT, "macros call each other too deeply");
    x->depth += 10;      /* a call takes more of the stack than an expression */
    x->scope = s;
    for (const struct jnode *p = m->node->a; rc == 0 && p; p = p->next, i++)
        rc = parameter(x, p, i, args, &used);
    if (rc == 0 && m->caller.type != JV_MISSING)
        rc = jinja_set_var(x, "caller", 6, m->caller);
    x->scope = outer;
    x->at = from;
    if (rc == 0 && used != args->pos.n + args->kw.n)
        rc = jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is called with arguments that it does not have",
                        (int)m->node->len, m->node->s);
    if (rc == 0 && run_in(x, m->node->c, s, out) == FAILED)
        rc = -1;
    x->depth -= 10;
    return rc;
}

static int call_block(struct jx *x, const struct jnode *n)
{
    struct jv f, text;
    struct jargs args;
    struct jmacro *caller = macro(x, n);
    if (!caller || jinja_eval(x, n->b->a, &f) != 0 || jinja_eval_args(x, n->b->b, &args) != 0)
        return FAILED;
    x->at = n;
    if (f.type != JV_MACRO)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "a call block around %s is not supported", jv_type_name(&f));
    if (!f.macro->node->caller)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is called by a block but does not use caller",
                          (int)f.macro->node->len, f.macro->node->s);
    struct jmacro m = *f.macro;
    m.caller = (struct jv){.type = JV_MACRO, {.macro = caller}};
    return jinja_call_macro(x, &m, &args, &text) == 0 ? put(x, text.s, text.len) : FAILED;
}

/* ---- statements --------------------------------------------------------------------------------------- */

static int output(struct jx *x, const struct jnode *n)
{
    struct jv v;
    if (jinja_eval(x, n->a, &v) != 0)
        return FAILED;
    x->at = n->a;
    if (v.type == JV_SAFE)
        v.type = JV_STR;
    return jv_text(x, &v, &v) == 0 ? put(x, v.s, v.len) : FAILED;
}

static int choose(struct jx *x, const struct jnode *n)
{
    for (;; n = n->c) {
        struct jv so;
        if (jinja_eval(x, n->a, &so) != 0)
            return FAILED;
        if (jv_truth(&so))
            return run(x, n->b);
        if (!n->elif)
            return run(x, n->c);
    }
}

static int captured(struct jx *x, const struct jnode *n)
{
    struct jv v;
    struct jscope *s = scope_in(x, x->scope);
    if (!s || run_in(x, n->c, s, &v) == FAILED || filtered(x, n->kind == JN_FILTER_BLOCK ? n->b : NULL, &v) != 0)
        return FAILED;
    if (v.type == JV_SAFE)
        v.type = JV_STR;
    return jv_text(x, &v, &v) == 0 ? put(x, v.s, v.len) : FAILED;
}

static int statement(struct jx *x, const struct jnode *n)
{
    switch (n->kind) {
    case JN_TEXT: return put(x, n->s, n->len);
    case JN_OUTPUT: return output(x, n);
    case JN_IF: return choose(x, n);
    case JN_FOR: return loop(x, n);
    case JN_SET: case JN_SET_BLOCK: return set(x, n);
    case JN_WITH: return with(x, n);
    case JN_CALL_BLOCK: return call_block(x, n);
    case JN_FILTER_BLOCK: case JN_SCOPE: return captured(x, n);
    case JN_BREAK: return BREAK;
    case JN_CONTINUE: return CONTINUE;
    case JN_MACRO: {
        struct jmacro *m = macro(x, n);
        return m ? jinja_set_var(x, n->s, n->len, (struct jv){.type = JV_MACRO, {.macro = m}}) : FAILED;
    }
    default: return jinja_fail(x, IDEM_ERR_FORMAT, "no statement");
    }
}

static int run(struct jx *x, const struct jnode *n)
{
    if (x->depth >= JINJA_MAX_DEPTH)
        return jinja_fail(x, IDEM_ERR_LIMIT, "nested more than %d deep", JINJA_MAX_DEPTH);
    x->depth++;
    int rc = OK;
    for (; n && rc == OK; n = n->next) {
        x->at = n;
        rc = jinja_spend(x, 1) == 0 ? statement(x, n) : FAILED;
    }
    x->depth--;
    return rc;
}

/* ---- rendering ------------------------------------------------------------------------------------------ */

static int message(struct jx *x, const struct idem_message *m, struct jlist *list)
{
    struct jdict *d = jinja_new(x, 1, sizeof *d);
    if (!d || jv_put(x, d, jv_str("role", 4), jv_str(m->role, strlen(m->role))) != 0 ||
        jv_put(x, d, jv_str("content", 7), jv_str(m->content, strlen(m->content))) != 0)
        return -1;
    return jv_push(x, list, (struct jv){.type = JV_DICT, {.dict = d}});
}

static int variable(struct jx *x, const struct jinja_var *v)
{
    if (v->type == JINJA_VAR_DAY) {
        x->day = v->i;
        return jinja_set_var(x, v->name, strlen(v->name), (struct jv){.type = JV_FUNCTION, {.fn = &jinja_strftime}});
    }
    struct jv value = v->type == JINJA_VAR_TEXT ? jv_str(v->text, strlen(v->text))
                    : v->type == JINJA_VAR_BOOL ? jv_bool(v->i != 0)
                    : v->type == JINJA_VAR_INT ? jv_int(v->i) : (struct jv){.type = JV_NONE};
    return jinja_set_var(x, v->name, strlen(v->name), value);
}

int jinja_render(const struct jinja *t, const struct idem_message *msgs, size_t n_msgs,
                 const struct jinja_var *vars, size_t n_vars, struct buf *out, struct idem_err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n_msgs; i++)
        bytes += strlen(msgs[i].role) + strlen(msgs[i].content) + sizeof(struct jv);
    struct jscope globals = {0};
    struct jlist list = {0};
    struct jx x = {
        .t = t, .out = out, .max_steps = STEPS + bytes, .max_out = OUTPUT_BYTES + PER_BYTE * bytes,
        .scope = &globals, .err = err,
    };
    arena_init(&x.arena, MEMORY_BYTES + PER_BYTE * bytes);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n_msgs; i++)
        rc = message(&x, &msgs[i], &list);
    for (size_t i = 0; rc == 0 && i < n_vars; i++)
        rc = variable(&x, &vars[i]);
    if (rc == 0)
        rc = jinja_set_var(&x, "messages", 8, (struct jv){.type = JV_LIST, {.list = &list}});
    if (rc == 0)
        rc = run(&x, t->body) == FAILED ? -1 : 0;
    arena_release(&x.arena);
    return rc;
}
