/* SPDX-License-Identifier: MIT
 * What the files of this room share: the run in memory with equal outputs held once, and the
 * numbers that every format prints. */
#ifndef REPORT_IMPL_H
#define REPORT_IMPL_H

#include "base/arena.h"
#include "report/report.h"
#include "stats/agree.h"
#include "stats/boot.h"
#include "stats/interval.h"
#include "stats/paired.h"
#include "stats/share.h"

/* ---- the run in memory -------------------------------------------------------------------------- */

/* One text that a prompt got: token ids, stop and text, whatever the setting and the seed. */
struct rep_class {
    uint32_t prompt;
    enum rec_stop stop;
    const int32_t *ids;
    size_t n_ids;
    const char *text;            /* bytes, NUL behind */
    size_t text_len;
};

/* A class under one setting: its numbers (the processed ones depend on the setting). */
struct rep_variant {
    uint32_t cls, setting;
    const struct rec_token *tokens;   /* cls's n_ids of them */
};

struct rep_trial {
    struct rec_trial t;          /* key left empty */
    uint32_t cls, variant;       /* meaningful if done */
    bool done, real;             /* real: a computation of its own, not a copy */
    bool has_bits;
    uint64_t bits;               /* of the digest of its logits */
    float mean_entropy;          /* over its tokens, nats; NaN without tokens */
    double wall_ms;
    uint64_t n_forward;
};

/* ---- numbers -------------------------------------------------------------------------------------- */

enum rep_verdict {
    REP_INCONCLUSIVE = 0, REP_IDENTICAL, REP_VARIES, REP_INVALID,
    REP_SUPPORTED, REP_CONTRADICTED, REP_UNDECIDED
};
const char *rep_verdict_name(enum rep_verdict v);

/* Computations of one key compared with the first of that key. */
struct rep_same {
    uint64_t n;                  /* compared */
    uint64_t n_output;           /* of them: same tokens, stop and text */
    uint64_t n_bits, n_bits_of;  /* of those that have a digest of all logits: the same one */
    uint64_t n_same;             /* output and, where there are digests, bits */
    size_t n_prompts, n_prompts_same;
    double low, high;            /* share identical, prompts as clusters, at the run's confidence */
    double low_computations;     /* lower bound if computations were independent; NaN unless all are the same */
    enum rep_verdict verdict;
};

/* Where two computations of one key part. */
struct rep_difference {
    uint64_t a, b;               /* trials */
    size_t at;                   /* index of the first token that differs */
    bool bits_only;              /* same output, other logits */
};

/* Outputs of one setting over seeds. */
struct rep_seeds {
    bool greedy;                 /* no seed enters, by draws or by noise: nothing is counted */
    size_t n_prompts;
    uint64_t n_outputs, n_pairs, n_pairs_same;
    struct stat_estimate pairs;      /* mean over prompts of the share of equal pairs */
    struct stat_estimate distinct;   /* mean over prompts of the number of distinct outputs */
    struct stat_estimate modal;      /* mean over prompts of the share of the commonest output */
    double parts_at;             /* median over unequal pairs: tokens in common before they part */
    double margin, entropy;      /* medians there, nats; NaN if nothing parts or nothing is known */
    double mean_entropy;         /* over all tokens of all outputs */
    double distinct_2;           /* different token bigrams / all bigrams of a prompt's outputs, mean over prompts */
    enum rep_verdict verdict;
};

struct rep_level {               /* one level of a claim */
    double measure;              /* mean over the prompts used */
    double mean_entropy, distinct_2;   /* over all prompts */
    double distinct;             /* outputs per prompt, whatever the measure is */
};
struct rep_claim {
    size_t n_prompts;            /* with every level complete */
    size_t n_ceiling;            /* of them: all outputs distinct at both ends, where nothing can be seen */
    bool flat;                   /* the same difference in every prompt: a bootstrap sees no spread */
    struct rep_level *levels;    /* as many as the claim has settings */
    struct stat_estimate effect; /* first level against last, positive: as claimed */
    struct stat_estimate *steps; /* level k against level k + 1; n_settings - 1 of them */
    struct stat_wilcoxon test;
    double p, p_adjusted;        /* NaN: no test */
    enum rep_verdict verdict;
};

