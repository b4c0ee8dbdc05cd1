/* SPDX-License-Identifier: MIT
 * A thread pool on pthreads: one job at a time, split into items that any thread may take. */
#ifndef ENGINE_POOL_H
#define ENGINE_POOL_H

#include <stddef.h>

#include "base/err.h"

enum { POOL_MAX_THREADS = 1024 };

struct pool;

/* n_threads counts the caller, 1..POOL_MAX_THREADS; 0: one per processor this process may use.
 * Every worker sets its floating-point environment (kern_thread_init). */
struct pool *pool_open(unsigned n_threads, struct idem_err *err);
void pool_close(struct pool *p);              /* NULL is allowed */
unsigned pool_n_threads(const struct pool *p);

/* Calls fn(arg, item, thread) once for every item < n_items and returns when all are done; the
 * caller is thread 0 and takes part. thread < pool_n_threads: no two calls that run at once have
 * the same. Items start in descending order, so put the longest last. Which thread takes which
 * item is left to chance: nothing computed may depend on it. Not reentrant, one caller at a
 * time. n_items < 2^32. */
typedef void (*pool_fn)(void *arg, size_t item, unsigned thread);
void pool_run(struct pool *p, pool_fn fn, void *arg, size_t n_items);

#endif
