/* SPDX-License-Identifier: MIT
 * The run database of an expanded plan: what the store wants to know, from plan and backend. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "run/run.h"

/* ---- where this process runs ------------------------------------------------------------------------ */

/* The processor's name from /proc/cpuinfo, or the machine's architecture where it is not there. */
static void processor(char *out, size_t size, const struct utsname *u)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "%s", u->machine);
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

static void machine_line(char *out, size_t size)
{
    struct utsname u;
    char cpu[160];
    if (uname(&u) != 0)
        memset(&u, 0, sizeof u);
    processor(cpu, sizeof cpu, &u);
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    snprintf(out, size, "%s, %ld processors, %.1f GiB memory, %.60s %.60s %.30s", cpu,
             sysconf(_SC_NPROCESSORS_ONLN), bytes / 1073741824.0, u.sysname, u.release, u.machine);
}

/* ---- what the store wants to know ------------------------------------------------------------------- */

struct parts {   /* arrays that store_open_run reads and nobody keeps */
    struct store_prompt *prompts;
    struct store_setting *settings;
    struct store_host *hosts;
    struct store_claim *claims;
    struct store_perturbation *perturbations;
    struct store_skip *skips;
};

static int parts_alloc(struct parts *x, const struct plan *p)
{
    x->prompts = calloc(p->n_prompts + 1, sizeof *x->prompts);
    x->settings = calloc(p->n_settings + 1, sizeof *x->settings);
    x->hosts = calloc(p->n_hosts + 1, sizeof *x->hosts);
    x->claims = calloc(p->n_claims + 1, sizeof *x->claims);
    x->perturbations = calloc(p->n_perturbations + 1, sizeof *x->perturbations);
    x->skips = calloc(p->n_skips + 1, sizeof *x->skips);
    return x->prompts && x->settings && x->hosts && x->claims && x->perturbations && x->skips ? 0 : -1;
}

static void parts_free(struct parts *x)
{
    free(x->prompts);
    free(x->settings);
    free(x->hosts);
    free(x->claims);
    free(x->perturbations);
    free(x->skips);
}

static void parts_fill(struct parts *x, const struct plan *p)
{
    for (size_t i = 0; i < p->n_prompts; i++)
        x->prompts[i] = (struct store_prompt){
            .id = p->prompts[i].id, .kind = p->prompts[i].kind, .system = p->prompts[i].system,
            .text = p->prompts[i].text, .chat = p->prompts[i].chat,
            .attributes = p->prompts[i].attributes, .n_attributes = p->prompts[i].n_attributes,
            .perturbed = p->prompts[i].perturbation + 1u,   /* PLAN_UNPERTURBED + 1 is 0 */
            .base = p->prompts[i].base, .diff = p->prompts[i].diff, .option_order = p->prompts[i].order,
        };
    for (size_t i = 0; i < p->n_perturbations; i++)
        x->perturbations[i] = (struct store_perturbation){
            .name = p->perturbations[i].name, .random = p->perturbations[i].random,
            .seed = p->perturbations[i].seed,
        };
    for (size_t i = 0; i < p->n_skips; i++)
        x->skips[i] = (struct store_skip){p->skips[i].prompt, p->skips[i].perturbation, p->skips[i].why};
    for (size_t i = 0; i < p->n_settings; i++)
        x->settings[i] = (struct store_setting){
            .name = p->settings[i].id, .factor = p->settings[i].factor, .level = p->settings[i].level,
            .settings = p->settings[i].values,
        };
    for (size_t i = 0; i < p->n_hosts; i++)
        x->hosts[i] = (struct store_host){.name = p->hosts[i].id, .host = p->hosts[i].state};
    for (size_t i = 0; i < p->n_claims; i++)
        x->claims[i] = (struct store_claim){
            .id = p->claims[i].id, .text = p->claims[i].text, .factor = p->claims[i].factor,
            .settings = p->claims[i].settings, .levels = p->claims[i].levels,
            .n_settings = p->claims[i].n_settings,
            .measure = p->decision.measure,
        };
}

