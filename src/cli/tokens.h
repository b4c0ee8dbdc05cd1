/* SPDX-License-Identifier: MIT
 * Tokens in JSON and as tables, the same in every command. */
#ifndef CLI_TOKENS_H
#define CLI_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/buf.h"
#include "base/json.h"
#include "record/record.h"

/* Members "id", "text", "bytes" of an open object. bytes NULL: unknown token. */
void tokens_json(struct json *j, int32_t id, const char *bytes, size_t len);
/* Member "top" of an open object; processed: with logprob_processed. */
void tokens_json_top(struct json *j, struct backend *b, const struct rec_token *t, bool processed);

/* A table: id, text, log-probability and probability of each token; processed: with the
 * log-probability after the sampler's processors; n_top alternatives at the end of each line;
 * colour: texts green from a probability of 50 %, yellow from 10 %, red below. */
void tokens_table(struct buf *out, struct backend *b, const struct rec_token *tokens, size_t n,
                  bool processed, uint32_t n_top, bool colour);

#endif
