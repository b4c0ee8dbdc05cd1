/* SPDX-License-Identifier: MIT
 * general.*: a name such as "Org/Qwen2.5-0.5B-Instruct" is taken to pieces as llama.cpp's converter
 * does. None of it changes a result. */
#include "convert/meta.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "convert/checkpoint.h"

enum { MAX_PARTS = 32, PART = 64, TEXT = 256 };
enum { P_BASE = 1, P_SIZE = 2, P_FINETUNE = 4, P_VERSION = 8, P_TYPE = 16 };

struct name {
    char full[TEXT], org[TEXT], base[TEXT], finetune[TEXT], version[TEXT], size[TEXT];
};

struct part { char text[PART]; unsigned kind; };

/* ---- words ------------------------------------------------------------------------------------------ */

static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p))
        p++;
    return p;
}

/* [v|iter]N(.N)* */
static bool is_version(const char *p)
{
    if (strncasecmp(p, "iter", 4) == 0)
        p += 4;
    else if (*p == 'v' || *p == 'V')
        p++;
    const char *q = skip_digits(p);
    while (q > p && *q == '.' && isdigit((unsigned char)q[1]))
        q = skip_digits(q + 1);
    return q > p && *q == '\0';
}

/* i?qN(_X)* or b?fp?(16|32) */
static bool is_type(const char *p)
{
    const char *q = p + (*p == 'i' || *p == 'I');
    if ((*q == 'q' || *q == 'Q') && isdigit((unsigned char)q[1])) {
        for (q += 2; *q == '_' && (isalnum((unsigned char)q[1]) || q[1] == '_'); q += 2)
            ;
        return *q == '\0';
    }
    q = p + (*p == 'b' || *p == 'B');
    if (*q != 'f' && *q != 'F')
        return false;
    q++;
    q += *q == 'p' || *q == 'P';
    return strcmp(q, "16") == 0 || strcmp(q, "32") == 0;
}

/* (A|Nx)?N([._]N)?[KMBT]N? or a word for a size */
static bool is_size(const char *p)
{
    static const char *const words[] = {"small", "mini", "medium", "large", "xl", "xxl"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(p, words[i]) == 0)
            return true;
    if ((*p == 'a' || *p == 'A') && isdigit((unsigned char)p[1])) {
        p++;
    } else {
        const char *x = skip_digits(p);
        if (x > p && (*x == 'x' || *x == 'X') && isdigit((unsigned char)x[1]))
            p = x + 1;
    }
    const char *q = skip_digits(p);
    if (q == p)
        return false;
    if ((*q == '.' || *q == '_') && isdigit((unsigned char)q[1]))
        q = skip_digits(q + 1);
    if (!*q || !strchr("KMBTkmbt", *q))
        return false;
    q++;
    return *q == '\0' || (isdigit((unsigned char)*q) && q[1] == '\0');
}

static bool is_tuning(const char *p)
{
    static const char *const words[] = {"chat", "instruct", "vision", "lora"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(p, words[i]) == 0)
            return true;
    return false;
}

/* ---- the parts of a name ------------------------------------------------------------------------------ */

/* A size is one only if it is near the model's own; else it is a context length, say. */
static void mark_size(struct part *p, uint64_t n_params)
{
    size_t n = strlen(p->text);
    for (size_t i = 0; i < n; i++)
        if (p->text[i] == '_')
            p->text[i] = '.';
    if (n > 2 && isdigit((unsigned char)p->text[n - 1])) {     /* 7b1 is 7.1b */
        char unit = p->text[n - 2];
        p->text[n - 2] = '.';
        if (n + 1 < PART) {
            p->text[n] = unit;
            p->text[n + 1] = '\0';
            n++;
        }
    }
    if (n > 1 && isdigit((unsigned char)p->text[n - 2]))
        p->text[n - 1] = (char)toupper((unsigned char)p->text[n - 1]);
    char *end;
    double size = strtod(p->text, &end);
    const char *unit = strchr("KMBT", p->text[n - 1]);
    if (end == p->text + n - 1 && unit) {
        for (long i = unit - "KMBT"; i >= 0; i--)
            size *= 1000;
        double away = size > (double)n_params ? size - (double)n_params : (double)n_params - size;
        if (away > (double)(7 * n_params / 8)) {
            p->kind = P_FINETUNE;
            p->text[n - 1] = (char)tolower((unsigned char)p->text[n - 1]);
        }
    }
    if (!p->kind)
        p->kind = P_SIZE;
}

