/* SPDX-License-Identifier: MIT
 * Parser of Jinja's expressions: one function for each level of precedence. */
#include <stdio.h>

#include "engine/jinja_impl.h"

static const struct jinja_token nothing;

int jinja_advance(struct jinja_parser *p)
{
    p->tok = p->peek;
    p->peek = nothing;
    return p->tok.type == JT_END ? 0 : jinja_lex(&p->lex, &p->peek);
}

static bool spelled(const struct jinja_token *t, enum jinja_token_type type, const char *s)
{
    return t->type == type && (!s || (strlen(s) == t->len && memcmp(t->s, s, t->len) == 0));
}

bool jinja_is(const struct jinja_parser *p, enum jinja_token_type type, const char *s)
{
    return spelled(&p->tok, type, s);
}

int jinja_syntax(const struct jinja_parser *p, const char *expected)
{
    const struct jinja_token *t = &p->tok;
    if (t->type == JT_END)
        return jinja_error_at(p->err, p->lex.src, t->pos, IDEM_ERR_FORMAT, "expected %s, but the template ends here", expected);
    return jinja_error_at(p->err, p->lex.src, t->pos, IDEM_ERR_FORMAT, "expected %s before '%.*s'",
                          expected, (int)(t->len > 40 ? 40 : t->len), t->s);
}

int jinja_expect(struct jinja_parser *p, enum jinja_token_type type, const char *s)
{
    if (jinja_is(p, type, s))
        return jinja_advance(p);
    return jinja_syntax(p, s ? s : type == JT_NAME ? "a name" : type == JT_BLOCK_END ? "%}" : "}}");
}

static bool is_op(const struct jinja_parser *p, const char *s) { return jinja_is(p, JT_OP, s); }
static bool is_name(const struct jinja_parser *p, const char *s) { return jinja_is(p, JT_NAME, s); }

struct jnode *jinja_node(struct jinja_parser *p, enum jnode_kind kind)
{
    struct jnode *n = arena_alloc(p->arena, sizeof *n);
    if (!n) {
        jinja_error_at(p->err, p->lex.src, p->tok.pos, IDEM_ERR_LIMIT, "the template is too long");
        return NULL;
    }
    n->kind = kind;
    n->pos = (uint32_t)p->tok.pos;
    n->s = p->tok.s;
    n->len = p->tok.len;
    return n;
}

int jinja_enter(struct jinja_parser *p)
{
    if (p->depth >= JINJA_MAX_NESTING)
        return jinja_error_at(p->err, p->lex.src, p->tok.pos, IDEM_ERR_LIMIT, "nested more than %d deep",
                              JINJA_MAX_NESTING);
    p->depth++;
    return 0;
}

/* A node of this kind over `a`, made at the token that stands before it was read. */
static struct jnode *over(struct jinja_parser *p, enum jnode_kind kind, struct jnode *a)
{
    struct jnode *n = a ? jinja_node(p, kind) : NULL;
    if (n)
        n->a = a;
    return n;
}

/* ---- primaries ---------------------------------------------------------------------------------- */

static struct jnode *constant(struct jinja_parser *p)
{
    static const struct { const char *s; enum jv_type type; int i; } words[] = {
        {"true", JV_BOOL, 1}, {"True", JV_BOOL, 1}, {"false", JV_BOOL, 0}, {"False", JV_BOOL, 0},
        {"none", JV_NONE, 0}, {"None", JV_NONE, 0},
    };
    struct jnode *n = jinja_node(p, JN_NAME);
    if (!n)
        return NULL;
    p->caller |= is_name(p, "caller");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (is_name(p, words[i].s)) {
            n->kind = JN_CONST;
            n->value = (struct jv){.type = words[i].type, {.i = words[i].i}};
        }
    if (p->tok.type == JT_INT) {
        n->kind = JN_CONST;
        n->value = (struct jv){.type = JV_INT, {.i = p->tok.i}};
    }
    return jinja_advance(p) == 0 ? n : NULL;
}

/* One text or several in a row, which are one. */
static struct jnode *text(struct jinja_parser *p)
{
    struct jnode *n = jinja_node(p, JN_CONST);
    struct jinja_token t = p->tok;
    if (!n || jinja_advance(p) != 0)
        return NULL;
    while (p->tok.type == JT_STR) {
        char *both = arena_alloc(p->arena, t.len + p->tok.len + 1);
        if (!both) {
            jinja_error_at(p->err, p->lex.src, t.pos, IDEM_ERR_LIMIT, "the template is too long");
            return NULL;
        }
        memcpy(both, t.s, t.len);
        memcpy(both + t.len, p->tok.s, p->tok.len);
        t.s = both;
        t.len += p->tok.len;
        if (jinja_advance(p) != 0)
            return NULL;
    }
    n->value = jv_str(t.s, t.len);
    return n;
}

