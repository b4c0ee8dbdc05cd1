/* SPDX-License-Identifier: MIT
 * Opening a model: keys to hyperparameters, tensors to packed weights, all checked. */
#include "engine/model.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/memory.h"
#include "base/qtype.h"
#include "base/utf8.h"
#include "engine/kv.h"
#include "engine/weights.h"

#define ARCH_ADDRESS(X) &arch_##X,
static const struct arch *const archs[] = {MODEL_ARCHS(ARCH_ADDRESS)};
enum { N_ARCHS = sizeof archs / sizeof archs[0] };

/* Ranges that no known model leaves; inside them no size computed below overflows. */
enum {
    MAX_CTX = 1 << 27,        /* det_sin's range in positions */
    MAX_DIM = 1 << 24,
    MAX_HEADS = 1 << 14,
    MAX_HEAD_DIM = 1 << 12
};

/* ---- facts ------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Strings that idem_model_info hands out are UTF-8 without NUL, whatever the file holds. */
static bool is_text(struct gguf_str s)
{
    return s.len > 0 && !memchr(s.data, 0, s.len) && utf8_valid(s.data, s.len, NULL);
}

static int read_names(struct idem_model *m, const struct gguf *g, const char *path,
                      struct idem_err *err)
{
    struct gguf_str name = {0}, arch = {0}, jinja = {0};
    if (gguf_get_str(g, "general.architecture", true, &arch, err) != 0 ||
        gguf_get_str(g, "general.name", false, &name, err) != 0 ||
        gguf_get_str(g, "tokenizer.chat_template", false, &jinja, err) != 0)
        return -1;
    if (!is_text(arch) || arch.len > 64)
        return gguf_err_key(g, "general.architecture", err,
                            "is not the name of an architecture (1 to 64 bytes of UTF-8)");
    m->info.path = arena_strdup(&m->arena, path);
    m->info.arch = arena_strndup(&m->arena, arch.data, arch.len);
    m->info.name = is_text(name) ? arena_strndup(&m->arena, name.data, name.len)
                                 : arena_strdup(&m->arena, base_name(path));
    if (jinja.data) {
        m->jinja = arena_strndup(&m->arena, jinja.data, jinja.len);
        m->jinja_len = jinja.len;
    }
    if (!m->info.path || !m->info.arch || !m->info.name || (jinja.data && !m->jinja))
        return err_memory(err, "the model's names", jinja.len);
    if (m->jinja)
        m->info.chat_family = chat_kind(m->jinja, m->jinja_len);
    m->info.file_bytes = gguf_file_bytes(g);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        m->info.n_params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    return 0;
}

static int find_arch(struct idem_model *m, const struct gguf *g, struct idem_err *err)
{
    char list[256];
    size_t len = 0;
    list[0] = 0;
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (strcmp(archs[i]->name, m->info.arch) == 0) {
            m->arch = archs[i];
            return 0;
        }
        if (len < sizeof list)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "",
                                    archs[i]->name);
    }
    gguf_err_key(g, "general.architecture", err,
                 "architecture '%s' is not supported; these are: %s", m->info.arch, list);
    if (err)
        err->code = IDEM_ERR_UNSUPPORTED;
    return -1;
}

/* ---- hyperparameters ---------------------------------------------------------------------- */

