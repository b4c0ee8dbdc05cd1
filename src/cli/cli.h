/* SPDX-License-Identifier: MIT
 * The command line: one table of options drives parsing, -h, the manual and the completions.
 *
 * To add a command: write cmd_<name>.c with one `const struct cli_command cli_<name>`, declare it
 * below and put it into the table of commands.c. Nothing else knows it by name. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "record/record.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_ERROR = 1,
    CLI_USAGE = 2,
    CLI_VARIED = 3,          /* with --check: output varied where it must not */
    CLI_INCONCLUSIVE = 4,    /* with --check */
    CLI_INVALID = 5,         /* with --check: controls failed */
    CLI_INTERRUPTED = 130
};

/* ---- options --------------------------------------------------------------------------------- */

enum cli_type {
    CLI_FLAG = 0,     /* --name                  bool */
    CLI_SWITCH,       /* --name and --no-name    bool */
    CLI_U32,          /* whole number in [min, max]: uint32_t */
    CLI_U64,          /* whole number: uint64_t */
    CLI_F64,          /* finite number: double; its range is checked where it is used */
    CLI_TEXT,         /* const char * */
    CLI_TEXTS,        /* repeatable: struct cli_texts */
    CLI_CHOICE        /* one of choices: const char * */
};

/* In long names '-' and '_' are the same: --max_new_tokens is --max-new-tokens. */
struct cli_option {
    const char *name;        /* long name without dashes; NULL ends a table */
    char letter;             /* short name, or 0 */
    enum cli_type type;
    size_t offset;           /* of the value in struct cli_args */
    const char *arg;         /* what stands for the value: "N", "TEXT", "FILE" */
    uint32_t min, max;       /* of CLI_U32; max 0: UINT32_MAX */
    const char *choices;     /* of CLI_CHOICE: "html|text|md|json" */
    const char *help;        /* one sentence, without a full stop */
};

struct cli_group {
    const char *title;       /* "Sampling" */
    const struct cli_option *options;
};

struct cli_texts {
    const char **items;      /* pointers into argv */
    size_t n;
};

/* The values of all options of all commands, with defaults set. Texts point into argv. */
struct cli_args {
    const struct cli_command *command;
    struct cli_texts operands;
    struct cli_texts given;          /* names of the options that were given */

    const char *prompt, *prompt_file, *system, *continuation;
    bool chat, add_special, parse_special, diffs;
    const char *chat_template;
    struct cli_texts chat_vars;      /* NAME=VALUE */

    struct rec_settings sampling;    /* stop filled from stops */
    struct cli_texts stops;
    uint64_t seed;
    const char *sampler, *early_stopping;
    const char *noise;               /* added to the arithmetic; NULL: none */
    uint64_t noise_seed;             /* if it was given, else seed */

    uint32_t threads, batch, chunk, context;   /* 0: default */
    const char *cpu, *activations, *normalize, *cache;

    uint32_t top_k_logprobs;
    uint32_t n_greedy;
    uint32_t prefill, decode, rounds;   /* of bench */
    bool json, quiet, verbose, check, help;

    uint32_t retries, timeout;       /* of pull: attempts after the first; seconds without a byte */
    const char *output, *format, *rows, *model, *shard, *type;
    uint32_t limit;
};

struct cli_command {
    const char *name;
    const char *operands;            /* "MODEL [TEXT]" */
    uint32_t min_operands, max_operands;   /* max UINT32_MAX: any number */
    const char *summary;             /* one line, without a full stop */
    const char *description;         /* paragraphs separated by blank lines */
    const char *examples;            /* command lines, one each */
    const struct cli_option *options;           /* its own, or NULL */
    const struct cli_group *const *groups;      /* shared ones, ends with NULL; or NULL */
    int (*exec)(const struct cli_args *a);      /* returns an enum cli_exit */
};

/* Groups that several commands share; each option means the same everywhere. */
extern const struct cli_group cli_group_prompt, cli_group_chat, cli_group_sampling, cli_group_engine,
    cli_group_model, cli_group_tokens, cli_group_output, cli_group_noise;

/* The commands, NULL at the end. */
extern const struct cli_command *const cli_commands[];
const struct cli_command *cli_find_command(const char *name);   /* or NULL */

/* Calls fn for each option of a command: its own, then the shared groups. title: of the group. */
typedef void (*cli_option_fn)(void *ctx, const char *title, const struct cli_option *o);
void cli_each_option(const struct cli_command *c, cli_option_fn fn, void *ctx);
extern const struct cli_option cli_option_help;   /* -h, --help: every command has it */

/* Parses argv[0 .. argc) behind the command's name. On error fills err (IDEM_ERR_USAGE). */
int cli_parse(const struct cli_command *c, int argc, char **argv, struct cli_args *a,
              struct idem_err *err);
void cli_args_release(struct cli_args *a);
bool cli_given(const struct cli_args *a, const char *name);     /* by long name */