static void run_fill(struct store_run *r, const struct plan *p, const struct backend_description *d,
                     const char *model_path, const char *json)
{
    struct stat st;
    *r = (struct store_run){
        .hypothesis = p->hypothesis, .title = p->title, .question = p->question,
        .experiment_path = p->path, .experiment_text = p->text, .plan_digest = p->digest,
        .idem_version = IDEM_VERSION, .backend = d->name, .backend_version = d->version,
        .numerics = p->numerics, .model_name = d->model_name,
        .sampler = rec_sampler_name(p->settings[0].values.sampler),
        .model_path = model_path, .model_digest = p->model_digest, .model_arch = d->arch,
        .model_tokenizer = d->tokenizer, .model_chat_family = d->chat_family,
        .model_file_bytes = stat(model_path, &st) == 0 ? (uint64_t)st.st_size : 0,
        .n_vocab = d->n_vocab, .n_ctx = d->n_ctx,
        .limit_prompts = p->n_bases < p->n_prompts_declared ? (uint32_t)p->n_bases : 0,
        .n_prompts_declared = (uint32_t)p->n_prompts_declared, .n_seeds = (uint32_t)p->n_seeds,
        .n_repeats = p->n_repeats, .plan_json = json, .confidence = p->decision.confidence,
        .max_differing = p->decision.max_differing,
        .correction = p->decision.correction == PLAN_CORRECTION_HOLM ? "holm" : "none",
        .rule = p->decision.text,
    };
}

/* The kinds of noise among the settings, "none" if there are none. *out: the caller frees. */
static int noise_names(const struct plan *p, char **out, struct idem_err *err)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < p->n_settings; i++) {
        struct arith_noise z = rec_noise(&p->settings[i].values, 0);
        char name[ARITH_NOISE_TEXT];
        bool seen = arith_noise_is_none(&z);
        for (size_t k = 0; k < i; k++)
            seen |= p->settings[k].values.noise == p->settings[i].values.noise;
        arith_noise_text(&z, name);
        if (!seen)
            buf_addf(&b, "%s%s", b.len ? ", " : "", name);
    }
    if (!b.len)
        buf_adds(&b, "none");
    *out = buf_detach(&b);
    return *out ? 0 : err_memory(err, "the plan", 1 << 16);
}

static const char *token_bytes(void *ctx, int32_t id, size_t *len)
{
    struct backend *b = ctx;
    return b->ops->token_bytes(b, id, len);
}

struct store *run_open_store(const struct plan *p, struct backend *b, const char *model_path,
                             const char *path, struct idem_err *err)
{
    struct backend_description d;
    struct parts x = {0};
    struct store_plan sp = {0};
    struct store *s = NULL;
    char machine[512], *noise = NULL;
    if (b->ops->describe(b, &d, err) != 0)
        return NULL;
    char *json = plan_json(p);
    if (!json || parts_alloc(&x, p) != 0) {
        err_memory(err, "the plan", p->n_settings * sizeof *x.settings);
        goto done;
    }
    parts_fill(&x, p);
    run_fill(&sp.run, p, &d, model_path, json);
    if (noise_names(p, &noise, err) != 0)
        goto done;
    sp.run.noise = noise;
    sp.prompts = x.prompts;
    sp.n_prompts = p->n_prompts;
    sp.settings = x.settings;
    sp.n_settings = p->n_settings;
    sp.hosts = x.hosts;
    sp.n_hosts = p->n_hosts;
    sp.claims = x.claims;
    sp.n_claims = p->n_claims;
    struct store_answer answer = {
        .parse = answer_parse_name(p->answer.rule.parse), .arg = p->answer.rule.arg,
        .normalize = answer_normal_name(p->answer.rule.normal),
        .match = answer_match_name(p->answer.rule.match), .correct = p->answer.correct,
    };
    sp.answer = p->answer.given ? &answer : NULL;
    sp.perturbations = x.perturbations;
    sp.n_perturbations = p->n_perturbations;
    sp.skips = x.skips;
    sp.n_skips = p->n_skips;
    sp.trials = p->trials;
    sp.n_trials = p->n_trials;
    machine_line(machine, sizeof machine);
    s = store_open_run(path, &sp, machine, err);
    if (s)
        store_set_vocab(s, token_bytes, b);
done:
    parts_free(&x);
    free(json);
    free(noise);
    return s;
}
