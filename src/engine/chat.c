/* SPDX-License-Identifier: MIT
 * Chat templates: a table of families, recognised from the text of the file's own template. */
#include "engine/chat.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { MAX_TEXT = 1 << 28 };   /* bytes of a rendered conversation */

enum system_rule {
    SYSTEM_OWN_TURN,           /* a turn of its own, wherever it stands */
    SYSTEM_DATED,              /* the first turn is always the system's and begins with dates */
    SYSTEM_IN_USER,            /* its text stands before that of the first user turn */
    SYSTEM_REFUSED             /* the template raises an error */
};

enum { MAX_WORDS = 4 };

struct chat_family {
    const char *name;
    const char *has[MAX_WORDS];     /* the template, squeezed (below), has all of these ... */
    const char *hasnt[MAX_WORDS];   /* ... and none of these, which would make it another family */
    const char *open;               /* before the role */
    const char *after_role;
    const char *close;              /* after the content */
    const char *assistant;          /* the assistant's name in this family */
    enum system_rule system;
    bool default_system;            /* the template may hold a system message for when none is given */
    bool trim;                      /* content without white space at its ends */
};

/* Sources: the templates as their models publish them (tests/data/templates), rendered with
 * transformers (tests/data/chat). A row is here only if that was compared; what looks alike but
 * renders otherwise (Qwen3's and SmolLM3's reasoning turns) must not fit any. */
static const struct chat_family families[] = {
    {"chatml", {"'<|im_start|>'+message.role+''+message.content+'<|im_end|>"},
     {"think", "reason", "strftime"},
     "<|im_start|>", "\n", "<|im_end|>\n", "assistant", SYSTEM_OWN_TURN, true, false},
    {"gemma", {"'<start_of_turn>'+role+''+message.content|trim+'<end_of_turn>", "Systemrolenotsupported"},
     {NULL}, "<start_of_turn>", "\n", "<end_of_turn>\n", "model", SYSTEM_REFUSED, false, true},
    {"gemma", {"'<start_of_turn>'+role+''+(first_user_prefixifloop.firstelse'')", "message.content|trim"},
     {NULL}, "<start_of_turn>", "\n", "<end_of_turn>\n", "model", SYSTEM_IN_USER, false, true},
    {"llama3", {"'<|start_header_id|>'+message.role+'<|end_header_id|>'+message.content|trim+'<|eot_id|>'",
                "CuttingKnowledgeDate:December2023'", "TodayDate:'+date_string+''", "setdate_string='"},
     {NULL}, "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "assistant", SYSTEM_DATED,
     false, true},
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

#define LLAMA3_DATES "Cutting Knowledge Date: December 2023\nToday Date: "
#define LLAMA3_DATE "set date_string = \""

/* ---- recognising ---------------------------------------------------------------------------- */

/* A template without white space and escaped newlines, ' for ", and .x for ['x']: what people
 * write differently without meaning anything by it. */
static void squeeze(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i] == '"' ? '\'' : s[i];
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        if (c == '\\' && i + 1 < len && s[i + 1] == 'n') {
            i++;
            continue;
        }
        if (c == '[' && i + 2 < len && (s[i + 1] == '\'' || s[i + 1] == '"')) {
            const char *end = memchr(s + i + 2, s[i + 1], len - i - 2);
            if (end && end + 1 < s + len && end[1] == ']') {
                buf_adds(out, ".");
                buf_add(out, s + i + 2, (size_t)(end - s) - i - 2);
                i = (size_t)(end - s) + 1;
                continue;
            }
        }
        buf_add(out, &c, 1);
    }
}

static bool fits(const struct chat_family *f, const struct buf *squeezed)
{
    for (int i = 0; i < MAX_WORDS; i++) {
        if (f->has[i] && !memmem(squeezed->data, squeezed->len, f->has[i], strlen(f->has[i])))
            return false;
        if (f->hasnt[i] && memmem(squeezed->data, squeezed->len, f->hasnt[i], strlen(f->hasnt[i])))
            return false;
    }
    return true;
}

const struct chat_family *chat_detect(const char *jinja, size_t len)
{
    const struct chat_family *found = NULL;
    struct buf b;
    buf_init(&b, MAX_TEXT);
    if (jinja)
        squeeze(&b, jinja, len);
    for (size_t i = 0; b.len && !b.failed && !found && i < N_FAMILIES; i++)
        if (fits(&families[i], &b))
            found = &families[i];
    buf_release(&b);
    return found;
}

const char *chat_name(const struct chat_family *f)
{
    return f->name;
}

/* ---- text that stands in the template ----------------------------------------------------------- */

