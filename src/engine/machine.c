/* SPDX-License-Identifier: MIT
 * What the machine can do at most, so that speeds can be given as a share of it. */
#include <stdlib.h>
#include <time.h>

#include "engine/model.h"
#include "engine/pool.h"

enum {
    ROUNDS = 5,                        /* the best counts: others may use the machine too */
    READ_BYTES = 256 << 20,            /* far more than any cache holds */
    PARTS_PER_THREAD = 16,
    PEAK_ROUNDS = 200000
};

struct work {
    const uint64_t *data;
    size_t n_parts;
    uint64_t (*peak)(uint64_t n);      /* or NULL: read */
    uint64_t *out;                     /* [n_parts] */
};

static void work_item(void *arg, size_t item, unsigned thread)
{
    (void)thread;
    const struct work *w = arg;
    if (w->peak) {
        w->out[item] = w->peak(PEAK_ROUNDS);
        return;
    }
    size_t n = READ_BYTES / sizeof(uint64_t) / w->n_parts / 8 * 8;
    const uint64_t *at = w->data + item * n;
    uint64_t s[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (size_t k = 0; k < 8; k++)
            s[k] ^= at[i + k];
    w->out[item] = s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7];
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the fastest of some rounds. */
static double fastest(struct pool *pool, struct work *w)
{
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_s();
        pool_run(pool, work_item, w, w->n_parts);
        double s = now_s() - start;
        best = i == 0 || s < best ? s : best;
    }
    return best > 0 ? best : 1e-9;
}

static double peak(struct pool *pool, struct work *w, uint64_t (*fn)(uint64_t))
{
    double ops = 0;
    w->peak = fn;
    double seconds = fastest(pool, w);
    for (size_t i = 0; i < w->n_parts; i++)
        ops += (double)w->out[i];
    return ops / seconds;
}

int idem_machine_measure(enum idem_cpu cpu, uint32_t n_threads, struct idem_machine *out,
                         struct idem_err *err)
{
    int rc = -1;
    uint64_t *data = NULL;
    struct work w = {0};
    struct pool *pool = NULL;
    const struct kern_ops *k = kern_select(model_cpu_name(cpu), err);
    if (!k || !(pool = pool_open(n_threads, err)))
        goto done;
    w.n_parts = (size_t)pool_n_threads(pool) * PARTS_PER_THREAD;
    w.out = calloc(w.n_parts, sizeof *w.out);
    data = malloc(READ_BYTES);
    if (!w.out || !data) {
        err_memory(err, "the measurement of this machine", READ_BYTES);
        goto done;
    }
    for (size_t i = 0; i < READ_BYTES / sizeof *data; i++)
        data[i] = i;
    w.data = data;
    size_t part = READ_BYTES / sizeof(uint64_t) / w.n_parts / 8 * 8 * sizeof(uint64_t);
    *out = (struct idem_machine){.n_threads = pool_n_threads(pool), .kernels = k->name};
    out->read_bytes = (double)(part * w.n_parts) / fastest(pool, &w);
    out->int8_ops = peak(pool, &w, k->peak_i8);
    out->f32_ops = peak(pool, &w, k->peak_f32);
    rc = 0;
done:
    pool_close(pool);
    free(w.out);
    free(data);
    return rc;
}
