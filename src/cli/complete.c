/* SPDX-License-Identifier: MIT
 * Completions for bash, zsh and fish from the tables. */
#include <string.h>

#include "cli/cli.h"

/* ---- bash ------------------------------------------------------------------------------------------ */

static void bash_name(void *ctx, const char *title, const struct cli_option *o)
{
    (void)title;
    buf_addf(ctx, " --%s", o->name);
    if (o->type == CLI_SWITCH)
        buf_addf(ctx, " --no-%s", o->name);
}

/* "  --format) words='html text' ;;" for options with choices, files for the other values. */
static void bash_value(void *ctx, const char *title, const struct cli_option *o)
{
    (void)title;
    if (o->type == CLI_FLAG || o->type == CLI_SWITCH)
        return;
    buf_addf(ctx, "        --%s", o->name);
    if (o->letter)
        buf_addf(ctx, "|-%c", o->letter);
    buf_adds(ctx, ") words='");
    for (const char *c = o->choices; c && *c; c++)
        buf_add(ctx, *c == '|' ? " " : c, 1);
    buf_addf(ctx, "'; value=%s ;;\n",
             o->choices ? "choice" : o->arg && strcmp(o->arg, "FILE") == 0 ? "file" : "free");
}

static void bash(struct buf *out)
{
    buf_adds(out, "# bash completion for idem; made by 'idem --dump-completion bash'\n"
                  "_idem() {\n"
                  "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
                  "    local command=${COMP_WORDS[1]} words='' value=''\n"
                  "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                  "        mapfile -t COMPREPLY < <(compgen -W '");
    for (size_t i = 0; cli_commands[i]; i++)
        buf_addf(out, "%s%s", i ? " " : "", cli_commands[i]->name);
    buf_adds(out, " --help --version' -- \"$current\")\n        return\n    fi\n"
                  "    case $command in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        buf_addf(out, "    %s)\n        case $previous in\n", cli_commands[i]->name);
        cli_each_option(cli_commands[i], bash_value, out);
        buf_adds(out, "        *) words='");
        cli_each_option(cli_commands[i], bash_name, out);
        buf_adds(out, "' ;;\n        esac ;;\n");
    }
    buf_adds(out, "    *) return ;;\n    esac\n"
                  "    if [ \"$value\" = file ] || { [ -z \"$value\" ] && [[ $current != -* ]]; }; then\n"
                  "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                  "        if [ -z \"$value\" ] && [ -n \"$current\" ]; then\n"
                  "            COMPREPLY+=($(compgen -W \"$(idem models --quiet 2>/dev/null)\" -- \"$current\"))\n"
                  "        fi\n"
                  "    else\n"
                  "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                  "    fi\n}\n"
                  "complete -o filenames -F _idem idem\n");
}

/* ---- zsh -------------------------------------------------------------------------------------------- */

/* Inside '...' for _arguments: colons, brackets and quotes need care. */
static void zsh_text(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            buf_adds(out, "'\\''");
        else if (strchr("[]:\\", *s))
            buf_addf(out, "\\%c", *s);
        else
            buf_add(out, s, 1);
    }
}

static void zsh_one(struct buf *out, const char *dashes, const char *name, const struct cli_option *o)
{
    buf_addf(out, "        '%s%s%s[", o->type == CLI_TEXTS ? "*" : "", dashes, name);
    zsh_text(out, o->help);
    buf_adds(out, "]");
    if (o->type != CLI_FLAG && o->type != CLI_SWITCH) {
        buf_addf(out, ":%s:", o->arg);
        if (o->choices) {
            buf_adds(out, "(");
            for (const char *c = o->choices; *c; c++)
                buf_add(out, *c == '|' ? " " : c, 1);
            buf_adds(out, ")");
        } else if (strcmp(o->arg, "FILE") == 0) {
            buf_adds(out, "_files");
        }
    }
    buf_adds(out, "' \\\n");
}

static void zsh_option(void *ctx, const char *title, const struct cli_option *o)
{
    char name[80];
    (void)title;
    zsh_one(ctx, "--", o->name, o);
    if (o->type == CLI_SWITCH) {
        snprintf(name, sizeof name, "no-%s", o->name);
        zsh_one(ctx, "--", name, o);
    }
    if (o->letter)
        zsh_one(ctx, "-", (char[]){o->letter, '\0'}, o);
}

static void zsh(struct buf *out)
{
    buf_adds(out, "#compdef idem\n# zsh completion for idem; made by 'idem --dump-completion zsh'\n"
                  "_idem() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        buf_addf(out, "            '%s:", cli_commands[i]->name);
        zsh_text(out, cli_commands[i]->summary);
        buf_adds(out, "'\n");
    }
    buf_adds(out, "        )\n        _describe command commands\n        return\n    fi\n"
                  "    local command=${words[2]}\n    shift words\n    (( CURRENT-- ))\n"
                  "    case $command in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        buf_addf(out, "    %s)\n        _arguments \\\n", cli_commands[i]->name);
        cli_each_option(cli_commands[i], zsh_option, out);
        buf_adds(out, "        '*:file:_files' ;;\n");
    }
    buf_adds(out, "    esac\n}\n_idem \"$@\"\n");
}

/* ---- fish ------------------------------------------------------------------------------------------- */

struct fish { struct buf *out; const char *command; };

static void fish_text(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            buf_adds(out, "\\");
        buf_add(out, s, 1);
    }
}

static void fish_option(void *ctx, const char *title, const struct cli_option *o)
{
    struct fish *f = ctx;
    (void)title;
    for (int no = 0; no <= (o->type == CLI_SWITCH); no++) {
        buf_addf(f->out, "complete -c idem -n '__fish_seen_subcommand_from %s' -l %s%s", f->command,
                 no ? "no-" : "", o->name);
        if (o->letter && !no)
            buf_addf(f->out, " -s %c", o->letter);
        if (o->choices) {
            buf_adds(f->out, " -x -a '");
            for (const char *c = o->choices; *c; c++)
                buf_add(f->out, *c == '|' ? " " : c, 1);
            buf_adds(f->out, "'");
        } else if (o->arg) {
            buf_adds(f->out, strcmp(o->arg, "FILE") == 0 ? " -r -F" : " -x");
        }
        buf_adds(f->out, " -d '");
        fish_text(f->out, o->help);
        buf_adds(f->out, "'\n");
    }
}

static void fish(struct buf *out)
{
    buf_adds(out, "# fish completion for idem; made by 'idem --dump-completion fish'\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        buf_addf(out, "complete -c idem -n __fish_use_subcommand -f -a %s -d '", cli_commands[i]->name);
        fish_text(out, cli_commands[i]->summary);
        buf_adds(out, "'\n");
    }
    for (size_t i = 0; cli_commands[i]; i++) {
        struct fish f = {out, cli_commands[i]->name};
        cli_each_option(cli_commands[i], fish_option, &f);
    }
}

int cli_completion(struct buf *out, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        bash(out);
    else if (strcmp(shell, "zsh") == 0)
        zsh(out);
    else if (strcmp(shell, "fish") == 0)
        fish(out);
    else
        return -1;
    return 0;
}
