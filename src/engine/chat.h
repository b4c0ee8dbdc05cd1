/* SPDX-License-Identifier: MIT
 * Chat templates: a table of families, recognised from the text of the file's own template. */
#ifndef ENGINE_CHAT_H
#define ENGINE_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "idem.h"

struct chat_family;   /* static, immutable */

/* The family of a Jinja template text; NULL if none matches. */
const struct chat_family *chat_detect(const char *jinja, size_t len);
const char *chat_name(const struct chat_family *f);

/* As idem_chat_render. jinja: the file's own template (default system messages are read from it
 * where the family has them, such as SmolLM2's and Qwen2.5's). f NULL: the error for an unknown
 * template. *text is malloc'ed. */
int chat_render(const struct chat_family *f, const char *jinja, size_t jinja_len,
                const struct idem_message *msgs, size_t n, bool add_generation_prompt,
                char **text, struct idem_err *err);

#endif
