/* SPDX-License-Identifier: MIT
 * Evaluates Jinja's expressions. */
#include <stdarg.h>
#include <stdio.h>

#include "engine/jinja_impl.h"

int jinja_fail(struct jx *x, enum idem_err_code code, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return jinja_error_at(x->err, x->t->src, x->at ? x->at->pos : 0, code, "%s", text);
}

int jinja_spend(struct jx *x, size_t n)
{
    x->steps += n;
    if (x->steps <= x->max_steps)
        return 0;
    return jinja_fail(x, IDEM_ERR_LIMIT, "the template takes more than %llu steps", (unsigned long long)x->max_steps);
}

void *jinja_new(struct jx *x, size_t n, size_t size)
{
    void *p = arena_array(&x->arena, n, size);
    if (!p)
        jinja_fail(x, IDEM_ERR_LIMIT, "the template takes more than %zu bytes of memory", x->arena.max);
    return p;
}

/* ---- names ---------------------------------------------------------------------------------------- */

int jinja_set_var(struct jx *x, const char *s, size_t len, struct jv v)
{
    struct jvar *var = x->scope->vars;
    size_t seen = 1;
    for (; var && (var->len != len || memcmp(var->name, s, len) != 0); var = var->next)
        seen++;
    if (!var) {
        if ((var = jinja_new(x, 1, sizeof *var)) == NULL)
            return -1;
        *var = (struct jvar){s, len, v, x->scope->vars};
        x->scope->vars = var;
    }
    var->value = v;
    return jinja_spend(x, seen);
}

static int name(struct jx *x, const struct jnode *n, struct jv *out)
{
    size_t seen = 0;
    for (const struct jscope *s = x->scope; s; s = s->parent)
        for (const struct jvar *v = s->vars; v; v = v->next, seen++)
            if (v->len == n->len && memcmp(v->name, n->s, n->len) == 0) {
                *out = v->value;
                return jinja_spend(x, seen);
            }
    static const char *const others[] = {"self", "varargs", "kwargs", "cycler", "joiner", "lipsum"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strlen(others[i]) == n->len && memcmp(others[i], n->s, n->len) == 0)
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "'%s' is not supported", others[i]);
    *out = jv_undefined(n->s, n->len);
    const struct jbuiltin *fn = jinja_function(n->s, n->len);
    if (fn)
        *out = (struct jv){.type = JV_FUNCTION, {.fn = fn}};
    return jinja_spend(x, seen);
}

/* ---- operators ------------------------------------------------------------------------------------- */

static int overflow(struct jx *x)
{
    return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "numbers beyond 64 bits are not supported");
}

static int integers(struct jx *x, const char *op, int64_t a, int64_t b, struct jv *out)
{
    bool over = false;
    *out = jv_int(0);
    if (strcmp(op, "+") == 0)
        over = __builtin_add_overflow(a, b, &out->i);
    else if (strcmp(op, "-") == 0)
        over = __builtin_sub_overflow(a, b, &out->i);
    else if (strcmp(op, "*") == 0)
        over = __builtin_mul_overflow(a, b, &out->i);
    else if (strcmp(op, "/") == 0 || strcmp(op, "**") == 0)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "the operator '%s' is not supported", op);
    else if (b == 0)
        return jinja_fail(x, IDEM_ERR_FORMAT, "division by zero");
    else if (b == -1)
        over = op[0] == '/' && __builtin_sub_overflow(0, a, &out->i);
    else if (op[0] == '/')
        out->i = a / b - (a % b != 0 && (a < 0) != (b < 0));
    else
        out->i = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
    return over ? overflow(x) : 0;
}

