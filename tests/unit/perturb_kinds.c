/* SPDX-License-Identifier: MIT
 * Perturbations: every kind on the texts of tests/data/perturb (worked out by hand, and by a second
 * implementation), what holds for all of them, and their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"
#include "perturb/perturb.h"

static struct perturb_list *lists[PERTURB_N_LISTS];

static int open_lists(void **state)
{
    static const char *const paths[PERTURB_N_LISTS] = {
        NULL, "perturbations/synonyms.txt", "perturbations/keyboard.txt", "perturbations/polite.txt",
        "perturbations/instruct.txt", "perturbations/formats.txt", "prompts/popqa-paraphrases.txt",
    };
    struct idem_err err = {0};
    (void)state;
    for (int i = 1; i < PERTURB_N_LISTS; i++)
        if (!(lists[i] = perturb_list_read((enum perturb_list_kind)i, paths[i], &err)))
            fail_msg("%s", err.msg);
    return 0;
}

static int close_lists(void **state)
{
    (void)state;
    for (int i = 0; i < PERTURB_N_LISTS; i++)
        perturb_list_free(lists[i]);
    return 0;
}

/* ---- what holds for every kind ------------------------------------------------------------------ */

/* The edits make the output of the input, and are ascending, apart, and changes. */
static void check_edits(const struct perturb_input *in, const struct perturb_result *r)
{
    struct buf b;
    size_t at = 0;
    buf_init(&b, 8 << 20);
    for (size_t i = 0; i < r->n_edits; i++) {
        const struct perturb_edit *e = &r->edits[i];
        assert_true(e->from <= e->to && e->to <= in->len && e->out_from <= e->out_to && e->out_to <= r->len);
        assert_true(i == 0 || e->from > at);
        assert_false(e->to - e->from == e->out_to - e->out_from &&
                     memcmp(in->text + e->from, r->text + e->out_from, e->to - e->from) == 0);
        buf_add(&b, in->text + at, e->from - at);
        assert_int_equal(b.len, e->out_from);
        buf_add(&b, r->text + e->out_from, e->out_to - e->out_from);
        at = e->to;
        for (size_t k = 0; k < in->n_keep; k++)   /* kept spans are not touched */
            assert_true(e->to <= in->keep[k].from || e->from >= in->keep[k].to);
    }
    buf_add(&b, in->text + at, in->len - at);
    assert_int_equal(b.len, r->len);
    assert_memory_equal(b.data, r->text, r->len);
    buf_release(&b);
}

static void apply(const char *name, uint64_t seed, const struct perturb_input *base, struct perturb_result *r)
{
    struct perturb_spec spec;
    struct perturb_result again;
    struct idem_err err = {0};
    struct perturb_input in = *base;
    if (perturb_spec_parse(&spec, name, &err))
        fail_msg("%s", err.msg);
    in.list = lists[perturb_spec_list(&spec)];
    if (perturb_apply(&spec, seed, &in, r, &err) || perturb_apply(&spec, seed, &in, &again, &err))
        fail_msg("%s: %s", name, err.msg);
    assert_int_equal(r->applies, again.applies);
    if (!r->applies) {
        assert_true(r->why && !r->text && !r->n_edits && again.why == r->why);
        return;
    }
    assert_null(r->why);
    assert_true(r->len == again.len && memcmp(r->text, again.text, r->len) == 0 && !strcmp(r->diff, again.diff));
    assert_true(utf8_valid(r->text, r->len, NULL) && utf8_valid(r->diff, strlen(r->diff), NULL));
    bool same = r->len == in.len && memcmp(r->text, in.text, in.len) == 0;
    assert_int_equal(same, perturb_spec_identity(&spec));
    assert_int_equal(r->n_edits == 0, same);
    assert_true(r->body_from <= r->body_to && r->body_to <= r->len && !strchr(r->diff, '\n'));
    check_edits(&in, r);
    perturb_result_release(&again);
}

/* ---- cases as data ------------------------------------------------------------------------------- */

static size_t unescape(char *s)
{
    size_t n = 0;
    for (size_t i = 0; s[i]; i++)
        s[n++] = s[i] != '\\' ? s[i] : s[++i] == 'n' ? '\n' : '\t';
    s[n] = '\0';
    return n;
}

/* Every place of `kept` in text. */
static size_t find_kept(const char *text, const char *kept, struct perturb_span *spans, size_t max)
{
    size_t n = 0;
    for (const char *at = text; kept[0] && n < max && (at = strstr(at, kept)); at += strlen(kept))
        spans[n++] = (struct perturb_span){(size_t)(at - text), (size_t)(at - text) + strlen(kept)};
    return n;
}

