/* SPDX-License-Identifier: MIT
 * idem convert: a Hugging Face checkpoint to a GGUF file. */
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "convert/convert.h"

enum { OUT_MAX = 1 << 16 };

struct bar { struct cli_progress progress; const volatile sig_atomic_t *stop; };

static bool show(void *ctx, uint64_t done, uint64_t total)
{
    struct bar *b = ctx;
    char part[32], whole[32], detail[80];
    cli_bytes(part, done);
    cli_bytes(whole, total);
    snprintf(detail, sizeof detail, "%s of %s", part, whole);
    cli_progress_show(&b->progress, total ? (double)done / (double)total : 1, -1, detail);
    return !*b->stop;
}

static enum convert_type type_of(const char *name)
{
    static const char *const names[] = {"f32", "f16", "bf16", "q8_0"};
    for (int i = 0; name && i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum convert_type)(CONVERT_F32 + i);
    return CONVERT_AUTO;
}

/* Each line of the notes by itself. */
static void print_notes(const struct cli_args *a, const struct buf *notes)
{
    for (const char *p = notes->failed ? NULL : notes->data; p && *p;) {
        size_t n = strcspn(p, "\n");
        cli_warn(a, "%.*s", (int)n, p);
        p += n + (p[n] == '\n');
    }
}

static void print_json(const struct cli_args *a, const struct convert_result *r, struct buf *out)
{
    struct json j = {.out = out};
    const struct { const char *key, *text; uint64_t n; } fields[] = {
        {"file", a->output, 0}, {"architecture", r->arch, 0}, {"class", r->hf_class, 0}, {"type", r->type, 0},
        {"tokenizer", r->tokenizer, 0}, {"pre", r->pre, 0}, {"tokens", NULL, r->n_tokens},
        {"layers", NULL, r->n_layers}, {"tensors", NULL, r->n_tensors}, {"parameters", NULL, r->n_params},
        {"bytes_read", NULL, r->bytes_in}, {"bytes_written", NULL, r->bytes_out},
    };
    json_begin(&j, '{');
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        json_key(&j, fields[i].key);
        if (fields[i].text)
            json_strz(&j, fields[i].text);
        else
            json_u64(&j, fields[i].n);
    }
    json_key(&j, "notes");
    json_begin(&j, '[');
    for (const char *p = r->notes.failed ? NULL : r->notes.data; p && *p;) {
        size_t n = strcspn(p, "\n");
        json_str(&j, p, n);
        p += n + (p[n] == '\n');
    }
    json_end(&j);
    json_end(&j);
}

static void print_text(const struct cli_args *a, const struct convert_result *r, struct buf *out)
{
    char size[32];
    cli_bytes(size, r->bytes_out);
    if (a->quiet)
        return;
    buf_addf(out, "%s: %s, %s, %.1f million parameters in %llu tensors, %llu tokens (%s, %s), %s\n", a->output,
             r->arch, r->type, (double)r->n_params / 1e6, (unsigned long long)r->n_tensors,
             (unsigned long long)r->n_tokens, r->tokenizer, r->pre, size);
}

static int convert(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct convert_result r;
    struct bar bar = {.stop = cli_catch_interrupt()};
    struct buf out;
    buf_init(&out, OUT_MAX);
    if (!a->output) {
        err_set(&err, IDEM_ERR_USAGE, "say where the file goes: -o FILE.gguf");
        return cli_fail(a, &err);
    }
    cli_progress_start(&bar.progress, a, "converting");
    struct convert_options opt = {
        .dir = a->operands.items[0], .out = a->output, .type = type_of(a->type), .progress = show, .ctx = &bar,
    };
    int rc = convert_checkpoint(&opt, &r, &err);
    cli_progress_end(&bar.progress);
    if (!a->json)
        print_notes(a, &r.notes);
    if (rc == 0)
        (a->json ? print_json : print_text)(a, &r, &out);
    buf_release(&r.notes);
    if (rc != 0)
        return cli_fail(a, &err);
    return cli_write_buf(a, &out);
}

static const struct cli_option options[] = {
    {.name = "output", .letter = 'o', .type = CLI_TEXT, .offset = offsetof(struct cli_args, output), .arg = "FILE",
     .help = "the GGUF file to write; a GGUF file of this name is replaced at the end, anything else is left alone"},
    {.name = "type", .type = CLI_CHOICE, .offset = offsetof(struct cli_args, type), .arg = "TYPE",
     .choices = "f32|f16|bf16|q8_0", .help = "type of the matrices (default: bf16 of a checkpoint in bfloat16, else "
     "f16); norms, biases and learned positions are f32 always"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_convert = {
    .name = "convert", .operands = "DIR", .min_operands = 1, .max_operands = 1,
    .summary = "a Hugging Face checkpoint to a GGUF file",
    .description =
        "Reads the folder DIR of a Hugging Face checkpoint (config.json; model.safetensors, or the shards that "
        "model.safetensors.index.json names; tokenizer.json, tokenizer.model or vocab.json with merges.txt; "
        "tokenizer_config.json, chat_template.jinja, generation_config.json) and writes one GGUF file with the keys "
        "and tensors that llama.cpp's converter writes for it.\n\n"
        "Architectures: Llama, Mistral, Qwen2, Qwen3, Gemma 2, Gemma 3 (text), GPT-2, MiniCPM, MiniCPM3, Phi-2, "
        "Phi-3, Granite. What config.json asks for and the file cannot say is an error that names the key.\n\n"
        "The weights pass through a few megabytes of memory, whatever their size. The file appears under its name "
        "when all of it is on the disk; an interrupted or failed conversion leaves nothing.",
    .examples = "idem convert ~/models/LaMini-GPT-774M -o lamini-774m.gguf\n"
                "idem convert ./my-finetune -o my-finetune-q8.gguf --type q8_0",
    .options = options, .groups = groups, .exec = convert,
};
