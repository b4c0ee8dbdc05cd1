/* SPDX-License-Identifier: MIT
 * Mean Kullback-Leibler divergence of two streams of logits: KL(P || Q) per position, in nats, P being
 * the softmax of the first. Both are read once, position by position, so they may be pipes.
 *
 * A dump is: u32 magic 0x3154474c, u32 n, u32 n_vocab, u32 0; i32 ids[n]; n times f32 logits[n_vocab].
 * The ids must be the same; the vocabulary may be padded in one of the two (the shorter counts).
 *
 *     kl P Q      one JSON object: positions, mean, median, p99, max, same_top (share of positions
 *                 with the same most likely token), max_dlogprob (over P's top 8)
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 8 };

struct dump {
    const char *path;
    FILE *f;
    uint32_t n, n_vocab;
    int32_t *ids;
    float *row;
};

struct result {
    double kl, max_dlogprob;
    int same_top;
};

static void die(const char *path, const char *what)
{
    fprintf(stderr, "kl: %s: %s\n", path, what);
    exit(1);
}

static void read_all(struct dump *d, void *p, size_t size)
{
    if (fread(p, 1, size, d->f) != size)
        die(d->path, "ends too early");
}

static void dump_open(struct dump *d, const char *path)
{
    uint32_t head[4];
    d->path = path;
    d->f = fopen(path, "rb");
    if (!d->f)
        die(path, "cannot be opened");
    read_all(d, head, sizeof head);
    if (head[0] != 0x3154474c || head[1] == 0 || head[2] == 0 || head[1] > 1u << 20 || head[2] > 1u << 24)
        die(path, "is no dump of logits");
    d->n = head[1];
    d->n_vocab = head[2];
    d->ids = malloc(d->n * sizeof *d->ids);
    d->row = malloc(d->n_vocab * sizeof *d->row);
    if (!d->ids || !d->row)
        die(path, "no memory");
    read_all(d, d->ids, d->n * sizeof *d->ids);
}

static double logsumexp(const float *x, size_t n, size_t *argmax)
{
    double sum = 0;
    *argmax = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[*argmax])
            *argmax = i;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)x[*argmax]);
    return (double)x[*argmax] + log(sum);
}

/* Largest |log p - log q| over the TOP likeliest of p. */
static double worst_of_top(const float *p, const float *q, size_t n, double shift)
{
    size_t top[TOP], k = 0;
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = k < TOP ? k++ : TOP;
        for (; j > 0 && p[i] > p[top[j - 1]]; j--)
            if (j < TOP)
                top[j] = top[j - 1];
        if (j < TOP)
            top[j] = i;
    }
    for (size_t j = 0; j < k; j++)
        worst = fmax(worst, fabs((double)p[top[j]] - (double)q[top[j]] - shift));
    return worst;
}

static struct result compare(const float *p, const float *q, size_t n)
{
    size_t top_p, top_q;
    double lp = logsumexp(p, n, &top_p), lq = logsumexp(q, n, &top_q), kl = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)p[i] - lp, b = (double)q[i] - lq;
        kl += exp(a) * (a - b);
    }
    if (!isfinite(kl)) {
        fprintf(stderr, "kl: a logit is not finite\n");
        exit(1);
    }
    return (struct result){kl, worst_of_top(p, q, n, lp - lq), top_p == top_q};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct dump p, q;
    if (argc != 3)
        die("usage", "kl P Q");
    dump_open(&p, argv[1]);
    dump_open(&q, argv[2]);
    if (p.n != q.n || memcmp(p.ids, q.ids, p.n * sizeof *p.ids) != 0)
        die(argv[2], "has other token ids than the first");
    size_t n_vocab = p.n_vocab < q.n_vocab ? p.n_vocab : q.n_vocab, same = 0;
    double *kl = malloc(p.n * sizeof *kl), sum = 0, worst = 0;
    if (!kl)
        die(argv[1], "no memory");
    for (uint32_t i = 0; i < p.n; i++) {
        read_all(&p, p.row, p.n_vocab * sizeof(float));
        read_all(&q, q.row, q.n_vocab * sizeof(float));
        struct result r = compare(p.row, q.row, n_vocab);
        kl[i] = r.kl;
        sum += r.kl;
        worst = fmax(worst, r.max_dlogprob);
        same += (size_t)r.same_top;
    }
    qsort(kl, p.n, sizeof *kl, ascending);
    printf("{\"positions\": %u, \"mean\": %.9g, \"median\": %.9g, \"p99\": %.9g, \"max\": %.9g, "
           "\"same_top\": %.6g, \"max_dlogprob\": %.6g}\n", p.n, sum / p.n, kl[p.n / 2],
           kl[(size_t)(0.99 * (p.n - 1))], kl[p.n - 1], (double)same / p.n, worst);
    free(kl);
    return 0;
}
