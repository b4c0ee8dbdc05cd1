/* SPDX-License-Identifier: MIT
 * The run database: one SQLite file per run, written by one process, readable by any tool.
 * docs/store.md explains every table and column; this room alone knows SQLite.
 *
 * Writing a run (the same call creates and resumes):
 *
 *     struct store *s = store_open_run("run.db", &plan, &err);
 *     for (uint64_t i = 0; i < plan.n_trials; i++) {
 *         if (store_is_done(s, i)) continue;
 *         ... compute ...
 *         store_put_output(s, i, &output, &how, &err);   // joins the open transaction
 *         if (a second has passed) store_commit(s, &err); // durable from here on
 *     }
 *     store_commit(s, &err);
 *     store_close(s);
 *
 * A process killed at any instant loses at most what was put since the last commit; what is in
 * the file is always whole trials. Reading never needs the plan or a model.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "record/record.h"

#define STORE_SCHEMA 3   /* grows when the tables change; older files are read, newer ones refused */

/* ---- what a run is (written once, when the file is created) -------------------------------- */

/* Strings are UTF-8 and NUL-terminated; NULL reads back as "". Given to store_open_run they
 * belong to the caller; read back they live as long as the store. */
struct store_run {
    const char *hypothesis;        /* "H1" */
    const char *title;             /* one line */
    const char *question;          /* one sentence */
    const char *experiment_path;   /* as given on the command line */
    const char *experiment_text;   /* the YAML, byte for byte */
    const char *plan_digest;       /* SHA-256 (hex) of the plan: all trial keys in order. A file can
                                    * only be resumed with the digest that it was created with */
    const char *idem_version;      /* "0.1.0" */
    const char *backend, *backend_version;   /* "local", "0.1.0" */
    const char *numerics;          /* "idem-numerics-1/q8" */
    const char *noise;             /* the kinds of added noise among the settings, "none" if there are none */
    const char *sampler;           /* of the base setting: "hf" "llama.cpp" "ollama" */
    const char *model_name, *model_path, *model_digest, *model_arch, *model_tokenizer;
    const char *model_chat_family; /* "" if none */
    uint64_t model_file_bytes;
    uint32_t n_vocab, n_ctx;       /* tokens */
    uint32_t limit_prompts;        /* --limit N; 0: all prompts. Marked in every report */
    uint32_t n_prompts_declared;   /* of the experiment file; 0: as many as there are here */
    uint32_t n_seeds, n_repeats;   /* as declared, for the text; the trials are what counts */
    const char *plan_json;         /* the whole plan without its trials (plan_json), for other tools */
    /* The decision rule, declared by the experiment before the run. */
    double confidence;             /* of every interval, 0.95; alpha of a claim is 1 - confidence */
    double max_differing;          /* sameness is supported when none differed and the upper bound of
                                    * the differing share is at most this */
    const char *correction;        /* over the family of claims: "holm" or "none" */
    uint32_t n_bootstrap;          /* resamples of an interval; 0: the report's default */
    uint64_t bootstrap_seed;
    const char *rule;              /* the rule in words, as the experiment states it */
};

struct store_prompt {
    const char *id;                /* "fact-01": unique */
    const char *kind;              /* "fact" "arithmetic" "code" "open" "instruction" … */
    const char *system;            /* "" if none */
    const char *text;              /* as in the experiment file, before any template */
    bool chat;                     /* the model's chat template is applied */
    const struct rec_attribute *attributes;   /* of unperturbed prompts; unique names */
    size_t n_attributes;
    uint32_t perturbed;            /* 1 + index of the perturbation; 0: it stands as in the experiment */
    uint32_t base;                 /* index of the unperturbed prompt; read back: its own if it is one */
    const char *diff;              /* one line, what the perturbation did; "" if unperturbed */
    const char *option_order;      /* "2,0,1": option 0 was option 2, …; "" if none was moved */
    /* Known once a backend has tokenised it (store_put_prompt_tokens); NULL and 0 before. */
    const int32_t *tokens;
    size_t n_tokens;
};

