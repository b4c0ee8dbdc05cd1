/* SPDX-License-Identifier: MIT
 * Runs the simulations, prints one line each, fails when one is out of its bar.
 * usage: check_statistics [runs [words of the lines to run]] */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/detmath.h"
#include "stats/check.h"

double check_uniform(struct rng *r)
{
    return ((double)rng_below(r, 1u << 30) + 0.5) * 0x1p-30;
}

double check_normal(struct rng *r)
{
    double u = check_uniform(r), v = check_uniform(r);
    return sqrt(-2.0 * det_log(u)) * det_cos(6.283185307179586 * v);
}

double check_exponential(struct rng *r)
{
    return -det_log(check_uniform(r));
}

bool check_coin(struct rng *r, double p)
{
    return check_uniform(r) < p;
}

uint32_t check_binomial(struct rng *r, uint32_t n, double p)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++)
        k += check_coin(r, p);
    return k;
}

uint64_t check_seed(struct rng *r)
{
    return (uint64_t)rng_below(r, UINT32_MAX) << 32 | rng_below(r, UINT32_MAX);
}

static const struct { const char *name; double nominal, low, high; } bars[] = {
    [CHECK_COVERS] = {"interval", 0.95, 0.93, 0.97},
    [CHECK_COVERS_LEAST] = {"interval", 0.95, 0.93, 1.0},
    [CHECK_COVERS_90] = {"interval", 0.90, 0.88, 0.92},
    [CHECK_SIZE] = {"size", 0.05, 0.03, 0.07},
    [CHECK_SIZE_MOST] = {"size", 0.05, 0.0, 0.07},
    [CHECK_POWER] = {"power", 0.80, 0.77, 0.83},
};

struct work {
    const struct check_case *cases[256];
    double share[256];
    size_t n, n_runs;
    atomic_size_t next;
};

/* A case's streams are keyed by its words and by the run: results depend on no order or thread. */
static uint64_t key_of(const struct check_case *c, size_t run)
{
    uint64_t h = 14695981039346656037u;   /* FNV-1a */
    for (const char *s = c->what; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    for (const char *s = c->model; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h + run;
}

static void *work_on(void *arg)
{
    struct work *w = arg;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->n;) {
        double sum = 0.0;
        for (size_t run = 0; run < w->n_runs; run++) {
            struct rng r;
            rng_init(&r, key_of(w->cases[i], run), RNG_STREAM('c', 'h', 'e', 'c'));
            sum += w->cases[i]->run(&r);
        }
        w->share[i] = sum / (double)w->n_runs;
    }
    return NULL;
}

static void take(struct work *w, const struct check_case *c, size_t n, char **words)
{
    for (size_t i = 0; i < n; i++) {
        bool wanted = !*words;
        for (char **word = words; *word; word++)
            wanted = wanted || strstr(c[i].what, *word) || strstr(c[i].model, *word);
        if (wanted && w->n < sizeof w->cases / sizeof w->cases[0])
            w->cases[w->n++] = &c[i];
    }
}

/* Fewer runs than 1000 get wider bars, by 2.6 standard errors. */
static int print(const struct work *w)
{
    size_t n_bad = 0;
    printf("%-30s %-58s %-8s %7s %7s %13s\n", "what", "model", "kind", "nominal", "found", "bar");
    for (size_t i = 0; i < w->n; i++) {
        const struct check_case *c = w->cases[i];
        double p = bars[c->bar].nominal, low = bars[c->bar].low, high = bars[c->bar].high;
        if (w->n_runs < 1000) {
            low -= 2.6 * sqrt(p * (1.0 - p) / (double)w->n_runs);
            high += 2.6 * sqrt(p * (1.0 - p) / (double)w->n_runs);
        }
        low = low > 0.0 ? low : 0.0;
        high = high < 1.0 ? high : 1.0;
        bool good = w->share[i] >= low && w->share[i] <= high;
        n_bad += !good;
        printf("%-30s %-58s %-8s %7.2f %7.3f %6.3f..%-5.3f%s\n", c->what, c->model,
               bars[c->bar].name, p, w->share[i], low, high, good ? "" : "  OUT");
    }
    printf("%zu lines, %zu runs each, %zu out of their bars\n", w->n, w->n_runs, n_bad);
    return n_bad || w->n == 0;
}

int main(int argc, char **argv)
{
    static struct work w;
    char *end = NULL;
    long n = argc > 1 ? strtol(argv[1], &end, 10) : 1000;
    if ((end && *end) || n < 1) {
        fprintf(stderr, "usage: %s [runs [words]]\n", argv[0]);
        return 2;
    }
    w.n_runs = (size_t)n;
    char **words = argv + (argc > 1 ? 2 : 1);
    take(&w, check_intervals, check_n_intervals, words);
    take(&w, check_tests, check_n_tests, words);
    take(&w, check_models, check_n_models, words);
    pthread_t other;
    if (pthread_create(&other, NULL, work_on, &w) != 0) {
        fprintf(stderr, "no thread\n");
        return 1;
    }
    work_on(&w);
    pthread_join(other, NULL);
    return print(&w);
}