/* The string that begins at *at, behind its quote (or, for quote 0, text outside of tags), with
 * its escapes resolved; -1 if it does not end, or has an escape that is not known here. */
static int read_literal(struct buf *out, const char *at, const char *end, char quote)
{
    for (; at < end && *at != quote; at++) {
        if (!quote && *at == '{')
            return 0;
        if (!quote || *at != '\\') {
            buf_add(out, at, 1);
            continue;
        }
        static const char from[] = "nt\\'\"", to[] = "\n\t\\'\"";
        const char *which = ++at < end ? memchr(from, *at, sizeof from - 1) : NULL;
        if (!which)
            return -1;
        buf_add(out, &to[which - from], 1);
    }
    return quote && at == end ? -1 : 0;
}

/* The system message that a template inserts when none is given: what a literal in it has
 * between the system's opening and a turn's end. Appended to `out`; nothing if there is none. */
static int default_system(const struct chat_family *f, const char *jinja, size_t len, struct buf *out,
                          struct idem_err *err)
{
    struct buf open, literal;
    int rc = -1;
    buf_init(&open, 256);
    buf_init(&literal, MAX_TEXT);
    buf_addf(&open, "%ssystem%s", f->open, f->after_role);
    size_t bare = strlen(f->open) + strlen("system");   /* the newline behind may be an escape */
    const char *at = jinja, *end = jinja + len;
    for (; !open.failed && (at = memmem(at, (size_t)(end - at), open.data, bare)) != NULL; at += bare) {
        char before = at > jinja ? at[-1] : '\0';
        buf_clear(&literal);
        int ends = read_literal(&literal, at, end, before == '\'' || before == '"' ? before : '\0');
        if (ends == 0 && literal.len == open.len)
            continue;   /* the message itself follows */
        const char *text = literal.data ? literal.data + open.len : NULL, *stop = NULL;
        if (ends == 0 && literal.len > open.len && memcmp(literal.data, open.data, open.len) == 0)
            /* the turn's end, without the newline that may come from elsewhere */
            stop = memmem(text, literal.len - open.len, f->close, strcspn(f->close, "\n"));
        if (!stop || stop == text) {
            err_set(err, IDEM_ERR_UNSUPPORTED, "this model's chat template writes a system message that "
                    "idem cannot read; leave off --chat and give the whole prompt as the model wants it");
            goto out;
        }
        if (out->len && (out->len != (size_t)(stop - text) || memcmp(out->data, text, out->len) != 0)) {
            err_set(err, IDEM_ERR_UNSUPPORTED, "this model's chat template has more than one default "
                    "system message; leave off --chat and give the whole prompt as the model wants it");
            goto out;
        }
        if (!out->len)
            buf_add(out, text, (size_t)(stop - text));
    }
    rc = 0;
out:
    if (open.failed || literal.failed)
        rc = err_memory(err, "a chat template", len);
    buf_release(&open);
    buf_release(&literal);
    return rc;
}

/* ---- rendering ---------------------------------------------------------------------------------- */

