/* SPDX-License-Identifier: MIT
 * libFuzzer: any text under any perturbation, and any bytes as a list.
 * Bytes 0 to 5 of the input choose the kind, the seed, the body and a kept span; the rest is text. With
 * an odd byte 1 the rest is a list, and what it has is done to a fixed text.
 *
 * What must hold: the same twice; well-formed UTF-8; only identity gives the input back; the edits
 * make the output and leave kept spans alone; the text outside the edits is cut as before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "perturb/perturb.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

static const char *const texts[PERTURB_N_LISTS] = {
    NULL, "author = writer | a scribe\nd\xC3\xA9j\xC3\xA0 = vu\n", "a = b | \xC3\xA9\ne = r\n", "p = \\s{text}\\n\nq = {text}\xCC\x81\n",
    "i = Say: {text}\n", "plain = {text}\nqa = Q: {text}\\nA:\n", "a{x}b = {x}c | d{x}\nab = ba\n{x} = {x}\xE2\x80\x8D\n",
};
static struct perturb_list *lists[PERTURB_N_LISTS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (int i = 1; i < PERTURB_N_LISTS; i++)
        MUST(lists[i] = perturb_list_parse((enum perturb_list_kind)i, "list", texts[i], strlen(texts[i]), NULL));
    return 0;
}

/* Whether characters are parted at a byte; plainly, from the beginning. */
static bool border(const char *s, size_t len, size_t at)
{
    int32_t before = 0, cp, state = 0;
    for (size_t i = 0, step; i <= at && i < len; i += step) {
        step = utf8_next(s + i, len - i, &cp);
        bool b = i == 0 || utf8proc_grapheme_break_stateful(before, cp, &state);
        if (i == at)
            return b;
        before = cp;
    }
    return at == len;
}

static void check_edits(const struct perturb_input *in, const struct perturb_result *r)
{
    size_t at = 0, out = 0;
    for (size_t i = 0; i < r->n_edits; i++) {
        const struct perturb_edit *e = &r->edits[i];
        MUST(e->from >= at && e->to >= e->from && e->to <= in->len);
        MUST(e->out_from == out + (e->from - at) && e->out_to >= e->out_from && e->out_to <= r->len);
        MUST(memcmp(in->text + at, r->text + out, e->from - at) == 0);
        MUST(border(in->text, in->len, e->from) && border(in->text, in->len, e->to));
        MUST(border(r->text, r->len, e->out_from) && border(r->text, r->len, e->out_to));
        for (size_t k = 0; k < in->n_keep; k++)
            MUST(in->keep[k].from == in->keep[k].to || e->to <= in->keep[k].from || e->from >= in->keep[k].to);
        at = e->to;
        out = e->out_to;
    }
    MUST(in->len - at == r->len - out && memcmp(in->text + at, r->text + out, in->len - at) == 0);
}

static void check(const struct perturb_spec *spec, uint64_t seed, const struct perturb_input *in)
{
    struct perturb_result r, again;
    struct idem_err err = {0};
    if (perturb_apply(spec, seed, in, &r, &err)) {
        MUST(err.code != IDEM_OK && err.msg[0] && !r.text);
        return;
    }
    MUST(perturb_apply(spec, seed, in, &again, &err) == 0 && again.applies == r.applies);
    if (!r.applies) {
        MUST(r.why && r.why == again.why && !r.text && !r.diff && !perturb_spec_identity(spec));
        return;
    }
    MUST(r.len == again.len && memcmp(r.text, again.text, r.len) == 0 && strcmp(r.diff, again.diff) == 0);
    MUST(r.len > 0 && utf8_valid(r.text, r.len, NULL) && utf8_valid(r.diff, strlen(r.diff), NULL) && !strchr(r.diff, '\n'));
    bool same = r.len == in->len && memcmp(r.text, in->text, r.len) == 0;
    MUST(same == perturb_spec_identity(spec) && same == (r.n_edits == 0));
    MUST(r.body_from <= r.body_to && r.body_to <= r.len);
    check_edits(in, &r);
    perturb_result_release(&r);
    perturb_result_release(&again);
}

static void check_list(enum perturb_list_kind kind, uint64_t seed, const char *s, size_t len)
{
    struct idem_err err = {0};
    struct perturb_list *l = perturb_list_parse(kind, "list", s, len, &err);
    if (!l) {
        MUST(err.code != IDEM_OK && strncmp(err.msg, "list:", 5) == 0);
        return;
    }
    static const char *const names[PERTURB_N_LISTS] = {NULL, "synonym", "typo:neighbour", "polite", "instruct", "format",
                                                       "paraphrase"};
    static const char text[] = "The author of abc?";
    struct perturb_spec spec;
    MUST(perturb_spec_parse(&spec, names[kind], NULL) == 0);
    check(&spec, seed, &(struct perturb_input){.text = text, .len = sizeof text - 1, .body_to = sizeof text - 1, .list = l});
    perturb_list_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char name[80];
    const char *what, *row;
    size_t n = 0;
    if (len < 7)
        return 0;
    const char *s = (const char *)data + 6;
    len -= 6;
    if (data[1] & 1) {
        check_list((enum perturb_list_kind)(1 + data[0] % (PERTURB_N_LISTS - 1)), data[2], s, len);
        return 0;
    }
    while (perturb_kind_row(n, &what))
        n++;
    row = perturb_kind_row(data[0] % n, &what);
    struct perturb_spec spec;
    snprintf(name, sizeof name, "%s%s", row, row[strlen(row) - 1] != ':' ? "" : row[0] == 'p' && row[1] == 'a' ? "1"
             : row[0] == 'p' ? "q" : row[0] == 'i' ? "i" : "qa");
    MUST(perturb_spec_parse(&spec, name, NULL) == 0);
    size_t from = data[3] % len, keep = data[5] % (len + 1);
    struct perturb_span span = {keep, keep + (data[5] >> 4) < len ? keep + (data[5] >> 4) : len};
    struct perturb_input in = {
        .text = s, .len = len, .body_from = data[3] & 0x80 ? from : 0, .keep = &span, .n_keep = data[1] >> 7,
        .list = lists[perturb_spec_list(&spec)],
    };
    in.body_to = data[4] & 0x80 ? in.body_from + 1 + data[4] % (len - in.body_from) : len;
    check(&spec, data[2], &in);
    return 0;
}
