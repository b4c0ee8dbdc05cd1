/* SPDX-License-Identifier: MIT
 * config.json of a checkpoint: typed reads, and what every architecture has in common. */
#ifndef CONVERT_HFCONF_H
#define CONVERT_HFCONF_H

#include "convert/jdoc.h"

struct recipe;

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3, ROPE_LONG };

struct hfconf {
    struct jdoc doc;
    const struct jval *text;     /* text_config of a multimodal model, or NULL */
    const struct recipe *recipe;

    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, n_vocab, n_ctx;
    uint32_t head_dim;           /* of a key; the file's, or n_embd / n_head */
    bool has_head_dim;           /* llama.cpp writes key_length and value_length */
    uint32_t v_dim;              /* of a value */
    uint32_t n_rot;              /* dimensions that rope turns */
    uint32_t window;             /* sliding window, 0: none */
    uint32_t q_lora, kv_lora, rope_dim;   /* of minicpm3 */
    double eps;
    bool tied, attention_bias, mlp_bias;

    enum rope_type rope;
    const struct jval *rope_params;   /* rope_parameters, rope_scaling, or NULL */
    double theta;
    bool has_theta;
    double theta_local;          /* of gemma3's window layers */
    double rope_factor;
    double rope_attn_factor;     /* of longrope: multiplies cos and sin */
    uint32_t n_ctx_orig;
};

/* Reads <dir>/config.json and finds its recipe. */
int hfconf_open(struct hfconf *c, const char *dir, struct idem_err *err);
void hfconf_close(struct hfconf *c);

/* The value of a key: text_config first, then the root. NULL if absent or null. */
const struct jval *hfconf_get(const struct hfconf *c, const char *key);
/* Absent or null: *out keeps its value if not required, else an error. */
int hfconf_u32(const struct hfconf *c, const char *key, bool required, uint32_t *out, struct idem_err *err);
int hfconf_f64(const struct hfconf *c, const char *key, bool required, double *out, struct idem_err *err);
int hfconf_bool(const struct hfconf *c, const char *key, bool required, bool *out, struct idem_err *err);
/* "<path>: byte <n>: key '<key>' <message>" Returns -1. */
int hfconf_err(const struct hfconf *c, const char *key, struct idem_err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* hfconf_rope.c: rope_parameters or rope_theta and rope_scaling. */
int hfconf_rope(struct hfconf *c, struct idem_err *err);

#endif
