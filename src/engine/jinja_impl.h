/* SPDX-License-Identifier: MIT
 * What the files of the Jinja interpreter share: tokens, the tree, values, the state of a rendering.
 * Lexer (jinja_lex.c) -> parser (jinja_parse.c, jinja_expr.c) -> evaluator (jinja_eval.c,
 * jinja_exec.c), which works on values (jinja_value.c) with filters, tests, functions
 * (jinja_filter.c) and methods (jinja_method.c). */
#ifndef ENGINE_JINJA_IMPL_H
#define ENGINE_JINJA_IMPL_H

#include <string.h>

#include "base/arena.h"
#include "engine/jinja.h"

enum {
    JINJA_MAX_SOURCE = 1 << 20,     /* bytes of a template */
    JINJA_MAX_NESTING = 200,        /* of brackets, operators and blocks in a template */
    JINJA_MAX_DEPTH = 1000,         /* of evaluation, over all macro calls */
    JINJA_MAX_PARAMS = 4            /* of a filter, test, function or method */
};

/* ---- tokens ------------------------------------------------------------------------------------ */

enum jinja_token_type {
    JT_END, JT_TEXT, JT_VAR_BEGIN, JT_VAR_END, JT_BLOCK_BEGIN, JT_BLOCK_END,
    JT_NAME, JT_INT, JT_STR, JT_OP
};
struct jinja_token {
    enum jinja_token_type type;
    size_t pos;                     /* byte offset in the source */
    const char *s;                  /* the spelling; of JT_STR the text that it stands for */
    size_t len;
    int64_t i;                      /* of JT_INT */
};

struct jinja_lexer {
    const char *src;                /* newlines are \n, no newline at the end */
    size_t len, pos;
    enum { LEX_DATA, LEX_VAR, LEX_BLOCK } state;
    bool at_tag, raw, line_start;
    char open[JINJA_MAX_NESTING];   /* the brackets that are open */
    size_t n_open;
    struct arena *arena;
    struct idem_err *err;
};

