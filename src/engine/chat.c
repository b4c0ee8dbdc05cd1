/* SPDX-License-Identifier: MIT
 * Chat templates: the model's own one, or one by name for models that have none. */
#include "engine/chat.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "engine/jinja.h"

enum { MAX_TEXT = 1 << 28, MAX_VARS = 32, ARENA_BYTES = 1 << 20 };

#define ONE_QUESTION \
    "{% if messages|length != 1 or messages[0].role != 'user' %}" \
    "{{ raise_exception('this wrapper takes one message of the user and no other') }}{% endif %}"

/* What models without a template were trained on, or known by. bos_token is empty here unless the
 * tokenizer begins any text with it. Sources: docs/chat.md. */
static const struct { const char *name, *jinja; } named[] = {
    {"alpaca", ONE_QUESTION
     "{{ bos_token }}Below is an instruction that describes a task. Write a response that appropriately "
     "completes the request.\n\n### Instruction:\n{{ messages[0].content }}\n\n### Response:"},
    {"phi2", ONE_QUESTION "{{ bos_token }}Instruct: {{ messages[0].content }}\nOutput:"},
    {"chatml",
     "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
     "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"},
    {"zephyr",
     "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}"
     "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"},
};
enum { N_NAMED = sizeof named / sizeof named[0] };

const char *chat_kind(const char *jinja, size_t len)
{
    struct jinja *t = jinja_parse(jinja, len, NULL);
    bool parsed = t != NULL;
    jinja_free(t);
    return parsed ? "jinja" : NULL;
}

/* ---- variables of the template ----------------------------------------------------------------------- */

struct vars {
    struct jinja_var at[MAX_VARS];
    size_t n;
    struct arena arena;
};

static int add(struct vars *v, struct jinja_var var, struct idem_err *err)
{
    size_t i = 0;
    while (i < v->n && strcmp(v->at[i].name, var.name) != 0)
        i++;
    if (i == MAX_VARS)
        return err_set(err, IDEM_ERR_LIMIT, "more than %d variables of a chat template", MAX_VARS);
    v->at[i] = var;
    v->n += i == v->n;
    return 0;
}

static int add_token(struct vars *v, const struct tokenizer *tok, const char *name, int32_t id, bool empty,
                     struct idem_err *err)
{
    size_t len;
    const char *s = id >= 0 ? tok_bytes(tok, id, &len) : NULL;
    if (!s || memchr(s, '\0', len) || !utf8_valid(s, len, NULL))
        return 0;
    char *text = arena_strndup(&v->arena, s, empty ? 0 : len);
    if (!text)
        return err_memory(err, "a special token", len);
    return add(v, (struct jinja_var){.name = name, .type = JINJA_VAR_TEXT, .text = text}, err);
}

static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return n && !s[n] && (s[0] < '0' || s[0] > '9');
}

/* "2024-07-26" as 20240726; 0 if it is no day. */
static int64_t parse_day(const char *s)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t n = 0;
    if (strlen(s) != 10 || s[4] != '-' || s[7] != '-')
        return 0;
    for (int i = 0; i < 10; i++) {
        if (i == 4 || i == 7)
            continue;
        if (s[i] < '0' || s[i] > '9')
            return 0;
        n = 10 * n + (s[i] - '0');
    }
    int64_t year = n / 10000, month = n / 100 % 100, day = n % 100;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1583 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
        (month == 2 && day == 29 && !leap))
        return 0;
    return n;
}

/* A variable that the caller sets: true, false, none, the day of strftime_now, or any other word
 * as text. */
static int add_option(struct vars *v, const struct idem_chat_var *o, struct idem_err *err)
{
    static const char *const own[] = {"messages", "tools", "documents", "add_generation_prompt"};
    struct jinja_var var = {.name = o->name, .type = JINJA_VAR_TEXT, .text = o->value};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(o->name, own[i]) == 0)
            return err_set(err, IDEM_ERR_USAGE, "the variable '%s' of a chat template is set by idem itself", own[i]);
    if (!is_name(o->name))
        return err_set(err, IDEM_ERR_USAGE, "'%.40s' is no name of a variable of a chat template", o->name);
    if (!utf8_valid(o->value, strlen(o->value), NULL))
        return err_set(err, IDEM_ERR_USAGE, "the value of '%.40s' is not UTF-8", o->name);
    if (strcmp(o->value, "true") == 0 || strcmp(o->value, "false") == 0) {
        var.type = JINJA_VAR_BOOL;
        var.i = o->value[0] == 't';
    } else if (strcmp(o->value, "none") == 0) {
        var.type = JINJA_VAR_NONE;
    } else if (strcmp(o->name, "strftime_now") == 0) {
        var.type = JINJA_VAR_DAY;
        if ((var.i = parse_day(o->value)) == 0)
            return err_set(err, IDEM_ERR_USAGE, "strftime_now is '%.40s'; it must be a day, YYYY-MM-DD", o->value);
    }
    return add(v, var, err);
}