enum rep_state { REP_PASSED = 0, REP_FAILED, REP_PENDING };
struct rep_control {
    const char *name;            /* "identical" "vary" "seed" "capture" "shared" */
    const char *what;            /* one line */
    enum rep_state state;
    uint64_t n, of;              /* comparisons (vary: prompts) as they should be */
    const char *detail;
};

/* One prompt under one setting, over seeds; for the matrix and the page. */
struct rep_cell {
    uint32_t n_planned, n_done;  /* trials over seeds, copies included */
    uint32_t n, n_distinct, n_modal;   /* of real computations */
    double pairs_same;           /* share of equal pairs; NaN for n < 2, 1 where no seed enters */
    double parted;               /* mean over pairs of the share of tokens from where they part; NaN
                                    for n < 2, 0 where no seed enters */
    uint32_t modal;              /* class */
    size_t first_part;           /* tokens that all outputs have in common; SIZE_MAX: all are the same */
    uint32_t n_same_seed, n_same_seed_differ;   /* comparisons of one key, and those that differ */
};

struct report {
    struct store *s;
    const struct store_run *run;
    const struct store_prompt *prompts;   size_t n_prompts;
    size_t n_bases;              /* of these: as in the experiment, not perturbed */
    const struct store_setting *settings; size_t n_settings;
    const struct store_host *hosts;       size_t n_hosts;
    const struct store_claim *claims;     size_t n_claims;
    struct arena arena;          /* everything below */

    const char **labels;         /* per setting: its name for people, marked if noise is added */
    struct rep_trial *trials;    uint64_t n_trials, n_done;
    struct rep_class *classes;   uint32_t n_classes, cap_classes;
    struct rep_variant *variants; uint32_t n_variants, cap_variants;
    char digest[DIGEST_HEX];
    double confidence;
    bool complete, limited;

    struct rep_same *same;       /* per setting */
    struct rep_same *same_host;  /* per host state: of computations done there */
    struct rep_same same_all;
    struct rep_difference *differences; size_t n_differences, cap_differences;
    struct rep_seeds *seeds;     /* per setting */
    struct rep_claim *claim;     /* per claim */
    struct rep_control controls[5]; size_t n_controls;
    struct rep_cell *cells;      /* [prompt * n_settings + setting] */
    enum rep_state controls_state;
    enum rep_verdict hypothesis;
    enum report_outcome outcome;
    char sentence[512];
    char shown_rule[512];        /* what decided, in numbers */
};

#define REPORT_ARENA_MAX ((size_t)4 << 30)
#define REPORT_N_BOOTSTRAP 10000u

/* report_load.c */
int report_load(struct report *r, struct idem_err *err);
/* report_same.c: comparisons of one key, controls */
int report_same(struct report *r, struct idem_err *err);
int report_controls(struct report *r, struct idem_err *err);
/* report_seeds.c */
int report_seeds(struct report *r, struct idem_err *err);
/* report_claims.c */
int report_claims(struct report *r, struct idem_err *err);

/* report_group.c: trials sorted and cut into groups of equal fields. */
enum rep_by { REP_BY_KEY = 0,    /* prompt, setting, seed, sample */
              REP_BY_CELL };     /* prompt, setting */
struct rep_groups {
    const struct rep_trial **t;  /* n of them, in order; within a group in plan order */
    size_t n, n_groups;
    size_t *start;               /* n_groups + 1 */
};
/* purposes: bit 1 << purpose. Only what is done; copies only if with_copies. */
int report_groups(struct rep_groups *g, const struct report *r, unsigned purposes, enum rep_by by,
                  bool with_copies, struct idem_err *err);
