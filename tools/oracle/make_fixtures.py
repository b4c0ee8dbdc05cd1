# SPDX-License-Identifier: MIT
"""Makes the fixtures of tests/data/oracle: what transformers in float32 says about a GGUF file.

    python make_fixtures.py FOLDER OUT        (make oracle does it)

FOLDER holds the three model files. For each: the ids of every prompt of prompts.py, the top 8
ids with their log-probabilities after every prompt position (after chosen positions of the long
text), and the same for 12 greedy steps. Log-probabilities are log_softmax taken in float64 of
the float32 logits. The model's own rounding error is measured beside it: the same prompts in
float64, whose largest difference over the stored entries is written as "f32_error".

Needs transformers 5.23, torch, gguf, accelerate, sentencepiece, protobuf; eager attention.
"""
import hashlib
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from prompts import all_prompts

TOP = 8
GREEDY = 12
MODELS = {
    "smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen2.5-coder": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "gemma3": "gemma-3-270m-q4_k_m.gguf",
}


def load(folder, name, dtype):
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager")
    return model.eval().to(dtype)


def check_gemma(model):
    """What a GGUF loader is known to get wrong: window, pattern and the two rope bases."""
    c = model.config
    if c.model_type != "gemma3_text":
        return
    assert c.sliding_window == 512, c.sliding_window
    full = [i for i, t in enumerate(c.layer_types) if t == "full_attention"]
    assert full == [5, 11, 17], full
    rope = model.model.rotary_emb
    for kind, base in (("full_attention", 1e6), ("sliding_attention", 1e4)):
        got = getattr(rope, kind + "_inv_freq")
        want = base ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
        assert torch.allclose(got.double(), want, rtol=1e-5), kind


def positions(name, n):
    """Every position, but of the long text only some: each 16th and the last, with those
    on both sides of Gemma's window (512) and of the 64-blocks of the cache."""
    if name != "long":
        return list(range(n))
    near = [63, 64, 65, 127, 255, 256, *range(508, 518), n - 2, n - 1]
    return sorted({p for p in [*range(15, n, 16), *near] if p < n})


def logprobs(logits):
    return torch.log_softmax(logits.double(), dim=-1)


def top_of(lp):
    order = sorted(lp.topk(TOP + 8).indices.tolist(), key=lambda i: (-lp[i].item(), i))[:TOP]
    return [[i, round(lp[i].item(), 6)] for i in order]


@torch.no_grad()
def run_prompt(model, name, ids):
    """A whole forward pass of the prompt, then greedy steps on its cache."""
    out = model(torch.tensor([ids]), use_cache=True)
    lp = logprobs(out.logits[0])
    where = positions(name, len(ids))
    case = {"positions": where, "top": [top_of(lp[p]) for p in where], "greedy": []}
    step, cache = top_of(lp[-1]), out.past_key_values
    for _ in range(GREEDY):
        case["greedy"].append(step)
        out = model(torch.tensor([[step[0][0]]]), past_key_values=cache, use_cache=True)
        cache, step = out.past_key_values, top_of(logprobs(out.logits[0, -1]))
    return case


@torch.no_grad()
def error_of(model64, ids, case):
    """Largest difference of the stored numbers to float64, teacher-forced on the same tokens."""
    forced = ids + [s[0][0] for s in case["greedy"]]
    lp = logprobs(model64(torch.tensor([forced])).logits[0])
    rows = list(zip(case["positions"], case["top"]))
    rows += [(len(ids) - 1 + i, s) for i, s in enumerate(case["greedy"])]
    return max(abs(v - lp[p, i].item()) for p, top in rows for i, v in top)


def make(folder, key, file_name, out_dir):
    data = (pathlib.Path(folder) / file_name).read_bytes()
    tok = AutoTokenizer.from_pretrained(folder, gguf_file=file_name)
    model = load(folder, file_name, torch.float32)
    check_gemma(model)
    cases = []
    for name, text in all_prompts():
        ids = tok(text).input_ids
        cases.append({"name": name, "text": text, "ids": ids, **run_prompt(model, name, ids)})
    model = model.to(torch.float64)
    worst = max(error_of(model, c["ids"], c) for c in cases)
    doc = {
        "file": file_name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        "source": f"transformers {transformers.__version__}, torch {torch.__version__}, "
                  "float32, eager attention; tools/oracle/make_fixtures.py",
        "f32_error": float(f"{worst:.3g}"), "cases": cases,
    }
    for c in cases:
        if c["name"] == "long":
            c["text"] = None      # it stands in text.txt, without the newline at its end
    path = pathlib.Path(out_dir) / f"{key}.json"
    path.write_text(json.dumps(doc, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(f"{path}: {len(cases)} prompts, {path.stat().st_size} bytes, "
          f"float32's own error {worst:.2g}")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: make_fixtures.py FOLDER_WITH_MODELS OUT_FOLDER")
    torch.set_num_threads(2)
    for key, file_name in MODELS.items():
        make(sys.argv[1], key, file_name, sys.argv[2])


if __name__ == "__main__":
    main()