/* The name nearest to `name` by edits, or NULL if none is near. */
const char *cli_nearest(const char *name, const char *const *names, size_t n);

/* ---- help from the tables --------------------------------------------------------------------- */

void cli_help_main(struct buf *out);
void cli_help_command(struct buf *out, const struct cli_command *c);
void cli_man_main(struct buf *out);                                  /* idem.1 */
void cli_man_command(struct buf *out, const struct cli_command *c);  /* idem-<name>.1 */
int cli_completion(struct buf *out, const char *shell);              /* "bash" "zsh" "fish"; -1 */

/* ---- output ------------------------------------------------------------------------------------ */

/* Prints "idem <command>: <message>" on standard error; returns the exit code that fits. */
int cli_fail(const struct cli_args *a, const struct idem_err *err);
/* A message on standard error, unless --quiet. */
void cli_note(const struct cli_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A warning on standard error, always. */
void cli_warn(const struct cli_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes to standard output. Failures are remembered by stdio and end in exit code 1 in main. */
void cli_write(const char *data, size_t len);
/* Writes b and a newline (unless there is one at the end), or fails for an overfull b; releases b. */
int cli_write_buf(const struct cli_args *a, struct buf *b);
/* Text of a model: as it is to a file or pipe; to a terminal without control characters. */
void cli_write_text(const char *text, size_t len);
/* For tables: the text in double quotes, controls and broken UTF-8 escaped. */
void cli_quote(struct buf *out, const char *text, size_t len);
size_t cli_columns(const char *text, size_t len);   /* width on a terminal */
bool cli_colour(FILE *f);                            /* a terminal, and NO_COLOR is not set */

/* A bar with time left on a terminal; elsewhere a plain line once in a while. */
struct cli_progress {
    const char *what;        /* "running" */
    bool off, terminal, shown;
    double start, last;      /* seconds, monotonic */
    int last_tenth;
};
void cli_progress_start(struct cli_progress *p, const struct cli_args *a, const char *what);
/* done in [0, 1]; eta_s < 0: estimated from the time gone; detail: "12 of 340 trials". */
void cli_progress_show(struct cli_progress *p, double done, double eta_s, const char *detail);
void cli_progress_end(struct cli_progress *p);       /* clears the bar */
double cli_now(void);                                /* seconds, monotonic */
void cli_duration(char out[32], double seconds);     /* "2 min 5 s" */
void cli_bytes(char out[32], uint64_t n);            /* "98.4 MB" */

/* ---- interrupts ---------------------------------------------------------------------------------- */

#include <signal.h>
/* First SIGINT sets the flag that this returns, the second leaves at once with 130. */
const volatile sig_atomic_t *cli_catch_interrupt(void);

/* ---- models and prompts ------------------------------------------------------------------------------ */

struct idem_model;
struct backend;
struct json;

/* Opens MODEL (a path or a catalogue name) with the options given. NULL on error. */
struct backend *cli_open_backend(const struct cli_args *a, const char *model, struct idem_err *err);
struct idem_model *cli_open_vocab(const struct cli_args *a, const char *model, struct idem_err *err);
/* Fills the host state from --threads --batch --chunk --cache. */
void cli_host(const struct cli_args *a, struct rec_host *h);

/* The noise of --noise, --noise-seed and --seed (none without --noise). */
int cli_noise(const struct cli_args *a, struct arith_noise *z, struct idem_err *err);
/* Marks what was computed with noise: fields of a JSON object; a text "noise shuffle, seed 3" and "" if
 * there is none. */
void cli_noise_json(struct json *j, const struct arith_noise *z);
void cli_noise_text(const struct arith_noise *z, char out[64]);

/* The text of -p or --prompt-file, in b. Empty or absent is an error. */
int cli_prompt(const struct cli_args *a, struct buf *b, struct idem_err *err);
/* --system, --chat-template and --chat-var without --chat are an error. */
int cli_chat_check(const struct cli_args *a, struct idem_err *err);
/* Puts text, a user's message, into the chat template (of b, or of m if b is NULL). What comes of it
 * is to be tokenised as BACKEND_TEXT_CHAT. */
int cli_chat(const struct cli_args *a, struct backend *b, const struct idem_model *m, struct buf *text,
             struct idem_err *err);

/* The ids of the prompt (chat template applied with --chat) followed by `more` (may be NULL).
 * The caller frees *ids. text (may be NULL) receives the text that was tokenised, *split the
 * byte offset at which `more` begins in it. */
int cli_prompt_ids(const struct cli_args *a, struct backend *b, const char *more,
                   struct buf *text, size_t *split, int32_t **ids, size_t *n, struct idem_err *err);

/* ---- commands ------------------------------------------------------------------------------------------ */

extern const struct cli_command cli_models, cli_pull, cli_inspect, cli_tokenize, cli_detokenize,
    cli_generate, cli_score, cli_digest, cli_plan, cli_run, cli_report, cli_export, cli_selftest, cli_convert,
    cli_bench;

#endif