void report_groups_release(struct rep_groups *g);
size_t report_parts_at(const struct report *r, uint32_t cls_a, uint32_t cls_b);   /* SIZE_MAX: same ids */
/* The token record at an index of a trial's output, NULL behind its end. */
const struct rec_token *report_token(const struct report *r, const struct rep_trial *t, size_t at);
void report_boot(const struct report *r, struct stat_boot *b);
int report_compare_f64(const void *a, const void *b);
double report_median(double *v, size_t n);   /* sorts; NaN for n = 0 */

/* report_escape.c: text that came from outside. */
/* Visible and harmless on a terminal: control and direction characters as \n, \x1b, \u202e; bytes
 * that are no UTF-8 as \xff. At most max_columns characters wide, "..." at the end if cut (0: all). */
void report_esc_text(struct buf *out, const char *s, size_t len, size_t max_columns);
void report_esc_md(struct buf *out, const char *s, size_t len, size_t max_columns);  /* in a table cell */
/* HTML text and attribute values; line breaks kept. Control and direction characters are shown as
 * pictures or [U+202E], bytes that are no UTF-8 as U+FFFD. */
void report_esc_html(struct buf *out, const char *s, size_t len);
/* A JSON string for a script element: '<' and '&' never stand in it; same replacements as HTML. */
void report_esc_json_html(struct buf *out, const char *s, size_t len);

/* report_table.c: a table of strings, for text and Markdown. */
struct rep_table {
    size_t n_cols, n_cells;
    const char *const *head;
    const char *align;           /* 'l' or 'r' per column */
    char **cell;                 /* [n_cells] row by row, UTF-8, from the report's arena */
    size_t cap_cells;
    struct arena *arena;
    bool failed;
};
void report_table_init(struct rep_table *t, struct arena *a, size_t n_cols, const char *const *head,
                       const char *align);
/* Adds one cell (left to right, rows follow each other). */
void report_table_add(struct rep_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_table_text(const struct rep_table *t, struct buf *out, size_t indent, size_t max_width);
void report_table_md(const struct rep_table *t, struct buf *out);

/* Numbers as people read them; "-" for NaN. */
enum { REP_NUM = 48 };
const char *rep_pct(char out[REP_NUM], double share);                  /* "98.3 %" "100 %" */
const char *rep_level(char out[REP_NUM], double share);                /* as declared: "95 %" */
const char *rep_count(char out[REP_NUM], uint64_t n);                  /* "4,275" */
const char *rep_fix(char out[REP_NUM], double v, int digits);
const char *rep_p(char out[REP_NUM], double p);                        /* "0.0012" "< 0.0001" */

/* The tables that text and Markdown share. */
int report_table_same(const struct report *r, struct rep_table *t, struct arena *a);
int report_table_hosts(const struct report *r, struct rep_table *t, struct arena *a);
int report_table_seeds(const struct report *r, struct rep_table *t, struct arena *a);
int report_table_claims(const struct report *r, struct rep_table *t, struct arena *a);
void report_claim_line(const struct report *r, size_t claim, struct buf *out);
/* How a measure of claims is shown. In each, more is less deterministic. */
struct rep_measure {
    const char *name, *head, *unit, *what;
    double scale;
    int digits;
};
const struct rep_measure *report_measure(const char *name);   /* an unknown one is shown as the first */

int report_write_text(const struct report *r, struct buf *out, bool md, struct idem_err *err);
int report_write_json(const struct report *r, struct buf *out, struct idem_err *err);
int report_write_html(const struct report *r, struct buf *out, struct idem_err *err);
/* report_page.c: the prompts and their outputs in the page. */
int report_page_prompts(const struct report *r, struct buf *out, struct idem_err *err);

/* Generated from web/ (tools/embed.sh). */
extern const unsigned char web_report_css[], web_report_js[];
extern const size_t web_report_css_len, web_report_js_len;

#endif
