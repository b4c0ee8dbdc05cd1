/* SPDX-License-Identifier: MIT
 * A strict reader over libfyaml. */
#include "plan/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <libfyaml.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { MAX_BYTES = 4 << 20, MAX_WORD = 64, MAX_NESTING = 16 };

/* ---- opening ---------------------------------------------------------------------------- */

/* Line and column (from 1) of a byte offset. */
static void place_of(const char *text, size_t at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else {
            ++*column;
        }
    }
}

static int check_bytes(const char *path, const char *text, size_t len, struct idem_err *err)
{
    size_t bad = 0, line, column;
    if (len > MAX_BYTES)
        return err_set(err, IDEM_ERR_LIMIT, "%s: %zu bytes; an experiment or prompt file may have "
                       "at most %d", path, len, MAX_BYTES);
    const char *nul = memchr(text, 0, len);
    if (nul) {
        place_of(text, (size_t)(nul - text), &line, &column);
        return err_set(err, IDEM_ERR_FORMAT, "%s:%zu:%zu: a NUL byte; the file must be text in "
                       "UTF-8", path, line, column);
    }
    if (!utf8_valid(text, len, &bad)) {
        place_of(text, bad, &line, &column);
        return err_set(err, IDEM_ERR_FORMAT, "%s:%zu:%zu: byte 0x%02x is not valid UTF-8; save the "
                       "file as UTF-8", path, line, column, (unsigned)(unsigned char)text[bad]);
    }
    return 0;
}

/* Turns what libfyaml collected into one error. */
static int syntax_err(const char *path, struct fy_diag *diag, struct idem_err *err)
{
    void *at = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    if (!e)
        return err_set(err, IDEM_ERR_FORMAT, "%s: not valid YAML", path);
    return err_set(err, IDEM_ERR_FORMAT, "%s:%d:%d: not valid YAML: %s", path, e->line, e->column,
                   e->msg);
}

/* Aliases and tags could make a small file huge or mean something else than it says. */
static int check_tree(const struct plan_yaml *y, struct fy_node *node, unsigned depth,
                      struct idem_err *err)
{
    void *at = NULL;
    struct fy_node *key, *value;
    if (!node)
        return 0;
    if (depth > MAX_NESTING)
        return plan_yaml_err(y, node, err, "nested deeper than %d levels", MAX_NESTING);
    if (fy_node_is_alias(node))
        return plan_yaml_err(y, node, err, "aliases (*name) are not allowed; write the value out");
    if (fy_node_get_tag_token(node))
        return plan_yaml_err(y, node, err, "tags (!name) are not allowed");
    if (fy_node_is_mapping(node)) {
        while (plan_yaml_pair(node, &at, &key, &value)) {
            if (!key || !fy_node_is_scalar(key) || fy_node_is_alias(key))
                return plan_yaml_err(y, key ? key : node, err, "a key must be a word");
            if (check_tree(y, value, depth + 1, err))
                return -1;
        }
    } else if (fy_node_is_sequence(node)) {
        while (plan_yaml_item(node, &at, &value))
            if (check_tree(y, value, depth + 1, err))
                return -1;
    }
    return 0;
}

int plan_yaml_open(struct plan_yaml *y, const char *path, const char *text, size_t len,
                   struct idem_err *err)
{
    *y = (struct plan_yaml){.path = path};
    if (check_bytes(path, text, len, err))
        return -1;
    struct fy_diag_cfg dc;
    fy_diag_cfg_default(&dc);
    dc.fp = NULL;
    dc.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&dc);
    if (!diag)
        return err_memory(err, "reading YAML", len);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag};
    y->doc = fy_document_build_from_string(&cfg, text, len);
    int rc = 0;
    void *at = NULL;
    bool empty = !y->doc && !fy_diag_errors_iterate(diag, &at);
    if (empty)
        rc = 0;                  /* nothing but comments: plan_yaml_root says so */
    else if (!y->doc || fy_diag_got_error(diag))
        rc = syntax_err(path, diag, err);
    else
        rc = check_tree(y, fy_document_root(y->doc), 0, err);
    fy_diag_destroy(diag);          /* frees the collected errors too, which unref does not */
    if (rc)
        plan_yaml_close(y);
    return rc;
}

void plan_yaml_close(struct plan_yaml *y)
{
    if (y->doc)
        fy_document_destroy(y->doc);
    y->doc = NULL;
}

struct fy_node *plan_yaml_root(const struct plan_yaml *y)
{
    struct fy_node *root = y->doc ? fy_document_root(y->doc) : NULL;
    return root && !fy_node_is_null(root) ? root : NULL;
}

/* ---- errors ------------------------------------------------------------------------------- */