/* White space as Python's str.strip, and so Jinja's trim, takes it off. */
static bool is_space(int32_t cp)
{
    return cp == ' ' || (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1F) || cp == 0x85 ||
           cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static void add_content(struct buf *b, const struct chat_family *f, const char *s)
{
    size_t len = strlen(s), from = 0, to = 0;
    if (!f->trim) {
        buf_add(b, s, len);
        return;
    }
    for (size_t at = 0; at < len;) {
        int32_t cp;
        size_t n = utf8_next(s + at, len - at, &cp);
        if (!is_space(cp)) {
            from = to ? from : at;
            to = at + n;
        }
        at += n;
    }
    buf_add(b, s + from, to - from);
}

static bool is_role(const struct idem_message *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

static int check_messages(const struct chat_family *f, const struct idem_message *msgs, size_t n,
                          struct idem_err *err)
{
    bool alternate = f->system == SYSTEM_IN_USER || f->system == SYSTEM_REFUSED;
    if (n == 0)
        return err_set(err, IDEM_ERR_USAGE, "a conversation needs at least one message");
    for (size_t i = 0; i < n; i++) {
        bool system = is_role(&msgs[i], "system");
        if (system && f->system == SYSTEM_REFUSED)
            return err_set(err, IDEM_ERR_USAGE, "this model's chat template (%s) has no system "
                           "message; put its text into the user's", f->name);
        if (system && i > 0 && alternate)
            return err_set(err, IDEM_ERR_USAGE, "message %zu is of the system; in the %s template "
                           "only the first may be", i + 1, f->name);
        if (!system && !is_role(&msgs[i], "user") && !is_role(&msgs[i], "assistant"))
            return err_set(err, IDEM_ERR_USAGE, "message %zu has the role '%.40s'; known are "
                           "system, user and assistant", i + 1, msgs[i].role);
    }
    size_t first = is_role(&msgs[0], "system") ? 1 : 0;
    if (alternate && first == n)
        return err_set(err, IDEM_ERR_USAGE, "a system message alone is no conversation in the %s "
                       "template; add a message of the user", f->name);
    for (size_t i = first; alternate && i < n; i++)
        if (is_role(&msgs[i], "user") != ((i - first) % 2 == 0))
            return err_set(err, IDEM_ERR_USAGE, "message %zu is of the %s; in the %s template user "
                           "and assistant take turns, the user first", i + 1, msgs[i].role, f->name);
    return 0;
}

static int unknown_template(const char *jinja, struct idem_err *err)
{
    struct buf known;
    buf_init(&known, 1024);
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (i == 0 || strcmp(families[i].name, families[i - 1].name) != 0)
            buf_addf(&known, "%s%s", i ? ", " : "", families[i].name);
    err_set(err, IDEM_ERR_UNSUPPORTED, "%s; idem knows the families %s. Leave off --chat and give the "
            "whole prompt as the model wants it",
            jinja ? "the chat template in this model file is of a family that idem does not know"
                  : "this model file has no chat template", known.failed ? "" : known.data);
    buf_release(&known);
    return -1;
}

/* What stands before the messages' own turns. Sets *n_done to 1 if it took the first message. */
static int add_opening(struct buf *b, const struct chat_family *f, const char *jinja, size_t jinja_len,
                       const struct idem_message *msgs, size_t *n_done, struct idem_err *err)
{
    bool given = is_role(&msgs[0], "system");
    struct buf text;
    int rc = 0;
    buf_init(&text, MAX_TEXT);
    if (f->system == SYSTEM_DATED) {
        /* the template's own date: the day on which it is rendered must not enter */
        const char *date = memmem(jinja, jinja_len, LLAMA3_DATE, strlen(LLAMA3_DATE));
        buf_adds(&text, LLAMA3_DATES);
        if (!date || read_literal(&text, date + strlen(LLAMA3_DATE), jinja + jinja_len, '"') != 0)
            rc = err_set(err, IDEM_ERR_UNSUPPORTED, "this model's chat template has no date_string to "
                         "fall back to; leave off --chat");
        buf_adds(&text, "\n\n");
        if (given)
            add_content(&text, f, msgs[0].content);
        *n_done = given;
    } else if (f->default_system) {
        rc = default_system(f, jinja, jinja_len, &text, err);
        if (given)
            buf_clear(&text);
    }
    if (rc == 0 && text.len) {
        buf_addf(b, "%ssystem%s", f->open, f->after_role);
        buf_add(b, text.data, text.len);
        buf_adds(b, f->close);
    }
    if (text.failed)
        b->failed = true;
    buf_release(&text);
    return rc;
}

int chat_render(const struct chat_family *f, const char *jinja, size_t jinja_len,
                const struct idem_message *msgs, size_t n, bool add_generation_prompt,
                char **text, struct idem_err *err)
{
    if (!f)
        return unknown_template(jinja, err);
    if (check_messages(f, msgs, n, err) != 0)
        return -1;
    struct buf b;
    size_t i = 0;
    buf_init(&b, MAX_TEXT);
    if (add_opening(&b, f, jinja, jinja_len, msgs, &i, err) != 0) {
        buf_release(&b);
        return -1;
    }
    const char *prefix = f->system == SYSTEM_IN_USER && is_role(&msgs[0], "system") ? msgs[i++].content : NULL;
    for (; i < n; i++, prefix = NULL) {
        buf_addf(&b, "%s%s%s", f->open, is_role(&msgs[i], "assistant") ? f->assistant : msgs[i].role,
                 f->after_role);
        if (prefix) {
            buf_adds(&b, prefix);
            buf_adds(&b, "\n\n");
        }
        add_content(&b, f, msgs[i].content);
        buf_adds(&b, f->close);
    }
    if (add_generation_prompt)
        buf_addf(&b, "%s%s%s", f->open, f->assistant, f->after_role);
    if (b.failed) {
        buf_release(&b);
        return err_set(err, IDEM_ERR_LIMIT, "the conversation is longer than %d bytes, or memory ran "
                       "out; shorten it", MAX_TEXT);
    }
    *text = buf_detach(&b);
    return *text ? 0 : err_memory(err, "the rendered conversation", 1);
}
