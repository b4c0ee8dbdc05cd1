/* SPDX-License-Identifier: MIT
 * Compares an answer with the correct ones. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "answer/answer_impl.h"
#include "base/utf8.h"

const char *answer_normal_name(enum answer_normal n) { return n == ANSWER_EXACT ? "exact" : "squad"; }
const char *answer_match_name(enum answer_match m) { return m == ANSWER_CONTAINS ? "contains" : "equals"; }

int answer_rule_words(struct answer_rule *rule, const char *parse, const char *arg, const char *normalize,
                      const char *match, struct idem_err *err)
{
    int kind = 0;
    while (kind <= ANSWER_JSON && strcmp(parse, answer_parse_name((enum answer_parse_kind)kind)) != 0)
        kind++;
    bool exact = strcmp(normalize, "exact") == 0, contains = strcmp(match, "contains") == 0;
    if (kind > ANSWER_JSON || (!exact && strcmp(normalize, "squad") != 0) || (!contains && strcmp(match, "equals") != 0))
        return err_set(err, IDEM_ERR_FORMAT, "answers by '%.20s', '%.20s', '%.20s'; allowed: whole, first_line, after, "
                       "regex, choice, json; squad, exact; equals, contains", parse, normalize, match);
    *rule = (struct answer_rule){.parse = (enum answer_parse_kind)kind, .arg = arg,
                                 .normal = exact ? ANSWER_EXACT : ANSWER_SQUAD,
                                 .match = contains ? ANSWER_CONTAINS : ANSWER_EQUALS};
    return 0;
}

/* ---- normal form ------------------------------------------------------------------------------- */

static bool is_punctuation(int32_t cp)
{
    utf8proc_category_t k = utf8proc_category(cp);
    return (k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO) || (cp > 0 && cp < 0x80 && strchr("$+<=>^`|~", cp));
}

static bool is_space(int32_t cp)
{
    utf8proc_category_t k = utf8proc_category(cp);
    return (cp >= 9 && cp <= 13) || (cp >= 0x1C && cp <= 0x1F) || cp == 0x85 || k == UTF8PROC_CATEGORY_ZS ||
           k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static bool is_article(const char *s, size_t len)
{
    return (len == 1 && *s == 'a') || (len == 2 && !memcmp(s, "an", 2)) || (len == 3 && !memcmp(s, "the", 3));
}

/* Takes back the word that out ends with, from `word` on, if it is an article; a space before a next one. */
static void end_word(struct buf *out, size_t from, size_t *word)
{
    if (out->failed || out->len == *word)
        return;
    if (is_article(out->data + *word, out->len - *word)) {
        out->len = *word > from ? *word - 1 : from;
        out->data[out->len] = '\0';
    }
    *word = out->len;
}

static void squad(const char *s, size_t len, struct buf *out)
{
    size_t from = out->len, word = from;   /* where the word that is being written begins */
    bool open = false;
    for (size_t i = 0, n; i < len; i += n) {
        int32_t cp;
        utf8proc_uint8_t b[4];
        n = utf8_next(s + i, len - i, &cp);
        cp = utf8proc_tolower(cp < 0 ? 0xFFFD : cp);
        if (is_space(cp)) {
            if (open)
                end_word(out, from, &word);
            open = false;
        } else if (!is_punctuation(cp)) {
            if (!open && out->len > from) {
                buf_adds(out, " ");
                word = out->len;
            }
            open = true;
            buf_add(out, b, (size_t)utf8proc_encode_char(cp, b));
        }
    }
    if (open)
        end_word(out, from, &word);
}

void answer_normalize(enum answer_normal n, const char *text, size_t len, struct buf *out)
{
    if (n == ANSWER_EXACT) {
        buf_add(out, text, len);
        return;
    }
    utf8proc_uint8_t *nfc = NULL;
    utf8proc_ssize_t k = len ? utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &nfc,
                                            UTF8PROC_STABLE | UTF8PROC_COMPOSE) : 0;
    if (k == UTF8PROC_ERROR_NOMEM)
        out->failed = true;
    else if (k >= 0)
        squad((const char *)nfc, (size_t)k, out);
    else
        squad(text, len, out);         /* malformed: without NFC */
    free(nfc);
}

/* ---- options that were moved ------------------------------------------------------------------------ */

char answer_unmove(char letter, const char *order)
{
    if (letter < 'A' || letter > 'Z')
        return 0;
    if (!order || !order[0])
        return letter;
    const char *p = order;
    for (int i = 0; i < letter - 'A' && p; i++) {
        p = strchr(p, ',');
        p = p ? p + 1 : NULL;
    }
    char *end = NULL;
    long was = p && *p >= '0' && *p <= '9' ? strtol(p, &end, 10) : 26;
    return was < 26 && (*end == ',' || *end == '\0') ? (char)('A' + was) : 0;
}

/* ---- comparing --------------------------------------------------------------------------------- */

/* Whether s[at] is in the middle of a word: both sides are no space. */
static bool in_word(const struct buf *b, size_t at)
{
    return at > 0 && at < b->len && b->data[at - 1] != ' ' && b->data[at] != ' ' && b->data[at - 1] != '\n' &&
           b->data[at] != '\n';
}

static bool compare(const struct answer *a, const struct buf *found, const struct buf *correct)
{
    if (correct->len == 0)
        return false;
    if (a->rule.match == ANSWER_EQUALS)
        return found->len == correct->len && memcmp(found->data, correct->data, found->len) == 0;
    for (size_t at = 0; at + correct->len <= found->len; at++) {
        const char *p = memmem(found->data + at, found->len - at, correct->data, correct->len);
        if (!p)
            return false;
        at = (size_t)(p - found->data);
        if (!in_word(found, at) && !in_word(found, at + correct->len))
            return true;
    }
    return false;
}

static int is_one(const struct answer *a, const struct buf *found, const char *correct, size_t len, struct idem_err *err)
{
    struct buf c;
    buf_init(&c, (size_t)4 * ANSWER_MAX);
    answer_normalize(a->rule.normal, correct, len, &c);
    int rc = c.failed ? err_memory(err, "a correct answer", len) : compare(a, found, &c);
    buf_release(&c);
    return rc;
}

static int is_one_of(const struct answer *a, const struct buf *found, struct json_object *list, struct idem_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_object_array_length(list); i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *text = json_object_get_string(v);
        if (!text)
            return err_set(err, IDEM_ERR_FORMAT, "entry %zu of the list of correct answers is null", i + 1);
        rc = is_one(a, found, text, strlen(text), err);
    }
    return rc;
}

int answer_correct(const struct answer *a, const char *found, size_t len, const char *correct, size_t correct_len,
                   struct idem_err *err)
{
    struct buf f;
    int rc = 0;
    bool list = correct_len > 0 && correct[0] == '[';
    struct json_tokener *t = list ? json_tokener_new() : NULL;
    struct json_object *j = t && correct_len < INT32_MAX ? json_tokener_parse_ex(t, correct, (int)correct_len) : NULL;
    buf_init(&f, (size_t)4 * ANSWER_MAX);
    answer_normalize(a->rule.normal, found, len, &f);
    if (f.failed)
        rc = err_memory(err, "an answer", len);
    else if (list && !json_object_is_type(j, json_type_array))
        rc = err_set(err, IDEM_ERR_FORMAT, "the correct answers begin with '[' but are no JSON list: %.60s", correct);
    else
        rc = list ? is_one_of(a, &f, j, err) : is_one(a, &f, correct, correct_len, err);
    json_object_put(j);
    if (t)
        json_tokener_free(t);
    buf_release(&f);
    return rc;
}
