/* SPDX-License-Identifier: MIT
 * A thread pool on pthreads: one job at a time, split into items that any thread may take. */
#include "engine/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

/* A waiting thread pauses, then yields (so that more threads than processors still make way for
 * the one that has work), then sleeps. A forward pass has a job every few microseconds. */
enum { SPIN_PAUSES = 400, SPIN_YIELDS = 200 };

struct pool {
    /* High half: number of the job. Low half: items not yet taken. A thread takes one by a
     * compare-and-swap that decrements, which fails if the job has changed meanwhile; so fn and
     * arg, read after it succeeded, belong to the job. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic size_t n_done;
    _Alignas(64) pool_fn fn;
    void *arg;
    unsigned n_threads;
    _Atomic bool stop;
    _Atomic unsigned n_sleeping;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned n_workers;             /* started so far */
    struct pool_worker {
        struct pool *pool;
        pthread_t thread;
        unsigned index;
    } *workers;                     /* [n_threads - 1] */
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void wait_a_little(unsigned n_waited)
{
    if (n_waited < SPIN_PAUSES)
        pause_cpu();
    else
        sched_yield();
}

static void drain(struct pool *p, unsigned thread)
{
    uint64_t t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    while ((uint32_t)t != 0) {
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &t, t - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        p->fn(p->arg, (uint32_t)t - 1u, thread);
        atomic_fetch_add_explicit(&p->n_done, 1, memory_order_release);
        t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    }
}

static uint32_t job_number(const struct pool *p)
{
    return (uint32_t)(atomic_load(&p->ticket) >> 32);
}

static void sleep_until_job(struct pool *p, uint32_t seen)
{
    pthread_mutex_lock(&p->lock);
    /* Announced before the last look at the ticket, and publish() looks at n_sleeping after it
     * has set the ticket: one of the two sees the other. */
    atomic_fetch_add(&p->n_sleeping, 1);
    while (job_number(p) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_sleeping, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
    struct pool_worker *w = arg;
    struct pool *p = w->pool;
    uint32_t seen = 0;
    unsigned n_waited = 0;
    kern_thread_init();
    for (;;) {
        uint32_t now = job_number(p);
        if (now != seen) {
            seen = now;
            n_waited = 0;
            if (atomic_load(&p->stop))
                return NULL;
            drain(p, w->index);
        } else if (n_waited < SPIN_PAUSES + SPIN_YIELDS) {
            wait_a_little(n_waited++);
        } else {
            sleep_until_job(p, seen);
        }
    }
}

static void publish(struct pool *p, size_t n_items)
{
    atomic_store(&p->ticket, ((uint64_t)(job_number(p) + 1u) << 32) | n_items);
    if (atomic_load(&p->n_sleeping) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

void pool_run(struct pool *p, pool_fn fn, void *arg, size_t n_items)
{
    if (p->n_workers == 0 || n_items <= 1) {
        for (size_t i = n_items; i-- > 0;)
            fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    publish(p, n_items);
    drain(p, 0);
    unsigned n_waited = 0;
    while (atomic_load_explicit(&p->n_done, memory_order_acquire) != n_items) {
        wait_a_little(n_waited);
        if (n_waited < SPIN_PAUSES)
            n_waited++;
    }
}

static unsigned n_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > POOL_MAX_THREADS ? POOL_MAX_THREADS : (unsigned)n;
}

struct pool *pool_open(unsigned n_threads, struct idem_err *err)
{
    if (n_threads == 0)
        n_threads = n_processors();
    if (n_threads > POOL_MAX_THREADS) {
        err_set(err, IDEM_ERR_USAGE, "%u threads are more than the %d that idem can use; "
                "use one per processor", n_threads, POOL_MAX_THREADS);
        return NULL;
    }
    struct pool *p = aligned_alloc(64, sizeof *p);
    if (!p) {
        err_memory(err, "the thread pool", sizeof *p);
        return NULL;
    }
    memset(p, 0, sizeof *p);
    p->n_threads = n_threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->workers = calloc(n_threads, sizeof *p->workers);
    if (!p->workers) {
        err_memory(err, "the thread pool", n_threads * sizeof *p->workers);
        goto fail;
    }
    for (; p->n_workers + 1 < n_threads; p->n_workers++) {
        struct pool_worker *w = &p->workers[p->n_workers];
        w->pool = p;
        w->index = p->n_workers + 1;
        int rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc != 0) {
            err_set(err, IDEM_ERR_MEMORY, "cannot start thread %u of %u: %s; use fewer threads",
                    w->index + 1, n_threads, strerror(rc));
            goto fail;
        }
    }
    return p;
fail:
    pool_close(p);
    return NULL;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    publish(p, 0);
    for (unsigned i = 0; i < p->n_workers; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

unsigned pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}