/* [a, b] and {a: b}: expressions chained up to the closing bracket. */
static struct jnode *display(struct jinja_parser *p, enum jnode_kind kind, const char *close)
{
    struct jnode *n = jinja_node(p, kind), **tail = n ? &n->a : NULL;
    if (!n || jinja_advance(p) != 0)
        return NULL;
    while (!is_op(p, close)) {
        if (n->a && jinja_expect(p, JT_OP, ",") != 0)
            return NULL;
        if (is_op(p, close))
            break;
        for (int part = 0; part < (kind == JN_DICT ? 2 : 1); part++) {
            if (part == 1 && jinja_expect(p, JT_OP, ":") != 0)
                return NULL;
            if ((*tail = jinja_expression(p)) == NULL)
                return NULL;
            tail = &(*tail)->next;
        }
    }
    return jinja_advance(p) == 0 ? n : NULL;
}

struct jnode *jinja_tuple(struct jinja_parser *p, bool cond)
{
    struct jnode *n = NULL, *first = cond ? jinja_expression(p) : jinja_or_level(p), *last = first;
    while (last && is_op(p, ",")) {
        if (!n && (n = over(p, JN_TUPLE, first)) == NULL)
            return NULL;
        if (jinja_advance(p) != 0)
            return NULL;
        if (is_op(p, ")") || p->tok.type == JT_VAR_END || p->tok.type == JT_BLOCK_END)
            break;
        last = last->next = cond ? jinja_expression(p) : jinja_or_level(p);
    }
    return !last ? NULL : n ? n : first;
}

struct jnode *jinja_primary(struct jinja_parser *p)
{
    struct jnode *n = NULL;
    if (p->tok.type == JT_NAME || p->tok.type == JT_INT)
        return constant(p);
    if (p->tok.type == JT_STR)
        return text(p);
    if (jinja_enter(p) != 0)
        return NULL;
    if (is_op(p, "[")) {
        n = display(p, JN_LIST, "]");
    } else if (is_op(p, "{")) {
        n = display(p, JN_DICT, "}");
    } else if (is_op(p, "(")) {
        n = jinja_node(p, JN_TUPLE);
        if (!n || jinja_advance(p) != 0)
            return NULL;
        if (!is_op(p, ")"))
            n = jinja_tuple(p, true);
        if (n && jinja_expect(p, JT_OP, ")") != 0)
            n = NULL;
    } else {
        jinja_syntax(p, "an expression");
    }
    p->depth--;
    return n;
}

/* ---- what follows a primary ----------------------------------------------------------------------- */

int jinja_arguments(struct jinja_parser *p, struct jnode **list)
{
    struct jnode **tail = list;
    bool keyword = false;
    while (!is_op(p, ")")) {
        if (*list && jinja_expect(p, JT_OP, ",") != 0)
            return -1;
        if (is_op(p, ")"))
            break;
        if (is_op(p, "*") || is_op(p, "**"))
            return jinja_error_at(p->err, p->lex.src, p->tok.pos, IDEM_ERR_UNSUPPORTED,
                                  "'*' before an argument is not supported");
        struct jinja_token name = nothing;
        if (p->tok.type == JT_NAME && spelled(&p->peek, JT_OP, "=")) {
            name = p->tok;
            keyword = true;
            if (jinja_advance(p) != 0 || jinja_advance(p) != 0)
                return -1;
        } else if (keyword) {
            return jinja_syntax(p, "an argument with its name");
        }
        struct jnode *value = jinja_expression(p), *n = over(p, JN_TEXT, value);
        if (!n)
            return -1;
        n->pos = value->pos;
        n->s = name.s;
        n->len = name.len;
        *tail = n;
        tail = &n->next;
    }
    return jinja_advance(p);
}

static struct jnode *call(struct jinja_parser *p, struct jnode *callee)
{
    struct jnode *n = over(p, JN_CALL, callee);
    if (!n || jinja_advance(p) != 0 || jinja_arguments(p, &n->b) != 0)
        return NULL;
    return n;
}

/* One bound of a slice: nothing if the next token ends it. */
static int bound(struct jinja_parser *p, struct jnode **out)
{
    if (is_op(p, ":") || is_op(p, "]") || is_op(p, ","))
        return 0;
    *out = jinja_expression(p);
    return *out ? 0 : -1;
}

