/* SPDX-License-Identifier: MIT
 * What parse.c and correct.c share. */
#ifndef ANSWER_IMPL_H
#define ANSWER_IMPL_H

#include "answer/answer.h"

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

struct answer {
    struct answer_rule rule;       /* arg: below */
    char *arg;
    struct pcre2_real_code_8 *re;  /* of ANSWER_REGEX */
    struct pcre2_real_match_context_8 *limits;
    struct pcre2_real_match_data_8 *found;
};

#endif
