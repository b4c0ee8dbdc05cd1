/* SPDX-License-Identifier: MIT
 * Writes idem's logits after every token of a text file to standard output, for bench/kl.c.
 *
 *     logits MODEL TEXT THREADS q8|f32 > dump     header, ids, logits (layout in kl.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idem.h"

enum { MAX_TEXT = 1 << 20, MAX_IDS = 1 << 16 };

static int write_all(const void *p, size_t size)
{
    return fwrite(p, 1, size, stdout) == size ? 0 : -1;
}

static int on_logits(void *ctx, size_t item, size_t pos, const float *logits)
{
    const uint32_t *n_vocab = ctx;
    (void)item;
    (void)pos;
    return write_all(logits, *n_vocab * sizeof *logits);
}

/* The file's bytes without newlines at the end. */
static size_t read_text(const char *path, char *buf, size_t cap)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(buf, 1, cap, f) : 0;
    if (f)
        fclose(f);
    while (n && buf[n - 1] == '\n')
        n--;
    return n;
}

static int dump(const struct idem_model *m, struct idem_session *s, const char *text, size_t len,
                struct idem_err *err)
{
    static int32_t ids[MAX_IDS];
    size_t n;
    uint32_t n_vocab = idem_model_info(m)->n_vocab;
    if (idem_tokenize(m, text, len, IDEM_TOK_ADD_SPECIAL, ids, MAX_IDS, &n, err) != 0)
        return -1;
    if (n == 0 || n > MAX_IDS) {
        snprintf(err->msg, sizeof err->msg, "the text is empty, or longer than %d tokens", MAX_IDS);
        return -1;
    }
    uint32_t head[4] = {0x3154474c, (uint32_t)n, n_vocab, 0};
    if (write_all(head, sizeof head) != 0 || write_all(ids, n * sizeof *ids) != 0)
        return -1;
    int seq = idem_seq_new(s, err);
    struct idem_item item = {.seq = seq, .tokens = ids, .n_tokens = n, .want = IDEM_LOGITS_ALL};
    return seq < 0 ? -1 : idem_decode(s, &item, 1, on_logits, &n_vocab, err);
}

int main(int argc, char **argv)
{
    static char text[MAX_TEXT];
    struct idem_err err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: logits MODEL TEXT THREADS q8|f32\n");
        return 2;
    }
    uint32_t threads = (uint32_t)strtoul(argv[3], NULL, 10);
    struct idem_model_options mo = {.n_threads = threads,
        .activations = strcmp(argv[4], "f32") == 0 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8};
    struct idem_session_options so = {.n_threads = threads};
    struct idem_model *m = idem_model_open(argv[1], &mo, &err);
    struct idem_session *s = m ? idem_session_open(m, &so, &err) : NULL;
    size_t len = read_text(argv[2], text, sizeof text);
    int rc = s ? dump(m, s, text, len, &err) : -1;
    if (fflush(stdout) != 0)
        rc = -1;
    if (rc != 0)
        fprintf(stderr, "logits: %s\n", err.msg[0] ? err.msg : "write failed");
    idem_session_close(s);
    idem_model_close(m);
    return rc != 0;
}
