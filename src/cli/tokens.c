/* SPDX-License-Identifier: MIT
 * Tokens in JSON and as tables, the same in every command. */
#include "cli/tokens.h"

#include <math.h>
#include <stdio.h>

#include "base/detmath.h"
#include "cli/cli.h"

void tokens_json(struct json *j, int32_t id, const char *bytes, size_t len)
{
    json_key(j, "id");
    json_i64(j, id);
    json_key(j, "text");
    if (bytes)
        json_str(j, bytes, len);
    else
        json_null(j);
    json_key(j, "bytes");
    if (bytes)
        json_bytes(j, bytes, len);
    else
        json_null(j);
}

void tokens_json_top(struct json *j, struct backend *b, const struct rec_token *t, bool processed)
{
    json_key(j, "top");
    json_begin(j, '[');
    for (uint32_t i = 0; i < t->n_top; i++) {
        size_t len = 0;
        const char *bytes = b->ops->token_bytes(b, t->top[i].id, &len);
        json_begin(j, '{');
        tokens_json(j, t->top[i].id, bytes, len);
        json_key(j, "logprob");
        json_f32(j, t->top[i].logprob);
        if (processed) {
            json_key(j, "logprob_processed");
            json_f32(j, t->top[i].logprob_processed);
        }
        json_end(j);
    }
    json_end(j);
}

/* ---- tables ---------------------------------------------------------------------------------------- */

enum { TEXT_COLUMNS_MIN = 12, TEXT_COLUMNS_MAX = 32, CELL_BYTES = 512 };

static size_t quoted_columns(struct backend *b, int32_t id)
{
    struct buf q;
    size_t len = 0;
    const char *bytes = b->ops->token_bytes(b, id, &len);
    buf_init(&q, CELL_BYTES);
    cli_quote(&q, bytes ? bytes : "", len);
    size_t columns = q.failed ? TEXT_COLUMNS_MAX : cli_columns(q.data, q.len);
    buf_release(&q);
    return columns;
}

static void cell_text(struct buf *out, struct backend *b, int32_t id, size_t columns)
{
    size_t len = 0, used = quoted_columns(b, id);
    const char *bytes = b->ops->token_bytes(b, id, &len);
    cli_quote(out, bytes ? bytes : "", len);
    if (used < columns)
        buf_addf(out, "%*s", (int)(columns - used), "");
}

static void cell_logprob(struct buf *out, float v)
{
    if (isfinite(v))
        buf_addf(out, "  %9.5f", (double)v);
    else
        buf_addf(out, "  %9s", "-");
}

static void colour_on(struct buf *out, bool colour, float logprob)
{
    if (colour && isfinite(logprob)) {
        double p = det_exp((double)logprob);
        buf_adds(out, p >= 0.5 ? "\033[32m" : p >= 0.1 ? "\033[33m" : "\033[31m");
    }
}

void tokens_table(struct buf *out, struct backend *b, const struct rec_token *tokens, size_t n,
                  bool processed, uint32_t n_top, bool colour)
{
    size_t columns = TEXT_COLUMNS_MIN;
    for (size_t i = 0; i < n; i++) {
        size_t c = quoted_columns(b, tokens[i].id);
        if (c > columns)
            columns = c < TEXT_COLUMNS_MAX ? c : TEXT_COLUMNS_MAX;
    }
    buf_addf(out, "%8s  %-*s  %9s  %11s%s%s\n", "id", (int)columns, "text", "logprob", "probability",
             processed ? "  processed" : "", n_top ? "  alternatives" : "");
    for (size_t i = 0; i < n; i++) {
        const struct rec_token *t = &tokens[i];
        buf_addf(out, "%8d  ", t->id);
        colour_on(out, colour, t->logprob);
        cell_text(out, b, t->id, columns);
        buf_adds(out, colour ? "\033[0m" : "");
        cell_logprob(out, t->logprob);
        if (isfinite(t->logprob))
            buf_addf(out, "  %10.4f%%", 100 * det_exp((double)t->logprob));
        else
            buf_addf(out, "  %11s", "-");
        if (processed)
            cell_logprob(out, t->logprob_processed);
        for (uint32_t k = 0; k < n_top && k < t->n_top; k++) {
            buf_adds(out, "  ");
            cell_text(out, b, t->top[k].id, 0);
            buf_addf(out, " %.3f", (double)t->top[k].logprob);
        }
        buf_adds(out, "\n");
    }
}
