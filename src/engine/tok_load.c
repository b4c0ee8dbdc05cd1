/* SPDX-License-Identifier: MIT
 * Opening a tokenizer: every key of tokenizer.ggml.* checked, the tables built. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "engine/tok_impl.h"

#define KEY(name) "tokenizer.ggml." name
#define OWN(name) "tokenizer.idem." name   /* tok_added.c lists these keys */
#define MAX_BYTES ((size_t)4 << 30)   /* of all tables of one tokenizer */

/* ---- kinds of tokenizer ---------------------------------------------------------------------------- */

static int unsupported(const struct gguf *g, const char *key, struct gguf_str value,
                       const char *supported, struct idem_err *err)
{
    char shown[65];
    size_t n = value.len < sizeof shown ? value.len : sizeof shown - 1;
    for (size_t i = 0; i < n; i++)
        shown[i] = value.data[i] >= 0x20 && value.data[i] < 0x7F ? value.data[i] : '?';
    shown[n] = '\0';
    gguf_err_key(g, key, err, "the value '%s' is not supported; idem knows: %s", shown, supported);
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return -1;
}

static bool str_is(struct gguf_str s, const char *z)
{
    return s.len == strlen(z) && memcmp(s.data, z, s.len) == 0;
}

static int read_model(struct tokenizer *t, const struct gguf *g, struct idem_err *err)
{
    struct gguf_str model, pre = {"default", 7};
    if (gguf_get_str(g, KEY("model"), true, &model, err) != 0 ||
        gguf_get_str(g, KEY("pre"), false, &pre, err) != 0)
        return -1;
    if (pre.len == 0)
        pre = (struct gguf_str){"default", 7};
    bool bpe = str_is(model, "gpt2");
    if (!bpe && !str_is(model, "llama"))
        return unsupported(g, KEY("model"), model, "gpt2 (byte-level BPE), llama (SentencePiece)", err);
    if (!bpe && !str_is(pre, "default"))
        return unsupported(g, KEY("pre"), pre, "default (with tokenizer.ggml.model = llama)", err);
    if (bpe && !(t->pre = tok_pre_find(pre.data, pre.len))) {
        struct buf list;
        buf_init(&list, 4096);
        tok_pre_list(&list);
        buf_adds(&list, " (with tokenizer.ggml.model = gpt2)");
        unsupported(g, KEY("pre"), pre, list.failed ? "" : list.data, err);
        buf_release(&list);
        return -1;
    }
    struct buf name;
    buf_init(&name, 256);
    buf_addf(&name, "%s/%s", bpe ? "gpt2" : "llama", bpe ? t->pre->name : "default");
    t->info.name = name.failed ? NULL : arena_strdup(&t->arena, name.data);
    buf_release(&name);
    return t->info.name ? 0 : err_memory(err, "a tokenizer's name", 256);
}

/* ---- tokens ------------------------------------------------------------------------------------------ */

static int read_kinds(struct tokenizer *t, const struct gguf *g, struct idem_err *err)
{
    const struct gguf_kv *kv;
    if (gguf_get_array(g, KEY("token_type"), GGUF_I32, false, &kv, err) != 0)
        return -1;
    uint8_t *kind = arena_alloc(&t->arena, t->info.n_vocab);
    if (!kind)
        return err_memory(err, "the types of tokens", t->info.n_vocab);
    memset(kind, TOK_UNUSED, t->info.n_vocab);
    t->kind = kind;
    if (!kv) {
        memset(kind, TOK_NORMAL, t->n_tokens);
        return 0;
    }
    if (kv->n != t->n_tokens)
        return gguf_err_key(g, KEY("token_type"), err, "it has %llu elements for %u tokens; there "
                            "must be one for each", (unsigned long long)kv->n, t->n_tokens);
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        int32_t v;
        memcpy(&v, kv->data + (size_t)i * 4, 4);
        if (v < TOK_UNDEFINED || v > TOK_BYTE)
            return gguf_err_key(g, KEY("token_type"), err, "element %u is %d; types are 0 to 6", i, v);
        kind[i] = (uint8_t)v;
    }
    return 0;
}

