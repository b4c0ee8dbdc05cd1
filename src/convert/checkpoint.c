/* SPDX-License-Identifier: MIT
 * Opening the shards of a checkpoint and comparing them with the index. */
#include "convert/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SHARDS = 4096 };
#define INDEX_MAX ((size_t)100000000)

static char *join(const char *dir, const char *name, size_t len)
{
    size_t n = strlen(dir) + len + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%.*s", dir, (int)len, name);
    return path;
}

char *checkpoint_file(const char *dir, const char *name)
{
    struct stat st;
    char *path = join(dir, name, strlen(name));
    if (path && (stat(path, &st) != 0 || !S_ISREG(st.st_mode))) {
        free(path);
        path = NULL;
    }
    return path;
}

static bool there(const char *dir, const char *name)
{
    char *path = checkpoint_file(dir, name);
    free(path);
    return path != NULL;
}

/* Says what the folder has instead of safetensors. */
static int no_safetensors(const char *dir, struct idem_err *err)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return err_set(err, IDEM_ERR_IO, "cannot open '%s': %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, IDEM_ERR_USAGE, "'%s' is not a folder; give the folder that holds the "
                       "checkpoint's config.json", dir);
    if (there(dir, "pytorch_model.bin") || there(dir, "pytorch_model.bin.index.json"))
        return err_set(err, IDEM_ERR_UNSUPPORTED, "%s has its weights as pytorch_model.bin, which runs code when "
                       "it is read; save it as safetensors: python3 -c \"from transformers import "
                       "AutoModelForCausalLM as M; M.from_pretrained('%s').save_pretrained('NEW', "
                       "safe_serialization=True)\" and copy the tokenizer's files into NEW", dir, dir);
    if (there(dir, "adapter_model.safetensors"))
        return err_set(err, IDEM_ERR_UNSUPPORTED, "%s is an adapter (LoRA): merge it into its base model first "
                       "(peft: merge_and_unload, save_pretrained)", dir);
    return err_set(err, IDEM_ERR_IO, "%s has neither model.safetensors nor model.safetensors.index.json", dir);
}

static int add_file(struct checkpoint *c, const char *dir, struct jstr name, struct idem_err *err)
{
    char *path = join(dir, name.s, name.len);
    if (!path)
        return err_memory(err, "a file name", name.len);
    int rc = safetensors_open(&c->files[c->n_files], path, err);
    if (rc == 0)
        c->n_files++;
    free(path);
    return rc;
}

static int by_str(const void *a, const void *b)
{
    return jdoc_cmp(*(const struct jstr *)a, *(const struct jstr *)b);
}

/* The file names of weight_map, sorted, each once; *n of them. The caller frees. */
static struct jstr *shard_names(const struct jdoc *d, const struct jval *map, size_t *n, struct idem_err *err)
{
    struct jstr *names = calloc(map->n + 1, sizeof *names);
    if (!names) {
        err_memory(err, "the names of the shards", map->n * sizeof *names);
        return NULL;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct jval *v = &map->members[i].value;
        if (v->type != JDOC_STRING || v->str.len == 0 || memchr(v->str.s, '/', v->str.len)
            || memchr(v->str.s, '\0', v->str.len)) {
            jdoc_err(d, v, err, "a file name without folders must stand here");
            free(names);
            return NULL;
        }
        names[i] = v->str;
    }
    qsort(names, map->n, sizeof *names, by_str);
    *n = 0;
    for (size_t i = 0; i < map->n; i++)
        if (*n == 0 || jdoc_cmp(names[i], names[*n - 1]) != 0)
            names[(*n)++] = names[i];
    return names;
}

static int open_shards(struct checkpoint *c, const char *dir, const struct jdoc *d, const struct jval *map,
                       struct idem_err *err)
{
    size_t n = 0;
    struct jstr *names = shard_names(d, map, &n, err);
    if (!names)
        return -1;
    int rc = 0;
    if (n > MAX_SHARDS)
        rc = jdoc_err(d, map, err, "%zu shards are more than %d", n, MAX_SHARDS);
    c->files = rc == 0 ? calloc(n + 1, sizeof *c->files) : NULL;
    if (rc == 0 && !c->files)
        rc = err_memory(err, "the shards", n * sizeof *c->files);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_file(c, dir, names[i], err);
    if (rc != 0 && c->n_files < n)
        err_prefix(err, "%s: shard %zu of %zu", d->path, c->n_files + 1, n);
    free(names);
    return rc;
}

