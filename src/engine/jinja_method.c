/* SPDX-License-Identifier: MIT
 * Python's methods of texts and dicts, as far as chat templates use them. */
#include <stdio.h>

#include "base/utf8.h"
#include "engine/jinja_impl.h"

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static int need_text(struct jx *x, const struct jv *v, const char *what)
{
    return v->type == JV_STR ? 0 : jinja_fail(x, IDEM_ERR_FORMAT, "%s needs text, not %s", what, jv_type_name(v));
}

/* ---- changing text --------------------------------------------------------------------------------- */

/* how: 'u'pper, 'l'ower, 'c'apitalize, 't'itle. Beyond ASCII, Python's rules need all of Unicode's. */
int jinja_case(struct jx *x, struct jv s, char how, struct jv *out)
{
    char *to = jinja_new(x, s.len + 1, 1);
    bool start = true;
    if (!to || jinja_spend(x, s.len / 16) != 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.s[i];
        if ((unsigned char)c >= 0x80)
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "upper and lower case beyond ASCII are not supported");
        bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
        bool raise = how == 'u' || (start && how != 'l');
        to[i] = (char)(lower && raise ? c - 32 : upper && !raise ? c + 32 : c);
        start = how == 't' && !lower && !upper;
    }
    *out = jv_str(to, s.len);
    return 0;
}

int jinja_replace(struct jx *x, struct jv s, struct jv from, struct jv to, int64_t count, struct jv *out)
{
    struct buf b;
    if (!from.len)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "replacing an empty text is not supported");
    buf_init(&b, x->max_out);
    while (count != 0 && !b.failed) {
        const char *at = s.len ? memmem(s.s, s.len, from.s, from.len) : NULL;
        if (!at)
            break;
        size_t before = (size_t)(at - s.s);
        if (jinja_spend(x, 1 + (before + to.len) / 16) != 0) {
            buf_release(&b);
            return -1;
        }
        buf_add(&b, s.s, before);
        buf_add(&b, to.s, to.len);
        s = jv_str(at + from.len, s.len - before - from.len);
        count--;
    }
    buf_add(&b, s.s, s.len);
    return jv_from_buf(x, &b, out);
}

static int strip(struct jx *x, const struct jcall *c, bool left, bool right, struct jv *out)
{
    const struct jv *chars = c->a[0].type == JV_STR ? &c->a[0] : NULL;
    if (!chars && c->a[0].type != JV_MISSING && c->a[0].type != JV_NONE)
        return need_text(x, &c->a[0], "strip");
    if (jinja_spend(x, c->self.len / 16 * (chars ? chars->len / 64 + 1 : 1)) != 0)
        return -1;
    *out = jv_strip(c->self, chars, left, right);
    return 0;
}

static int m_strip(struct jx *x, const struct jcall *c, struct jv *out) { return strip(x, c, true, true, out); }
static int m_lstrip(struct jx *x, const struct jcall *c, struct jv *out) { return strip(x, c, true, false, out); }
static int m_rstrip(struct jx *x, const struct jcall *c, struct jv *out) { return strip(x, c, false, true, out); }
static int m_upper(struct jx *x, const struct jcall *c, struct jv *out) { return jinja_case(x, c->self, 'u', out); }
static int m_lower(struct jx *x, const struct jcall *c, struct jv *out) { return jinja_case(x, c->self, 'l', out); }
static int m_capitalize(struct jx *x, const struct jcall *c, struct jv *out) { return jinja_case(x, c->self, 'c', out); }
static int m_title(struct jx *x, const struct jcall *c, struct jv *out) { return jinja_case(x, c->self, 't', out); }

static int m_replace(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (need_text(x, &c->a[0], "replace") != 0 || need_text(x, &c->a[1], "replace") != 0)
        return -1;
    if (c->a[2].type != JV_MISSING && !jv_is_int(&c->a[2]))
        return jinja_fail(x, IDEM_ERR_FORMAT, "the count of replace is not a number");
    return jinja_replace(x, c->self, c->a[0], c->a[1], c->a[2].type == JV_MISSING ? -1 : c->a[2].i, out);
}

