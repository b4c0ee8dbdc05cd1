/* SPDX-License-Identifier: MIT
 * Values of Jinja's expressions, with the meaning that Python gives them. */
#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "engine/jinja_impl.h"

const char *jv_type_name(const struct jv *v)
{
    static const char *const names[] = {
        "nothing", "undefined", "None", "a boolean", "a number", "text", "safe text", "a list", "a tuple", "a range",
        "an iterator", "a dict", "a namespace", "a macro", "loop", "a function",
    };
    return names[v->type];
}

struct jv jv_bool(bool b) { return (struct jv){.type = JV_BOOL, {.i = b}}; }
struct jv jv_int(int64_t i) { return (struct jv){.type = JV_INT, {.i = i}}; }

struct jv jv_str(const char *s, size_t len)
{
    struct jv v = {.type = JV_STR};
    v.s = s;
    v.len = len;
    return v;
}

struct jv jv_undefined(const char *s, size_t len)
{
    struct jv v = jv_str(s, len);
    v.type = JV_UNDEFINED;
    return v;
}

bool jv_is(const struct jv *v, const char *s)
{
    return v->type == JV_STR && v->len == strlen(s) && memcmp(v->s, s, v->len) == 0;
}

bool jv_is_int(const struct jv *v) { return v->type == JV_INT || v->type == JV_BOOL; }
static bool is_list(const struct jv *v) { return v->type == JV_LIST || v->type == JV_TUPLE; }

bool jv_truth(const struct jv *v)
{
    switch (v->type) {
    case JV_MISSING: case JV_UNDEFINED: case JV_NONE: return false;
    case JV_BOOL: case JV_INT: return v->i != 0;
    case JV_STR: case JV_SAFE: return v->len != 0;
    case JV_LIST: case JV_TUPLE: case JV_RANGE: return v->list->n != 0;
    case JV_DICT: return v->dict->n != 0;
    default: return true;
    }
}

/* ---- lists and dicts ----------------------------------------------------------------------------- */

int jv_push(struct jx *x, struct jlist *l, struct jv v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 4;
        struct jv *at = jinja_new(x, cap, sizeof *at);
        if (!at)
            return -1;
        if (l->n)
            memcpy(at, l->at, l->n * sizeof *at);
        l->at = at;
        l->cap = cap;
    }
    l->at[l->n++] = v;
    return jinja_spend(x, 1);
}

static int find_key(struct jx *x, const struct jdict *d, const struct jv *key, size_t *at)
{
    bool same = false;
    for (*at = 0; *at < d->n && !same; ++*at)
        if (jv_equal(x, &d->at[*at].key, key, &same) != 0)
            return -1;
    *at -= same;
    return 0;
}

int jv_put(struct jx *x, struct jdict *d, struct jv key, struct jv value)
{
    size_t at;
    if (key.type != JV_STR && !jv_is_int(&key) && key.type != JV_NONE)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "%s as a key of a dict is not supported", jv_type_name(&key));
    if (find_key(x, d, &key, &at) != 0)
        return -1;
    if (at < d->n) {
        d->at[at].value = value;
        return 0;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 4;
        struct jpair *p = jinja_new(x, cap, sizeof *p);
        if (!p)
            return -1;
        if (d->n)
            memcpy(p, d->at, d->n * sizeof *p);
        d->at = p;
        d->cap = cap;
    }
    d->at[d->n++] = (struct jpair){key, value};
    return 0;
}

/* The value of a text key, or NULL. */
const struct jv *jv_lookup(struct jx *x, const struct jdict *d, const char *s, size_t len)
{
    x->steps += d->n;       /* checked at the next node */
    for (size_t i = 0; i < d->n; i++) {
        const struct jv *k = &d->at[i].key;
        if (k->type == JV_STR && k->len == len && memcmp(k->s, s, len) == 0)
            return &d->at[i].value;
    }
    return NULL;
}

int jv_length(struct jx *x, const struct jv *v, int64_t *out)
{
    *out = 0;
    switch (v->type) {
    case JV_UNDEFINED: return 0;
    case JV_LIST: case JV_TUPLE: case JV_RANGE: *out = (int64_t)v->list->n; return 0;
    case JV_DICT: *out = (int64_t)v->dict->n; return 0;
    case JV_LOOP: *out = (int64_t)v->loop->items->n; return 0;
    case JV_STR:
        for (size_t i = 0; i < v->len; i++)
            *out += ((unsigned char)v->s[i] & 0xC0) != 0x80;
        return jinja_spend(x, v->len / 16);
    default: return jinja_fail(x, IDEM_ERR_FORMAT, "%s has no length", jv_type_name(v));
    }
}

