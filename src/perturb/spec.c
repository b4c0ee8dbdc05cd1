/* SPDX-License-Identifier: MIT
 * The table of kinds, and their names. */
#include <stdlib.h>
#include <string.h>

#include "perturb/intern.h"

#define DO(name) .sites = pert_##name##_sites, .edit = pert_##name##_edit

const struct perturb_kind pert_kinds[] = {
    {.name = "identity", .what = "changes nothing: the control"},
    {.name = "case:lower", DO(case_lower), .why = "no capital letter",
     .what = "all letters small"},
    {.name = "case:upper", DO(case_upper), .why = "no small letter",
     .what = "all letters capital"},
    {.name = "case:title", DO(case_title), .why = "no word begins with a small letter",
     .what = "each word begins with a capital letter"},
    {.name = "case:first", DO(case_first), .why = "the first letter is kept or has one case only",
     .what = "the first letter has the other case"},
    {.name = "case:one", .random = true, DO(case_one), .why = "no letter that has two cases",
     .what = "one letter has the other case"},
    {.name = "space:double", .random = true, DO(space_double), .why = "no space",
     .what = "one space is doubled"},
    {.name = "space:drop", .random = true, DO(space_drop), .why = "no single space between words",
     .what = "one space between words is missing"},
    {.name = "space:leading", DO(space_leading), .why = "the text begins with half a character",
     .what = "a space before the text"},
    {.name = "space:trailing", DO(space_trailing), .why = "the text ends with half a character",
     .what = "a space behind the text"},
    {.name = "space:newline", DO(space_newline), .why = "the text ends with half a character",
     .what = "a line break behind the text"},
    {.name = "punct:drop", .random = true, DO(punct_drop), .why = "no punctuation",
     .what = "one punctuation mark is missing"},
    {.name = "punct:double", .random = true, DO(punct_double), .why = "no punctuation",
     .what = "one punctuation mark is doubled"},
    {.name = "punct:end-drop", DO(punct_end_drop), .why = "it does not end with a punctuation mark",
     .what = "the mark at the end is missing"},
    {.name = "punct:end-add", DO(punct_end_add), .why = "it ends with a punctuation mark already",
     .what = "a full stop at the end, where no mark is"},
    {.name = "punct:end-change", DO(punct_end_change), .why = "it does not end with one of ? . ! :",
     .what = "the mark at the end is another: . for ? ! and :, ! for ."},
    {.name = "typo:swap", .random = true, DO(typo_swap), .why = "no two neighbouring letters that differ",
     .what = "two neighbouring letters of a word change places"},
    {.name = "typo:drop", .random = true, DO(typo_drop), .why = "no word of two letters",
     .what = "one letter of a word is missing"},
    {.name = "typo:double", .random = true, DO(typo_double), .why = "no letter",
     .what = "one letter stands twice"},
    {.name = "typo:neighbour", .random = true, .list = PERTURB_LIST_KEYBOARD, DO(typo_neighbour),
     .why = "no letter that the keyboard list has",
     .what = "one letter is that of a neighbouring key (list keyboard)"},
    {.name = "synonym", .random = true, .list = PERTURB_LIST_SYNONYMS, DO(synonym),
     .why = "no word that the synonym list has",
     .what = "one word is another of the list synonyms"},
    {.name = "polite", .random = true, .list = PERTURB_LIST_POLITE, DO(wrap), .why = "the wording adds nothing",
     .what = "a wording of the list polite around the text"},
    {.name = "polite:", .list = PERTURB_LIST_POLITE, DO(wrap), .why = "the wording adds nothing",
     .what = "that wording of the list"},
    {.name = "instruct", .random = true, .list = PERTURB_LIST_INSTRUCT, DO(wrap), .why = "the wording adds nothing",
     .what = "a wording of the list instruct around the text"},
    {.name = "instruct:", .list = PERTURB_LIST_INSTRUCT, DO(wrap), .why = "the wording adds nothing",
     .what = "that wording of the list"},
    {.name = "format", .random = true, .list = PERTURB_LIST_FORMATS, DO(format), .why = "it has that format already",
     .what = "another format of the list formats in place of the prompt's own"},
    {.name = "format:", .list = PERTURB_LIST_FORMATS, DO(format), .why = "it has that format already",
     .what = "that format of the list"},
    {.name = "order:reverse", DO(order_reverse), .why = "no options that could come in another order",
     .what = "the options in reverse order"},
    {.name = "order:rotate", DO(order_rotate), .why = "no options that could come in another order",
     .what = "the first option comes last"},
    {.name = "order:shuffle", .random = true, DO(order_shuffle), .why = "no options that could come in another order",
     .what = "the options in a random other order"},
    {.name = "paraphrase", .random = true, .list = PERTURB_LIST_PARAPHRASES, DO(paraphrase),
     .why = "no paraphrase of it in the list", .what = "a paraphrase of the list paraphrases"},
    {.name = "paraphrase:", .list = PERTURB_LIST_PARAPHRASES, DO(paraphrase),
     .why = "no paraphrase of it in the list", .what = "the Nth paraphrase, N from 1"},
};
const size_t pert_n_kinds = sizeof pert_kinds / sizeof pert_kinds[0];

