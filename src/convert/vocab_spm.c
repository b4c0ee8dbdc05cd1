/* SPDX-License-Identifier: MIT
 * tokenizer.model: the vocabulary of SentencePiece (a protocol buffer), and added tokens.
 *
 *   ModelProto      1: SentencePiece*, 2: TrainerSpec, 3: NormalizerSpec
 *   SentencePiece   1: piece (text), 2: score (float), 3: type (the numbers of enum vocab_type)
 *   TrainerSpec     3: model_type (1 unigram, 2 BPE)
 *   NormalizerSpec  3: add_dummy_prefix */
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/utf8.h"
#include "convert/recipe.h"
#include "convert/vocab.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, BPE = 2 };
#define ADDED_SCORE (-1000.0f)

struct field {
    unsigned number, wire;
    uint64_t value;          /* varint, or bits of a fixed one */
    const uint8_t *data;     /* of WIRE_BYTES */
    size_t len;
};

struct proto { const uint8_t *p, *end, *start; };

static bool varint(struct proto *m, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; m->p < m->end && shift < 64; shift += 7) {
        uint8_t b = *m->p++;
        *out |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80))
            return true;
    }
    return false;
}

/* 1: a field; 0: the end; -1: damaged. */
static int next_field(struct proto *m, struct field *f)
{
    uint64_t tag;
    if (m->p == m->end)
        return 0;
    if (!varint(m, &tag) || tag >> 3 == 0 || tag >> 32)
        return -1;
    *f = (struct field){.number = (unsigned)(tag >> 3), .wire = (unsigned)(tag & 7)};
    size_t fixed = f->wire == WIRE_32 ? 4 : f->wire == WIRE_64 ? 8 : 0;
    if (f->wire == WIRE_VARINT)
        return varint(m, &f->value) ? 1 : -1;
    if (fixed) {
        if ((size_t)(m->end - m->p) < fixed)
            return -1;
        for (size_t i = 0; i < fixed; i++)
            f->value |= (uint64_t)*m->p++ << (8 * i);
        return 1;
    }
    uint64_t len;
    if (f->wire != WIRE_BYTES || !varint(m, &len) || len > (uint64_t)(m->end - m->p))
        return -1;
    f->data = m->p;
    f->len = (size_t)len;
    m->p += len;
    return 1;
}

static int damaged(const struct vocab *v, const struct proto *m, const char *what, struct idem_err *err)
{
    return err_set(err, IDEM_ERR_FORMAT, "%s/tokenizer.model: byte %zu: %s", v->dir, (size_t)(m->p - m->start), what);
}

struct reading { struct vocab *v; uint64_t n_pieces; uint64_t model_type; bool has_spec, dummy_prefix; };

static int read_piece(struct reading *r, const struct proto *outer, const struct field *piece, struct idem_err *err)
{
    struct vocab *v = r->v;
    struct proto m = {piece->data, piece->data + piece->len, outer->start};
    struct field f;
    struct gguf_str text = {"", 0};
    uint64_t type = VOCAB_NORMAL, id = r->n_pieces++;
    float score = 0;
    int rc;
    while ((rc = next_field(&m, &f)) == 1) {
        if (f.number == 1 && f.wire == WIRE_BYTES)
            text = (struct gguf_str){(const char *)f.data, f.len};
        else if (f.number == 2 && f.wire == WIRE_32)
            score = half_bits_f32((uint32_t)f.value);
        else if (f.number == 3 && f.wire == WIRE_VARINT)
            type = f.value;
    }
    if (rc < 0 || type < VOCAB_NORMAL || type > VOCAB_BYTE || text.len == 0 ||
        !utf8_valid(text.data, text.len, NULL) || !(score > -1e30f && score < 1e30f))
        return damaged(v, &m, "a piece of the vocabulary is damaged", err);
    if (id >= v->n)
        return err_set(err, IDEM_ERR_FORMAT, "%s/tokenizer.model: piece %llu ('%.*s') has no row: 'vocab_size' in "
                       "config.json is %u", v->dir, (unsigned long long)id, (int)(text.len < 64 ? text.len : 64),
                       text.data, v->n);
    v->tokens[id] = text;
    v->scores[id] = score;
    v->types[id] = type == VOCAB_USER ? VOCAB_NORMAL : (int32_t)type;   /* as llama.cpp: added tokens say it again */
    return 0;
}

