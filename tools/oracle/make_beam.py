# SPDX-License-Identifier: MIT
"""Makes the fixtures of tests/data/beam: what transformers' beam search gives on a tiny model.

    python make_beam.py OUT        (make oracle does it)

OUT/beam.gguf    a llama of two layers with random float32 weights and 40 tokens, two of which
                 end a text
OUT/beam.txt     one search per line: settings (name=value, with commas between; those that are
                 not named have their defaults), the prompt's ids, gap, and for each returned
                 sequence score:ids

Where do_sample is true, torch.multinomial is replaced by the K largest of log-probability + Gumbel
noise, which draws from the same distribution; the noise is idem's, as src/sample/noise.c
describes it, so that the outcome can be compared. Stop texts end a sequence when its last token
completes them (a StoppingCriteria as StopStringCriteria).

gap: the smallest distance between two numbers whose order decided something (see Watch). Searches
where it is below 2e-5 are left out, since float32 in another order of addition may turn them
round; so are those in which transformers fills up with beams of score -1e9 (src/sample/beam.h).

Needs transformers 5.23, torch, gguf; eager attention, on the CPU.
"""
import hashlib
import math
import pathlib
import random
import struct
import sys

import gguf
import torch
from transformers import (GenerationConfig, LlamaConfig, LlamaForCausalLM, StoppingCriteria,
                          StoppingCriteriaList)

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from oracle_sample import philox  # noqa: E402

VOCAB, BOS, EOS, EOT = 40, 1, 2, 3
DIM, FF, LAYERS, HEADS, KV, CTX = 32, 64, 2, 2, 1, 128
N_GREEDY, N_SAMPLED = 280, 120
GAP = 2e-5


TOKENS = ["<unk>", "<s>", "</s>", "<end>"] + [chr(ord("a") + i) for i in range(26)]
TOKENS += ["\u0120", "th", "he", "an", "in", "er", "\u0120t", "\u0120a", ".", ","]


def make_model():
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FF, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV, max_position_embeddings=CTX,
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False,
        bos_token_id=BOS, eos_token_id=[EOS, EOT], attn_implementation="eager")).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.uniform_(0.6, 1.4)
            else:
                p.normal_(0, 0.45 if "lm_head" in name else 0.35)
        model.lm_head.weight[[EOS, EOT]] *= 1.5      # so that searches end at many lengths
    return model.float()


