/* SPDX-License-Identifier: MIT
 * The public functions of libidem that only pass on to tokenizer, chat template and kernels. */
#include "idem.h"

#include "base/detmath.h"
#include "base/err.h"
#include "engine/model.h"
#include "kernels/kernels.h"

int idem_tokenize(const struct idem_model *m, const char *text, size_t len, unsigned flags,
                  int32_t *ids, size_t cap, size_t *n, struct idem_err *err)
{
    return tok_tokenize(m->tok, text, len, flags, ids, cap, n, err);
}

const char *idem_token_bytes(const struct idem_model *m, int32_t id, size_t *len)
{
    return tok_bytes(m->tok, id, len);
}

int idem_detokenize(const struct idem_model *m, const int32_t *ids, size_t n, bool special,
                    char *out, size_t cap, size_t *len, struct idem_err *err)
{
    return tok_detokenize(m->tok, ids, n, special, out, cap, len, err);
}

bool idem_token_is_eog(const struct idem_model *m, int32_t id)
{
    return tok_is_eog(m->tok, id);
}

bool idem_token_is_control(const struct idem_model *m, int32_t id)
{
    return tok_is_control(m->tok, id);
}

int idem_chat_render_with(const struct idem_model *m, const struct idem_message *msgs, size_t n,
                          const struct idem_chat_options *o, char **text, struct idem_err *err)
{
    return chat_render(m->tok, m->jinja, m->jinja_len, m->info.arch, msgs, n, o, text, err);
}

int idem_chat_render(const struct idem_model *m, const struct idem_message *msgs, size_t n,
                     bool add_generation_prompt, char **text, struct idem_err *err)
{
    struct idem_chat_options o = {.add_generation_prompt = add_generation_prompt};
    return idem_chat_render_with(m, msgs, n, &o, text, err);
}

void idem_logits_stats(const struct idem_model *m, const float *logits, struct idem_logstats *out)
{
    struct kern_logstats s;
    kern_thread_init();
    m->k->logstats(logits, m->info.n_vocab, &s);
    double log_sum = det_log(s.sum);
    out->max = s.max;
    out->argmax = s.argmax;
    out->logsumexp = (double)s.max + log_sum;
    out->entropy = log_sum - s.wsum / s.sum;
}

int idem_selftest(uint64_t seed, idem_selftest_fn report, void *ctx)
{
    int n_bad = 0;
    kern_thread_init();
    for (int cpu = IDEM_CPU_REF + 1; cpu <= IDEM_CPU_NEON; cpu++) {
        const struct kern_ops *v = kern_select(model_cpu_name((enum idem_cpu)cpu), NULL);
        if (v)
            n_bad += kern_check(seed, v, report, ctx);
    }
    return n_bad;
}
