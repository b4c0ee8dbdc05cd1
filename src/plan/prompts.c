/* SPDX-License-Identifier: MIT
 * Reads the prompts of an experiment: a list, a prompt file, or a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "plan/experiment.h"
#include "plan/tsv.h"

/* ---- parts of a prompt ------------------------------------------------------------------------ */

static int compare_vars(const void *a, const void *b)
{
    return strcmp(((const struct idem_chat_var *)a)->name, ((const struct idem_chat_var *)b)->name);
}

/* chat, system, chat_template and chat_vars of a prompt or of all of a table (`what`); the
 * variables in the order of their names. */
static int parse_chat_vars(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *n, const char *what,
                           struct plan_prompt *q, struct idem_err *err)
{
    struct arena *a = &c->p->arena;
    struct fy_node *key, *value;
    void *at = NULL;
    if (!q->chat || !plan_yaml_is_mapping(n))
        return plan_yaml_err(y, n, err, "chat_vars of %s must be names with values, beside 'chat: true'", what);
    struct idem_chat_var *vars = arena_array(a, PLAN_MAX_CHAT_VARS, sizeof *vars);
    if (!vars)
        return err_memory(err, "variables of a chat template", PLAN_MAX_CHAT_VARS);
    while (plan_yaml_pair(n, &at, &key, &value)) {
        if (q->n_chat_vars == PLAN_MAX_CHAT_VARS)
            return plan_yaml_err(y, n, err, "%s has more than %d chat_vars", what, PLAN_MAX_CHAT_VARS);
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

static int parse_chat(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *node, const char *what,
                      struct plan_prompt *q, struct idem_err *err)
{
    struct arena *a = &c->p->arena;
    struct fy_node *n;
    if ((n = plan_yaml_get(node, "chat")) && plan_yaml_bool(y, n, "chat of a prompt", &q->chat, err))
        return -1;
    if ((n = plan_yaml_get(node, "system"))) {
        if (!(q->system = plan_yaml_text(y, n, "system of a prompt", PLAN_MAX_TEXT, a, err)))
            return -1;
        if (!q->chat)
            return plan_yaml_err(y, n, err, "%s has a system message but is not chat; "
                                 "write 'chat: true' or take it out", what);
    }
    if ((n = plan_yaml_get(node, "chat_template")) &&
        !(q->chat_template = plan_yaml_text(y, n, "chat_template of a prompt", PLAN_MAX_TEXT, a, err)))
        return -1;
    if (n && !q->chat)
        return plan_yaml_err(y, n, err, "%s has a chat_template but is not chat; write 'chat: true' or "
                             "take it out", what);
    n = plan_yaml_get(node, "chat_vars");
    return n ? parse_chat_vars(c, y, n, what, q, err) : 0;
}

/* The format of a prompt: text with {text} once. *format stays NULL without one. */
static int parse_format(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *node, const char **format,
                        struct idem_err *err)
{
    struct fy_node *n = plan_yaml_get(node, "format");
    *format = NULL;
    if (!n)
        return 0;
    if (!(*format = plan_yaml_text(y, n, "format of a prompt", PLAN_MAX_TEXT, &c->p->arena, err)))
        return -1;
    const char *slot = strstr(*format, "{text}");
    if (!slot || strstr(slot + 1, "{text}"))
        return plan_yaml_err(y, n, err, "a format must have {text} once, where the text of the prompt goes");
    return 0;
}

/* Puts q->text into the format and notes where it stands. */
static int put_in_format(struct plan_parse *c, const char *format, struct plan_prompt *q, struct idem_err *err)
{
    size_t len = strlen(q->text);
    q->body_to = len;
    if (!format)
        return 0;
    const char *slot = strstr(format, "{text}");
    struct buf b;
    buf_init(&b, PLAN_MAX_TEXT);
    buf_add(&b, format, (size_t)(slot - format));
    q->body_from = b.len;
    q->body_to = b.len + len;
    buf_add(&b, q->text, len);
    buf_adds(&b, slot + 6);
    q->text = b.failed ? NULL : arena_strndup(&c->p->arena, b.data, b.len);
    buf_release(&b);
    return q->text ? 0 : err_set(err, IDEM_ERR_LIMIT, "%s: prompt '%s' and its format have more than %d bytes",
                                 c->p->path, q->id, PLAN_MAX_TEXT);
}

int plan_prompt_digest(struct plan_prompt *q, struct idem_err *err)
{
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

/* ---- equal ids and equal texts ------------------------------------------------------------------ */

struct prompt_ref { const char *key; size_t index; };

static int compare_refs(const void *a, const void *b)
{
    const struct prompt_ref *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* Finds two prompts of equal id, or of equal digest. 1: *first and *second; 0: there are none. */
static int find_equal(const struct plan *p, bool by_id, size_t *first, size_t *second, struct idem_err *err)
{
    struct prompt_ref *refs = calloc(p->n_prompts + 1, sizeof *refs);
    int found = 0;
    if (!refs)
        return err_memory(err, "prompt ids", p->n_prompts * sizeof *refs);
    for (size_t i = 0; i < p->n_prompts; i++)
        refs[i] = (struct prompt_ref){by_id ? p->prompts[i].id : p->prompts[i].digest, i};
    qsort(refs, p->n_prompts, sizeof *refs, compare_refs);
    for (size_t i = 1; i < p->n_prompts && !found; i++)
        if (!strcmp(refs[i - 1].key, refs[i].key)) {
            *first = refs[i - 1].index;
            *second = refs[i].index;
            found = 1;
        }
    free(refs);
    return found;
}

/* `place` writes where prompt `index` stands in front of an error. */
typedef int (*place_fn)(const void *ctx, size_t index, struct idem_err *err, const char *msg);

static int check_unique(const struct plan *p, place_fn place, const void *ctx, struct idem_err *err)
{
    for (int by_id = 1; by_id >= 0; by_id--) {
        size_t first = 0, second = 0;
        char msg[300];
        int found = find_equal(p, by_id, &first, &second, err);
        if (found < 0)
            return -1;
        if (!found)
            continue;
        if (by_id)
            snprintf(msg, sizeof msg, "a second prompt with the id '%s'; ids must differ", p->prompts[first].id);
        else
            snprintf(msg, sizeof msg, "prompt '%s' is the same as prompt '%s'; it would count twice",
                     p->prompts[second].id, p->prompts[first].id);
        return place(ctx, second, err, msg);
    }
    return 0;
}

/* What is left with --limit; every prompt stands for itself. */
static int finish_prompts(struct plan_parse *c)
{
    struct plan *p = c->p;
    p->n_prompts_declared = p->n_prompts;
    if (c->o->limit_prompts && c->o->limit_prompts < p->n_prompts)
        p->n_prompts = c->o->limit_prompts;
    p->n_bases = p->n_prompts;
    c->declared = p->prompts;
    for (size_t i = 0; i < p->n_prompts; i++) {
        p->prompts[i].base = (uint32_t)i;
        p->prompts[i].perturbation = PLAN_UNPERTURBED;
    }
    return 0;
}

/* ---- a list ------------------------------------------------------------------------------------- */

static int parse_attributes(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *map,
                            struct plan_prompt *q, struct idem_err *err)
{
    struct arena *a = &c->p->arena;
    struct fy_node *key, *value;
    void *at = NULL;
    if (!plan_yaml_is_mapping(map))
        return plan_yaml_err(y, map, err, "attributes of prompt '%s' must be names with values", q->id);
    while (plan_yaml_pair(map, &at, &key, &value))
        q->n_attributes++;
    struct rec_attribute *v = arena_array(a, q->n_attributes + 1, sizeof *v);
    if (!v)
        return err_memory(err, "attributes", q->n_attributes * sizeof *v);
    q->attributes = v;
    for (at = NULL; plan_yaml_pair(map, &at, &key, &value); v++)
        if (!(v->name = plan_parse_id(y, key, "a name in attributes", a, err)) ||
            !(v->value = plan_yaml_text(y, value, "a value in attributes", PLAN_MAX_TEXT, a, err)))
            return -1;
    return 0;
}

static int parse_prompt(struct plan_parse *c, const struct plan_yaml *y, struct fy_node *node,
                        struct plan_prompt *q, struct idem_err *err)
{
    static const char *const allowed[] = {"id", "kind", "text", "format", "chat", "system", "chat_template", "chat_vars",
                                          "attributes", NULL};
    struct arena *a = &c->p->arena;
    struct fy_node *id, *kind, *text, *n;
    const char *format;
    char what[PLAN_MAX_ID + 16];
    if (plan_yaml_keys(y, node, "a prompt", allowed, err) ||
        !(id = plan_yaml_need(y, node, "a prompt", "id", err)) ||
        !(kind = plan_yaml_need(y, node, "a prompt", "kind", err)) ||
        !(text = plan_yaml_need(y, node, "a prompt", "text", err)) ||
        !(q->id = plan_parse_id(y, id, "id of a prompt", a, err)) ||
        !(q->kind = plan_parse_id(y, kind, "kind of a prompt", a, err)) ||
        !(q->text = plan_yaml_text(y, text, "text of a prompt", PLAN_MAX_TEXT, a, err)))
        return -1;
    snprintf(what, sizeof what, "prompt '%s'", q->id);
    if (parse_chat(c, y, node, what, q, err) || parse_format(c, y, node, &format, err) ||
        put_in_format(c, format, q, err) ||
        ((n = plan_yaml_get(node, "attributes")) && parse_attributes(c, y, n, q, err)))
        return -1;
    return plan_prompt_digest(q, err);
}

struct in_list { const struct plan_yaml *y; struct fy_node *list; };

static int place_in_list(const void *ctx, size_t index, struct idem_err *err, const char *msg)
{
    const struct in_list *l = ctx;
    void *at = NULL;
    struct fy_node *node = NULL;
    for (size_t i = 0; i <= index && plan_yaml_item(l->list, &at, &node); i++)
        ;
    return plan_yaml_err(l->y, node, err, "%s", msg);
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
    return check_unique(p, place_in_list, &(struct in_list){y, list}, err);
}

/* ---- a prompt file ------------------------------------------------------------------------------- */

int plan_parse_path(struct plan_parse *c, const char *name, struct buf *path)
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
    if (plan_parse_path(c, name, &path)) {
        err_memory(err, "the path of the prompt file", strlen(name));
    } else if (strlen(name) > 4 && !strcmp(name + strlen(name) - 4, ".tsv")) {
        plan_yaml_err(&c->y, node, err, "a table needs the names of its columns: "
                      "prompts: {table: %s, id: COLUMN, kind: COLUMN, text: COLUMN}", name);
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

/* ---- a table -------------------------------------------------------------------------------------- */

struct table {
    struct plan_tsv t;
    size_t id, kind, text;          /* columns */
    const char *format;
    struct plan_prompt like;        /* chat and its kin, the same for all */
    size_t *rows;                   /* [n_rows] of the table that `where` leaves: prompt i is row rows[i] */
    size_t n_rows;
};

static int row_err(const struct table *t, size_t row, struct idem_err *err, const char *msg)
{
    return err_set(err, IDEM_ERR_FORMAT, "%s:%zu: %s", t->t.path, t->t.lines[row], msg);
}

static int place_in_table(const void *ctx, size_t index, struct idem_err *err, const char *msg)
{
    const struct table *t = ctx;
    return row_err(t, t->rows[index], err, msg);
}

/* The name of a column from the mapping, and its place in the table. */
static int parse_column(struct plan_parse *c, struct fy_node *map, const char *key, const struct plan_tsv *t,
                        size_t *column, struct idem_err *err)
{
    struct fy_node *n = plan_yaml_need(&c->y, map, "prompts with a table", key, err);
    const char *name = n ? plan_yaml_text(&c->y, n, key, 64, &c->p->arena, err) : NULL;
    struct idem_err why = {0};
    if (!name)
        return -1;
    return plan_tsv_column(t, name, column, &why) ? plan_yaml_err(&c->y, n, err, "%s", why.msg) : 0;
}

/* An id or kind out of a cell: spaces become '-', nothing else is put up with. */
static const char *cell_word(struct plan_parse *c, const struct table *t, size_t row, size_t column, bool spaces,
                             struct idem_err *err)
{
    const char *s = t->t.cells[row * t->t.n_columns + column];
    char msg[300];
    char *w = arena_strdup(&c->p->arena, s);
    if (!w) {
        err_memory(err, "a prompt", strlen(s));
        return NULL;
    }
    for (size_t i = 0; spaces && w[i]; i++)
        w[i] = w[i] == ' ' ? '-' : w[i];
    if (w[0] && strlen(w) <= PLAN_MAX_ID && !w[strspn(w, PLAN_ID_CHARACTERS)])
        return w;
    snprintf(msg, sizeof msg, "column %s has '%.80s'; allowed: 1 to %d letters, digits, '.', '_' and '-'",
             t->t.columns[column], s, PLAN_MAX_ID);
    row_err(t, row, err, msg);
    return NULL;
}

static int parse_row(struct plan_parse *c, const struct table *t, size_t row, const struct rec_attribute *names,
                     struct plan_prompt *q, struct idem_err *err)
{
    const char **cells = t->t.cells + row * t->t.n_columns;
    size_t n = t->t.n_columns;
    *q = t->like;
    if (!(q->id = cell_word(c, t, row, t->id, false, err)) || !(q->kind = cell_word(c, t, row, t->kind, true, err)))
        return -1;
    q->text = cells[t->text];
    if (!q->text[0] || strlen(q->text) > PLAN_MAX_TEXT)
        return row_err(t, row, err, q->text[0] ? "its text is longer than 1048576 bytes" : "its text is empty");
    struct rec_attribute *v = arena_array(&c->p->arena, n, sizeof *v);
    if (!v)
        return err_memory(err, "attributes", n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct rec_attribute){names[i].name, cells[i]};
    q->attributes = v;
    q->n_attributes = n;
    return put_in_format(c, t->format, q, err) || plan_prompt_digest(q, err) ? -1 : 0;
}

/* Whether a row has one of the wanted values (a text, or a list of texts) in a column. */
static bool has_value(const char *cell, struct fy_node *wanted)
{
    void *at = NULL;
    struct fy_node *item;
    if (!plan_yaml_is_sequence(wanted))
        return plan_yaml_is_word(wanted, cell);
    while (plan_yaml_item(wanted, &at, &item))
        if (plan_yaml_is_word(item, cell))
            return true;
    return false;
}

/* where: {column: value, column: [value, value]}; all columns must fit. */
static int choose_rows(struct plan_parse *c, struct fy_node *map, struct table *t, struct idem_err *err)
{
    struct fy_node *where = plan_yaml_get(map, "where"), *key, *value;
    t->rows = arena_array(&c->p->arena, t->t.n_rows, sizeof *t->rows);
    if (!t->rows)
        return err_memory(err, "rows", t->t.n_rows * sizeof *t->rows);
    for (size_t i = 0; i < t->t.n_rows; i++)
        t->rows[t->n_rows++] = i;
    if (where && !plan_yaml_is_mapping(where))
        return plan_yaml_err(&c->y, where, err, "where must be a mapping (column: value, or a list of values)");
    for (void *at = NULL; where && plan_yaml_pair(where, &at, &key, &value);) {
        struct idem_err why = {0};
        size_t column, n = 0;
        const char *name = plan_yaml_text(&c->y, key, "a column in where", 64, &c->p->arena, err);
        if (!name)
            return -1;
        if (plan_tsv_column(&t->t, name, &column, &why))
            return plan_yaml_err(&c->y, key, err, "%s", why.msg);
        if (plan_yaml_is_mapping(value))
            return plan_yaml_err(&c->y, value, err, "'%s' in where must be a value or a list of values", name);
        for (size_t i = 0; i < t->n_rows; i++)
            if (has_value(t->t.cells[t->rows[i] * t->t.n_columns + column], value))
                t->rows[n++] = t->rows[i];
        t->n_rows = n;
        if (n == 0)
            return plan_yaml_err(&c->y, value, err, "no row of the table has that in column '%s'", name);
    }
    return 0;
}

static int parse_rows(struct plan_parse *c, const struct table *t, struct fy_node *at, struct idem_err *err)
{
    struct plan *p = c->p;
    if (t->n_rows > PLAN_MAX_PROMPTS)
        return plan_yaml_err(&c->y, at, err, "the table has %zu rows; allowed: at most %d", t->n_rows,
                             PLAN_MAX_PROMPTS);
    struct rec_attribute *names = arena_array(&p->arena, t->t.n_columns, sizeof *names);
    p->prompts = arena_array(&p->arena, t->n_rows, sizeof *p->prompts);
    if (!p->prompts || !names)
        return err_memory(err, "prompts", t->t.n_rows * sizeof *p->prompts);
    for (size_t i = 0; i < t->t.n_columns; i++) {
        names[i].name = t->t.columns[i];
        if (names[i].name[strspn(names[i].name, PLAN_ID_CHARACTERS " ")])
            return err_set(err, IDEM_ERR_FORMAT, "%s:1: the column '%s' has another name than letters, digits, spaces, "
                           "'.', '_' and '-'", t->t.path, names[i].name);
    }
    for (size_t i = 0; i < t->n_rows; i++)
        if (parse_row(c, t, t->rows[i], names, &p->prompts[p->n_prompts++], err))
            return -1;
    return check_unique(p, place_in_table, t, err);
}

static int parse_table(struct plan_parse *c, struct fy_node *map, struct idem_err *err)
{
    static const char *const allowed[] = {"table", "where", "id", "kind", "text", "format", "chat", "system", "chat_template",
                                          "chat_vars", NULL};
    struct table t = {.id = 0};
    struct buf path = {0};
    struct fy_node *n;
    int rc = -1;
    if (plan_yaml_keys(&c->y, map, "prompts with a table", allowed, err) ||
        !(n = plan_yaml_need(&c->y, map, "prompts with a table", "table", err)))
        return -1;
    const char *name = plan_yaml_text(&c->y, n, "table", 4096, &c->p->arena, err);
    if (!name)
        return -1;
    if (plan_parse_path(c, name, &path))
        err_memory(err, "the path of the table", strlen(name));
    else if (plan_tsv_read(&t.t, path.data, &c->p->arena, err))
        err_prefix(err, "%s: prompts", c->p->path);
    else if (!parse_column(c, map, "id", &t.t, &t.id, err) && !parse_column(c, map, "kind", &t.t, &t.kind, err) &&
             !parse_column(c, map, "text", &t.t, &t.text, err) && !parse_format(c, &c->y, map, &t.format, err) &&
             !parse_chat(c, &c->y, map, "the table", &t.like, err) && !choose_rows(c, map, &t, err))
        rc = parse_rows(c, &t, n, err);
    buf_release(&path);
    return rc;
}

int plan_parse_prompts(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    struct fy_node *n = plan_yaml_need(&c->y, root, "the experiment", "prompts", err);
    if (!n)
        return -1;
    int rc = plan_yaml_is_sequence(n) ? parse_prompt_list(c, &c->y, n, err)
           : plan_yaml_is_mapping(n) ? parse_table(c, n, err) : parse_prompt_file(c, n, err);
    return rc ? -1 : finish_prompts(c);
}
