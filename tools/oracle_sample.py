#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The sampler against Hugging Face's own processors.

    python3 tools/oracle_sample.py > tests/data/sample/hf.json
    python3 tools/oracle_sample.py --compare BUILD/peers/sampler_eval [--cases N] [--seed N]

Needs torch and transformers (made with 2.13 and 5.23). Logits, contexts and settings are random
(fixed seed). Each case runs the list that GenerationMixin._get_logits_processor itself builds, so
that the order is theirs too; presence and frequency penalty, which transformers lacks, are written
out here after vLLM (model_executor/layers/utils.py, apply_penalties) and stand behind the
repetition penalty.

The first form writes fixtures: per case the surviving ids, their log-softmax, and the id that idem
draws: the survivor with the largest score + Gumbel noise, with Philox4x32-10 written out here anew
from src/sample/noise.c's description (null where a survivor ties with a removed token, since
Hugging Face leaves open which of them stays).

The second form compares many more, with large vocabularies and hostile logits, and keeps nothing.
Equal means: the same multiset of surviving scores, and every score within 1e-6 relative (both are
counted when they are equal bit for bit). Their probabilities are binary32, ours are not, so a token
that stands on a threshold may fall on either side: where the sets differ, ours must be the set that
transformers itself gives with its probabilities in binary64, or with the thresholds moved by 1e-6
of the mass (of min_p, epsilon and eta: relative)."""
import argparse
import collections
import hashlib
import itertools
import json
import math
import random
import struct
import subprocess
import sys
import threading
import types
import warnings

import torch
from transformers import GenerationConfig, logging
from transformers.generation import logits_process as lp
from transformers.generation.utils import GenerationMixin

M = 0xFFFFFFFF
OFF = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0,
       "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "repetition_penalty": 1.0,
       "presence_penalty": 0.0, "frequency_penalty": 0.0, "no_repeat_ngram_size": 0,
       "min_new_tokens": 0}
# how far 1e-6 of the mass moves each threshold
MOVED = {"top_p": lambda x, d: min(max(x + d, 1e-9), 1 - 1e-9),
         "typical_p": lambda x, d: min(max(x + d, 1e-9), 1 - 1e-9),
         "min_p": lambda x, d: min(x * (1 + d), 1.0), "epsilon_cutoff": lambda x, d: x * (1 + d),
         "eta_cutoff": lambda x, d: x * (1 + d)}


# ---- idem's noise, anew ----------------------------------------------------------------------

def philox(ctr, key):
    """Salmon et al. 2011, table 2: ten rounds of 4x32."""
    c, k = list(ctr), list(key)
    for r in range(10):
        if r:
            k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & M, (p0 >> 32) ^ c[3] ^ k[1], p0 & M]
    return c


def gumbel(seed, prompt, sample, position, token):
    digest = hashlib.sha256(struct.pack(f"<{len(prompt)}i", *prompt)).digest()
    head = hashlib.sha256(b"idem noise 1" + struct.pack("<Q", seed) + digest).digest()[:8]
    key = struct.unpack("<II", head)
    w = philox((token >> 1, position, sample, 0), key)
    lo, hi = (w[2], w[3]) if token & 1 else (w[0], w[1])
    u = (((hi << 32 | lo) >> 12) + 0.5) * 2.0**-52
    return -math.log(-math.log(u))


# ---- transformers ------------------------------------------------------------------------------

class OutputPenalties(lp.LogitsProcessor):
    """vLLM's presence and frequency penalty, over the output only."""

    def __init__(self, n_prompt, frequency, presence):
        self.n_prompt, self.frequency, self.presence = n_prompt, frequency, presence

    def __call__(self, input_ids, scores):
        out = input_ids[0, self.n_prompt:]
        counts = torch.bincount(out[out < scores.shape[-1]], minlength=scores.shape[-1])[None]
        scores = scores - counts * self.frequency
        return scores - (counts > 0) * self.presence


MODEL = types.SimpleNamespace(config=types.SimpleNamespace(is_encoder_decoder=False))
MODEL._merge_criteria_processor_list = lambda a, b: a


