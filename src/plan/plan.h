/* SPDX-License-Identifier: MIT
 * From an experiment file to an ordered, content-addressed list of trials.
 *
 *     struct idem_err err = {0};
 *     struct plan *p = plan_open("experiments/h1-same-input.yaml", NULL, &err);
 *     plan_expand(p, model_digest, "idem-numerics-1/q8", &err);
 *     for (size_t i = 0; i < p->n_trials; i++) … p->trials[i] …
 *     plan_close(p);
 *
 * docs/experiment.md explains every key of the file. An unknown key, a wrong type or a value
 * outside its range is an error "<file>:<line>:<column>: …" that says what is allowed.
 */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/answer.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "idem.h"
#include "record/record.h"

enum { PLAN_N_PURPOSES = REC_PURPOSE_PERTURBED + 1 };
#define PLAN_UNPERTURBED UINT32_MAX

struct plan_prompt {
    const char *id, *kind;        /* kind: free word such as "fact" */
    const char *text;             /* UTF-8, not empty */
    const char *system;           /* NULL, or the system message; with chat only */
    bool chat;                    /* rendered by a chat template, else raw */
    const char *chat_template;    /* NULL: the model's own; a name or a template (idem.h) */
    const struct idem_chat_var *chat_vars;   /* of the template */
    size_t n_chat_vars;
    size_t body_from, body_to;    /* bytes of text within its format: what is perturbed */
    const struct rec_attribute *attributes;    /* of unperturbed prompts; a table's columns in order */
    size_t n_attributes;
    uint32_t base;                /* index of the unperturbed prompt: its own if it is one */
    uint32_t perturbation;        /* index in plan.perturbations; PLAN_UNPERTURBED */
    const char *diff;             /* one line, what the perturbation did; NULL: unperturbed */
    const char *order;            /* "2,0,1": option 0 was option 2, …; NULL: options were not moved */
    char digest[DIGEST_HEX];      /* of chat, template and its variables, system and text, and of the
                                     perturbation: what the key names */
};

/* One perturbation with one seed (perturb/perturb.h). [0] is identity, the control. */
struct plan_perturbation {
    const char *id;               /* "typo:swap/7", "case:upper" */
    const char *name;             /* "typo:swap" */
    bool random;                  /* the seed matters; else it is 0 */
    uint64_t seed;
    size_t n_applies;             /* to so many prompts */
};

struct plan_skip {                /* a perturbation that does not apply to a prompt */
    uint32_t prompt, perturbation;
    const char *why;
};

struct plan_answer {              /* how an answer is found in an output, and which ones are correct */
    bool given;                   /* false: the file says nothing of answers */
    struct answer_rule rule;
    const char *correct;          /* attribute of the prompts with the correct answers; NULL: none is named */
};

struct plan_setting {
    const char *id;               /* "base", "temperature=0.1", or the corner's name */
    const char *factor, *level;   /* "temperature", "0.1"; both NULL for base and corners */
    struct rec_settings values;
    unsigned named;               /* which of them the file says in so many words: plan_named */
    const char *canonical;        /* JSON, one line, every hyperparameter, keys sorted */
};

struct plan_host {
    const char *id;               /* "threads=1 batch=8 chunk=64 cache=cold" */
    struct rec_host state;
};

/* "A more deterministic output follows from this direction of this factor." The settings are
 * ordered as claimed: settings[0] the most deterministic. Tested over the SEEDS trials, paired
 * by prompt, in decision.measure. */
struct plan_claim {
    const char *id, *text, *factor;
    size_t n_settings;            /* >= 2 */
    const uint32_t *settings;     /* indices in plan.settings */
    const char *const *levels;    /* their levels as text */
};

enum plan_correction { PLAN_CORRECTION_HOLM = 0, PLAN_CORRECTION_NONE };

/* The rule of the verdict, declared before the run. */
struct plan_decision {
    double confidence;            /* of every interval, default 0.95 */
    double max_differing;         /* the hypothesis is supported when the upper bound of the share
                                     of differing computations is at most this, and none differed */
    enum plan_correction correction;   /* over the family of claims */
    const char *measure;          /* of the claims: "distinct_outputs" (default), "identical_pairs",
                                     "parted_share"; store.h says what they are */
    const char *text;             /* the same in words */
};

struct plan {
    const char *path;             /* of the experiment file */
    const char *text;             /* the file, byte for byte, and a NUL */
    size_t text_len;
    const char *name;             /* "h1-same-input" */
    const char *hypothesis;       /* "H1" */
    const char *title, *question; /* one line; one sentence */
    const char *model;            /* path or catalogue name as in the file */
    size_t n_prompts, n_settings, n_hosts, n_claims, n_seeds, n_trials;
    size_t n_bases;               /* prompts[0 .. n_bases) are those of the file, the others are perturbed */
    struct plan_prompt *prompts;  /* the perturbed ones of one prompt stand together */
    size_t n_perturbations, n_skips;
    struct plan_perturbation *perturbations;
    struct plan_skip *skips;
    size_t n_same;                /* perturbed prompts with the text of an earlier one of their prompt */
    struct plan_setting *settings;   /* [0] is base */
    struct plan_host *hosts;         /* [0] is where seeds, repeats and controls run */
    struct plan_claim *claims;
    uint64_t *seeds;
    uint32_t n_top;               /* alternatives kept per token */
    uint32_t n_repeats;           /* computations of each key in REPEATS */
    struct plan_answer answer;
    struct plan_decision decision;
    size_t n_prompts_declared;    /* n_bases < this: --limit was used, the run is a quick look */

