/* SPDX-License-Identifier: MIT
 * Jinja's filters, tests and global functions, as far as chat templates use them. */
#include <stdio.h>

#include "engine/jinja_impl.h"

enum { MAX_RANGE = 100000, MAX_INDENT = 16 };   /* MAX_RANGE is Jinja's own */

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

/* ---- calling builtins ---------------------------------------------------------------------------- */

const struct jbuiltin *jinja_find(const struct jbuiltin *table, size_t n, const char *s, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, s, len) == 0)
            return &table[i];
    return NULL;
}

static int bind(struct jx *x, const struct jbuiltin *b, const struct jargs *args, struct jv *a)
{
    size_t n = 0;
    while (n < JINJA_MAX_PARAMS && b->params[n])
        n++;
    if (args->pos.n > n)
        return jinja_fail(x, IDEM_ERR_FORMAT, "%s takes at most %zu arguments", b->name, n);
    for (size_t i = 0; i < args->pos.n; i++)
        a[i] = args->pos.at[i];
    for (size_t k = 0; k < args->kw.n; k++) {
        size_t i = 0;
        while (i < n && !jv_is(&args->kw.at[k].key, b->params[i]))
            i++;
        if (i == n || a[i].type != JV_MISSING)
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "the argument '%.*s' of %s is not supported",
                              (int)args->kw.at[k].key.len, args->kw.at[k].key.s, b->name);
        a[i] = args->kw.at[k].value;
    }
    for (int i = 0; i < b->min; i++)
        if (a[i].type == JV_MISSING)
            return jinja_fail(x, IDEM_ERR_FORMAT, "%s needs the argument '%s'", b->name, b->params[i]);
    return 0;
}

int jinja_apply(struct jx *x, const struct jbuiltin *b, struct jv self, const struct jargs *args, struct jv *out)
{
    struct jcall c = {.self = self, .args = args};
    if (b->min >= 0 && bind(x, b, args, c.a) != 0)
        return -1;
    return jinja_spend(x, 1) == 0 ? b->fn(x, &c, out) : -1;
}

/* ---- filters ---------------------------------------------------------------------------------------- */

static int f_trim(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jv *chars = c->a[0].type == JV_STR ? &c->a[0] : NULL;
    if (c->a[0].type != JV_MISSING && c->a[0].type != JV_NONE && !chars)
        return jinja_fail(x, IDEM_ERR_FORMAT, "trim needs text");
    struct jv s;
    if (jv_text(x, &c->self, &s) != 0 || jinja_spend(x, s.len / 16 * (chars ? chars->len / 64 + 1 : 1)) != 0)
        return -1;
    *out = jv_strip(s, chars, true, true);
    return 0;
}

static int f_length(struct jx *x, const struct jcall *c, struct jv *out)
{
    *out = jv_int(0);
    return jv_length(x, &c->self, &out->i);
}

static int f_case(struct jx *x, const struct jcall *c, struct jv *out, char how)
{
    struct jv s;
    return jv_text(x, &c->self, &s) == 0 ? jinja_case(x, s, how, out) : -1;
}

static int f_upper(struct jx *x, const struct jcall *c, struct jv *out) { return f_case(x, c, out, 'u'); }
static int f_lower(struct jx *x, const struct jcall *c, struct jv *out) { return f_case(x, c, out, 'l'); }
static int f_capitalize(struct jx *x, const struct jcall *c, struct jv *out) { return f_case(x, c, out, 'c'); }

static int f_default(struct jx *x, const struct jcall *c, struct jv *out)
{
    bool use = c->self.type == JV_UNDEFINED || (jv_truth(&c->a[1]) && !jv_truth(&c->self));
    *out = !use ? c->self : c->a[0].type == JV_MISSING ? jv_str("", 0) : c->a[0];
    (void)x;
    return 0;
}

static int f_string(struct jx *x, const struct jcall *c, struct jv *out) { return jv_text(x, &c->self, out); }

static int f_safe(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (jv_text(x, &c->self, out) != 0)
        return -1;
    out->type = JV_SAFE;
    return 0;
}

