/* SPDX-License-Identifier: MIT
 * The matrix product alone, by ggml's public interface: a graph of one MUL_MAT, W[ROWS][COLS] times
 * TOKENS vectors, as llama.cpp runs it on a CPU. Where ggml has a buffer type that lays this type's
 * weights out anew for its faster kernels, both layouts are measured and the faster one counts.
 *
 *     matmul_peer TYPE ROWS COLS TOKENS THREADS SECONDS FILE      one JSON object; W is written to FILE
 */
#include <string.h>
#include <strings.h>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "measure.h"

enum { MAX_LAYOUTS = 8 };

struct shape {
    enum ggml_type type;
    size_t rows, cols, n;
    const void *w;
    size_t w_bytes;
    const float *x;
};

struct product {
    ggml_backend_t backend;
    struct ggml_cgraph *graph;
};

static void run(void *arg)
{
    struct product *p = arg;
    if (ggml_backend_graph_compute(p->backend, p->graph) != GGML_STATUS_SUCCESS) {
        fprintf(stderr, "matmul_peer: ggml cannot compute this product\n");
        exit(1);
    }
}

static enum ggml_type type_of(const char *name)
{
    for (int t = 0; t < GGML_TYPE_COUNT; t++) {
        const char *is = ggml_type_name((enum ggml_type)t);
        if (is && strcasecmp(is, name) == 0)
            return (enum ggml_type)t;
    }
    fprintf(stderr, "matmul_peer: ggml has no type '%s'\n", name);
    exit(2);
}

/* Buffer types for weights: ggml's special ones first, then the ordinary one. */
static size_t layouts(ggml_backend_buffer_type_t *out)
{
    ggml_backend_reg_t reg = ggml_backend_cpu_reg();
    ggml_backend_dev_t dev = ggml_backend_reg_dev_get(reg, 0);
    void *found = ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts");
    ggml_backend_dev_get_extra_bufts_t get;
    size_t n = 0;
    memcpy(&get, &found, sizeof get);
    for (ggml_backend_buffer_type_t *b = found ? get(dev) : NULL; b && *b && n + 1 < MAX_LAYOUTS; b++)
        out[n++] = *b;
    out[n++] = ggml_backend_cpu_buffer_type();
    return n;
}

/* The product with the weights in one buffer type, printed if it is among the wanted; its operations
 * per second, or 0 where this buffer type does not do this product. */
static double product(const struct shape *s, ggml_backend_buffer_type_t layout, int threads, double seconds,
                      bool print)
{
    struct ggml_init_params ip = {.mem_size = 1 << 20, .no_alloc = true};
    struct ggml_context *cw = ggml_init(ip), *cx = ggml_init(ip);
    struct ggml_tensor *w = ggml_new_tensor_2d(cw, s->type, (int64_t)s->cols, (int64_t)s->rows);
    ggml_backend_buffer_t bw = ggml_backend_alloc_ctx_tensors_from_buft(cw, layout), bx = NULL;
    ggml_backend_t backend = ggml_backend_cpu_init();
    struct ggml_tensor *x = ggml_new_tensor_2d(cx, GGML_TYPE_F32, (int64_t)s->cols, (int64_t)s->n);
    struct ggml_tensor *y = ggml_mul_mat(cx, w, x);
    double ops_s = 0;
    if (bw && ggml_backend_supports_op(backend, y)) {
        struct product p = {backend, ggml_new_graph(cx)};
        double ops = 2.0 * (double)s->rows * (double)s->cols * (double)s->n;
        ggml_build_forward_expand(p.graph, y);
        bx = ggml_backend_alloc_ctx_tensors_from_buft(cx, ggml_backend_cpu_buffer_type());
        ggml_backend_tensor_set(w, s->w, 0, s->w_bytes);
        ggml_backend_tensor_set(x, s->x, 0, s->n * s->cols * sizeof *s->x);
        ggml_backend_cpu_set_n_threads(backend, threads);
        if (print) {
            measure_product(run, &p, ops, seconds, y->data, s->n * s->rows, ggml_backend_buft_name(layout));
        } else {
            double best = 0;
            run(&p);
            for (int i = 0; i < 3; i++) {
                double start = now_s();
                run(&p);
                double took = now_s() - start;
                best = i == 0 || took < best ? took : best;
            }
            ops_s = ops / best;
        }
    }
    ggml_backend_free(backend);
    ggml_backend_buffer_free(bx);
    ggml_backend_buffer_free(bw);
    ggml_free(cx);
    ggml_free(cw);
    return ops_s;
}

/* W quantised from the same numbers in every run. */
static void make_weights(struct shape *s, const char *path)
{
    size_t n = s->rows * s->cols;
    float *f = malloc(n * sizeof *f);
    s->w_bytes = ggml_row_size(s->type, (int64_t)s->cols) * s->rows;
    void *w = malloc(s->w_bytes);
    FILE *out = fopen(path, "wb");
    if (!f || !w || !out) {
        fprintf(stderr, "matmul_peer: cannot make %s\n", path);
        exit(1);
    }
    fill_floats(f, n, 2);
    ggml_quantize_chunk(s->type, f, w, 0, (int64_t)s->rows, (int64_t)s->cols, NULL);
    free(f);
    if (fwrite(w, 1, s->w_bytes, out) != s->w_bytes || fclose(out) != 0) {
        fprintf(stderr, "matmul_peer: cannot write %s\n", path);
        exit(1);
    }
    s->w = w;
}

int main(int argc, char **argv)
{
    if (argc < 8) {
        fprintf(stderr, "usage: matmul_peer TYPE ROWS COLS TOKENS THREADS SECONDS FILE\n");
        return 2;
    }
    struct shape s = {.type = type_of(argv[1]), .rows = strtoul(argv[2], NULL, 10),
                      .cols = strtoul(argv[3], NULL, 10), .n = strtoul(argv[4], NULL, 10)};
    int threads = (int)strtoul(argv[5], NULL, 10);
    ggml_backend_buffer_type_t all[MAX_LAYOUTS], best = NULL;
    float *x = malloc(s.n * s.cols * sizeof *x);
    double most = 0;
    if (!x)
        return 1;
    ggml_cpu_init();
    make_weights(&s, argv[7]);
    fill_floats(x, s.n * s.cols, 1);
    s.x = x;
    for (size_t i = 0, n = layouts(all); i < n; i++) {
        double ops_s = product(&s, all[i], threads, 0, false);
        if (ops_s > most) {
            most = ops_s;
            best = all[i];
        }
    }
    if (!best) {
        fprintf(stderr, "matmul_peer: ggml does not multiply %s\n", argv[1]);
        return 1;
    }
    product(&s, best, threads, strtod(argv[6], NULL), true);
    free((void *)(uintptr_t)s.w);
    free(x);
    return 0;
}
