/* SPDX-License-Identifier: MIT
 * The options --chat, --system, --chat-template and --chat-var. */
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/arena.h"
#include "base/file.h"
#include "cli/cli.h"
#include "idem.h"

enum { MAX_VARS = 16, TEMPLATE_BYTES = 1 << 20 };

static const struct cli_option options[] = {
    {.name = "chat", .type = CLI_FLAG, .offset = offsetof(struct cli_args, chat),
     .help = "the text is a user's message: apply the model's chat template"},
    {.name = "system", .type = CLI_TEXT, .offset = offsetof(struct cli_args, system), .arg = "TEXT",
     .help = "the system message before it, with --chat"},
    {.name = "chat-template", .type = CLI_TEXT, .offset = offsetof(struct cli_args, chat_template), .arg = "NAME",
     .help = "with --chat, not the model's own template but alpaca, phi2, chatml, zephyr, or that of a "
     "file (NAME has a '/' or ends with .jinja)"},
    {.name = "chat-var", .type = CLI_TEXTS, .offset = offsetof(struct cli_args, chat_vars), .arg = "NAME=VALUE",
     .help = "with --chat, set a variable of the template, such as enable_thinking=false or "
     "strftime_now=2025-01-31; may be given several times"},
    {0},
};
const struct cli_group cli_group_chat = {"Chat", options};

int cli_chat_check(const struct cli_args *a, struct idem_err *err)
{
    static const char *const need[] = {"system", "chat-template", "chat-var"};
    for (size_t i = 0; i < sizeof need / sizeof need[0] && !a->chat; i++)
        if (cli_given(a, need[i]))
            return err_set(err, IDEM_ERR_USAGE, "--%s needs --chat: a raw prompt has no template", need[i]);
    return 0;
}

static int variables(const struct cli_args *a, struct arena *arena, struct idem_chat_var *vars, struct idem_err *err)
{
    if (a->chat_vars.n > MAX_VARS)
        return err_set(err, IDEM_ERR_USAGE, "at most %d --chat-var can be given", MAX_VARS);
    for (size_t i = 0; i < a->chat_vars.n; i++) {
        const char *text = a->chat_vars.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return err_set(err, IDEM_ERR_USAGE, "--chat-var '%.40s' is not NAME=VALUE", text);
        vars[i].name = arena_strndup(arena, text, (size_t)(equals - text));
        vars[i].value = equals + 1;
        if (!vars[i].name)
            return err_memory(err, "the name of a variable", strlen(text));
    }
    return 0;
}

/* *text: a name, or the content of a file, which is in b. */
static int template(const char *given, struct buf *b, const char **text, struct idem_err *err)
{
    size_t len = given ? strlen(given) : 0;
    bool file = given && (strchr(given, '/') || (len > 6 && strcmp(given + len - 6, ".jinja") == 0));
    *text = given;
    if (given && !file && strchr(given, '{'))
        return err_set(err, IDEM_ERR_USAGE, "--chat-template takes a name or a file, not a template itself; "
                       "write it into a file");
    if (!file)
        return 0;
    if (file_read(b, given, err) != 0)
        return -1;
    if (!b->len || memchr(b->data, '\0', b->len) || !memchr(b->data, '{', b->len))
        return err_set(err, IDEM_ERR_FORMAT, "%s is no chat template: it has no '{', or a NUL byte", given);
    *text = b->data;
    return 0;
}

int cli_chat(const struct cli_args *a, struct backend *b, const struct idem_model *m, struct buf *text,
             struct idem_err *err)
{
    struct idem_chat_var vars[MAX_VARS];
    struct idem_chat_options o = {.vars = vars, .n_vars = a->chat_vars.n, .add_generation_prompt = true};
    struct idem_message msgs[2] = {{"system", a->system}, {"user", text->data ? text->data : ""}};
    size_t skip = a->system ? 0 : 1;
    struct arena arena;
    struct buf file;
    char *rendered = NULL;
    int rc = -1;
    arena_init(&arena, 1 << 20);
    buf_init(&file, TEMPLATE_BYTES);
    if (text->len && memchr(text->data, '\0', text->len))
        err_set(err, IDEM_ERR_USAGE, "a chat message cannot hold a NUL byte; remove it");
    else if (variables(a, &arena, vars, err) == 0 && template(a->chat_template, &file, &o.chat_template, err) == 0)
        rc = b ? b->ops->chat(b, a->system, msgs[1].content, &o, &rendered, err)
               : idem_chat_render_with(m, msgs + skip, 2 - skip, &o, &rendered, err);
    if (rc == 0) {
        buf_clear(text);
        buf_adds(text, rendered);
    }
    free(rendered);
    arena_release(&arena);
    buf_release(&file);
    return rc;
}
