/* SPDX-License-Identifier: MIT
 * Noise specifications: text, number and back. */
#include "base/arith_noise.h"

#include <stdio.h>
#include <string.h>

static const char *const orders[] = {"none", "shuffle", "pairwise", "splitk", "batch"};
static const char *const rounds[] = {"f32", "bf16", "f16"};

enum { ROUND_SHIFT = 24, ORDER_SHIFT = 28, N_MASK = (1 << ROUND_SHIFT) - 1 };

static bool is_word(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* Digits without a sign or a zero in front, from min to max. */
static bool whole(const char *text, size_t len, uint32_t min, uint32_t max, uint32_t *out)
{
    uint32_t v = 0;
    if (len == 0 || len > 7 || text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = 10 * v + (uint32_t)(text[i] - '0');
    }
    *out = v;
    return v >= min && v <= max;
}

static bool parse_order(const char *text, size_t len, struct arith_noise *z)
{
    for (int i = ARITH_ORDER_SHUFFLE; i <= ARITH_ORDER_PAIRWISE; i++)
        if (is_word(text, len, orders[i])) {
            z->order = (enum arith_order)i;
            return true;
        }
    const char *colon = memchr(text, ':', len);
    size_t head = colon ? (size_t)(colon - text) : len;
    for (int i = ARITH_ORDER_SPLITK; colon && i <= ARITH_ORDER_BATCH; i++)
        if (is_word(text, head, orders[i])) {
            bool split = i == ARITH_ORDER_SPLITK;
            z->order = (enum arith_order)i;
            return whole(colon + 1, len - head - 1, split ? 2 : 1,
                         split ? ARITH_SPLITK_MAX : ARITH_BATCH_MAX, &z->n);
        }
    return false;
}

static bool parse_round(const char *text, size_t len, struct arith_noise *z)
{
    for (int i = ARITH_ROUND_BF16; i <= ARITH_ROUND_F16; i++)
        if (is_word(text, len, rounds[i])) {
            z->round = (enum arith_round)i;
            return true;
        }
    return false;
}

int arith_noise_parse(const char *text, struct arith_noise *out, struct idem_err *err)
{
    struct arith_noise z = {0};
    const char *plus = strchr(text, '+');
    bool ok = plus ? parse_order(text, (size_t)(plus - text), &z) && parse_round(plus + 1, strlen(plus + 1), &z)
                   : strcmp(text, orders[0]) == 0 || parse_order(text, strlen(text), &z) ||
                     parse_round(text, strlen(text), &z);
    if (!ok)
        return err_set(err, IDEM_ERR_USAGE, "noise '%.60s': give " ARITH_NOISE_ALLOWED, text);
    *out = z;
    return 0;
}

void arith_noise_text(const struct arith_noise *z, char out[ARITH_NOISE_TEXT])
{
    bool order = z->order != ARITH_ORDER_PLAIN, round = z->round != ARITH_ROUND_F32;
    char n[16] = "";
    if (z->n)
        snprintf(n, sizeof n, ":%u", z->n);
    snprintf(out, ARITH_NOISE_TEXT, "%s%s%s%s", order || !round ? orders[z->order] : "", n,
             order && round ? "+" : "", round ? rounds[z->round] : "");
}

uint32_t arith_noise_pack(const struct arith_noise *z)
{
    return (uint32_t)z->order << ORDER_SHIFT | (uint32_t)z->round << ROUND_SHIFT | z->n;
}

struct arith_noise arith_noise_unpack(uint32_t number, uint64_t seed)
{
    uint32_t order = number >> ORDER_SHIFT, round = number >> ROUND_SHIFT & 15, n = number & N_MASK;
    bool counted = order == ARITH_ORDER_SPLITK || order == ARITH_ORDER_BATCH;
    bool fits = order == ARITH_ORDER_SPLITK ? n >= 2 && n <= ARITH_SPLITK_MAX
              : order == ARITH_ORDER_BATCH  ? n >= 1 && n <= ARITH_BATCH_MAX : n == 0;
    if (order > ARITH_ORDER_BATCH || round > ARITH_ROUND_F16 || !fits || (!counted && n))
        return (struct arith_noise){0};
    return (struct arith_noise){(enum arith_order)order, (enum arith_round)round, n, seed};
}
