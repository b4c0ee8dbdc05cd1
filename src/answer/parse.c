/* SPDX-License-Identifier: MIT
 * Finds the answer in an output. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <json-c/json.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer_impl.h"
#include "base/utf8.h"

enum { MAX_ARG = 4000, MATCH_STEPS = 1000000, MATCH_DEPTH = 10000, JSON_DEPTH = 64 };

const char *answer_parse_name(enum answer_parse_kind k)
{
    static const char *const names[] = {"whole", "first_line", "after", "regex", "choice", "json"};
    return names[k];
}

/* ---- opening ---------------------------------------------------------------------------------- */

static int compile(struct answer *a, struct idem_err *err)
{
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[200];
    a->re = pcre2_compile((PCRE2_SPTR)a->arg, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code,
                          &at, NULL);
    if (!a->re) {
        pcre2_get_error_message(code, why, sizeof why);
        return err_set(err, IDEM_ERR_FORMAT, "the regular expression '%.80s' is wrong at byte %zu: %s", a->arg,
                       (size_t)at, (const char *)why);
    }
    a->limits = pcre2_match_context_create(NULL);
    a->found = pcre2_match_data_create_from_pattern(a->re, NULL);
    if (!a->limits || !a->found)
        return err_memory(err, "a regular expression", strlen(a->arg));
    pcre2_set_match_limit(a->limits, MATCH_STEPS);
    pcre2_set_depth_limit(a->limits, MATCH_DEPTH);
    return 0;
}

static int check_letters(const char *arg, struct idem_err *err)
{
    size_t n = strlen(arg);
    for (size_t i = 0; i < n; i++)
        if (arg[i] < 'A' || arg[i] > 'Z' || strchr(arg + i + 1, arg[i]))
            return err_set(err, IDEM_ERR_FORMAT, "the letters of a choice are '%.40s'; allowed: different capital "
                           "letters such as ABCD", arg);
    return n >= 2 ? 0 : err_set(err, IDEM_ERR_FORMAT, "a choice needs at least two letters, such as ABCD");
}

struct answer *answer_open(const struct answer_rule *rule, struct idem_err *err)
{
    struct answer *a = calloc(1, sizeof *a);
    const char *arg = rule->arg ? rule->arg : "";
    bool needs = rule->parse >= ANSWER_AFTER;
    if (!a || !(a->arg = strdup(arg))) {
        err_memory(err, "an answer", sizeof *a);
        free(a);
        return NULL;
    }
    a->rule = *rule;
    a->rule.arg = a->arg;
    int rc = 0;
    if (needs != (arg[0] != '\0') || strlen(arg) > MAX_ARG)
        rc = err_set(err, IDEM_ERR_FORMAT, "an answer that is parsed by '%s' %s", answer_parse_name(rule->parse),
                     !needs ? "takes nothing more" : arg[0] ? "has at most 4000 bytes" : "needs a text to look for");
    else if (!utf8_valid(arg, strlen(arg), NULL))
        rc = err_set(err, IDEM_ERR_FORMAT, "what an answer is looked for by is not valid UTF-8");
    else if (rule->parse == ANSWER_REGEX)
        rc = compile(a, err);
    else if (rule->parse == ANSWER_CHOICE)
        rc = check_letters(arg, err);
    else if (rule->parse == ANSWER_JSON && (arg[0] == '.' || arg[strlen(arg) - 1] == '.' || strstr(arg, "..")))
        rc = err_set(err, IDEM_ERR_FORMAT, "the field '%.80s' has an empty name in it", arg);
    if (rc == 0)
        return a;
    answer_close(a);
    return NULL;
}

void answer_close(struct answer *a)
{
    if (!a)
        return;
    pcre2_match_data_free(a->found);
    pcre2_match_context_free(a->limits);
    pcre2_code_free(a->re);
    free(a->arg);
    free(a);
}

/* ---- the kinds --------------------------------------------------------------------------------- */

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }

static int put_trimmed(const char *s, const char *end, struct buf *out)
{
    while (s < end && blank(*s))
        s++;
    while (end > s && blank(end[-1]))
        end--;
    buf_add(out, s, (size_t)(end - s));
    return s < end;
}

static const char *line_end(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    return nl ? nl : end;
}

static int first_line(const char *s, const char *end, struct buf *out)
{
    while (s < end && blank(*s))
        s++;
    return put_trimmed(s, line_end(s, end), out);
}

static int after(const struct answer *a, const char *s, const char *end, struct buf *out)
{
    const char *last = NULL;
    size_t n = strlen(a->arg);
    for (const char *p = s; (p = memmem(p, (size_t)(end - p), a->arg, n)); p++)
        last = p + n;
    return last ? put_trimmed(last, line_end(last, end), out) : 0;
}

