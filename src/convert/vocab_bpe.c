/* SPDX-License-Identifier: MIT
 * Byte-level BPE: tokenizer.json, or vocab.json with merges.txt. */
#include <string.h>

#include "convert/recipe.h"
#include "convert/vocab.h"

static const struct jdoc *doc_of(const struct vocab *v)
{
    return v->tokenizer.there ? &v->tokenizer.doc : &v->base.doc;
}

static int read_base(struct vocab *v, const struct jval *vocab, struct idem_err *err)
{
    const struct jdoc *d = doc_of(v);
    if (!vocab || vocab->type != JDOC_OBJECT || vocab->n == 0)
        return jdoc_err(d, vocab, err, "the vocabulary must be an object of tokens and ids, not %s",
                        jdoc_type_name(vocab));
    for (size_t i = 0; i < vocab->n; i++) {
        uint64_t id;
        if (!jdoc_u64(&vocab->members[i].value, &id))
            return jdoc_err(d, &vocab->members[i].value, err, "the id of a token must be a whole number");
        if (vocab_set(v, d, &vocab->members[i].value, id, vocab->members[i].key, VOCAB_NORMAL, err) != 0)
            return -1;
    }
    return 0;
}

static int add_token(struct vocab *v, const struct jdoc *d, const struct jval *at, uint64_t id, struct jstr text,
                     bool special, bool from_list, struct idem_err *err)
{
    bool control = special || vocab_looks_special(text);
    if (id < v->n && v->tokens[id].data) {
        const struct gguf_str *t = &v->tokens[id];
        struct gguf_str spaced = vocab_spaces(v, text);
        bool same = (t->len == text.len && memcmp(t->data, text.s, t->len) == 0) ||
                    (spaced.data && t->len == spaced.len && memcmp(t->data, spaced.data, t->len) == 0);
        if (same && from_list && v->types[id] != VOCAB_NORMAL)
            return 0;    /* added_tokens.json knows no "special" */
        if (same)
            v->tokens[id].data = NULL;
    }
    if (vocab_set(v, d, at, id, text, control ? VOCAB_CONTROL : VOCAB_USER, err) != 0)
        return -1;
    if (!control) {
        v->tokens[id] = vocab_spaces(v, text);
        if (!v->tokens[id].data)
            return err_memory(err, "a token", text.len);
    }
    return 0;
}

static void mark(struct vocab *v, const struct vocab_index *x, struct jstr text)
{
    int64_t id = vocab_index_find(x, text.s, text.len);
    if (id >= 0 && v->types[id] == VOCAB_NORMAL)
        v->types[id] = VOCAB_CONTROL;
}

/* What tokenizer_config.json names as bos_token and so on is cut out of text by transformers, though
 * no list of added tokens may have it; beside vocab.json also the class's own. */
static int mark_named(struct vocab *v, struct idem_err *err)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                                       "cls_token", "mask_token"};
    static const char of_class[] = "<|endoftext|>";
    struct vocab_index *x = vocab_index_new(v);
    if (!x)
        return err_memory(err, "the index of the vocabulary", v->n * sizeof(uint32_t));
    for (size_t i = 0; v->config.there && i < sizeof keys / sizeof keys[0]; i++) {
        const struct jval *t = jdoc_get(v->config.doc.root, keys[i]);
        t = t && t->type == JDOC_OBJECT ? jdoc_get(t, "content") : t;
        if (t && t->type == JDOC_STRING)
            mark(v, x, t->str);
    }
    if (v->base.there)
        mark(v, x, (struct jstr){of_class, sizeof of_class - 1});
    vocab_index_free(x);
    return 0;
}

/* vocab.json says nothing of how words are split; the class does. */
static const char *pre_of_class(const struct vocab *v, struct idem_err *err)
{
    static const struct { const char *name, *pre; } classes[] = {
        {"GPT2Tokenizer", "gpt-2"}, {"GPT2TokenizerFast", "gpt-2"}, {"CodeGenTokenizer", "phi-2"},
        {"CodeGenTokenizerFast", "phi-2"}, {"Qwen2Tokenizer", "qwen2"}, {"Qwen2TokenizerFast", "qwen2"},
    };
    const struct jval *name = v->config.there ? jdoc_get(v->config.doc.root, "tokenizer_class") : NULL;
    if (!name && strcmp(v->conf->recipe->arch, "gpt2") == 0)
        return "gpt-2";
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (jdoc_is(name, classes[i].name))
            return classes[i].pre;
    err_set(err, IDEM_ERR_UNSUPPORTED, "%s has vocab.json and merges.txt, but its tokenizer_class does not say how "
            "words are split; make a tokenizer.json: python3 -c \"from transformers import AutoTokenizer as T; "
            "T.from_pretrained('%s').save_pretrained('%s')\"", v->dir, v->dir, v->dir);
    return NULL;
}

int vocab_read_bpe(struct vocab *v, struct idem_err *err)
{
    const struct jval *model = v->tokenizer.there ? jdoc_get(v->tokenizer.doc.root, "model") : NULL;
    const struct jval *vocab = model ? jdoc_get(model, "vocab") : v->base.doc.root;
    v->model = "gpt2";
    if (model && !jdoc_is(jdoc_get(model, "type"), "BPE") && jdoc_get(model, "type"))
        return jdoc_err(&v->tokenizer.doc, model, err, "the tokenizer's model is not BPE");
    v->pre = model ? pretok_name(v, err) : pre_of_class(v, err);
    if (!v->pre || read_base(v, vocab, err) != 0 || vocab_read_merges(v, err) != 0)
        return -1;
    if (vocab_each_added(v, true, add_token, err) != 0 || mark_named(v, err) != 0)
        return -1;
    return vocab_fill_gaps(v, err);
}