/* A perturbation with its seed; [0] is identity, the control. Its trials have the purpose PERTURBED
 * and are compared with the SEEDS trials of the same setting and seed of the base. */
struct store_perturbation {
    const char *name;              /* "typo:swap" */
    bool random;                   /* the seed matters; else it is 0 */
    uint64_t seed;
};

struct store_skip {                /* a perturbation that does not apply to a prompt */
    uint32_t prompt, perturbation; /* indices */
    const char *why;
};

struct store_setting {
    const char *name;              /* "example", "temperature=0.1": unique */
    const char *factor, *level;    /* the one hyperparameter that differs from the base and its value
                                    * as text; both "" for the base (setting 0) and for corners */
    struct rec_settings settings;
};

struct store_host {
    const char *name;              /* "threads=1 batch=1 chunk=512 cold" */
    struct rec_host host;
};

/* How an answer is found in an output and compared (answer/answer.h has the words). */
struct store_answer {
    const char *parse, *arg;       /* "first_line", ""; "after", "Answer:"; … */
    const char *normalize, *match; /* "squad" "exact"; "equals" "contains" */
    const char *correct;           /* attribute of prompts with the correct answers; "": none is named */
};

/* A claim puts settings in order: settings[0] is said to give the most deterministic output. It is
 * tested paired by prompt, over the SEEDS trials. */
struct store_claim {
    const char *id;                /* "temperature": unique */
    const char *text;              /* "a lower temperature makes output more deterministic" */
    const char *factor;            /* "temperature" */
    const char *measure;           /* "distinct_outputs": of one prompt over the seeds (the default for
                                    * NULL); "identical_pairs": share of equal pairs of them;
                                    * "parted_share": of a pair's longer output, the share of tokens
                                    * from where the two part, mean over pairs (equal: 0) */
    const uint32_t *settings;      /* indices of settings, n_settings >= 2 */
    const char *const *levels;     /* their levels as text */
    size_t n_settings;
};

struct store_plan {
    struct store_run run;
    const struct store_prompt *prompts;   size_t n_prompts;
    const struct store_setting *settings; size_t n_settings;
    const struct store_host *hosts;       size_t n_hosts;
    const struct store_claim *claims;     size_t n_claims;
    const struct rec_trial *trials;       uint64_t n_trials;   /* trials[i].index == i */
    const struct store_perturbation *perturbations; size_t n_perturbations;
    const struct store_skip *skips;       size_t n_skips;
    const struct store_answer *answer;    /* NULL: the experiment says nothing of answers */
};

/* ---- how an output came to be (kept beside it, never in the digest) ------------------------- */

enum store_computed {
    STORE_COMPUTED_ANEW = 0,   /* every token computed for this trial, from an empty cache */
    STORE_COMPUTED_SHARED,     /* drawn for this trial; forward passes shared in the prefix tree */
    STORE_COMPUTED_COPY        /* taken from another trial with the same key: counts in no n */
};

struct store_how {
    enum store_computed computed;
    double started;            /* seconds since 1970 (UTC) */
    double wall_ms;            /* duration of this trial alone, or its share of a batch */
    uint64_t n_forward;        /* tokens that went through the model for it */
};

/* Gives the bytes of a token (as idem_token_bytes); used once for each id that is stored. */
typedef const char *(*store_token_bytes_fn)(void *ctx, int32_t id, size_t *len);

struct store;

/* ---- writing -------------------------------------------------------------------------------- */

/* Creates path, or resumes the run that is in it. Refused, with the reason and what to do: a file
 * of another plan (naming what differs: model, experiment line, settings, idem's numerics), a
 * newer schema, a file that is no idem run or is damaged, a second writer, a folder or file that
 * cannot be written. Nothing is changed in a refused file; a run that could not be created
 * leaves no file behind. `machine` describes where this process runs (processor, cores, memory,
 * system), one line; every open is one row of table `sessions`. */