static size_t run_cases(const char *path, size_t *wrong)
{
    struct buf b;
    struct idem_err err = {0};
    size_t n = 0;
    buf_init(&b, 1 << 20);
    assert_int_equal(file_read(&b, path, &err), 0);
    char *rest = b.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!line[0] || line[0] == '#')
            continue;
        char *col[5];
        for (int i = 0; i < 5; i++)
            assert_non_null(col[i] = strsep(&line, "\t"));
        struct perturb_span keep[8];
        struct perturb_result r;
        struct perturb_input in = {.text = col[2], .len = unescape(col[2]), .keep = keep};
        in.body_to = in.len;
        unescape(col[3]);
        in.n_keep = find_kept(col[2], col[3], keep, 8);
        apply(col[0], strtoull(col[1], NULL, 10), &in, &r);
        bool ok = r.applies ? !strcmp(col[4], r.diff) : col[4][0] == '!' && strstr(r.why, col[4] + 1);
        if (!ok)
            print_error("%s: %s, seed %s\n  expected: %s\n  got:      %s\n", path, col[0], col[1], col[4],
                        r.applies ? r.diff : r.why);
        *wrong += !ok;
        n++;
        perturb_result_release(&r);
    }
    buf_release(&b);
    return n;
}

static void test_cases(void **state)
{
    (void)state;
    size_t wrong = 0;
    assert_true(run_cases("tests/data/perturb/cases.txt", &wrong) >= 60);
    assert_true(run_cases("tests/data/perturb/random.txt", &wrong) == 90);
    assert_int_equal(wrong, 0);
}

/* ---- all kinds on texts that are hard to cut ----------------------------------------------------- */

static const char *const names[] = {
    "identity", "case:lower", "case:upper", "case:title", "case:first", "case:one", "space:double", "space:drop",
    "space:leading", "space:trailing", "space:newline", "punct:drop", "punct:double", "punct:end-drop",
    "punct:end-add", "punct:end-change", "typo:swap", "typo:drop", "typo:double", "typo:neighbour", "synonym",
    "polite", "polite:please", "instruct", "instruct:brief", "format", "format:qa", "order:reverse", "order:rotate",
    "order:shuffle", "paraphrase", "paraphrase:1",
};
enum { N_NAMES = sizeof names / sizeof names[0] };

static const char *const texts[] = {
    "Who is the author of What I Was?",
    "x",
    " ",
    "\xCC\x81",                                        /* a combining accent alone */
    "a\xCC\x81\xCC\x82 b\xCC\x81 c",                   /* letters with accents */
    "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8 \xE1\x84\x80\xE1\x85\xA1 x",   /* Hangul by its letters */
    "\xE1\x84\x80 \xE1\x85\xA1\xE1\x86\xA8",           /* letters that would join without the space */
    "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA\xF0\x9F\x87\xAB\xF0\x9F\x87\xB7!",   /* two flags */
    "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x94\xAC asks: why?",             /* woman, joiner, microscope */
    "\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7 \xE0\xA4\xA8\xE0\xA4\xBF\xE0\xA4\xAE",   /* Devanagari conjunct */
    "\r\nA. \xC3\x9F\r\nB. \xC5\x89\r\n",              /* lines with CR LF, letters that grow in capitals */
    "Which one?\nA. the author\nB. the city\nC. the author\n",
    "\xC4\xB0\xC4\xB1\xCF\x82\xEF\xAC\x81\xC7\x85",    /* dotted I, dotless i, final sigma, fi, Dz */
};

static void test_everywhere(void **state)
{
    (void)state;
    size_t applied = 0;
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        for (size_t k = 0; k < N_NAMES; k++)
            for (uint64_t seed = 0; seed < 20; seed++) {
                struct perturb_result r;
                size_t len = strlen(texts[t]);
                apply(names[k], seed, &(struct perturb_input){.text = texts[t], .len = len, .body_to = len}, &r);
                applied += r.applies;
                perturb_result_release(&r);
            }
    assert_true(applied > 3000);
}

