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

/* How an added token is cut out of a text; numbers of tokenizer.idem.added_flags. */
enum {
    TOK_ADDED_LSTRIP = 1,       /* takes the white space before it along */
    TOK_ADDED_RSTRIP = 2,       /* and that behind it */
    TOK_ADDED_SINGLE_WORD = 4,  /* not within a word */
    TOK_ADDED_NORMALIZED = 8,   /* is looked for after the text was normalised */
    TOK_ADDED_ALL = 15
};
struct tok_cut { const char *s; uint32_t len; int32_t id; uint32_t flags; };
struct tok_cuts {
    struct tok_cut *at;         /* in the order of their bytes */
    uint32_t n, first[257];     /* those that begin with byte b: [first[b], first[b + 1]) */
};

enum tok_prefix {               /* the space that SentencePiece puts in front of a text */
    TOK_PREFIX_NONE = 0,
    TOK_PREFIX_EACH,            /* each stretch between added tokens gets one */
    TOK_PREFIX_EACH_ONCE,       /* unless it begins with one */
    TOK_PREFIX_FIRST_ONCE       /* only the start of the text, unless it begins with one */
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
    struct tok_cuts cuts[2];      /* added tokens: of the text as it is, of the normalised text */
    bool nfc;
    const struct tok_pre *pre;    /* byte-level BPE; NULL for SentencePiece */
    struct tok_merge *merges;     /* open addressing by (left, right); NULL: pairs go by scores */
    uint32_t merge_mask;
    const uint32_t *priority;     /* [n_tokens] from the scores: the smaller merges first */
    enum tok_prefix prefix;       /* SentencePiece */
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

/* Reads what the file says of added tokens and makes both tables of t->cuts. t->nfc, t->prefix and
 * t->info are set. */
int tok_load_added(struct tokenizer *t, const struct gguf *g, struct idem_err *err);

/* ---- the work of one call ------------------------------------------------------------------------ */

struct tok_symbol { uint32_t start, len, prev, next; int32_t id; };   /* len 0: merged away */
struct tok_candidate { uint64_t key; uint32_t len; int32_t id; };

struct tok_work {
    const struct tokenizer *t;
    int32_t *ids;                     /* the result */
    size_t n_ids, cap_ids;
    char *text, *normal, *word;       /* a fragment with its spaces rewritten; in NFC; with its prefix */
    size_t cap_text, cap_normal, cap_word;
    bool parse, first;                /* control tokens too; the fragment begins the text */
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

/* Cuts the added tokens of a table out of s[0 .. len) and calls part(ctx, id, from, to) for them
 * and, with id -1, for the stretches between them, until one returns not 0. parse: control tokens
 * too. blank: U+0020 is white space (in normalised text it may stand for U+2581, which is not). */
int tok_cut(const struct tokenizer *t, const struct tok_cuts *c, const char *s, size_t len, bool parse,
            bool blank, int (*part)(void *ctx, int32_t id, size_t from, size_t to), void *ctx);

/* Pre-tokenises and merges. */
int tok_bpe_fragment(struct tok_work *w, const char *s, size_t len);
/* What SentencePiece makes of a fragment before merging: *out points to s itself or into w->text. */
int tok_spm_normalize(struct tok_work *w, const char *s, size_t len, const char **out, size_t *out_len);

/* s (valid UTF-8) in NFC: *out points to s itself if it is ASCII, else into w->normal. Time grows
 * linearly with len, whatever the text. */
int tok_nfc(struct tok_work *w, const char *s, size_t len, const char **out, size_t *out_len);

#endif