static void mark(struct part *parts, size_t n, uint64_t n_params)
{
    for (size_t i = 0; i < n; i++) {
        struct part *p = &parts[i];
        if (is_version(p->text)) {
            p->kind = P_VERSION;
        } else if (is_type(p->text)) {
            p->kind = P_TYPE;
            for (char *q = p->text; *q; q++)
                *q = (char)toupper((unsigned char)*q);
        } else if (i > 0 && is_size(p->text)) {
            mark_size(p, n_params);
        } else if (i > 0 && is_tuning(p->text)) {
            p->kind = P_FINETUNE;
        }
    }
    bool number = false;
    for (size_t i = 0; i < n; i++)
        number = number || (parts[i].kind == P_SIZE && strpbrk(parts[i].text, "0123456789"));
    for (size_t i = 0; i < n && number; i++)
        if (parts[i].kind == P_SIZE && !strpbrk(parts[i].text, "0123456789."))
            parts[i].kind = 0;
}

static void find_base(struct part *parts, size_t n)
{
    bool start = true;
    for (size_t i = 0; i < n; i++) {
        struct part *p = &parts[i];
        if (start && ((!p->kind && isalpha((unsigned char)p->text[0])) || p->kind == P_VERSION)) {
            p->kind |= P_BASE;
        } else {
            start = false;
            if (!p->kind)
                p->kind = P_FINETUNE;
        }
    }
    for (size_t i = n; i > 0 && parts[i - 1].kind == (P_BASE | P_VERSION); i--)
        parts[i - 1].kind = P_VERSION;
}

/* The parts of one kind with '-' between; of sizes each once. */
static void join(char out[TEXT], const struct part *parts, size_t n, unsigned kind, unsigned not)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        for (size_t k = 0; kind == P_SIZE && k < i; k++)
            again = again || ((parts[k].kind & P_SIZE) && strcmp(parts[k].text, parts[i].text) == 0);
        if (!(parts[i].kind & kind) || (parts[i].kind & not) || again)
            continue;
        int len = snprintf(out + at, TEXT - at, "%s%s", at ? "-" : "", parts[i].text);
        at = len > 0 && at + (size_t)len < TEXT ? at + (size_t)len : at;
    }
}

static void take_apart(struct name *m, const char *id, uint64_t n_params)
{
    struct part parts[MAX_PARTS] = {{{0}, 0}};
    size_t n = 0;
    *m = (struct name){0};
    const char *slash = strchr(id, ' ') ? NULL : strchr(id, '/');
    if (slash && id[0] != '.')
        snprintf(m->org, TEXT, "%.*s", (int)(slash - id), id);
    const char *p = slash ? slash + 1 : id;
    snprintf(m->full, TEXT, "%s", p);
    if (strchr(id, ' '))
        return;
    while (*p && n < MAX_PARTS) {
        size_t len = strcspn(p, "-");
        if (len >= PART)
            return;      /* no name of that kind */
        if (len)
            memcpy(parts[n++].text, p, len);
        p += len + (p[len] == '-');
    }
    mark(parts, n, n_params);
    find_base(parts, n);
    join(m->base, parts, n, P_BASE, 0);
    join(m->size, parts, n, P_SIZE, 0);
    join(m->finetune, parts, n, P_FINETUNE, 0);
    join(m->version, parts, n, P_VERSION, P_BASE);
    if (!m->size[0] && !m->finetune[0] && !m->version[0])
        m->base[0] = '\0';
}

/* "qwen2.5-0.5b-instruct" to "Qwen2.5 0.5b Instruct": words in small letters get a large one, unless
 * they are a number or a version. */
static void title(char out[TEXT], const char *s)
{
    size_t n = 0;
    for (const char *p = s; *p && n < TEXT - 1;) {
        size_t len = strcspn(p, "- ");
        bool lower = false, upper = false;
        for (size_t i = 0; i < len; i++) {
            lower = lower || islower((unsigned char)p[i]);
            upper = upper || isupper((unsigned char)p[i]);
        }
        bool plain = !lower || upper || isdigit((unsigned char)p[0]) || (p[0] == 'v' && len > 1 && len < PART);
        if (plain && lower && !upper && p[0] == 'v') {
            char word[PART];
            snprintf(word, sizeof word, "%.*s", (int)len, p);
            plain = is_version(word);
        }
        if (n && len && n < TEXT - 1)
            out[n++] = ' ';
        for (size_t i = 0; i < len && n < TEXT - 1; i++) {
            bool first = i == 0 || !isalpha((unsigned char)p[i - 1]);
            out[n++] = !plain && first ? (char)toupper((unsigned char)p[i]) : p[i];
        }
        p += len + (p[len] != '\0');
    }
    out[n] = '\0';
}

