/* SPDX-License-Identifier: MIT
 * What the files of all instruction sets share: what a weight type is made of in its packed form
 * (pack.h), and where a group of rows is. Included once by each instruction set's file. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include "kernels/kernels.h"
#include "kernels/pack.h"

#define INLINE static inline __attribute__((always_inline))

/* Where the areas of one group are. */
struct group { const uint8_t *q, *h, *s; };

INLINE struct group group_at(const struct kern_matrix *w, const struct pack_layout *l, size_t gi)
{
    const uint8_t *at = w->data + gi * w->group_bytes;
    return (struct group){at, at + l->h_off, at + l->s_off};
}

/* The functions below are for code that is compiled once for each type. */
#define EACH_TYPE(F)                                                                             \
    F(Q4_0) F(Q4_1) F(Q5_0) F(Q5_1) F(Q8_0) F(Q2_K) F(Q3_K) F(Q4_K) F(Q5_K) F(Q6_K) F(IQ4_NL)    \
    F(IQ4_XS)

INLINE bool has_sub(enum qtype type)
{
    return type == QTYPE_Q2_K || type == QTYPE_Q3_K || type == QTYPE_Q6_K;
}

INLINE bool is_signed(enum qtype type)
{
    return type == QTYPE_Q8_0 || type == QTYPE_IQ4_NL || type == QTYPE_IQ4_XS;
}

INLINE bool has_m(enum qtype type)
{
    return type == QTYPE_Q4_1 || type == QTYPE_Q5_1 || type == QTYPE_Q4_K || type == QTYPE_Q5_K;
}

INLINE size_t q_bytes_of(enum qtype type)
{
    return type == QTYPE_Q8_0 ? 256 : type == QTYPE_Q2_K || type == QTYPE_Q3_K ? 64 : 128;
}

INLINE size_t h_bytes_of(enum qtype type)
{
    return type == QTYPE_Q6_K ? 64
         : type == QTYPE_Q5_0 || type == QTYPE_Q5_1 || type == QTYPE_Q5_K || type == QTYPE_Q3_K
         ? 32 : 0;
}

/* What is taken off the unsigned quants. */
INLINE int32_t offset_of(enum qtype type)
{
    return type == QTYPE_Q4_0 ? 8 : type == QTYPE_Q5_0 ? 16 : type == QTYPE_Q6_K ? 32
         : type == QTYPE_Q3_K ? 4 : 0;
}

/* The bytes of the next groups, to ask for while these are multiplied: their areas are short
 * streams, too short for the hardware to run ahead of, and decoding is bound by memory. A share is
 * asked for with each block. No value is read, so no bit depends on it. */
struct ahead {
    const uint8_t *at;   /* NULL: nothing is asked for */
    size_t share;        /* bytes per block */
    bool l1;             /* few enough to wait in the L1 cache; else they would push each other out */
};

enum { AHEAD_IN_L1 = 16 * 1024 };

/* at: n_bytes that follow, for nb blocks of the current ones. */
INLINE struct ahead ahead_of(const uint8_t *at, size_t n_bytes, size_t nb)
{
    return (struct ahead){at, n_bytes / nb + 1, n_bytes <= AHEAD_IN_L1};
}

INLINE void prefetch(struct ahead next, size_t b)
{
    if (!next.at)
        return;
    for (size_t i = (b * next.share + 63) / 64 * 64; i < (b + 1) * next.share; i += 64)
        if (next.l1)
            __builtin_prefetch(next.at + i, 0, 3);
        else
            __builtin_prefetch(next.at + i, 0, 2);
}

#endif
