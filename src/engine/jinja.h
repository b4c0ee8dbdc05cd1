/* SPDX-License-Identifier: MIT
 * Renders chat templates: the part of Jinja that published templates use, with the settings and
 * the meaning that transformers gives it (docs/chat.md). A pure function of template and
 * conversation: no clock, no randomness, no files. What it does not know it refuses by name. */
#ifndef ENGINE_JINJA_H
#define ENGINE_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "idem.h"

struct jinja;   /* a parsed template; immutable */

/* Copies what it needs of the text. Errors name line and column: IDEM_ERR_FORMAT for what is no
 * Jinja, IDEM_ERR_UNSUPPORTED for Jinja that is not known here, IDEM_ERR_LIMIT for too deep or long. */
struct jinja *jinja_parse(const char *text, size_t len, struct idem_err *err);
void jinja_free(struct jinja *t);        /* NULL is allowed */

enum jinja_var_type {
    JINJA_VAR_NONE, JINJA_VAR_BOOL, JINJA_VAR_INT, JINJA_VAR_TEXT,
    JINJA_VAR_DAY      /* a function that writes this day, i = year * 10000 + month * 100 + day, 1583 to 9999,
                          as Python's strftime does */
};
struct jinja_var {
    const char *name;
    enum jinja_var_type type;
    int64_t i;                           /* of a bool, an int or a day */
    const char *text;                    /* UTF-8 */
};

/* Appends the rendered conversation to out. The template sees `messages`, a list of dicts with
 * role and content, and the vars. Texts must be UTF-8. Steps, memory, depth and output are bounded
 * (IDEM_ERR_LIMIT). A template that refuses the conversation (raise_exception) gives
 * IDEM_ERR_USAGE with its own words. */
int jinja_render(const struct jinja *t, const struct idem_message *msgs, size_t n_msgs,
                 const struct jinja_var *vars, size_t n_vars, struct buf *out, struct idem_err *err);

#endif
