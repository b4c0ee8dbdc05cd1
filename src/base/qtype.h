/* SPDX-License-Identifier: MIT
 * Weight types of GGUF files: their numbers, names and block sizes (ggml docs/gguf.md). */
#ifndef BASE_QTYPE_H
#define BASE_QTYPE_H

#include <stddef.h>
#include <stdint.h>

/* The numbers are those in the file. */
enum qtype {
    QTYPE_F32 = 0, QTYPE_F16 = 1, QTYPE_Q4_0 = 2, QTYPE_Q4_1 = 3, QTYPE_Q5_0 = 6,
    QTYPE_Q5_1 = 7, QTYPE_Q8_0 = 8, QTYPE_Q8_1 = 9, QTYPE_Q2_K = 10, QTYPE_Q3_K = 11,
    QTYPE_Q4_K = 12, QTYPE_Q5_K = 13, QTYPE_Q6_K = 14, QTYPE_Q8_K = 15, QTYPE_IQ4_NL = 20,
    QTYPE_IQ4_XS = 23, QTYPE_I8 = 24, QTYPE_I16 = 25, QTYPE_I32 = 26, QTYPE_I64 = 27,
    QTYPE_F64 = 28, QTYPE_BF16 = 30
};

struct qtype_info {
    const char *name;        /* "Q4_K" */
    uint32_t block_elems;    /* weights per block */
    uint32_t block_bytes;    /* bytes per block in the file */
};

/* NULL for a number that is not in the table (its size is unknown, so its file is refused). */
const struct qtype_info *qtype_info(uint32_t type);

#endif