static int read_heads(struct weights *w, struct hparams *h, struct idem_err *err)
{
    if (weights_u32(w, "attention.head_count", true, 1, MAX_HEADS, &h->n_head, err) != 0)
        return -1;
    h->n_head_kv = h->n_head;
    if (weights_u32(w, "attention.head_count_kv", false, 1, MAX_HEADS, &h->n_head_kv, err) != 0)
        return -1;
    if (h->n_head % h->n_head_kv != 0)
        return weights_err_key(w, "attention.head_count_kv", err,
                               "does not divide attention.head_count");
    if (weights_u32(w, "attention.key_length", false, 2, MAX_HEAD_DIM, &h->head_dim, err) != 0)
        return -1;
    bool shared = h->head_dim == 0;        /* absent: the heads share the embedding */
    if (shared) {
        if (h->n_embd % h->n_head != 0)
            return weights_err_key(w, "attention.head_count", err,
                                   "does not divide embedding_length, and attention.key_length "
                                   "is missing");
        h->head_dim = h->n_embd / h->n_head;
    }
    h->v_dim = h->head_dim;
    if (weights_u32(w, "attention.value_length", false, 2, MAX_HEAD_DIM, &h->v_dim, err) != 0)
        return -1;
    if (h->head_dim < 2 || h->head_dim > MAX_HEAD_DIM || h->head_dim % 2 != 0)
        return weights_err_key(w, shared ? "attention.head_count" : "attention.key_length", err,
                               "gives heads whose dimension is not an even number in 2 to 4096");
    h->n_rot = h->head_dim;
    if (weights_u32(w, "rope.dimension_count", false, 2, h->head_dim, &h->n_rot, err) != 0)
        return -1;
    if (h->n_rot % 2 != 0)
        return weights_err_key(w, "rope.dimension_count", err, "is odd");
    return 0;
}

static int choose_context(struct idem_model *m, const struct idem_model_options *o,
                          struct idem_err *err)
{
    m->info.n_ctx = m->hp.n_ctx_train;
    if (o->n_ctx == 0)
        return 0;
    if (o->n_ctx > m->hp.n_ctx_train)
        return err_set(err, IDEM_ERR_USAGE, "a context of %u tokens exceeds the %u that %s was "
                       "trained for; ask for at most that", o->n_ctx, m->hp.n_ctx_train,
                       m->info.path);
    m->info.n_ctx = o->n_ctx;
    return 0;
}

static int read_hparams(struct weights *w, struct idem_model *m, const struct idem_model_options *o,
                        struct idem_err *err)
{
    struct hparams *h = &m->hp;
    const char *eps = m->arch->layer_norm ? "attention.layer_norm_epsilon"
                                          : "attention.layer_norm_rms_epsilon";
    uint32_t n_expert = 0, max_layers = (uint32_t)(gguf_n_tensors(w->g) < MAX_DIM
                                                   ? gguf_n_tensors(w->g) : MAX_DIM);
    if (max_layers == 0)
        return err_set(err, IDEM_ERR_FORMAT, "%s: has no tensors; it is a vocabulary without "
                       "weights", gguf_path(w->g));
    if (weights_u32(w, "expert_count", false, 0, 1 << 20, &n_expert, err) != 0)
        return -1;
    if (n_expert > 0) {
        weights_err_key(w, "expert_count", err, "mixtures of experts are not supported");
        if (err)
            err->code = IDEM_ERR_UNSUPPORTED;
        return -1;
    }
    if (weights_u32(w, "block_count", true, 1, max_layers, &h->n_layer, err) != 0 ||
        weights_u32(w, "context_length", true, 1, MAX_CTX, &h->n_ctx_train, err) != 0 ||
        weights_u32(w, "embedding_length", true, 1, MAX_DIM, &h->n_embd, err) != 0 ||
        weights_u32(w, "feed_forward_length", true, 1, MAX_DIM, &h->n_ff, err) != 0 ||
        weights_f32(w, eps, true, 0.0f, 1.0f, &h->eps, err) != 0 ||
        read_heads(w, h, err) != 0 || choose_context(m, o, err) != 0)
        return -1;
    const struct gguf_tensor *embd = gguf_find_tensor(w->g, "token_embd.weight");
    if (embd && (embd->n_dims != 2 || embd->ne[1] < 1 || embd->ne[1] > INT32_MAX))
        return gguf_err_tensor(w->g, embd, err, "is not a matrix of one row per token");
    h->n_vocab = embd ? (uint32_t)embd->ne[1] : 0;
    h->embd_scale = h->residual_scale = h->out_scale = 1.0f;
    h->attn_scale = 1.0f / sqrtf((float)h->head_dim);
    return m->arch->read_hparams(w, m, err);
}

/* ---- weights ---------------------------------------------------------------------------------- */

