/* SPDX-License-Identifier: MIT
 * Jinja's lexer as transformers sets it up: trim_blocks, lstrip_blocks, - and + at the tags. */
#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "engine/jinja_impl.h"

int jinja_error_at(struct idem_err *err, const char *src, size_t pos, enum idem_err_code code,
                   const char *fmt, ...)
{
    size_t line = 1, column = 1;
    char text[512];
    va_list ap;
    for (size_t i = 0; i < pos; i++) {
        bool newline = src[i] == '\n', start = ((unsigned char)src[i] & 0xC0) != 0x80;
        line += newline;
        column = newline ? 1 : column + start;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(err, code, "chat template, line %zu, column %zu: %s", line, column, text);
}

/* White space as Python's str.isspace has it: for strip, and for - at a tag. */
bool jinja_space(int32_t cp)
{
    return cp == ' ' || (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1F) || cp == 0x85 ||
           cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

size_t jinja_spaces(const char *s, size_t len)
{
    size_t at = 0;
    int32_t cp;
    while (at < len) {
        size_t n = utf8_next(s + at, len - at, &cp);
        if (!jinja_space(cp))
            break;
        at += n;
    }
    return at;
}

static int fail(struct jinja_lexer *l, size_t pos, enum idem_err_code code, const char *what)
{
    return jinja_error_at(l->err, l->src, pos, code, "%s", what);
}

static bool starts(const struct jinja_lexer *l, size_t pos, const char *s)
{
    size_t n = strlen(s);
    return pos <= l->len && l->len - pos >= n && memcmp(l->src + pos, s, n) == 0;
}

static size_t skip_spaces(const struct jinja_lexer *l, size_t pos)
{
    return pos + jinja_spaces(l->src + pos, l->len - pos);
}

/* If a closing "%}", "}}" or "#}" with its sign stands at pos: the position behind it and what it
 * takes with it, else 0. */
static size_t closing(struct jinja_lexer *l, size_t pos, const char *end)
{
    size_t at = pos;
    bool minus = starts(l, at, "-"), plus = end[0] != '}' && starts(l, at, "+");
    at += minus || plus;
    if (!starts(l, at, end))
        return 0;
    at += 2;
    if (minus)
        at = skip_spaces(l, at);
    else if (!plus && end[0] != '}' && starts(l, at, "\n"))
        at++;
    l->line_start = l->src[at - 1] == '\n';
    return at;
}

/* The end of the text from `from` before the tag at `tag`: without the white space that the tag
 * takes away. */
static size_t text_end(const struct jinja_lexer *l, size_t from, size_t tag)
{
    char sign = tag + 2 < l->len ? l->src[tag + 2] : '\0';
    size_t line = tag;
    while (line > from && l->src[line - 1] != '\n')
        line--;
    if (sign == '-') {
        size_t end = from;
        for (size_t at = from; at < tag;) {
            size_t space = jinja_spaces(l->src + at, tag - at);
            if (!space) {
                int32_t cp;
                space = utf8_next(l->src + at, tag - at, &cp);
                end = at + space;
            }
            at += space;
        }
        return end;
    }
    if (sign != '+' && l->src[tag + 1] != '{' && (line > from || l->line_start) &&
        jinja_spaces(l->src + line, tag - line) == tag - line)
        return line;
    return tag;
}

static size_t find_tag(const struct jinja_lexer *l, size_t pos)
{
    for (; pos + 1 < l->len; pos++)
        if (l->src[pos] == '{' && (l->src[pos + 1] == '{' || l->src[pos + 1] == '%' || l->src[pos + 1] == '#'))
            return pos;
    return l->len;
}

/* If the tag at pos is {% word %}: the position behind it, else 0. */
static size_t word_tag(struct jinja_lexer *l, size_t pos, const char *word)
{
    if (!starts(l, pos, "{%"))
        return 0;
    pos += 2;
    pos += starts(l, pos, "-") || starts(l, pos, "+");
    pos = skip_spaces(l, pos);
    if (!starts(l, pos, word))
        return 0;
    pos = skip_spaces(l, pos + strlen(word));
    bool raw = word[0] == 'r', plus = starts(l, pos, "+");
    if (raw && plus)
        return 0;
    size_t end = closing(l, pos, "%}");
    if (end && raw && !starts(l, pos, "-")) {    /* trim_blocks leaves the newline behind raw */
        end = pos + 2;
        l->line_start = false;
    }
    return end;
}

static int give_text(struct jinja_lexer *l, struct jinja_token *t, size_t from, size_t to)
{
    *t = (struct jinja_token){JT_TEXT, from, l->src + from, to - from, 0};
    return 0;
}

/* Text up to {% endraw %}. */
static int lex_raw(struct jinja_lexer *l, struct jinja_token *t)
{
    size_t from = l->pos;
    for (size_t at = from; at < l->len; at++) {
        bool line_start = l->line_start;
        size_t end = word_tag(l, at, "endraw");
        if (!end)
            continue;
        bool after = l->line_start;
        l->line_start = line_start;
        size_t to = text_end(l, from, at);
        l->line_start = after;
        l->raw = false;
        l->pos = end;
        return give_text(l, t, from, to);
    }
    return fail(l, from, IDEM_ERR_FORMAT, "{% raw %} has no {% endraw %}");
}

/* Outside of tags: text, or the opening of a tag. */
static int lex_data(struct jinja_lexer *l, struct jinja_token *t)
{
    for (;;) {
        if (l->raw)
            return lex_raw(l, t);
        size_t from = l->pos, tag = l->at_tag ? from : find_tag(l, from), end;
        if (!l->at_tag) {
            size_t to = tag == l->len ? tag : text_end(l, from, tag);
            l->pos = tag;
            l->at_tag = tag < l->len;
            if (to > from)
                return give_text(l, t, from, to);
            if (tag == l->len) {
                *t = (struct jinja_token){JT_END, tag, "", 0, 0};
                return 0;
            }
        }
        l->at_tag = false;
        size_t inside = tag + 2;
        inside += starts(l, inside, "-") || starts(l, inside, "+");
        if (l->src[tag + 1] == '#') {
            for (end = 0; inside < l->len && !end; inside++)
                end = closing(l, inside, "#}");
            if (!end)
                return fail(l, tag, IDEM_ERR_FORMAT, "{# has no #}");
            l->pos = end;
            continue;
        }
        if ((end = word_tag(l, tag, "raw")) != 0) {
            l->pos = end;
            l->raw = true;
            continue;
        }
        l->pos = inside;
        l->state = l->src[tag + 1] == '%' ? LEX_BLOCK : LEX_VAR;
        *t = (struct jinja_token){l->state == LEX_BLOCK ? JT_BLOCK_BEGIN : JT_VAR_BEGIN, tag, l->src + tag, 2, 0};
        return 0;
    }
}

/* ---- inside tags -------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static int lex_number(struct jinja_lexer *l, struct jinja_token *t)
{
    size_t at = l->pos;
    int64_t v = 0;
    bool big = false;
    for (; at < l->len && is_digit(l->src[at]); at++)
        big |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, l->src[at] - '0', &v);
    if (big)
        return fail(l, l->pos, IDEM_ERR_UNSUPPORTED, "a number beyond 64 bits is not supported");
    bool after_dot = l->pos > 0 && l->src[l->pos - 1] == '.';
    if (!after_dot && at + 1 < l->len && l->src[at] == '.' && is_digit(l->src[at + 1]))
        return fail(l, l->pos, IDEM_ERR_UNSUPPORTED, "numbers with a fraction are not supported");
    if ((at < l->len && is_word(l->src[at])) || (at - l->pos > 1 && l->src[l->pos] == '0'))
        return fail(l, l->pos, IDEM_ERR_UNSUPPORTED, "a number that is not plain decimal digits is not supported");
    *t = (struct jinja_token){JT_INT, l->pos, l->src + l->pos, at - l->pos, v};
    l->pos = at;
    return 0;
}

static int put_code_point(struct jinja_lexer *l, size_t pos, char *out, size_t *n, uint32_t cp)
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        return fail(l, pos, IDEM_ERR_UNSUPPORTED, "an escape that is no character is not supported");
    if (cp < 0x80) {
        out[(*n)++] = (char)cp;
        return 0;
    }
    int more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    static const uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
    out[(*n)++] = (char)(lead[more] | cp >> 6 * more);
    while (more--)
        out[(*n)++] = (char)(0x80 | (cp >> 6 * more & 0x3F));
    return 0;
}

/* One escape, at the backslash: \n, \x41, \u00e9, \101 and so on; others stay as they are. No
 * escape gives more bytes than it has. */
static int lex_escape(struct jinja_lexer *l, size_t *at, char *out, size_t *n)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    size_t pos = *at;
    char c = l->src[pos + 1];
    const char *simple = memchr(from, c, sizeof from - 1);
    *at += 2;
    if (c == '\n')
        return 0;
    if (simple) {
        out[(*n)++] = to[simple - from];
        return 0;
    }
    bool octal = c >= '0' && c <= '7';
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : octal ? 3 : 0, got = 0;
    if (c == 'N')
        return fail(l, pos, IDEM_ERR_UNSUPPORTED, "\\N escapes are not supported");
    if ((unsigned char)c >= 0x80)
        return fail(l, pos, IDEM_ERR_UNSUPPORTED, "a backslash before this character is not supported");
    if (!digits) {
        out[(*n)++] = '\\';
        *at = pos + 1;      /* the character itself is read as any other */
        return 0;
    }
    uint32_t cp = 0;
    if (octal)
        (*at)--;
    for (; got < digits && *at < l->len; got++, (*at)++) {
        char d = l->src[*at];
        uint32_t v = is_digit(d) ? (uint32_t)(d - '0') : d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10)
                   : d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10) : 99;
        if (v >= (octal ? 8u : 16u))
            break;
        cp = cp * (octal ? 8u : 16u) + v;
    }
    if (!octal && got < digits)
        return fail(l, pos, IDEM_ERR_FORMAT, "this escape needs more digits");
    return put_code_point(l, pos, out, n, cp);
}