static struct jnode *subscript(struct jinja_parser *p, struct jnode *of)
{
    struct jnode *n = over(p, JN_ITEM, of);
    if (!n || jinja_advance(p) != 0 || bound(p, &n->b) != 0)
        return NULL;
    if (is_op(p, ":")) {
        n->kind = JN_SLICE;
        if (jinja_advance(p) != 0 || bound(p, &n->c) != 0)
            return NULL;
        if (is_op(p, ":") && (jinja_advance(p) != 0 || bound(p, &n->d) != 0))
            return NULL;
    } else if (!n->b) {
        jinja_syntax(p, "an index");
        return NULL;
    }
    return jinja_expect(p, JT_OP, "]") == 0 ? n : NULL;
}

static struct jnode *attribute(struct jinja_parser *p, struct jnode *of)
{
    struct jnode *n;
    if (jinja_advance(p) != 0 || (n = over(p, JN_ATTR, of)) == NULL)
        return NULL;
    if (p->tok.type == JT_INT) {
        n->kind = JN_ITEM;
        n->b = constant(p);
        return n->b ? n : NULL;
    }
    return jinja_expect(p, JT_NAME, NULL) == 0 ? n : NULL;
}

/* Chains are walked from their end when evaluated, so each link counts as nesting. */
static struct jnode *postfix(struct jinja_parser *p, struct jnode *n)
{
    unsigned depth = p->depth;
    while (n && (is_op(p, ".") || is_op(p, "[") || is_op(p, "("))) {
        if (jinja_enter(p) != 0)
            return NULL;
        n = is_op(p, ".") ? attribute(p, n) : is_op(p, "[") ? subscript(p, n) : call(p, n);
    }
    p->depth = depth;
    return n;
}

static struct jnode *filter(struct jinja_parser *p, struct jnode *operand)
{
    struct jnode *n = jinja_node(p, JN_FILTER);
    if (!n || jinja_expect(p, JT_NAME, NULL) != 0)
        return NULL;
    n->a = operand;
    if (is_op(p, "(") && (jinja_advance(p) != 0 || jinja_arguments(p, &n->b) != 0))
        return NULL;
    return n;
}

struct jnode *jinja_filters(struct jinja_parser *p, struct jnode *operand, bool bare)
{
    unsigned depth = p->depth;
    struct jnode *n = operand;
    while (bare || is_op(p, "|")) {
        if (jinja_enter(p) != 0 || (!bare && jinja_advance(p) != 0))
            return NULL;
        bare = false;
        if ((n = filter(p, n)) == NULL)
            return NULL;
    }
    p->depth = depth;
    return n;
}

static struct jnode *test(struct jinja_parser *p, struct jnode *operand)
{
    if (jinja_advance(p) != 0)
        return NULL;
    bool negate = is_name(p, "not");
    if (negate && jinja_advance(p) != 0)
        return NULL;
    struct jnode *n = over(p, JN_TEST, operand);
    if (!n || jinja_expect(p, JT_NAME, NULL) != 0)
        return NULL;
    n->negate = negate;
    bool brackets = is_op(p, "[") || is_op(p, "{");
    bool name = p->tok.type == JT_NAME && !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and");
    if (is_op(p, "("))
        return jinja_advance(p) == 0 && jinja_arguments(p, &n->b) == 0 ? n : NULL;
    if (is_name(p, "is")) {
        jinja_syntax(p, "one test only");
        return NULL;
    }
    if (brackets || name || p->tok.type == JT_STR || p->tok.type == JT_INT) {
        n->b = over(p, JN_TEXT, postfix(p, jinja_primary(p)));
        if (!n->b)
            return NULL;
        n->b->s = NULL;
        n->b->len = 0;
    }
    return n;
}

static struct jnode *filters_and_tests(struct jinja_parser *p, struct jnode *n)
{
    unsigned depth = p->depth;
    while (n) {
        bool more = is_op(p, "|") || is_name(p, "is") || is_op(p, "(");
        if (!more)
            break;
        if (jinja_enter(p) != 0)
            return NULL;
        n = is_op(p, "|") ? jinja_filters(p, n, false) : is_op(p, "(") ? call(p, n) : test(p, n);
    }
    p->depth = depth;
    return n;
}

/* ---- operators ------------------------------------------------------------------------------------ */

static struct jnode *unary(struct jinja_parser *p, bool with_filter)
{
    struct jnode *n;
    if (is_op(p, "-") || is_op(p, "+")) {
        n = jinja_node(p, is_op(p, "-") ? JN_NEG : JN_POS);
        if (!n || jinja_enter(p) != 0 || jinja_advance(p) != 0 || (n->a = unary(p, false)) == NULL)
            return NULL;
        p->depth--;
    } else {
        n = jinja_primary(p);
    }
    n = n ? postfix(p, n) : NULL;
    return n && with_filter ? filters_and_tests(p, n) : n;
}

