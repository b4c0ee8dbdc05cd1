/* SPDX-License-Identifier: MIT
 * Writes llama.cpp's logits after every token of a text file to standard output, for bench/kl.c.
 *
 * Not part of idem: it is linked against a llama.cpp that is built elsewhere (bench/bench.mk,
 * LLAMA_CPP=folder). Library defaults throughout, as its own tools have them: binary16 cache,
 * flash attention where supported, repacked weights, at most 512 tokens to a pass.
 *
 *     llama_logits MODEL TEXT THREADS > dump      header, ids, logits (layout in kl.c)
 *     llama_logits --ids MODEL TEXT THREADS       only the ids, one line
 */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 512 };

static void quiet(enum ggml_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static void die(const char *what)
{
    fprintf(stderr, "llama_logits: %s\n", what);
    exit(1);
}

static char *read_text(const char *path, int32_t *len)
{
    FILE *f = fopen(path, "rb");
    static char buf[1 << 20];
    if (!f)
        die("cannot open the text file");
    size_t n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    while (n && buf[n - 1] == '\n')
        n--;
    *len = (int32_t)n;
    return buf;
}

static void write_all(const void *p, size_t size)
{
    if (fwrite(p, 1, size, stdout) != size)
        die("write failed");
}

static void dump(struct llama_context *ctx, llama_token *ids, int32_t n, int32_t n_vocab)
{
    uint32_t head[4] = {0x3154474c, (uint32_t)n, (uint32_t)n_vocab, 0};
    struct llama_batch b = llama_batch_init(BATCH, 0, 1);
    write_all(head, sizeof head);
    write_all(ids, (size_t)n * sizeof *ids);
    for (int32_t start = 0; start < n; start += BATCH) {
        b.n_tokens = n - start < BATCH ? n - start : BATCH;
        for (int32_t i = 0; i < b.n_tokens; i++) {
            b.token[i] = ids[start + i];
            b.pos[i] = start + i;
            b.n_seq_id[i] = 1;
            b.seq_id[i][0] = 0;
            b.logits[i] = 1;
        }
        if (llama_decode(ctx, b) != 0)
            die("llama_decode failed");
        for (int32_t i = 0; i < b.n_tokens; i++)
            write_all(llama_get_logits_ith(ctx, i), (size_t)n_vocab * sizeof(float));
    }
    llama_batch_free(b);
}

int main(int argc, char **argv)
{
    int only_ids = argc > 1 && strcmp(argv[1], "--ids") == 0;
    if (argc != 4 + only_ids)
        die("usage: llama_logits [--ids] MODEL TEXT THREADS");
    argv += only_ids;
    llama_log_set(quiet, NULL);
    llama_backend_init();

    struct llama_model_params mp = llama_model_default_params();
    mp.vocab_only = only_ids;
    struct llama_model *model = llama_model_load_from_file(argv[1], mp);
    if (!model)
        die("cannot load the model");
    const struct llama_vocab *vocab = llama_model_get_vocab(model);

    int32_t len, cap = 1 << 16;
    char *text = read_text(argv[2], &len);
    llama_token *ids = malloc((size_t)cap * sizeof *ids);
    int32_t n = ids ? llama_tokenize(vocab, text, len, ids, cap, true, false) : -1;
    if (n <= 0)
        die("cannot tokenise");

    if (only_ids) {
        for (int32_t i = 0; i < n; i++)
            printf("%d%c", ids[i], i + 1 < n ? ' ' : '\n');
    } else {
        struct llama_context_params cp = llama_context_default_params();
        cp.n_ctx = (uint32_t)n + 64;
        cp.n_batch = cp.n_ubatch = BATCH;
        cp.n_threads = cp.n_threads_batch = (int32_t)strtol(argv[3], NULL, 10);
        struct llama_context *ctx = llama_init_from_model(model, cp);
        if (!ctx)
            die("cannot make a context");
        dump(ctx, ids, n, llama_vocab_n_tokens(vocab));
        llama_free(ctx);
    }
    if (fflush(stdout) != 0)
        die("write failed");
    free(ids);
    llama_model_free(model);
    return 0;
}