/* The tensor of a name, by bisection. */
static struct ckpt_tensor *find(const struct checkpoint *c, struct jstr name)
{
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = jdoc_cmp(name, c->by_name[mid]->t->name);
        if (order == 0)
            return c->by_name[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* Every tensor of the index is in the file it names, and the shards have no others. */
static int check_index(const struct checkpoint *c, const struct jdoc *d, const struct jval *map,
                       struct idem_err *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct jmember *m = &map->members[i];
        struct ckpt_tensor *t = find(c, m->key);
        if (!t)
            return jdoc_err(d, &m->value, err, "the index names the tensor '%.*s', but no shard has it",
                            (int)(m->key.len < 200 ? m->key.len : 200), m->key.s);
        const char *slash = strrchr(t->file->path, '/');
        if (!jdoc_eq(m->value.str, slash ? slash + 1 : t->file->path))
            return jdoc_err(d, &m->value, err, "the tensor '%.*s' is in another shard (%s)",
                            (int)(m->key.len < 200 ? m->key.len : 200), m->key.s, t->file->path);
        t->used = true;
    }
    for (size_t k = 0; k < c->n; k++) {
        if (!c->tensors[k].used)
            return safetensors_err(c->tensors[k].file, c->tensors[k].t, err, "it is not in the index");
        c->tensors[k].used = false;
    }
    return 0;
}

static int by_tensor_name(const void *a, const void *b)
{
    return jdoc_cmp((*(struct ckpt_tensor *const *)a)->t->name, (*(struct ckpt_tensor *const *)b)->t->name);
}

static int collect(struct checkpoint *c, struct idem_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_files; i++)
        n += c->files[i].n;
    c->tensors = calloc(n + 1, sizeof *c->tensors);
    c->by_name = calloc(n + 1, sizeof *c->by_name);
    if (!c->tensors || !c->by_name)
        return err_memory(err, "the table of tensors", n * sizeof *c->tensors);
    for (size_t i = 0; i < c->n_files; i++)
        for (size_t k = 0; k < c->files[i].n; k++) {
            c->by_name[c->n] = &c->tensors[c->n];
            c->tensors[c->n] = (struct ckpt_tensor){.file = &c->files[i], .t = &c->files[i].tensors[k]};
            c->n_bytes += c->tensors[c->n++].t->n_bytes;
        }
    qsort(c->by_name, c->n, sizeof *c->by_name, by_tensor_name);
    for (size_t i = 1; i < c->n; i++)
        if (by_tensor_name(&c->by_name[i - 1], &c->by_name[i]) == 0)
            return safetensors_err(c->by_name[i]->file, c->by_name[i]->t, err, "%s has a tensor of this name too",
                                   c->by_name[i - 1]->file->path);
    return 0;
}

static int open_index(struct checkpoint *c, const char *dir, const char *path, struct idem_err *err)
{
    struct jdoc d;
    if (jdoc_open(&d, path, INDEX_MAX, err) != 0)
        return -1;
    const struct jval *map = jdoc_get(d.root, "weight_map");
    int rc = map && map->type == JDOC_OBJECT && map->n ? 0
             : jdoc_err(&d, map ? map : d.root, err, "'weight_map' must be an object with tensors");
    if (rc == 0)
        rc = open_shards(c, dir, &d, map, err);
    if (rc == 0)
        rc = collect(c, err);
    if (rc == 0)
        rc = check_index(c, &d, map, err);
    jdoc_close(&d);
    return rc;
}

int checkpoint_open(struct checkpoint *c, const char *dir, struct idem_err *err)
{
    static const char single[] = "model.safetensors";
    *c = (struct checkpoint){0};
    int rc;
    char *index = checkpoint_file(dir, "model.safetensors.index.json");
    if (there(dir, single)) {
        c->files = calloc(1, sizeof *c->files);
        rc = c->files ? add_file(c, dir, (struct jstr){single, strlen(single)}, err)
                      : err_memory(err, single, sizeof *c->files);
        if (rc == 0)
            rc = collect(c, err);
    } else if (index) {
        rc = open_index(c, dir, index, err);
    } else {
        rc = no_safetensors(dir, err);
    }
    free(index);
    if (rc != 0)
        checkpoint_close(c);
    return rc;
}

void checkpoint_close(struct checkpoint *c)
{
    for (size_t i = 0; i < c->n_files; i++)
        safetensors_close(&c->files[i]);
    free(c->files);
    free(c->tensors);
    free(c->by_name);
    *c = (struct checkpoint){0};
}

struct ckpt_tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
    return find(c, (struct jstr){name, strlen(name)});
}
