/* SPDX-License-Identifier: MIT
 * From an output to an answer, and whether that is a correct one: pure functions of text.
 *
 *     struct answer *a = answer_open(&(struct answer_rule){.parse = ANSWER_FIRST_LINE}, &err);
 *     struct buf found;
 *     buf_init(&found, ANSWER_MAX);
 *     if (answer_parse(a, output, len, &found, &err) == 1)
 *         correct = answer_correct(a, found.data, found.len, "[\"Paris\", \"City of Paris\"]", …, &err);
 *
 * An output without an answer (no such line, marker, letter or field) is invalid: it is counted as
 * such, and is never correct. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { ANSWER_MAX = 1 << 24 };     /* bytes of an output that is parsed */

enum answer_parse_kind {
    ANSWER_WHOLE = 0,     /* the output without white space around it */
    ANSWER_FIRST_LINE,    /* its first line that is not blank, the same */
    ANSWER_AFTER,         /* what stands behind the last place of arg, to the end of its line */
    ANSWER_REGEX,         /* the first group of the first match of arg (all of it if there is no group) */
    ANSWER_CHOICE,        /* one of the letters of arg: "A", "(b)", "Answer: C", "D. Rome"; upper case */
    ANSWER_JSON           /* a field of the first JSON object in the output; arg "city", "place.city" */
};
enum answer_normal { ANSWER_SQUAD = 0, ANSWER_EXACT };
enum answer_match { ANSWER_EQUALS = 0, ANSWER_CONTAINS };

struct answer_rule {               /* all zero: the whole output, normalised, equal */
    enum answer_parse_kind parse;
    const char *arg;               /* of AFTER, REGEX (PCRE2, UTF), CHOICE (letters), JSON */
    enum answer_normal normal;     /* before answers are compared */
    enum answer_match match;       /* CONTAINS: a correct answer is part of it, in whole words */
};

/* A rule from its words, as a run database keeps them. Names what is allowed if one is unknown. */
int answer_rule_words(struct answer_rule *rule, const char *parse, const char *arg, const char *normalize,
                      const char *match, struct idem_err *err);

struct answer;
/* Compiles the rule, whose arg is copied. NULL: a bad expression (with its offset), letters or field. */
struct answer *answer_open(const struct answer_rule *rule, struct idem_err *err);
void answer_close(struct answer *a);               /* NULL is allowed */

/* Appends the answer in text[len] to out. 1: there is one (not empty); 0: the output is invalid; -1: no
 * memory, or an expression that gives up (its limits on steps). Malformed UTF-8 is read as U+FFFD. */
int answer_parse(const struct answer *a, const char *text, size_t len, struct buf *out, struct idem_err *err);

/* Appends what answers are compared by. SQUAD: NFC, small letters, without punctuation (Unicode's P and
 * ASCII's $+<=>^`|~), without the words a, an, the, and one space where white space was (Rajpurkar et al.
 * 2016, extended to Unicode). EXACT: as it is. */
void answer_normalize(enum answer_normal n, const char *text, size_t len, struct buf *out);

/* Whether an answer is one of the correct ones: a JSON list of texts, or else one text. 1, 0; -1: a list
 * that is none, or no memory. A correct answer that normalises to nothing matches nothing. */
int answer_correct(const struct answer *a, const char *found, size_t len, const char *correct, size_t correct_len,
                   struct idem_err *err);

/* The letter that an option had before the options were moved: of 'B' and order "2,0,1" (option 1 was
 * option 0) 'A'. order "" or NULL: the letter itself. 0: no such letter or order. */
char answer_unmove(char letter, const char *order);

const char *answer_parse_name(enum answer_parse_kind k);   /* "whole" "first_line" "after" … */
const char *answer_normal_name(enum answer_normal n);      /* "squad" "exact" */
const char *answer_match_name(enum answer_match m);        /* "equals" "contains" */

#endif