/* Every kind of the table can apply somewhere: no row is dead. */
static void test_table(void **state)
{
    static const char text[] = "What's the author of it 1 a?\nA. One b\nB. two\nC. two end";
    static const char asked[] = "Who is the author of X?", plain[] = "the end";
    const char *what, *row;
    (void)state;
    for (size_t i = 0; (row = perturb_kind_row(i, &what)); i++) {
        char name[80];
        size_t applied = 0;
        bool named = row[strlen(row) - 1] == ':';
        const char *arg = !strcmp(row, "polite:") ? "please" : !strcmp(row, "instruct:") ? "brief"
                        : !strcmp(row, "format:") ? "qa" : "2";
        snprintf(name, sizeof name, "%s%s", row, named ? arg : "");
        assert_true(strlen(what) > 10);
        const char *const all[] = {text, asked, plain};
        for (size_t k = 0; k < 3; k++) {
            struct perturb_result r;
            apply(name, 1, &(struct perturb_input){.text = all[k], .len = strlen(all[k]), .body_to = strlen(all[k])}, &r);
            applied += r.applies;
            perturb_result_release(&r);
        }
        if (!applied)
            fail_msg("%s applies nowhere", name);
    }
}

/* Seeds choose among all places, and different kinds choose on their own. */
static void test_seeds(void **state)
{
    static const char text[] = "abcdefgh";
    unsigned seen = 0, other = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct perturb_result r, q;
        struct perturb_input in = {.text = text, .len = 8, .body_to = 8};
        apply("typo:drop", seed, &in, &r);
        apply("typo:double", seed, &in, &q);
        seen |= 1u << r.edits[0].from;
        other += r.edits[0].from + 1 != q.edits[0].from;
        perturb_result_release(&r);
        perturb_result_release(&q);
    }
    assert_int_equal(seen, 0xFF);
    assert_true(other > 70);
}

static size_t shuffle(const char *text, uint64_t seed)
{
    struct perturb_result r;
    apply("order:shuffle", seed, &(struct perturb_input){.text = text, .len = strlen(text), .body_to = strlen(text)}, &r);
    assert_int_equal(r.n_order, 3);
    size_t code = r.order[0] * 9u + r.order[1] * 3u + r.order[2];
    for (size_t i = 0; i < 3; i++)   /* option i of the output is what option order[i] was */
        assert_int_equal(r.text[3 + 5 * i], text[3 + 5 * r.order[i]]);
    perturb_result_release(&r);
    return code;
}

/* All orders but the text's own, about equally often (chi-square, 4 degrees, 0.999: 18.5). */
static void test_shuffle(void **state)
{
    size_t n[27] = {0}, kinds = 0;
    double chi = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++)
        n[shuffle("A. x\nB. y\nC. z", seed)]++;
    for (size_t i = 0; i < 27; i++) {
        kinds += n[i] > 0;
        chi += n[i] ? ((double)n[i] - 200) * ((double)n[i] - 200) / 200 : 0;
    }
    assert_int_equal(n[0 * 9 + 1 * 3 + 2], 0);
    assert_int_equal(kinds, 5);
    assert_true(chi < 18.5);
}

/* Only format changes what stands around the body; wordings go inside it; one body draws the same in
 * every format. */
