/* SPDX-License-Identifier: MIT
 * Every architecture against transformers: tiny models with random weights (tests/data/arch, made
 * by tools/oracle/make_arch.py) give transformers' float32 logits at every position, in one pass,
 * in pieces and token by token; and no host state changes a bit of them, in either mode.
 *
 * models.tsv names for each model that people choose the cases that stand for it, and its chat
 * templates as they are in tests/data/chat ('-': it has none); the table at the end has its rows.
 * CASE.ref, little-endian: "idemref1", u32 n_vocab, u32 n_prompts, and for
 * each prompt u32 configured context (0: as trained), u32 n_tokens, i32 ids[n_tokens],
 * f32 logits[n_tokens][n_vocab]. CASE.gguf has BF16 weights; CASE-q8_0.gguf, where it exists, the
 * same in Q8_0 (no reference: bits only). */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "idem.h"

#define FOLDER "tests/data/arch/"
#define TOLERANCE 1e-4     /* of the range of the logits at a position */

enum { MAX_CASES = 96, MAX_ROWS = 64, MAX_NAME = 64, MAX_HOST = 100 };

struct prompt { uint32_t n_ctx, n; const int32_t *ids; const float *logits; };
struct ref { struct file_map map; uint32_t n_vocab, n_prompts; struct prompt p[8]; };

struct test_case {
    char name[MAX_NAME];
    size_t n_positions;        /* compared, all prompts */
    double prefill, decode;    /* largest difference to transformers, relative */
    char tokenizer[32];
    bool matches, same;
};
static struct test_case cases[MAX_CASES];
static size_t n_cases;

struct row {
    char model[MAX_NAME], arch[MAX_NAME];
    size_t c[16], n;           /* cases */
    size_t n_chats;            /* conversations that tests/unit/engine_chat.c renders */
};
static struct row rows[MAX_ROWS];
static size_t n_rows;
static bool kernels_seen[IDEM_CPU_NEON + 1];

/* ---- files ---------------------------------------------------------------------------------------- */

static uint32_t u32_at(const struct file_map *m, size_t *at)
{
    uint32_t v;
    assert_true(*at + 4 <= m->len);
    memcpy(&v, m->data + *at, 4);
    *at += 4;
    return v;
}

static const void *bytes_at(const struct file_map *m, size_t *at, size_t n)
{
    const void *p = m->data + *at;
    assert_true(n <= m->len - *at);
    *at += n;
    return p;
}

static void ref_open(struct ref *r, const char *name)
{
    char path[256];
    struct idem_err err = {0};
    snprintf(path, sizeof path, FOLDER "%s.ref", name);
    if (file_map(&r->map, path, &err) != 0)
        fail_msg("%s", err.msg);
    size_t at = 8;
    assert_true(r->map.len > 16 && memcmp(r->map.data, "idemref1", 8) == 0);
    r->n_vocab = u32_at(&r->map, &at);
    r->n_prompts = u32_at(&r->map, &at);
    assert_in_range(r->n_prompts, 1, sizeof r->p / sizeof r->p[0]);
    for (uint32_t i = 0; i < r->n_prompts; i++) {
        struct prompt *p = &r->p[i];
        p->n_ctx = u32_at(&r->map, &at);
        p->n = u32_at(&r->map, &at);
        assert_in_range(p->n, 1, MAX_HOST);
        p->ids = bytes_at(&r->map, &at, p->n * sizeof *p->ids);
        p->logits = bytes_at(&r->map, &at, (size_t)p->n * r->n_vocab * sizeof(float));
    }
    assert_int_equal(at, r->map.len);
}

static size_t find_case(const char *name)
{
    size_t i = 0;
    while (i < n_cases && strcmp(cases[i].name, name) != 0)
        i++;
    if (i == n_cases) {
        if (n_cases == MAX_CASES)
            abort();
        snprintf(cases[n_cases++].name, MAX_NAME, "%s", name);
    }
    return i;
}

