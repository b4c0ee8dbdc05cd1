/* SPDX-License-Identifier: MIT
 * What the files of this room share: a text cut into characters, and edits of it. */
#ifndef PERTURB_INTERN_H
#define PERTURB_INTERN_H

#include "base/buf.h"
#include "base/rng.h"
#include "perturb/perturb.h"

/* A text as its characters (grapheme clusters). */
struct pert_chars {
    const char *s;
    size_t n;              /* characters */
    size_t *at;            /* [n + 1]: byte offsets; at[n] is the length */
    int32_t *cp;           /* [n]: first code point */
    bool *frozen;          /* [n]: in a kept span or outside the body */
};

/* Cuts s[len], which is well-formed. -1: no memory. */
int pert_cut(struct pert_chars *c, const char *s, size_t len);
void pert_cut_release(struct pert_chars *c);
size_t pert_char_at(const struct pert_chars *c, size_t byte);   /* the first that begins there or later */
bool pert_is_letter(int32_t cp);
bool pert_is_mark(int32_t cp);                 /* punctuation */
/* Whether a word begins, goes on at character i: letters, and apostrophes between letters. */
bool pert_in_word(const struct pert_chars *c, size_t i);
/* The bytes of one character with another case; appends to b. upper: all its code points. */
void pert_put_case(struct buf *b, const char *s, size_t len, bool upper);

/* The place in entries of what has that key; their number if none has. */
size_t pert_list_find(const struct perturb_list *l, const char *key, size_t len);

/* Where something could be done. g: a character; v: which of several ways. */
struct pert_site { size_t g, v; };

/* One application on its way. */
struct pert_work {
    const struct perturb_spec *spec;
    const struct perturb_input *in;
    const struct perturb_entry *entries;   /* of in->list */
    size_t n_entries;
    struct pert_chars c;
    size_t g_from, g_to;                   /* the body in characters */
    struct rng rng;
    struct pert_site *sites;
    size_t n_sites, cap_sites;
    const char *why;                       /* says more than the kind's own word, or NULL */
    struct perturb_edit *edits;            /* out_from, out_to: of `news` until all are there */
    size_t n_edits, cap_edits;
    struct buf news;                       /* what the edits put in, one after the other */
    struct buf tmp;
    uint8_t order[PERTURB_MAX_OPTIONS];
    size_t n_order;
    size_t head, tail;                     /* bytes around the body in the output */
    bool failed;                           /* no memory */
};

void pert_site_add(struct pert_work *w, size_t g, size_t v);
/* Bytes [from, to) become s[len]; ascending order. What changes nothing is left out, what touches
 * the edit before is joined with it. */
void pert_edit(struct pert_work *w, size_t from, size_t to, const char *s, size_t len);

/* A kind: where it could be done, and doing it there. */
struct perturb_kind {
    const char *name;                      /* "typo:swap"; with ':' at its end: a name follows */
    bool random;
    enum perturb_list_kind list;
    void (*sites)(struct pert_work *w);
    void (*edit)(struct pert_work *w, struct pert_site at);
    const char *why;                       /* it does not apply: what is not there */
    const char *what;                      /* for manuals */
};
extern const struct perturb_kind pert_kinds[];
extern const size_t pert_n_kinds;

#define PERT_KIND(name) void pert_##name##_sites(struct pert_work *w); \
                        void pert_##name##_edit(struct pert_work *w, struct pert_site at)
/* letters.c */
PERT_KIND(case_lower);
PERT_KIND(case_upper);
PERT_KIND(case_title);
PERT_KIND(case_first);
PERT_KIND(case_one);
PERT_KIND(typo_swap);
PERT_KIND(typo_drop);
PERT_KIND(typo_double);
PERT_KIND(typo_neighbour);
/* marks.c */
PERT_KIND(space_double);
PERT_KIND(space_drop);
PERT_KIND(space_leading);
PERT_KIND(space_trailing);
PERT_KIND(space_newline);
PERT_KIND(punct_drop);
PERT_KIND(punct_double);
PERT_KIND(punct_end_drop);
PERT_KIND(punct_end_add);
PERT_KIND(punct_end_change);
/* words.c */
PERT_KIND(synonym);
PERT_KIND(wrap);
PERT_KIND(format);
PERT_KIND(paraphrase);
/* order.c */
PERT_KIND(order_reverse);
PERT_KIND(order_rotate);
PERT_KIND(order_shuffle);

#endif