def processors(s, n_prompt, ends, num_beams=1):
    given = {k: v for k, v in s.items() if k not in ("presence_penalty", "frequency_penalty")}
    if given["min_p"] == 0.0:
        given["min_p"] = None
    c = GenerationConfig(**given, num_beams=num_beams)
    c._eos_token_tensor = torch.tensor(ends) if ends else None
    out = GenerationMixin._get_logits_processor(MODEL, c, input_ids_seq_length=n_prompt,
                                                device="cpu")
    at = 1 if out and isinstance(out[0], lp.RepetitionPenaltyLogitsProcessor) else 0
    if s["presence_penalty"] or s["frequency_penalty"]:
        out.insert(at, OutputPenalties(n_prompt, s["frequency_penalty"], s["presence_penalty"]))
    return out


REMOVING = (lp.TopKLogitsWarper, lp.TopPLogitsWarper, lp.MinPLogitsWarper, lp.TypicalLogitsWarper,
            lp.EpsilonLogitsWarper, lp.EtaLogitsWarper)


def run(case, s=None, wide=False, removing=True):
    """The processed scores (binary32), by transformers; wide: probabilities in binary64."""
    s = s or case["settings"]
    ids = torch.tensor([case["context"]], dtype=torch.long)
    scores = case["logits"][None].clone()
    n_prompt = len(case["context"]) - case["n_output"]
    for p in processors(s, n_prompt, case["ends"], case.get("num_beams", 1)):
        if isinstance(p, REMOVING):
            if not removing:
                continue
            if wide:
                scores = scores.double()
        scores = p(ids, scores)
        if forbids_all(scores):
            break
    return scores[0].float()


# ---- cases ---------------------------------------------------------------------------------------

def logits_of(rng, gen, kind, n):
    def normal(scale):
        return torch.randn(n, generator=gen) * scale
    if kind == "lattice":       # coarse values: many ties
        return torch.randint(-40, 41, (n,), generator=gen).float() / 4
    if kind == "model":         # spread like a language model's
        x = normal(3)
        return x + 8 * (torch.rand(n, generator=gen) < 0.03)
    if kind == "flat":
        return normal(0.01)
    if kind == "equal":
        return torch.full((n,), rng.choice([0.0, -3.25, 17.0]))
    if kind == "two":
        return torch.randint(0, 2, (n,), generator=gen).float() * rng.choice([0.5, 3.0, 20.0])
    if kind == "peak":
        x = normal(1)
        x[rng.randrange(n)] += rng.choice([20.0, 60.0, 200.0])
        return x
    if kind == "wide":
        return normal(rng.choice([30.0, 100.0]))
    if kind == "holes":         # most have been removed before
        x = normal(2)
        x[torch.rand(n, generator=gen) < rng.choice([0.3, 0.9, 0.99])] = -math.inf
        x[rng.randrange(n)] = 1.0
        return x
    if kind == "zeros":         # both signs of nothing
        x = torch.zeros(n)
        x[torch.rand(n, generator=gen) < 0.5] = -0.0
        x[rng.randrange(n)] = rng.choice([-1.0, 0.0, 1.0])
        return x
    return normal(1)


KINDS = ["lattice", "model", "flat", "equal", "two", "peak", "wide", "holes", "zeros", "normal"]
VALUES = {
    "temperature": [0.1, 0.5, 0.7, 1.3, 2.0, 10.0], "top_k": [1, 2, 5, 20, 50, 1000],
    "top_p": [0.99, 0.95, 0.9, 0.5, 0.1, 0.01], "min_p": [0.001, 0.05, 0.3, 1.0],
    "typical_p": [0.99, 0.95, 0.9, 0.5, 0.2, 0.01],
    "epsilon_cutoff": [3e-4, 9e-4, 0.01, 0.1, 0.5], "eta_cutoff": [3e-4, 2e-3, 0.01, 0.1, 0.5],
    "repetition_penalty": [1.1, 1.2, 1.5, 0.8], "presence_penalty": [0.5, 1.5, -1.0],
    "frequency_penalty": [0.1, 0.7, 2.0, -0.5], "no_repeat_ngram_size": [1, 2, 3, 5],
    "min_new_tokens": [1, 4, 30],
}
ALONE = list(VALUES)


