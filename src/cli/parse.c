/* SPDX-License-Identifier: MIT
 * Parses a command line by the option tables of its command. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

void cli_each_option(const struct cli_command *c, cli_option_fn fn, void *ctx)
{
    for (const struct cli_option *o = c->options; o && o->name; o++)
        fn(ctx, "Options", o);
    for (size_t g = 0; c->groups && c->groups[g]; g++)
        for (const struct cli_option *o = c->groups[g]->options; o->name; o++)
            fn(ctx, c->groups[g]->title, o);
    fn(ctx, "Help", &cli_option_help);
}

/* ---- finding ------------------------------------------------------------------------------------ */

static bool same_name(const char *name, const char *text, size_t len)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] != (text[i] == '_' ? '-' : text[i]))
            return false;
    return true;
}

struct search {
    const char *text;        /* long name as typed, or NULL */
    size_t len;
    char letter;
    bool negated;            /* found as --no-name */
    const struct cli_option *found;
};

static void match(void *ctx, const char *title, const struct cli_option *o)
{
    struct search *s = ctx;
    (void)title;
    if (s->found)
        return;
    if (!s->text) {
        if (o->letter && o->letter == s->letter)
            s->found = o;
    } else if (same_name(o->name, s->text, s->len)) {
        s->found = o;
    } else if (o->type == CLI_SWITCH && s->len > 3 && memcmp(s->text, "no", 2) == 0 &&
               same_name(o->name, s->text + 3, s->len - 3)) {
        s->found = o;
        s->negated = true;
    }
}

struct names {
    const char *items[128];
    size_t n;
};

static void collect(void *ctx, const char *title, const struct cli_option *o)
{
    struct names *n = ctx;
    (void)title;
    if (n->n < sizeof n->items / sizeof n->items[0])
        n->items[n->n++] = o->name;
}

static int unknown(const struct cli_command *c, const char *word, size_t len, struct idem_err *err)
{
    char name[64];
    struct names all = {0};
    const char *near = NULL;
    if (len < sizeof name) {
        for (size_t i = 0; i < len; i++)
            name[i] = word[i] == '_' ? '-' : word[i];
        name[len] = '\0';
        cli_each_option(c, collect, &all);
        near = cli_nearest(name, all.items, all.n);
    }
    if (near)
        return err_set(err, IDEM_ERR_USAGE, "unknown option '--%.*s'; did you mean --%s?",
                       (int)len, word, near);
    return err_set(err, IDEM_ERR_USAGE, "unknown option '--%.*s'; 'idem %s -h' lists the options",
                   (int)len, word, c->name);
}

/* ---- nearest name ---------------------------------------------------------------------------------- */