/* As transformers' apply_chat_template gives them: tools and documents are there, and none. */
static int collect(struct vars *v, const struct tokenizer *tok, bool by_name, const struct idem_chat_options *o,
                   struct idem_err *err)
{
    const struct tok_info *t = tok ? tok_info(tok) : NULL;
    if (t && (add_token(v, tok, "bos_token", t->bos, by_name && !t->add_bos, err) != 0 ||
              add_token(v, tok, "eos_token", t->eos, false, err) != 0 ||
              add_token(v, tok, "unk_token", t->unk, false, err) != 0 ||
              add_token(v, tok, "pad_token", t->pad, false, err) != 0))
        return -1;
    if (add(v, (struct jinja_var){.name = "tools"}, err) != 0 ||
        add(v, (struct jinja_var){.name = "documents"}, err) != 0 ||
        add(v, (struct jinja_var){.name = "add_generation_prompt", .type = JINJA_VAR_BOOL,
                                  .i = o->add_generation_prompt}, err) != 0)
        return -1;
    for (size_t i = 0; i < o->n_vars; i++)
        if (add_option(v, &o->vars[i], err) != 0)
            return -1;
    return 0;
}

/* ---- choosing the template --------------------------------------------------------------------------- */

static void names(struct buf *b)
{
    for (size_t i = 0; i < N_NAMED; i++)
        buf_addf(b, "%s%s", i ? ", " : "", named[i].name);
}

/* A base model has no template; some have a wrapper that their makers give in prose. */
static int no_template(const char *arch, struct idem_err *err)
{
    struct buf known;
    buf_init(&known, 256);
    names(&known);
    const char *all = known.failed ? "" : known.data;
    if (strcmp(arch, "phi2") == 0)
        err_set(err, IDEM_ERR_UNSUPPORTED, "this model file has no chat template. Phi-2 knows 'Instruct: ...', a new "
                "line and 'Output:': use --chat-template phi2, or give the whole prompt without --chat");
    else if (strcmp(arch, "gpt2") == 0)
        err_set(err, IDEM_ERR_UNSUPPORTED, "this model file has no chat template. LaMini-GPT knows Alpaca's wrapper "
                "('Below is an instruction ...'): use --chat-template alpaca; GPT-2 itself knows none: give the "
                "whole prompt without --chat");
    else
        err_set(err, IDEM_ERR_UNSUPPORTED, "this model file has no chat template (it may be a base model): give the "
                "whole prompt without --chat, or name a template that the model was trained on by "
                "--chat-template (%s, or a Jinja file)", all);
    buf_release(&known);
    return -1;
}

/* *jinja is the template to use: the option's, or the model's own as it came in. */
static int choose(const char **jinja, size_t *len, bool *by_name, const char *arch,
                  const struct idem_chat_options *o, struct idem_err *err)
{
    *by_name = false;
    if (!o->chat_template)
        return *jinja ? 0 : no_template(arch, err);
    *jinja = strchr(o->chat_template, '{') ? o->chat_template : NULL;
    for (size_t i = 0; i < N_NAMED && !*jinja; i++)
        if (strcmp(named[i].name, o->chat_template) == 0) {
            *jinja = named[i].jinja;
            *by_name = true;
        }
    if (*jinja) {
        *len = strlen(*jinja);
        return 0;
    }
    struct buf known;
    buf_init(&known, 256);
    names(&known);
    err_set(err, IDEM_ERR_USAGE, "there is no chat template '%.40s'; these have a name: %s", o->chat_template,
            known.failed ? "" : known.data);
    buf_release(&known);
    return -1;
}

static int check_messages(const struct idem_message *msgs, size_t n, struct idem_err *err)
{
    size_t bad;
    if (n == 0)
        return err_set(err, IDEM_ERR_USAGE, "a conversation needs at least one message");
    for (size_t i = 0; i < n; i++) {
        if (!utf8_valid(msgs[i].role, strlen(msgs[i].role), &bad))
            return err_set(err, IDEM_ERR_USAGE, "the role of message %zu is not UTF-8", i + 1);
        if (!utf8_valid(msgs[i].content, strlen(msgs[i].content), &bad))
            return err_set(err, IDEM_ERR_USAGE, "message %zu is not UTF-8: byte 0x%02x at offset %zu", i + 1,
                           (unsigned)(unsigned char)msgs[i].content[bad], bad);
    }
    return 0;
}

int chat_render(const struct tokenizer *tok, const char *jinja, size_t jinja_len, const char *arch,
                const struct idem_message *msgs, size_t n, const struct idem_chat_options *o,
                char **text, struct idem_err *err)
{
    static const struct idem_chat_options defaults = {.add_generation_prompt = true};
    struct vars v = {.n = 0};
    struct buf b;
    struct jinja *t = NULL;
    bool by_name;
    int rc = -1;
    if (!o)
        o = &defaults;
    arena_init(&v.arena, ARENA_BYTES);
    buf_init(&b, MAX_TEXT);
    if (check_messages(msgs, n, err) == 0 && choose(&jinja, &jinja_len, &by_name, arch, o, err) == 0 &&
        collect(&v, tok, by_name, o, err) == 0 && (t = jinja_parse(jinja, jinja_len, err)) != NULL &&
        jinja_render(t, msgs, n, v.at, v.n, &b, err) == 0) {
        *text = buf_detach(&b);
        rc = *text ? 0 : err_memory(err, "the rendered conversation", 1);
    }
    jinja_free(t);
    buf_release(&b);
    arena_release(&v.arena);
    return rc;
}
