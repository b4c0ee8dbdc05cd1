# SPDX-License-Identifier: MIT
"""Right numbers: idem --activations f32 against the fixtures of tests/data/oracle (transformers,
float32, the same file). Token ids must be equal, the log-probabilities of the oracle's top 8
within 1e-3 after every stored position and over 12 greedy steps, and greedy tokens equal wherever
the oracle's margin exceeds 1e-3.

    python3 tests/models/parity.py [MODEL...]
"""
import json
import math
import sys

from common import FIXTURES, ROOT, find_models, idem_json, main

LIMIT = 1e-3
ASKED = 24      # more than 8, since near ties may be ranked otherwise


class Tally:
    def __init__(self):
        self.worst, self.where, self.n, self.errors = 0.0, "", 0, []

    def top(self, where, want, got):
        """want: [[id, logprob], ...]; got: the list "top" of idem."""
        have = {t["id"]: t["logprob"] for t in got or []}
        for token, lp in want:
            value = have.get(token)
            if value is None or not math.isfinite(value):
                self.errors.append(f"{where}: id {token} (oracle {lp}) is missing in the top {ASKED}")
                continue
            self.n += 1
            if abs(value - lp) > self.worst:
                self.worst, self.where = abs(value - lp), where
            if not abs(value - lp) <= LIMIT:
                self.errors.append(f"{where}: id {token}: {value} against {lp}")

    def equal(self, where, what, want, got):
        if want != got:
            self.errors.append(f"{where}: {what}: {got} against {want}")


def check_prompt(tally, case, path, text):
    """Position p of the oracle is the distribution at idem's token p + 1."""
    name, ids = case["name"], case["ids"]
    got = idem_json("score", path, "-p", text, "--activations", "f32", "--top-k-logprobs", ASKED)
    tokens = got["tokens"]
    tally.equal(name, "ids", ids, [t["id"] for t in tokens])
    if len(tokens) != len(ids):
        return
    for p, top in zip(case["positions"], case["top"]):
        if p + 1 < len(ids):
            tally.top(f"{name}, position {p}", top, tokens[p + 1]["top"])
    for p, t in enumerate(tokens[1:]):       # its own log-probability is that of the list
        same = [x["logprob"] for x in t["top"] if x["id"] == t["id"]]
        if same and same[0] != t["logprob"]:
            tally.errors.append(f"{name}, position {p}: {t['logprob']} is not {same[0]} of its own top")


def check_greedy(tally, case, path, text):
    name, steps = case["name"], case["greedy"]
    got = idem_json("generate", path, "-p", text, "-n", len(steps), "--activations", "f32",
                    "--top-k-logprobs", ASKED)
    tally.equal(name, "prompt ids", case["ids"], got["prompt_tokens"])
    sample = got["samples"][0]
    tokens = sample["tokens"]
    if len(tokens) < len(steps):
        tally.equal(name, "an output that ends early", "eos", sample["stop"])
    if not tokens:
        tally.errors.append(f"{name}: no token was generated")
    for i, (top, t) in enumerate(zip(steps, tokens)):
        tally.top(f"{name}, step {i}", top, t["top"])
        if top[0][0] != t["id"]:
            if top[0][1] - top[1][1] > LIMIT:
                tally.equal(f"{name}, step {i}", "greedy token", top[0][0], t["id"])
            return      # a near tie: from here on the two contexts differ


def check_model(name, path):
    doc = json.loads((ROOT / "tests/data/oracle" / FIXTURES[name]).read_text())
    long_text = (ROOT / "tests/data/oracle/text.txt").read_text(encoding="utf-8").strip()
    tally = Tally()
    for case in doc["cases"]:
        text = long_text if case["text"] is None else case["text"]
        check_prompt(tally, case, path, text)
        check_greedy(tally, case, path, text)
    print(f"{name}: {len(doc['cases'])} prompts, {tally.n} log-probabilities, largest difference "
          f"{tally.worst:.2e} at {tally.where or '-'} (bar {LIMIT:g}; float32's own {doc['f32_error']:g})",
          flush=True)
    for e in tally.errors[:20]:
        print(f"  {name}: {e}")
    if len(tally.errors) > 20:
        print(f"  and {len(tally.errors) - 20} more")
    return len(tally.errors)


if __name__ == "__main__":
    main(lambda: sum(check_model(n, p) for n, p in find_models(sys.argv[1:])))