static int lex_string(struct jinja_lexer *l, struct jinja_token *t)
{
    size_t pos = l->pos, at = pos + 1, end = at, n = 0;
    char quote = l->src[pos];
    while (end < l->len && l->src[end] != quote)
        end += l->src[end] == '\\' ? 2 : 1;
    if (end >= l->len)
        return fail(l, pos, IDEM_ERR_FORMAT, "this text has no closing quote");
    char *out = arena_alloc(l->arena, end - at + 1);
    if (!out)
        return fail(l, pos, IDEM_ERR_LIMIT, "the template is too long");
    while (at < end) {
        if (l->src[at] != '\\')
            out[n++] = l->src[at++];
        else if (lex_escape(l, &at, out, &n) != 0)
            return -1;
    }
    *t = (struct jinja_token){JT_STR, pos, out, n, 0};
    l->pos = end + 1;
    return 0;
}

static int lex_operator(struct jinja_lexer *l, struct jinja_token *t)
{
    static const char *const ops[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                      "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ","};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!starts(l, l->pos, ops[i]))
            continue;
        char c = ops[i][0];
        *t = (struct jinja_token){JT_OP, l->pos, ops[i], strlen(ops[i]), 0};
        if (c == '(' || c == '[' || c == '{') {
            if (l->n_open == JINJA_MAX_NESTING)
                return fail(l, l->pos, IDEM_ERR_LIMIT, "brackets are nested too deeply");
            l->open[l->n_open++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (!l->n_open || l->open[--l->n_open] != c)
                return fail(l, l->pos, IDEM_ERR_FORMAT, "this bracket closes nothing");
        }
        l->pos += t->len;
        return 0;
    }
    return fail(l, l->pos, IDEM_ERR_FORMAT, "this character means nothing inside a tag");
}

int jinja_lex(struct jinja_lexer *l, struct jinja_token *t)
{
    if (l->state == LEX_DATA)
        return lex_data(l, t);
    l->pos = skip_spaces(l, l->pos);
    size_t pos = l->pos, end = l->n_open ? 0 : closing(l, pos, l->state == LEX_BLOCK ? "%}" : "}}");
    if (end) {
        *t = (struct jinja_token){l->state == LEX_BLOCK ? JT_BLOCK_END : JT_VAR_END, pos, l->src + pos, 2, 0};
        l->state = LEX_DATA;
        l->pos = end;
        return 0;
    }
    if (pos == l->len)
        return fail(l, pos, IDEM_ERR_FORMAT, "the template ends inside a tag");
    char c = l->src[pos];
    if (is_digit(c))
        return lex_number(l, t);
    if (c == '\'' || c == '"')
        return lex_string(l, t);
    if (!is_word(c))
        return lex_operator(l, t);
    while (l->pos < l->len && is_word(l->src[l->pos]))
        l->pos++;
    *t = (struct jinja_token){JT_NAME, pos, l->src + pos, l->pos - pos, 0};
    return 0;
}