static void test_body(void **state)
{
    static const char text[] = "Q: who is it?\nA:", bare[] = "who is it?";
    struct perturb_input in = {.text = text, .len = sizeof text - 1, .body_from = 3, .body_to = 13};
    (void)state;
    static const struct { const char *name, *diff; size_t from, to; } cases[] = {
        {"case:upper", "Q: [-who-]{+WHO+} [-is-]{+IS+} [-it-]{+IT+}?\\nA:", 3, 13},
        {"case:first", "Q: [-w-]{+W+}ho is it?\\nA:", 3, 13},
        {"polite:thanks", "Q: who is it?{+ Thank you.+}\\nA:", 3, 24},
        {"space:leading", "Q: {+ +}who is it?\\nA:", 3, 14},
        {"punct:end-drop", "Q: who is it[-?-]\\nA:", 3, 12},
        {"format:plain", "[-Q: -]who is it?[-\\nA:-]", 0, 10},
        {"format:words", "[-Q:-]{+Question:+} who is it?[-\\nA:-]{+\\nAnswer:+}", 10, 20},
        {"format:dialogue", "[-Q:-]{+User:+} who is it?[-\\nA:-]{+\\nAssistant:+}", 6, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct perturb_result r;
        apply(cases[i].name, 0, &in, &r);
        assert_true(r.applies);
        assert_string_equal(r.diff, cases[i].diff);
        assert_int_equal(r.body_from, cases[i].from);
        assert_int_equal(r.body_to, cases[i].to);
        perturb_result_release(&r);
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct perturb_result r, q;
        apply("typo:double", seed, &in, &r);
        apply("typo:double", seed, &(struct perturb_input){.text = bare, .len = 10, .body_to = 10}, &q);
        assert_int_equal(r.edits[0].from, q.edits[0].from + 3);
        perturb_result_release(&r);
        perturb_result_release(&q);
    }
    struct perturb_result r;
    apply("format:qa", 0, &in, &r);
    assert_string_equal(r.why, "it has that format already");
}

/* A long text is shown in part. */
static void test_long_diff(void **state)
{
    char text[3000];
    struct perturb_result r;
    (void)state;
    memset(text, '1', sizeof text);
    text[1500] = 'x';
    apply("case:upper", 0, &(struct perturb_input){.text = text, .len = sizeof text, .body_to = sizeof text}, &r);
    assert_true(strlen(r.diff) < 200 && strstr(r.diff, "1[-x-]{+X+}1"));
    perturb_result_release(&r);
}

/* ---- names, lists, input that is refused ---------------------------------------------------------- */

static void test_names(void **state)
{
    static const struct { const char *name, *msg; } bad[] = {
        {"", "is no perturbation; allowed: identity, case:lower, "},
        {"typos", "'typos' is no perturbation; allowed: identity"},
        {"typo", "allowed: typo:swap, typo:drop, typo:double, typo:neighbour"},
        {"typo:swp", "allowed: typo:swap, typo:drop, typo:double, typo:neighbour"},
        {"identity:x", "allowed: identity"},
        {"polite:", "allowed: polite, polite:NAME"},
        {"polite:a b", "a name has letters"},
        {"paraphrase:0", "a number from 1 to 1000"},
        {"paraphrase:2x", "a number from 1 to 1000"},
        {"paraphrase:1001", "a number from 1 to 1000"},
        {"format:0123456789012345678901234567890123456789012345678901234567890123456789", "allowed: format"},
    };
    struct perturb_spec s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct idem_err err = {0};
        assert_int_equal(perturb_spec_parse(&s, bad[i].name, &err), -1);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s: %s", bad[i].name, err.msg);
    }
    assert_int_equal(perturb_spec_parse(&s, "typo:swap", NULL), 0);
    assert_true(perturb_spec_random(&s) && !perturb_spec_identity(&s));
    assert_int_equal(perturb_spec_list(&s), PERTURB_LIST_NONE);
    struct idem_err err = {0};
    assert_int_equal(perturb_spec_parse(&s, "polite:pleas", &err), 0);
    assert_false(perturb_spec_random(&s));
    assert_int_equal(perturb_spec_check(&s, NULL, &err), -1);
    assert_string_equal(err.msg, "'polite:pleas' needs a list of polite");
    assert_int_equal(perturb_spec_check(&s, lists[PERTURB_LIST_FORMATS], &err), -1);
    assert_int_equal(perturb_spec_check(&s, lists[PERTURB_LIST_POLITE], &err), -1);
    assert_non_null(strstr(err.msg, "has no 'pleas'; it has: please, kindly"));
}

static void test_refused(void **state)
{
    struct perturb_span keep = {2, 9};
    const struct { struct perturb_input in; const char *msg; } bad[] = {
        {{.text = "a\xFFz", .len = 3, .body_to = 3}, "byte offset 1"},
        {{.text = "", .len = 0, .body_to = 0}, "0 bytes"},
        {{.text = "abc", .len = 3, .body_from = 2, .body_to = 2}, "the body is bytes 2 to 2"},
        {{.text = "abc", .len = 3, .body_to = 4}, "the body is bytes 0 to 4"},
        {{.text = "abc", .len = 3, .body_to = 3, .keep = &keep, .n_keep = 1}, "a kept span is bytes 2 to 9"},
    };
    struct perturb_spec s;
    (void)state;
    assert_int_equal(perturb_spec_parse(&s, "identity", NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct idem_err err = {0};
        struct perturb_result r;
        assert_int_equal(perturb_apply(&s, 0, &bad[i].in, &r, &err), -1);
        assert_true(!r.text && !r.edits && !r.diff);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s", err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_everywhere), cmocka_unit_test(test_table),
        cmocka_unit_test(test_seeds), cmocka_unit_test(test_shuffle), cmocka_unit_test(test_body),
        cmocka_unit_test(test_long_diff), cmocka_unit_test(test_names), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, open_lists, close_lists);
}