static int read_weights(struct weights *w, struct idem_model *m, struct idem_err *err)
{
    const struct hparams *h = &m->hp;
    if (weights_matrix(w, &m->embd, h->n_vocab, h->n_embd, err, "token_embd.weight") != 0)
        return -1;
    m->output = &m->embd;
    if (weights_has(w, "output.weight")) {
        m->output = &m->output_own;
        if (weights_matrix(w, &m->output_own, h->n_vocab, h->n_embd, err, "output.weight") != 0)
            return -1;
    }
    if (weights_vector(w, &m->output_norm, h->n_embd, true, err, "output_norm.weight") != 0 ||
        (m->arch->layer_norm &&
         weights_vector(w, &m->output_norm_b, h->n_embd, true, err, "output_norm.bias") != 0) ||
        weights_vector(w, &m->output_bias, h->n_vocab, false, err, "output.bias") != 0)
        return -1;
    m->layers = arena_array(&m->arena, h->n_layer, sizeof *m->layers);
    if (!m->layers)
        return err_memory(err, "the layers", h->n_layer * sizeof *m->layers);
    for (uint32_t il = 0; il < h->n_layer; il++) {
        if (h->window_period == 0 || (il + 1) % h->window_period != 0)
            m->layers[il].window = h->window;
        if (m->arch->read_layer(w, m, il, err) != 0)
            return -1;
    }
    return weights_check_all_used(w, err);
}

static void fill_info(struct idem_model *m)
{
    const struct hparams *h = &m->hp;
    struct idem_model_info *i = &m->info;
    i->kernels = m->k->name;
    i->activations = m->f32 ? IDEM_ACTIVATIONS_F32 : IDEM_ACTIVATIONS_Q8;
    i->n_vocab = h->n_vocab;
    i->n_ctx_train = h->n_ctx_train;
    i->n_embd = h->n_embd;
    i->n_layer = h->n_layer;
    i->n_head = h->n_head;
    i->n_head_kv = h->n_head_kv;
    i->head_dim = h->head_dim;
    i->n_ff = h->n_ff;
    i->sliding_window = h->window;
    const struct kern_attn_shape shape = model_attn_shape(m);
    i->kv_bytes_per_block = kv_block_bytes(h->n_layer, h->n_head_kv, &shape);
}

void idem_model_memory(const struct idem_model *m, uint32_t n_tokens, struct idem_memory *out)
{
    uint64_t block = m->info.kv_bytes_per_block;
    if (n_tokens == 0)
        n_tokens = m->info.n_ctx;
    *out = (struct idem_memory){
        .weights = m->info.weight_bytes, .limit = memory_limit(),
        .kv = ((uint64_t)n_tokens + KERN_KV - 1) / KERN_KV * block,
    };
    uint64_t room = out->limit > out->weights && block > 0 ? (out->limit - out->weights) / block : 0;
    room = room < UINT32_MAX / KERN_KV ? room * KERN_KV : UINT32_MAX;
    out->longest = room < m->info.n_ctx_train ? (uint32_t)room : m->info.n_ctx_train;
}

/* A context that was asked for must fit; without one the cache grows as sequences do. */
static int check_memory(const struct idem_model *m, const struct idem_model_options *o,
                        struct idem_err *err)
{
    struct idem_memory need;
    idem_model_memory(m, o->n_ctx ? o->n_ctx : 1, &need);
    if (o->facts_only || need.weights + need.kv <= need.limit)
        return 0;
    if (need.longest == 0)
        return err_set(err, IDEM_ERR_LIMIT, "%s: its weights take %.2f GiB and this machine has %.2f; "
                       "take a smaller model or a smaller quantisation", m->info.path,
                       (double)need.weights / (1 << 30), (double)need.limit / (1 << 30));
    return err_set(err, IDEM_ERR_LIMIT, "%s: a context of %u tokens takes %.2f GiB of KV cache (%.1f KiB "
                   "per token) beside %.2f GiB of weights, and this machine has %.2f; at most %u "
                   "tokens fit", m->info.path, m->info.n_ctx, (double)need.kv / (1 << 30),
                   (double)m->info.kv_bytes_per_block / KERN_KV / 1024,
                   (double)need.weights / (1 << 30), (double)need.limit / (1 << 30), need.longest);
}

