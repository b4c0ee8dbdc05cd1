/* SPDX-License-Identifier: MIT
 * From the file's blocks to groups of 8 interleaved rows (pack.h). No value changes. */
#include "kernels/pack.h"

#include <string.h>

#include "base/half.h"

bool kern_type_supported(enum qtype type)
{
    switch (type) {
    case QTYPE_F32: case QTYPE_F16: case QTYPE_BF16:
    case QTYPE_Q4_0: case QTYPE_Q4_1: case QTYPE_Q5_0: case QTYPE_Q5_1: case QTYPE_Q8_0:
    case QTYPE_Q2_K: case QTYPE_Q3_K: case QTYPE_Q4_K: case QTYPE_Q5_K: case QTYPE_Q6_K:
    case QTYPE_IQ4_NL: case QTYPE_IQ4_XS:
        return true;
    default:
        return false;
    }
}

bool kern_type_is_quantised(enum qtype type)
{
    return type != QTYPE_F32 && type != QTYPE_F16 && type != QTYPE_BF16;
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

struct pack_layout pack_layout(enum qtype type, size_t n_cols)
{
    struct pack_layout l = {.s_blocks = 1};
    switch (type) {
    case QTYPE_F32:  l.q_bytes = 32; l.s_blocks = 0; break;
    case QTYPE_F16:
    case QTYPE_BF16: l.q_bytes = 16; l.s_blocks = 0; break;
    case QTYPE_Q4_0:
    case QTYPE_IQ4_NL: l.q_bytes = 128; l.s_bytes = 16; break;
    case QTYPE_Q4_1: l.q_bytes = 128; l.s_bytes = 32; break;
    case QTYPE_Q5_0: l.q_bytes = 128; l.h_bytes = 32; l.s_bytes = 16; break;
    case QTYPE_Q5_1: l.q_bytes = 128; l.h_bytes = 32; l.s_bytes = 32; break;
    case QTYPE_Q8_0: l.q_bytes = 256; l.s_bytes = 16; break;
    case QTYPE_Q2_K: l.q_bytes = 64; l.s_bytes = 32 + 8 * 16; l.s_blocks = 8; break;
    case QTYPE_Q3_K: l.q_bytes = 64; l.h_bytes = 32; l.s_bytes = 16 + 8 * 16; l.s_blocks = 8; break;
    case QTYPE_Q4_K: l.q_bytes = 128; l.s_bytes = 32 + 8 * 16; l.s_blocks = 8; break;
    case QTYPE_Q5_K: l.q_bytes = 128; l.h_bytes = 32; l.s_bytes = 32 + 8 * 16; l.s_blocks = 8; break;
    case QTYPE_Q6_K: l.q_bytes = 128; l.h_bytes = 64; l.s_bytes = 16 + 8 * 16; l.s_blocks = 8; break;
    case QTYPE_IQ4_XS: l.q_bytes = 128; l.s_bytes = 16 + 8 * 8; l.s_blocks = 8; break;
    default: break;
    }
    size_t n = l.s_blocks ? n_cols / KERN_BLOCK : n_cols;
    l.h_off = round64(n * l.q_bytes);
    l.s_off = l.h_off + round64(n * l.h_bytes);
    l.group_bytes = l.s_off + round64(l.s_blocks ? n / l.s_blocks * l.s_bytes : 0);
    return l;
}

size_t kern_matrix_init(struct kern_matrix *w, enum qtype type, size_t n_rows, size_t n_cols)
{
    *w = (struct kern_matrix){.type = type, .n_rows = n_rows, .n_cols = n_cols};
    const struct qtype_info *info = qtype_info(type);
    if (!kern_type_supported(type) || n_rows == 0 || n_cols == 0 ||
        n_cols % info->block_elems != 0 || n_cols > SIZE_MAX / 64 / n_rows)
        return 0;
    w->group_bytes = pack_layout(type, n_cols).group_bytes;
    return kern_n_groups(w) * w->group_bytes;
}

/* Bit i of byte j of the result = bit 4i+j of h (i = 0..7, j = 0..3). */
static uint32_t spread_bits(uint32_t h)
{
    uint32_t out = 0;
    for (unsigned i = 0; i < 8; i++)
        out |= ((((h >> (4 * i)) & 15u) * 0x00204081u) & 0x01010101u) << i;
    return out;
}

static void put32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, 4);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return v;
}

