# SPDX-License-Identifier: MIT
"""Makes the fixtures of tests/data/beam: what transformers' beam search gives on a tiny model.

    python make_beam.py OUT        (make oracle does it)

OUT/beam.gguf    a llama of two layers with random float32 weights and 40 tokens, two of which
                 end a text
OUT/beam.txt     one search per line: the settings, the prompt's ids, then for each returned
                 sequence its score and its ids

A line is 14 fields with a space between them, lists with commas:

    num_beams length_penalty early_stopping num_return_sequences max_new_tokens min_new_tokens
    repetition_penalty no_repeat_ngram_size gap prompt n_sequences score:ids ...

gap: the smallest distance between two scores whose order decided something (see Watch). Searches
where it is below 2e-5 are left out, since float32 in another order of addition may turn them round.

Needs transformers 5.23, torch, gguf; eager attention, on the CPU.
"""
import pathlib
import random
import sys

import gguf
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

VOCAB, BOS, EOS, EOT = 40, 1, 2, 3
DIM, FF, LAYERS, HEADS, KV, CTX = 32, 64, 2, 2, 1, 128
N = 240
GAP = 2e-5


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
    tokens = ["<unk>", "<s>", "</s>", "<end>"] + [chr(ord("a") + i) for i in range(26)]
    tokens += ["\u0120", "th", "he", "an", "in", "er", "\u0120t", "\u0120a", ".", ","]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
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
    """Notes how near to each other the numbers were that torch.topk told apart at the border of
    what it keeps and within it, and the two sides of the comparison that ends a search."""

    def __init__(self):
        self.gap = float("inf")
        self.topk = torch.topk
        self.check = LlamaForCausalLM._check_early_stop_heuristic

    def note(self, values):
        v = [x for x in values if x > -1e8]
        for a, b in zip(v, v[1:]):
            self.gap = min(self.gap, abs(a - b) / max(1.0, abs(a)))

    def __enter__(self):
        def topk(x, k, *args, **kwargs):
            if x.shape[-1] >= k:
                more = min(k + 1, x.shape[-1])
                self.note(self.topk(x.flatten(), more)[0].tolist())
            return self.topk(x, k, *args, **kwargs)

        def check(**kw):
            if bool(kw["is_sent_finished"].all()):
                longest = kw["early_stopping"] == "never" and kw["length_penalty"] > 0
                n = (kw["max_length"] if longest else kw["cur_len"]) - kw["decoder_prompt_len"]
                best = kw["running_beam_scores"][0, 0].item() / n ** kw["length_penalty"]
                self.note([best, kw["beam_scores"].min().item()])
            return self.check(**kw)

        torch.topk = topk
        LlamaForCausalLM._check_early_stop_heuristic = staticmethod(check)
        return self

    def __exit__(self, *_):
        torch.topk = self.topk
        LlamaForCausalLM._check_early_stop_heuristic = staticmethod(self.check)


def settings(rng):
    beams = rng.randint(2, 8)
    n_max = rng.choice([1, 3, 8, 12, 20, 32])
    return dict(
        num_beams=beams, length_penalty=rng.choice([-1.0, 0.0, 0.5, 1.0, 1.0, 1.3, 2.0]),
        early_stopping=rng.choice([False, True, "never"]),
        num_return_sequences=rng.choice([1, beams, rng.randint(1, beams)]),
        max_new_tokens=n_max, min_new_tokens=rng.choice([0, 0, 0, min(n_max, 3), n_max // 2]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3, 0.8]),
        no_repeat_ngram_size=rng.choice([0, 0, 2, 3]))


def search(model, prompt, s):
    config = GenerationConfig(
        do_sample=False, eos_token_id=[EOS, EOT], pad_token_id=0, bos_token_id=BOS,
        return_dict_in_generate=True, output_scores=True,
        **{k: v for k, v in s.items() if not (k == "min_new_tokens" and v == 0)})
    with Watch() as watch, torch.no_grad():
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    found = []
    for row, score, beams in zip(out.sequences, out.sequences_scores, out.beam_indices):
        n = int((beams >= 0).sum())          # the rest is padding
        found.append((score.item(), row[len(prompt):len(prompt) + n].tolist()))
    return watch.gap, found


def main(out):
    torch.set_num_threads(1)
    model = make_model()
    write_gguf(model, str(out / "beam.gguf"))
    rng = random.Random(11)
    lines, n_left_out = [], 0
    while len(lines) < N:
        prompt = [rng.randrange(4, VOCAB) for _ in range(rng.randint(1, 12))]
        s = settings(rng)
        gap, found = search(model, prompt, s)
        if gap < GAP:
            n_left_out += 1
            continue
        fields = [s["num_beams"], s["length_penalty"], str(s["early_stopping"]).lower(),
                  s["num_return_sequences"], s["max_new_tokens"], s["min_new_tokens"],
                  s["repetition_penalty"], s["no_repeat_ngram_size"], f"{gap:.2e}",
                  ",".join(map(str, prompt)), len(found)]
        fields += [f"{score:.9g}:{','.join(map(str, ids))}" for score, ids in found]
        lines.append(" ".join(map(str, fields)))
    (out / "beam.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} searches, {n_left_out} left out as too close to call")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