def write_gguf(model, path):
    w = gguf.GGUFWriter(path, "llama")
    w.add_name("beam")
    w.add_block_count(LAYERS)
    w.add_context_length(CTX)
    w.add_embedding_length(DIM)
    w.add_feed_forward_length(FF)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV)
    w.add_rope_dimension_count(DIM // HEADS)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(VOCAB)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(TOKENS)
    w.add_token_types([3] * 4 + [1] * (VOCAB - 4))
    w.add_token_merges(["t h", "h e", "a n", "i n", "e r", "\u0120 t", "\u0120 a"])
    w.add_bos_token_id(BOS)
    w.add_eos_token_id(EOS)
    w.add_eot_token_id(EOT)
    w.add_add_bos_token(False)

    def rotary(t, heads):      # rows of a head: halves to pairs, as llama's GGUF has them
        return t.reshape(heads, 2, t.shape[0] // heads // 2, t.shape[1]).swapaxes(1, 2).reshape(t.shape)

    s = {k: v.numpy() for k, v in model.state_dict().items()}
    w.add_tensor("token_embd.weight", s["model.embed_tokens.weight"])
    w.add_tensor("output_norm.weight", s["model.norm.weight"])
    w.add_tensor("output.weight", s["lm_head.weight"])
    for i in range(LAYERS):
        at, to = f"model.layers.{i}.", f"blk.{i}."
        w.add_tensor(to + "attn_norm.weight", s[at + "input_layernorm.weight"])
        w.add_tensor(to + "ffn_norm.weight", s[at + "post_attention_layernorm.weight"])
        w.add_tensor(to + "attn_q.weight", rotary(s[at + "self_attn.q_proj.weight"], HEADS))
        w.add_tensor(to + "attn_k.weight", rotary(s[at + "self_attn.k_proj.weight"], KV))
        w.add_tensor(to + "attn_v.weight", s[at + "self_attn.v_proj.weight"])
        w.add_tensor(to + "attn_output.weight", s[at + "self_attn.o_proj.weight"])
        for part in ("gate", "up", "down"):
            w.add_tensor(f"{to}ffn_{part}.weight", s[f"{at}mlp.{part}_proj.weight"])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Watch:
    """Notes how near to each other the numbers were whose order decided something: the candidates
    and the border of what is kept, and the two sides of the comparison that ends a search. Puts
    idem's noise in the place of torch.multinomial."""

    def __init__(self, seed, prompt):
        self.gap = float("inf")
        self.topk, self.multinomial = torch.topk, torch.multinomial
        self.check = LlamaForCausalLM._check_early_stop_heuristic
        digest = hashlib.sha256(struct.pack(f"<{len(prompt)}i", *prompt)).digest()
        head = hashlib.sha256(b"idem noise 1" + struct.pack("<Q", seed) + digest).digest()[:8]
        self.key, self.position = struct.unpack("<II", head), 0

    def note(self, values):
        if len([x for x in values if x > -1e8]) < len(values):
            self.gap = 0         # beams of -1e9 took part
        for a, b in zip(values, values[1:]):
            self.gap = min(self.gap, abs(a - b) / max(1.0, abs(a)))

    def gumbel(self, beam, token):
        w = philox((token >> 1, self.position, 0, beam), self.key)
        lo, hi = (w[2], w[3]) if token & 1 else (w[0], w[1])
        u = (((hi << 32 | lo) >> 12) + 0.5) * 2.0**-52
        return -math.log(-math.log(u))

    def draw(self, probs, num_samples):
        ranks = [math.log(p) + self.gumbel(i // VOCAB, i % VOCAB) if p > 0 else -1e9
                 for i, p in enumerate(probs[0].tolist())]
        order = sorted(range(len(ranks)), key=lambda i: -ranks[i])
        self.position += 1
        self.note([ranks[i] for i in order[:num_samples]])
        if ranks[order[num_samples]] > -1e8:
            self.note([ranks[i] for i in order[num_samples - 1:num_samples + 1]])
        return torch.tensor([order[:num_samples]])

    def watched_topk(self, x, k, *args, **kwargs):
        values = self.topk(x, min(k + 1, x.shape[-1]))[0]
        if x.shape[0] > 1:       # top_k of the sampler: the border only
            for a, b in zip(values[:, k - 1].tolist(), values[:, -1].tolist()):
                if values.shape[-1] > k and b > -1e8 and a != b:
                    self.gap = min(self.gap, abs(a - b))
        else:                    # candidates, running beams, the pool (which begins as -1e9)
            v = values[0].tolist()
            self.note([u for u in v if u > -1e8] if x.shape[-1] < VOCAB else v)
        return self.topk(x, k, *args, **kwargs)

    def watched_check(self, **kw):
        if bool(kw["is_sent_finished"].all()):
            longest = kw["early_stopping"] == "never" and kw["length_penalty"] > 0
            n = (kw["max_length"] if longest else kw["cur_len"]) - kw["decoder_prompt_len"]
            best = kw["running_beam_scores"][0, 0].item() / n ** kw["length_penalty"]
            if best > -1e8:
                self.note([best, kw["beam_scores"].min().item()])
        return self.check(**kw)

    def __enter__(self):
        torch.topk, torch.multinomial = self.watched_topk, self.draw
        LlamaForCausalLM._check_early_stop_heuristic = staticmethod(self.watched_check)
        return self

    def __exit__(self, *_):
        torch.topk, torch.multinomial = self.topk, self.multinomial
        LlamaForCausalLM._check_early_stop_heuristic = staticmethod(self.check)


class StopText(StoppingCriteria):
    def __init__(self, n_prompt, stop):
        self.n_prompt, self.stop = n_prompt, stop

    def ends(self, ids):
        words = ["" if i < 4 else TOKENS[i].replace("\u0120", " ") for i in ids]
        text, before = "".join(words), "".join(words[:-1])
        return self.stop in text and self.stop not in before

    def __call__(self, input_ids, scores, **kwargs):
        return torch.tensor([self.ends(row[self.n_prompt:].tolist()) for row in input_ids])


DEFAULTS = dict(
    num_beams=1, length_penalty=1.0, early_stopping=False, num_return_sequences=1,
    max_new_tokens=20, min_new_tokens=0, repetition_penalty=1.0, no_repeat_ngram_size=0,
    do_sample=False, seed=0, temperature=1.0, top_k=50, top_p=1.0, min_p=0.0, typical_p=1.0,
    stop=None)


def settings(rng, sampled):
    beams = rng.randint(2, 8)
    n_max = rng.choice([1, 3, 8, 12, 20, 32])
    s = dict(
        num_beams=beams, length_penalty=rng.choice([-1.0, 0.0, 0.5, 1.0, 1.0, 1.3, 2.0]),
        early_stopping=rng.choice([False, True, "never"]),
        num_return_sequences=rng.choice([1, beams, rng.randint(1, beams)]),
        max_new_tokens=n_max, min_new_tokens=rng.choice([0, 0, 0, min(n_max, 3), n_max // 2]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3, 0.8]),
        no_repeat_ngram_size=rng.choice([0, 0, 2, 3]),
        stop=rng.choice([None] * 5 + ["th", "a", "er", "t "]))
    if sampled:
        s.update(do_sample=True, seed=rng.randrange(2**63), temperature=rng.choice([0.6, 1.0, 1.7]),
                 top_k=rng.choice([0, 8, 20]), top_p=rng.choice([1.0, 1.0, 0.9]),
                 min_p=rng.choice([0.0, 0.0, 0.05]), typical_p=rng.choice([1.0, 1.0, 0.8]))
    return DEFAULTS | s


def search(model, prompt, s):
    config = dict(s)
    seed, stop = config.pop("seed"), config.pop("stop")
    if not s["do_sample"]:
        for name in ("temperature", "top_k", "top_p", "min_p", "typical_p"):
            config.pop(name)
    for name in ("min_new_tokens", "min_p"):
        if not config.get(name):
            config.pop(name, None)
    config = GenerationConfig(eos_token_id=[EOS, EOT], pad_token_id=0, bos_token_id=BOS,
                              return_dict_in_generate=True, output_scores=True, **config)
    stops = StoppingCriteriaList([StopText(len(prompt), stop)] if stop else [])
    with Watch(seed, prompt) as watch, torch.no_grad():
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config,
                             stopping_criteria=stops)
    found = []
    for row, score, beams in zip(out.sequences, out.sequences_scores, out.beam_indices):
        n = int((beams >= 0).sum())          # the rest is padding
        found.append((score.item(), row[len(prompt):len(prompt) + n].tolist()))
    if any(score < -1e8 for score, _ in found):
        watch.gap = 0
    return watch.gap, found


def text(s):
    def value(v):
        return str(v).lower() if isinstance(v, bool) else str(v).replace(" ", "_")

    return ",".join(f"{k}={value(v)}" for k, v in s.items() if v != DEFAULTS[k])


def main(out):
    torch.set_num_threads(1)
    model = make_model()
    write_gguf(model, str(out / "beam.gguf"))
    rng = random.Random(11)
    lines, n_left_out = [], 0
    while len(lines) < N_GREEDY + N_SAMPLED:
        prompt = [rng.randrange(4, VOCAB) for _ in range(rng.randint(1, 12))]
        s = settings(rng, len(lines) >= N_GREEDY)
        gap, found = search(model, prompt, s)
        if gap < GAP:
            n_left_out += 1
            continue
        found = [f"{score:.9g}:{','.join(map(str, ids))}" for score, ids in found]
        lines.append(" ".join([text(s), ",".join(map(str, prompt)), f"{gap:.2e}", *found]))
    (out / "beam.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} searches, {n_left_out} left out as too close to call")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
