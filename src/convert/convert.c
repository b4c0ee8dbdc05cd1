/* SPDX-License-Identifier: MIT
 * The conversion from end to end. */
#include "convert/convert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/checkpoint.h"
#include "convert/meta.h"
#include "convert/recipe.h"
#include "convert/tensors.h"
#include "convert/vocab.h"

enum { NOTES_MAX = 1 << 16, QUANT_VERSION = 2 };

/* The numbers of general.file_type. */
static const struct { enum convert_type type; enum qtype qtype; uint32_t file_type; const char *name; } types[] = {
    {CONVERT_F32, QTYPE_F32, 0, "F32"}, {CONVERT_F16, QTYPE_F16, 1, "F16"},
    {CONVERT_Q8_0, QTYPE_Q8_0, 7, "Q8_0"}, {CONVERT_BF16, QTYPE_BF16, 32, "BF16"},
};

/* Not the torch_dtype of config.json, which fine-tunes get wrong: the first matrix in 16 bits. */
static enum convert_type auto_type(const struct checkpoint *ck)
{
    for (size_t i = 0; i < ck->n; i++) {
        const struct st_tensor *t = ck->tensors[i].t;
        if (t->n_dims >= 2 && t->dtype == ST_BF16)
            return CONVERT_BF16;
        if (t->n_dims >= 2 && t->dtype == ST_F16)
            return CONVERT_F16;
    }
    return CONVERT_F16;
}

/* Whatever stands under the new file's name must not be something else. */
static int check_target(const char *path, struct idem_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_set(err, IDEM_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    char magic[4] = "";
    FILE *f = S_ISREG(st.st_mode) && st.st_size >= 4 ? fopen(path, "rb") : NULL;
    bool gguf = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (f)
        fclose(f);
    if (S_ISREG(st.st_mode) && st.st_size == 0)
        return 0;
    return gguf ? 0 : err_set(err, IDEM_ERR_IO, "'%s' exists and is no GGUF file: give another name", path);
}

struct state {
    struct hfconf conf;
    struct checkpoint ck;
    struct vocab vocab;
    struct tensors tensors;
    struct gguf_writer *w;
};

static int read_all(struct state *s, const struct convert_options *opt, struct convert_result *r, size_t *type,
                    struct idem_err *err)
{
    if (checkpoint_open(&s->ck, opt->dir, err) != 0 || hfconf_open(&s->conf, opt->dir, err) != 0)
        return -1;
    enum convert_type wanted = opt->type == CONVERT_AUTO ? auto_type(&s->ck) : opt->type;
    *type = 0;
    while (types[*type].type != wanted)
        (*type)++;
    if (tensors_plan(&s->tensors, &s->conf, &s->ck, types[*type].qtype, err) != 0)
        return -1;
    return vocab_open(&s->vocab, &s->conf, opt->dir, &r->notes, err);
}

static int put_keys(struct state *s, const struct convert_options *opt, uint32_t file_type, struct idem_err *err)
{
    struct gguf_writer *w = s->w;
    gguf_put_str(w, "general.architecture", s->conf.recipe->arch);
    gguf_put_str(w, "general.type", "model");
    if (meta_put(&s->conf, opt->dir, s->tensors.n_params, w, err) != 0)
        return -1;
    s->conf.recipe->keys(&s->conf, w, file_type);
    gguf_put_u32(w, "general.quantization_version", QUANT_VERSION);
    vocab_put(&s->vocab, w);
    return vocab_put_special(&s->vocab, w, err) != 0 ? -1 : vocab_put_rules(&s->vocab, w, err);
}

static void fill_result(const struct state *s, size_t type, struct convert_result *r)
{
    snprintf(r->arch, sizeof r->arch, "%s", s->conf.recipe->arch);
    snprintf(r->hf_class, sizeof r->hf_class, "%s", s->conf.recipe->hf_class);
    snprintf(r->tokenizer, sizeof r->tokenizer, "%s", s->vocab.model);
    snprintf(r->pre, sizeof r->pre, "%s", s->vocab.pre);
    r->type = types[type].name;
    r->n_params = s->tensors.n_params;
    r->n_tensors = s->tensors.n;
    r->n_tokens = s->vocab.n;
    r->n_layers = s->conf.n_layer;
    r->bytes_in = s->ck.n_bytes;
    r->bytes_out = gguf_writer_data_bytes(s->w);
}

int convert_checkpoint(const struct convert_options *opt, struct convert_result *r, struct idem_err *err)
{
    struct state s = {0};
    size_t type = 0;
    *r = (struct convert_result){0};
    buf_init(&r->notes, NOTES_MAX);
    s.w = gguf_writer_new(opt->out);
    int rc = s.w ? check_target(opt->out, err) : err_memory(err, "a file", strlen(opt->out));
    if (rc == 0)
        rc = read_all(&s, opt, r, &type, err);
    if (rc == 0)
        rc = put_keys(&s, opt, types[type].file_type, err);
    if (rc == 0)
        rc = tensors_declare(&s.tensors, s.w, err);
    if (rc == 0)
        rc = gguf_writer_begin(s.w, err);
    if (rc == 0)
        rc = tensors_write(&s.tensors, s.w, opt->progress, opt->ctx, err);
    if (rc == 0)
        rc = gguf_writer_commit(s.w, err);
    if (rc == 0)
        fill_result(&s, type, r);
    tensors_release(&s.tensors);
    vocab_close(&s.vocab);
    hfconf_close(&s.conf);
    checkpoint_close(&s.ck);
    gguf_writer_free(s.w);
    return rc;
}