def case(rng, i, n, kind):
    """i picks one processor alone, or (every third case) a whole chain."""
    gen = torch.Generator().manual_seed(rng.getrandbits(60))
    s = dict(OFF)
    if i % 3:
        name = ALONE[i // 3 * 2 % len(ALONE) + i % 3 - 1]
        s[name] = rng.choice(VALUES[name])
        s["do_sample"] = rng.random() < 0.9
    else:
        s["do_sample"] = rng.random() < 0.85
        for name, values in VALUES.items():
            if rng.random() < 0.4:
                s[name] = rng.choice(values)
    length = rng.choice([1, 1, 2, 5, 30, 80])
    context = [rng.randrange(min(n, 12) if rng.random() < 0.8 else n) for _ in range(length)]
    if i % 10 == 7:
        context[0] = n + 5      # an id that the logits lack
    ends = [rng.randrange(n) for _ in range(rng.choice([1, 1, 2, 3]))] if n > 12 else []
    return {"settings": s, "logits": logits_of(rng, gen, kind, n).float(), "context": context,
            "n_output": rng.randrange(length + 1), "ends": ends, "kind": kind}


def forbids_all(scores):
    return not bool(torch.isfinite(scores).any())


# ---- fixtures ------------------------------------------------------------------------------------

def fixture(rng, i):
    while True:
        c = case(rng, i, rng.randint(50, 220) if i % 11 else rng.choice([1, 2, 3]),
                 KINDS[i % len(KINDS)])
        if c["kind"] == "holes":
            c["logits"] = torch.where(torch.isfinite(c["logits"]), c["logits"],
                                      torch.tensor(-60.0))   # a model's logits are finite
        c["logits"] = torch.round(c["logits"] * 1000) / 1000
        scores, s = run(c, wide=True), c["settings"]
        # keep to what is on no threshold: the unit test demands the very set
        if not forbids_all(scores) and torch.equal(torch.isfinite(scores),
                                                   torch.isfinite(run(c))):
            break
    alive = torch.isfinite(scores).nonzero().flatten().tolist()
    logprob = torch.log_softmax(scores.double(), -1)
    kept = {scores[j].item() for j in alive}
    before = run(c, removing=False)
    dead = set(range(scores.shape[-1])) - set(alive)
    open_tie = any(before[j].item() in kept for j in dead)
    seed, sample = rng.getrandbits(64), rng.randrange(4)
    draw = None
    if not s["do_sample"]:
        draw = int(torch.argmax(scores))
    elif not open_tie:
        sums = [(scores[j].item() + gumbel(seed, c["context"], sample, c["n_output"], j), -j)
                for j in alive]
        draw = -max(sums)[1]
    return {
        "settings": {k: v for k, v in s.items() if k == "do_sample" or v != OFF[k]} |
                    {"top_k": s["top_k"]},
        "seed": str(seed), "sample": sample, "position": c["n_output"], "context": c["context"],
        "ends": c["ends"], "logits": [float(f"{x:.9g}") for x in c["logits"].tolist()],
        "alive": alive, "logprob": [float(f"{logprob[j].item():.9g}") for j in alive],
        "draw": draw,
    }


def write_fixtures():
    rng = random.Random(20240607)
    cases = [fixture(rng, i) for i in range(180)]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    print('{"made_by":"tools/oracle_sample.py","cases":[\n' + lines + "\n]}")


# ---- comparison ----------------------------------------------------------------------------------

class Eval:
    """tests/peers/sampler_eval.c."""

    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, c):
        logits = c["logits"]
        min_keep = len(c["ends"]) + 1 if c.get("num_beams", 1) > 1 and c["ends"] else \
            2 if c.get("num_beams", 1) > 1 else 1
        head = {"settings": c["settings"] | {"max_new_tokens": 1000}, "n": len(logits),
                "context": c["context"], "n_output": c["n_output"], "ends": c["ends"],
                "min_keep": min_keep}
        data = json.dumps(head).encode() + b"\n" + logits.numpy().tobytes()
        writer = threading.Thread(target=lambda: (self.p.stdin.write(data), self.p.stdin.flush()))
        writer.start()
        n = struct.unpack("<I", self.p.stdout.read(4))[0]
        if n == M:
            n = struct.unpack("<I", self.p.stdout.read(4))[0]
            writer.join()
            return self.p.stdout.read(n).decode()
        pairs = self.p.stdout.read(8 * n)
        writer.join()
        ids = torch.frombuffer(bytearray(pairs), dtype=torch.int32).view(-1, 2)
        return ids[:, 0].long(), ids[:, 1].contiguous().view(torch.float32)


