/* SPDX-License-Identifier: MIT
 * Parser of Jinja's statements, and the parsed template. */
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "engine/jinja_impl.h"

enum { ARENA_BYTES = 64 << 20 };

static int unsupported(struct jinja_parser *p, const char *what, const struct jinja_token *t)
{
    return jinja_error_at(p->err, p->lex.src, t->pos, IDEM_ERR_UNSUPPORTED, "%s '%.*s' is not supported",
                          what, (int)(t->len > 40 ? 40 : t->len), t->s);
}

/* Statements up to {% end %}, whose name is taken too; the parser stands behind it. */
static int body(struct jinja_parser *p, const char *end, struct jnode **out)
{
    const char *const ends[] = {end, NULL};
    int rc;
    if (jinja_expect(p, JT_BLOCK_END, NULL) != 0)
        return -1;
    *out = jinja_statements(p, ends, &rc);
    return rc == 0 ? jinja_advance(p) : -1;
}

/* Names that get values: a, or (a, b), or a.b where `space` allows it. */
static struct jnode *one_target(struct jinja_parser *p, bool space)
{
    struct jnode *n = jinja_node(p, JN_NAME);
    if (!n || jinja_expect(p, JT_NAME, NULL) != 0)
        return NULL;
    if (space && jinja_is(p, JT_OP, ".")) {
        struct jnode *attr = jinja_advance(p) == 0 ? jinja_node(p, JN_ATTR) : NULL;
        if (!attr || jinja_expect(p, JT_NAME, NULL) != 0)
            return NULL;
        attr->a = n;
        return attr;
    }
    return n;
}

static struct jnode *target(struct jinja_parser *p, bool space)
{
    bool bracket = jinja_is(p, JT_OP, "(");
    if (bracket && jinja_advance(p) != 0)
        return NULL;
    struct jnode *n = NULL, *first = one_target(p, space), *last = first;
    while (last && jinja_is(p, JT_OP, ",")) {
        if (!n && (n = jinja_node(p, JN_TUPLE)) == NULL)
            return NULL;
        n->a = first;
        if (jinja_advance(p) != 0)
            return NULL;
        if (!jinja_is(p, JT_NAME, NULL) || jinja_is(p, JT_NAME, "in"))
            break;
        last = last->next = one_target(p, space);
    }
    if (!last || (bracket && jinja_expect(p, JT_OP, ")") != 0))
        return NULL;
    return n ? n : first;
}

static int parse_if(struct jinja_parser *p, struct jnode *n)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    n->kind = JN_IF;
    for (;;) {
        int rc;
        if ((n->a = jinja_tuple(p, false)) == NULL || jinja_expect(p, JT_BLOCK_END, NULL) != 0)
            return -1;
        n->b = jinja_statements(p, ends, &rc);
        if (rc != 0)
            return -1;
        if (!jinja_is(p, JT_NAME, "elif"))
            break;
        if ((n->c = jinja_node(p, JN_IF)) == NULL || jinja_advance(p) != 0)
            return -1;
        n->elif = true;
        n = n->c;
    }
    bool otherwise = jinja_is(p, JT_NAME, "else");
    return jinja_advance(p) != 0 ? -1 : otherwise ? body(p, "endif", &n->c) : 0;
}

static int parse_for(struct jinja_parser *p, struct jnode *n)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    int rc;
    n->kind = JN_FOR;
    if ((n->a = target(p, false)) == NULL || jinja_expect(p, JT_NAME, "in") != 0 ||
        (n->b = jinja_tuple(p, false)) == NULL)
        return -1;
    if (jinja_is(p, JT_NAME, "if") && (jinja_advance(p) != 0 || (n->d = jinja_expression(p)) == NULL))
        return -1;
    if (jinja_is(p, JT_NAME, "recursive"))
        return unsupported(p, "a loop that is", &p->tok);
    if (jinja_expect(p, JT_BLOCK_END, NULL) != 0)
        return -1;
    p->loops++;
    n->c = jinja_statements(p, ends, &rc);
    p->loops--;
    if (rc != 0)
        return -1;
    bool otherwise = jinja_is(p, JT_NAME, "else");
    return jinja_advance(p) != 0 ? -1 : otherwise ? body(p, "endfor", &n->e) : 0;
}

/* The body of what is run apart (a macro, a set block): not inside the loop that it stands in. */
static int own_body(struct jinja_parser *p, const char *end, struct jnode *n)
{
    unsigned loops = p->loops;
    p->loops = 0;
    int rc = body(p, end, &n->c);
    p->loops = loops;
    return rc;
}