/* Only the plain form: {} for the next argument, {{ and }} for braces. */
static int m_format(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct jlist *parts = jinja_new(x, 1, sizeof *parts);
    const struct jv *s = &c->self;
    size_t next = 0, from = 0;
    for (size_t i = 0; parts && i < s->len; i++) {
        char after = i + 1 < s->len ? s->s[i + 1] : '\0';
        struct jv v;
        if (s->s[i] != '{' && s->s[i] != '}')
            continue;
        if (s->s[i] == '}' && after != '}')
            return jinja_fail(x, IDEM_ERR_FORMAT, "a single '}' in the text of format");
        if (s->s[i] == '{' && after != '{' && after != '}')
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this form of format is not supported");
        bool brace = after == s->s[i];
        if (!brace && next >= c->args->pos.n)
            return jinja_fail(x, IDEM_ERR_FORMAT, "format has too few arguments");
        if (jv_push(x, parts, jv_str(s->s + from, i - from + brace)) != 0)
            return -1;
        if (!brace && (jv_text(x, &c->args->pos.at[next++], &v) != 0 || jv_push(x, parts, v) != 0))
            return -1;
        from = ++i + 1;
    }
    if (!parts || jv_push(x, parts, jv_str(s->s + from, s->len - from)) != 0)
        return -1;
    return jv_join(x, parts->at, parts->n, jv_str("", 0), out);
}

/* ---- looking into text -------------------------------------------------------------------------------- */

/* startswith and endswith: with a text or any of a tuple. */
static int affix(struct jx *x, const struct jcall *c, bool end, struct jv *out)
{
    const struct jlist one = {.at = (struct jv *)&c->a[0], .n = 1};
    const struct jlist *all = c->a[0].type == JV_TUPLE ? c->a[0].list : &one;
    *out = jv_bool(false);
    for (size_t i = 0; i < all->n; i++) {
        const struct jv *a = &all->at[i];
        if (need_text(x, a, end ? "endswith" : "startswith") != 0 || jinja_spend(x, 1 + a->len / 64) != 0)
            return -1;
        if (a->len <= c->self.len &&
            (!a->len || memcmp(c->self.s + (end ? c->self.len - a->len : 0), a->s, a->len) == 0))
            *out = jv_bool(true);
    }
    return 0;
}

static int m_startswith(struct jx *x, const struct jcall *c, struct jv *out) { return affix(x, c, false, out); }
static int m_endswith(struct jx *x, const struct jcall *c, struct jv *out) { return affix(x, c, true, out); }

static int m_find(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (need_text(x, &c->a[0], "find") != 0)
        return -1;
    const char *at = c->a[0].len ? (c->self.len ? memmem(c->self.s, c->self.len, c->a[0].s, c->a[0].len) : NULL)
                                 : c->self.s;
    struct jv before = jv_str(c->self.s, at ? (size_t)(at - c->self.s) : 0);
    *out = jv_int(-1);
    return at ? jv_length(x, &before, &out->i) : jinja_spend(x, c->self.len / 16);
}

static int m_count(struct jx *x, const struct jcall *c, struct jv *out)
{
    struct jv s = c->self;
    if (need_text(x, &c->a[0], "count") != 0)
        return -1;
    if (!c->a[0].len)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "counting an empty text is not supported");
    *out = jv_int(0);
    for (const char *at; s.len && (at = memmem(s.s, s.len, c->a[0].s, c->a[0].len)) != NULL; out->i++) {
        size_t used = (size_t)(at - s.s) + c->a[0].len;
        s = jv_str(s.s + used, s.len - used);
        if (jinja_spend(x, 1 + used / 16) != 0)
            return -1;
    }
    return 0;
}

/* ---- splitting and joining ------------------------------------------------------------------------------ */