/* The first scalar in or under a node. Nesting was bounded when the file was opened, or is by
 * the check that is running. */
static struct fy_node *first_scalar(struct fy_node *n)
{
    for (unsigned i = 0; n && !fy_node_is_scalar(n) && i <= MAX_NESTING + 1; i++) {
        struct fy_node *key = NULL, *value = NULL;
        void *at = NULL;
        if (fy_node_is_mapping(n))
            n = plan_yaml_pair(n, &at, &key, &value) ? key : NULL;
        else
            n = plan_yaml_item(n, &at, &value) ? value : NULL;
    }
    return n && fy_node_is_scalar(n) ? n : NULL;
}

int plan_yaml_err(const struct plan_yaml *y, struct fy_node *at, struct idem_err *err,
                  const char *fmt, ...)
{
    char msg[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    const struct fy_mark *mark = NULL;
    struct fy_node *n = first_scalar(at);
    if (n && fy_node_get_scalar_token(n))
        mark = fy_token_start_mark(fy_node_get_scalar_token(n));
    if (!mark)
        return err_set(err, IDEM_ERR_FORMAT, "%s: %s", y->path, msg);
    return err_set(err, IDEM_ERR_FORMAT, "%s:%d:%d: %s", y->path, mark->line + 1, mark->column + 1,
                   msg);
}

/* Edit distance (insert, delete, change, swap of neighbours), words cut to MAX_WORD bytes. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[3][MAX_WORD + 1];
    if (na > MAX_WORD)
        na = MAX_WORD;
    if (nb > MAX_WORD)
        nb = MAX_WORD;
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = prev[j - 1] + (a[i - 1] != b[j - 1]);
            if (prev[j] + 1 < best)
                best = prev[j] + 1;
            if (cur[j - 1] + 1 < best)
                best = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                prev2[j - 2] + 1 < best)
                best = prev2[j - 2] + 1;
            cur[j] = best;
        }
    }
    return row[na % 3][nb];
}

const char *plan_nearest(const char *s, size_t len, const char *const *words)
{
    const char *best = NULL;
    size_t best_d = len / 3 + 1;
    for (; *words; words++) {
        size_t d = edit_distance(s, len, *words, strlen(*words));
        if (d <= best_d && (!best || d < best_d)) {
            best = *words;
            best_d = d;
        }
    }
    return best;
}

static void list_words(struct buf *b, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        buf_addf(b, "%s%s", i ? ", " : "", words[i]);
}

/* ---- structure ------------------------------------------------------------------------------ */

bool plan_yaml_is_sequence(struct fy_node *node) { return node && fy_node_is_sequence(node); }
bool plan_yaml_is_mapping(struct fy_node *node) { return node && fy_node_is_mapping(node); }

bool plan_yaml_is_word(struct fy_node *node, const char *word)
{
    size_t len = 0;
    if (!node || !fy_node_is_scalar(node))
        return false;
    const char *s = fy_node_get_scalar(node, &len);
    return s && len == strlen(word) && !memcmp(s, word, len);
}

bool plan_yaml_item(struct fy_node *seq, void **at, struct fy_node **value)
{
    *value = fy_node_sequence_iterate(seq, at);
    return *value != NULL;
}

bool plan_yaml_pair(struct fy_node *map, void **at, struct fy_node **key, struct fy_node **value)
{
    struct fy_node_pair *p = fy_node_mapping_iterate(map, at);
    if (!p)
        return false;
    *key = fy_node_pair_key(p);
    *value = fy_node_pair_value(p);
    return true;
}

struct fy_node *plan_yaml_get(struct fy_node *map, const char *key)
{
    void *at = NULL;
    struct fy_node *k, *v;
    while (plan_yaml_pair(map, &at, &k, &v))
        if (plan_yaml_is_word(k, key))
            return v;
    return NULL;
}

struct fy_node *plan_yaml_need(const struct plan_yaml *y, struct fy_node *map, const char *what,
                               const char *key, struct idem_err *err)
{
    struct fy_node *v = plan_yaml_get(map, key);
    if (!v)
        plan_yaml_err(y, map, err, "%s lacks the key '%s'", what, key);
    return v;
}

int plan_yaml_keys(const struct plan_yaml *y, struct fy_node *node, const char *what,
                   const char *const *allowed, struct idem_err *err)
{
    void *at = NULL;
    struct fy_node *key, *value;
    if (!plan_yaml_is_mapping(node))
        return plan_yaml_err(y, node, err, "%s must be a mapping (key: value)", what);
    while (plan_yaml_pair(node, &at, &key, &value)) {
        size_t len = 0;
        const char *s = fy_node_get_scalar(key, &len);
        bool known = false;
        for (size_t i = 0; allowed[i] && !known; i++)
            known = plan_yaml_is_word(key, allowed[i]);
        if (!known) {
            struct buf list;
            buf_init(&list, 600);
            list_words(&list, allowed);
            const char *near = plan_nearest(s ? s : "", len, allowed);
            plan_yaml_err(y, key, err, "unknown key '%.*s' in %s%s%s%s%s",
                          (int)(len < MAX_WORD ? len : MAX_WORD), s ? s : "", what,
                          near ? "; did you mean '" : "", near ? near : "",
                          near ? "'? Allowed: " : "; allowed: ", list.data ? list.data : "");
            buf_release(&list);
            return -1;
        }
        if (!value || (fy_node_is_scalar(value) && fy_node_is_null(value)))
            return plan_yaml_err(y, key, err, "'%.*s' in %s has no value", (int)len, s, what);
    }
    return 0;
}

int plan_yaml_sequence(const struct plan_yaml *y, struct fy_node *node, const char *what,
                       size_t min, size_t max, struct idem_err *err)
{
    if (!plan_yaml_is_sequence(node))
        return plan_yaml_err(y, node, err, "%s must be a list", what);
    int n = fy_node_sequence_item_count(node);
    if (n < 0 || (size_t)n < min || (size_t)n > max)
        return plan_yaml_err(y, node, err, "%s has %d entries; allowed: %zu to %zu", what, n, min,
                             max);
    return n;
}

/* ---- scalars -------------------------------------------------------------------------------- */

const char *plan_yaml_text(const struct plan_yaml *y, struct fy_node *node, const char *what,
                           size_t max_len, struct arena *a, struct idem_err *err)
{
    size_t len = 0;
    const char *s = node && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &len) : NULL;
    if (!s || fy_node_is_null(node)) {
        plan_yaml_err(y, node, err, "%s must be text", what);
        return NULL;
    }
    if (len == 0 || len > max_len || memchr(s, 0, len)) {
        plan_yaml_err(y, node, err, "%s has %zu bytes%s; allowed: 1 to %zu, no NUL", what, len,
                      memchr(s, 0, len) ? " with a NUL among them" : "", max_len);
        return NULL;
    }
    const char *copy = arena_strndup(a, s, len);
    if (!copy)
        err_memory(err, what, len);
    return copy;
}