static int parse_set(struct jinja_parser *p, struct jnode *n)
{
    n->kind = JN_SET;
    if ((n->a = target(p, true)) == NULL)
        return -1;
    if (jinja_is(p, JT_OP, "="))
        return jinja_advance(p) == 0 && (n->b = jinja_tuple(p, true)) != NULL ? 0 : -1;
    n->kind = JN_SET_BLOCK;
    if (jinja_is(p, JT_OP, "|") && (n->b = jinja_filters(p, NULL, false)) == NULL)
        return -1;
    return own_body(p, "endset", n);
}

/* Behind "(": names with defaults, up to behind ")". */
static int parameters(struct jinja_parser *p, struct jnode **list)
{
    struct jnode **tail = list;
    while (!jinja_is(p, JT_OP, ")")) {
        if (*list && jinja_expect(p, JT_OP, ",") != 0)
            return -1;
        if ((*tail = jinja_node(p, JN_NAME)) == NULL || jinja_expect(p, JT_NAME, NULL) != 0)
            return -1;
        if (jinja_is(p, JT_OP, "=") && (jinja_advance(p) != 0 || ((*tail)->a = jinja_expression(p)) == NULL))
            return -1;
        tail = &(*tail)->next;
    }
    return jinja_advance(p);
}

static int parse_macro(struct jinja_parser *p, struct jnode *n)
{
    n->kind = JN_MACRO;
    n->s = p->tok.s;
    n->len = p->tok.len;
    if (jinja_expect(p, JT_NAME, NULL) != 0 || jinja_expect(p, JT_OP, "(") != 0 || parameters(p, &n->a) != 0)
        return -1;
    bool outside = p->caller;
    p->caller = false;
    int rc = own_body(p, "endmacro", n);
    n->caller = p->caller;
    p->caller |= outside;
    return rc;
}

static int parse_call(struct jinja_parser *p, struct jnode *n)
{
    n->kind = JN_CALL_BLOCK;
    n->s = "caller";
    n->len = 6;
    if (jinja_is(p, JT_OP, "(") && (jinja_advance(p) != 0 || parameters(p, &n->a) != 0))
        return -1;
    if ((n->b = jinja_expression(p)) == NULL)
        return -1;
    if (n->b->kind != JN_CALL)
        return jinja_syntax(p, "a call");
    return own_body(p, "endcall", n);
}

static int parse_filter(struct jinja_parser *p, struct jnode *n)
{
    n->kind = JN_FILTER_BLOCK;
    return (n->b = jinja_filters(p, NULL, true)) != NULL ? own_body(p, "endfilter", n) : -1;
}

static int parse_with(struct jinja_parser *p, struct jnode *n)
{
    struct jnode **names = &n->a, **values = &n->b;
    n->kind = JN_WITH;
    while (!jinja_is(p, JT_BLOCK_END, NULL)) {
        if (n->a && jinja_expect(p, JT_OP, ",") != 0)
            return -1;
        if ((*names = one_target(p, false)) == NULL || jinja_expect(p, JT_OP, "=") != 0 ||
            (*values = jinja_expression(p)) == NULL)
            return -1;
        names = &(*names)->next;
        values = &(*values)->next;
    }
    return body(p, "endwith", &n->c);
}

/* {% generation %} marks what the assistant said, for training; it changes nothing but the scope. */
static int parse_generation(struct jinja_parser *p, struct jnode *n)
{
    n->kind = JN_SCOPE;
    return own_body(p, "endgeneration", n);
}

static int parse_jump(struct jinja_parser *p, struct jnode *n)
{
    n->kind = n->s[0] == 'b' ? JN_BREAK : JN_CONTINUE;
    return p->loops ? 0 : jinja_syntax(p, "a loop around break or continue");
}