static int repeat(struct jx *x, struct jv v, int64_t n, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    for (int64_t i = 0; l && i < n; i++) {
        if (v.type == JV_STR && jv_push(x, l, v) != 0)
            return -1;
        for (size_t k = 0; v.type != JV_STR && k < v.list->n; k++)
            if (jv_push(x, l, v.list->at[k]) != 0)
                return -1;
        if (jinja_spend(x, 1) != 0)
            return -1;
    }
    *out = (struct jv){.type = v.type, {.list = l}};
    return !l ? -1 : v.type == JV_STR ? jv_join(x, l->at, l->n, jv_str("", 0), out) : 0;
}

static int add_lists(struct jx *x, struct jv a, struct jv b, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    *out = (struct jv){.type = a.type, {.list = l}};
    for (int part = 0; l && part < 2; part++) {
        const struct jlist *from = part ? b.list : a.list;
        for (size_t i = 0; i < from->n; i++)
            if (jv_push(x, l, from->at[i]) != 0)
                return -1;
    }
    return l ? 0 : -1;
}

static int arithmetic(struct jx *x, const char *op, struct jv a, struct jv b, struct jv *out)
{
    bool a_list = a.type == JV_LIST || a.type == JV_TUPLE || a.type == JV_STR;
    bool b_list = b.type == JV_LIST || b.type == JV_TUPLE || b.type == JV_STR;
    const struct jv *gone = a.type == JV_UNDEFINED ? &a : b.type == JV_UNDEFINED ? &b : NULL;
    if (jv_is_int(&a) && jv_is_int(&b))
        return integers(x, op, a.i, b.i, out);
    if (strcmp(op, "+") == 0 && a.type == JV_STR && b.type == JV_STR)
        return jv_join(x, (struct jv[2]){a, b}, 2, jv_str("", 0), out);
    if (strcmp(op, "+") == 0 && a_list && a.type == b.type)
        return add_lists(x, a, b, out);
    if (strcmp(op, "*") == 0 && ((a_list && jv_is_int(&b)) || (b_list && jv_is_int(&a))))
        return a_list ? repeat(x, a, b.i, out) : repeat(x, b, a.i, out);
    if (gone && (op[0] != '%' || a.type != JV_STR))
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined", (int)gone->len, gone->s);
    bool maybe = (strcmp(op, "%") == 0 && a.type == JV_STR) || a.type == JV_SAFE || b.type == JV_SAFE;
    return jinja_fail(x, maybe ? IDEM_ERR_UNSUPPORTED : IDEM_ERR_FORMAT, "'%s' of %s and %s is not %s", op,
                      jv_type_name(&a), jv_type_name(&b), maybe ? "supported" : "possible");
}

static int binary(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv a, b;
    char op[4] = "";
    if (jinja_eval(x, n->a, &a) != 0 || jinja_eval(x, n->b, &b) != 0)
        return -1;
    memcpy(op, n->s, n->len < 3 ? n->len : 3);
    x->at = n;
    return arithmetic(x, op, a, b, out);
}

static int compare_one(struct jx *x, const struct jnode *n, const struct jv *a, const struct jv *b, bool *out)
{
    int order = 0;
    x->at = n;
    if (strcmp(n->s, "in") == 0 || strcmp(n->s, "not in") == 0) {
        if (jv_contains(x, a, b, out) != 0)
            return -1;
        *out ^= n->s[0] == 'n';
        return 0;
    }
    if (strcmp(n->s, "==") == 0 || strcmp(n->s, "!=") == 0) {
        if (jv_equal(x, a, b, out) != 0)
            return -1;
        *out ^= n->s[0] == '!';
        return 0;
    }
    if (jv_order(x, a, b, &order) != 0)
        return -1;
    *out = (n->s[0] == '<' ? order < 0 : order > 0) || (n->s[1] == '=' && order == 0);
    return 0;
}

static int compare(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv a, b;
    bool so = true;
    if (jinja_eval(x, n->a, &a) != 0)
        return -1;
    for (const struct jnode *o = n->b; o && so; o = o->next, a = b)
        if (jinja_eval(x, o->a, &b) != 0 || compare_one(x, o, &a, &b, &so) != 0)
            return -1;
    *out = jv_bool(so);
    return 0;
}

