/* SPDX-License-Identifier: MIT
 * Companions: sequences with other content that are computed in the same step as the ones that
 * count, so that a batch of N is really one. */
#ifndef RUN_BESIDE_H
#define RUN_BESIDE_H

#include "backend/backend.h"

struct run_beside {
    struct backend *b;
    const int32_t *ids;          /* content is made from these, rotated and strided */
    size_t n_ids, max_len;       /* a companion that reaches max_len begins anew */
    size_t n, n_open;            /* companions; those that have a node */
    uint64_t n_steps;
    struct companion { int node; size_t len; int32_t tokens[16]; } *all;
};

/* ids stay the caller's and must be at least one; n companions at most. */
int run_beside_open(struct run_beside *w, struct backend *b, const int32_t *ids, size_t n_ids,
                    size_t n_ctx, size_t n, struct idem_err *err);
/* Fills items[0 .. n): what the first n companions (at most as many as were opened) append in
 * this step: 1 token each, or a few that differ between companions if many is true. */
int run_beside_items(struct run_beside *w, size_t n, bool many, struct backend_item *items,
                     struct idem_err *err);
void run_beside_close(struct run_beside *w);
/* The longer sequence of cache: forked. It goes on behind the prompt with other content, so that
 * what is forked is a place in the middle. The caller frees it; NULL without memory. */
int32_t *run_beside_donor(const int32_t *prompt, size_t n, size_t n_ctx, size_t *n_donor);

#endif
