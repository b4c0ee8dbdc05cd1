/* SPDX-License-Identifier: MIT
 * Which of the pre-tokenizers that idem knows (src/engine/tok_pre.c) a tokenizer.json means, by its
 * structure and regular expressions, so that fine-tunes with other vocabularies are known too. */
#include <string.h>

#include "convert/recipe.h"
#include "convert/vocab.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

static const struct { const char *regex, *pre; } known[] = {
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST, "llama-bpe"},
    {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" REST, "qwen2"},
    {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}"
     "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "tekken"},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt-2"},
};

static bool is_true(const struct jval *v, const char *key, bool absent)
{
    const struct jval *x = jdoc_get(v, key);
    return x && x->type != JDOC_NULL ? x->type == JDOC_TRUE : absent;
}

static const char *unknown(const struct vocab *v, const struct jval *at, const char *what, struct jstr text,
                           struct idem_err *err)
{
    jdoc_err(&v->tokenizer.doc, at, err, "unknown pre-tokenizer: %s '%.*s'; idem knows those of GPT-2, SmolLM, "
             "Llama 3, Qwen2 and Mistral (tekken)", what, (int)(text.len < 400 ? text.len : 400), text.s);
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return NULL;
}

static struct jstr type_of(const struct jval *v)
{
    const struct jval *t = jdoc_get(v, "type");
    return t && t->type == JDOC_STRING ? t->str : (struct jstr){"?", 1};
}

/* ByteLevel at the end of every one of them; with its own expression or without. */
static bool byte_level(const struct jval *v, bool use_regex)
{
    return jdoc_is(jdoc_get(v, "type"), "ByteLevel") && !is_true(v, "add_prefix_space", true) &&
           is_true(v, "use_regex", true) == use_regex;
}

static const char *split_name(const struct vocab *v, const struct jval *split, struct idem_err *err)
{
    const struct jval *regex = jdoc_get(jdoc_get(split, "pattern"), "Regex");
    if (!regex || regex->type != JDOC_STRING || !jdoc_is(jdoc_get(split, "behavior"), "Isolated") ||
        is_true(split, "invert", false))
        return unknown(v, split, "type", type_of(split), err);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (jdoc_eq(regex->str, known[i].regex))
            return known[i].pre;
    return unknown(v, regex, "the expression", regex->str, err);
}

static const char *structure_name(const struct vocab *v, const struct jval *pre, struct idem_err *err)
{
    if (byte_level(pre, true))
        return "gpt-2";
    const struct jval *list = jdoc_get(pre, "pretokenizers");
    if (!jdoc_is(jdoc_get(pre, "type"), "Sequence") || !list || list->type != JDOC_ARRAY || list->n != 2)
        return unknown(v, pre ? pre : v->tokenizer.doc.root, "type", type_of(pre), err);
    const struct jval *first = &list->items[0], *last = &list->items[1];
    if (jdoc_is(jdoc_get(first, "type"), "Digits") && is_true(first, "individual_digits", false) &&
        byte_level(last, true))
        return "smollm";
    if (jdoc_is(jdoc_get(first, "type"), "Split") && byte_level(last, false))
        return split_name(v, first, err);
    return unknown(v, pre, "a sequence that begins with", type_of(first), err);
}

static int bad_part(const struct vocab *v, const struct jval *at, const char *what, struct jstr text,
                    struct idem_err *err)
{
    jdoc_err(&v->tokenizer.doc, at, err, "%s '%.*s' cannot be said in a GGUF file that idem reads", what,
             (int)(text.len < 100 ? text.len : 100), text.s);
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return -1;
}

/* NFC belongs to Qwen2's, none to the others. */
static int check_normalizer(const struct vocab *v, const char *pre, struct idem_err *err)
{
    const struct jval *n = jdoc_get(v->tokenizer.doc.root, "normalizer");
    const struct jval *list = jdoc_get(n, "normalizers");
    if (list && list->type == JDOC_ARRAY && list->n == 1)
        n = &list->items[0];
    if (list && list->type == JDOC_ARRAY && list->n == 0)
        n = NULL;
    bool nfc = jdoc_is(jdoc_get(n, "type"), "NFC"), none = !n || n->type == JDOC_NULL;
    if (!nfc && !none)
        return bad_part(v, n, "the normalizer", type_of(n), err);
    if (nfc && strcmp(pre, "qwen2") != 0)
        return bad_part(v, n, "with this pre-tokenizer, the normalizer", type_of(n), err);
    return 0;
}

static int check_model(const struct vocab *v, const char *pre, struct idem_err *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const struct jval *model = jdoc_get(v->tokenizer.doc.root, "model");
    for (size_t i = 0; i < 2; i++) {
        const struct jval *x = jdoc_get(model, affixes[i]);
        if (x && x->type == JDOC_STRING && x->str.len)
            return bad_part(v, x, affixes[i], x->str, err);
    }
    const struct jval *dropout = jdoc_get(model, "dropout");
    double share;
    if (jdoc_f64(dropout, &share) && share != 0)
        return bad_part(v, dropout, "dropout", dropout->str, err);
    bool ignores = is_true(model, "ignore_merges", false), meant = strcmp(pre, "llama-bpe") == 0 || strcmp(pre, "tekken") == 0;
    if (ignores && !meant)
        return bad_part(v, model, "with this pre-tokenizer,", (struct jstr){"ignore_merges", 13}, err);
    if (!ignores && meant)
        buf_adds(v->notes, "tokenizer.json lacks ignore_merges, which llama.cpp and idem take for granted with this "
                           "pre-tokenizer: a few rare words may be cut otherwise than by transformers\n");
    return 0;
}

const char *pretok_name(const struct vocab *v, struct idem_err *err)
{
    const char *name = structure_name(v, jdoc_get(v->tokenizer.doc.root, "pre_tokenizer"), err);
    if (!name || check_normalizer(v, name, err) != 0 || check_model(v, name, err) != 0)
        return NULL;
    /* the same expression under the name that llama.cpp gives it */
    return strcmp(name, "gpt-2") == 0 && strcmp(v->conf->recipe->arch, "phi2") == 0 ? "phi-2" : name;
}