int jv_iterate(struct jx *x, const struct jv *v, const struct jlist **out)
{
    struct jlist *l = jinja_new(x, 1, sizeof *l);
    if (!l)
        return -1;
    *out = l;
    switch (v->type) {
    case JV_UNDEFINED:
        return 0;
    case JV_ITER:
        if (v->list->walked)
            return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "walking over an iterator twice is not supported; "
                              "the template should make it a list");
        v->list->walked = true;
        *out = v->list;
        return jinja_spend(x, v->list->n);
    case JV_LIST: case JV_TUPLE: case JV_RANGE:
        *out = v->list;
        return jinja_spend(x, v->list->n);
    case JV_DICT:
        for (size_t i = 0; i < v->dict->n; i++)
            if (jv_push(x, l, v->dict->at[i].key) != 0)
                return -1;
        return 0;
    case JV_STR:
        for (size_t at = 0; at < v->len;) {
            int32_t cp;
            size_t n = utf8_next(v->s + at, v->len - at, &cp);
            if (jv_push(x, l, jv_str(v->s + at, n)) != 0)
                return -1;
            at += n;
        }
        return 0;
    default:
        return jinja_fail(x, IDEM_ERR_FORMAT, "%s cannot be walked over", jv_type_name(v));
    }
}

/* ---- comparing ----------------------------------------------------------------------------------- */

static int equal_dicts(struct jx *x, const struct jdict *a, const struct jdict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        size_t at;
        if (find_key(x, b, &a->at[i].key, &at) != 0)
            return -1;
        *out = at < b->n;
        if (*out && jv_equal(x, &a->at[i].value, &b->at[at].value, out) != 0)
            return -1;
    }
    return 0;
}

int jv_equal(struct jx *x, const struct jv *a, const struct jv *b, bool *out)
{
    if (jinja_spend(x, 1) != 0)
        return -1;
    if (a->type == JV_SAFE || b->type == JV_SAFE)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "comparing text that is marked safe is not supported");
    if (jv_is_int(a) && jv_is_int(b)) {
        *out = a->i == b->i;
        return 0;
    }
    *out = false;
    if (a->type != b->type)
        return 0;
    if (a->type == JV_STR) {
        *out = a->len == b->len && memcmp(a->s, b->s, a->len) == 0;
        return jinja_spend(x, a->len / 64);
    }
    if (a->type == JV_DICT && a->dict != b->dict) {
        int rc = ++x->depth > JINJA_MAX_DEPTH ? jinja_fail(x, IDEM_ERR_LIMIT, "nested too deeply")
                                              : equal_dicts(x, a->dict, b->dict, out);
        x->depth--;
        return rc;
    }
    if (is_list(a) || a->type == JV_RANGE) {
        *out = a->list->n == b->list->n;
        if (++x->depth > JINJA_MAX_DEPTH)
            return jinja_fail(x, IDEM_ERR_LIMIT, "nested too deeply");
        for (size_t i = 0; i < a->list->n && *out; i++)
            if (jv_equal(x, &a->list->at[i], &b->list->at[i], out) != 0)
                return -1;
        x->depth--;
        return 0;
    }
    *out = a->type == JV_NONE || a->type == JV_UNDEFINED || a->dict == b->dict;
    return 0;
}

/* *out: negative, zero or positive. Code points and UTF-8 bytes have the same order. */
int jv_order(struct jx *x, const struct jv *a, const struct jv *b, int *out)
{
    if (jv_is_int(a) && jv_is_int(b)) {
        *out = (a->i > b->i) - (a->i < b->i);
        return 0;
    }
    if (a->type == JV_STR && b->type == JV_STR) {
        size_t n = a->len < b->len ? a->len : b->len;
        *out = n ? memcmp(a->s, b->s, n) : 0;
        if (*out == 0)
            *out = (a->len > b->len) - (a->len < b->len);
        return jinja_spend(x, n / 64);
    }
    if (a->type == JV_UNDEFINED || b->type == JV_UNDEFINED)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined", (int)(a->type == JV_UNDEFINED ? a : b)->len,
                          (a->type == JV_UNDEFINED ? a : b)->s);
    return jinja_fail(x, is_list(a) && is_list(b) ? IDEM_ERR_UNSUPPORTED : IDEM_ERR_FORMAT,
                      "%s and %s have no order", jv_type_name(a), jv_type_name(b));
}

