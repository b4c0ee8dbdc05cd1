/* SPDX-License-Identifier: MIT
 * idem inspect: what is in a model file, and what of it idem can run. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/catalogue.h"
#include "cli/cli.h"
#include "gguf/gguf.h"
#include "idem.h"

enum { OUT_MAX = 1 << 26, TYPES = 64, PATH_BYTES = 1 << 16 };

struct type_count {
    enum qtype type;
    size_t n_tensors;
    uint64_t bytes;
};

/* What inspect knows: the file for itself, and the model as idem opens it. */
struct facts {
    const struct gguf *file;
    struct gguf_str arch, name, template;
    struct type_count types[TYPES];
    size_t n_types;
    const struct idem_model_info *info;   /* of the vocabulary, or of the whole model */
    struct idem_memory memory;            /* if it runs */
    struct idem_err chat;                 /* why no conversation can be rendered; code 0: one can */
    bool chat_system;                     /* one with a system message too */
    char digest[65];
    bool runs;
    const char *why_not;                  /* "" if it runs */
};

static void count_types(struct facts *f)
{
    for (size_t i = 0; i < gguf_n_tensors(f->file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(f->file, i);
        size_t k = 0;
        while (k < f->n_types && f->types[k].type != t->type)
            k++;
        if (k == f->n_types && f->n_types < TYPES)
            f->types[f->n_types++] = (struct type_count){.type = t->type};
        if (k < TYPES) {
            f->types[k].n_tensors++;
            f->types[k].bytes += t->n_bytes;
        }
    }
}

static int read_file(struct facts *f, struct idem_err *err)
{
    if (gguf_get_str(f->file, "general.architecture", false, &f->arch, err) != 0 ||
        gguf_get_str(f->file, "general.name", false, &f->name, err) != 0 ||
        gguf_get_str(f->file, "tokenizer.chat_template", false, &f->template, err) != 0)
        return -1;
    count_types(f);
    return 0;
}

static int file_digest(const char *path, char hex[DIGEST_HEX], struct idem_err *err)
{
    struct file_map map;
    if (file_map(&map, path, err) != 0)
        return -1;
    digest_sha256(map.data, map.len, hex);
    file_unmap(&map);
    return 0;
}

static const char *type_name(enum qtype t)
{
    const struct qtype_info *info = qtype_info((uint32_t)t);
    return info ? info->name : "?";
}

/* ---- text ------------------------------------------------------------------------------------------- */

static void line(struct buf *out, const char *key, const char *s, size_t len)
{
    buf_addf(out, "%-14s ", key);
    for (size_t i = 0; i < len && i < 200; i++)   /* a foreign file's text: one line, no controls */
        buf_addf(out, "%c", (unsigned char)s[i] < 0x20 || s[i] == 0x7F ? '?' : s[i]);
    buf_adds(out, "\n");
}

static void print_memory(struct buf *out, const struct idem_model_info *m, const struct idem_memory *x)
{
    char weights[32], token[32], kv[32], limit[32];
    cli_bytes(weights, x->weights);
    cli_bytes(token, m->kv_bytes_per_block / 64);
    cli_bytes(kv, x->kv);
    cli_bytes(limit, x->limit);
    buf_addf(out, "%-14s weights %s; cache %s per token, %s for the whole context; this machine has %s", "memory",
             weights, token, kv, limit);
    if (x->weights + x->kv <= x->limit)
        buf_adds(out, "\n");
    else
        buf_addf(out, ": %" PRIu32 " tokens fit\n", x->longest);
}

static void print_template(struct buf *out, const struct facts *f)
{
    buf_addf(out, "%-14s ", "template");
    if (!f->template.data)
        buf_adds(out, "none: --chat needs --chat-template\n");
    else if (f->chat.code != IDEM_OK)
        buf_addf(out, "%zu bytes; idem cannot render it: %s\n", f->template.len, f->chat.msg);
    else
        buf_addf(out, "%zu bytes; idem renders it, %s a system message\n", f->template.len,
                 f->chat_system ? "also with" : "but not with");
}

static void print_text(struct buf *out, const struct facts *f)
{
    char size[32];
    const struct idem_model_info *m = f->info;
    line(out, "file", gguf_path(f->file), strlen(gguf_path(f->file)));
    cli_bytes(size, gguf_file_bytes(f->file));
    buf_addf(out, "%-14s GGUF v%" PRIu32 ", %s, %zu keys, %zu tensors\n", "format", gguf_version(f->file),
             size, gguf_n_kv(f->file), gguf_n_tensors(f->file));
    buf_addf(out, "%-14s %s\n", "sha256", f->digest);
    line(out, "name", f->name.data ? f->name.data : "-", f->name.data ? f->name.len : 1);
    line(out, "architecture", f->arch.data ? f->arch.data : "-", f->arch.data ? f->arch.len : 1);
    if (m && f->runs) {
        buf_addf(out, "%-14s %.1f M in %" PRIu32 " layers\n", "parameters", (double)m->n_params / 1e6,
                 m->n_layer);
        buf_addf(out, "%-14s embedding %" PRIu32 ", feed-forward %" PRIu32 ", heads %" PRIu32 " of %" PRIu32
                 " (keys and values: %" PRIu32 ")\n", "sizes", m->n_embd, m->n_ff, m->n_head, m->head_dim,
                 m->n_head_kv);
        if (m->sliding_window)
            buf_addf(out, "%-14s %" PRIu32 " positions, in some or all layers\n", "sliding window",
                     m->sliding_window);
        buf_addf(out, "%-14s %" PRIu32 " tokens (trained for %" PRIu32 "), rotary embedding: %s\n",
                 "context", m->n_ctx, m->n_ctx_train, m->rope);
        print_memory(out, m, &f->memory);
    }
    buf_addf(out, "%-14s ", "weights");
    for (size_t i = 0; i < f->n_types; i++) {
        cli_bytes(size, f->types[i].bytes);
        buf_addf(out, "%s%s: %zu tensors, %s", i ? "; " : "", type_name(f->types[i].type),
                 f->types[i].n_tensors, size);
    }
    buf_adds(out, f->n_types ? "\n" : "none (vocabulary only)\n");
    if (m)
        buf_addf(out, "%-14s %s, %" PRIu32 " tokens; bos %d, eos %d, unk %d, pad %d\n", "tokenizer",
                 m->tokenizer, m->n_vocab, m->bos, m->eos, m->unk, m->pad);
    print_template(out, f);
    if (f->runs)
        buf_addf(out, "%-14s yes, kernels: %s\n", "idem runs it", m->kernels);
    else
        buf_addf(out, "%-14s no: %s\n", "idem runs it", f->why_not);
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static void member(struct json *j, const char *key, const char *s, size_t len)
{
    json_key(j, key);
    if (s)
        json_str(j, s, len);
    else
        json_null(j);
}

static void number(struct json *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_u64(j, v);
}

static void model_json(struct json *j, const struct idem_model_info *m)
{
    number(j, "n_params", m->n_params);
    number(j, "n_layer", m->n_layer);
    number(j, "n_embd", m->n_embd);
    number(j, "n_ff", m->n_ff);
    number(j, "n_head", m->n_head);
    number(j, "n_head_kv", m->n_head_kv);
    number(j, "head_dim", m->head_dim);
    number(j, "n_ctx_train", m->n_ctx_train);
    number(j, "n_ctx", m->n_ctx);
    number(j, "kv_bytes_per_block", m->kv_bytes_per_block);
    number(j, "sliding_window", m->sliding_window);
    member(j, "rope", m->rope, strlen(m->rope));
    member(j, "kernels", m->kernels, strlen(m->kernels));
}

static void vocab_json(struct json *j, const struct idem_model_info *m)
{
    member(j, "tokenizer", m->tokenizer, m->tokenizer ? strlen(m->tokenizer) : 0);
    number(j, "n_vocab", m->n_vocab);
    static const char *const names[] = {"bos", "eos", "unk", "pad"};
    const int32_t ids[] = {m->bos, m->eos, m->unk, m->pad};
    for (size_t i = 0; i < 4; i++) {
        json_key(j, names[i]);
        if (ids[i] < 0)
            json_null(j);
        else
            json_i64(j, ids[i]);
    }
    member(j, "chat_family", m->chat_family, m->chat_family ? strlen(m->chat_family) : 0);
}

static void print_json(struct buf *out, const struct facts *f)
{
    struct json j = {.out = out};
    json_begin(&j, '{');
    member(&j, "path", gguf_path(f->file), strlen(gguf_path(f->file)));
    number(&j, "file_bytes", gguf_file_bytes(f->file));
    member(&j, "sha256", f->digest, strlen(f->digest));
    number(&j, "gguf_version", gguf_version(f->file));
    member(&j, "name", f->name.data, f->name.len);
    member(&j, "arch", f->arch.data, f->arch.len);
    json_key(&j, "types");
    json_begin(&j, '[');
    for (size_t i = 0; i < f->n_types; i++) {
        const char *t = type_name(f->types[i].type);
        json_begin(&j, '{');
        member(&j, "type", t, strlen(t));
        number(&j, "tensors", f->types[i].n_tensors);
        number(&j, "bytes", f->types[i].bytes);
        json_end(&j);
    }
    json_end(&j);
    json_key(&j, "has_template");
    json_bool(&j, f->template.data != NULL);
    json_key(&j, "template_renders");
    json_bool(&j, f->template.data && f->chat.code == IDEM_OK);
    json_key(&j, "template_takes_system");
    json_bool(&j, f->chat_system);
    member(&j, "template_error", f->template.data && f->chat.code != IDEM_OK ? f->chat.msg : NULL, strlen(f->chat.msg));
    if (f->info)
        vocab_json(&j, f->info);
    if (f->info && f->runs) {
        model_json(&j, f->info);
        json_key(&j, "memory");
        json_begin(&j, '{');
        number(&j, "weights", f->memory.weights);
        number(&j, "kv", f->memory.kv);
        number(&j, "limit", f->memory.limit);
        number(&j, "longest", f->memory.longest);
        json_end(&j);
    }
    json_key(&j, "runs");
    json_bool(&j, f->runs);
    member(&j, "reason", f->runs ? NULL : f->why_not, f->runs ? 0 : strlen(f->why_not));
    json_end(&j);
}

/* ---- the command ------------------------------------------------------------------------------------ */

/* Reads and checks the whole file without loading its weights, or its vocabulary if that is all
 * that works; err keeps why. */
static struct idem_model *open_model(const struct cli_args *a, const char *path, struct facts *f,
                                     struct idem_err *err)
{
    struct idem_model_options o = {
        .activations = strcmp(a->activations, "f32") == 0 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8,
        .n_ctx = a->context, .facts_only = true,
    };
    struct idem_model *m = idem_model_open(path, &o, err);
    f->runs = m != NULL;
    f->why_not = err->msg;
    if (!m) {
        o.vocab_only = true;
        m = idem_model_open(path, &o, NULL);
    }
    if (f->runs)
        idem_model_memory(m, 0, &f->memory);
    if (m)
        f->info = idem_model_info(m);
    return m;
}

/* Whether the template takes a plain conversation, and a system message before it. */
static void try_template(const struct idem_model *m, struct facts *f)
{
    static const struct idem_message msgs[] = {{"system", "Be brief."}, {"user", "Hello"}};
    char *text = NULL;
    if (!m) {
        err_set(&f->chat, IDEM_ERR_UNSUPPORTED, "the vocabulary cannot be read");
        return;
    }
    if (idem_chat_render(m, msgs + 1, 1, true, &text, &f->chat) == 0) {
        free(text);
        f->chat_system = idem_chat_render(m, msgs, 2, true, &text, NULL) == 0;
        if (f->chat_system)
            free(text);
    }
}

static int inspect(const struct cli_args *a)
{
    struct idem_err err = {0}, why = {0};
    struct facts f = {.why_not = ""};
    struct buf path, out;
    struct gguf *g = NULL;
    struct idem_model *m = NULL;
    buf_init(&path, PATH_BYTES);
    buf_init(&out, OUT_MAX);
    int rc = catalogue_resolve(a->operands.items[0], &path, &err);
    if (rc == 0)
        rc = (g = gguf_open(path.data, &err)) ? 0 : -1;
    f.file = g;
    if (rc == 0)
        rc = read_file(&f, &err);
    if (rc == 0)
        rc = file_digest(path.data, f.digest, &err);
    if (rc == 0) {
        m = open_model(a, path.data, &f, &why);
        try_template(m, &f);
        (a->json ? print_json : print_text)(&out, &f);
    }
    rc = rc == 0 ? cli_write_buf(a, &out) : cli_fail(a, &err);
    idem_model_close(m);
    gguf_close(g);
    buf_release(&path);
    buf_release(&out);
    return rc;
}

static const struct cli_option options[] = {
    {.name = "activations", .type = CLI_CHOICE, .offset = offsetof(struct cli_args, activations),
     .arg = "MODE", .choices = "q8|f32", .help = "the arithmetic to look at the cache for (default q8)"},
    {.name = "context", .type = CLI_U32, .offset = offsetof(struct cli_args, context), .arg = "N",
     .min = 1, .help = "longest sequence in tokens (default: what the model was trained for)"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_inspect = {
    .name = "inspect", .operands = "MODEL", .min_operands = 1, .max_operands = 1,
    .summary = "what is in a model file, and what of it idem can run",
    .description =
        "Prints architecture, sizes, quantisation, tokenizer and chat template of a GGUF file, its "
        "SHA-256, and whether idem can run it; if not, why not.",
    .examples = "idem inspect smollm2-135m-instruct\nidem inspect model.gguf --json",
    .options = options, .groups = groups, .exec = inspect,
};
