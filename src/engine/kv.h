/* SPDX-License-Identifier: MIT
 * The KV cache: blocks of 64 positions at absolute positions, shared between sequences.
 *
 * One block holds all layers: [n_layer][n_head_kv] of K [k_dim][64] (dimension-major) and V
 * [64][v_dim]; binary16 or binary32. A block is shared as long as nobody writes: appending to
 * a partly filled block with more than one owner copies it first. Used by one thread at a time,
 * except that kernels of one forward pass may write different positions and heads at once. */
#ifndef ENGINE_KV_H
#define ENGINE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernels/kernels.h"

struct kv_block {
    uint32_t n_refs;
    struct kv_block *next;    /* in the free list */
    uint8_t *data;            /* [block_bytes], 64-byte aligned */
};

struct kv {
    size_t n_layer, n_head_kv;
    struct kern_attn_shape shape;
    size_t k_bytes;           /* K of one layer and head; V follows it */
    size_t head_bytes;        /* K and V of one layer and head */
    size_t block_bytes;
    uint64_t max_bytes;       /* ceiling over all blocks, free ones too */
    uint64_t n_live, n_free;  /* blocks */
    struct kv_block *free;
};

struct kv_seq {               /* zero-initialised: the empty sequence */
    struct kv_block **blocks; /* block b holds positions 64 b .. 64 b + 63 */
    size_t n_blocks, cap;
    size_t len;               /* positions filled */
};

size_t kv_block_bytes(size_t n_layer, size_t n_head_kv, const struct kern_attn_shape *shape);
void kv_init(struct kv *kv, size_t n_layer, size_t n_head_kv, const struct kern_attn_shape *shape,
             uint64_t max_bytes);
void kv_release(struct kv *kv);                       /* after all its sequences */

/* Makes room for n more positions that this sequence alone may write. On failure (ceiling,
 * memory) the sequence holds the same positions as before. */
int kv_reserve(struct kv *kv, struct kv_seq *s, size_t n, struct idem_err *err);
void kv_trim(struct kv *kv, struct kv_seq *s);        /* gives back blocks behind len */
/* dst (empty) becomes the first n <= src->len positions of src. */
int kv_fork(struct kv *kv, struct kv_seq *dst, const struct kv_seq *src, size_t n,
            struct idem_err *err);
void kv_seq_release(struct kv *kv, struct kv_seq *s); /* empty again */

/* K plane of block b; the V plane follows at k_bytes. */
static inline uint8_t *kv_plane(const struct kv *kv, const struct kv_seq *s, size_t b,
                                size_t layer, size_t head)
{
    return s->blocks[b]->data + (layer * kv->n_head_kv + head) * kv->head_bytes;
}

#endif