int jv_contains(struct jx *x, const struct jv *item, const struct jv *in, bool *out)
{
    *out = false;
    if (in->type == JV_STR) {
        if (item->type != JV_STR)
            return jinja_fail(x, IDEM_ERR_FORMAT, "%s cannot be looked for in text", jv_type_name(item));
        *out = !item->len || memmem(in->s, in->len, item->s, item->len);
        return jinja_spend(x, in->len / 16);
    }
    if (in->type == JV_DICT && (is_list(item) || item->type == JV_DICT))
        return jinja_fail(x, IDEM_ERR_FORMAT, "%s is no key of a dict", jv_type_name(item));
    if (in->type == JV_NAMESPACE || in->type == JV_SAFE || in->type == JV_LOOP)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "looking into %s is not supported", jv_type_name(in));
    const struct jlist *l;
    if (jv_iterate(x, in, &l) != 0)
        return -1;
    for (size_t i = 0; i < l->n && !*out; i++)
        if (jv_equal(x, &l->at[i], item, out) != 0)
            return -1;
    return 0;
}

/* ---- parts ---------------------------------------------------------------------------------------- */

static struct jv loop_attr(struct jx *x, const struct jloop *l, const char *s, size_t len, bool *known)
{
    size_t n = l->items->n;
    const struct { const char *name; struct jv v; } all[] = {
        {"index", jv_int((int64_t)l->i + 1)}, {"index0", jv_int((int64_t)l->i)},
        {"revindex", jv_int((int64_t)(n - l->i))}, {"revindex0", jv_int((int64_t)(n - l->i - 1))},
        {"first", jv_bool(l->i == 0)}, {"last", jv_bool(l->i + 1 == n)}, {"length", jv_int((int64_t)n)},
        {"depth", jv_int(l->depth)}, {"depth0", jv_int((int64_t)l->depth - 1)},
        {"previtem", l->i > 0 ? l->items->at[l->i - 1] : jv_undefined("previtem", 8)},
        {"nextitem", l->i + 1 < n ? l->items->at[l->i + 1] : jv_undefined("nextitem", 8)},
    };
    (void)x;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strlen(all[i].name) == len && memcmp(all[i].name, s, len) == 0) {
            *known = true;
            return all[i].v;
        }
    *known = false;
    return jv_undefined(s, len);
}

int jv_attr(struct jx *x, const struct jv *v, const char *s, size_t len, struct jv *out)
{
    bool known = true;
    *out = jv_undefined(s, len);
    if (v->type == JV_UNDEFINED)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined, so it has no '%.*s'",
                          (int)v->len, v->s, (int)len, s);
    if (jinja_method_exists(v, s, len))
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "'%.*s' of %s without a call is not supported",
                          (int)len, s, jv_type_name(v));
    if (v->type == JV_DICT || v->type == JV_NAMESPACE) {
        const struct jv *found = jv_lookup(x, v->dict, s, len);
        if (found)
            *out = *found;
    } else if (v->type == JV_LOOP) {
        *out = loop_attr(x, v->loop, s, len, &known);
    } else if (v->type == JV_MACRO || v->type == JV_FUNCTION || v->type == JV_ITER || v->type == JV_SAFE) {
        known = false;
    }
    return known ? 0 : jinja_fail(x, IDEM_ERR_UNSUPPORTED, "'%.*s' of %s is not supported", (int)len, s, jv_type_name(v));
}

int jv_item(struct jx *x, const struct jv *v, const struct jv *key, struct jv *out)
{
    if (v->type == JV_DICT) {
        size_t at;
        if (find_key(x, v->dict, key, &at) != 0)
            return -1;
        if (at < v->dict->n) {
            *out = v->dict->at[at].value;
            return 0;
        }
    }
    if (v->type == JV_SAFE)
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "a part of text that is marked safe is not supported");
    if ((is_list(v) || v->type == JV_RANGE || v->type == JV_STR) && jv_is_int(key)) {
        struct jv bounds[3] = {*key, {.type = JV_NONE}, {.type = JV_NONE}};
        int64_t n;
        if (jv_length(x, v, &n) != 0)
            return -1;
        int64_t i = key->i < 0 ? key->i + n : key->i;
        *out = jv_undefined("an element", 10);
        if (i < 0 || i >= n)
            return 0;
        bounds[0] = jv_int(i);
        bounds[1] = jv_int(i + 1);
        if (v->type == JV_STR)
            return jv_slice(x, v, bounds, out);
        *out = v->list->at[i];
        return 0;
    }
    if (key->type == JV_STR)
        return jv_attr(x, v, key->s, key->len, out);
    *out = jv_undefined("an element", 10);
    if (v->type == JV_UNDEFINED)
        return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined, so it has no elements", (int)v->len, v->s);
    return 0;
}

