/* SPDX-License-Identifier: MIT
 * How tokenizer.json treats text before merging, where llama.cpp has no key for it: the keys
 * tokenizer.idem.* of docs/tokenizers.md. A file whose tokenizer does what idem does without them
 * gets none. */
#include <stdlib.h>
#include <string.h>

#include "convert/recipe.h"
#include "convert/vocab.h"

enum { LSTRIP = 1, RSTRIP = 2, SINGLE_WORD = 4, NORMALIZED = 8 };

static bool is_true(const struct jval *v) { return v && v->type == JDOC_TRUE; }

static int32_t flags_of(const struct jval *e, bool normalizes)
{
    return (is_true(jdoc_get(e, "lstrip")) ? LSTRIP : 0) | (is_true(jdoc_get(e, "rstrip")) ? RSTRIP : 0) |
           (is_true(jdoc_get(e, "single_word")) ? SINGLE_WORD : 0) |
           (normalizes && is_true(jdoc_get(e, "normalized")) ? NORMALIZED : 0);
}

/* The entries of tokenizer.json, then those of tokenizer_config.json, which win. Ids were checked
 * when the tokens were read. */
static void read_flags(const struct vocab *v, const struct jval *root, int32_t *flags)
{
    const struct jval *normalizer = jdoc_get(root, "normalizer"), *list = jdoc_get(root, "added_tokens");
    bool normalizes = normalizer && normalizer->type == JDOC_OBJECT;
    uint64_t id;
    for (size_t i = 0; list && list->type == JDOC_ARRAY && i < list->n; i++)
        if (jdoc_u64(jdoc_get(&list->items[i], "id"), &id) && id < v->n)
            flags[id] = flags_of(&list->items[i], normalizes);
    const struct jval *map = v->config.there ? jdoc_get(v->config.doc.root, "added_tokens_decoder") : NULL;
    for (size_t i = 0; map && map->type == JDOC_OBJECT && i < map->n; i++) {
        struct jval key = {.type = JDOC_NUMBER, .str = map->members[i].key};
        if (key.str.len && jdoc_u64(&key, &id) && id < v->n)
            flags[id] = flags_of(&map->members[i].value, normalizes);
    }
}

static int put_added(const struct vocab *v, const struct jval *root, struct gguf_writer *w, struct idem_err *err)
{
    int32_t *flags = calloc(v->n, sizeof *flags), *ids = malloc(v->n * sizeof *ids);
    if (!flags || !ids) {
        free(flags);
        free(ids);
        return err_memory(err, "the flags of added tokens", v->n * sizeof *ids);
    }
    read_flags(v, root, flags);
    size_t n = 0;
    for (uint32_t i = 0; i < v->n; i++)
        if (flags[i] != 0) {
            ids[n] = (int32_t)i;
            flags[n++] = flags[i];   /* n <= i */
        }
    /* without the keys idem takes rstrip for granted in files that are named after Phi-3 */
    if (n == 0 && strcmp(v->conf->recipe->arch, "phi3") == 0 && v->n > 0)
        ids[n++] = 0;
    if (n) {
        gguf_put_i32s(w, "tokenizer.idem.added_tokens", ids, n);
        gguf_put_i32s(w, "tokenizer.idem.added_flags", flags, n);
    }
    free(flags);
    free(ids);
    return 0;
}

/* Prepend, or no space, is what tokenizer.ggml.add_space_prefix says. */
static const char *metaspace_of(const struct jval *root)
{
    const struct jval *pre = jdoc_get(root, "pre_tokenizer"), *scheme = jdoc_get(pre, "prepend_scheme");
    const struct jval *old = jdoc_get(pre, "add_prefix_space");
    if (!jdoc_is(jdoc_get(pre, "type"), "Metaspace"))
        return NULL;
    if (jdoc_is(scheme, "first"))
        return "metaspace-first";
    if (jdoc_is(scheme, "never") || (!scheme && old && old->type == JDOC_FALSE))
        return NULL;
    return "metaspace-always";
}

int vocab_put_rules(const struct vocab *v, struct gguf_writer *w, struct idem_err *err)
{
    if (!v->tokenizer.there)
        return 0;
    const struct jval *root = v->tokenizer.doc.root, *n = jdoc_get(root, "normalizer"), *list = jdoc_get(n, "normalizers");
    bool spm = strcmp(v->model, "llama") == 0, none = !n || n->type == JDOC_NULL ||
                                                      (list && list->type == JDOC_ARRAY && list->n == 0);
    const char *scheme = spm ? metaspace_of(root) : NULL;
    if (scheme)
        gguf_put_str(w, "tokenizer.idem.space_prefix", scheme);
    if (none && strcmp(v->pre, "qwen2") == 0)
        gguf_put_str(w, "tokenizer.idem.normalizer", "none");
    return put_added(v, root, w, err);
}
