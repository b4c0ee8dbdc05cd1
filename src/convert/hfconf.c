/* SPDX-License-Identifier: MIT
 * Reading config.json. Defaults are those of the classes in transformers, where published
 * files leave a key out; everything else must be there. */
#include "convert/hfconf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/recipe.h"

#define CONFIG_MAX ((size_t)16 << 20)
enum { MAX_LAYERS = 10000, MAX_DIM = 1 << 24, MAX_HEADS = 1 << 16 };

static const struct jval *not_null(const struct jval *v)
{
    return v && v->type != JDOC_NULL ? v : NULL;
}

const struct jval *hfconf_get(const struct hfconf *c, const char *key)
{
    const struct jval *v = not_null(jdoc_get(c->text, key));
    return v ? v : not_null(jdoc_get(c->doc.root, key));
}

int hfconf_err(const struct hfconf *c, const char *key, struct idem_err *err, const char *fmt, ...)
{
    char msg[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    const struct jval *v = hfconf_get(c, key);
    return jdoc_err(&c->doc, v, err, "key '%s' %s", key, msg);
}

int hfconf_u32(const struct hfconf *c, const char *key, bool required, uint32_t *out, struct idem_err *err)
{
    uint64_t n;
    const struct jval *v = hfconf_get(c, key);
    if (!v)
        return required ? hfconf_err(c, key, err, "is missing") : 0;
    if (!jdoc_u64(v, &n) || n > UINT32_MAX)
        return hfconf_err(c, key, err, "must be a whole number in 0 to 4294967295");
    *out = (uint32_t)n;
    return 0;
}

int hfconf_f64(const struct hfconf *c, const char *key, bool required, double *out, struct idem_err *err)
{
    const struct jval *v = hfconf_get(c, key);
    if (!v)
        return required ? hfconf_err(c, key, err, "is missing") : 0;
    return jdoc_f64(v, out) ? 0 : hfconf_err(c, key, err, "must be a finite number, not %s", jdoc_type_name(v));
}

int hfconf_bool(const struct hfconf *c, const char *key, bool required, bool *out, struct idem_err *err)
{
    const struct jval *v = hfconf_get(c, key);
    if (!v)
        return required ? hfconf_err(c, key, err, "is missing") : 0;
    if (v->type != JDOC_TRUE && v->type != JDOC_FALSE)
        return hfconf_err(c, key, err, "must be true or false, not %s", jdoc_type_name(v));
    *out = v->type == JDOC_TRUE;
    return 0;
}

/* ---- which architecture ------------------------------------------------------------------------ */

static int find_recipe(struct hfconf *c, struct idem_err *err)
{
    const struct jval *list = hfconf_get(c, "architectures");
    struct buf known;
    buf_init(&known, 4096);
    recipe_list(&known);
    int rc = 0;
    if (!list || list->type != JDOC_ARRAY || list->n == 0 || list->items[0].type != JDOC_STRING) {
        rc = hfconf_err(c, "architectures", err, "must be an array that names the model's class");
    } else {
        c->recipe = recipe_find(list->items[0].str);
        if (!c->recipe) {
            struct jstr name = list->items[0].str;
            rc = hfconf_err(c, "architectures", err, "names the class '%.*s', which idem cannot convert; these "
                            "it can: %s", (int)(name.len < 100 ? name.len : 100), name.s, known.data);
            if (err)
                err->code = IDEM_ERR_UNSUPPORTED;
        }
    }
    buf_release(&known);
    return rc;
}

/* ---- sizes ----------------------------------------------------------------------------------------- */

static int in_range(const struct hfconf *c, const char *key, uint32_t v, uint32_t max, struct idem_err *err)
{
    return v >= 1 && v <= max ? 0 : hfconf_err(c, key, err, "is %u, not in 1 to %u", v, max);
}

/* The first of two names that is there. */
static const char *name_of(const struct hfconf *c, const char *a, const char *b)
{
    return !hfconf_get(c, a) && hfconf_get(c, b) ? b : a;
}

static int read_heads(struct hfconf *c, struct idem_err *err)
{
    bool gemma3 = strcmp(c->recipe->arch, "gemma3") == 0;
    const char *heads = name_of(c, "num_attention_heads", "n_head");
    c->n_head = gemma3 ? 8 : 0;
    if (hfconf_u32(c, heads, !gemma3, &c->n_head, err) != 0 || in_range(c, heads, c->n_head, MAX_HEADS, err) != 0)
        return -1;
    c->n_head_kv = gemma3 ? 4 : c->n_head;
    if (hfconf_u32(c, "num_key_value_heads", false, &c->n_head_kv, err) != 0 ||
        in_range(c, "num_key_value_heads", c->n_head_kv, c->n_head, err) != 0)
        return -1;
    if (c->n_head % c->n_head_kv)
        return hfconf_err(c, "num_key_value_heads", err, "is %u, which does not divide the %u heads",
                          c->n_head_kv, c->n_head);
    c->head_dim = c->n_embd / c->n_head;
    return 0;
}

static int read_sizes(struct hfconf *c, struct idem_err *err)
{
    bool gemma3 = strcmp(c->recipe->arch, "gemma3") == 0;
    const char *layers = name_of(c, "num_hidden_layers", "n_layer"), *embd = name_of(c, "hidden_size", "n_embd");
    if (hfconf_u32(c, layers, true, &c->n_layer, err) != 0 || in_range(c, layers, c->n_layer, MAX_LAYERS, err) != 0 ||
        hfconf_u32(c, embd, true, &c->n_embd, err) != 0 || in_range(c, embd, c->n_embd, MAX_DIM, err) != 0)
        return -1;
    const char *ctx = hfconf_get(c, "n_ctx") ? "n_ctx" : name_of(c, "max_position_embeddings", "n_positions");
    const char *ff = name_of(c, "intermediate_size", "n_inner");
    bool gpt2 = strcmp(c->recipe->arch, "gpt2") == 0;
    c->n_ctx = gemma3 ? 131072 : 0;
    c->n_ff = gpt2 ? 4 * c->n_embd : 0;
    c->n_vocab = gemma3 ? 262208 : 0;
    if (hfconf_u32(c, ctx, !gemma3, &c->n_ctx, err) != 0 || in_range(c, ctx, c->n_ctx, 1u << 30, err) != 0 ||
        hfconf_u32(c, ff, !gpt2, &c->n_ff, err) != 0 || in_range(c, ff, c->n_ff, MAX_DIM, err) != 0 ||
        hfconf_u32(c, "vocab_size", !gemma3, &c->n_vocab, err) != 0 ||
        in_range(c, "vocab_size", c->n_vocab, MAX_DIM, err) != 0 || read_heads(c, err) != 0)
        return -1;
    c->tied = c->recipe->tied;
    if (hfconf_bool(c, "tie_word_embeddings", false, &c->tied, err) != 0 ||
        hfconf_bool(c, "attention_bias", false, &c->attention_bias, err) != 0 ||
        hfconf_bool(c, "mlp_bias", false, &c->mlp_bias, err) != 0)
        return -1;
    const char *eps = hfconf_get(c, "layer_norm_epsilon") ? "layer_norm_epsilon"
                                                          : name_of(c, "rms_norm_eps", "layer_norm_eps");
    c->eps = gemma3 ? 1e-6 : 0;
    if (hfconf_f64(c, eps, !gemma3, &c->eps, err) != 0)
        return -1;
    return c->eps > 0 && c->eps < 1 ? 0 : hfconf_err(c, eps, err, "must be in 0 to 1");
}

/* What the recipe left open. */
static int finish(struct hfconf *c, struct idem_err *err)
{
    if (!c->has_head_dim && c->n_embd % c->n_head && !c->rope_dim)
        return hfconf_err(c, name_of(c, "num_attention_heads", "n_head"), err,
                          "is %u, which does not divide the width of %u, and head_dim is missing",
                          c->n_head, c->n_embd);
    if (!c->v_dim)
        c->v_dim = c->head_dim;
    if (!c->n_rot)
        c->n_rot = c->head_dim;
    if (c->head_dim < 2 || c->head_dim > 4096 || c->n_rot < 2 || c->n_rot % 2)
        return hfconf_err(c, c->has_head_dim ? "head_dim" : name_of(c, "num_attention_heads", "n_head"), err,
                          "gives heads of %u dimensions, of which rope turns %u: it must turn an even number",
                          c->head_dim, c->n_rot);
    return 0;
}

static int read_all(struct hfconf *c, struct idem_err *err)
{
    if (c->doc.root->type != JDOC_OBJECT)
        return jdoc_err(&c->doc, c->doc.root, err, "config.json must hold an object");
    const struct jval *text = jdoc_get(c->doc.root, "text_config");
    c->text = text && text->type == JDOC_OBJECT ? text : NULL;
    if (find_recipe(c, err) != 0 || recipe_check(c, err) != 0 || read_sizes(c, err) != 0 ||
        hfconf_rope(c, err) != 0)
        return -1;
    if (c->recipe->read && c->recipe->read(c, err) != 0)
        return -1;
    return finish(c, err);
}

int hfconf_open(struct hfconf *c, const char *dir, struct idem_err *err)
{
    *c = (struct hfconf){0};
    size_t n = strlen(dir) + sizeof "/config.json";
    char *path = malloc(n);
    if (!path)
        return err_memory(err, "a file name", n);
    snprintf(path, n, "%s/config.json", dir);
    int rc = jdoc_open(&c->doc, path, CONFIG_MAX, err);
    free(path);
    if (rc == 0 && read_all(c, err) != 0) {
        hfconf_close(c);
        rc = -1;
    }
    return rc;
}

void hfconf_close(struct hfconf *c)
{
    jdoc_close(&c->doc);
    *c = (struct hfconf){0};
}
