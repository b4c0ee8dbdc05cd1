/* SPDX-License-Identifier: MIT
 * Companions: sequences with other content that are computed in the same step. */
#include "run/beside.h"

#include <stdlib.h>

enum { LEN_MAX = 192 };          /* long enough to cross KV blocks, short enough to be cheap */

int run_beside_open(struct run_beside *w, struct backend *b, const int32_t *ids, size_t n_ids,
                    size_t n_ctx, size_t n, struct idem_err *err)
{
    *w = (struct run_beside){.b = b, .ids = ids, .n_ids = n_ids, .n = n};
    w->max_len = n_ctx && n_ctx < LEN_MAX ? n_ctx : LEN_MAX;
    w->all = calloc(n + 1, sizeof *w->all);
    if (!w->all) {
        w->n = 0;
        return err_memory(err, "companion sequences", n * sizeof *w->all);
    }
    return 0;
}

int run_beside_items(struct run_beside *w, size_t n, bool many, struct backend_item *items,
                     struct idem_err *err)
{
    w->n_steps++;
    for (size_t i = 0; i < n; i++) {
        struct companion *c = &w->all[i];
        size_t add = many ? 1 + (i * 5 + w->n_steps) % 9 : 1;
        if (i < w->n_open && c->len + add > w->max_len) {
            w->b->ops->release(w->b, c->node);
            c->node = -1;
        }
        if (i >= w->n_open || c->node < 0) {
            c->node = w->b->ops->node_new(w->b, err);
            if (c->node < 0)
                return -1;
            c->len = 0;
            if (i >= w->n_open)
                w->n_open = i + 1;
        }
        for (size_t k = 0; k < add; k++)
            c->tokens[k] = w->ids[((i + 1) * 7 + (c->len + k) * (i + 2)) % w->n_ids];
        items[i] = (struct backend_item){.node = c->node, .tokens = c->tokens, .n_tokens = add};
        c->len += add;
    }
    return 0;
}

void run_beside_close(struct run_beside *w)
{
    for (size_t i = 0; i < w->n_open; i++)
        if (w->all[i].node >= 0)
            w->b->ops->release(w->b, w->all[i].node);
    free(w->all);
    *w = (struct run_beside){0};
}

int32_t *run_beside_donor(const int32_t *prompt, size_t n, size_t n_ctx, size_t *n_donor)
{
    size_t extra = n_ctx > n + 5 ? 5 : 0;
    int32_t *ids = malloc((n + extra) * sizeof *ids);
    if (!ids)
        return NULL;
    for (size_t i = 0; i < n; i++)
        ids[i] = prompt[i];
    for (size_t i = 0; i < extra; i++)
        ids[n + i] = prompt[(3 * i + 1) % n];
    *n_donor = n + extra;
    return ids;
}