static int split_spaces(struct jx *x, struct jv s, int64_t max, struct jlist *l)
{
    s = jv_strip(s, NULL, true, max < 0);
    while (s.len) {
        size_t n = 0, word;
        for (int32_t cp; n < s.len; n += word) {
            word = utf8_next(s.s + n, s.len - n, &cp);
            if (jinja_space(cp))
                break;
        }
        if (max == 0)
            n = s.len;      /* the rest as it is */
        if (jv_push(x, l, jv_str(s.s, n)) != 0 || jinja_spend(x, n / 16) != 0)
            return -1;
        n += jinja_spaces(s.s + n, s.len - n);
        s = jv_str(s.s + n, s.len - n);
        max -= max > 0;
    }
    return 0;
}

/* The last place of sep in s, or NULL. */
static const char *find_last(struct jv s, struct jv sep)
{
    for (size_t at = s.len >= sep.len ? s.len - sep.len + 1 : 0; at-- > 0;)
        if (memcmp(s.s + at, sep.s, sep.len) == 0)
            return s.s + at;
    return NULL;
}

static int split(struct jx *x, const struct jcall *c, bool last, struct jv *out)
{
    struct jv s = c->self, sep = c->a[0];
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    bool spaces = sep.type == JV_MISSING || sep.type == JV_NONE;
    if (!l || (!spaces && need_text(x, &sep, "split") != 0))
        return -1;
    if (c->a[1].type != JV_MISSING && !jv_is_int(&c->a[1]))
        return jinja_fail(x, IDEM_ERR_FORMAT, "the most splits must be a number");
    int64_t max = c->a[1].type == JV_MISSING ? -1 : c->a[1].i;
    *out = (struct jv){.type = JV_LIST, {.list = l}};
    if (last && (spaces || max > 1))
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "this form of rsplit is not supported");
    if (spaces)
        return split_spaces(x, s, max, l);
    if (!sep.len)
        return jinja_fail(x, IDEM_ERR_FORMAT, "splitting at an empty text");
    if (last && jinja_spend(x, s.len / 64 * (sep.len / 64 + 1)) != 0)
        return -1;
    while (max != 0) {
        const char *at = !s.len ? NULL : last && max > 0 ? find_last(s, sep) : memmem(s.s, s.len, sep.s, sep.len);
        if (!at)
            break;
        size_t n = (size_t)(at - s.s);
        if (jinja_spend(x, n / 16) != 0 || jv_push(x, l, jv_str(s.s, n)) != 0)
            return -1;
        s = jv_str(at + sep.len, s.len - n - sep.len);
        max -= max > 0;
    }
    return jv_push(x, l, s) == 0 ? jinja_spend(x, s.len / 16) : -1;
}

static int m_split(struct jx *x, const struct jcall *c, struct jv *out) { return split(x, c, false, out); }
static int m_rsplit(struct jx *x, const struct jcall *c, struct jv *out) { return split(x, c, true, out); }

static int m_join(struct jx *x, const struct jcall *c, struct jv *out)
{
    const struct jlist *l;
    if (jv_iterate(x, &c->a[0], &l) != 0)
        return -1;
    for (size_t i = 0; i < l->n; i++)
        if (need_text(x, &l->at[i], "join") != 0)
            return -1;
    return jv_join(x, l->at, l->n, c->self, out);
}

/* ---- dicts ------------------------------------------------------------------------------------------------ */

static int m_get(struct jx *x, const struct jcall *c, struct jv *out)
{
    bool same = false;
    *out = c->a[1].type == JV_MISSING ? (struct jv){.type = JV_NONE} : c->a[1];
    for (size_t i = 0; i < c->self.dict->n && !same; i++) {
        if (jv_equal(x, &c->self.dict->at[i].key, &c->a[0], &same) != 0)
            return -1;
        if (same)
            *out = c->self.dict->at[i].value;
    }
    return 0;
}

