/* SPDX-License-Identifier: MIT
 * Noise of the arithmetic that an experimenter adds on purpose: which one (docs/noise.md), as text
 * and as a number. What each does to a sum is kernels/noise.h's business. */
#ifndef BASE_ARITH_NOISE_H
#define BASE_ARITH_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum arith_order {               /* in which order the terms of a sum are added */
    ARITH_ORDER_PLAIN = 0,       /* as always */
    ARITH_ORDER_SHUFFLE,         /* an order drawn by the seed */
    ARITH_ORDER_PAIRWISE,        /* neighbours, then neighbours of those: a tree */
    ARITH_ORDER_SPLITK,          /* n parts side by side */
    ARITH_ORDER_BATCH            /* parts as a GPU has them with n rows in its batch */
};

enum arith_round {               /* what the sum is rounded to after every addition */
    ARITH_ROUND_F32 = 0,         /* binary32, as always */
    ARITH_ROUND_BF16,
    ARITH_ROUND_F16
};

struct arith_noise {             /* all zero: none */
    enum arith_order order;
    enum arith_round round;
    uint32_t n;                  /* of splitk and batch, else 0 */
    uint64_t seed;               /* of shuffle; the others do not look at it */
};

enum {
    ARITH_NOISE_TEXT = 32,       /* bytes of the longest text, its NUL included */
    ARITH_SPLITK_MAX = 64,
    ARITH_BATCH_MAX = 1 << 20
};

/* What arith_noise_parse takes, for messages and help. */
#define ARITH_NOISE_ALLOWED \
    "none; shuffle, pairwise, splitk:N (2 to 64) or batch:N (1 to 1048576); bf16 or f16; or an order " \
    "and a rounding such as splitk:4+bf16"

/* "none", "shuffle", "pairwise", "splitk:4", "batch:16", "bf16", "f16", or one of the first kind and
 * one of the last two: "splitk:4+f16". The seed is set to 0. Anything else: IDEM_ERR_USAGE. */
int arith_noise_parse(const char *text, struct arith_noise *out, struct idem_err *err);
/* The same text back. */
void arith_noise_text(const struct arith_noise *z, char out[ARITH_NOISE_TEXT]);

/* In one number, without the seed; 0: none. Unpacking a number that is none of these gives none. */
uint32_t arith_noise_pack(const struct arith_noise *z);
struct arith_noise arith_noise_unpack(uint32_t number, uint64_t seed);

static inline bool arith_noise_is_none(const struct arith_noise *z)
{
    return z->order == ARITH_ORDER_PLAIN && z->round == ARITH_ROUND_F32;
}

/* Whether another seed is other noise. */
static inline bool arith_noise_is_seeded(const struct arith_noise *z)
{
    return z->order == ARITH_ORDER_SHUFFLE;
}

#endif