def same_sets(ours, theirs):
    kept = theirs[torch.isfinite(theirs)]
    return len(kept) == len(ours) and torch.equal(torch.sort(ours)[0], torch.sort(kept)[0])


def same_probabilities(ours, theirs):
    """Where probabilities have become 0 in binary32, which of those stay is open."""
    kept = theirs[torch.isfinite(theirs)]
    return len(kept) == len(ours) and torch.equal(
        torch.sort(torch.softmax(ours, -1))[0], torch.sort(torch.softmax(kept, -1))[0])


def explained(c, ours):
    """Whether transformers gives our set with thresholds moved by 1e-6."""
    s = c["settings"]
    active = [k for k in MOVED if s[k] != OFF[k]]
    for wide in (True, False):
        for moves in itertools.product((0.0, 1e-6, -1e-6), repeat=len(active)):
            moved = dict(s)
            for k, d in zip(active, moves):
                moved[k] = MOVED[k](s[k], d)
            if same_sets(ours, run(c, moved, wide)):
                return True
    return False


def judge(c, got, tally):
    """"", or what is wrong."""
    theirs = run(c)
    if forbids_all(theirs):
        tally["nothing left (error)"] += 1
        return "" if isinstance(got, str) else "Hugging Face has nothing left, we do"
    if isinstance(got, str):
        return got
    ids, ours = got
    before = run(c, removing=False)
    want = before[ids]
    if torch.equal(ours, want):
        tally["scores equal to the bit"] += 1
    elif not torch.allclose(ours, want, rtol=1e-6, atol=0):
        return "scores differ by more than 1e-6"
    if same_sets(want, theirs):
        tally["sets equal"] += 1
        return ""
    if same_sets(want, run(c, wide=True)):
        tally["sets equal with binary64 probabilities"] += 1
        return ""
    if same_probabilities(want, theirs):
        tally["sets equal but for probabilities of 0"] += 1
        return ""
    if explained(c, want):
        tally["sets equal with a threshold moved by 1e-6"] += 1
        return ""
    return f"we keep {len(ids)} tokens, Hugging Face {int(torch.isfinite(theirs).sum())}"


def compare(program, n_cases, seed):
    rng = random.Random(seed)
    evaluate, tally, wrong = Eval(program), collections.Counter(), 0
    for i in range(n_cases):
        big = i % 97 == 96
        n = rng.choice([32000, 49152, 151936]) if big else \
            rng.choice([1, 2, 3, 7]) if i % 13 == 12 else rng.randint(10, 400)
        c = case(rng, i, n, KINDS[rng.randrange(len(KINDS))])
        if i % 7 == 0 and c["settings"]["do_sample"]:
            c["num_beams"] = 3
        why = judge(c, evaluate(c), tally)
        if why:
            wrong += 1
            if wrong <= 20:
                print(f"case {i} ({c['kind']}, {n} tokens): {why}\n  {c['settings']} ends "
                      f"{c['ends']} beams {c.get('num_beams', 1)}", file=sys.stderr)
    print(f"{n_cases} cases against transformers, {wrong} wrong")
    for what, n in sorted(tally.items()):
        print(f"  {what:45} {n}")
    return 1 if wrong else 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--compare", metavar="PROGRAM")
    p.add_argument("--cases", type=int, default=40000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()   # "has no effect": known here
    warnings.simplefilter("ignore")
    if a.compare:
        sys.exit(compare(a.compare, a.cases, a.seed))
    write_fixtures()


if __name__ == "__main__":
    main()
