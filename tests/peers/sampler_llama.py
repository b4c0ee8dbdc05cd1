#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`sampler: llama.cpp` beside a real llama-server.

    LLAMA_CPP=folder IDEM_MODELS=folder python3 tests/peers/sampler_llama.py --eval PROGRAM [--write FILE]

For a few prompts the server tells the log-probabilities of its whole vocabulary, and, for many
settings, which tokens are left after its chain and with what probability (/completion, n_probs,
post_sampling_probs). idem's chain (PROGRAM: tests/peers/sampler_eval.c) gets the same situation:
the server's own log-probabilities, shifted back to logits, since the repetition penalty looks at
their sign. The shift is not in any answer; it follows from what a penalty does to known tokens.

Equal means: the same number of survivors, their sorted probabilities within 2e-5 relative, and the
same tokens, but for those that come as close to the last survivor. The server computes in binary32
and prints logarithms, so a token on a threshold may fall on either side: a set that differs must be
what idem gives with top_p, typical_p or min_p moved by 1e-5; such cases are counted.
--write keeps what the server said in a fixture of tests/unit/sample_llama.c: of each prompt the best
600 tokens and those of the window, renumbered, and for each setting with a top_k up to 500 the
survivors.
Exits with 77 where there is no llama-server or no model."""
import argparse
import itertools
import json
import math
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "models"))
from common import find_models  # noqa: E402

CLOSE = 2e-5
DEFAULTS = {"llama.cpp": {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
            "ollama": {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.0}}
PROMPTS = ["The capital of France is",
           "def add(a, b):\n    return a + b\n\ndef add(a, b):\n    return a + b\n\ndef add(a, b):\n"
           "    return a +",
           "One two three four five six seven eight nine ten. " * 8 + "One two three"]
VALUES = {"temperature": [0.0, 0.2, 0.7, 1.0, 1.5], "top_k": [0, 1, 3, 40, 1000],
          "top_p": [0.1, 0.5, 0.9, 0.95, 1.0], "min_p": [0.0, 0.001, 0.05, 0.3],
          "typical_p": [0.2, 0.5, 0.9, 0.95, 1.0], "repetition_penalty": [1.0, 1.1, 1.5, 0.9],
          "presence_penalty": [0.0, 0.5, -0.5], "frequency_penalty": [0.0, 0.2, 1.0]}
OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0,
       "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}


class Server:
    def __init__(self, program, model, *options):
        options = options or ("-c", "2048", "-np", "1", "-t", "1")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.p = subprocess.Popen(
            [program, "-m", model, "--host", "127.0.0.1", "--port", str(port), *options,
             "--no-warmup"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.time() + 120
        while True:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                return
            except (OSError, urllib.error.URLError):
                if self.p.poll() is not None or time.time() > end:
                    self.close()
                    raise SystemExit(f"{program} does not come up with {model}")
                time.sleep(0.2)

    def post(self, path, body):
        r = urllib.request.Request(self.url + path, json.dumps(body).encode(),
                                   {"Content-Type": "application/json"})
        with urllib.request.urlopen(r, timeout=300) as answer:
            return json.loads(answer.read())

    def tokens(self, text):
        return self.post("/tokenize", {"content": text, "add_special": True})["tokens"]

    def step(self, ids, n, **settings):
        """One token after ids, with the n best. An answer that drew the end of text has none, so
        another seed is tried."""
        for seed in range(1, 50):
            a = self.post("/completion", {"prompt": ids, "n_predict": 1, "n_probs": n,
                                          "seed": seed, "cache_prompt": False, **settings})
            if a.get("completion_probabilities"):
                return a["completion_probabilities"][0]
        raise SystemExit(f"the server gives no probabilities for {settings}")

    def raw(self, ids):
        """Log-probabilities of the whole vocabulary before any sampler, by id."""
        top = self.step(ids, 1 << 20, temperature=1.0)["top_logprobs"]
        out = [-math.inf] * len(top)
        for t in top:
            out[t["id"]] = t["logprob"] if t["logprob"] > -1e30 else -math.inf
        return out

    def left(self, ids, n, s):
        """{id: probability} after the chain."""
        a = self.step(ids, n, post_sampling_probs=True, temperature=s["temperature"],
                      top_k=s["top_k"], top_p=s["top_p"], min_p=s["min_p"],
                      typical_p=s["typical_p"], repeat_penalty=s["repetition_penalty"],
                      presence_penalty=s["presence_penalty"],
                      frequency_penalty=s["frequency_penalty"])
        return {t["id"]: t["prob"] for t in a["top_probs"]}

    def close(self):
        self.p.terminate()
        self.p.wait()


def shift_of(server, ids, raw, n):
    """log of the sum of e^logit: logit = raw + shift. With penalty 2 a logit s in the window turns
    into s / 2 or 2 s; all others tell how much the whole was moved by it."""
    left = server.left(ids, n, OFF | {"repetition_penalty": 2.0})
    window = set(ids[-64:])
    moved = {i: math.log(p) for i, p in left.items() if p > 1e-30}
    d = sorted(moved[i] - raw[i] for i in moved if i not in window and raw[i] > -20)
    d = d[len(d) // 2]
    found = []
    for i in window & moved.keys():
        up = 2 * (raw[i] / 2 - moved[i] + d)          # if the logit is positive
        down = moved[i] - d - 2 * raw[i]              # if not
        found += [up] if raw[i] + up > 0 else []
        found += [down] if raw[i] + down <= 0 else []
    best = max(found, key=lambda x: sum(abs(x - y) < 1e-3 for y in found))
    agree = [x for x in found if abs(x - best) < 1e-3]
    if len(agree) * 2 < len(found):
        raise SystemExit(f"the penalty of the server does not lead to one set of logits: {found}")
    return sorted(agree)[len(agree) // 2]


class Eval:
    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, sampler, s, ids, logits):
        """{id: probability} after idem's chain."""
        head = {"settings": {"sampler": sampler, "do_sample": True, **s}, "n": len(logits),
                "context": ids, "n_output": 0}
        self.p.stdin.write(json.dumps(head).encode() + b"\n" +
                           struct.pack(f"={len(logits)}f", *logits))
        self.p.stdin.flush()
        n = struct.unpack("=I", self.p.stdout.read(4))[0]
        if n == 0xFFFFFFFF:
            n = struct.unpack("=I", self.p.stdout.read(4))[0]
            raise SystemExit("idem refuses: " + self.p.stdout.read(n).decode())
        scores = dict(struct.iter_unpack("=if", self.p.stdout.read(8 * n)))
        best = max(scores.values())
        total = math.fsum(math.exp(x - best) for x in scores.values())
        return {i: math.exp(x - best) / total for i, x in scores.items()}