static int f_int(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (jv_is_int(&c->self)) {
        *out = jv_int(c->self.i);
        return 0;
    }
    if (c->self.type == JV_UNDEFINED)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined", (int)c->self.len, c->self.s);
    struct jv s = c->self.type == JV_STR ? jv_strip(c->self, NULL, true, true) : jv_str("", 0);
    size_t at = s.len && (s.s[0] == '-' || s.s[0] == '+'), from = at;
    int64_t v = 0;
    bool big = false;
    for (; at < s.len && s.s[at] >= '0' && s.s[at] <= '9'; at++)
        big |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.s[at] - '0', &v);
    if (s.len && at == s.len && at > from && !big) {
        *out = jv_int(s.s[0] == '-' ? -v : v);
        return 0;
    }
    for (size_t i = 0; i < s.len; i++)      /* Python may know such a number still */
        if (((unsigned char)s.s[i] & 0x80) || strchr("0123456789_nN", s.s[i]))
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "int of this text is not supported");
    *out = c->a[0].type == JV_MISSING ? jv_int(0) : c->a[0];
    return 0;
}

static int as_iterator(struct jx *x, const struct jlist *l, enum jv_type type, struct jv *out)
{
    struct jlist *copy = jinja_new(x, 1, sizeof *copy);
    if (!copy)
        return -1;
    *copy = (struct jlist){.at = l->at, .n = l->n, .cap = l->n};
    *out = (struct jv){.type = type, {.list = copy}};
    return 0;
}

static int f_list(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jlist *l;
    return jv_iterate(x, &c->self, &l) == 0 ? as_iterator(x, l, JV_LIST, out) : -1;
}

static int f_first(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jlist *l;
    if (jv_iterate(x, &c->self, &l) != 0)
        return -1;
    *out = l->n ? l->at[0] : jv_undefined("first", 5);
    return 0;
}

static int f_last(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jlist *l;
    if (c->self.type == JV_ITER)
        return jinja_fail(x, IDEM_ERR_FORMAT, "the last of an iterator cannot be had");
    if (jv_iterate(x, &c->self, &l) != 0)
        return -1;
    *out = l->n ? l->at[l->n - 1] : jv_undefined("last", 4);
    return 0;
}

static int f_reverse(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct jv whole[3] = {{.type = JV_NONE}, {.type = JV_NONE}, {.type = JV_INT, {.i = -1}}};
    if (c->self.type != JV_STR && c->self.type != JV_LIST && c->self.type != JV_TUPLE)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "reverse of %s is not supported", jv_type_name(&c->self));
    if (jv_slice(x, &c->self, whole, out) != 0)
        return -1;
    out->type = out->type == JV_STR ? JV_STR : JV_ITER;
    return 0;
}

static int f_join(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jlist *l;
    struct jlist *texts = jinja_new(x, 1, sizeof *texts);
    struct jv sep = jv_str("", 0), item;
    if (!texts || jv_iterate(x, &c->self, &l) != 0 ||
        (c->a[0].type != JV_MISSING && jv_text(x, &c->a[0], &sep) != 0))
        return -1;
    for (size_t i = 0; i < l->n; i++) {
        item = l->at[i];
        if (c->a[1].type != JV_MISSING && jv_item(x, &l->at[i], &c->a[1], &item) != 0)
            return -1;
        if (jv_text(x, &item, &item) != 0 || jv_push(x, texts, item) != 0)
            return -1;
    }
    return jv_join(x, texts->at, texts->n, sep, out);
}

static int f_replace(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct jv s, from, to;
    if (jv_text(x, &c->self, &s) != 0 || jv_text(x, &c->a[0], &from) != 0 || jv_text(x, &c->a[1], &to) != 0)
        return -1;
    if (c->a[2].type != JV_MISSING && c->a[2].type != JV_NONE && !jv_is_int(&c->a[2]))
        return jinja_fail(x, IDEM_ERR_FORMAT, "the count of replace is not a number");
    return jinja_replace(x, s, from, to, jv_is_int(&c->a[2]) ? c->a[2].i : -1, out);
}

static int f_tojson(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct buf b;
    int64_t indent = jv_is_int(&c->a[1]) ? c->a[1].i : -1;
    if (jv_truth(&c->a[0]) || indent > MAX_INDENT ||
        (!jv_is_int(&c->a[1]) && c->a[1].type != JV_MISSING && c->a[1].type != JV_NONE))
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this form of tojson is not supported");
    buf_init(&b, x->max_out);
    if (jv_json(x, &c->self, &b, indent < 0 && jv_is_int(&c->a[1]) ? 0 : indent, 0) != 0) {
        buf_release(&b);
        return -1;
    }
    return jv_from_buf(x, &b, out);
}

