/* SPDX-License-Identifier: MIT
 * Chat templates: a table of families, recognised from the text of the file's own template. */
#include "engine/chat.h"

#include <string.h>

#include "base/buf.h"

enum { MAX_TEXT = 1 << 28 };   /* bytes of a rendered conversation */

enum system_rule {
    SYSTEM_OWN_TURN,           /* a turn of its own */
    SYSTEM_IN_USER,            /* its text stands before that of the first user turn */
    SYSTEM_REFUSED             /* the template raises an error, as Gemma 2's does */
};

struct chat_family {
    const char *name;
    const char *mark;          /* the template's text has this … */
    const char *refuses;       /* … and this, where a family differs in its system turn; or NULL */
    const char *open;          /* before the role */
    const char *after_role;
    const char *close;         /* after the content */
    const char *assistant;     /* the assistant's name in this family */
    enum system_rule system;
    bool default_system;       /* the template may hold a system message for when none is given */
    bool trim;                 /* content without white space at its ends */
};

/* Sources: the templates as their models publish them (tests/data/templates), rendered with
 * transformers (tests/data/chat). The first row that fits is taken. */
static const struct chat_family families[] = {
    {"chatml", "<|im_start|>", NULL, "<|im_start|>", "\n", "<|im_end|>\n", "assistant",
     SYSTEM_OWN_TURN, true, false},
    {"gemma", "<start_of_turn>", "System role not supported", "<start_of_turn>", "\n",
     "<end_of_turn>\n", "model", SYSTEM_REFUSED, false, true},
    {"gemma", "<start_of_turn>", NULL, "<start_of_turn>", "\n", "<end_of_turn>\n", "model",
     SYSTEM_IN_USER, false, true},
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static bool contains(const char *text, size_t len, const char *what)
{
    return memmem(text, len, what, strlen(what)) != NULL;
}

const struct chat_family *chat_detect(const char *jinja, size_t len)
{
    for (size_t i = 0; jinja && i < N_FAMILIES; i++)
        if (contains(jinja, len, families[i].mark) &&
            (!families[i].refuses || contains(jinja, len, families[i].refuses)))
            return &families[i];
    return NULL;
}

const char *chat_name(const struct chat_family *f)
{
    return f->name;
}

/* ---- rendering ------------------------------------------------------------------------------ */

/* The system message that a ChatML template inserts when none is given: the literal text between
 * `<|im_start|>system\n` and `<|im_end|>` that has no expression in it. */
static bool default_system(const char *jinja, size_t len, const char **text, size_t *text_len)
{
    static const char *const opens[] = {"<|im_start|>system\\n", "<|im_start|>system\n"};
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        const char *at = jinja, *end = jinja + len;
        size_t n = strlen(opens[i]);
        while ((at = memmem(at, (size_t)(end - at), opens[i], n)) != NULL) {
            at += n;
            const char *stop = memmem(at, (size_t)(end - at), "<|im_end|>", 10);
            if (!stop)
                return false;
            *text = at;
            *text_len = (size_t)(stop - at);
            if (*text_len && !memchr(at, '\'', *text_len) && !memchr(at, '"', *text_len) &&
                !memchr(at, '{', *text_len) && !memchr(at, '\\', *text_len))
                return true;
        }
    }
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_content(struct buf *b, const struct chat_family *f, const char *s)
{
    size_t len = strlen(s);
    while (f->trim && len && is_space(*s)) {
        s++;
        len--;
    }
    while (f->trim && len && is_space(s[len - 1]))
        len--;
    buf_add(b, s, len);
}

static bool is_role(const struct idem_message *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

static int check_messages(const struct chat_family *f, const struct idem_message *msgs, size_t n,
                          struct idem_err *err)
{
    if (n == 0)
        return err_set(err, IDEM_ERR_USAGE, "a conversation needs at least one message");
    for (size_t i = 0; i < n; i++) {
        if (is_role(&msgs[i], "system") && i > 0 && f->system != SYSTEM_OWN_TURN)
            return err_set(err, IDEM_ERR_USAGE, "message %zu is of the system; in the %s template "
                           "only the first may be", i + 1, f->name);
        if (is_role(&msgs[i], "system") && f->system == SYSTEM_REFUSED)
            return err_set(err, IDEM_ERR_USAGE, "this model's chat template (%s) has no system "
                           "message; put its text into the user's", f->name);
        if (!is_role(&msgs[i], "system") && !is_role(&msgs[i], "user") &&
            !is_role(&msgs[i], "assistant"))
            return err_set(err, IDEM_ERR_USAGE, "message %zu has the role '%.40s'; known are "
                           "system, user and assistant", i + 1, msgs[i].role);
    }
    size_t first = is_role(&msgs[0], "system") && f->system == SYSTEM_IN_USER ? 1 : 0;
    if (first == n)
        return err_set(err, IDEM_ERR_USAGE, "a system message alone is no conversation in the %s "
                       "template; add a message of the user", f->name);
    for (size_t i = first; f->system != SYSTEM_OWN_TURN && i < n; i++)
        if (is_role(&msgs[i], "user") != ((i - first) % 2 == 0))
            return err_set(err, IDEM_ERR_USAGE, "message %zu is of the %s; in the %s template user "
                           "and assistant take turns, the user first", i + 1, msgs[i].role, f->name);
    return 0;
}

static int unknown_template(const char *jinja, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_UNSUPPORTED,
                   "%s; idem knows the families chatml and gemma. Leave off --chat and give the "
                   "whole prompt as the model wants it",
                   jinja ? "the chat template in this model file is of a family that idem does not know"
                         : "this model file has no chat template");
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
    const char *sys = NULL;
    size_t sys_len = 0;
    buf_init(&b, MAX_TEXT);

    if (f->default_system && !is_role(&msgs[0], "system") &&
        default_system(jinja, jinja_len, &sys, &sys_len)) {
        buf_addf(&b, "%ssystem%s", f->open, f->after_role);
        buf_add(&b, sys, sys_len);
        buf_adds(&b, f->close);
    }
    const struct idem_message *prefix = NULL;
    for (size_t i = 0; i < n; i++) {
        if (is_role(&msgs[i], "system") && f->system == SYSTEM_IN_USER) {
            prefix = &msgs[i];
            continue;
        }
        buf_addf(&b, "%s%s%s", f->open, is_role(&msgs[i], "assistant") ? f->assistant : msgs[i].role,
                 f->after_role);
        if (prefix) {
            buf_adds(&b, prefix->content);
            buf_adds(&b, "\n\n");
            prefix = NULL;
        }
        add_content(&b, f, msgs[i].content);
        buf_adds(&b, f->close);
    }
    if (add_generation_prompt)
        buf_addf(&b, "%s%s%s", f->open, f->assistant, f->after_role);
    *text = buf_detach(&b);
    return *text ? 0 : err_memory(err, "the rendered conversation", MAX_TEXT);
}
