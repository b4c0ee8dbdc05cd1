#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Expected results of the sampler from Hugging Face's own processors.

    python3 tools/oracle_sample.py > tests/data/sample/hf.json

Needs torch and transformers (made with 2.13 and 5.23). Logits, contexts and settings are random
(fixed seed); each case runs the processors of transformers that generate() would build, in the
order of _get_logits_processor, in float32. Per case: the surviving ids, their log-softmax, and the
id that idem draws: the survivor with the largest score + Gumbel noise, with Philox4x32-10 written
out here anew from src/sample/noise.c's description (null where a survivor ties with a removed
token, since Hugging Face leaves open which of them stays)."""
import hashlib
import json
import math
import random
import struct

import torch
from transformers.generation import logits_process as lp

M = 0xFFFFFFFF


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


def processors(s):
    out = []
    if s["repetition_penalty"] != 1.0:
        out.append(lp.RepetitionPenaltyLogitsProcessor(s["repetition_penalty"]))
    if s["no_repeat_ngram_size"] > 0:
        out.append(lp.NoRepeatNGramLogitsProcessor(s["no_repeat_ngram_size"]))
    if s["do_sample"]:
        if s["temperature"] != 1.0:
            out.append(lp.TemperatureLogitsWarper(s["temperature"]))
        if s["top_k"] != 0:
            out.append(lp.TopKLogitsWarper(s["top_k"]))
        if s["top_p"] < 1.0:
            out.append(lp.TopPLogitsWarper(s["top_p"]))
        if s["min_p"] > 0.0:
            out.append(lp.MinPLogitsWarper(s["min_p"]))
    return lp.LogitsProcessorList(out)


def case(rng, i):
    n = rng.randint(50, 300)
    if i % 3 == 0:      # coarse values: many ties
        logits = [rng.randint(-40, 40) / 4 for _ in range(n)]
    elif i % 3 == 1:    # spread like a language model's
        logits = [round(rng.gauss(0, 3) + (8 if rng.random() < 0.03 else 0), 3) for _ in range(n)]
    else:
        logits = [round(rng.gauss(0, 1), 2) for _ in range(n)]
    logits = torch.tensor([logits], dtype=torch.float32)
    context = [rng.randrange(min(n, 12) if rng.random() < 0.8 else n)
               for _ in range(rng.choice([0, 1, 2, 5, 30, 80]) or 1)]
    if i % 10 == 7:
        context[0] = n + 5      # an id that the logits lack
    s = {
        "do_sample": rng.random() < 0.85,
        "temperature": rng.choice([0.1, 0.5, 0.7, 1.0, 1.0, 1.3, 2.0]),
        "top_k": rng.choice([0, 0, 1, 2, 5, 20, 50, 1000]),
        "top_p": rng.choice([1.0, 1.0, 0.99, 0.9, 0.5, 0.1, 0.01]),
        "min_p": rng.choice([0.0, 0.0, 0.0, 0.05, 0.3, 1.0]),
        "repetition_penalty": rng.choice([1.0, 1.0, 1.2, 1.5, 0.8]),
        "no_repeat_ngram_size": rng.choice([0, 0, 1, 2, 3, 5]),
    }
    scores = processors(s)(torch.tensor([context]), logits.clone())
    alive = torch.isfinite(scores[0]).nonzero().flatten().tolist()
    logprob = torch.log_softmax(scores[0].double(), -1)
    kept = {scores[0][j].item() for j in alive}
    # ties with a removed token, judged on the scores before the removing processors
    before = processors({**s, "top_k": 0, "top_p": 1.0, "min_p": 0.0})(
        torch.tensor([context]), logits.clone())[0]
    dead = set(range(scores.shape[-1])) - set(alive)
    open_tie = any(before[j].item() in kept for j in dead)
    seed, sample, position = rng.getrandbits(64), rng.randrange(4), rng.randrange(100)
    draw = None
    if not s["do_sample"]:
        draw = int(torch.argmax(scores[0]))
    elif not open_tie:
        sums = [(scores[0][j].item() + gumbel(seed, context, sample, position, j), -j)
                for j in alive]
        draw = -max(sums)[1]
    return {
        "settings": s, "seed": str(seed), "sample": sample, "position": position,
        "context": context, "logits": [float(f"{x:.9g}") for x in logits[0].tolist()],
        "alive": alive, "logprob": [float(f"{logprob[j].item():.9g}") for j in alive],
        "draw": draw,
    }


def main():
    rng = random.Random(20240607)
    torch.set_num_threads(1)
    cases = [case(rng, i) for i in range(90)]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    print('{"made_by":"tools/oracle_sample.py","cases":[\n' + lines + "\n]}")


if __name__ == "__main__":
    main()