static int f_items(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    if (!l)
        return -1;
    *out = (struct jv){.type = JV_ITER, {.list = l}};
    if (c->self.type == JV_UNDEFINED)
        return 0;
    if (c->self.type != JV_DICT)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "items of %s are not supported", jv_type_name(&c->self));
    for (size_t i = 0; i < c->self.dict->n; i++) {
        struct jlist *pair = jinja_new(x, 1, sizeof *pair);
        if (!pair || jv_push(x, pair, c->self.dict->at[i].key) != 0 ||
            jv_push(x, pair, c->self.dict->at[i].value) != 0 ||
            jv_push(x, l, (struct jv){.type = JV_TUPLE, {.list = pair}}) != 0)
            return -1;
    }
    return 0;
}

/* The items by their keys, texts without regard to case. */
static int f_dictsort(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (c->self.type != JV_DICT)
        return jinja_fail(x, IDEM_ERR_FORMAT, "%s has no items", jv_type_name(&c->self));
    if (f_items(x, c, out) != 0)
        return -1;
    out->type = JV_LIST;
    struct jlist *l = out->list;
    for (size_t i = 1; i < l->n; i++)
        for (size_t k = i; k > 0; k--) {
            struct jv a = l->at[k - 1].list->at[0], b = l->at[k].list->at[0], pair = l->at[k];
            int order;
            if ((a.type == JV_STR && jinja_case(x, a, 'l', &a) != 0) ||
                (b.type == JV_STR && jinja_case(x, b, 'l', &b) != 0) || jv_order(x, &a, &b, &order) != 0)
                return -1;
            if (order <= 0)
                break;
            l->at[k] = l->at[k - 1];
            l->at[k - 1] = pair;
        }
    return 0;
}

/* The arguments from the i-th on. */
static struct jargs rest(const struct jargs *args, size_t i)
{
    struct jargs r = *args;
    r.pos.at += i;
    r.pos.n -= i;
    return r;
}

/* These filters take none and false for an empty list. */
static int walk(struct jx *x, const struct jv *v, const struct jlist **out)
{
    static const struct jlist empty;
    *out = &empty;
    bool can = v->type == JV_STR || v->type == JV_DICT || v->type == JV_ITER || v->type == JV_RANGE ||
               v->type == JV_LIST || v->type == JV_TUPLE;
    if (jv_truth(v) && !can)    /* Python fails when it comes to the first element, so maybe never */
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this filter of %s is not supported", jv_type_name(v));
    return jv_truth(v) ? jv_iterate(x, v, out) : 0;
}

/* select, reject, selectattr, rejectattr: what passes a test, or fails it. */
static int choose(struct jx *x, const struct jcall *c, bool attr, bool want, struct jv *out)
{
    const struct jlist *l;
    struct jlist *kept = jinja_new(x, 1, sizeof *kept);
    const struct jlist *pos = &c->args->pos;
    size_t test = attr;
    if (attr && (pos->n < 1 || pos->at[0].type != JV_STR || memchr(pos->at[0].s, '.', pos->at[0].len)))
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "selectattr and rejectattr need the plain name of an attribute");
    if (pos->n > test && pos->at[test].type != JV_STR)
        return jinja_fail(x, IDEM_ERR_FORMAT, "the name of a test must be text");
    if (!kept || walk(x, &c->self, &l) != 0)
        return -1;
    for (size_t i = 0; i < l->n; i++) {
        struct jv v = l->at[i];
        if (attr && jv_item(x, &l->at[i], &pos->at[0], &v) != 0)
            return -1;
        bool passed = jv_truth(&v);
        if (pos->n > test) {
            struct jargs more = rest(c->args, test + 1);
            if (jinja_test(x, pos->at[test].s, pos->at[test].len, v, &more, &passed) != 0)
                return -1;
        }
        if (passed == want && jv_push(x, kept, l->at[i]) != 0)
            return -1;
    }
    *out = (struct jv){.type = JV_ITER, {.list = kept}};
    return 0;
}

