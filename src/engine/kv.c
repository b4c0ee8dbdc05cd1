/* SPDX-License-Identifier: MIT
 * The KV cache: blocks of 64 positions at absolute positions, shared between sequences. */
#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>

static size_t plane_bytes(const struct kern_attn_shape *shape, size_t dim)
{
    return dim * KERN_KV * (shape->f16 ? 2u : 4u);
}

size_t kv_block_bytes(size_t n_layer, size_t n_head_kv, const struct kern_attn_shape *shape)
{
    return n_layer * n_head_kv * plane_bytes(shape, shape->k_dim + shape->v_dim);
}

void kv_init(struct kv *kv, size_t n_layer, size_t n_head_kv, const struct kern_attn_shape *shape,
             uint64_t max_bytes)
{
    *kv = (struct kv){
        .n_layer = n_layer, .n_head_kv = n_head_kv, .shape = *shape,
        .k_bytes = plane_bytes(shape, shape->k_dim),
        .head_bytes = plane_bytes(shape, shape->k_dim + shape->v_dim),
        .block_bytes = kv_block_bytes(n_layer, n_head_kv, shape),
        .max_bytes = max_bytes,
    };
}

void kv_release(struct kv *kv)
{
    while (kv->free) {
        struct kv_block *b = kv->free;
        kv->free = b->next;
        free(b->data);
        free(b);
    }
    *kv = (struct kv){0};
}

static struct kv_block *block_new(struct kv *kv, struct idem_err *err)
{
    struct kv_block *b = kv->free;
    if (b) {
        kv->free = b->next;
        kv->n_free--;
    } else {
        uint64_t n_most = kv->max_bytes / kv->block_bytes;
        if (kv->n_live >= n_most) {
            err_set(err, IDEM_ERR_LIMIT,
                    "the KV cache is full: its ceiling of %llu bytes holds %llu blocks of 64 "
                    "tokens (%zu bytes each); free sequences or raise max_kv_bytes",
                    (unsigned long long)kv->max_bytes, (unsigned long long)n_most,
                    kv->block_bytes);
            return NULL;
        }
        b = calloc(1, sizeof *b);
        /* a multiple of 64 whatever the shape, as aligned_alloc wants it: 64 positions */
        uint8_t *data = b ? aligned_alloc(64, kv->block_bytes) : NULL;
        if (!data) {
            free(b);
            err_memory(err, "a block of the KV cache", kv->block_bytes);
            return NULL;
        }
        memset(data, 0, kv->block_bytes);
        b->data = data;
    }
    b->n_refs = 1;
    b->next = NULL;
    kv->n_live++;
    return b;
}

static void block_unref(struct kv *kv, struct kv_block *b)
{
    if (--b->n_refs > 0)
        return;
    b->next = kv->free;
    kv->free = b;
    kv->n_free++;
    kv->n_live--;
}

static int grow(struct kv_seq *s, size_t n_blocks, struct idem_err *err)
{
    if (n_blocks <= s->cap)
        return 0;
    size_t cap = s->cap ? 2 * s->cap : 4;
    if (cap < n_blocks)
        cap = n_blocks;
    struct kv_block **p = realloc(s->blocks, cap * sizeof(struct kv_block *));
    if (!p)
        return err_memory(err, "the block table of a sequence", cap * sizeof(struct kv_block *));
    s->blocks = p;
    s->cap = cap;
    return 0;
}

int kv_reserve(struct kv *kv, struct kv_seq *s, size_t n, struct idem_err *err)
{
    if (n == 0)
        return 0;
    size_t n_blocks = (s->len + n + KERN_KV - 1) / KERN_KV;
    if (grow(s, n_blocks, err) != 0)
        return -1;
    size_t tail = s->len / KERN_KV;
    if (s->len % KERN_KV != 0 && s->blocks[tail]->n_refs > 1) {
        struct kv_block *own = block_new(kv, err);
        if (!own)
            return -1;
        memcpy(own->data, s->blocks[tail]->data, kv->block_bytes);
        block_unref(kv, s->blocks[tail]);
        s->blocks[tail] = own;
    }
    while (s->n_blocks < n_blocks) {
        struct kv_block *b = block_new(kv, err);
        if (!b) {
            kv_trim(kv, s);
            return -1;
        }
        s->blocks[s->n_blocks++] = b;
    }
    return 0;
}

void kv_trim(struct kv *kv, struct kv_seq *s)
{
    size_t n_blocks = (s->len + KERN_KV - 1) / KERN_KV;
    while (s->n_blocks > n_blocks)
        block_unref(kv, s->blocks[--s->n_blocks]);
}

int kv_fork(struct kv *kv, struct kv_seq *dst, const struct kv_seq *src, size_t n,
            struct idem_err *err)
{
    (void)kv;
    size_t n_blocks = (n + KERN_KV - 1) / KERN_KV;
    if (grow(dst, n_blocks, err) != 0)
        return -1;
    for (size_t i = 0; i < n_blocks; i++) {
        dst->blocks[i] = src->blocks[i];
        dst->blocks[i]->n_refs++;
    }
    dst->n_blocks = n_blocks;
    dst->len = n;
    return 0;
}

void kv_seq_release(struct kv *kv, struct kv_seq *s)
{
    while (s->n_blocks > 0)
        block_unref(kv, s->blocks[--s->n_blocks]);
    free(s->blocks);
    *s = (struct kv_seq){0};
}
