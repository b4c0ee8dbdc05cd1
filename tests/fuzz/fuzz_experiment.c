/* SPDX-License-Identifier: MIT
 * libFuzzer: any bytes as an experiment file, through the reader, the expansion and the JSON.
 * What is refused must say so in printable words; what is accepted must expand to the same trials
 * each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void check_refusal(const struct idem_err *err)
{
    if (err->code == IDEM_OK || !err->msg[0])
        abort();
    for (const char *p = err->msg; *p; p++) {
        if ((unsigned char)*p >= 0x20 && *p != 0x7F)
            continue;
        fprintf(stderr, "a control character in: %s\n", err->msg);
        abort();
    }
}

/* Opens and expands; the digest of the plan goes to hex. False: refused. */
static bool expand(const char *path, char hex[DIGEST_HEX])
{
    struct idem_err err = {0};
    struct plan *p = plan_open(path, NULL, &err);
    if (!p) {
        check_refusal(&err);
        return false;
    }
    MUST(p->n_prompts > 0 && p->n_settings > 0 && p->n_hosts > 0 && p->n_seeds > 0);
    if (plan_expand(p, digest, "idem-numerics-1/q8", &err) != 0) {
        check_refusal(&err);
        plan_close(p);
        return false;
    }
    MUST(p->n_trials > 0);
    for (size_t i = 0; i < p->n_trials; i++) {
        const struct rec_trial *t = &p->trials[i];
        MUST(t->index == i && strlen(t->key) == 64);
        MUST(t->prompt < p->n_prompts && t->setting < p->n_settings && t->host < p->n_hosts);
    }
    struct plan_rates rates = {.prefill = 100, .decode_1 = 10, .decode_8 = 40};
    struct plan_estimate e;
    plan_estimate(p, NULL, &rates, &e);
    MUST(e.n_trials == p->n_trials && e.seconds > 0 && e.detectable > 0 && e.detectable <= 1);
    char *json = plan_json(p);
    MUST(json && json[0] == '{' && !strchr(json, '\n'));
    free(json);
    memcpy(hex, p->digest, DIGEST_HEX);
    plan_close(p);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[64], first[DIGEST_HEX] = "", again[DIGEST_HEX] = "";
    int fd = memfd_create("experiment", MFD_CLOEXEC);
    MUST(fd >= 0);
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, data + at, len - at);
        MUST(n > 0);
        at += (size_t)n;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (expand(path, first))
        MUST(expand(path, again) && strcmp(first, again) == 0);
    close(fd);
    return 0;
}