static void put_f16(uint8_t *at, size_t r, const uint8_t *from)
{
    memcpy(at + 2 * r, from, 2);
}

static void pack_float_row(uint8_t *q, const uint8_t *row, size_t r, size_t n_cols, size_t size)
{
    for (size_t k = 0; k < n_cols; k++)
        memcpy(q + (k * KERN_ROWS + r) * size, row + k * size, size);
}

/* Types whose file block is 32 columns: scales, then high bits, then quants. */
static void pack_row_32(uint8_t *group, const struct pack_layout *l, enum qtype type,
                        const uint8_t *row, size_t r, size_t n_blocks)
{
    size_t size = qtype_info(type)->block_bytes;
    for (size_t b = 0; b < n_blocks; b++, row += size) {
        const uint8_t *in = row;
        uint8_t *q = group + b * l->q_bytes, *s = group + l->s_off + b * l->s_bytes;
        put_f16(s, r, in);
        in += 2;
        if (l->s_bytes == 32) {
            put_f16(s + 16, r, in);
            in += 2;
        }
        if (l->h_bytes) {
            put32(group + l->h_off + b * l->h_bytes + 4 * r, spread_bits(get32(in)));
            in += 4;
        }
        for (size_t v = 0; v < l->q_bytes / 32; v++)
            put32(q + 32 * v + 4 * r, get32(in + 4 * v));
    }
}

/* Two bits of each of 32 columns, at bit `at` of qs[0..31], as pack.h has them: out[p], p = 0, 1. */
static void two_bits(const uint8_t *qs, unsigned at, uint32_t out[2])
{
    out[0] = out[1] = 0;
    for (unsigned v = 0; v < 8; v++)
        out[v / 4] |= ((get32(qs + 4 * v) >> at) & 0x03030303u) << (2 * (v % 4));
}

/* Bit `at` of each of h[0..31]: bit i of byte j = column 4i+j. */
static uint32_t one_bit(const uint8_t *h, unsigned at)
{
    uint32_t out = 0;
    for (unsigned i = 0; i < 8; i++)
        out |= ((get32(h + 4 * i) >> at) & 0x01010101u) << i;
    return out;
}

/* Q2_K: scales[16], qs[64], d, dmin. */
static void pack_row_2k(uint8_t *group, const struct pack_layout *l, const uint8_t *row,
                        size_t r, size_t n_super)
{
    for (size_t sb = 0; sb < n_super; sb++, row += 84) {
        uint8_t *s = group + l->s_off + sb * l->s_bytes;
        put_f16(s, r, row + 80);
        put_f16(s + 16, r, row + 82);
        for (unsigned j = 0; j < 8; j++) {
            uint8_t *q = group + (sb * 8 + j) * l->q_bytes + 4 * r;
            uint32_t x[2];
            two_bits(row + 16 + 32 * (j / 4), 2 * (j % 4), x);
            put32(q, x[0]);
            put32(q + 32, x[1]);
            s[32 + 16 * j + r] = row[2 * j];
            s[32 + 16 * j + 8 + r] = row[2 * j + 1];
        }
    }
}

/* The scale of 16 columns of Q3_K, from 12 bytes of 6-bit numbers. */
static uint8_t q3_scale(const uint8_t *s, unsigned k)
{
    unsigned low = k < 8 ? s[k] & 15u : s[k - 8] >> 4u, high = (unsigned)(s[8 + k % 4] >> (2 * (k / 4))) & 3u;
    return (uint8_t)((low | high << 4) - 32u);
}

