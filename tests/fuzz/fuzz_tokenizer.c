/* SPDX-License-Identifier: MIT
 * libFuzzer: any text through every tokenizer and back, over small vocabularies.
 * The first byte of the input chooses the tokenizer, the second the flags, the rest is text.
 *
 * What must hold: malformed UTF-8 is refused with its offset; ids to bytes gives the text (in the
 * model's normal form); those bytes give the same ids again; short texts give the ids that the
 * plainest possible merging gives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "engine/tok_pre.h"
#include "engine/tokenizer.h"
#include "gguf_write.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

enum { N_BPE = 6, N_SPM = 2, N_KINDS = N_BPE + N_SPM, MAX_WORDS = 64, NAIVE_MAX = 300 };

static const char *const pre_names[N_BPE] = {"gpt-2", "smollm", "llama-bpe", "qwen2", "default", "qwen2"};

/* Merged words in the order of their ranks; each is the join of two that came before or of bytes. */
static const char *const parts[][2] = {
    {" ", "t"}, {"h", "e"}, {"i", "n"}, {"a", "b"}, {"ab", "ab"}, {" t", "he"}, {"\n", "\n"},
    {" ", " "}, {"  ", "  "}, {"1", "2"}, {"12", "3"}, {"\xC3", "\xA9"}, {"e", "\xCC\x81"}, {"\xCC", "\x81"},
    {"'", "s"}, {"b", "a"}, {"a", "a"}, {"aa", "aa"}, {"\xE2", "\x96"}, {"\xE2\x96", "\x81"}, {".", "."},
};
enum { N_PARTS = sizeof parts / sizeof parts[0] };
static const char *const control[] = {"<s>", "</s>", "<|im|>"};
static const char *const user[] = {"<u>", "<u><u>"};

/* Tokens that no merge gives: only a tokenizer that looks up whole words finds them. */
static const char *const unmerged[] = {"zq", " zq"};

/* One vocabulary, as the harness knows it: texts as bytes, by id. */
static struct vocab {
    struct tokenizer *t;
    bool bpe, ignore_merges, nfc, prefix;
    size_t n;
    struct { char s[16]; size_t len; bool word; } tok[512];
    size_t merged;               /* id of the first merged word; rank r is id merged + r */
} vocabs[N_KINDS];

/* ---- the vocabularies ---------------------------------------------------------------------- */

static void utf8_put(char *out, size_t *n, unsigned cp)
{
    if (cp >= 0x80)
        out[(*n)++] = (char)(0xC0 | cp >> 6);
    out[(*n)++] = (char)(cp >= 0x80 ? 0x80 | (cp & 63) : cp);
}

/* Bytes in the GPT-2 alphabet: the printable Latin-1 ones as they are, the others from U+0100 on. */
static size_t gpt2_text(char *out, const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned b = (unsigned char)s[i], shift = 0;
        bool plain = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
        for (unsigned k = 0; k < b && !plain; k++)
            shift += !((k >= 33 && k <= 126) || (k >= 161 && k != 173));
        utf8_put(out, &n, plain ? b : 256 + shift);
    }
    return n;
}

static void add(struct vocab *v, const char *s, size_t len, bool word)
{
    MUST(v->n < 512 && len < 16);
    memcpy(v->tok[v->n].s, s, len);
    v->tok[v->n].len = len;
    v->tok[v->n++].word = word;
}

/* What the file has for a token: U+2581 for spaces, or the GPT-2 alphabet. */
static void put_word(struct gw *w, const struct vocab *v, const char *s, size_t len)
{
    char out[64];
    size_t n = 0;
    if (v->bpe) {
        n = gpt2_text(out, s, len);
    } else {
        for (size_t i = 0; i < len; i++) {
            memcpy(out + n, s[i] == ' ' ? "\xE2\x96\x81" : s + i, s[i] == ' ' ? 3 : 1);
            n += s[i] == ' ' ? 3 : 1;
        }
    }
    gw_put_str(&w->kv, out, n);
}

static bool spm_can(const char *s)     /* SentencePiece has no tokens of half characters */
{
    return utf8_valid(s, strlen(s), NULL) && strstr(s, "\xE2\x96\x81") == NULL;
}

