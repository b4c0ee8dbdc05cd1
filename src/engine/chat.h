/* SPDX-License-Identifier: MIT
 * Chat templates: the model's own one, or one by name for models that have none (docs/chat.md). */
#ifndef ENGINE_CHAT_H
#define ENGINE_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "engine/tokenizer.h"
#include "idem.h"

/* "jinja" if the text can be parsed as a template, else NULL. What a template does with a
 * conversation shows when it is rendered only. */
const char *chat_kind(const char *jinja, size_t len);

/* As idem_chat_render_with. jinja: the file's own template or NULL; arch: the model's
 * architecture, for advice in errors; *text is malloc'ed. */
int chat_render(const struct tokenizer *tok, const char *jinja, size_t jinja_len, const char *arch,
                const struct idem_message *msgs, size_t n, const struct idem_chat_options *o,
                char **text, struct idem_err *err);

#endif