/* <0xAB> gives 0xAB, anything else -1. */
static int byte_token(struct gguf_str s)
{
    if (s.len != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>')
        return -1;
    int v = 0;
    for (int i = 3; i < 5; i++) {
        char c = s.data[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
              : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* Writes what token `id` stands for to out, which has room for the text; returns its length.
 * *word: merging may give this token. */
static size_t decode(struct tokenizer *t, int32_t id, struct gguf_str s, char *out, bool *word)
{
    size_t n = 0;
    int byte;
    enum tok_kind kind = t->kind[id];
    *word = s.len > 0 && kind != TOK_CONTROL && kind != TOK_UNKNOWN && kind != TOK_BYTE;
    if (t->pre) {
        /* special tokens are text as it stands; so is what is not of the byte alphabet */
        if (*word && kind != TOK_USER && tok_unmap(s.data, s.len, out, s.len, &n) == 0) {
            if (n == 1 && t->byte_id[(unsigned char)out[0]] < 0)
                t->byte_id[(unsigned char)out[0]] = id;
            return n;
        }
        *word = *word && kind == TOK_USER;
    } else if (kind == TOK_BYTE && (byte = byte_token(s)) >= 0) {
        out[0] = (char)byte;
        if (t->byte_id[byte] < 0)
            t->byte_id[byte] = id;
        return 1;
    } else if (*word) {
        for (size_t i = 0; i < s.len;) {
            bool space = s.data[i] == '\xE2' && s.len - i >= 3 && memcmp(s.data + i, "\xE2\x96\x81", 3) == 0;
            out[n++] = space ? ' ' : s.data[i];
            i += space ? 3 : 1;
        }
        return n;
    }
    memcpy(out, s.data, s.len);
    return s.len;
}

static void insert_word(struct tokenizer *t, int32_t id)
{
    size_t len, n;
    const char *s = tok_at(t, id, &len);
    uint32_t hash = (uint32_t)digest_hash64(s, len), i = hash & t->word_mask;
    for (; t->words[i].id_plus_1; i = (i + 1) & t->word_mask) {
        if (t->words[i].hash != hash)
            continue;
        const char *other = tok_at(t, t->words[i].id_plus_1 - 1, &n);
        if (n == len && memcmp(s, other, len) == 0)
            return;   /* the same text again: the lowest id stands for it */
    }
    t->words[i] = (struct tok_word){hash, id + 1};
}

/* merges: the file names the pairs that merge, of any tokens, as Hugging Face's does. */
static int read_tokens(struct tokenizer *t, const struct gguf *g, size_t n_vocab, bool merges,
                       struct idem_err *err)
{
    const struct gguf_kv *kv, *scores;
    const float no_piece = -1000;   /* converters give this score to added tokens, which no merge makes */
    if (gguf_get_array(g, KEY("tokens"), GGUF_STRING, true, &kv, err) != 0)
        return -1;
    if (kv->n == 0 || kv->n > INT32_MAX / 4 || kv->data_bytes > UINT32_MAX)
        return gguf_err_key(g, KEY("tokens"), err, "a vocabulary of %llu tokens in %llu bytes is "
                            "not possible", (unsigned long long)kv->n, (unsigned long long)kv->data_bytes);
    if (n_vocab && kv->n > n_vocab)
        return gguf_err_key(g, KEY("tokens"), err, "%llu tokens are more than the %zu rows of the "
                            "embedding table", (unsigned long long)kv->n, n_vocab);
    if (n_vocab > INT32_MAX / 4)
        return gguf_err_key(g, KEY("tokens"), err, "%zu rows of the embedding table are more than "
                            "idem can hold", n_vocab);
    t->n_tokens = (uint32_t)kv->n;
    t->info.n_vocab = n_vocab ? (uint32_t)n_vocab : t->n_tokens;
    if (read_kinds(t, g, err) != 0)
        return -1;
    size_t text_len = (size_t)kv->data_bytes - 8 * (size_t)kv->n;
    uint32_t size = 64;
    while (size < t->n_tokens + t->n_tokens / 2)
        size *= 2;
    char *bytes = arena_alloc(&t->arena, text_len + 1);
    uint32_t *offset = arena_array(&t->arena, (size_t)t->info.n_vocab + 1, sizeof *offset);
    t->words = arena_array(&t->arena, size, sizeof *t->words);
    if (!bytes || !offset || !t->words)
        return err_memory(err, "a vocabulary", text_len + (size_t)t->info.n_vocab * 4 + (size_t)size * 8);
    t->word_mask = size - 1;
    t->bytes = bytes;
    t->offset = offset;
    memset(t->byte_id, -1, sizeof t->byte_id);
    const uint8_t *at = kv->data;
    if (gguf_get_array(g, KEY("scores"), GGUF_F32, false, &scores, err) != 0)
        return -1;
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        bool word;
        size_t n = decode(t, (int32_t)i, gguf_next_str(&at), bytes + offset[i], &word);
        offset[i + 1] = offset[i] + (uint32_t)n;
        if (n > t->max_len)
            t->max_len = (uint32_t)n;
        if (!t->pre && merges)
            word = n > 0 && t->kind[i] != TOK_BYTE;
        else if (!t->pre && word && t->kind[i] == TOK_USER && scores && i < scores->n)
            word = memcmp(scores->data + (size_t)i * 4, &no_piece, 4) != 0;
        if (word)
            insert_word(t, (int32_t)i);
    }
    for (uint32_t i = t->n_tokens; i < t->info.n_vocab; i++)
        offset[i + 1] = offset[i];
    return 0;
}

/* ---- scores ------------------------------------------------------------------------------------------- */

/* Scores as integers, the smaller the better, so that one heap serves scores and ranks. */
static int read_scores(struct tokenizer *t, const struct gguf *g, struct idem_err *err)
{
    const struct gguf_kv *kv;
    if (gguf_get_array(g, KEY("scores"), GGUF_F32, true, &kv, err) != 0)
        return -1;
    if (kv->n != t->n_tokens)
        return gguf_err_key(g, KEY("scores"), err, "it has %llu elements for %u tokens; there must "
                            "be one for each", (unsigned long long)kv->n, t->n_tokens);
    uint32_t *priority = arena_array(&t->arena, t->n_tokens, sizeof *priority);
    if (!priority)
        return err_memory(err, "the scores of tokens", (unsigned long long)t->n_tokens * 4);
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        float score;
        uint32_t u;
        memcpy(&score, kv->data + (size_t)i * 4, 4);
        if (isnan(score))
            return gguf_err_key(g, KEY("scores"), err, "element %u is not a number", i);
        score += 0.0f;   /* -0 is 0 */
        memcpy(&u, &score, 4);
        priority[i] = u & 0x80000000u ? u : 0x7FFFFFFFu - u;   /* rises as the score falls */
    }
    t->priority = priority;
    return 0;
}

/* ---- special tokens ------------------------------------------------------------------------------------ */

static int read_id(struct tokenizer *t, const struct gguf *g, const char *key, int32_t *id,
                   struct idem_err *err)
{
    *id = -1;
    if (!gguf_find(g, key))
        return 0;
    uint32_t v = 0;
    if (gguf_get_u32(g, key, true, &v, err) != 0)
        return -1;
    if (v >= t->n_tokens)
        return gguf_err_key(g, key, err, "token %u is outside the vocabulary of %u", v, t->n_tokens);
    *id = (int32_t)v;
    return 0;
}

/* Texts by which models end a turn or a document, whatever the file says of its ids. Only
 * special tokens count: a plain token of such a text is a text. */
static bool ends_generation(enum tok_kind kind, const char *s, size_t len)
{
    static const struct { const char *text; bool control_only; } ends[] = {
        {"<|im_end|>", false}, {"<|endoftext|>", false}, {"<|eot_id|>", false}, {"<|eom_id|>", false},
        {"<|end_of_text|>", false}, {"<|end|>", false}, {"<end_of_turn>", false}, {"<EOT>", false},
        {"<|return|>", false}, {"<end_of_utterance>", false},
        {"\x3C\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", false},
        {"</s>", true},   /* Gemma has the HTML tag as a token of text */
    };
    if (kind != TOK_CONTROL && kind != TOK_USER)
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strlen(ends[i].text) == len && memcmp(ends[i].text, s, len) == 0)
            return kind == TOK_CONTROL || !ends[i].control_only;
    return false;
}

static int read_specials(struct tokenizer *t, const struct gguf *g, struct idem_err *err)
{
    struct tok_info *f = &t->info;
    int32_t ends[2];
    f->add_bos = t->pre ? t->pre->add_bos : true;
    if (read_id(t, g, KEY("bos_token_id"), &f->bos, err) != 0 ||
        read_id(t, g, KEY("eos_token_id"), &f->eos, err) != 0 ||
        read_id(t, g, KEY("unknown_token_id"), &f->unk, err) != 0 ||
        read_id(t, g, KEY("padding_token_id"), &f->pad, err) != 0 ||
        read_id(t, g, KEY("eot_token_id"), &ends[0], err) != 0 ||
        read_id(t, g, KEY("eom_token_id"), &ends[1], err) != 0 ||
        gguf_get_bool(g, KEY("add_bos_token"), false, &f->add_bos, err) != 0 ||
        gguf_get_bool(g, KEY("add_eos_token"), false, &f->add_eos, err) != 0)
        return -1;
    if (f->add_bos && f->bos < 0)
        return gguf_err_key(g, KEY("bos_token_id"), err, "the key is missing, but this tokenizer puts "
                            "that token in front; name it, or set tokenizer.ggml.add_bos_token to false");
    if (f->add_eos && f->eos < 0)
        return gguf_err_key(g, KEY("eos_token_id"), err, "the key is missing, but "
                            "tokenizer.ggml.add_eos_token is true");
    t->eog = arena_alloc(&t->arena, f->n_vocab);
    if (!t->eog)
        return err_memory(err, "the tokens that end a text", f->n_vocab);
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            t->eog[ends[i]] = 1;
    if (f->eos >= 0)
        t->eog[f->eos] = 1;
    for (uint32_t i = 0; i < t->n_tokens; i++) {
        size_t len;
        const char *s = tok_at(t, (int32_t)i, &len);
        if (ends_generation(t->kind[i], s, len))
            t->eog[i] = 1;
    }
    return 0;
}

/* ---- what happens to text before merging ------------------------------------------------------------------- */

static int read_text_rules(struct tokenizer *t, const struct gguf *g, enum idem_normalize normalize,
                           struct idem_err *err)
{
    static const struct { const char *name; enum tok_prefix prefix; } schemes[] = {
        {"none", TOK_PREFIX_NONE}, {"prepend", TOK_PREFIX_EACH}, {"metaspace-always", TOK_PREFIX_EACH_ONCE},
        {"metaspace-first", TOK_PREFIX_FIRST_ONCE}};
    struct gguf_str scheme = {"", 0}, form = {"", 0};
    bool prefix = true, nfc = t->pre && t->pre->nfc;
    if (gguf_get_bool(g, KEY("add_space_prefix"), false, &prefix, err) != 0 ||
        gguf_get_str(g, OWN("space_prefix"), false, &scheme, err) != 0 ||
        gguf_get_str(g, OWN("normalizer"), false, &form, err) != 0)
        return -1;
    if (form.len && !str_is(form, "nfc") && !str_is(form, "none"))
        return unsupported(g, OWN("normalizer"), form, "nfc, none", err);
    if (form.len)
        nfc = str_is(form, "nfc");
    t->nfc = normalize == IDEM_NORMALIZE_NFC || (normalize == IDEM_NORMALIZE_MODEL && nfc);
    if (t->pre)
        return 0;
    t->prefix = prefix ? TOK_PREFIX_EACH : TOK_PREFIX_NONE;
    bool known = scheme.len == 0;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (str_is(scheme, schemes[i].name)) {
            t->prefix = schemes[i].prefix;
            known = true;
        }
    return known ? 0 : unsupported(g, OWN("space_prefix"), scheme,
                                   "none, prepend, metaspace-always, metaspace-first", err);
}

/* ---- open and close -------------------------------------------------------------------------------------- */

struct tokenizer *tok_open(const struct gguf *g, enum idem_normalize normalize, size_t n_vocab,
                           struct idem_err *err)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        err_memory(err, "a tokenizer", sizeof *t);
        return NULL;
    }
    arena_init(&t->arena, MAX_BYTES);
    bool merges = gguf_find(g, KEY("merges")) != NULL;   /* these are more exact than scores */
    if (read_model(t, g, err) != 0 || read_tokens(t, g, n_vocab, merges, err) != 0 ||
        (t->pre || merges ? tok_load_merges(t, g, err) : read_scores(t, g, err)) != 0 ||
        read_specials(t, g, err) != 0 || read_text_rules(t, g, normalize, err) != 0 ||
        tok_load_added(t, g, err) != 0) {
        tok_close(t);
        return NULL;
    }
    return t;
}

void tok_close(struct tokenizer *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    free(t);
}