    struct rec_trial *trials;     /* after plan_expand, in the order in which they are to be run */
    size_t n_by_purpose[PLAN_N_PURPOSES];
    char model_digest[DIGEST_HEX];
    char numerics[64];
    char digest[DIGEST_HEX];      /* of the whole plan: file, model, numerics, every trial */

    struct plan_intern *intern;   /* what only expansion needs */
    struct arena arena;           /* owns everything above */
};

struct plan_options {             /* all zero is the default */
    uint32_t limit_prompts;       /* > 0: only the first N prompts */
};

/* Reads and checks the file (and its prompt file, whose path is relative to it). */
struct plan *plan_open(const char *path, const struct plan_options *o, struct idem_err *err);
void plan_close(struct plan *p);                 /* NULL is allowed */

/* Fills trials and digest. model_digest: 64 hexadecimal digits. numerics: the backend's. */
int plan_expand(struct plan *p, const char *model_digest, const char *numerics,
                struct idem_err *err);

/* The whole plan without its trials as one line of canonical JSON; the caller frees. The run
 * database keeps it, so that a report needs nothing else. After plan_expand. Shape:
 *   {"name", "hypothesis", "title", "question", "model", "model_digest", "numerics", "digest",
 *    "n_prompts_declared", "n_trials", "n_top", "n_repeats", "seeds": [n, …],
 *    "perturbations": [{"name", "seed"|null}, …],   (if there are any)
 *    "prompts":  [{"id", "kind", "text", "system"|null, "chat", "chat_template", "chat_vars": {name: value},
 *                  "attributes": {name: value}, "body": [from, to], "base": index, "perturbation": index}, …],
 *                 (from chat_template on: if given)
 *    "settings": [{"id", "factor"|null, "level"|null, "values": {hyperparameter: value, …}}, …],
 *    "answer":   {"parse", "arg"|null, "normalize", "match", "correct"|null},   (if it is given)
 *    "hosts":    [{"id", "threads", "batch", "chunk", "cache"}, …],
 *    "claims":   [{"id", "text", "factor", "settings": [index, …], "levels": ["0.1", …]}, …],
 *    "decision": {"confidence", "max_differing", "correction": "holm"|"none", "measure", "text"}} */
char *plan_json(const struct plan *p);

/* Every hyperparameter (but the seed) as a JSON object, keys in alphabetical order; _fields: the
 * keys and values alone, into an object that the caller has begun. */
struct json;
void plan_settings_json(struct json *j, const struct rec_settings *s);
void plan_settings_fields(struct json *j, const struct rec_settings *s);

/* A hyperparameter that was set, and why it changes nothing under these settings. */
struct plan_idle {
    const char *name;             /* "top_k" */
    char why[100];                /* "do_sample is false: nothing is drawn" */
};
enum { PLAN_IDLE_MAX = 32 };
/* Of those in named (bits of plan_named), alphabetically; what is set to off is not told of. n_vocab:
 * tokens of the vocabulary, 0 if not known. Returns how many of out are filled. */
size_t plan_settings_idle(const struct rec_settings *s, unsigned named, uint32_t n_vocab,
                          struct plan_idle out[PLAN_IDLE_MAX]);
unsigned plan_named(const char *name);   /* its bit; '-' counts as '_'; 0: no hyperparameter */
/* In words, on one line: how tokens are chosen, then what is not off. */
struct buf;
void plan_settings_words(struct buf *out, const struct rec_settings *s);

/* ---- what it will cost, and what it can show ------------------------------------------------ */

struct plan_rates {               /* tokens per second, measured or assumed */
    double prefill, decode_1, decode_8;   /* decode of one sequence, of eight or more together */
};

struct plan_estimate {
    uint64_t n_trials;
    uint64_t prefill_tokens, decode_tokens;  /* at most: no output ends early, nothing is shared */
    uint64_t fresh_prefill_tokens, fresh_decode_tokens;   /* of these: computed anew by purpose */
    double seconds;               /* with the SEEDS trials unshared: an upper bound */
    uint64_t disk_bytes;
    uint64_t cache_tokens;        /* at most in the KV cache at once: sequences decoded together,
                                     each with its prompt and all its new tokens */
    uint64_t n_computations;      /* fresh trials that are compared with another: all but one of
                                     each group of equal (prompt, setting, seed, sample) */
    double detectable;            /* upper bound at decision.confidence of the share that differs,
                                     if none of n_computations does: 1 - (1 - confidence)^(1/n) */
};
/* prompt_tokens[n_prompts], or NULL: a token per three bytes. After plan_expand. */
void plan_estimate(const struct plan *p, const uint32_t *prompt_tokens,
                   const struct plan_rates *rates, struct plan_estimate *out);

#endif
