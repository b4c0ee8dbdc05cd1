/* SPDX-License-Identifier: MIT
 * Writes a model known in closed form (bigram_model.h) and its truth, for tests of the whole
 * program.
 *
 * usage: make_bigram OUT.gguf LETTERS SPREAD SEED [TEMPERATURE N_TOKENS] > truth.tsv
 *
 * The truth, numbers with 17 digits: "p <last> <next> <probability>" at the temperature (1) for all
 * letters and the end (token id 2), then, with N_TOKENS, "agree <last> <probability>" that two
 * samples of at most so many tokens are the same, and "agree mean <probability>" over all letters. */
#include <stdio.h>
#include <stdlib.h>

#include "bigram_model.h"

static int write_file(const char *path, const struct bigram *b)
{
    size_t len;
    uint8_t *bytes = bigram_model(b, &len);
    FILE *f = fopen(path, "wb");
    int rc = f && fwrite(bytes, 1, len, f) == len ? 0 : -1;
    if (f && fclose(f) != 0)
        rc = -1;
    free(bytes);
    if (rc != 0)
        fprintf(stderr, "cannot write %s\n", path);
    return rc;
}

static void print_truth(const struct bigram *b, double temperature, uint32_t n_tokens)
{
    double p[BIGRAM_WIDTH], sum = 0.0;
    for (uint32_t i = BIGRAM_FIRST; i < b->n; i++) {
        bigram_next(p, b, (int32_t)i, temperature);
        for (uint32_t j = BIGRAM_EOS; j < b->n; j++)
            printf("p\t%u\t%u\t%.17g\n", i, j, p[j]);
    }
    for (uint32_t i = BIGRAM_FIRST; i < b->n && n_tokens; i++) {
        double v = bigram_agree(b, (int32_t)i, n_tokens, temperature);
        printf("agree\t%u\t%.17g\n", i, v);
        sum += v;
    }
    if (n_tokens)
        printf("agree\tmean\t%.17g\n", sum / (double)(b->n - BIGRAM_FIRST));
}

int main(int argc, char **argv)
{
    static struct bigram b;
    double v[5] = {0, 0, 0, 1.0, 0};   /* letters, spread, seed, temperature, tokens */
    for (int i = 2; i < argc && i < 7; i++) {
        char *end;
        v[i - 2] = strtod(argv[i], &end);
        if (*end || end == argv[i])
            argc = 0;
    }
    if ((argc != 5 && argc != 7) || !(v[0] >= 1 && v[0] <= 52 && v[1] >= 0 && v[1] <= 80 && v[2] >= 0 &&
                                      v[2] < 0x1p53 && v[3] > 0 && v[4] >= 0 && v[4] <= 10000)) {
        fprintf(stderr, "usage: make_bigram OUT.gguf LETTERS(1..52) SPREAD(0..80) SEED [TEMPERATURE "
                        "N_TOKENS]\n");
        return 2;
    }
    bigram_random(&b, (uint32_t)v[0], v[1], (uint64_t)v[2]);
    if (write_file(argv[1], &b) != 0)
        return 1;
    print_truth(&b, v[3], (uint32_t)v[4]);
    return 0;
}
