/* SPDX-License-Identifier: MIT
 * The options that several commands share: each means the same everywhere. */
#include "cli/cli.h"

#define AT(field) offsetof(struct cli_args, field)
#define SAMPLING(field) offsetof(struct cli_args, sampling.field)

const struct cli_option cli_option_help = {
    .name = "help", .letter = 'h', .type = CLI_FLAG, .offset = AT(help),
    .help = "print this help and leave",
};

static const struct cli_option prompt[] = {
    {.name = "prompt", .letter = 'p', .type = CLI_TEXT, .offset = AT(prompt), .arg = "TEXT",
     .help = "the prompt, UTF-8"},
    {.name = "prompt-file", .letter = 'f', .type = CLI_TEXT, .offset = AT(prompt_file), .arg = "FILE",
     .help = "read the prompt from FILE, every byte of it ('-': standard input)"},
    {0},
};
const struct cli_group cli_group_prompt = {"Prompt", prompt};

static const struct cli_option sampling[] = {
    {.name = "max-new-tokens", .letter = 'n', .type = CLI_U32, .offset = SAMPLING(max_new_tokens),
     .arg = "N", .min = 1, .help = "generate at most N tokens (default 20)"},
    {.name = "min-new-tokens", .type = CLI_U32, .offset = SAMPLING(min_new_tokens), .arg = "N",
     .help = "no end of text before N tokens (default 0: off)"},
    {.name = "do-sample", .type = CLI_SWITCH, .offset = SAMPLING(do_sample),
     .help = "draw tokens at random; without it the most likely one is taken (greedy)"},
    {.name = "temperature", .letter = 't', .type = CLI_F64, .offset = SAMPLING(temperature), .arg = "X",
     .help = "divide the scores by X (default 1; 0 is greedy)"},
    {.name = "top-k", .type = CLI_U32, .offset = SAMPLING(top_k), .arg = "N",
     .help = "keep the N best tokens (default 50, 0: all)"},
    {.name = "top-p", .type = CLI_F64, .offset = SAMPLING(top_p), .arg = "X",
     .help = "keep the best tokens that hold a share X of the probability (default 1: all)"},
    {.name = "min-p", .type = CLI_F64, .offset = SAMPLING(min_p), .arg = "X",
     .help = "remove tokens less likely than X times the best (default 0: none)"},
    {.name = "typical-p", .type = CLI_F64, .offset = SAMPLING(typical_p), .arg = "X",
     .help = "keep the tokens of the most typical information that hold a share X of the probability "
     "(default 1: all)"},
    {.name = "epsilon-cutoff", .type = CLI_F64, .offset = SAMPLING(epsilon_cutoff), .arg = "X",
     .help = "remove tokens less likely than X (default 0: none)"},
    {.name = "eta-cutoff", .type = CLI_F64, .offset = SAMPLING(eta_cutoff), .arg = "X",
     .help = "remove tokens less likely than X and sqrt(X) e^-entropy (default 0: none)"},
    {.name = "repetition-penalty", .type = CLI_F64, .offset = SAMPLING(repetition_penalty), .arg = "X",
     .help = "weaken tokens that prompt or output hold already (default 1: off)"},
    {.name = "presence-penalty", .type = CLI_F64, .offset = SAMPLING(presence_penalty), .arg = "X",
     .help = "take X off the score of tokens that the output holds already (default 0: off)"},
    {.name = "frequency-penalty", .type = CLI_F64, .offset = SAMPLING(frequency_penalty), .arg = "X",
     .help = "take X off for each time that the output holds the token already (default 0: off)"},
    {.name = "no-repeat-ngram-size", .type = CLI_U32, .offset = SAMPLING(no_repeat_ngram_size),
     .arg = "N", .help = "never repeat N tokens in the same order (default 0: off)"},
    {.name = "num-return-sequences", .type = CLI_U32, .offset = SAMPLING(num_return_sequences),
     .arg = "N", .min = 1, .max = 4096, .help = "number of outputs (default 1)"},
    {.name = "num-beams", .type = CLI_U32, .offset = SAMPLING(num_beams), .arg = "N", .min = 1,
     .max = 1024, .help = "search with N beams for the most likely output (default 1: no search)"},
    {.name = "length-penalty", .type = CLI_F64, .offset = SAMPLING(length_penalty), .arg = "X",
     .help = "of beam search: divide log-probabilities by length^X (default 1)"},
    {.name = "early-stopping", .type = CLI_CHOICE, .offset = AT(early_stopping), .arg = "WHEN",
     .choices = "false|true|never", .help = "of beam search: stop when no better output is likely "
     "(default false), when there are enough (true), or when none is possible (never)"},
    {.name = "stop", .type = CLI_TEXTS, .offset = AT(stops), .arg = "TEXT",
     .help = "end the output before TEXT; may be given several times"},
    {.name = "seed", .type = CLI_U64, .offset = AT(seed), .arg = "N",
     .help = "seed of the random draws (default 0)"},
    {.name = "sampler", .type = CLI_CHOICE, .offset = AT(sampler), .arg = "NAME",
     .choices = "hf|llama.cpp|ollama",
     .help = "whose order, meaning and defaults of these settings: Hugging Face's (hf, the defaults "
     "said here), llama.cpp's or Ollama's chain, which draw unless told --no-do-sample"},
    {0},
};
const struct cli_group cli_group_sampling = {"Sampling (names and meaning of Hugging Face)", sampling};