struct store *store_open_run(const char *path, const struct store_plan *plan, const char *machine,
                             struct idem_err *err);

/* Where token texts come from; without it only tokens already known have text. ctx must live as
 * long as the store. */
void store_set_vocab(struct store *s, store_token_bytes_fn fn, void *ctx);

int store_put_prompt_tokens(struct store *s, uint32_t prompt, const int32_t *ids, size_t n,
                            struct idem_err *err);

/* Adds the output of one trial to the open transaction (and opens one if there is none). A trial
 * that has an output already is an error. After a failure (disk full, I/O) the open transaction is
 * rolled back, the message says how many outputs that were, and every later put fails: close,
 * make room, run the same command again. */
int store_put_output(struct store *s, uint64_t trial, const struct rec_output *o,
                     const struct store_how *how, struct idem_err *err);

/* Makes everything put so far durable (fsync). Nothing to do is fine. */
int store_commit(struct store *s, struct idem_err *err);

/* Closes for good; what was not committed is rolled back. After a writer's close the run is a
 * single plain file without -wal and -shm beside it. NULL is allowed. */
void store_close(struct store *s);

/* ---- reading (from either kind of open) ------------------------------------------------------ */

/* Opens an existing run for reading, also while another process writes it. */
struct store *store_open_read(const char *path, struct idem_err *err);

const char *store_path(const struct store *s);
const struct store_run *store_run(const struct store *s);
const struct store_prompt *store_prompts(const struct store *s, size_t *n);
const struct store_setting *store_settings(const struct store *s, size_t *n);
const struct store_host *store_hosts(const struct store *s, size_t *n);
const struct store_claim *store_claims(const struct store *s, size_t *n);
const struct store_perturbation *store_perturbations(const struct store *s, size_t *n);
const struct store_answer *store_answer(const struct store *s);   /* or NULL */
const struct store_skip *store_skips(const struct store *s, size_t *n);
uint64_t store_n_trials(const struct store *s);        /* of the plan */
uint64_t store_n_done(const struct store *s);          /* that have an output (also uncommitted) */
bool store_is_done(const struct store *s, uint64_t trial);
bool store_is_complete(const struct store *s);         /* every trial of the plan has its output */

/* Machines that worked on this run, one line each, joined by newlines; "" if unknown. */
const char *store_machines(const struct store *s);

/* SHA-256 over the plan's digest and every trial of the plan with its output: settings by key,
 * stop, text, ids, all numbers bit for bit (docs/store.md has the byte stream). Not in it: the
 * clock, the machine, how a result was computed, the order of insertion, SQLite's own layout.
 * Reads the whole file; a row that contradicts itself (a missing token) is an error. */
int store_digest(struct store *s, char hex[DIGEST_HEX], struct idem_err *err);

/* Trials in plan order, with or without their output. */
struct store_row {
    struct rec_trial trial;
    bool done;                   /* output and how are zero unless done */
    struct rec_output output;    /* owned by the cursor, valid until the next call */
    struct store_how how;
};
enum store_read {                /* what to fill of row.output */
    STORE_READ_TRIAL = 0,        /* stop, text, n_tokens, logits_digest; tokens is NULL */
    STORE_READ_TOKENS,           /* and tokens without alternatives (top NULL, n_top 0) */
    STORE_READ_ALL               /* and alternatives */
};
struct store_cursor;
struct store_cursor *store_cursor_open(struct store *s, enum store_read what, struct idem_err *err);
int store_cursor_next(struct store_cursor *c, struct store_row *row, struct idem_err *err); /* 1: a row, 0: the end, -1 */
void store_cursor_close(struct store_cursor *c);

/* The bytes of a stored token id (possibly part of a UTF-8 character); NULL if not known. */
const char *store_token_bytes(struct store *s, int32_t id, size_t *len);

const char *store_computed_name(enum store_computed c);   /* "anew" "shared" "copy" */

#endif
