/* SPDX-License-Identifier: MIT
 * Manual pages (man macros) from the tables; the Makefile writes them to files. */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

/* Text in running lines: backslashes and dashes escaped, a leading dot or quote made harmless. */
static void text(struct buf *out, const char *s, size_t len)
{
    bool line_start = true;
    for (size_t i = 0; i < len; i++) {
        if (line_start && (s[i] == '.' || s[i] == '\''))
            buf_adds(out, "\\&");
        line_start = s[i] == '\n';
        if (s[i] == '\\')
            buf_adds(out, "\\e");
        else if (s[i] == '-')
            buf_adds(out, "\\-");
        else
            buf_add(out, s + i, 1);
    }
}

static void textz(struct buf *out, const char *s)
{
    text(out, s, strlen(s));
}

static void paragraphs(struct buf *out, const char *s)
{
    for (const char *p = s; *p;) {
        const char *blank = strstr(p, "\n\n");
        size_t n = blank ? (size_t)(blank - p) : strlen(p);
        text(out, p, n);
        buf_adds(out, "\n");
        p += n;
        if (blank) {
            buf_adds(out, ".PP\n");
            p += 2;
        }
    }
}

static void header(struct buf *out, const char *name)
{
    buf_adds(out, ".TH ");
    for (const char *p = name; *p; p++) {
        char c = (char)toupper((unsigned char)*p);
        textz(out, (char[]){c, '\0'});
    }
    buf_addf(out, " 1 \"\" \"idem %s\" \"idem\"\n", IDEM_VERSION);
}

struct listing {
    struct buf *out;
    const char *title;
};

static void option(void *ctx, const char *title, const struct cli_option *o)
{
    struct listing *l = ctx;
    if (!l->title || strcmp(l->title, title) != 0) {
        buf_adds(l->out, ".SS ");
        textz(l->out, title);
        buf_adds(l->out, "\n");
    }
    l->title = title;
    buf_adds(l->out, ".TP\n");
    if (o->letter)
        buf_addf(l->out, "\\fB\\-%c\\fR, ", o->letter);
    buf_addf(l->out, "\\fB\\-\\-%s", o->type == CLI_SWITCH ? "[no\\-]" : "");
    textz(l->out, o->name);
    buf_adds(l->out, "\\fR");
    const char *value = o->choices ? o->choices : o->arg;
    if (value) {
        buf_adds(l->out, " \\fI");
        textz(l->out, value);
        buf_adds(l->out, "\\fR");
    }
    buf_adds(l->out, "\n");
    textz(l->out, o->help);
    buf_adds(l->out, ".\n");
}

static void exit_codes(struct buf *out)
{
    static const char *const rows[][2] = {
        {"0", "Done."}, {"1", "Error."}, {"2", "Wrong usage."},
        {"3", "With \\-\\-check: output varied."}, {"4", "With \\-\\-check: inconclusive."},
        {"5", "With \\-\\-check: controls failed."},
        {"130", "Interrupted. The first Ctrl\\-C finishes the token and saves, the second leaves at once."},
    };
    buf_adds(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        buf_addf(out, ".TP\n%s\n%s\n", rows[i][0], rows[i][1]);
}

void cli_man_command(struct buf *out, const struct cli_command *c)
{
    char name[64];
    snprintf(name, sizeof name, "idem-%s", c->name);
    header(out, name);
    buf_adds(out, ".SH NAME\n");
    textz(out, name);
    buf_adds(out, " \\- ");
    textz(out, c->summary);
    buf_addf(out, "\n.SH SYNOPSIS\n\\fBidem %s\\fR ", c->name);
    textz(out, c->operands);
    buf_addf(out, "%s[options]\n.SH DESCRIPTION\n", *c->operands ? " " : "");
    paragraphs(out, c->description);
    buf_adds(out, ".SH OPTIONS\n");
    struct listing l = {.out = out};
    cli_each_option(c, option, &l);
    if (c->examples) {
        buf_adds(out, ".SH EXAMPLES\n.nf\n");
        textz(out, c->examples);
        buf_adds(out, "\n.fi\n");
    }
    exit_codes(out);
    buf_adds(out, ".SH SEE ALSO\n.BR idem (1)\n");
}

void cli_man_main(struct buf *out)
{
    header(out, "idem");
    buf_adds(out, ".SH NAME\nidem \\- a laboratory for the determinism of language models\n"
                  ".SH SYNOPSIS\n\\fBidem\\fR \\fICOMMAND\\fR [options]\n.SH DESCRIPTION\n"
                  "One file declares an experiment; \\fBidem run\\fR carries it out on a local model, "
                  "keeping the log\\-probability of every token and of its alternatives; "
                  "\\fBidem report\\fR says what varied, by how much, under which settings, and how "
                  "sure that is.\n.PP\n"
                  "Data goes to standard output, messages to standard error. Colour and a moving "
                  "progress bar appear only on a terminal.\n"
                  ".SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        buf_addf(out, ".TP\n.BR idem\\-%s (1)\n", cli_commands[i]->name);
        textz(out, cli_commands[i]->summary);
        buf_adds(out, ".\n");
    }
    buf_adds(out, ".SH ENVIRONMENT\n"
                  ".TP\nXDG_CACHE_HOME\nDownloaded models are in its folder idem/models (default: "
                  "~/.cache).\n"
                  ".TP\nNO_COLOR\nNo colour, whatever its value.\n");
    exit_codes(out);
}