int jinja_lex(struct jinja_lexer *l, struct jinja_token *t);
/* Sets the error with line and column of a byte offset. Returns -1. */
int jinja_error_at(struct idem_err *err, const char *src, size_t pos, enum idem_err_code code,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* ---- values ------------------------------------------------------------------------------------ */

enum jv_type {
    JV_MISSING = 0,                 /* an argument that was not given; no value of a template */
    JV_UNDEFINED,                   /* s: what was looked for */
    JV_NONE, JV_BOOL, JV_INT, JV_STR,
    JV_SAFE,                        /* a text marked by |safe: can be printed, nothing else */
    JV_LIST, JV_TUPLE, JV_RANGE,
    JV_ITER,                        /* a list that Python would compute on the way: can be walked once */
    JV_DICT, JV_NAMESPACE, JV_MACRO, JV_LOOP, JV_FUNCTION
};

struct jv {
    enum jv_type type;
    union {
        int64_t i;                              /* BOOL, INT */
        struct { const char *s; size_t len; };  /* STR, SAFE, UNDEFINED; not NUL-terminated */
        struct jlist *list;                     /* LIST, TUPLE, RANGE, ITER */
        struct jdict *dict;                     /* DICT, NAMESPACE */
        const struct jmacro *macro;
        const struct jloop *loop;
        const struct jbuiltin *fn;
    };
};

struct jlist { struct jv *at; size_t n, cap; bool walked; };
struct jpair { struct jv key, value; };
struct jdict { struct jpair *at; size_t n, cap; };
struct jloop { const struct jlist *items; size_t i; unsigned depth; };
struct jvar { const char *name; size_t len; struct jv value; struct jvar *next; };
struct jscope { struct jscope *parent; struct jvar *vars; };
struct jmacro { const struct jnode *node; struct jscope *scope; struct jv caller; };

/* ---- the tree ---------------------------------------------------------------------------------- */

enum jnode_kind {
    /* expressions */
    JN_CONST, JN_NAME, JN_ATTR, JN_ITEM, JN_SLICE, JN_CALL, JN_FILTER, JN_TEST,
    JN_NOT, JN_NEG, JN_POS, JN_AND, JN_OR, JN_IFELSE, JN_BINARY, JN_COMPARE, JN_CONCAT,
    JN_LIST, JN_TUPLE, JN_DICT,
    /* statements */
    JN_TEXT, JN_OUTPUT, JN_IF, JN_FOR, JN_SET, JN_SET_BLOCK, JN_MACRO, JN_CALL_BLOCK,
    JN_FILTER_BLOCK, JN_WITH, JN_SCOPE, JN_BREAK, JN_CONTINUE
};

/* Children by kind (list: chained by next):
 *   ATTR a.s   ITEM a[b]   SLICE a[b:c:d]   CALL a(b list)   FILTER a|s(b list)   TEST a is s(b list)
 *   IFELSE a if b else c   BINARY a s b   COMPARE a, then b list, each with its operator in s
 *   CONCAT, LIST, TUPLE, DICT (key, value, key, ...): a list
 *   arguments and parameters: s is the keyword or "" (arguments); a parameter is s with default a
 *   OUTPUT a   IF a: b else c   FOR a in b if d: c else e   SET a = b   SET_BLOCK a = c list through
 *   filters b (innermost operand is NULL)   MACRO s(a list): c   CALL_BLOCK (a list) b: c
 *   FILTER_BLOCK b: c   WITH a list = b list: c   SCOPE c */
struct jnode {
    enum jnode_kind kind;
    bool negate;                    /* TEST: is not */
    bool elif;                      /* IF: c is the next IF of the chain */
    bool caller;                    /* MACRO: reads caller */
    uint32_t pos;                   /* byte offset in the source */
    const char *s;
    size_t len;
    struct jnode *a, *b, *c, *d, *e, *next;
    struct jv value;                /* CONST */
};

struct jinja {
    struct arena arena;
    char *src;
    struct jnode *body;
};

struct jinja_parser {
    struct jinja_lexer lex;
    struct jinja_token tok, peek;
    struct arena *arena;
    unsigned depth, loops;
    bool caller;                    /* the name was read */
    struct idem_err *err;
};

/* jinja_expr.c: all return NULL with the error set. */
struct jnode *jinja_node(struct jinja_parser *p, enum jnode_kind kind);
int jinja_advance(struct jinja_parser *p);
bool jinja_is(const struct jinja_parser *p, enum jinja_token_type type, const char *s);   /* s NULL: any */
int jinja_expect(struct jinja_parser *p, enum jinja_token_type type, const char *s);      /* and advance */
int jinja_syntax(const struct jinja_parser *p, const char *expected);                     /* -1, error set */
int jinja_enter(struct jinja_parser *p);    /* counts nesting; leave by p->depth-- */
struct jnode *jinja_expression(struct jinja_parser *p);
struct jnode *jinja_or_level(struct jinja_parser *p);
struct jnode *jinja_primary(struct jinja_parser *p);
/* An expression, or a tuple of them without brackets. cond: `a if b` is part of it. */
struct jnode *jinja_tuple(struct jinja_parser *p, bool cond);
/* Filters behind `operand` (may be NULL: of a block), the parser at `|` or, if `bare`, at the name. */
struct jnode *jinja_filters(struct jinja_parser *p, struct jnode *operand, bool bare);
int jinja_arguments(struct jinja_parser *p, struct jnode **list);      /* from behind "(" to behind ")" */
struct jnode *jinja_statements(struct jinja_parser *p, const char *const *ends, int *rc);

/* ---- rendering --------------------------------------------------------------------------------- */

struct jx {
    const struct jinja *t;
    const struct jnode *at;         /* for errors */
    struct arena arena;
    struct buf *out;
    uint64_t steps, max_steps;
    size_t max_out;
    unsigned depth;
    struct jscope *scope;
    int64_t day;                    /* that strftime_now gives; 0: none */
    struct idem_err *err;
};

struct jargs { struct jlist pos; struct jdict kw; };
struct jcall {                      /* what a builtin gets */
    struct jv self;                 /* of a filter, test or method */
    struct jv a[JINJA_MAX_PARAMS];  /* bound to its parameters; JV_MISSING where not given */
    const struct jargs *args;       /* as written, for those without a list of parameters */
};
struct jbuiltin {
    const char *name;
    int (*fn)(struct jx *x, const struct jcall *c, struct jv *out);
    int min;                        /* arguments needed; -1: takes any, params unused */
    const char *params[JINJA_MAX_PARAMS];
};

int jinja_fail(struct jx *x, enum idem_err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int jinja_spend(struct jx *x, size_t n);            /* -1 when the steps are used up */
void *jinja_new(struct jx *x, size_t n, size_t size);   /* zeroed; NULL with the error set */

/* jinja_value.c */
const char *jv_type_name(const struct jv *v);
struct jv jv_bool(bool b);
struct jv jv_int(int64_t i);
struct jv jv_str(const char *s, size_t len);
struct jv jv_undefined(const char *s, size_t len);
bool jv_is(const struct jv *v, const char *s);      /* a text with these bytes */
bool jv_truth(const struct jv *v);
bool jv_is_int(const struct jv *v);                 /* int or bool */
int jv_equal(struct jx *x, const struct jv *a, const struct jv *b, bool *out);
int jv_order(struct jx *x, const struct jv *a, const struct jv *b, int *out);
int jv_contains(struct jx *x, const struct jv *item, const struct jv *in, bool *out);
/* The text that printing gives. */
int jv_text(struct jx *x, const struct jv *v, struct jv *out);
/* Its elements, characters or keys as a list; `what` for errors. */
int jv_iterate(struct jx *x, const struct jv *v, const struct jlist **out);
int jv_attr(struct jx *x, const struct jv *v, const char *s, size_t len, struct jv *out);
int jv_item(struct jx *x, const struct jv *v, const struct jv *key, struct jv *out);
int jv_slice(struct jx *x, const struct jv *v, const struct jv bound[3], struct jv *out);
int jv_length(struct jx *x, const struct jv *v, int64_t *out);
int jv_push(struct jx *x, struct jlist *l, struct jv v);
int jv_put(struct jx *x, struct jdict *d, struct jv key, struct jv value);
const struct jv *jv_lookup(struct jx *x, const struct jdict *d, const char *s, size_t len);
int jv_join(struct jx *x, const struct jv *parts, size_t n, struct jv sep, struct jv *out);   /* texts only */
int jv_json(struct jx *x, const struct jv *v, struct buf *b, int64_t indent, unsigned depth);
int jv_from_buf(struct jx *x, struct buf *b, struct jv *out);       /* copies and releases b */
bool jinja_space(int32_t cp);
/* Bytes of white space that s begins with. */
size_t jinja_spaces(const char *s, size_t len);
struct jv jv_strip(struct jv s, const struct jv *chars, bool left, bool right);

/* jinja_filter.c, jinja_method.c */
int jinja_filter(struct jx *x, const char *s, size_t len, struct jv self, const struct jargs *args, struct jv *out);
int jinja_test(struct jx *x, const char *s, size_t len, struct jv self, const struct jargs *args, bool *out);
bool jinja_method_exists(const struct jv *v, const char *s, size_t len);   /* in Python */
int jinja_method(struct jx *x, const char *s, size_t len, struct jv self, const struct jargs *args, struct jv *out);
const struct jbuiltin *jinja_function(const char *s, size_t len);          /* global ones; NULL if unknown */
extern const struct jbuiltin jinja_strftime;
int jinja_apply(struct jx *x, const struct jbuiltin *b, struct jv self, const struct jargs *args, struct jv *out);
const struct jbuiltin *jinja_find(const struct jbuiltin *table, size_t n, const char *s, size_t len);
int jinja_replace(struct jx *x, struct jv s, struct jv from, struct jv to, int64_t count, struct jv *out);
int jinja_case(struct jx *x, struct jv s, char how, struct jv *out);       /* 'u' 'l' 'c' 't' */

/* jinja_eval.c, jinja_exec.c */
int jinja_eval(struct jx *x, const struct jnode *n, struct jv *out);
int jinja_call_macro(struct jx *x, const struct jmacro *m, const struct jargs *args, struct jv *out);
int jinja_eval_args(struct jx *x, const struct jnode *list, struct jargs *args);
int jinja_set_var(struct jx *x, const char *s, size_t len, struct jv v);

#endif
