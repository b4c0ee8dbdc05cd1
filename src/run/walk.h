/* SPDX-License-Identifier: MIT
 * The prefix tree. Sequences that stand at the same token prefix stand at one node; each draws
 * its own token there, and each different token is a branch that is computed once. Branches of
 * all sequences are computed together, deepest first, as one batch.
 *
 * A node's logits are needed only in the moment when its sequences draw, since they all came to
 * it together; so a node is kept only while branches from it are still to be computed. At most
 * as many nodes are live as there are sequences in flight, plus the batch.
 */
#ifndef RUN_WALK_H
#define RUN_WALK_H

#include <signal.h>
#include <stdbool.h>

#include "backend/backend.h"
#include "run/beside.h"
#include "run/crew.h"
#include "run/run.h"
#include "run/seq.h"

struct run_walk_options {
    uint32_t threads;            /* 0: as the backend has them, and one drawing thread */
    uint32_t chunk;              /* tokens of one sequence in one step at most; 0: no limit */
    uint32_t batch;              /* >= 1: branches of one step at most */
    bool exact_batch;            /* companions fill every step up to batch sequences */
    enum rec_cache cache;        /* how a root comes to be */
    run_stop_flag stop;
    /* Asked for more sequences whenever fewer branches than batch are waiting: adds some with
     * run_walk_add and returns 1; 0: there are no more; -1: error. */
    int (*feed)(void *ctx, struct idem_err *err);
    /* s has drawn a token (may be NULL). Non-zero: IDEM_ERR_INTERRUPTED. */
    int (*token)(void *ctx, struct run_seq *s);
    /* s has ended; *o is the callee's to release. s itself is released by the walk. */
    int (*ended)(void *ctx, struct run_seq *s, struct rec_output *o, struct idem_err *err);
    /* After every step: tokens computed in it. May be NULL. */
    void (*stepped)(void *ctx, uint64_t n_tokens);
    void *ctx;
};

struct run_walk;
struct run_walk *run_walk_open(struct backend *b, const struct run_walk_options *o,
                               struct idem_err *err);
/* n sequences with one and the same prompt and noise: one root for all. The walk takes them over, also
 * when it fails. Each was made by malloc and run_seq_init. */
int run_walk_add(struct run_walk *w, struct run_seq *const *seqs, size_t n, struct idem_err *err);
/* Until feed has no more and all have ended. On error err names no trial; run_walk_culprit does. */
int run_walk_run(struct run_walk *w, struct idem_err *err);
/* Tag of the first sequence that the failed step was for; SIZE_MAX: none in particular. */
size_t run_walk_culprit(const struct run_walk *w);
void run_walk_close(struct run_walk *w);       /* releases what is in flight */

#endif