static int open_weights(struct idem_model *m, const struct gguf *g,
                        const struct idem_model_options *o, struct idem_err *err)
{
    struct weights w = {.g = g, .arch = m->info.arch, .arena = &m->arena};
    struct pool *pool = NULL;
    int rc = -1;
    if (find_arch(m, g, err) != 0 || read_hparams(&w, m, o, err) != 0)
        goto done;
    if (m->hp.n_vocab == 0) {
        err_set(err, IDEM_ERR_FORMAT, "%s: tensor 'token_embd.weight' is missing", gguf_path(g));
        goto done;
    }
    m->tok = tok_open(g, o->normalize, m->hp.n_vocab, err);
    if (!m->tok || read_weights(&w, m, err) != 0)
        goto done;
    m->info.weight_bytes = weights_packed_bytes(&w);
    weights_count(&w, m);
    fill_info(m);
    if (check_memory(m, o, err) != 0)
        goto done;
    pool = o->facts_only ? NULL : pool_open(o->n_threads, err);
    if (!o->facts_only &&
        (!pool || weights_pack(&w, pool, &m->packed, &m->packed_bytes, err) != 0))
        goto done;
    m->asked_ctx = o->n_ctx != 0;
    rc = 0;
done:
    pool_close(pool);
    weights_release(&w);
    return rc;
}

/* Only what can be known without weights; the architecture need not be one that idem runs. */
static int open_vocab(struct idem_model *m, const struct gguf *g,
                      const struct idem_model_options *o, struct idem_err *err)
{
    struct weights w = {.g = g, .arch = m->info.arch, .arena = &m->arena};
    m->tok = tok_open(g, o->normalize, 0, err);
    if (!m->tok)
        return -1;
    m->info.n_vocab = tok_info(m->tok)->n_vocab;
    m->info.kernels = m->k->name;
    if (weights_u32(&w, "context_length", false, 0, UINT32_MAX, &m->info.n_ctx_train, err) != 0)
        return -1;
    m->info.n_ctx = o->n_ctx ? o->n_ctx : m->info.n_ctx_train;
    return 0;
}

static const char *const cpu_names[] = {      /* by enum idem_cpu */
    "auto", "ref", "sse41", "avx2", "avx512", "neon"};
enum { N_CPUS = sizeof cpu_names / sizeof cpu_names[0] };

const char *model_cpu_name(enum idem_cpu cpu)
{
    return (unsigned)cpu < N_CPUS ? cpu_names[cpu] : "?";
}

bool idem_cpu_find(const char *name, enum idem_cpu *cpu)
{
    for (size_t i = 0; i < N_CPUS; i++)
        if (strcmp(name, cpu_names[i]) == 0) {
            *cpu = (enum idem_cpu)i;
            return true;
        }
    return false;
}

static int check_options(const struct idem_model_options *o, struct idem_err *err)
{
    if (o->activations != IDEM_ACTIVATIONS_Q8 && o->activations != IDEM_ACTIVATIONS_F32)
        return err_set(err, IDEM_ERR_USAGE, "activations must be q8 or f32, not number %d",
                       (int)o->activations);
    if ((unsigned)o->normalize > IDEM_NORMALIZE_NFC)
        return err_set(err, IDEM_ERR_USAGE, "normalize must be model, none or nfc, not number %d",
                       (int)o->normalize);
    return 0;
}

static void copy_tok_info(struct idem_model *m)
{
    const struct tok_info *t = tok_info(m->tok);
    m->info.tokenizer = t->name;
    m->info.bos = t->bos;
    m->info.eos = t->eos;
    m->info.unk = t->unk;
    m->info.pad = t->pad;
    m->info.add_bos = t->add_bos;
    m->info.add_eos = t->add_eos;
}