/* ---- keys --------------------------------------------------------------------------------------------------- */

static void size_label(char out[TEXT], uint64_t n)
{
    static const struct { double above, scale; char unit; } units[] = {
        {1e12, 1e-12, 'T'}, {1e9, 1e-9, 'B'}, {1e6, 1e-6, 'M'}, {0, 1e-3, 'K'},
    };
    size_t i = 0;
    while ((double)n <= units[i].above && i < 3)
        i++;
    double x = (double)n * units[i].scale;
    char whole[32];
    snprintf(whole, sizeof whole, "%.0f", x);
    size_t digits = strcmp(whole, "0") == 0 ? 0 : strlen(whole);
    snprintf(out, TEXT, "%.*f%c", (int)(digits < 2 ? 2 - digits : 0), x, units[i].unit);
}

static int put_sampling(const char *dir, struct gguf_writer *w, struct idem_err *err)
{
    static const struct { const char *hf, *key; bool whole; } keys[] = {
        {"top_k", "top_k", true}, {"top_p", "top_p", false}, {"min_p", "min_p", false},
        {"temperature", "temp", false}, {"penalty_repeat", "penalty_repeat", false},
    };
    char *path = checkpoint_file(dir, "generation_config.json");
    struct jdoc d;
    if (!path)
        return 0;
    int rc = jdoc_open(&d, path, (size_t)16 << 20, err);
    free(path);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && rc == 0; i++) {
        const struct jval *v = jdoc_get(d.root, keys[i].hf);
        char key[64];
        uint64_t n;
        double x;
        if (!v || v->type == JDOC_NULL)
            continue;
        snprintf(key, sizeof key, "general.sampling.%s", keys[i].key);
        if (keys[i].whole && jdoc_u64(v, &n) && n <= INT32_MAX)
            gguf_put_i32(w, key, (int32_t)n);
        else if (!keys[i].whole && jdoc_f64(v, &x))
            gguf_put_f32(w, key, x);
        else
            rc = jdoc_err(&d, v, err, "key '%s' must be a number", keys[i].hf);
    }
    jdoc_close(&d);
    return rc;
}

static const char *base_name(const char *dir, char out[TEXT])
{
    char *real = realpath(dir, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    snprintf(out, TEXT, "%s", slash && slash[1] ? slash + 1 : "model");
    free(real);
    return out;
}

/* The first that says something. */
static const char *either(const char *a, const char *b)
{
    return a[0] ? a : b;
}

int meta_put(const struct hfconf *c, const char *dir, uint64_t n_params, struct gguf_writer *w, struct idem_err *err)
{
    struct name card = {{0}, {0}, {0}, {0}, {0}, {0}}, folder;
    char text[TEXT], label[TEXT];
    const struct jval *path = hfconf_get(c, "_name_or_path");
    if (path && path->type == JDOC_STRING && path->str.len && path->str.len < TEXT) {
        snprintf(text, TEXT, "%.*s", (int)path->str.len, path->str.s);
        const char *slash = strchr(text, '/');
        if (!slash || !strchr(slash + 1, '/'))
            take_apart(&card, text, n_params);
    }
    take_apart(&folder, base_name(dir, text), n_params);
    if (put_sampling(dir, w, err) != 0)
        return -1;
    const struct { const char *key, *value; bool title; } parts[] = {
        {"general.name", either(card.full, folder.full), true},
        {"general.version", either(card.version, folder.version), false},
        {"general.organization", either(card.org, folder.org), true},
        {"general.finetune", either(card.finetune, folder.finetune), false},
        {"general.basename", either(card.base, folder.base), false},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].value[0])
            continue;
        title(text, parts[i].value);
        gguf_put_str(w, parts[i].key, parts[i].title ? text : parts[i].value);
    }
    size_label(label, n_params);
    gguf_put_str(w, "general.size_label", either(either(card.size, folder.size), label));
    return 0;
}
