/* SPDX-License-Identifier: MIT
 * Special tokens, whether they are put around a text, and the chat template: from
 * tokenizer_config.json, tokenizer.json and config.json, in llama.cpp's order of trust. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "convert/recipe.h"
#include "convert/vocab.h"

enum kind { BOS, EOS, UNK, SEP, PAD, CLS, MASK, EOT, EOM, N_KINDS };
static const char *const kind_names[N_KINDS] = {"bos", "eos", "unk", "sep", "pad", "cls", "mask", "eot", "eom"};
static const char *const id_keys[N_KINDS] = {
    "bos_token_id", "eos_token_id", "unknown_token_id", "seperator_token_id", "padding_token_id",
    "cls_token_id", "mask_token_id", "eot_token_id", "eom_token_id",
};

/* What was found, in the order of finding, which is the order of the keys. */
struct special {
    const struct vocab *v;
    struct jstr name[N_KINDS];               /* text of the token; s NULL: none */
    bool wanted[N_KINDS];                    /* EOT and EOM only if the template needs them */
    enum kind id_order[N_KINDS], add_order[N_KINDS];
    int64_t id[N_KINDS];                     /* -1: none */
    int add[N_KINDS];                        /* -1: not said */
    unsigned n_ids, n_adds;
};

static void set_id(struct special *s, enum kind k, const struct jval *v)
{
    uint64_t id;
    if (s->id[k] >= 0 || !jdoc_u64(v, &id) || id >= s->v->n)
        return;
    s->id[k] = (int64_t)id;
    s->id_order[s->n_ids++] = k;
}

static void set_add(struct special *s, enum kind k, bool value)
{
    if (s->add[k] < 0)
        s->add_order[s->n_adds++] = k;
    s->add[k] = value;
}

/* "x" or {"content": "x"}. */
static struct jstr text_of(const struct jval *v)
{
    const struct jval *content = v && v->type == JDOC_OBJECT ? jdoc_get(v, "content") : v;
    return content && content->type == JDOC_STRING && content->str.len ? content->str : (struct jstr){NULL, 0};
}

static bool same(struct jstr a, struct jstr b)
{
    return a.s && b.s && jdoc_cmp(a, b) == 0;
}

static struct jstr special_of(const struct jval *entry)
{
    const struct jval *id = jdoc_get(jdoc_get(entry, "SpecialToken"), "id");
    return id && id->type == JDOC_STRING ? id->str : (struct jstr){NULL, 0};
}

/* "<s> $A </s>": what stands at the ends is put around every text. */
static void read_template(struct special *s, const struct jval *processor)
{
    const struct jval *single = jdoc_get(processor, "single");
    if (!single || single->type != JDOC_ARRAY || single->n < 2)
        return;
    struct jstr first = special_of(&single->items[0]), last = special_of(&single->items[single->n - 1]);
    if (first.s) {
        if (!same(first, s->name[BOS]) && !same(first, s->name[CLS])) {
            if (!s->name[BOS].s)
                s->name[BOS] = first;
            if (!s->name[CLS].s)
                s->name[CLS] = first;
        }
        set_add(s, BOS, same(first, s->name[BOS]) || same(first, s->name[CLS]));
    }
    if (last.s) {
        if (!same(last, s->name[EOS])) {
            enum kind other = !s->wanted[EOT] ? EOT : EOM;
            if (s->v->config.there && !s->wanted[other]) {
                s->wanted[other] = true;
                s->name[other] = s->name[EOS];
            }
            s->name[EOS] = last;
        }
        set_add(s, EOS, true);
    }
}

static void read_tokenizer(struct special *s)
{
    const struct vocab *v = s->v;
    const struct jval *config = v->config.there ? v->config.doc.root : NULL;
    for (unsigned k = 0; k < N_KINDS; k++) {
        char key[32];
        snprintf(key, sizeof key, "%s_token", kind_names[k]);
        s->name[k] = text_of(jdoc_get(config, key));
    }
    if (!v->tokenizer.there)
        return;
    if (!s->name[BOS].s)
        s->name[BOS] = s->name[CLS];
    if (!s->name[EOS].s)
        s->name[EOS] = s->name[SEP];
    const struct jval *post = jdoc_get(v->tokenizer.doc.root, "post_processor"), *list = jdoc_get(post, "processors");
    size_t n = list && list->type == JDOC_ARRAY ? list->n : 1;
    for (size_t i = 0; post && i < n; i++) {
        const struct jval *p = list && list->type == JDOC_ARRAY ? &list->items[i] : post;
        if (jdoc_is(jdoc_get(p, "type"), "TemplateProcessing"))
            read_template(s, p);
    }
}

/* The id of the added token of this text in tokenizer.json. */
static const struct jval *added_id(const struct vocab *v, struct jstr text)
{
    const struct jval *list = v->tokenizer.there ? jdoc_get(v->tokenizer.doc.root, "added_tokens") : NULL;
    for (size_t i = 0; list && list->type == JDOC_ARRAY && i < list->n; i++) {
        const struct jval *content = jdoc_get(&list->items[i], "content");
        if (content && content->type == JDOC_STRING && same(content->str, text))
            return jdoc_get(&list->items[i], "id");
    }
    return NULL;
}

