/* SPDX-License-Identifier: MIT
 * The matrix product alone, by the kernels of this folder's program, activations quantised each time as
 * in a forward pass: W[ROWS][COLS] times TOKENS vectors. FILE holds W in blocks of TYPE, as
 * matmul_peer.c writes it.
 *
 *     matmul TYPE ROWS COLS TOKENS THREADS SECONDS FILE      one JSON object
 */
#include <string.h>

#include "engine/ops.h"
#include "measure.h"

struct product {
    struct pass pass;
    struct ops_linear out;
    const float *x;
};

static void run(void *arg)
{
    struct product *p = arg;
    ops_linear_rows(&p->pass, p->pass.n, p->x, &p->out, 1);
}

static enum qtype type_of(const char *name)
{
    for (uint32_t t = 0; t < 64; t++) {
        const struct qtype_info *i = qtype_info(t);
        if (i && strcmp(i->name, name) == 0 && kern_type_supported((enum qtype)t))
            return (enum qtype)t;
    }
    fprintf(stderr, "matmul: no type '%s' that can be multiplied\n", name);
    exit(2);
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "matmul: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return p;
}

static uint8_t *read_rows(const char *path, enum qtype type, size_t rows, size_t cols)
{
    const struct qtype_info *i = qtype_info(type);
    size_t n = cols / i->block_elems * i->block_bytes * rows;
    uint8_t *data = room(n);
    FILE *f = fopen(path, "rb");
    if (!f || fread(data, 1, n, f) != n) {
        fprintf(stderr, "matmul: %s does not hold %zu bytes\n", path, n);
        exit(1);
    }
    fclose(f);
    return data;
}

int main(int argc, char **argv)
{
    struct idem_err err = {0};
    if (argc < 8) {
        fprintf(stderr, "usage: matmul TYPE ROWS COLS TOKENS THREADS SECONDS FILE\n");
        return 2;
    }
    size_t rows = strtoul(argv[2], NULL, 10), cols = strtoul(argv[3], NULL, 10), n = strtoul(argv[4], NULL, 10);
    enum qtype type = type_of(argv[1]);
    const struct kern_ops *k = kern_select("auto", &err);
    struct pool *pool = pool_open((unsigned)strtoul(argv[5], NULL, 10), &err);
    struct kern_matrix w;
    size_t bytes = kern_matrix_init(&w, type, rows, cols);
    if (!k || !pool || bytes == 0) {
        fprintf(stderr, "matmul: %s\n", bytes == 0 ? "this shape cannot be packed" : err.msg);
        return 1;
    }
    kern_thread_init();
    uint8_t *file = read_rows(argv[7], type, rows, cols);
    w.data = room(bytes);
    kern_pack(&w, file, 0, kern_n_groups(&w));
    free(file);

    float *x = room(n * cols * sizeof *x), *y = room(n * rows * sizeof *y);
    fill_floats(x, n * cols, 1);
    struct idem_model m = {.k = k};                   /* q8 mode: .f32 is false */
    struct product p = {.x = x, .out = {.y = y, .w = &w}};
    p.pass = (struct pass){.m = &m, .k = k, .pool = pool, .n = n,
                           .xq = room(n * cols / KERN_BLOCK * sizeof(struct kern_q8)),
                           .scratch_bytes = (kern_scratch_bytes(cols) + 63) / 64 * 64};
    p.pass.scratch = room(p.pass.scratch_bytes * pool_n_threads(pool));
    measure_product(run, &p, 2.0 * (double)rows * (double)cols * (double)n, strtod(argv[6], NULL), y, n * rows,
                    k->name);
    free(p.pass.scratch);
    free(p.pass.xq);
    free(x);
    free(y);
    free(w.data);
    pool_close(pool);
    return 0;
}