/* A scalar that is not quoted, as a short C string. */
static int plain(const struct plan_yaml *y, struct fy_node *node, const char *what,
                 const char *must, char out[MAX_WORD + 1], struct idem_err *err)
{
    size_t len = 0;
    const char *s = node && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &len) : NULL;
    if (!s)
        return plan_yaml_err(y, node, err, "%s must be %s", what, must);
    if (fy_node_get_style(node) != FYNS_PLAIN || len > MAX_WORD)
        return plan_yaml_err(y, node, err, "%s must be %s, without quotes", what, must);
    memcpy(out, s, len);
    out[len] = '\0';
    return 0;
}

int plan_yaml_bool(const struct plan_yaml *y, struct fy_node *node, const char *what, bool *out,
                   struct idem_err *err)
{
    char w[MAX_WORD + 1];
    if (plain(y, node, what, "true or false", w, err))
        return -1;
    *out = strcmp(w, "true") == 0;
    if (!*out && strcmp(w, "false") != 0)
        return plan_yaml_err(y, node, err, "%s is '%s'; allowed: true, false", what, w);
    return 0;
}

int plan_yaml_u64(const struct plan_yaml *y, struct fy_node *node, const char *what, uint64_t min,
                  uint64_t max, uint64_t *out, struct idem_err *err)
{
    char w[MAX_WORD + 1];
    if (plain(y, node, what, "a whole number", w, err))
        return -1;
    bool digits = w[0] != '\0' && strspn(w, "0123456789") == strlen(w);
    errno = 0;
    unsigned long long v = digits ? strtoull(w, NULL, 10) : 0;
    if (!digits || errno || v < min || v > max)
        return plan_yaml_err(y, node, err, "%s is '%s'; allowed: a whole number from %" PRIu64
                             " to %" PRIu64, what, w, min, max);
    *out = v;
    return 0;
}

int plan_yaml_f64(const struct plan_yaml *y, struct fy_node *node, const char *what, double *out,
                  struct idem_err *err)
{
    char w[MAX_WORD + 1], *end = w;
    if (plain(y, node, what, "a number", w, err))
        return -1;
    bool chars = w[0] != '\0' && strspn(w, "+-.0123456789eE") == strlen(w);
    double v = chars ? strtod(w, &end) : 0;
    if (!chars || *end || !isfinite(v))
        return plan_yaml_err(y, node, err, "%s is '%s'; allowed: a finite number such as 0.7",
                             what, w);
    *out = v;
    return 0;
}