/* Q3_K: hmask[32], qs[64], scales[12], d. */
static void pack_row_3k(uint8_t *group, const struct pack_layout *l, const uint8_t *row,
                        size_t r, size_t n_super)
{
    for (size_t sb = 0; sb < n_super; sb++, row += 110) {
        uint8_t *s = group + l->s_off + sb * l->s_bytes;
        put_f16(s, r, row + 108);
        for (unsigned j = 0; j < 8; j++) {
            size_t b = sb * 8 + j;
            uint8_t *q = group + b * l->q_bytes + 4 * r;
            uint32_t x[2];
            two_bits(row + 32 + 32 * (j / 4), 2 * (j % 4), x);
            put32(q, x[0]);
            put32(q + 32, x[1]);
            put32(group + l->h_off + b * l->h_bytes + 4 * r, one_bit(row, j));
            s[16 + 16 * j + r] = q3_scale(row + 96, 2 * j);
            s[16 + 16 * j + 8 + r] = q3_scale(row + 96, 2 * j + 1);
        }
    }
}

/* IQ4_XS: d, u16 scales_h, scales_l[4], qs[128]. */
static void pack_row_4xs(uint8_t *group, const struct pack_layout *l, const uint8_t *row,
                         size_t r, size_t n_super)
{
    for (size_t sb = 0; sb < n_super; sb++, row += 136) {
        uint8_t *s = group + l->s_off + sb * l->s_bytes;
        unsigned high = (unsigned)row[2] | (unsigned)row[3] << 8;
        put_f16(s, r, row);
        for (unsigned j = 0; j < 8; j++) {
            uint8_t *q = group + (sb * 8 + j) * l->q_bytes + 4 * r;
            unsigned sc = ((unsigned)(row[4 + j / 2] >> (4 * (j % 2))) & 15u) | ((high >> (2 * j)) & 3u) << 4;
            s[16 + 8 * j + r] = (uint8_t)(sc - 32u);
            for (size_t v = 0; v < 4; v++)
                put32(q + 32 * v, get32(row + 8 + 16 * j + 4 * v));
        }
    }
}

/* The 6-bit scale and min of sub-block j of Q4_K and Q5_K. */
static void k_scale(const uint8_t *s, unsigned j, uint8_t *sc, uint8_t *m)
{
    if (j < 4) {
        *sc = s[j] & 63;
        *m = s[j + 4] & 63;
    } else {
        *sc = (uint8_t)((s[j + 4] & 15) | ((s[j - 4] >> 6) << 4));
        *m = (uint8_t)((s[j + 4] >> 4) | ((s[j] >> 6) << 4));
    }
}

/* Q4_K and Q5_K: d, dmin, scales[12], (qh[32],) qs[128]. */
static void pack_row_45k(uint8_t *group, const struct pack_layout *l, enum qtype type,
                         const uint8_t *row, size_t r, size_t n_super)
{
    size_t size = qtype_info(type)->block_bytes;
    for (size_t sb = 0; sb < n_super; sb++, row += size) {
        const uint8_t *qh = row + 16, *qs = l->h_bytes ? row + 48 : row + 16;
        uint8_t *s = group + l->s_off + sb * l->s_bytes;
        put_f16(s, r, row);
        put_f16(s + 16, r, row + 2);
        for (unsigned j = 0; j < 8; j++) {
            size_t b = sb * 8 + j;
            k_scale(row + 4, j, &s[32 + 16 * j + r], &s[32 + 16 * j + 8 + r]);
            const uint8_t *in = qs + 32 * (j / 2);
            for (size_t v = 0; v < 4; v++) {
                uint32_t lo = get32(in + 4 * v), hi = get32(in + 16 + 4 * v);
                uint32_t x = j % 2 ? ((lo >> 4) & 0x0F0F0F0Fu) | (hi & 0xF0F0F0F0u)
                                   : (lo & 0x0F0F0F0Fu) | ((hi & 0x0F0F0F0Fu) << 4);
                put32(group + b * l->q_bytes + 32 * v + 4 * r, x);
            }
            if (l->h_bytes)
                put32(group + l->h_off + b * l->h_bytes + 4 * r, one_bit(qh, j));
        }
    }
}

