/* SPDX-License-Identifier: MIT
 * A few threads for drawing tokens and digesting logits between forward passes. */
#ifndef RUN_CREW_H
#define RUN_CREW_H

#include <stddef.h>

#include "base/err.h"

struct run_crew;
/* n_threads counts the caller, >= 1. */
struct run_crew *run_crew_open(unsigned n_threads, struct idem_err *err);
void run_crew_close(struct run_crew *c);      /* NULL is allowed */
unsigned run_crew_size(const struct run_crew *c);
/* Calls fn(ctx, task, worker) once for each task < n and returns when all are done; worker <
 * size. Which worker takes which task is left to chance: nothing computed may depend on it. */
typedef void (*run_crew_fn)(void *ctx, size_t task, unsigned worker);
void run_crew_do(struct run_crew *c, run_crew_fn fn, void *ctx, size_t n);

#endif