static int regex(const struct answer *a, const char *s, const char *end, struct buf *out, struct idem_err *err)
{
    int rc = pcre2_match(a->re, (PCRE2_SPTR)s, (PCRE2_SIZE)(end - s), 0, 0, a->found, a->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return err_set(err, IDEM_ERR_LIMIT, "the regular expression '%.80s' gave up on an output of %zu bytes; write "
                       "one that tries less", a->arg, (size_t)(end - s));
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(a->found);
    size_t group = pcre2_get_ovector_count(a->found) > 1 ? 1 : 0;
    if ((int)group >= rc || at[2 * group] == PCRE2_UNSET || at[2 * group] > at[2 * group + 1])
        return 0;
    return put_trimmed(s + at[2 * group], s + at[2 * group + 1], out);
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '\'' ||
           (unsigned char)c >= 0x80;
}

/* The first letter of the choice that stands alone. A small one counts in brackets, before . ) or :, or
 * as the whole of the answer; a capital A or I that begins a sentence ("A dog …") does not. */
static int choice(const struct answer *a, const char *s, const char *end, struct buf *out)
{
    const char *from = s;
    while (from < end && blank(*from))
        from++;
    for (const char *p = from; p < end; p++) {
        char up = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        if (up < 'A' || up > 'Z' || !strchr(a->arg, up) || (p > s && word_byte(p[-1])) ||
            (p + 1 < end && word_byte(p[1])))
            continue;
        bool last = p + 1 == end, label = !last && (p[1] == '.' || p[1] == ')' || p[1] == ':');
        bool line = last || p[1] == '\n' || p[1] == '\r';
        bool article = (up == 'A' || up == 'I') && !last && p[1] == ' ' && p + 2 < end && word_byte(p[2]);
        if (label || (p == from && line) || (*p == up && !article)) {
            buf_add(out, &up, 1);
            return 1;
        }
    }
    return 0;
}

static struct json_object *first_object(const char *s, const char *end)
{
    struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH);
    struct json_object *j = NULL;
    for (int tries = 0; t && !j && tries < 100 && (s = memchr(s, '{', (size_t)(end - s))); s++, tries++) {
        json_tokener_reset(t);
        j = json_tokener_parse_ex(t, s, (int)(end - s));
        if (j && !json_object_is_type(j, json_type_object)) {
            json_object_put(j);
            j = NULL;
        }
    }
    if (t)
        json_tokener_free(t);
    return j;
}

static int json_field(const struct answer *a, const char *s, const char *end, struct buf *out)
{
    struct json_object *j = first_object(s, end), *v = j;
    char name[MAX_ARG + 1];
    for (const char *p = a->arg, *dot; v && *p; p = *dot ? dot + 1 : dot) {
        dot = strchr(p, '.');
        dot = dot ? dot : p + strlen(p);
        memcpy(name, p, (size_t)(dot - p));
        name[dot - p] = '\0';
        if (!json_object_is_type(v, json_type_object) || !json_object_object_get_ex(v, name, &v))
            v = NULL;
    }
    int found = 0;
    if (v && json_object_is_type(v, json_type_string)) {
        const char *text = json_object_get_string(v);
        found = put_trimmed(text, text + json_object_get_string_len(v), out);
    } else if (v) {
        const char *text = json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN);
        found = put_trimmed(text, text + strlen(text), out);
    }
    json_object_put(j);
    return found;
}

int answer_parse(const struct answer *a, const char *text, size_t len, struct buf *out, struct idem_err *err)
{
    struct buf clean;
    int rc = -1;
    if (len > ANSWER_MAX)
        return err_set(err, IDEM_ERR_LIMIT, "an output of %zu bytes; an answer is looked for in at most %d", len, ANSWER_MAX);
    buf_init(&clean, (size_t)3 * ANSWER_MAX);
    for (size_t i = 0, n; i < len; i += n) {
        int32_t cp;
        n = utf8_next(text + i, len - i, &cp);
        if (cp > 0)
            buf_add(&clean, text + i, n);
        else
            buf_adds(&clean, "\xEF\xBF\xBD");
    }
    const char *s = clean.data ? clean.data : "", *end = s + clean.len;
    switch (clean.failed ? ANSWER_WHOLE : a->rule.parse) {
    case ANSWER_WHOLE: rc = put_trimmed(s, end, out); break;
    case ANSWER_FIRST_LINE: rc = first_line(s, end, out); break;
    case ANSWER_AFTER: rc = after(a, s, end, out); break;
    case ANSWER_REGEX: rc = regex(a, s, end, out, err); break;
    case ANSWER_CHOICE: rc = choice(a, s, end, out); break;
    case ANSWER_JSON: rc = json_field(a, s, end, out); break;
    }
    if (clean.failed || out->failed)
        rc = err_memory(err, "an answer", len);
    buf_release(&clean);
    return rc;
}