static int f_select(struct jx *x, const struct jcall *c, struct jv *out) { return choose(x, c, false, true, out); }
static int f_reject(struct jx *x, const struct jcall *c, struct jv *out) { return choose(x, c, false, false, out); }
static int f_selectattr(struct jx *x, const struct jcall *c, struct jv *out) { return choose(x, c, true, true, out); }
static int f_rejectattr(struct jx *x, const struct jcall *c, struct jv *out) { return choose(x, c, true, false, out); }

/* map(attribute='role') or map('trim'). */
static int f_map(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jargs *a = c->args;
    bool attr = a->pos.n == 0 && a->kw.n == 1 && jv_is(&a->kw.at[0].key, "attribute");
    const struct jv *name = attr ? &a->kw.at[0].value : a->pos.n ? &a->pos.at[0] : NULL;
    const struct jlist *l;
    struct jlist *mapped = jinja_new(x, 1, sizeof *mapped);
    if (!name || name->type != JV_STR || (attr && memchr(name->s, '.', name->len)))
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this form of map is not supported");
    if (!mapped || walk(x, &c->self, &l) != 0)
        return -1;
    struct jargs more = attr ? *a : rest(a, 1);
    for (size_t i = 0; i < l->n; i++) {
        struct jv v;
        int rc = attr ? jv_item(x, &l->at[i], name, &v) : jinja_filter(x, name->s, name->len, l->at[i], &more, &v);
        if (rc != 0 || jv_push(x, mapped, v) != 0)
            return -1;
    }
    *out = (struct jv){.type = JV_ITER, {.list = mapped}};
    return 0;
}

static const struct jbuiltin filters[] = {
    {"trim", f_trim, 0, {"chars"}}, {"length", f_length, 0, {NULL}}, {"count", f_length, 0, {NULL}},
    {"upper", f_upper, 0, {NULL}}, {"lower", f_lower, 0, {NULL}}, {"capitalize", f_capitalize, 0, {NULL}},
    {"default", f_default, 0, {"default_value", "boolean"}}, {"d", f_default, 0, {"default_value", "boolean"}},
    {"string", f_string, 0, {NULL}}, {"safe", f_safe, 0, {NULL}}, {"int", f_int, 0, {"default"}},
    {"list", f_list, 0, {NULL}}, {"first", f_first, 0, {NULL}}, {"last", f_last, 0, {NULL}},
    {"reverse", f_reverse, 0, {NULL}}, {"join", f_join, 0, {"d", "attribute"}},
    {"replace", f_replace, 2, {"old", "new", "count"}}, {"tojson", f_tojson, 0, {"ensure_ascii", "indent"}},
    {"items", f_items, 0, {NULL}}, {"dictsort", f_dictsort, 0, {NULL}}, {"select", f_select, -1, {NULL}}, {"reject", f_reject, -1, {NULL}},
    {"selectattr", f_selectattr, -1, {NULL}}, {"rejectattr", f_rejectattr, -1, {NULL}}, {"map", f_map, -1, {NULL}},
};

int jinja_filter(struct jx *x, const char *s, size_t len, struct jv self, const struct jargs *args, struct jv *out)
{
    const struct jbuiltin *f = jinja_find(filters, N_OF(filters), s, len);
    if (!f)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "the filter '%.*s' is not supported", (int)(len > 40 ? 40 : len), s);
    if (self.type == JV_SAFE)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "a filter behind safe is not supported");
    return jinja_apply(x, f, self, args, out);
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static bool of_type(const struct jv *v, const char *name, size_t len, bool *known)
{
    static const struct { const char *name; unsigned types; } all[] = {
        {"none", 1u << JV_NONE}, {"boolean", 1u << JV_BOOL}, {"integer", 1u << JV_INT},
        {"number", 1u << JV_INT | 1u << JV_BOOL}, {"float", 0}, {"string", 1u << JV_STR | 1u << JV_SAFE},
        {"mapping", 1u << JV_DICT}, {"undefined", 1u << JV_UNDEFINED},
        {"sequence", 1u << JV_STR | 1u << JV_LIST | 1u << JV_TUPLE | 1u << JV_RANGE | 1u << JV_DICT | 1u << JV_SAFE | 1u << JV_UNDEFINED},
        {"iterable", 1u << JV_STR | 1u << JV_LIST | 1u << JV_TUPLE | 1u << JV_RANGE | 1u << JV_DICT | 1u << JV_SAFE |
                     1u << JV_UNDEFINED | 1u << JV_ITER | 1u << JV_LOOP},
        {"callable", 1u << JV_MACRO | 1u << JV_FUNCTION | 1u << JV_LOOP | 1u << JV_UNDEFINED},
    };
    *known = true;
    for (size_t i = 0; i < N_OF(all); i++)
        if (strlen(all[i].name) == len && memcmp(all[i].name, name, len) == 0)
            return all[i].types >> v->type & 1;
    *known = false;
    return false;
}