static void list_tokens(struct vocab *v, int32_t *types)
{
    char s[16];
    for (size_t i = 0; i < 3; i++, types[v->n - 1] = 3)
        add(v, control[i], strlen(control[i]), false);
    for (size_t i = 0; i < 2 && !v->nfc; i++, types[v->n - 1] = 4)
        add(v, user[i], strlen(user[i]), false);
    for (unsigned b = 0; b < 256; b++, types[v->n - 1] = v->bpe ? 1 : 6)
        add(v, (char[]){(char)b}, 1, v->bpe);
    if (!v->bpe)
        for (const char *c = " theinab\n123.'"; *c; c++, types[v->n - 1] = 1)
            add(v, c, 1, true);
    v->merged = v->n;
    for (size_t i = 0; i < N_PARTS; i++) {
        int len = snprintf(s, sizeof s, "%s%s", parts[i][0], parts[i][1]);
        if (!v->bpe && !spm_can(s))
            continue;
        add(v, s, (size_t)len, true);
        types[v->n - 1] = 1;
    }
    for (size_t i = 0; i < 2 && v->bpe; i++, types[v->n - 1] = 1)
        add(v, unmerged[i], strlen(unmerged[i]), true);
}

static void write_tokens(struct gw *w, const struct vocab *v, const int32_t *types)
{
    char hex[8];
    gw_array(w, "tokenizer.ggml.tokens", GGUF_STRING, v->n);
    for (size_t i = 0; i < v->n; i++) {
        if (types[i] == 3 || types[i] == 4) {
            gw_put_str(&w->kv, v->tok[i].s, v->tok[i].len);
        } else if (types[i] == 6) {
            snprintf(hex, sizeof hex, "<0x%02X>", (unsigned)(unsigned char)v->tok[i].s[0]);
            gw_put_str(&w->kv, hex, 6);
        } else {
            put_word(w, v, v->tok[i].s, v->tok[i].len);
        }
    }
    gw_i32s(w, "tokenizer.ggml.token_type", types, v->n);
}

static void write_merges(struct gw *w)
{
    char text[64];
    gw_array(w, "tokenizer.ggml.merges", GGUF_STRING, N_PARTS);
    for (size_t i = 0; i < N_PARTS; i++) {
        size_t n = gpt2_text(text, parts[i][0], strlen(parts[i][0]));
        text[n++] = ' ';
        n += gpt2_text(text + n, parts[i][1], strlen(parts[i][1]));
        gw_put_str(&w->kv, text, n);
    }
}

static void build(struct vocab *v, int kind)
{
    int32_t types[512] = {0};
    float scores[512];
    struct gw w;
    struct idem_err err = {0};
    size_t len;
    v->bpe = kind < N_BPE;
    v->nfc = v->bpe && strcmp(pre_names[kind], "qwen2") == 0 && kind != N_BPE - 1;
    v->ignore_merges = v->bpe && strcmp(pre_names[kind], "llama-bpe") == 0;
    v->prefix = kind == N_BPE;
    list_tokens(v, types);
    gw_init(&w, 3, 32);
    gw_str(&w, "tokenizer.ggml.model", v->bpe ? "gpt2" : "llama");
    gw_str(&w, "tokenizer.ggml.pre", v->bpe ? pre_names[kind] : "default");
    write_tokens(&w, v, types);
    if (v->bpe)
        write_merges(&w);
    for (size_t i = 0; i < v->n; i++)
        scores[i] = -(float)i;
    if (!v->bpe)
        gw_f32s(&w, "tokenizer.ggml.scores", scores, v->n);
    gw_u32(&w, "tokenizer.ggml.bos_token_id", 0);
    gw_u32(&w, "tokenizer.ggml.eos_token_id", 1);
    gw_bool(&w, "tokenizer.ggml.add_bos_token", kind % 2);
    gw_bool(&w, "tokenizer.ggml.add_eos_token", kind % 3 == 0);
    gw_bool(&w, "tokenizer.ggml.add_space_prefix", v->prefix);
    uint8_t *bytes = gw_finish(&w, &len);
    struct gguf *g = gguf_open_memory(bytes, len, "fuzz", &err);
    /* the last one is qwen2 without its normal form */
    v->t = g ? tok_open(g, kind == N_BPE - 1 ? IDEM_NORMALIZE_NONE : IDEM_NORMALIZE_MODEL, 0, &err) : NULL;
    if (!v->t)
        fprintf(stderr, "%s\n", err.msg);
    MUST(v->t);
    gguf_close(g);
    free(bytes);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (int i = 0; i < N_KINDS; i++)
        build(&vocabs[i], i);
    return 0;
}

/* ---- the plainest merging -------------------------------------------------------------------- */

