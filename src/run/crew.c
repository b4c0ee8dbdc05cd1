/* SPDX-License-Identifier: MIT
 * A few threads that take numbered tasks until none is left. */
#include "run/crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct run_crew {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    run_crew_fn fn;
    void *ctx;
    size_t n, next, n_done;         /* tasks of this job, all under lock */
    bool stop;
    unsigned n_threads, n_started;
    struct member { struct run_crew *crew; pthread_t thread; unsigned index; } *members;
};

/* Takes tasks until none is left. The lock is held on entry and on return; a task is a whole
 * pass over a vocabulary, so taking it under a lock costs nothing. */
static void work(struct run_crew *c, unsigned worker)
{
    while (c->next < c->n) {
        size_t task = c->next++;
        pthread_mutex_unlock(&c->lock);
        c->fn(c->ctx, task, worker);
        pthread_mutex_lock(&c->lock);
        if (++c->n_done == c->n)
            pthread_cond_signal(&c->end);
    }
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct run_crew *c = m->crew;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        work(c, m->index);
        if (!c->stop)
            pthread_cond_wait(&c->begin, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

void run_crew_do(struct run_crew *c, run_crew_fn fn, void *ctx, size_t n)
{
    if (c->n_started == 0 || n <= 1) {
        for (size_t i = 0; i < n; i++)
            fn(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->fn = fn;
    c->ctx = ctx;
    c->n = n;
    c->next = c->n_done = 0;
    pthread_cond_broadcast(&c->begin);
    work(c, 0);
    while (c->n_done < c->n)
        pthread_cond_wait(&c->end, &c->lock);
    c->n = c->next = 0;
    pthread_mutex_unlock(&c->lock);
}

unsigned run_crew_size(const struct run_crew *c)
{
    return c->n_started + 1;
}

struct run_crew *run_crew_open(unsigned n_threads, struct idem_err *err)
{
    struct run_crew *c = calloc(1, sizeof *c);
    if (c)
        c->members = calloc(n_threads, sizeof *c->members);
    if (!c || !c->members) {
        free(c);
        err_memory(err, "threads for drawing", n_threads * sizeof(struct member));
        return NULL;
    }
    c->n_threads = n_threads;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->begin, NULL);
    pthread_cond_init(&c->end, NULL);
    while (c->n_started + 1 < n_threads) {
        struct member *m = &c->members[c->n_started];
        *m = (struct member){.crew = c, .index = c->n_started + 1};
        int rc = pthread_create(&m->thread, NULL, member_main, m);
        if (rc) {
            err_set(err, IDEM_ERR_MEMORY, "cannot start thread %u of %u: %s; use fewer threads",
                    m->index + 1, n_threads, strerror(rc));
            run_crew_close(c);
            return NULL;
        }
        c->n_started++;
    }
    return c;
}

void run_crew_close(struct run_crew *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->begin);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->n_started; i++)
        pthread_join(c->members[i].thread, NULL);
    pthread_cond_destroy(&c->begin);
    pthread_cond_destroy(&c->end);
    pthread_mutex_destroy(&c->lock);
    free(c->members);
    free(c);
}
