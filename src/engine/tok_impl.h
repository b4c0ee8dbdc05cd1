/* SPDX-License-Identifier: MIT
 * What the files of the tokenizer share: the vocabulary in memory and the work of one call. */
#ifndef ENGINE_TOK_IMPL_H
#define ENGINE_TOK_IMPL_H

#include "base/arena.h"
#include "engine/tok_pre.h"
#include "engine/tokenizer.h"

/* ---- the vocabulary ---------------------------------------------------------------------------- */

enum tok_kind {   /* numbers of tokenizer.ggml.token_type */
    TOK_UNDEFINED = 0, TOK_NORMAL, TOK_UNKNOWN, TOK_CONTROL, TOK_USER, TOK_UNUSED, TOK_BYTE
};

struct tok_word { uint32_t hash; int32_t id_plus_1; };        /* 0: free */
struct tok_merge { int32_t left, right; uint32_t rank_plus_1; int32_t id; };

struct tokenizer {
    struct arena arena;
    struct tok_info info;
    uint32_t n_tokens;            /* in the file; info.n_vocab may be more */
    uint32_t max_len;             /* bytes of the longest token */
    const char *bytes;            /* what the tokens stand for, end to end */
    const uint32_t *offset;       /* [n_vocab + 1] into bytes */
    const uint8_t *kind;          /* [n_vocab] enum tok_kind */
    uint8_t *eog;                 /* [n_vocab] 1: ends a generation */
    int32_t byte_id[256];         /* the token of a single byte, -1 if there is none */
    /* open addressing; only tokens that merging may give: no control, unknown or byte tokens */
    struct tok_word *words;
    uint32_t word_mask;
    /* tokens that are cut out of a text before merging, in the order of their bytes */
    int32_t *special;
    uint32_t n_special;
    uint32_t special_first[257];  /* those that begin with byte b: [first[b], first[b + 1]) */
    bool nfc;
    /* byte-level BPE; pre is NULL for SentencePiece */
    const struct tok_pre *pre;
    struct tok_merge *merges;     /* open addressing by (left, right) */
    uint32_t merge_mask;
    /* SentencePiece */
    const uint32_t *priority;     /* [n_tokens] from the scores: the smaller merges first */
    bool space_prefix;
};

static inline const char *tok_at(const struct tokenizer *t, int32_t id, size_t *len)
{
    *len = t->offset[id + 1] - t->offset[id];
    return t->bytes + t->offset[id];
}

/* The token of these bytes, or -1. Of several the lowest id. */
int32_t tok_lookup(const struct tokenizer *t, const char *s, size_t len);

/* The GPT-2 byte alphabet, the other way round: text of a token or merge to bytes, at most cap.
 * -1: a character is not of that alphabet, or it does not fit. */
int tok_unmap(const char *s, size_t len, char *out, size_t cap, size_t *out_len);

int tok_load_merges(struct tokenizer *t, const struct gguf *g, struct idem_err *err);

/* ---- the work of one call ------------------------------------------------------------------------ */

struct tok_symbol { uint32_t start, len, prev, next; int32_t id; };   /* len 0: merged away */
struct tok_candidate { uint64_t key; uint32_t len; int32_t id; };

struct tok_work {
    const struct tokenizer *t;
    int32_t *ids;                     /* the result */
    size_t n_ids, cap_ids;
    char *text, *normal;              /* a fragment with its spaces rewritten; a fragment in NFC */
    size_t cap_text, cap_normal;
    int32_t *points;                  /* code points, while normalising */
    size_t cap_points;
    struct tok_symbol *symbols;
    size_t cap_symbols;
    struct tok_candidate *heap;       /* least key first */
    size_t n_heap, cap_heap;
    size_t origin;                    /* offset of the fragment in the text, for messages */
    const char *word_base;            /* the fragment whose words are being merged */
    struct idem_err *err;
};

int tok_emit(struct tok_work *w, int32_t id);
/* Makes *buf hold n elements; the old contents are lost unless keep. */
int tok_reserve(struct tok_work *w, void **buf, size_t *cap, size_t n, size_t size, bool keep);

/* Merges s[0 .. len) (valid UTF-8, at most 1 GiB), which starts as single bytes for BPE and as
 * characters for SentencePiece, best pair first, ties leftmost, and emits the result.
 * O(len log len). */
int tok_merge(struct tok_work *w, const char *s, size_t len);

/* Pre-tokenises and merges. */
int tok_bpe_fragment(struct tok_work *w, const char *s, size_t len);
/* Puts the space in front, if the model wants it, and merges. */
int tok_spm_fragment(struct tok_work *w, const char *s, size_t len);

/* s (valid UTF-8) in NFC: *out points to s itself if it is ASCII, else into w->normal. Time grows
 * linearly with len, whatever the text. */
int tok_nfc(struct tok_work *w, const char *s, size_t len, const char **out, size_t *out_len);

#endif
