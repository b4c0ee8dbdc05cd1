/* SPDX-License-Identifier: MIT
 * The tokenizer files of a checkpoint, as the keys of a GGUF file.
 *
 *   tokenizer.model (SentencePiece, BPE)           -> tokenizer.ggml.model llama
 *   tokenizer.json with byte fallback              -> llama, scores from the order of the merges
 *   tokenizer.json with bytes as characters        -> gpt2
 *   vocab.json and merges.txt                      -> gpt2
 *
 * and added_tokens.json, tokenizer_config.json, chat_template.jinja beside them. */
#ifndef CONVERT_VOCAB_H
#define CONVERT_VOCAB_H

#include "convert/hfconf.h"
#include "gguf/gguf_write.h"

enum vocab_type { VOCAB_NORMAL = 1, VOCAB_UNKNOWN, VOCAB_CONTROL, VOCAB_USER, VOCAB_UNUSED, VOCAB_BYTE };

struct vocab_file { struct jdoc doc; bool there; };

struct vocab {
    const char *dir;
    const struct hfconf *conf;
    const char *model, *pre;             /* "llama" or "gpt2"; "default", "qwen2", ... */
    uint32_t n;                          /* tokens: vocab_size of config.json */
    struct gguf_str *tokens;             /* [n]; data NULL: no token has this id */
    int32_t *types;                      /* [n] enum vocab_type */
    float *scores;                       /* [n] or NULL */
    struct gguf_str *merges;             /* [n_merges], "a b" */
    size_t n_merges;
    int add_space_prefix;                /* key of the file: -1 none, 0 false, 1 true */
    struct vocab_file tokenizer;         /* tokenizer.json */
    struct vocab_file config;            /* tokenizer_config.json */
    struct vocab_file added;             /* added_tokens.json */
    struct vocab_file base;              /* vocab.json */
    struct buf spm, merges_txt, jinja;   /* tokenizer.model, merges.txt, chat_template.jinja */
    struct vocab_file template_json;     /* chat_template.json */
    struct arena arena;                  /* texts that no file has as they are */
    struct buf *notes;                   /* what the user should know, one line each */
};

/* Reads everything; a token whose id is beyond vocab_size, two tokens of one id, a vocabulary that
 * lacks what its kind needs, or a pre-tokenizer that idem does not know is an error. */
int vocab_open(struct vocab *v, const struct hfconf *c, const char *dir, struct buf *notes, struct idem_err *err);
void vocab_put(const struct vocab *v, struct gguf_writer *w);
int vocab_put_special(const struct vocab *v, struct gguf_writer *w, struct idem_err *err);
/* vocab_rules.c: the keys tokenizer.idem.*, where tokenizer.json does what no other key says. */
int vocab_put_rules(const struct vocab *v, struct gguf_writer *w, struct idem_err *err);
void vocab_close(struct vocab *v);

/* ---- between the files of the tokenizer ---------------------------------------------------------- */

/* Text that lives as long as v. data NULL: no memory. */
struct gguf_str vocab_text(struct vocab *v, const char *s, size_t len);
/* Puts a token that was not there. Errors name doc and place. */
int vocab_set(struct vocab *v, const struct jdoc *d, const struct jval *at, uint64_t id, struct jstr text,
              enum vocab_type type, struct idem_err *err);
/* Names the ids that no token has: rows of the embedding that were added to round its height. */
int vocab_fill_gaps(struct vocab *v, struct idem_err *err);
/* The id of a text among the tokens, by bisection in an index, or -1. */
struct vocab_index;
struct vocab_index *vocab_index_new(const struct vocab *v);      /* NULL: no memory */
int64_t vocab_index_find(const struct vocab_index *x, const char *s, size_t len);
void vocab_index_free(struct vocab_index *x);
/* A token that llama.cpp takes for a control token though it is not marked "special". */
bool vocab_looks_special(struct jstr token);
/* "▁" as a space, for tokens that are cut out before the text is normalised. */
struct gguf_str vocab_spaces(struct vocab *v, struct jstr token);
/* The entries of added_tokens.json, tokenizer_config.json, and tokenizer.json. */
typedef int (*vocab_added_fn)(struct vocab *v, const struct jdoc *d, const struct jval *at, uint64_t id,
                              struct jstr content, bool special, bool from_list, struct idem_err *err);
int vocab_each_added(struct vocab *v, bool json_too, vocab_added_fn fn, struct idem_err *err);

int vocab_read_bpe(struct vocab *v, struct idem_err *err);        /* vocab_bpe.c */
int vocab_read_spm(struct vocab *v, struct idem_err *err);        /* vocab_spm.c */
int vocab_read_hfspm(struct vocab *v, struct idem_err *err);      /* vocab_hfspm.c */
int vocab_read_merges(struct vocab *v, struct idem_err *err);     /* vocab_merges.c: fills merges */
/* vocab_hfspm.c: whether tokenizer.json puts a space in front of the text. */
bool vocab_prepends_space(const struct jval *root);
/* pretok.c: the name of the pre-tokenizer of tokenizer.json, NULL with err if unknown. */
const char *pretok_name(const struct vocab *v, struct idem_err *err);

#endif