static void read_config(struct special *s)
{
    const struct vocab *v = s->v;
    for (unsigned k = 0; v->config.there && k < N_KINDS; k++) {
        char key[32];
        if (!s->wanted[k])
            continue;
        snprintf(key, sizeof key, "add_%s_token", kind_names[k]);
        const struct jval *add = jdoc_get(v->config.doc.root, key);
        if (add && (add->type == JDOC_TRUE || add->type == JDOC_FALSE))
            set_add(s, (enum kind)k, add->type == JDOC_TRUE);
        if (s->name[k].s)
            set_id(s, (enum kind)k, added_id(v, s->name[k]));
    }
    for (unsigned k = 0; k < N_KINDS; k++) {
        char key[32];
        snprintf(key, sizeof key, "%s_token_id", kind_names[k]);
        if (s->wanted[k])
            set_id(s, (enum kind)k, hfconf_get(v->conf, key));
    }
}

/* ---- chat template ---------------------------------------------------------------------------------- */

static void put_named(struct gguf_writer *w, struct jstr name, struct jstr text)
{
    char key[128] = "tokenizer.chat_template.";
    size_t at = strlen(key);
    for (size_t i = 0; i < name.len && at < sizeof key - 1; i++) {
        char c = name.s[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        key[at++] = plain ? c : '_';
    }
    key[at] = '\0';
    if (jdoc_eq(name, "default"))
        gguf_put_strn(w, "tokenizer.chat_template", text.s, text.len);
    else
        gguf_put_strn(w, key, text.s, text.len);
}

/* Several templates: [{"name": ..., "template": ...}, ...]. */
static int put_templates(const struct jdoc *d, const struct jval *list, struct gguf_writer *w, struct idem_err *err)
{
    struct gguf_str names[16];
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct jval *name = jdoc_get(&list->items[i], "name"), *text = jdoc_get(&list->items[i], "template");
        if (!name || !text || name->type != JDOC_STRING || text->type != JDOC_STRING || name->str.len > 64 || n == 16)
            return jdoc_err(d, &list->items[i], err, "a chat template must have 'name' and 'template'");
        put_named(w, name->str, text->str);
        if (!jdoc_eq(name->str, "default"))
            names[n++] = (struct gguf_str){name->str.s, name->str.len};
    }
    if (n)
        gguf_put_strs(w, "tokenizer.chat_templates", names, n);
    return 0;
}

static int put_chat_template(const struct vocab *v, struct gguf_writer *w, struct idem_err *err)
{
    const struct jval *t = v->config.there ? jdoc_get(v->config.doc.root, "chat_template") : NULL;
    const struct jdoc *d = &v->config.doc;
    if (!t && !v->jinja.len && v->template_json.there) {
        d = &v->template_json.doc;
        t = jdoc_get(d->root, "chat_template");
    }
    if (t && t->type == JDOC_STRING)
        gguf_put_strn(w, "tokenizer.chat_template", t->str.s, t->str.len);
    else if (t && t->type == JDOC_ARRAY)
        return put_templates(d, t, w, err);
    else if (t && t->type != JDOC_NULL)
        return jdoc_err(d, t, err, "'chat_template' must be a string or an array, not %s", jdoc_type_name(t));
    else if (v->jinja.len) {
        size_t bad;
        if (!utf8_valid(v->jinja.data, v->jinja.len, &bad))
            return err_set(err, IDEM_ERR_FORMAT, "%s/chat_template.jinja: byte %zu: this is not UTF-8", v->dir, bad);
        gguf_put_strn(w, "tokenizer.chat_template", v->jinja.data, v->jinja.len);
    }
    return 0;
}

int vocab_put_special(const struct vocab *v, struct gguf_writer *w, struct idem_err *err)
{
    struct special s = {.v = v};
    for (unsigned k = 0; k < N_KINDS; k++) {
        s.id[k] = s.add[k] = -1;
        s.wanted[k] = k < EOT;
    }
    read_tokenizer(&s);
    read_config(&s);
    char key[64];
    for (unsigned i = 0; i < s.n_ids; i++) {
        snprintf(key, sizeof key, "tokenizer.ggml.%s", id_keys[s.id_order[i]]);
        gguf_put_u32(w, key, (uint32_t)s.id[s.id_order[i]]);
    }
    for (unsigned i = 0; i < s.n_adds; i++) {
        enum kind k = s.add_order[i];
        if (k != BOS && k != EOS && k != SEP)
            continue;
        snprintf(key, sizeof key, "tokenizer.ggml.add_%s_token", kind_names[k]);
        gguf_put_bool(w, key, s.add[k]);
    }
    if (s.id[EOS] < 0)
        buf_adds(v->notes, "neither tokenizer_config.json nor config.json names an end-of-text token\n");
    if (put_chat_template(v, w, err) != 0)
        return -1;
    bool is_llama = strcmp(v->conf->recipe->arch, "llama") == 0 || strcmp(v->conf->recipe->arch, "granite") == 0;
    if (is_llama && v->n == 49152)       /* SmolLM2, as llama.cpp's converter knows it */
        gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    if (v->add_space_prefix >= 0)
        gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->add_space_prefix == 1);
    return 0;
}