/* Lines of tests/data/chat/cases.tsv whose first column is `template`.jinja. */
static size_t count_chats(const struct file_map *chats, const char *template)
{
    char head[MAX_NAME * 2];
    size_t n = 0, len = (size_t)snprintf(head, sizeof head, "%s.jinja\t", template);
    for (const uint8_t *p = chats->data, *end = p + chats->len; p && (size_t)(end - p) > len;) {
        n += memcmp(p, head, len) == 0;
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    return n;
}

static int read_row(char *line, const struct file_map *chats)
{
    char *save, *next, *field[4];
    for (int i = 0; i < 4; i++)
        if (!(field[i] = strtok_r(i ? NULL : line, "\t\n", &save)))
            return -1;
    struct row *r = &rows[n_rows++];
    snprintf(r->model, MAX_NAME, "%s", field[0]);
    snprintf(r->arch, MAX_NAME, "%s", field[1]);
    for (char *c = strtok_r(field[2], ",", &next); c && r->n < 16; c = strtok_r(NULL, ",", &next))
        r->c[r->n++] = find_case(c);
    if (strcmp(field[3], "-") == 0)
        return 0;
    for (char *t = strtok_r(field[3], ",", &next); t; t = strtok_r(NULL, ",", &next)) {
        size_t n = count_chats(chats, t);
        if (n == 0) {
            fprintf(stderr, "no conversation of the template %s: ", t);
            return -1;
        }
        r->n_chats += n;
    }
    return 0;
}

/* One line each: model, architecture, cases and templates with commas between; '#': a comment. */
static int read_table(void)
{
    char line[512];
    struct idem_err err = {0};
    struct file_map chats;
    FILE *f = fopen(FOLDER "models.tsv", "r");
    int rc = -1;
    if (!f || file_map(&chats, "tests/data/chat/cases.tsv", &err) != 0) {
        fprintf(stderr, FOLDER "models.tsv: %s\n", f ? err.msg : strerror(errno));
        goto done;
    }
    for (rc = 0; rc == 0 && fgets(line, sizeof line, f);) {
        if (line[0] == '#')
            continue;
        if (n_rows == MAX_ROWS || read_row(line, &chats) != 0) {
            fprintf(stderr, FOLDER "models.tsv: '%s' is wrong or too much\n", line);
            rc = -1;
        }
    }
    file_unmap(&chats);
done:
    if (f)
        fclose(f);
    return rc;
}

/* ---- running --------------------------------------------------------------------------------------- */

static struct idem_model *try_model(const char *name, const char *suffix, enum idem_activations act,
                                    enum idem_cpu cpu, uint32_t n_ctx, struct idem_err *err)
{
    char path[256];
    struct idem_model_options o = {.activations = act, .cpu = cpu, .n_threads = 1, .n_ctx = n_ctx};
    snprintf(path, sizeof path, FOLDER "%s%s.gguf", name, suffix);
    return idem_model_open(path, &o, err);
}

static struct idem_model *open_model(const char *name, const char *suffix, enum idem_activations act,
                                     uint32_t n_ctx)
{
    struct idem_err err = {0};
    struct idem_model *m = try_model(name, suffix, act, IDEM_CPU_AUTO, n_ctx, &err);
    if (!m)
        fail_msg("%s", err.msg);
    return m;
}

static struct idem_session *open_session(const struct idem_model *m, uint32_t threads, uint32_t chunk)
{
    struct idem_err err = {0};
    struct idem_session_options o = {.n_threads = threads, .n_chunk = chunk};
    struct idem_session *s = idem_session_open(m, &o, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

struct sink { size_t n_vocab, item, n_calls; float *logits; };   /* keeps one item's logits */

static int keep(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct sink *k = ctx;
    if (item == k->item) {
        memcpy(k->logits + pos * k->n_vocab, logits, k->n_vocab * sizeof(float));
        k->n_calls++;
    }
    return 0;
}

static void decode(struct idem_session *s, const struct idem_item *items, size_t n, struct sink *k)
{
    struct idem_err err = {0};
    if (idem_decode(s, items, n, keep, k, &err) != 0)
        fail_msg("%s", err.msg);
}

static int new_seq(struct idem_session *s)
{
    struct idem_err err = {0};
    int seq = idem_seq_new(s, &err);
    if (seq < 0)
        fail_msg("%s", err.msg);
    return seq;
}

/* All logits of n tokens by themselves, `step` tokens a call. */
static void run(const struct idem_model *m, const int32_t *ids, size_t n, size_t step,
                uint32_t threads, uint32_t chunk, float *out)
{
    struct idem_session *s = open_session(m, threads, chunk);
    struct sink k = {.n_vocab = idem_model_info(m)->n_vocab, .logits = out};
    int seq = new_seq(s);
    memset(out, 0, n * k.n_vocab * sizeof(float));
    for (size_t at = 0; at < n; at += step) {
        size_t len = n - at < step ? n - at : step;
        decode(s, &(struct idem_item){seq, ids + at, len, IDEM_LOGITS_ALL}, 1, &k);
    }
    assert_int_equal(k.n_calls, n);
    idem_session_close(s);
}

/* ---- transformers' logits ---------------------------------------------------------------------------- */

static double difference(const struct ref *r, const struct prompt *p, const float *got)
{
    double worst = 0.0;
    for (size_t pos = 0; pos < p->n; pos++) {
        const float *want = p->logits + pos * r->n_vocab, *have = got + pos * r->n_vocab;
        double low = want[0], high = want[0], far = 0.0;
        for (size_t i = 0; i < r->n_vocab; i++) {
            low = fmin(low, (double)want[i]);
            high = fmax(high, (double)want[i]);
            double d = fabs((double)want[i] - (double)have[i]);
            if (!(d <= far))
                far = d;       /* a NaN stays */
        }
        assert_true(high > low);
        if (!(far / (high - low) <= worst))
            worst = far / (high - low);
    }
    return worst;
}

static void raise_to(double *worst, double d)
{
    if (!(d <= *worst))
        *worst = d;
}

static void compare(struct test_case *c, const struct ref *r, const struct prompt *p)
{
    struct idem_model *m = open_model(c->name, "", IDEM_ACTIVATIONS_F32, p->n_ctx);
    float *got = malloc(p->n * r->n_vocab * sizeof *got);
    assert_non_null(got);
    assert_int_equal(idem_model_info(m)->n_vocab, r->n_vocab);
    run(m, p->ids, p->n, p->n, 1, 512, got);
    raise_to(&c->prefill, difference(r, p, got));
    run(m, p->ids, p->n, p->n, 1, 7, got);
    raise_to(&c->prefill, difference(r, p, got));
    run(m, p->ids, p->n, 1, 1, 512, got);
    raise_to(&c->decode, difference(r, p, got));
    c->n_positions += p->n;
    snprintf(c->tokenizer, sizeof c->tokenizer, "%s", idem_model_info(m)->tokenizer);
    free(got);
    idem_model_close(m);
}

/* ---- host states ------------------------------------------------------------------------------------- */

struct host {
    const struct idem_model *m;
    const char *what;
    size_t n_vocab, n;
    int32_t ids[MAX_HOST], other[2][MAX_HOST];
    float *want, *got;         /* [n][n_vocab] */
};

static void assert_same(const struct host *h, size_t from, const char *state, unsigned a, unsigned b)
{
    for (size_t pos = from; pos < h->n; pos++)
        if (memcmp(h->want + pos * h->n_vocab, h->got + pos * h->n_vocab, h->n_vocab * sizeof(float)) != 0)
            fail_msg("%s, %s (%u, %u): the logits after position %zu differ", h->what, state, a, b, pos);
}

static void threads_and_chunks(struct host *h)
{
    static const uint32_t chunks[] = {1, 7, 512};
    for (uint32_t t = 1; t <= 3; t++)
        for (size_t c = 0; c < 3; c++) {
            run(h->m, h->ids, h->n, h->n, t, chunks[c], h->got);
            assert_same(h, 0, "threads and chunk", t, chunks[c]);
        }
    run(h->m, h->ids, h->n, 1, 2, 512, h->got);
    assert_same(h, 0, "token by token", 2, 512);
}

/* Between two sequences of other lengths in every pass: the first half at once, then by threes. */
static void neighbours(struct host *h)
{
    struct idem_session *s = open_session(h->m, 2, 512);
    int a = new_seq(s), b = new_seq(s), c = new_seq(s);
    struct sink k = {.n_vocab = h->n_vocab, .item = 1, .logits = h->got};
    size_t half = (h->n + 1) / 2, step;
    memset(h->got, 0, h->n * h->n_vocab * sizeof(float));
    for (size_t at = 0; at < h->n; at += step) {
        step = at == 0 ? half : h->n - at < 3 ? h->n - at : 3;
        struct idem_item items[] = {{a, h->other[0] + at, step, IDEM_LOGITS_LAST},
                                    {b, h->ids + at, step, IDEM_LOGITS_ALL},
                                    {c, h->other[1] + at / 2, 1, IDEM_LOGITS_NONE}};
        decode(s, items, 3, &k);
    }
    assert_int_equal(k.n_calls, h->n);
    assert_same(h, 0, "between neighbours", 2, 512);
    idem_session_close(s);
}

/* From a fork of the whole sequence, after a stray fork of the same place has gone elsewhere. */
static void forks(struct host *h)
{
    const size_t places[] = {1, h->n / 3, 63, 64, 65, h->n - 1};
    struct idem_err err = {0};
    struct idem_session *s = open_session(h->m, 2, 64);
    int whole = new_seq(s);
    struct sink k = {.n_vocab = h->n_vocab, .logits = h->got};
    decode(s, &(struct idem_item){whole, h->ids, h->n, IDEM_LOGITS_NONE}, 1, &k);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        size_t from = places[i];
        if (from == 0 || from >= h->n)
            continue;
        int stray = idem_seq_fork(s, whole, from, &err), seq = idem_seq_fork(s, whole, from, &err);
        if (stray < 0 || seq < 0)
            fail_msg("%s", err.msg);
        memset(h->got, 0, h->n * h->n_vocab * sizeof(float));
        k.item = SIZE_MAX;
        decode(s, &(struct idem_item){stray, h->other[0], 1, IDEM_LOGITS_LAST}, 1, &k);
        k.item = 0;
        decode(s, &(struct idem_item){seq, h->ids + from, h->n - from, IDEM_LOGITS_ALL}, 1, &k);
        assert_same(h, from, "forked", (unsigned)from, 64);
        idem_seq_free(s, stray);
        idem_seq_free(s, seq);
    }
    idem_session_close(s);
}

/* The same with other kernels, if this machine has them. */
static void kernels(struct host *h, const char *name, const char *suffix, enum idem_activations act,
                    enum idem_cpu cpu, uint32_t n_ctx)
{
    struct idem_model *m = try_model(name, suffix, act, cpu, n_ctx, NULL);
    if (!m) {
        assert_int_not_equal(cpu, IDEM_CPU_REF);
        return;
    }
    run(m, h->ids, h->n, h->n, 1, 512, h->got);
    assert_same(h, 0, idem_model_info(m)->kernels, (unsigned)cpu, 512);
    kernels_seen[cpu] = true;
    idem_model_close(m);
}

static void host_states(const char *name, const char *suffix, enum idem_activations act,
                        const struct ref *r, const struct prompt *p)
{
    char what[128];
    struct host h = {.what = what, .n_vocab = r->n_vocab};
    struct idem_model *m = open_model(name, suffix, act, p->n_ctx);
    snprintf(what, sizeof what, "%s%s, %s", name, suffix, act == IDEM_ACTIVATIONS_F32 ? "f32" : "q8");
    h.m = m;
    h.n = idem_model_info(m)->n_ctx < MAX_HOST ? idem_model_info(m)->n_ctx : MAX_HOST;
    for (uint32_t i = 0; i < h.n; i++) {
        h.ids[i] = i < p->n ? p->ids[i] : (int32_t)((i * i * 7 + i * 13 + 5) % h.n_vocab);
        h.other[0][i] = (int32_t)((i * i * 5 + i * 11 + 36) % h.n_vocab);
        h.other[1][i] = (int32_t)((i * i * 3 + i * 17 + 67) % h.n_vocab);
    }
    h.want = malloc(h.n * h.n_vocab * sizeof(float));
    h.got = malloc(h.n * h.n_vocab * sizeof(float));
    assert_true(h.want && h.got);
    run(m, h.ids, h.n, h.n, 1, 512, h.want);
    for (size_t i = 1; i < h.n; i++)          /* rows differ, so that equality says something */
        assert_memory_not_equal(h.want, h.want + i * h.n_vocab, h.n_vocab * sizeof(float));
    threads_and_chunks(&h);
    neighbours(&h);
    forks(&h);
    idem_model_close(m);
    for (enum idem_cpu cpu = IDEM_CPU_REF; cpu <= IDEM_CPU_NEON; cpu++)
        kernels(&h, name, suffix, act, cpu, p->n_ctx);
    free(h.want);
    free(h.got);
}

/* ---- the cases ------------------------------------------------------------------------------------------ */

static void test_case(void **state)
{
    struct test_case *c = *state;
    struct ref r = {0};
    ref_open(&r, c->name);
    for (uint32_t i = 0; i < r.n_prompts; i++)
        compare(c, &r, &r.p[i]);
    c->matches = c->prefill <= TOLERANCE && c->decode <= TOLERANCE;

    char path[256];
    snprintf(path, sizeof path, FOLDER "%s-q8_0.gguf", c->name);
    bool quantised = access(path, R_OK) == 0;
    for (uint32_t i = 0; i < r.n_prompts; i++) {
        host_states(c->name, "", IDEM_ACTIVATIONS_F32, &r, &r.p[i]);
        host_states(c->name, "", IDEM_ACTIVATIONS_Q8, &r, &r.p[i]);
        if (quantised)
            host_states(c->name, "-q8_0", IDEM_ACTIVATIONS_Q8, &r, &r.p[i]);
    }
    c->same = true;
    file_unmap(&r.map);
    if (!c->matches)
        fail_msg("%s: differs from transformers by %.2g of the range (prefill), %.2g (decode); at most %g",
                 c->name, c->prefill, c->decode, TOLERANCE);
}

static void print_table(void)
{
    printf("\n%-34s %-12s %-15s %5s %5s %9s %8s %8s  %s\n", "model", "architecture", "tokenizer",
           "chats", "cases", "positions", "prefill", "decode", "host states");
    for (size_t i = 0; i < n_rows; i++) {
        const struct row *r = &rows[i];
        double prefill = 0.0, decode = 0.0;
        size_t positions = 0;
        bool same = true, matches = true;
        for (size_t j = 0; j < r->n; j++) {
            const struct test_case *c = &cases[r->c[j]];
            raise_to(&prefill, c->prefill);
            raise_to(&decode, c->decode);
            positions += c->n_positions;
            same = same && c->same;
            matches = matches && c->matches;
        }
        printf("%-34s %-12s %-15s %5zu %5zu %9zu %8.1e %8.1e  %s%s\n", r->model, r->arch,
               cases[r->c[0]].tokenizer, r->n_chats, r->n, positions, prefill, decode,
               same ? "equal" : "DIFFER", matches && same ? "" : "  FAILED");
    }
    static const char *const names[] = {"", "ref", "sse41", "avx2", "avx512", "neon"};
    printf("chats: conversations rendered as by transformers, in engine_chat (0: no template);\n"
           "prefill, decode: largest difference to transformers' float32 logits, relative to their range at\n"
           "that position; at most %g. host states: threads, chunks, batch, forked cache, q8 and f32, kernels:",
           TOLERANCE);
    for (int i = IDEM_CPU_REF; i <= IDEM_CPU_NEON; i++)
        if (kernels_seen[i])
            printf(" %s", names[i]);
    printf("\n");
}

int main(void)
{
    static struct CMUnitTest tests[MAX_CASES];   /* those without a function are not run */
    if (read_table() != 0)
        return 1;
    for (size_t i = 0; i < n_cases; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_case, NULL, NULL, &cases[i]};
    int failed = cmocka_run_group_tests_name("architectures", tests, NULL, NULL);
    print_table();
    return failed;
}