def close(a, b):
    return abs(a - b) <= CLOSE * max(a, b) or max(a, b) < 1e-12


def same(ours, theirs):
    ours = {i: p for i, p in ours.items() if p > 1e-37}   # the server leaves out what is 0
    if len(ours) != len(theirs):
        tiny = min(list(ours.values()) + list(theirs.values())) < 1e-35
        if not tiny:
            return False
    if not all(close(a, b) for a, b in zip(sorted(ours.values(), reverse=True),
                                           sorted(theirs.values(), reverse=True))):
        return False
    edge = min(theirs.values())
    return all(close(ours.get(i, edge), theirs.get(i, edge)) and
               (i in ours and i in theirs or close(ours.get(i, theirs.get(i)), edge))
               for i in ours.keys() | theirs.keys())


def moved(s):
    near = {"top_p": lambda x, d: min(x + d, 1.0) if x < 1 else x,
            "typical_p": lambda x, d: min(x + d, 1.0) if x < 1 else x,
            "min_p": lambda x, d: x * (1 + d)}
    for steps in itertools.product((0, 1e-5, -1e-5), repeat=len(near)):
        yield s | {k: near[k](s[k], d) for k, d in zip(near, steps)}


class Fixture:
    def __init__(self, path):
        self.path, self.prompts = path, []

    def prompt(self, ids, logits):
        order = sorted(range(len(logits)), key=lambda i: -logits[i])[:600]
        kept = sorted(set(order) | set(ids[-64:]))
        self.new = {old: i for i, old in enumerate(kept)}
        self.prompts.append({"context": [self.new[i] for i in ids[-64:]], "cases": [],
                             "logits": [float(f"{logits[i]:.9g}") for i in kept]})

    def case(self, sampler, s, theirs):
        if not 0 < s["top_k"] <= 500:
            return              # looks at more than the fixture has
        best = sorted(theirs.items(), key=lambda x: -x[1])
        self.prompts[-1]["cases"].append({
            "settings": {"sampler": sampler, **s}, "n": len(best),
            "ids": [self.new[i] for i, _ in best[:50]],
            "probs": [float(f"{x:.7g}") for _, x in best[:50]]})

    def write(self):
        with open(self.path, "w", encoding="utf-8") as f:
            lines = ",\n".join(json.dumps(p, separators=(",", ":")).replace('{"settings"', '\n{"settings"')
                               for p in self.prompts)
            f.write('{"made_by":"tests/peers/sampler_llama.py --write","prompts":[\n' + lines + "\n]}\n")