static struct jnode *unary_filtered(struct jinja_parser *p) { return unary(p, true); }

/* operand (op operand)*, from the left. A chain deepens the tree, so it counts as nesting. */
static struct jnode *binary(struct jinja_parser *p, struct jnode *(*operand)(struct jinja_parser *),
                            const char *const *ops)
{
    struct jnode *n = operand(p);
    unsigned depth = p->depth;
    while (n) {
        const char *const *op = ops;
        while (*op && !is_op(p, *op))
            op++;
        if (!*op)
            break;
        if (jinja_enter(p) != 0 || (n = over(p, JN_BINARY, n)) == NULL || jinja_advance(p) != 0 ||
            (n->b = operand(p)) == NULL)
            return NULL;
    }
    p->depth = depth;
    return n;
}

static struct jnode *power(struct jinja_parser *p)
{
    return binary(p, unary_filtered, (const char *const[]){"**", NULL});
}

static struct jnode *product(struct jinja_parser *p)
{
    return binary(p, power, (const char *const[]){"*", "/", "//", "%", NULL});
}

static struct jnode *concat(struct jinja_parser *p)
{
    struct jnode *first = product(p), *last = first, *n = NULL;
    while (last && is_op(p, "~")) {
        if (!n && (n = over(p, JN_CONCAT, first)) == NULL)
            return NULL;
        if (jinja_advance(p) != 0)
            return NULL;
        last = last->next = product(p);
    }
    return !last ? NULL : n ? n : first;
}

static struct jnode *sum(struct jinja_parser *p)
{
    return binary(p, concat, (const char *const[]){"+", "-", NULL});
}

static struct jnode *comparison(struct jinja_parser *p)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    struct jnode *first = sum(p), *n = NULL, **tail = NULL;
    while (first) {
        const char *op = is_name(p, "in") ? "in" : NULL;
        for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
            if (is_op(p, ops[i]))
                op = ops[i];
        if (is_name(p, "not") && spelled(&p->peek, JT_NAME, "in")) {
            op = "not in";
            if (jinja_advance(p) != 0)
                return NULL;
        }
        if (!op)
            break;
        if (!n) {
            n = over(p, JN_COMPARE, first);
            if (!n)
                return NULL;
            tail = &n->b;
        }
        struct jnode *operand = jinja_advance(p) == 0 ? over(p, JN_TEXT, sum(p)) : NULL;
        if (!operand)
            return NULL;
        operand->s = op;
        operand->len = strlen(op);
        *tail = operand;
        tail = &operand->next;
    }
    return n ? n : first;
}

static struct jnode *negation(struct jinja_parser *p)
{
    if (!is_name(p, "not"))
        return comparison(p);
    struct jnode *n = jinja_node(p, JN_NOT);
    if (!n || jinja_enter(p) != 0 || jinja_advance(p) != 0 || (n->a = negation(p)) == NULL)
        return NULL;
    p->depth--;
    return n;
}

static struct jnode *logic(struct jinja_parser *p, struct jnode *(*operand)(struct jinja_parser *),
                           const char *word, enum jnode_kind kind)
{
    struct jnode *n = operand(p);
    unsigned depth = p->depth;
    while (n && is_name(p, word)) {
        if (jinja_enter(p) != 0 || (n = over(p, kind, n)) == NULL || jinja_advance(p) != 0 ||
            (n->b = operand(p)) == NULL)
            return NULL;
    }
    p->depth = depth;
    return n;
}

static struct jnode *and_level(struct jinja_parser *p) { return logic(p, negation, "and", JN_AND); }
struct jnode *jinja_or_level(struct jinja_parser *p) { return logic(p, and_level, "or", JN_OR); }

struct jnode *jinja_expression(struct jinja_parser *p)
{
    unsigned depth = p->depth;
    if (jinja_enter(p) != 0)
        return NULL;
    struct jnode *n = jinja_or_level(p);
    while (n && is_name(p, "if")) {
        struct jnode *choice = over(p, JN_IFELSE, n);
        if (!choice || jinja_enter(p) != 0 || jinja_advance(p) != 0 || (choice->b = jinja_or_level(p)) == NULL)
            return NULL;
        n = choice;
        if (is_name(p, "else") && (jinja_advance(p) != 0 || (n->c = jinja_expression(p)) == NULL))
            return NULL;
    }
    p->depth = depth;
    return n;
}