/* Q6_K: ql[128], qh[64], i8 scales[16], d. */
static void pack_row_6k(uint8_t *group, const struct pack_layout *l, const uint8_t *row,
                        size_t r, size_t n_super)
{
    for (size_t sb = 0; sb < n_super; sb++, row += 210) {
        uint8_t *s = group + l->s_off + sb * l->s_bytes;
        put_f16(s, r, row + 208);
        for (unsigned j = 0; j < 8; j++) {          /* columns 32 j of the super-block */
            unsigned half = j / 4, k = j % 4;
            const uint8_t *ql = row + 64 * half + 32 * (k & 1), *qh = row + 128 + 32 * half;
            size_t b = sb * 8 + j;
            s[16 + 16 * j + r] = row[192 + 8 * half + 2 * k];
            s[16 + 16 * j + 8 + r] = row[192 + 8 * half + 2 * k + 1];
            uint32_t h[2];
            two_bits(qh, 2 * k, h);
            for (unsigned v = 0; v < 4; v++) {
                uint32_t lo = get32(ql + 4 * v), hi = get32(ql + 16 + 4 * v);
                uint32_t x = k / 2 ? ((lo >> 4) & 0x0F0F0F0Fu) | (hi & 0xF0F0F0F0u)
                                   : (lo & 0x0F0F0F0Fu) | ((hi & 0x0F0F0F0Fu) << 4);
                put32(group + b * l->q_bytes + 32 * v + 4 * r, x);
            }
            put32(group + l->h_off + b * l->h_bytes + 4 * r, h[0]);
            put32(group + l->h_off + b * l->h_bytes + 32 + 4 * r, h[1]);
        }
    }
}

void kern_pack(const struct kern_matrix *w, const uint8_t *rows, size_t group0, size_t group1)
{
    const struct qtype_info *info = qtype_info(w->type);
    struct pack_layout l = pack_layout(w->type, w->n_cols);
    size_t row_bytes = w->n_cols / info->block_elems * info->block_bytes;
    for (size_t g = group0; g < group1; g++) {
        uint8_t *group = w->data + g * w->group_bytes;
        if ((g + 1) * KERN_ROWS > w->n_rows)
            memset(group, 0, w->group_bytes);
        for (size_t r = 0; r < KERN_ROWS && g * KERN_ROWS + r < w->n_rows; r++) {
            const uint8_t *row = rows + (g * KERN_ROWS + r) * row_bytes;
            if (!kern_type_is_quantised(w->type))
                pack_float_row(group, row, r, w->n_cols, info->block_bytes);
            else if (info->block_elems == 32)
                pack_row_32(group, &l, w->type, row, r, w->n_cols / 32);
            else if (w->type == QTYPE_Q2_K)
                pack_row_2k(group, &l, row, r, w->n_cols / 256);
            else if (w->type == QTYPE_Q3_K)
                pack_row_3k(group, &l, row, r, w->n_cols / 256);
            else if (w->type == QTYPE_IQ4_XS)
                pack_row_4xs(group, &l, row, r, w->n_cols / 256);
            else if (w->type == QTYPE_Q6_K)
                pack_row_6k(group, &l, row, r, w->n_cols / 256);
            else
                pack_row_45k(group, &l, w->type, row, r, w->n_cols / 256);
        }
    }
}

size_t kern_scratch_bytes(size_t n_cols)
{
    return KERN_F32_GROUPS * n_cols * KERN_ROWS * sizeof(float);   /* groups as binary32 */
}

size_t kern_attn_scratch_bytes(size_t k_dim, size_t v_dim)
{
    return (k_dim + v_dim) * KERN_KV * sizeof(float);      /* K and V of one block as binary32 */
}