static int concat(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    for (const struct jnode *p = n->a; l && p; p = p->next) {
        struct jv v;
        if (jinja_eval(x, p, &v) != 0 || jv_text(x, &v, &v) != 0 || jv_push(x, l, v) != 0)
            return -1;
    }
    return l ? jv_join(x, l->at, l->n, jv_str("", 0), out) : -1;
}

static int sign(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv v;
    if (jinja_eval(x, n->a, &v) != 0)
        return -1;
    x->at = n;
    if (!jv_is_int(&v))
        return jinja_fail(x, IDEM_ERR_FORMAT, "%s has no sign", jv_type_name(&v));
    *out = jv_int(v.i);
    return n->kind == JN_NEG && __builtin_sub_overflow(0, v.i, &out->i) ? overflow(x) : 0;
}

/* ---- displays, parts --------------------------------------------------------------------------------- */

static int list(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    for (const struct jnode *p = n->a; l && p; p = p->next) {
        struct jv v;
        if (jinja_eval(x, p, &v) != 0 || jv_push(x, l, v) != 0)
            return -1;
    }
    *out = (struct jv){.type = n->kind == JN_LIST ? JV_LIST : JV_TUPLE, {.list = l}};
    return l ? 0 : -1;
}

static int dict(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jdict *d = jinja_new(x, 1, sizeof *d);
    for (const struct jnode *p = n->a; d && p; p = p->next->next) {
        struct jv key, value;
        if (jinja_eval(x, p, &key) != 0 || jinja_eval(x, p->next, &value) != 0 || jv_put(x, d, key, value) != 0)
            return -1;
    }
    *out = (struct jv){.type = JV_DICT, {.dict = d}};
    return d ? 0 : -1;
}