def settings():
    """(sampler, settings): the defaults, each value alone on the best 500, a few on the whole
    vocabulary (answers of several megabytes), and mixtures."""
    for sampler, d in DEFAULTS.items():
        yield sampler, OFF | d
    for name, values in VALUES.items():
        for v in values:
            if v != OFF[name]:
                yield "llama.cpp", OFF | {"top_k": 500} | {name: v}
    for s in ({}, {"min_p": 0.001}, {"typical_p": 0.9}, {"top_p": 0.95, "temperature": 1.5}):
        yield "llama.cpp", OFF | s
    rng = random.Random(3)
    for i in range(40):
        s = {k: rng.choice(v) for k, v in VALUES.items()}
        yield rng.choice(["llama.cpp", "ollama"]), s | {"top_k": s["top_k"] or 100}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--eval", required=True)
    p.add_argument("--write", metavar="FILE")
    a = p.parse_args()
    folder = os.environ.get("LLAMA_CPP")
    program = pathlib.Path(folder or "/nowhere") / "build/bin/llama-server"
    if not program.is_file():
        print("skipped: give LLAMA_CPP=folder of a built llama.cpp with llama-server")
        sys.exit(77)
    model = find_models(["smollm2-135m-instruct"])[0][1]
    server, evaluate = Server(str(program), model), Eval(a.eval)
    fixture = Fixture(a.write)
    n_cases = n_equal = n_moved = 0
    wrong = []
    try:
        for text in PROMPTS:
            ids = server.tokens(text)
            raw = server.raw(ids)
            n = len(raw)
            shift = shift_of(server, ids, raw, n)
            logits = [struct.unpack("=f", struct.pack("=f", x + shift))[0] for x in raw]
            fixture.prompt(ids, logits)
            for sampler, s in settings():
                theirs = server.left(ids, n, s)
                fixture.case(sampler, s, theirs)
                n_cases += 1
                if same(evaluate(sampler, s, ids, logits), theirs):
                    n_equal += 1
                elif any(same(evaluate(sampler, m, ids, logits), theirs) for m in moved(s)):
                    n_moved += 1
                else:
                    ours = evaluate(sampler, s, ids, logits)
                    wrong.append(f"{text[:20]!r} {sampler} {s}: we keep {len(ours)}, the server "
                                 f"{len(theirs)}")
    finally:
        server.close()
    if a.write and not wrong:
        fixture.write()
    print(f"sampler beside llama-server: {n_cases} cases, {n_equal} equal, {n_moved} with a "
          f"threshold moved by 1e-5, {len(wrong)} wrong")
    for w in wrong[:20]:
        print("  " + w)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