enum { NAME_MAX_LEN = 63 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edits (insert, delete, replace) from a to b; both at most NAME_MAX_LEN bytes. */
static size_t edits(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[lb];
}

const char *cli_nearest(const char *name, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t best_edits = SIZE_MAX, len = strlen(name);
    if (len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(names[i]);
        if (other > NAME_MAX_LEN)
            continue;
        /* a name cut short ("--max") is near to what it begins */
        size_t d = len >= 3 && strncmp(name, names[i], len) == 0 ? 1 : edits(name, names[i]);
        if (d < best_edits && d <= 1 + len / 4) {
            best = names[i];
            best_edits = d;
        }
    }
    return best;
}

/* ---- values ---------------------------------------------------------------------------------------- */

static int whole(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out,
                 struct idem_err *err)
{
    char *end = NULL;
    errno = 0;
    bool digits = text[0] >= '0' && text[0] <= '9';   /* strtoull would take "-1" and " 1" */
    unsigned long long v = digits ? strtoull(text, &end, 10) : 0;
    if (digits && *end == '\0' && errno == 0 && v >= min && v <= max) {
        *out = v;
        return 0;
    }
    return err_set(err, IDEM_ERR_USAGE, "--%s '%s': give a whole number from %" PRIu64 " to %" PRIu64,
                   name, text, min, max);
}

static int number(const char *name, const char *text, double *out, struct idem_err *err)
{
    char *end = NULL;
    double v = strtod(text, &end);
    bool blank = text[0] == '\0' || text[0] == ' ' || text[0] == '\t' || text[0] == '\n';
    if (blank || *end != '\0' || !isfinite(v))
        return err_set(err, IDEM_ERR_USAGE, "--%s '%s': give a number such as 0.7", name, text);
    *out = v;
    return 0;
}

static int choice(const struct cli_option *o, const char *text, struct idem_err *err)
{
    size_t len = strlen(text);
    for (const char *c = o->choices; c;) {
        const char *bar = strchr(c, '|');
        size_t n = bar ? (size_t)(bar - c) : strlen(c);
        if (n == len && memcmp(c, text, n) == 0)
            return 0;
        c = bar ? bar + 1 : NULL;
    }
    return err_set(err, IDEM_ERR_USAGE, "--%s '%s': give one of %s", o->name, text, o->choices);
}

static int append(struct cli_texts *t, const char *text, struct idem_err *err)
{
    if ((t->n & (t->n - 1)) == 0) {   /* grow at every power of two */
        size_t cap = t->n ? 2 * t->n : 1;
        const char **p = realloc((void *)t->items, cap * sizeof *p);
        if (!p)
            return err_memory(err, "the command line", cap * sizeof *p);
        t->items = p;
    }
    t->items[t->n++] = text;
    return 0;
}

static int store(struct cli_args *a, const struct cli_option *o, bool on, const char *text,
                 struct idem_err *err)
{
    char *at = (char *)a + o->offset;
    uint64_t v = 0;
    if (append(&a->given, o->name, err) != 0)
        return -1;
    switch (o->type) {
    case CLI_FLAG:
    case CLI_SWITCH:
        memcpy(at, &on, sizeof on);
        return 0;
    case CLI_U32: {
        if (whole(o->name, text, o->min, o->max ? o->max : UINT32_MAX, &v, err) != 0)
            return -1;
        uint32_t v32 = (uint32_t)v;
        memcpy(at, &v32, sizeof v32);
        return 0;
    }
    case CLI_U64:
        if (whole(o->name, text, 0, UINT64_MAX, &v, err) != 0)
            return -1;
        memcpy(at, &v, sizeof v);
        return 0;
    case CLI_F64: {
        double d = 0;
        if (number(o->name, text, &d, err) != 0)
            return -1;
        memcpy(at, &d, sizeof d);
        return 0;
    }
    case CLI_CHOICE:
        if (choice(o, text, err) != 0)
            return -1;
        memcpy(at, &text, sizeof text);
        return 0;
    case CLI_TEXT:
        memcpy(at, &text, sizeof text);
        return 0;
    case CLI_TEXTS:
        return append((struct cli_texts *)(void *)at, text, err);
    }
    return 0;
}

/* ---- the line ---------------------------------------------------------------------------------------- */

static bool takes_value(const struct cli_option *o)
{
    return o->type != CLI_FLAG && o->type != CLI_SWITCH;
}

/* argv[*i] is a long option; *i moves on to its value if that is a word of its own. */
static int parse_long(const struct cli_command *c, int argc, char **argv, int *i,
                      struct cli_args *a, struct idem_err *err)
{
    const char *word = argv[*i] + 2, *equals = strchr(word, '=');
    struct search s = {.text = word, .len = equals ? (size_t)(equals - word) : strlen(word)};
    cli_each_option(c, match, &s);
    if (!s.found)
        return unknown(c, word, s.len, err);
    if (!takes_value(s.found)) {
        if (equals)
            return err_set(err, IDEM_ERR_USAGE, "--%s takes no value", s.found->name);
        return store(a, s.found, !s.negated, NULL, err);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!value) {
        if (*i + 1 >= argc)
            return err_set(err, IDEM_ERR_USAGE, "--%s needs a value: --%s %s", s.found->name,
                           s.found->name, s.found->arg);
        value = argv[++*i];
    }
    return store(a, s.found, true, value, err);
}

/* argv[*i] is "-x", "-xVALUE" or several flags "-xyz". */
static int parse_short(const struct cli_command *c, int argc, char **argv, int *i,
                       struct cli_args *a, struct idem_err *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        struct search s = {.letter = *p};
        cli_each_option(c, match, &s);
        if (!s.found)
            return err_set(err, IDEM_ERR_USAGE, "unknown option '-%c'; 'idem %s -h' lists the options",
                           (*p > 0x20 && *p < 0x7F) ? *p : '?', c->name);
        if (!takes_value(s.found)) {
            if (store(a, s.found, true, NULL, err) != 0)
                return -1;
            continue;
        }
        if (p[1])
            return store(a, s.found, true, p + 1, err);
        if (*i + 1 >= argc)
            return err_set(err, IDEM_ERR_USAGE, "-%c needs a value: -%c %s", *p, *p, s.found->arg);
        return store(a, s.found, true, argv[++*i], err);
    }
    return 0;
}