static int m_items(struct jx *x, const struct jcall *c, struct jv *out)
{
    if (jinja_filter(x, "items", 5, c->self, c->args, out) != 0)
        return -1;
    out->type = JV_LIST;
    return 0;
}

static int column(struct jx *x, const struct jcall *c, bool keys, struct jv *out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    for (size_t i = 0; l && i < c->self.dict->n; i++)
        if (jv_push(x, l, keys ? c->self.dict->at[i].key : c->self.dict->at[i].value) != 0)
            return -1;
    *out = (struct jv){.type = JV_LIST, {.list = l}};
    return l ? 0 : -1;
}

static int m_keys(struct jx *x, const struct jcall *c, struct jv *out) { return column(x, c, true, out); }
static int m_values(struct jx *x, const struct jcall *c, struct jv *out) { return column(x, c, false, out); }

/* ---- the tables --------------------------------------------------------------------------------------------- */

static const struct jbuiltin text_methods[] = {
    {"strip", m_strip, 0, {"chars"}}, {"lstrip", m_lstrip, 0, {"chars"}}, {"rstrip", m_rstrip, 0, {"chars"}},
    {"upper", m_upper, 0, {NULL}}, {"lower", m_lower, 0, {NULL}}, {"capitalize", m_capitalize, 0, {NULL}},
    {"title", m_title, 0, {NULL}}, {"replace", m_replace, 2, {"old", "new", "count"}},
    {"startswith", m_startswith, 1, {"prefix"}}, {"endswith", m_endswith, 1, {"suffix"}},
    {"find", m_find, 1, {"sub"}}, {"count", m_count, 1, {"sub"}}, {"join", m_join, 1, {"iterable"}},
    {"format", m_format, -1, {NULL}}, {"split", m_split, 0, {"sep", "maxsplit"}}, {"rsplit", m_rsplit, 0, {"sep", "maxsplit"}},
};
static const struct jbuiltin dict_methods[] = {
    {"get", m_get, 1, {"key", "default"}}, {"items", m_items, 0, {NULL}}, {"keys", m_keys, 0, {NULL}},
    {"values", m_values, 0, {NULL}},
};

/* What Python has besides, so that it is not taken for an attribute that is not there. */
static const char text_others[] =
    " casefold center encode expandtabs format_map index isalnum isalpha isascii isdecimal isdigit "
    "isidentifier islower isnumeric isprintable isspace istitle isupper ljust maketrans partition "
    "removeprefix removesuffix rfind rindex rjust rpartition splitlines swapcase translate zfill ";
static const char list_others[] = " append clear copy count extend index insert pop remove reverse sort ";
static const char dict_others[] = " clear copy fromkeys pop popitem setdefault update ";

static bool listed(const char *words, const char *s, size_t len)
{
    for (const char *at = words; *at && len; at++) {
        size_t n = strcspn(at + 1, " ");
        if (*at == ' ' && n == len && memcmp(at + 1, s, len) == 0)
            return true;
    }
    return false;
}

static const struct jbuiltin *method(const struct jv *v, const char *s, size_t len)
{
    return v->type == JV_STR ? jinja_find(text_methods, N_OF(text_methods), s, len)
         : v->type == JV_DICT ? jinja_find(dict_methods, N_OF(dict_methods), s, len) : NULL;
}

bool jinja_method_exists(const struct jv *v, const char *s, size_t len)
{
    const char *others = v->type == JV_STR ? text_others : v->type == JV_DICT ? dict_others
                       : v->type == JV_LIST || v->type == JV_TUPLE || v->type == JV_RANGE ? list_others : "";
    return method(v, s, len) || listed(others, s, len);
}

int jinja_method(struct jx *x, const char *s, size_t len, struct jv self, const struct jargs *args, struct jv *out)
{
    const struct jbuiltin *m = method(&self, s, len);
    if (!m)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "the method '%.*s' of %s is not supported", (int)len, s,
                          jv_type_name(&self));
    return jinja_apply(x, m, self, args, out);
}
