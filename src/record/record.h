/* SPDX-License-Identifier: MIT
 * The plain structs that the stages exchange: settings, host states, tokens, outputs, trials. */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arith_noise.h"
#include "base/err.h"

/* Whose order and meaning of the hyperparameters, and whose defaults. */
enum rec_sampler {
    REC_SAMPLER_HF = 0,           /* transformers' generate() */
    REC_SAMPLER_LLAMA_CPP,        /* llama.cpp's default chain */
    REC_SAMPLER_OLLAMA            /* the same chain with Ollama's defaults */
};

enum rec_early_stopping { REC_EARLY_STOPPING_FALSE = 0, REC_EARLY_STOPPING_TRUE, REC_EARLY_STOPPING_NEVER };

/* Decoding hyperparameters with the names and the meaning of Hugging Face's generate(). */
struct rec_settings {
    enum rec_sampler sampler;
    bool do_sample;               /* false: greedy; temperature 0 is greedy too */
    double temperature;           /* > 0, default 1 */
    uint32_t top_k;               /* 0: off. Default 50 as in HF, with do_sample only */
    double top_p;                 /* (0, 1], 1: off */
    double min_p;                 /* [0, 1], 0: off */
    double typical_p;             /* (0, 1], 1: off */
    double epsilon_cutoff;        /* [0, 1), 0: off */
    double eta_cutoff;            /* [0, 1), 0: off */
    double repetition_penalty;    /* > 0, 1: off; over prompt and output */
    double presence_penalty;      /* 0: off; taken off tokens that the output holds */
    double frequency_penalty;     /* 0: off; taken off as often as the output holds the token */
    uint32_t no_repeat_ngram_size;/* 0: off; over prompt and output */
    uint32_t max_new_tokens;      /* >= 1, default 20 */
    uint32_t min_new_tokens;      /* 0: off; no end of text before so many */
    uint32_t num_beams;           /* >= 1; 1: no beam search */
    double length_penalty;        /* of beam search: score / length^this, default 1 */
    enum rec_early_stopping early_stopping;   /* of beam search */
    uint32_t num_return_sequences;/* >= 1; samples 0..n-1 differ in their noise only */
    const char *const *stop;      /* texts that end the output (cut off it); n_stop of them */
    size_t n_stop;
    uint32_t noise;               /* added to the arithmetic (base/arith_noise.h, packed); 0: none.
                                   * Its seed is the trial's. */
};

enum rec_cache {
    REC_CACHE_COLD = 0,  /* the prefix is computed anew, from an empty cache */
    REC_CACHE_FORKED     /* a longer sequence is computed first, then forked at the prefix */
};

/* What must not matter: how the same trial is computed. */
struct rec_host {
    uint32_t threads;     /* >= 1 */
    uint32_t batch;       /* >= 1 sequences decoded together; the others are computed beside */
    uint32_t chunk;       /* >= 1 tokens of prefill at a time */
    enum rec_cache cache;
};

struct rec_top {
    int32_t id;
    float logprob;            /* natural log, temperature 1, nothing masked */
    float logprob_processed;  /* after the processors; NAN: removed by them */
};

struct rec_token {
    int32_t id;
    float logprob, logprob_processed;
    float entropy;            /* nats, of the raw distribution */
    float margin;             /* nats, raw: best minus second best log-probability */
    float tail_mass;          /* raw probability outside top[] */
    uint32_t n_top;
    struct rec_top *top;      /* raw best first, ties by lowest id; n_top entries */
};

enum rec_stop { REC_STOP_NONE = 0, REC_STOP_EOS, REC_STOP_STOP, REC_STOP_LENGTH };

/* One output. Owns its arrays; rec_output_release frees them. */
struct rec_output {
    enum rec_stop stop;
    size_t n_tokens;
    struct rec_token *tokens;
    struct rec_top *tops;         /* all tokens' top[] in one allocation */
    char *text;                   /* bytes, possibly invalid UTF-8; NUL behind; eos not in it */
    size_t text_len;
    char logits_digest[65];       /* SHA-256 over the full logits of every step, in order */
    float score;                  /* of a beam search: sum of the tokens' logprob_processed /
                                   * n_tokens^length_penalty; else, and from a store, NAN */
};

/* Why a trial is run. SEEDS may share a prefix tree with its neighbours (the result is as if it
 * had not); all others are computed anew from an empty cache, since they test sameness. */
enum rec_purpose {
    REC_PURPOSE_SEEDS = 0,          /* one setting under different seeds: what diversity it has */
    REC_PURPOSE_REPEATS,            /* one key again and again in one host state */
    REC_PURPOSE_HOSTS,              /* one key in different host states */
    REC_PURPOSE_CONTROL_IDENTICAL,  /* must come out identical, or the run is invalid */
    REC_PURPOSE_CONTROL_VARY,       /* must vary over seeds, or nothing could have been seen */
    REC_PURPOSE_CONTROL_SEED,       /* sampled, one seed twice: must be identical */
    REC_PURPOSE_CONTROL_CAPTURE,    /* with and without captured log-probabilities: same tokens */
    REC_PURPOSE_PERTURBED           /* a changed prompt (plan.h: perturbation); shares like SEEDS */
};
/* Trials of one prompt may share a prefix tree; the others test sameness and are computed anew. */
static inline bool rec_purpose_shares(enum rec_purpose p)
{
    return p == REC_PURPOSE_SEEDS || p == REC_PURPOSE_PERTURBED;
}

struct rec_trial {
    uint64_t index;                 /* place in the plan */
    char key[65];                   /* SHA-256 of everything that the result is a function of */
    enum rec_purpose purpose;
    uint32_t prompt, setting, host; /* indices in the plan */
    uint64_t seed;
    uint32_t sample, repeat;
    uint32_t n_top;                 /* alternatives kept per token; 0: log-probabilities not captured */
};

/* What else is known of a prompt: "s_pop", "72". */
struct rec_attribute { const char *name, *value; };

void rec_output_release(struct rec_output *o);      /* zeroes; NULL arrays are fine */
const char *rec_stop_name(enum rec_stop s);         /* "eos" "stop" "length" */
const char *rec_sampler_name(enum rec_sampler s);   /* "hf" "llama.cpp" "ollama" */
const char *rec_early_stopping_name(enum rec_early_stopping e);   /* "false" "true" "never" */
const char *rec_cache_name(enum rec_cache c);       /* "cold" "forked" */
const char *rec_purpose_name(enum rec_purpose p);   /* "seeds" "repeats" "hosts" "control:identical" … */
/* The defaults above for REC_SAMPLER_HF; for the other two those of engine and version that
 * record.c names. */
void rec_settings_default(struct rec_settings *s, enum rec_sampler sampler);
/* The noise of s under a seed. */
static inline struct arith_noise rec_noise(const struct rec_settings *s, uint64_t seed)
{
    return arith_noise_unpack(s->noise, seed);
}
/* Whether another seed may give another output: tokens are drawn, or the noise is. */
static inline bool rec_settings_seeded(const struct rec_settings *s)
{
    struct arith_noise z = rec_noise(s, 0);
    return (s->do_sample && s->temperature > 0) || arith_noise_is_seeded(&z);
}
/* Ranges, and what cannot stand together. The error names hyperparameter, value and what is
 * allowed. */
int rec_settings_check(const struct rec_settings *s, struct idem_err *err);

#endif