/* Comparing tests: -1 error, 0 no such test, 1 done. */
static int compare_test(struct jx *x, const struct jv *name, const struct jv *a, const struct jv *b, bool *out)
{
    static const struct { const char *name, *op; } all[] = {
        {"equalto", "="}, {"eq", "="}, {"==", "="}, {"ne", "!"}, {"!=", "!"}, {"in", "i"}, {"sameas", "s"},
        {"lt", "<"}, {"lessthan", "<"}, {"<", "<"}, {"le", "l"}, {"<=", "l"}, {"gt", ">"}, {"greaterthan", ">"},
        {">", ">"}, {"ge", "g"}, {">=", "g"}, {"divisibleby", "d"},
    };
    char op = 0;
    int order = 0;
    for (size_t i = 0; i < N_OF(all); i++)
        op = jv_is(name, all[i].name) ? all[i].op[0] : op;
    if (!op)
        return 0;
    if (b->type == JV_MISSING)
        return jinja_fail(x, IDEM_ERR_FORMAT, "the test '%.*s' needs an argument", (int)name->len, name->s);
    if (op == 'd' && (!jv_is_int(a) || !jv_is_int(b) || b->i == 0 || b->i == -1))
        return jinja_fail(x, IDEM_ERR_FORMAT, "divisibleby needs numbers");
    if (op == 's' && a->type != JV_BOOL && a->type != JV_NONE && b->type != JV_BOOL && b->type != JV_NONE)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "sameas of other than true, false and none is not supported");
    if (op == 'i' && jv_contains(x, a, b, out) != 0)
        return -1;
    if ((op == '=' || op == '!' || op == 's') && jv_equal(x, a, b, out) != 0)
        return -1;
    if (strchr("<>lg", op) && jv_order(x, a, b, &order) != 0)
        return -1;
    switch (op) {
    case '!': *out = !*out; break;
    case 's': *out = *out && a->type == b->type; break;
    case '<': *out = order < 0; break;
    case '>': *out = order > 0; break;
    case 'l': *out = order <= 0; break;
    case 'g': *out = order >= 0; break;
    case 'd': *out = a->i % b->i == 0; break;
    default: break;
    }
    return 1;
}

int jinja_test(struct jx *x, const char *s, size_t len, struct jv self, const struct jargs *args, bool *out)
{
    struct jv name = jv_str(s, len), arg = args->pos.n == 1 ? args->pos.at[0] : (struct jv){0};
    bool known = false;
    *out = false;
    int rc = args->pos.n > 1 || args->kw.n ? 0 : compare_test(x, &name, &self, &arg, out);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (args->pos.n == 0 && args->kw.n == 0) {
        *out = of_type(&self, s, len, &known);
        if (known)
            return 0;
        if (jv_is(&name, "defined"))
            *out = self.type != JV_UNDEFINED;
        else if (jv_is(&name, "true") || jv_is(&name, "false"))
            *out = self.type == JV_BOOL && self.i == (len == 4);
        else if ((jv_is(&name, "odd") || jv_is(&name, "even")) && jv_is_int(&self))
            *out = (self.i % 2 != 0) == (len == 3);
        else
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "the test '%.*s' of %s is not supported",
                              (int)(len > 40 ? 40 : len), s, jv_type_name(&self));
        return 0;
    }
    return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "the test '%.*s' with these arguments is not supported",
                      (int)(len > 40 ? 40 : len), s);
}

/* ---- global functions --------------------------------------------------------------------------------- */