/* One statement, from its name to behind its last word; the closing %} is taken by the caller. */
static struct jnode *statement(struct jinja_parser *p)
{
    static const struct { const char *name; int (*parse)(struct jinja_parser *, struct jnode *); } all[] = {
        {"if", parse_if}, {"for", parse_for}, {"set", parse_set}, {"macro", parse_macro},
        {"call", parse_call}, {"filter", parse_filter}, {"with", parse_with},
        {"generation", parse_generation}, {"break", parse_jump}, {"continue", parse_jump},
    };
    static const char *const known[] = {"block", "extends", "include", "import", "from", "print", "autoescape"};
    if (!jinja_is(p, JT_NAME, NULL)) {
        jinja_syntax(p, "the name of a statement");
        return NULL;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (jinja_is(p, JT_NAME, known[i])) {
            unsupported(p, "the statement", &p->tok);
            return NULL;
        }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (jinja_is(p, JT_NAME, all[i].name)) {
            struct jnode *n = jinja_node(p, JN_SCOPE);
            if (!n || jinja_enter(p) != 0 || jinja_advance(p) != 0 || all[i].parse(p, n) != 0)
                return NULL;
            p->depth--;
            return n;
        }
    jinja_error_at(p->err, p->lex.src, p->tok.pos, IDEM_ERR_FORMAT, "'%.*s' begins no statement here",
                   (int)(p->tok.len > 40 ? 40 : p->tok.len), p->tok.s);
    return NULL;
}

static struct jnode *output(struct jinja_parser *p)
{
    struct jnode *n = jinja_node(p, JN_OUTPUT);
    if (!n || jinja_advance(p) != 0 || (n->a = jinja_tuple(p, true)) == NULL ||
        jinja_expect(p, JT_VAR_END, NULL) != 0)
        return NULL;
    return n;
}

/* Up to a block that begins with one of `ends` (the parser is left at that word), or the end of the
 * template for NULL. *rc is -1 on errors; an empty list is NULL. */
struct jnode *jinja_statements(struct jinja_parser *p, const char *const *ends, int *rc)
{
    struct jnode *first = NULL, **tail = &first;
    *rc = -1;
    for (;;) {
        if (p->tok.type == JT_END) {
            if (ends)
                jinja_syntax(p, ends[0]);
            else
                *rc = 0;
            return first;
        }
        if (p->tok.type == JT_BLOCK_BEGIN) {
            if (jinja_advance(p) != 0)
                return NULL;
            for (const char *const *e = ends; e && *e; e++)
                if (jinja_is(p, JT_NAME, *e)) {
                    *rc = 0;
                    return first;
                }
            *tail = statement(p);
            if (!*tail || jinja_expect(p, JT_BLOCK_END, NULL) != 0)
                return NULL;
        } else if (p->tok.type == JT_VAR_BEGIN) {
            if ((*tail = output(p)) == NULL)
                return NULL;
        } else {
            if ((*tail = jinja_node(p, JN_TEXT)) == NULL || jinja_advance(p) != 0)
                return NULL;
        }
        tail = &(*tail)->next;
    }
}

/* ---- the template ----------------------------------------------------------------------------------- */

/* A copy with \n for every newline and without the last one. */
static size_t copy_source(char *out, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
            continue;
        out[n++] = text[i] == '\r' ? '\n' : text[i];
    }
    return n && out[n - 1] == '\n' ? n - 1 : n;
}

struct jinja *jinja_parse(const char *text, size_t len, struct idem_err *err)
{
    size_t bad;
    int rc = -1;
    if (len > JINJA_MAX_SOURCE) {
        err_set(err, IDEM_ERR_LIMIT, "the chat template has %zu bytes; at most %d are read", len, JINJA_MAX_SOURCE);
        return NULL;
    }
    if (memchr(text, '\0', len) || !utf8_valid(text, len, &bad)) {
        const char *nul = memchr(text, '\0', len);
        err_set(err, IDEM_ERR_FORMAT, "the chat template is not text: byte 0x%02x at offset %zu",
                nul ? 0u : (unsigned)(unsigned char)text[bad], nul ? (size_t)(nul - text) : bad);
        return NULL;
    }
    struct jinja *t = calloc(1, sizeof *t);
    if (!t) {
        err_memory(err, "a chat template", sizeof *t);
        return NULL;
    }
    arena_init(&t->arena, ARENA_BYTES);
    t->src = arena_alloc(&t->arena, len + 1);
    if (!t->src) {
        err_memory(err, "a chat template", len);
        goto out;
    }
    struct jinja_parser p = {
        .lex = {.src = t->src, .len = copy_source(t->src, text, len), .line_start = true,
                .arena = &t->arena, .err = err},
        .arena = &t->arena, .err = err,
    };
    p.peek.type = JT_TEXT;      /* of no matter: taken away by the second advance */
    if (jinja_advance(&p) == 0 && jinja_advance(&p) == 0)
        t->body = jinja_statements(&p, NULL, &rc);
out:
    if (rc != 0) {
        jinja_free(t);
        return NULL;
    }
    return t;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    free(t);
}
