/* SPDX-License-Identifier: MIT
 * A progress bar over single requests: looks on while a backend computes. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "backend/backend.h"
#include "cli/cli.h"

struct watch {
    struct backend_ops ops;            /* of the backend while it is watched: step is ours */
    const struct backend_ops *own;     /* the backend's */
    struct cli_progress progress;
    size_t done, total;                /* positions of the longest sequence */
    backend_logits_fn fn;              /* of the step that is being computed */
    void *ctx;
};

/* Until watch_end, logits after position p of any sequence mean (p + 1) / total. */
void watch_start(struct watch *w, const struct cli_args *a, struct backend *b, const char *what,
                 size_t total);
void watch_end(struct watch *w, struct backend *b);

#endif