static int read_model(struct reading *r, struct idem_err *err)
{
    const uint8_t *start = (const uint8_t *)r->v->spm.data;
    struct proto m = {start, start + r->v->spm.len, start};
    struct field f, inner;
    int rc;
    while ((rc = next_field(&m, &f)) == 1) {
        if (f.wire != WIRE_BYTES)
            continue;
        if (f.number == 1 && read_piece(r, &m, &f, err) != 0)
            return -1;
        r->has_spec = r->has_spec || f.number == 2;
        struct proto sub = {f.data, f.data + f.len, start};
        while (f.number > 1 && f.number < 4 && (rc = next_field(&sub, &inner)) == 1)
            if (inner.number == 3 && inner.wire == WIRE_VARINT) {
                if (f.number == 2)
                    r->model_type = inner.value;
                else
                    r->dummy_prefix = inner.value != 0;
            }
        if (rc < 0)
            return damaged(r->v, &sub, "the file is damaged", err);
    }
    if (rc < 0 || r->n_pieces == 0 || !r->has_spec)
        return damaged(r->v, &m, "this is not a model of SentencePiece, or it is cut short", err);
    return r->model_type == BPE ? 0 : err_set(err, IDEM_ERR_UNSUPPORTED, "%s/tokenizer.model is a %s model of "
                                              "SentencePiece; only BPE can be converted", r->v->dir,
                                              r->model_type == 1 ? "unigram" : "word or character");
}

static int add_token(struct vocab *v, const struct jdoc *d, const struct jval *at, uint64_t id, struct jstr text,
                     bool special, bool from_list, struct idem_err *err)
{
    bool phi3 = strcmp(v->conf->recipe->arch, "phi3") == 0;
    if (id >= v->n) {
        /* a token that transformers could name but not compute, as old fine-tunes have it */
        buf_addf(v->notes, "%s: the token '%.*s' is left out: its id %llu is not below vocab_size (%u)\n", d->path,
                 (int)(text.len < 64 ? text.len : 64), text.s, (unsigned long long)id, v->n);
        return 0;
    }
    (void)at;
    (void)err;
    bool control = !from_list && (special || (!phi3 && vocab_looks_special(text)));
    bool plain = control || from_list || phi3;
    v->tokens[id] = plain ? (struct gguf_str){text.s, text.len} : vocab_spaces(v, text);
    if (!v->tokens[id].data)
        return err_memory(err, "a token", text.len);
    v->types[id] = control ? VOCAB_CONTROL : VOCAB_USER;
    v->scores[id] = ADDED_SCORE;
    return 0;
}

/* llama.cpp: a space goes in front unless the file says no; Gemma's files always say no. Of
 * tokenizer.json and tokenizer.model the first decides, as in transformers. */
static void space_prefix(struct vocab *v, bool dummy_prefix)
{
    const char *arch = v->conf->recipe->arch;
    const struct jval *key = v->config.there ? jdoc_get(v->config.doc.root, "add_prefix_space") : NULL;
    bool is_llama = strcmp(arch, "llama") == 0 || strcmp(arch, "granite") == 0;
    bool prefix = v->tokenizer.there ? vocab_prepends_space(v->tokenizer.doc.root) : dummy_prefix;
    if (is_llama && key && (key->type == JDOC_TRUE || key->type == JDOC_FALSE))
        v->add_space_prefix = key->type == JDOC_TRUE;
    else if (strncmp(arch, "gemma", 5) == 0 || !prefix)
        v->add_space_prefix = 0;
}

int vocab_read_spm(struct vocab *v, struct idem_err *err)
{
    struct reading r = {.v = v, .model_type = 1, .dummy_prefix = true};
    bool phi3 = strcmp(v->conf->recipe->arch, "phi3") == 0;
    v->model = "llama";
    v->pre = "default";
    v->scores = calloc(v->n, sizeof *v->scores);
    if (!v->scores)
        return err_memory(err, "the scores", v->n * sizeof *v->scores);
    if (read_model(&r, err) != 0 || vocab_each_added(v, phi3, add_token, err) != 0)
        return -1;
    space_prefix(v, r.dummy_prefix);
    return vocab_fill_gaps(v, err);
}