static int32_t id_of(const struct vocab *v, const char *s, size_t len)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->tok[i].word && v->tok[i].len == len && memcmp(v->tok[i].s, s, len) == 0)
            return (int32_t)i;
    return -1;
}

/* The order in which this pair merges, the smaller the earlier; SIZE_MAX: it does not. */
static size_t rank_of(const struct vocab *v, const char *s, size_t a, size_t b)
{
    if (!v->bpe) {
        int32_t id = id_of(v, s, a + b);
        bool pieces = id_of(v, s, a) >= 0 && id_of(v, s + a, b) >= 0;
        return id < 0 || !pieces ? SIZE_MAX : (size_t)id;
    }
    for (size_t r = 0; r < N_PARTS; r++)
        if (strlen(parts[r][0]) == a && strlen(parts[r][1]) == b && memcmp(parts[r][0], s, a) == 0 &&
            memcmp(parts[r][1], s + a, b) == 0)
            return r;
    return SIZE_MAX;
}

struct ids { int32_t id[4 * NAIVE_MAX]; size_t n; };

/* Merges the best pair again and again by looking at all of them. */
static void naive_word(const struct vocab *v, struct ids *out, const char *s, size_t len)
{
    size_t cut[4 * NAIVE_MAX + 1], n = 0;
    int32_t cp;
    for (size_t i = 0; i < len; i += v->bpe ? 1 : utf8_next(s + i, len - i, &cp))
        cut[n++] = i;
    cut[n] = len;
    for (;;) {
        size_t best = SIZE_MAX, at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t r = rank_of(v, s + cut[i], cut[i + 1] - cut[i], cut[i + 2] - cut[i + 1]);
            if (r < best) {
                best = r;
                at = i;
            }
        }
        if (best == SIZE_MAX)
            break;
        memmove(cut + at + 1, cut + at + 2, (n - at - 1) * sizeof *cut);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t id = id_of(v, s + cut[i], cut[i + 1] - cut[i]);
        for (size_t k = cut[i]; id < 0 && k < cut[i + 1]; k++)
            out->id[out->n++] = (int32_t)(3 + 2 * !v->nfc + (unsigned char)s[k]);
        if (id >= 0)
            out->id[out->n++] = id;
    }
}

struct naive { const struct vocab *v; struct ids *out; const char *s; };

static int naive_cut(void *ctx, size_t offset, size_t len)
{
    struct naive *c = ctx;
    int32_t id = c->v->ignore_merges ? id_of(c->v, c->s + offset, len) : -1;
    if (id >= 0)
        c->out->id[c->out->n++] = id;
    else
        naive_word(c->v, c->out, c->s + offset, len);
    return 0;
}

static void naive_fragment(const struct vocab *v, int kind, struct ids *out, const char *s, size_t len)
{
    char with_space[NAIVE_MAX + 1] = " ";
    if (len == 0)
        return;
    if (v->bpe) {
        struct naive c = {v, out, s};
        const struct tok_pre *p = tok_pre_find(pre_names[kind], strlen(pre_names[kind]));
        MUST(p && tok_pre_split(p, s, len, naive_cut, &c) == 0);
    } else {
        memcpy(with_space + v->prefix, s, len);
        naive_word(v, out, with_space, len + v->prefix);
    }
}

/* The longest special token that s begins with, or -1. */
static int32_t naive_special(const struct vocab *v, const char *s, size_t len, bool parse)
{
    int32_t best = -1;
    for (int32_t i = parse ? 0 : 3; i < (v->nfc ? 3 : 5); i++)
        if (v->tok[i].len <= len && memcmp(v->tok[i].s, s, v->tok[i].len) == 0 &&
            (best < 0 || v->tok[i].len > v->tok[best].len))
            best = i;
    return best;
}

/* s is in the normal form already and has spaces for U+2581. */
static void check_naive(const struct vocab *v, int kind, const char *s, size_t len, bool parse,
                        const int32_t *ids, size_t n)
{
    static struct ids want;
    size_t from = 0;
    if (len >= NAIVE_MAX)
        return;
    want.n = 0;
    for (size_t i = 0; i < len;) {
        int32_t id = naive_special(v, s + i, len - i, parse);
        if (id < 0) {
            i++;
            continue;
        }
        naive_fragment(v, kind, &want, s + from, i - from);
        want.id[want.n++] = id;
        from = i += v->tok[id].len;
    }
    naive_fragment(v, kind, &want, s + from, len - from);
    MUST(want.n == n && memcmp(want.id, ids, n * sizeof *ids) == 0);
}