static int part(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv of, bounds[3] = {{.type = JV_NONE}, {.type = JV_NONE}, {.type = JV_NONE}};
    const struct jnode *const from[3] = {n->b, n->c, n->d};
    if (jinja_eval(x, n->a, &of) != 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (from[i] && jinja_eval(x, from[i], &bounds[i]) != 0)
            return -1;
    x->at = n;
    return n->kind == JN_SLICE ? jv_slice(x, &of, bounds, out)
         : n->kind == JN_ITEM ? jv_item(x, &of, &bounds[0], out) : jv_attr(x, &of, n->s, n->len, out);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

int jinja_eval_args(struct jx *x, const struct jnode *list_of, struct jargs *args)
{
    *args = (struct jargs){0};
    for (const struct jnode *n = list_of; n; n = n->next) {
        struct jv v;
        if (jinja_eval(x, n->a, &v) != 0)
            return -1;
        if (n->len ? jv_put(x, &args->kw, jv_str(n->s, n->len), v) : jv_push(x, &args->pos, v))
            return -1;
    }
    return 0;
}

static int loop_cycle(struct jx *x, const struct jloop *l, const struct jargs *args, struct jv *out)
{
    if (!args->pos.n || args->kw.n)
        return jinja_fail(x, IDEM_ERR_FORMAT, "cycle needs something to choose from");
    *out = args->pos.at[l->i % args->pos.n];
    return 0;
}

static int call_value(struct jx *x, const struct jv *f, const struct jargs *args, struct jv *out)
{
    if (f->type == JV_MACRO)
        return jinja_call_macro(x, f->macro, args, out);
    if (f->type == JV_FUNCTION)
        return jinja_apply(x, f->fn, (struct jv){0}, args, out);
    if (f->type == JV_UNDEFINED && f->len == 12 && memcmp(f->s, "strftime_now", 12) == 0)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this template writes the day on which it is rendered "
                          "(strftime_now), which a result may not depend on; name a day by the variable "
                          "strftime_now=YYYY-MM-DD (docs/chat.md)");
    if (f->type == JV_UNDEFINED)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined, so it cannot be called", (int)f->len, f->s);
    return jinja_fail(x, IDEM_ERR_FORMAT, "%s cannot be called", jv_type_name(f));
}

static int call(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv self = {0}, f;
    struct jargs args;
    const struct jnode *callee = n->a;
    bool attr = callee->kind == JN_ATTR, method = false;
    if (attr) {
        if (jinja_eval(x, callee->a, &self) != 0)
            return -1;
        x->at = callee;
        method = jinja_method_exists(&self, callee->s, callee->len) ||
                 (self.type == JV_LOOP && callee->len == 5 && memcmp(callee->s, "cycle", 5) == 0);
        if (!method && jv_attr(x, &self, callee->s, callee->len, &f) != 0)
            return -1;
    } else if (jinja_eval(x, callee, &f) != 0) {
        return -1;
    }
    if (jinja_eval_args(x, n->b, &args) != 0)
        return -1;
    x->at = callee;
    if (!method)
        return call_value(x, &f, &args, out);
    return self.type == JV_LOOP ? loop_cycle(x, self.loop, &args, out)
                                : jinja_method(x, callee->s, callee->len, self, &args, out);
}

static int filter_or_test(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv self;
    struct jargs args;
    bool so;
    if (jinja_eval(x, n->a, &self) != 0 || jinja_eval_args(x, n->b, &args) != 0)
        return -1;
    x->at = n;
    if (n->kind == JN_FILTER)
        return jinja_filter(x, n->s, n->len, self, &args, out);
    if (jinja_test(x, n->s, n->len, self, &args, &so) != 0)
        return -1;
    *out = jv_bool(so != n->negate);
    return 0;
}

/* and, or, not, if-else */
static int logic(struct jx *x, const struct jnode *n, struct jv *out)
{
    struct jv v;
    if (jinja_eval(x, n->kind == JN_IFELSE ? n->b : n->a, &v) != 0)
        return -1;
    bool so = jv_truth(&v);
    *out = n->kind == JN_NOT ? jv_bool(!so) : v;
    if (n->kind == JN_IFELSE) {
        *out = jv_undefined("the value of an if without else", 31);
        return so ? jinja_eval(x, n->a, out) : n->c ? jinja_eval(x, n->c, out) : 0;
    }
    return (n->kind == JN_AND && so) || (n->kind == JN_OR && !so) ? jinja_eval(x, n->b, out) : 0;
}

static int eval(struct jx *x, const struct jnode *n, struct jv *out)
{
    switch (n->kind) {
    case JN_CONST: *out = n->value; return 0;
    case JN_NAME: return name(x, n, out);
    case JN_ATTR: case JN_ITEM: case JN_SLICE: return part(x, n, out);
    case JN_CALL: return call(x, n, out);
    case JN_FILTER: case JN_TEST: return filter_or_test(x, n, out);
    case JN_NOT: case JN_AND: case JN_OR: case JN_IFELSE: return logic(x, n, out);
    case JN_NEG: case JN_POS: return sign(x, n, out);
    case JN_BINARY: return binary(x, n, out);
    case JN_COMPARE: return compare(x, n, out);
    case JN_CONCAT: return concat(x, n, out);
    case JN_LIST: case JN_TUPLE: return list(x, n, out);
    case JN_DICT: return dict(x, n, out);
    default: return jinja_fail(x, IDEM_ERR_FORMAT, "no expression");
    }
}

int jinja_eval(struct jx *x, const struct jnode *n, struct jv *out)
{
    x->at = n;
    if (jinja_spend(x, 1) != 0)
        return -1;
    if (x->depth >= JINJA_MAX_DEPTH)
        return jinja_fail(x, IDEM_ERR_LIMIT, "nested more than %d deep", JINJA_MAX_DEPTH);
    x->depth++;
    int rc = eval(x, n, out);
    x->depth--;
    return rc;
}
