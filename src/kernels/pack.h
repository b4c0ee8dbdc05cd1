/* SPDX-License-Identifier: MIT
 * Layouts of packed matrices: groups of 8 rows, interleaved so that a 32-bit lane belongs to
 * one row. Only the kernels see this.
 *
 * A group holds, for its 8 rows r and blocks b of 32 columns, these areas one after another,
 * each starting at a multiple of 64 bytes:
 *
 *   q  quants    4-bit types: 128 bytes a block, dword v of row r at 32 v + 4 r (v = 0..3);
 *                byte j of it has column 4v+j in its low, 16+4v+j in its high nibble.
 *                Q8_0: 256 bytes, dword v (0..7) byte j = column 4v+j.
 *                Q2_K, Q3_K: 64 bytes, dword of row r at 32 p + 4 r (p = 0, 1): bits 2i, 2i+1 of
 *                byte j = low two bits of column 16p+4i+j.
 *                F32, F16, BF16: per column 8 values, row r at index r.
 *   h  high bits Q5: 32 bytes a block, dword of row r at 4 r: bit i of byte j = fifth bit of
 *                column 4i+j; Q3_K: its third bit. Q6_K: 64 bytes, dword of row r at 32 p + 4 r (p = 0, 1): bits
 *                2i, 2i+1 of byte j = upper bits of column 16p+4i+j.
 *   s  scales    Q4_0 Q5_0 Q8_0 IQ4_NL: per block f16 d[8]. Q4_1 Q5_1: f16 d[8], f16 m[8].
 *                Q4_K Q5_K: per 8 blocks f16 d[8], f16 dmin[8], then per block u8 sc[8], u8 m[8].
 *                Q6_K Q3_K: per 8 blocks f16 d[8], then per block i8 sc[2][8] (columns 0..15,
 *                16..31). Q2_K: per 8 blocks f16 d[8], f16 dmin[8], then per block u8 sc[2][8], the
 *                scale in the low nibble, the min in the high. IQ4_XS: per 8 blocks f16 d[8], then
 *                per block i8 sc[8].
 */
#ifndef KERNELS_PACK_H
#define KERNELS_PACK_H

#include "kernels/kernels.h"

/* What the 16 nibbles of IQ4_NL and IQ4_XS mean (ggml-common.h, kvalues_iq4nl). */
static const int8_t PACK_IQ4[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

struct pack_layout {
    uint32_t q_bytes, h_bytes;   /* per block of 32 columns (per column for float types) */
    uint32_t s_bytes;            /* per s_blocks blocks */
    uint32_t s_blocks;           /* 1 or 8; 0 for float types */
    size_t h_off, s_off;         /* from the start of the group; q is at 0 */
    size_t group_bytes;
};

/* For a supported type; n_cols as in kern_matrix_init. */
struct pack_layout pack_layout(enum qtype type, size_t n_cols);

#endif
