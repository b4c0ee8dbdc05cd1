#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole program against models known in closed form: how often the intervals that `idem report`
prints hold the truth: "equal pairs" the probability that two samples are the same, and the effect of
a claim the difference of that probability between two temperatures.

usage: check_pipeline.py BUILD [RUNS [PROMPTS]]

Each run writes a model of its own (make_bigram), draws PROMPTS (30) prompts whose last letters are
uniform, so that the true mean over prompts is the mean over letters, and runs `idem run` and `idem
report` with 6 seeds. Prints the share of intervals that hold the truth; fails below 0.93 (with
fewer than 1,000 runs: less 2.6 standard errors), or if the mean error is not near 0."""
import concurrent.futures
import json
import math
import os
import random
import subprocess
import sys
import tempfile

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
EXPERIMENT = """name: bigram
hypothesis: H1
title: Known in closed form
question: Does the interval hold the truth?
model: {model}
prompts: prompts.yaml
settings:
  base: {{max_new_tokens: {tokens}, do_sample: true, temperature: {temperature}, top_p: 1, top_k: off}}
  levels:
    temperature: [0.4]
  corners:
    greedy: {{do_sample: false}}
seeds: {{first: {first}, count: 6}}
host: {{threads: 1, batch: 2, chunk: 512, cache: cold}}
keep: {{top: 2}}
controls:
  identical: {{setting: greedy, prompts: 2, count: 2}}
  seed: {{setting: base, prompts: 2, count: 2}}
  capture: {{setting: base, prompts: 2}}
  vary: {{setting: base, prompts: 2}}
claims:
  - {{id: temperature, factor: temperature, more_deterministic: lower,
     text: "A lower temperature makes output more deterministic."}}
decision:
  confidence: 0.95
  max_differing: 0.2
  correction: holm
  measure: identical_pairs
  text: None.
"""


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def one(build, run, n_prompts):
    rng = random.Random(run)
    tokens, temperature, spread = rng.choice((2, 4, 8)), rng.choice((0.7, 1.0)), rng.choice((4, 8))
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)
        def agree(heat):
            truth = output(f"{build}/make_bigram", path("bigram.gguf"), str(len(LETTERS)),
                           str(spread), str(run), str(heat), str(tokens))
            return float(truth.splitlines()[-1].split("\t")[2])
        truth = agree(temperature), agree(0.4) - agree(temperature)
        prompts = set()
        while len(prompts) < n_prompts:
            prompts.add("".join(rng.choice(LETTERS) for _ in range(6)))
        with open(path("prompts.yaml"), "w") as f:
            f.write("source: drawn for a test\nlicense: CC0-1.0\nprompts:\n")
            for i, text in enumerate(sorted(prompts)):
                f.write(f'  - {{id: p{i}, kind: fact, text: "{text}"}}\n')
        with open(path("x.yaml"), "w") as f:
            f.write(EXPERIMENT.format(model=path("bigram.gguf"), tokens=tokens,
                                      temperature=temperature, first=1 + 100 * run))
        output(f"{build}/idem", "run", path("x.yaml"), "-o", path("run.db"), "--quiet")
        report = json.loads(output(f"{build}/idem", "report", path("run.db"), "--format", "json"))
    found = (next(s for s in report["seeds"] if s["setting"] == "base")["equal_pairs"],
             report["claims"][0]["effect"])
    return [(f["low"] <= t <= f["high"], f["value"] - t) for f, t in zip(found, truth)]


def judge(what, results, n_prompts):
    runs = len(results)
    share = sum(hit for hit, _ in results) / runs
    off = [d for _, d in results]
    bias = sum(off) / runs
    error = math.sqrt(sum((d - bias) ** 2 for d in off) / max(1, runs - 1) / runs)
    bar = 0.93 - (0 if runs >= 1000 else 2.6 * math.sqrt(0.95 * 0.05 / runs))
    good = share >= bar and abs(bias) < 4 * error + 1e-12
    print(f"{what}, {n_prompts} prompts x 6 seeds, {runs} runs: the 95 % interval holds the truth in "
          f"{share:.3f} (bar {bar:.3f}); mean error {bias:+.5f} +- {error:.5f}{'' if good else '  OUT'}")
    return good


def main(build, runs=1000, n_prompts=30):
    runs, n_prompts = int(runs), int(n_prompts)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda run: one(build, run, n_prompts), range(runs)))
    good = [judge(what, [r[i] for r in results], n_prompts)
            for i, what in enumerate(("equal pairs", "effect of a claim"))]
    return 0 if all(good) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
