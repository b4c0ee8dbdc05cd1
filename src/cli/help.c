/* SPDX-License-Identifier: MIT
 * -h for idem and for each command, from the tables. */
#include <string.h>

#include "cli/cli.h"

enum { COLUMN = 30, WIDTH = 90 };

/* Words of s from the current column on, wrapped, continuation lines indented. */
static void wrap(struct buf *out, const char *s, size_t indent, size_t column)
{
    bool first = true;
    while (*s) {
        size_t n = strcspn(s, " \n");
        if (!first && column + 1 + n > WIDTH) {
            buf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        buf_addf(out, "%s%.*s", first ? "" : " ", (int)n, s);
        column += n + (first ? 0 : 1);
        first = false;
        s += n;
        while (*s == ' ' || (*s == '\n' && s[1] != '\n'))
            s++;
        if (*s == '\n') {
            buf_addf(out, "\n\n%*s", (int)indent, "");
            column = indent;
            first = true;
            while (*s == '\n')
                s++;
        }
    }
    buf_adds(out, "\n");
}

struct listing {
    struct buf *out;
    const char *title;
};

static void list_option(void *ctx, const char *title, const struct cli_option *o)
{
    struct listing *l = ctx;
    if (!l->title || strcmp(l->title, title) != 0)
        buf_addf(l->out, "\n%s:\n", title);
    l->title = title;
    size_t from = l->out->len;
    if (o->letter)
        buf_addf(l->out, "  -%c, ", o->letter);
    else
        buf_adds(l->out, "      ");
    buf_addf(l->out, "--%s%s", o->type == CLI_SWITCH ? "[no-]" : "", o->name);
    if (o->choices)
        buf_addf(l->out, " %s", o->choices);
    else if (o->arg)
        buf_addf(l->out, " %s", o->arg);
    size_t used = l->out->failed ? 0 : l->out->len - from;
    if (used + 2 > COLUMN)
        buf_addf(l->out, "\n%*s", COLUMN, "");
    else
        buf_addf(l->out, "%*s", (int)(COLUMN - used), "");
    wrap(l->out, o->help, COLUMN, COLUMN);
}

void cli_help_command(struct buf *out, const struct cli_command *c)
{
    buf_addf(out, "usage: idem %s %s%s[options]\n\n", c->name, c->operands, *c->operands ? " " : "");
    wrap(out, c->description, 0, 0);
    struct listing l = {.out = out};
    cli_each_option(c, list_option, &l);
    if (c->examples)
        buf_adds(out, "\nExamples:\n");
    for (const char *e = c->examples; e && *e;) {
        size_t n = strcspn(e, "\n");
        buf_addf(out, "  %.*s\n", (int)n, e);
        e += n + (e[n] == '\n');
    }
}

void cli_help_main(struct buf *out)
{
    buf_adds(out, "usage: idem COMMAND [options]\n\n"
                  "A laboratory for the determinism of language models.\n\nCommands:\n");
    for (size_t i = 0; cli_commands[i]; i++)
        buf_addf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    buf_adds(out, "\n'idem COMMAND -h' explains a command, 'man idem-COMMAND' too.\n"
                  "'idem --version' prints the version.\n");
}