static int g_range(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    for (int i = 0; i < 3; i++)
        if (c->a[i].type != JV_MISSING && !jv_is_int(&c->a[i]))
            return jinja_fail(x, IDEM_ERR_FORMAT, "range needs numbers");
    bool one = c->a[1].type == JV_MISSING;
    int64_t from = one ? 0 : c->a[0].i, to = one ? c->a[0].i : c->a[1].i, step = c->a[2].type == JV_MISSING ? 1 : c->a[2].i;
    if (step == 0)
        return jinja_fail(x, IDEM_ERR_FORMAT, "range cannot go in steps of zero");
    while (l && (step < 0 ? from > to : from < to)) {
        if (l->n == MAX_RANGE)
            return jinja_fail(x, IDEM_ERR_LIMIT, "a range of more than %d numbers", MAX_RANGE);
        if (jv_push(x, l, jv_int(from)) != 0)
            return -1;
        if (__builtin_add_overflow(from, step, &from))
            break;
    }
    *out = (struct jv){.type = JV_RANGE, {.list = l}};
    return l ? 0 : -1;
}

static int keywords(struct jx *x, const struct jcall *c, enum jv_type type, struct jv *out)
{
    struct jdict *d = jinja_new(x, 1, sizeof *d);
    if (!d)
        return -1;
    *out = (struct jv){.type = type, {.dict = d}};
    if (c->args->pos.n > 1 || (c->args->pos.n == 1 && c->args->pos.at[0].type != JV_DICT))
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this form of namespace and dict is not supported");
    const struct jdict *from[2] = {c->args->pos.n ? c->args->pos.at[0].dict : &c->args->kw, &c->args->kw};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < from[k]->n; i++)
            if (jv_put(x, d, from[k]->at[i].key, from[k]->at[i].value) != 0)
                return -1;
    return 0;
}

static int g_namespace(struct jx *x, const struct jcall *c, struct jv *out) { return keywords(x, c, JV_NAMESPACE, out); }
static int g_dict(struct jx *x, const struct jcall *c, struct jv *out) { return keywords(x, c, JV_DICT, out); }

static int g_raise(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (jv_text(x, &c->a[0], out) != 0)
        return -1;
    return err_set(x->err, IDEM_ERR_USAGE, "the model's chat template refuses this conversation: %.*s",
                   (int)(out->len > 300 ? 300 : out->len), out->s);
}

/* The day of x as strftime writes it in the C locale; its hour is midnight. */
static int g_strftime(struct jx *x, const struct jcall *c, struct jv *out)
{
    static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July", "August",
                                         "September", "October", "November", "December"};
    static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    static const int shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    int year = (int)(x->day / 10000), month = (int)(x->day / 100 % 100), day = (int)(x->day % 100);
    int y = year - (month < 3), weekday = (y + y / 4 - y / 100 + y / 400 + shift[month - 1] + day) % 7;
    const struct jv *f = &c->a[0];
    struct buf b;
    if (f->type != JV_STR)
        return jinja_fail(x, IDEM_ERR_FORMAT, "strftime_now needs text");
    buf_init(&b, x->max_out);
    for (size_t i = 0; i < f->len; i++) {
        char how = f->s[i] == '%' && i + 1 < f->len ? f->s[++i] : '\0';
        switch (how) {
        case '\0': buf_add(&b, &f->s[i], 1); break;
        case 'Y': buf_addf(&b, "%d", year); break;
        case 'y': buf_addf(&b, "%02d", year % 100); break;
        case 'm': buf_addf(&b, "%02d", month); break;
        case 'd': buf_addf(&b, "%02d", day); break;
        case 'B': buf_adds(&b, months[month - 1]); break;
        case 'b': buf_addf(&b, "%.3s", months[month - 1]); break;
        case 'A': buf_adds(&b, days[weekday]); break;
        case 'a': buf_addf(&b, "%.3s", days[weekday]); break;
        case 'H': case 'M': case 'S': buf_adds(&b, "00"); break;
        case '%': buf_adds(&b, "%"); break;
        default:
            buf_release(&b);
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "'%%%c' in strftime_now is not supported", how);
        }
    }
    return jv_from_buf(x, &b, out);
}

const struct jbuiltin jinja_strftime = {"strftime_now", g_strftime, 1, {"format"}};

const struct jbuiltin *jinja_function(const char *s, size_t len)
{
    static const struct jbuiltin all[] = {
        {"range", g_range, 1, {"start", "stop", "step"}}, {"namespace", g_namespace, -1, {NULL}},
        {"dict", g_dict, -1, {NULL}}, {"raise_exception", g_raise, 1, {"message"}},
    };
    return jinja_find(all, N_OF(all), s, len);
}