/* One bound as Python clamps it: 0 .. n, or -1 .. n-1 when walking backwards. */
static int64_t clamp(const struct jv *b, int64_t n, int64_t otherwise, int64_t step)
{
    if (b->type == JV_NONE)
        return otherwise;
    int64_t i = b->i < 0 ? b->i + n : b->i, low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    return i < low ? low : i > high ? high : i;
}

static size_t byte_of(const struct jv *s, int64_t i)
{
    size_t at = 0;
    for (int32_t cp; i > 0 && at < s->len; i--)
        at += utf8_next(s->s + at, s->len - at, &cp);
    return at;
}

int jv_slice(struct jx *x, const struct jv *v, const struct jv bound[3], struct jv *out)
{
    int64_t n;
    for (int i = 0; i < 3; i++)
        if (bound[i].type != JV_NONE && !jv_is_int(&bound[i]))
            return jinja_fail(x, IDEM_ERR_FORMAT, "%s cannot bound a slice", jv_type_name(&bound[i]));
    if (!is_list(v) && v->type != JV_STR) {
        if (v->type == JV_UNDEFINED)
            return jinja_fail(x, IDEM_ERR_FORMAT, "'%.*s' is undefined, so it has no slices", (int)v->len, v->s);
        return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "a slice of %s is not supported", jv_type_name(v));
    }
    int64_t step = bound[2].type == JV_NONE ? 1 : bound[2].i;
    if (step == 0)
        return jinja_fail(x, IDEM_ERR_FORMAT, "a slice cannot go in steps of zero");
    if (jv_length(x, v, &n) != 0)
        return -1;
    int64_t from = clamp(&bound[0], n, step < 0 ? n - 1 : 0, step);
    int64_t to = clamp(&bound[1], n, step < 0 ? -1 : n, step);
    if (v->type == JV_STR && step == 1) {
        size_t start = byte_of(v, from), end = from < to ? byte_of(v, to) : start;
        *out = jv_str(v->s + start, end - start);
        return jinja_spend(x, v->len / 16);
    }
    const struct jlist *all;
    struct jlist *part = jinja_new(x, 1, sizeof *part);
    if (!part || jv_iterate(x, v, &all) != 0)
        return -1;
    while (step < 0 ? from > to : from < to) {
        if (jv_push(x, part, all->at[from]) != 0)
            return -1;
        if (__builtin_add_overflow(from, step, &from))
            break;
    }
    *out = (struct jv){.type = v->type, {.list = part}};
    return v->type == JV_STR ? jv_join(x, part->at, part->n, jv_str("", 0), out) : 0;
}

/* ---- texts ---------------------------------------------------------------------------------------- */

int jv_text(struct jx *x, const struct jv *v, struct jv *out)
{
    char number[24];
    switch (v->type) {
    case JV_UNDEFINED: *out = jv_str("", 0); return 0;
    case JV_NONE: *out = jv_str("None", 4); return 0;
    case JV_BOOL: *out = v->i ? jv_str("True", 4) : jv_str("False", 5); return 0;
    case JV_STR: *out = *v; return 0;
    case JV_INT: {
        size_t n = (size_t)snprintf(number, sizeof number, "%" PRId64, v->i);
        char *s = jinja_new(x, n + 1, 1);
        if (!s)
            return -1;
        memcpy(s, number, n);
        *out = jv_str(s, n);
        return 0;
    }
    default: return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "%s as text is not supported", jv_type_name(v));
    }
}