static int check_operands(const struct cli_command *c, const struct cli_args *a, struct idem_err *err)
{
    size_t n = a->operands.n;
    if (n < c->min_operands)
        return err_set(err, IDEM_ERR_USAGE, "something is missing: idem %s %s", c->name, c->operands);
    if (n > c->max_operands)
        return err_set(err, IDEM_ERR_USAGE, "'%s' is one argument too many: idem %s %s",
                       a->operands.items[c->max_operands], c->name, c->operands);
    return 0;
}

static size_t value_size(enum cli_type t)
{
    return t == CLI_SWITCH ? sizeof(bool) : t == CLI_U32 ? sizeof(uint32_t) : sizeof(double);
}

/* What the line leaves out has the defaults of its sampler; words become what they stand for. */
static void complete_sampling(struct cli_args *a)
{
    enum rec_sampler sampler = REC_SAMPLER_HF;
    enum rec_early_stopping early = REC_EARLY_STOPPING_FALSE;
    while (strcmp(a->sampler, rec_sampler_name(sampler)) != 0)
        sampler++;
    while (strcmp(a->early_stopping, rec_early_stopping_name(early)) != 0)
        early++;
    struct rec_settings given = a->sampling, *s = &a->sampling;
    rec_settings_default(s, sampler);
    const size_t base = offsetof(struct cli_args, sampling);
    for (const struct cli_option *o = cli_group_sampling.options; o->name; o++)
        if (o->offset >= base && o->offset < base + sizeof *s && cli_given(a, o->name))
            memcpy((char *)s + (o->offset - base), (char *)&given + (o->offset - base),
                   value_size(o->type));
    s->early_stopping = early;
    s->stop = a->stops.items;
    s->n_stop = a->stops.n;
}

int cli_parse(const struct cli_command *c, int argc, char **argv, struct cli_args *a,
              struct idem_err *err)
{
    *a = (struct cli_args){
        .command = c, .sampler = "hf", .early_stopping = "false", .cpu = "auto", .activations = "q8", .cache = "cold",
        .top_k_logprobs = 5, .retries = 5, .timeout = 60,
    };
    rec_settings_default(&a->sampling, REC_SAMPLER_HF);
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int rc;
        if (strcmp(word, "--") == 0) {
            while (++i < argc)
                if (append(&a->operands, argv[i], err) != 0)
                    return -1;
            break;
        }
        if (word[0] == '-' && word[1] == '-')
            rc = parse_long(c, argc, argv, &i, a, err);
        else if (word[0] == '-' && word[1] != '\0')
            rc = parse_short(c, argc, argv, &i, a, err);
        else
            rc = append(&a->operands, word, err);
        if (rc != 0)
            return -1;
        if (a->help)
            return 0;   /* whatever else is wrong with the line */
    }
    complete_sampling(a);
    return check_operands(c, a, err);
}

void cli_args_release(struct cli_args *a)
{
    free((void *)a->operands.items);
    free((void *)a->given.items);
    free((void *)a->stops.items);
    free((void *)a->chat_vars.items);
    *a = (struct cli_args){0};
}

bool cli_given(const struct cli_args *a, const char *name)
{
    for (size_t i = 0; i < a->given.n; i++)
        if (strcmp(a->given.items[i], name) == 0)
            return true;
    return false;
}
