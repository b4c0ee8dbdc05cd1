/* SPDX-License-Identifier: MIT
 * A progress bar over single requests: looks on while a backend computes. */
#include "cli/watch.h"

static int on_logits(void *ctx, const struct backend_logits *l)
{
    struct watch *w = ctx;
    if (l->pos + 1 > w->done && l->pos < w->total) {
        char detail[64];
        w->done = l->pos + 1;
        snprintf(detail, sizeof detail, "%zu of %zu tokens", w->done, w->total);
        cli_progress_show(&w->progress, (double)w->done / (double)w->total, -1, detail);
    }
    return w->fn(w->ctx, l);
}

static int step(struct backend *b, const struct backend_item *items, size_t n_items,
                backend_logits_fn fn, void *ctx, struct idem_err *err)
{
    /* the table of a watched backend is the first member of its watch */
    struct watch *w = (struct watch *)(uintptr_t)b->ops;
    w->fn = fn;
    w->ctx = ctx;
    return w->own->step(b, items, n_items, fn ? on_logits : NULL, w, err);
}

void watch_start(struct watch *w, const struct cli_args *a, struct backend *b, const char *what,
                 size_t total)
{
    *w = (struct watch){.own = b->ops, .ops = *b->ops, .total = total ? total : 1};
    w->ops.step = step;
    b->ops = &w->ops;
    cli_progress_start(&w->progress, a, what);
}

void watch_end(struct watch *w, struct backend *b)
{
    b->ops = w->own;
    cli_progress_end(&w->progress);
}