static const struct cli_option engine[] = {
    {.name = "threads", .type = CLI_U32, .offset = AT(threads), .arg = "N", .min = 1, .max = 1024,
     .help = "threads (default: one per processor)"},
    {.name = "batch", .type = CLI_U32, .offset = AT(batch), .arg = "N", .min = 1, .max = 1024,
     .help = "compute N-1 other sequences beside (default 1)"},
    {.name = "chunk", .type = CLI_U32, .offset = AT(chunk), .arg = "N", .min = 1, .max = 65536,
     .help = "tokens of the prompt at a time (default 512)"},
    {.name = "cache", .type = CLI_CHOICE, .offset = AT(cache), .arg = "HOW", .choices = "cold|forked",
     .help = "how the prefix comes to be there: computed anew, or forked from a longer one"},
    {0},
};
const struct cli_group cli_group_engine = {"Engine (none of these changes a bit, nor does cpu)",
                                           engine};

static const struct cli_option noise[] = {
    {.name = "noise", .type = CLI_TEXT, .offset = AT(noise), .arg = "KIND",
     .help = "add noise to the sums of every forward pass: shuffle, pairwise, splitk:N, batch:N (their "
     "order), bf16, f16 (their accumulators), or an order and an accumulator such as splitk:4+bf16 "
     "(default none)"},
    {.name = "noise-seed", .type = CLI_U64, .offset = AT(noise_seed), .arg = "N",
     .help = "seed of shuffle, another order for each (default: --seed where there is one, else 0); the "
     "other kinds have none"},
    {0},
};
const struct cli_group cli_group_noise = {"Noise (an instrument: it changes the bits on purpose)", noise};

static const struct cli_option model[] = {
    {.name = "cpu", .type = CLI_CHOICE, .offset = AT(cpu), .arg = "NAME",
     .choices = "auto|ref|sse41|avx2|avx512|neon", .help = "kernels to use (default: the widest)"},
    {.name = "activations", .type = CLI_CHOICE, .offset = AT(activations), .arg = "MODE",
     .choices = "q8|f32", .help = "arithmetic: 8-bit activation blocks, or binary32 throughout "
     "(default q8); results differ between the two, and the mode is part of every key"},
    {.name = "context", .type = CLI_U32, .offset = AT(context), .arg = "N", .min = 1,
     .help = "longest sequence in tokens (default: what the model was trained for)"},
    {.name = "normalize", .type = CLI_CHOICE, .offset = AT(normalize), .arg = "FORM",
     .choices = "nfc|none", .help = "Unicode form of text before it is tokenised (default: the "
     "model's own)"},
    {0},
};
const struct cli_group cli_group_model = {"Model", model};

static const struct cli_option tokens[] = {
    {.name = "top-k-logprobs", .type = CLI_U32, .offset = AT(top_k_logprobs), .arg = "N", .max = 1000,
     .help = "alternatives shown with each token (default: 5 in JSON, none in the table)"},
    {.name = "verbose", .letter = 'v', .type = CLI_FLAG, .offset = AT(verbose),
     .help = "show the alternatives in the table too"},
    {.name = "parse-special", .type = CLI_FLAG, .offset = AT(parse_special),
     .help = "text such as <|im_end|> becomes that control token"},
    {0},
};
const struct cli_group cli_group_tokens = {"Tokens", tokens};

static const struct cli_option output[] = {
    {.name = "json", .type = CLI_FLAG, .offset = AT(json), .help = "print JSON"},
    {.name = "quiet", .letter = 'q', .type = CLI_FLAG, .offset = AT(quiet),
     .help = "print the result only: no table, no progress, no notes"},
    {0},
};
const struct cli_group cli_group_output = {"Output", output};
