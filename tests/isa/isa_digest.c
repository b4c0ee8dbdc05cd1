/* SPDX-License-Identifier: MIT
 * What one instruction set makes of whole models, for compare.sh: a line for each model and mode
 * with the SHA-256 of all logits of a prompt and of greedy tokens behind it. With --check instead a
 * line for each kernel that this CPU has variants of.
 * usage: isa_digest --cpu NAME MODEL.gguf...    the files, after four models of all weight types
 *        isa_digest --check SEED */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "engine_model.h"
#include "idem.h"

enum { PROMPT = 70, GREEDY = 6 };           /* beyond the first 64 positions, a block of the cache */

struct seen { struct digest sha; const struct idem_model *model; int32_t best; };

static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    struct seen *s = ctx;
    struct idem_logstats stats;
    (void)item;
    (void)pos;
    digest_f32s(&s->sha, logits, idem_model_info(s->model)->n_vocab);
    idem_logits_stats(s->model, logits, &stats);
    digest_update(&s->sha, &stats.logsumexp, sizeof stats.logsumexp);
    digest_update(&s->sha, &stats.entropy, sizeof stats.entropy);
    s->best = stats.argmax;
    return 0;
}

/* The prompt in one call, then token by token. */
static int run(const struct idem_model *m, char hex[DIGEST_HEX], struct idem_err *err)
{
    const struct idem_model_info *info = idem_model_info(m);
    struct seen s = {.model = m};
    int32_t ids[PROMPT];
    size_t n = info->n_ctx < PROMPT + GREEDY ? info->n_ctx - GREEDY : PROMPT;
    struct idem_session *session = idem_session_open(m, &(struct idem_session_options){.n_threads = 2}, err);
    int seq = session ? idem_seq_new(session, err) : -1, rc = seq < 0 ? -1 : digest_init(&s.sha);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * i * 7 + 3 * i + 1) % info->n_vocab);
    for (size_t k = 0; rc == 0 && k <= GREEDY; k++) {
        struct idem_item item = {.seq = seq, .tokens = ids, .n_tokens = k ? 1 : n, .want = IDEM_LOGITS_ALL};
        rc = idem_decode(session, &item, 1, on_logits, &s, err);
        ids[0] = s.best;
    }
    if (rc == 0)
        digest_final(&s.sha, hex);
    else
        digest_release(&s.sha);
    idem_session_close(session);
    return rc;
}

static int digest_model(const char *path, const char *name, enum idem_cpu cpu, const char *kernels)
{
    for (int mode = 0; mode < 2; mode++) {
        struct idem_err err = {0};
        char hex[DIGEST_HEX];
        struct idem_model_options o = {.cpu = cpu, .n_threads = 1,
            .activations = mode ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8};
        struct idem_model *m = idem_model_open(path, &o, &err);
        int rc = m ? run(m, hex, &err) : -1;
        if (m && strcmp(idem_model_info(m)->kernels, kernels) != 0) {
            fprintf(stderr, "asked for %s kernels, got %s\n", kernels, idem_model_info(m)->kernels);
            rc = -1;
        } else if (rc != 0) {
            fprintf(stderr, "%s: %s\n", name, err.msg);
        }
        idem_model_close(m);
        if (rc != 0)
            return 1;
        printf("%s %s %s\n", name, mode ? "f32" : "q8", hex);
    }
    return 0;
}

static void print_check(void *ctx, const char *kernel, const char *variant, uint64_t n, bool ok,
                        const char *detail)
{
    (void)ctx;
    printf("%s %s %llu %s%s\n", variant, kernel, (unsigned long long)n, ok ? "equal" : "DIFFERENT: ",
           ok ? "" : detail);
}

int main(int argc, char **argv)
{
    static const struct tiny *const tiny[] = {&tiny_llama, &tiny_qwen2, &tiny_gemma3, &tiny_small};
    enum idem_cpu cpu = IDEM_CPU_AUTO;
    int bad = 0;
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return idem_selftest(strtoull(argv[2], NULL, 10), print_check, NULL) != 0;
    if (argc < 3 || strcmp(argv[1], "--cpu") != 0 || !idem_cpu_find(argv[2], &cpu) ||
        cpu == IDEM_CPU_AUTO) {
        fprintf(stderr, "usage: %s --cpu ref|sse41|avx2|avx512|neon MODEL.gguf... | --check SEED\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < 4 && !bad; i++) {
        char path[64], name[64];
        tiny_save(*tiny[i], path);
        snprintf(name, sizeof name, "types-%d-%s", i, tiny[i]->arch);
        bad = digest_model(path, name, cpu, argv[2]);
        unlink(path);
    }
    for (int i = 3; i < argc && !bad; i++) {
        const char *slash = strrchr(argv[i], '/');
        bad = digest_model(argv[i], slash ? slash + 1 : argv[i], cpu, argv[2]);
    }
    return bad;
}