static const char id_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* Appends the names of the family of name[family_len], or of all kinds if it has none. */
static void list_kinds(struct buf *b, const char *name, size_t family_len)
{
    bool any = false;
    for (int all = 0; all < 2 && !any; all++)
        for (size_t i = 0; i < pert_n_kinds; i++) {
            const char *k = pert_kinds[i].name;
            size_t len = strcspn(k, ":");
            if (!all && (len != family_len || memcmp(k, name, len) != 0))
                continue;
            buf_addf(b, "%s%s%s", any ? ", " : "", k,
                     k[strlen(k) - 1] != ':' ? "" : pert_kinds[i].list == PERTURB_LIST_PARAPHRASES ? "N" : "NAME");
            any = true;
        }
}

static int unknown(const char *name, struct idem_err *err)
{
    struct buf b;
    buf_init(&b, 800);
    list_kinds(&b, name, strcspn(name, ":"));
    err_set(err, IDEM_ERR_USAGE, "'%.40s' is no perturbation; allowed: %s", name, b.data ? b.data : "");
    buf_release(&b);
    return -1;
}

int perturb_spec_parse(struct perturb_spec *spec, const char *name, struct idem_err *err)
{
    *spec = (struct perturb_spec){0};
    size_t len = strlen(name);
    if (len >= sizeof spec->name)
        return unknown(name, err);
    for (size_t i = 0; i < pert_n_kinds && !spec->kind; i++) {
        const char *k = pert_kinds[i].name;
        size_t n = strlen(k);
        if (k[n - 1] == ':' ? len > n && memcmp(name, k, n) == 0 : strcmp(name, k) == 0) {
            spec->kind = &pert_kinds[i];
            if (k[n - 1] == ':')
                memcpy(spec->arg, name + n, len - n + 1);
        }
    }
    if (!spec->kind)
        return unknown(name, err);
    memcpy(spec->name, name, len + 1);
    if (spec->arg[0] && spec->kind->list == PERTURB_LIST_PARAPHRASES) {
        char *end;
        unsigned long v = strtoul(spec->arg, &end, 10);
        if (spec->arg[0] < '1' || spec->arg[0] > '9' || *end || v > 1000)
            return err_set(err, IDEM_ERR_USAGE, "'%.40s': behind the colon stands a number from 1 to 1000, the place "
                           "of the paraphrase in its list", name);
        spec->number = (uint32_t)v;
    } else if (spec->arg[strspn(spec->arg, id_letters)]) {
        return err_set(err, IDEM_ERR_USAGE, "'%.40s': a name has letters, digits, '.', '_' and '-' only", name);
    }
    return 0;
}

bool perturb_spec_random(const struct perturb_spec *spec) { return spec->kind->random; }
bool perturb_spec_identity(const struct perturb_spec *spec) { return !spec->kind->edit; }
enum perturb_list_kind perturb_spec_list(const struct perturb_spec *spec) { return spec->kind->list; }

static int no_entry(const struct perturb_spec *spec, const struct perturb_entry *e, size_t n, struct idem_err *err)
{
    struct buf b;
    buf_init(&b, 600);
    for (size_t i = 0; i < n; i++) {
        buf_adds(&b, i ? ", " : "");
        buf_add(&b, e[i].key.s, e[i].key.len);
    }
    err_set(err, IDEM_ERR_USAGE, "'%s': the list of %s has no '%s'; it has: %s", spec->name,
            perturb_list_name(spec->kind->list), spec->arg, b.data ? b.data : "");
    buf_release(&b);
    return -1;
}

int perturb_spec_check(const struct perturb_spec *spec, const struct perturb_list *list, struct idem_err *err)
{
    size_t n = 0;
    if (!spec->kind->list)
        return 0;
    const struct perturb_entry *e = list ? perturb_list_entries(list, &n) : NULL;
    if (!e || perturb_list_kind_of(list) != spec->kind->list)
        return err_set(err, IDEM_ERR_USAGE, "'%s' needs a list of %s", spec->name,
                       perturb_list_name(spec->kind->list));
    if (!spec->arg[0] || spec->number)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (strlen(spec->arg) == e[i].key.len && memcmp(spec->arg, e[i].key.s, e[i].key.len) == 0)
            return 0;
    return no_entry(spec, e, n, err);
}

const char *perturb_kind_row(size_t i, const char **what)
{
    if (i >= pert_n_kinds)
        return NULL;
    *what = pert_kinds[i].what;
    return pert_kinds[i].name;
}