int jv_join(struct jx *x, const struct jv *parts, size_t n, struct jv sep, struct jv *out)
{
    size_t len = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        len += parts[i].len + (i ? sep.len : 0);
    if (jinja_spend(x, len / 64) != 0)
        return -1;
    char *s = jinja_new(x, len + 1, 1);
    if (!s)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (i && sep.len)
            memcpy(s + at, sep.s, sep.len);
        at += i ? sep.len : 0;
        if (parts[i].len)
            memcpy(s + at, parts[i].s, parts[i].len);
        at += parts[i].len;
    }
    *out = jv_str(s, len);
    return 0;
}

int jv_from_buf(struct jx *x, struct buf *b, struct jv *out)
{
    char *s = b->failed ? NULL : jinja_new(x, b->len + 1, 1);
    int rc = s ? 0 : b->failed ? jinja_fail(x, IDEM_ERR_LIMIT, "the template writes more than %zu bytes", b->max) : -1;
    if (s && b->len)
        memcpy(s, b->data, b->len);
    if (s)
        *out = jv_str(s, b->len);
    buf_release(b);
    return rc;
}

struct jv jv_strip(struct jv s, const struct jv *chars, bool left, bool right)
{
    size_t from = s.len, to = 0;
    int32_t cp;
    for (size_t at = 0, n; at < s.len; at += n) {
        n = utf8_next(s.s + at, s.len - at, &cp);
        if (chars ? memmem(chars->s, chars->len, s.s + at, n) != NULL : jinja_space(cp))
            continue;
        from = at < from ? at : from;
        to = at + n;
    }
    from = left ? from : 0;
    to = right ? to : s.len;
    return from < to ? jv_str(s.s + from, to - from) : jv_str(s.s, 0);
}

/* ---- JSON, as Python's json.dumps(ensure_ascii=False) writes it ------------------------------------------ */

static void json_text(struct buf *b, const struct jv *v)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    buf_adds(b, "\"");
    for (size_t i = 0; i < v->len; i++) {
        char c = v->s[i];
        const char *e = memchr(from, c, sizeof from - 1);
        if (e)
            buf_addf(b, "\\%c", to[e - from]);
        else if ((unsigned char)c < 0x20)
            buf_addf(b, "\\u%04x", (unsigned)c);
        else
            buf_add(b, &c, 1);
    }
    buf_adds(b, "\"");
}

static void json_break(struct buf *b, int64_t indent, unsigned depth)
{
    if (indent < 0)
        return;
    buf_adds(b, "\n");
    for (int64_t i = 0; i < indent * depth && !b->failed; i++)
        buf_adds(b, " ");
}

/* indent < 0: all on one line. */
int jv_json(struct jx *x, const struct jv *v, struct buf *b, int64_t indent, unsigned depth)
{
    if (depth > JINJA_MAX_NESTING)
        return jinja_fail(x, IDEM_ERR_LIMIT, "nested too deeply for JSON");
    size_t n = v->type == JV_DICT ? v->dict->n : is_list(v) ? v->list->n : 0;
    const char *brackets = v->type == JV_DICT ? "{}" : "[]";
    struct jv text;
    switch (v->type) {
    case JV_NONE: buf_adds(b, "null"); return 0;
    case JV_BOOL: buf_adds(b, v->i ? "true" : "false"); return 0;
    case JV_STR: json_text(b, v); return jinja_spend(x, v->len / 16);
    case JV_INT:
        if (jv_text(x, v, &text) != 0)
            return -1;
        buf_add(b, text.s, text.len);
        return 0;
    case JV_LIST: case JV_TUPLE: case JV_DICT: break;
    default: return jinja_fail(x, IDEM_ERR_FORMAT, "%s cannot be written as JSON", jv_type_name(v));
    }
    buf_add(b, brackets, 1);
    for (size_t i = 0; i < n; i++) {
        buf_adds(b, i ? (indent < 0 ? ", " : ",") : "");
        json_break(b, indent, depth + 1);
        if (v->type == JV_DICT) {
            if (v->dict->at[i].key.type != JV_STR)
                return jinja_fail(x, IDEM_ERR_UNSUPPORTED, "a key that is not text is not supported in JSON");
            json_text(b, &v->dict->at[i].key);
            buf_adds(b, ": ");
        }
        if (jinja_spend(x, 1 + (size_t)depth) != 0 ||
            jv_json(x, v->type == JV_DICT ? &v->dict->at[i].value : &v->list->at[i], b, indent, depth + 1) != 0)
            return -1;
    }
    if (n)
        json_break(b, indent, depth);
    buf_add(b, brackets + 1, 1);
    return 0;
}