struct idem_model *idem_model_open(const char *path, const struct idem_model_options *o,
                                   struct idem_err *err)
{
    static const struct idem_model_options defaults = {0};
    struct gguf *g = NULL;
    struct idem_model *m = calloc(1, sizeof *m);
    if (!m) {
        err_memory(err, "a model", sizeof *m);
        return NULL;
    }
    pthread_mutex_init(&m->digest_lock, NULL);
    arena_init(&m->arena, SIZE_MAX);
    if (!o)
        o = &defaults;
    if (check_options(o, err) != 0)
        goto fail;
    m->f32 = o->activations == IDEM_ACTIVATIONS_F32;
    m->k = kern_select(model_cpu_name(o->cpu), err);
    if (!m->k)
        goto fail;
    kern_thread_init();
    if (stat(path, &m->file) != 0) {
        err_set(err, IDEM_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
        goto fail;
    }
    g = gguf_open(path, err);
    if (!g || read_names(m, g, path, err) != 0)
        goto fail;
    if ((o->vocab_only ? open_vocab : open_weights)(m, g, o, err) != 0)
        goto fail;
    copy_tok_info(m);
    gguf_close(g);
    return m;
fail:
    gguf_close(g);
    idem_model_close(m);
    return NULL;
}

void idem_model_close(struct idem_model *m)
{
    if (!m)
        return;
    if (m->packed)
        munmap(m->packed, m->packed_bytes);
    tok_close(m->tok);
    arena_release(&m->arena);
    pthread_mutex_destroy(&m->digest_lock);
    free(m);
}

const struct idem_model_info *idem_model_info(const struct idem_model *m)
{
    return &m->info;
}

struct kern_attn_shape model_attn_shape(const struct idem_model *m)
{
    return (struct kern_attn_shape){
        .k_dim = m->hp.head_dim, .v_dim = m->hp.v_dim, .softcap = m->hp.attn_softcap,
        .f16 = !m->f32 };
}

size_t model_max_cols(const struct idem_model *m)
{
    const struct hparams *h = &m->hp;
    const size_t widths[] = {h->n_embd, h->n_ff, (size_t)h->n_head * h->v_dim, h->q_lora, h->kv_lora};
    size_t n = 0;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        n = widths[i] > n ? widths[i] : n;
    return n;
}

/* ---- digest ------------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int digest_fd(int fd, const struct idem_model *m, char hex[65], struct idem_err *err)
{
    enum { CHUNK = 1 << 20 };
    struct digest d = {0};
    struct stat now;
    int rc = -1;
    uint8_t *buf = malloc(CHUNK);
    if (!buf || digest_init(&d) != 0) {
        err_memory(err, "the digest of the model", CHUNK);
        goto done;
    }
    for (;;) {
        ssize_t n = read(fd, buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_set(err, IDEM_ERR_IO, "cannot read '%s': %s", m->info.path, strerror(errno));
            goto done;
        }
        if (n == 0)
            break;
        digest_update(&d, buf, (size_t)n);
    }
    if (fstat(fd, &now) != 0 || !same_file(&now, &m->file)) {
        err_set(err, IDEM_ERR_IO, "'%s' has changed since the model was opened, so its digest "
                "would not be the model's; open it again", m->info.path);
        goto done;
    }
    digest_final(&d, hex);
    rc = 0;
done:
    digest_release(&d);
    free(buf);
    return rc;
}

int idem_model_digest(struct idem_model *m, char hex[65], struct idem_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&m->digest_lock);
    if (!m->digest[0]) {
        char fresh[65];
        int fd = open(m->info.path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            rc = err_set(err, IDEM_ERR_IO, "cannot open '%s' again for its digest: %s",
                         m->info.path, strerror(errno));
        } else {
            rc = digest_fd(fd, m, fresh, err);
            close(fd);
        }
        if (rc == 0)
            memcpy(m->digest, fresh, sizeof fresh);
    }
    if (rc == 0)
        memcpy(hex, m->digest, sizeof m->digest);
    pthread_mutex_unlock(&m->digest_lock);
    return rc;
}
