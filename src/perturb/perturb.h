/* SPDX-License-Identifier: MIT
 * Small, declared changes of a prompt, each a pure function of (kind, seed, text, list).
 *
 *     struct perturb_spec spec;
 *     struct perturb_result r;
 *     perturb_spec_parse(&spec, "typo:swap", &err);
 *     perturb_apply(&spec, 7, &(struct perturb_input){.text = s, .len = n, .body_to = n}, &r, &err);
 *     if (r.applies) … r.text, r.diff …  else … r.why …
 *     perturb_result_release(&r);
 *
 * docs/perturbations.md has every kind and the format of the lists.
 *
 * What holds for every kind: no character (grapheme cluster, Unicode UAX #29) is broken, joined or
 * made out of two; kept spans stay as they are; every kind but `identity` changes the text or says
 * that it does not apply; the edits, applied to the input, give the output.
 */
#ifndef PERTURB_H
#define PERTURB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { PERTURB_MAX_TEXT = 1 << 20, PERTURB_MAX_NAME = 64, PERTURB_MAX_OPTIONS = 26 };

/* ---- lists ------------------------------------------------------------------------------------ */

enum perturb_list_kind {
    PERTURB_LIST_NONE = 0,
    PERTURB_LIST_SYNONYMS,       /* word = word | …        for synonym */
    PERTURB_LIST_KEYBOARD,       /* letter = letter | …    for typo:neighbour */
    PERTURB_LIST_POLITE,         /* name = text with {text} */
    PERTURB_LIST_INSTRUCT,       /* name = text with {text} */
    PERTURB_LIST_FORMATS,        /* name = text with {text} */
    PERTURB_LIST_PARAPHRASES,    /* text with or without {x} = text with the same | … */
    PERTURB_N_LISTS
};

struct perturb_text { const char *s; size_t len; };

struct perturb_entry {
    struct perturb_text key;
    struct perturb_text *values;   /* [n_values], n_values >= 1 */
    size_t n_values;
};

struct perturb_list;               /* immutable; in the order of the file */

/* Reads text[len] (a file's content; path is for messages: "<path>:<line>: …"). NULL on error. */
struct perturb_list *perturb_list_parse(enum perturb_list_kind kind, const char *path,
                                        const char *text, size_t len, struct idem_err *err);
struct perturb_list *perturb_list_read(enum perturb_list_kind kind, const char *path,
                                       struct idem_err *err);
void perturb_list_free(struct perturb_list *l);                  /* NULL is allowed */
const struct perturb_entry *perturb_list_entries(const struct perturb_list *l, size_t *n);
enum perturb_list_kind perturb_list_kind_of(const struct perturb_list *l);
const char *perturb_list_name(enum perturb_list_kind kind);      /* "synonyms" "keyboard" … */

/* ---- what is done ----------------------------------------------------------------------------- */

struct perturb_kind;               /* one row of the table in spec.c */

struct perturb_spec {
    const struct perturb_kind *kind;
    char name[PERTURB_MAX_NAME];   /* as parsed: "typo:swap", "format:plain", "paraphrase:2" */
    char arg[PERTURB_MAX_NAME];    /* what follows the colon where a list says what it means, or "" */
    uint32_t number;               /* of paraphrase:N, from 1; 0: any */
};

/* From a name. The error lists what is allowed. */
int perturb_spec_parse(struct perturb_spec *spec, const char *name, struct idem_err *err);
/* True if the seed matters. */
bool perturb_spec_random(const struct perturb_spec *spec);
bool perturb_spec_identity(const struct perturb_spec *spec);
/* The list that it needs; PERTURB_LIST_NONE: none. */
enum perturb_list_kind perturb_spec_list(const struct perturb_spec *spec);
/* That the list (may be NULL) is there, is of that kind, and has the name after the colon. */
int perturb_spec_check(const struct perturb_spec *spec, const struct perturb_list *list,
                       struct idem_err *err);
/* The i-th line of the table of kinds for manuals: NULL after the last. *what: in words. */
const char *perturb_kind_row(size_t i, const char **what);

/* ---- doing it --------------------------------------------------------------------------------- */

struct perturb_span { size_t from, to; };   /* bytes [from, to) */

struct perturb_input {
    const char *text;              /* UTF-8, 1 .. PERTURB_MAX_TEXT bytes */
    size_t len;
    size_t body_from, body_to;     /* what stands around the body is its format ("Q: ", "\nA:"): only
                                      format:NAME changes it. The whole text: 0 and len */
    const struct perturb_span *keep;   /* [n_keep]: never changed; within the text */
    size_t n_keep;
    const struct perturb_list *list;   /* if the kind needs one */
};

struct perturb_edit {              /* input bytes [from, to) became output bytes [out_from, out_to) */
    size_t from, to, out_from, out_to;
};

struct perturb_result {            /* owns text, edits and diff; perturb_result_release frees */
    bool applies;                  /* false: nothing else but why is set */
    const char *why;               /* static: why it does not apply */
    char *text;                    /* [len] and a NUL */
    size_t len;
    size_t body_from, body_to;     /* the body in the output */
    struct perturb_edit *edits;    /* ascending, apart, each changes something; none for identity */
    size_t n_edits;
    uint8_t order[PERTURB_MAX_OPTIONS];   /* of order:…: option i of the output was option order[i] */
    size_t n_order;                /* 0: the options were not moved */
    char *diff;                    /* one line: "Who is the [-author-]{+writer+} of This?" */
};

/* Random choices are a function of (seed, SHA-256 of the body, name of the kind): apply.c has the
 * layout. 0 also where it does not apply; -1: malformed input (UTF-8, spans, a missing list). */
int perturb_apply(const struct perturb_spec *spec, uint64_t seed, const struct perturb_input *in,
                  struct perturb_result *out, struct idem_err *err);
void perturb_result_release(struct perturb_result *r);   /* zeroes */

#endif