/* ---- one input ------------------------------------------------------------------------------- */

static int32_t *tokenize(const struct tokenizer *t, const char *s, size_t len, unsigned flags, size_t *n)
{
    struct idem_err err = {0};
    int32_t guard = -7;
    size_t again;
    if (tok_tokenize(t, s, len, flags, &guard, 0, n, &err) != 0)
        fprintf(stderr, "%s\n", err.msg);
    MUST(err.code == IDEM_OK && guard == -7);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    MUST(ids);
    MUST(tok_tokenize(t, s, len, flags, ids, *n, &again, &err) == 0 && again == *n);
    for (size_t i = 0; i < *n; i++)
        MUST(ids[i] >= 0 && (uint32_t)ids[i] < tok_info(t)->n_vocab);
    return ids;
}

static char *detokenize(const struct tokenizer *t, const int32_t *ids, size_t n, size_t *len)
{
    struct idem_err err = {0};
    size_t part;
    MUST(tok_detokenize(t, ids, n, true, NULL, 0, len, &err) == 0);
    char *s = malloc(*len + 1), half[8];
    MUST(s && tok_detokenize(t, ids, n, true, s, *len, &part, &err) == 0 && part == *len);
    size_t cap = *len < sizeof half ? *len : sizeof half;
    MUST(tok_detokenize(t, ids, n, true, half, cap, &part, &err) == 0 && part == *len);
    MUST(memcmp(half, s, cap) == 0);
    return s;
}

/* What ids to bytes must give back: spaces for U+2581, or the normal form of plain text. */
static char *expected(const struct vocab *v, const char *s, size_t len, size_t *out_len)
{
    if (v->nfc) {
        utf8proc_uint8_t *p = NULL;
        utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len, &p,
                                          UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        MUST(n >= 0);
        *out_len = (size_t)n;
        return (char *)p;
    }
    char *out = malloc(len + 1);
    MUST(out);
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        bool space = !v->bpe && len - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0;
        out[n] = space ? ' ' : s[i];
        i += space ? 3 : 1;
    }
    *out_len = n;
    return out;
}

static void check_text(const struct vocab *v, int kind, const char *s, size_t len, unsigned flags)
{
    size_t n, n_again, text_len, want_len;
    const struct tok_info *f = tok_info(v->t);
    int32_t *all = tokenize(v->t, s, len, flags, &n), *ids = all;
    if (flags & IDEM_TOK_ADD_SPECIAL) {
        if (f->add_bos) {
            MUST(n > 0 && ids[0] == f->bos);
            ids++;
            n--;
        }
        if (f->add_eos) {
            MUST(n > 0 && ids[n - 1] == f->eos);
            n--;
        }
    }
    char *text = detokenize(v->t, ids, n, &text_len);
    char *want = expected(v, s, len, &want_len);
    /* a special token ends a normal form, so the whole text's may differ around it */
    bool comparable = !v->nfc || !(flags & IDEM_TOK_PARSE_SPECIAL) || !memchr(s, '<', len);
    /* the space in front of what follows a special token stays */
    bool same = !v->prefix || !memchr(s, '<', len);
    if (comparable && same)
        MUST(text_len == want_len && memcmp(text, want, want_len) == 0);
    int32_t *again = tokenize(v->t, same ? text : s, same ? text_len : len, flags & IDEM_TOK_PARSE_SPECIAL, &n_again);
    MUST(n_again == n && memcmp(again, ids, n * sizeof *ids) == 0);
    check_naive(v, kind, same ? text : want, same ? text_len : want_len, flags & IDEM_TOK_PARSE_SPECIAL, ids, n);
    free(again);
    free(want);
    free(text);
    free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    int kind = data[0] % N_KINDS;
    unsigned flags = data[1] & (IDEM_TOK_ADD_SPECIAL | IDEM_TOK_PARSE_SPECIAL);
    const struct vocab *v = &vocabs[kind];
    const char *s = (const char *)data + 2;
    size_t bad;
    len -= 2;
    if (utf8_valid(s, len, &bad)) {
        check_text(v, kind, s, len, flags);
        return 0;
    }
    struct idem_err err = {0};
    char words[64];
    size_t n;
    snprintf(words, sizeof words, "byte offset %zu ", bad);
    MUST(tok_tokenize(v->t, s, len, flags, NULL, 0, &n, &err) == -1);
    MUST(err.code == IDEM_ERR_FORMAT && strstr(err.msg, words));
    return 0;
}
