# SPDX-License-Identifier: MIT
"""Same bits: `idem digest` gives one value per (model, prefix, activations), whatever the host state.

    python3 tests/models/same_bits.py [--quick] [--plan] [MODEL...]

The host states are a covering array: every pair of levels of the factors below (prefix length and
activations included) occurs in at least one row; a base row per (prefix, activations) gives each
group something to be compared with. On SmolLM2 the reference kernels (--cpu ref) are compared too,
with at most 65 tokens. Every digest also covers 3 greedy tokens behind the prefix, so that decode is
in it. --quick: SmolLM2 without the longest prefix. --plan: print the rows, run nothing.
"""
import itertools
import json
import random
import sys
import time

from common import Failed, find_models, idem, idem_json, main

FACTORS = {
    "threads": [1, 2, 3, 4],
    "chunk": [1, 7, 64, 512],
    "batch": [1, 2, 8],
    "cache": ["cold", "forked"],
    "prefix": [1, 63, 64, 65, 511, 2048],
    "activations": ["q8", "f32"],
}
BASE = {"threads": 2, "chunk": 512, "batch": 1, "cache": "cold"}
GREEDY = 3
SMOL = "smollm2-135m-instruct"
WORDS = """the of and to in is was for that with on as by at from it an be are this which or had his
but not have they you were her all she there been their one so who we would more when will no out up
into time only some could these two may then do first any my now such like our over man me even most
made after also did many before must through back years where much your way well down should because
each just those people how too little good very make world still own see men work long get here
between both life being under never day same another know while last might us great old year off come
since against go came right used take three""".split()


def pairs_of(row):
    return set(itertools.combinations(sorted(row.items()), 2))


def covering_array(factors, seed=1):
    """Greedy: of many random rows, each built around a pair that is still missing, the one that
    covers most new pairs is taken; ties go to the cheaper row."""
    rng = random.Random(seed)
    names = sorted(factors)
    missing = {tuple(sorted(((a, x), (b, y)))) for a, b in itertools.combinations(names, 2)
               for x in factors[a] for y in factors[b]}
    rows = []
    while missing:
        best = None
        for _ in range(200):
            row = dict(rng.choice(sorted(missing, key=str)))
            for name in rng.sample(names, len(names)):
                if name not in row:
                    gain = {v: len(pairs_of({**row, name: v}) & missing) for v in factors[name]}
                    row[name] = rng.choice([v for v in gain if gain[v] == max(gain.values())])
            key = (len(pairs_of(row) & missing), -row["prefix"] * row["batch"])
            if best is None or key > best[0]:
                best = (key, row)
        rows.append(best[1])
        missing -= pairs_of(best[1])
    return rows


def uncovered(rows, factors):
    """The pairs that no row has (independent of how the rows were made)."""
    have = set().union(*(pairs_of(r) for r in rows))
    want = {tuple(sorted(((a, x), (b, y)))) for a, b in itertools.combinations(factors, 2)
            for x in factors[a] for y in factors[b]}
    return want - have


class Prefixes:
    """Texts of exactly n tokens, checked with idem tokenize."""

    def __init__(self, path, longest):
        rng = random.Random(7)
        self.path = path
        text = "The " + " ".join(rng.choice(WORDS) for _ in range(longest + 50))
        self.tokens = self.tokenize(text)
        self.bos = idem_json("digest", path, "-p", "The", "-n", 0)["tokens"] - len(self.tokenize("The"))

    def tokenize(self, text):
        return idem_json("tokenize", self.path, text)["tokens"]

    def text(self, n):
        """(text, length): length is n with the BOS of a model that wants one, but at least one
        token of text."""
        n = max(n - self.bos, 1)
        text = "".join(t["text"] for t in self.tokens[:n])
        got = len(self.tokenize(text))
        if got != n:
            raise Failed(f"{self.path}: a text of {n} tokens came out with {got}")
        return text, n + self.bos


def digest(path, text, n_prefix, row, cpu=None):
    args = ["digest", path, "-p", text, "-n", GREEDY]
    for name in ("threads", "chunk", "batch", "cache", "activations"):
        args += ["--" + name, row[name]]
    if cpu:
        args += ["--cpu", cpu]
    got = idem_json(*args)
    hexes = got["digest"]
    if len(hexes) != 64 or not n_prefix <= got["tokens"] <= n_prefix + GREEDY:
        raise Failed(f"{path}: an implausible digest: {json.dumps(got)}")
    return hexes


def rows_of(factors):
    base = [{**BASE, "prefix": p, "activations": a}
            for p in factors["prefix"] for a in factors["activations"]]
    return base + covering_array(factors)


def ref_rows(quick):
    """(prefix, activations) of the comparison with the reference kernels; few tokens in --quick."""
    lengths = [1, 17] if quick else [1, 63, 64, 65]
    return [(n, a) for n in lengths for a in ("q8", "f32")]


def check_model(name, path, factors, quick):
    prefixes = Prefixes(path, max(factors["prefix"]))
    rows, seen, failures, start = rows_of(factors), {}, 0, time.time()
    for row in rows:
        text, n = prefixes.text(row["prefix"])
        value = digest(path, text, n, row)
        first = seen.setdefault((n, row["activations"]), (value, row))
        if value != first[0]:
            failures += 1
            print(f"  {name}: {value} of {row}\n  is not {first[0]} of {first[1]}")
    if name == SMOL:
        for length, activations in ref_rows(quick):
            text, n = prefixes.text(length)
            row = {**BASE, "activations": activations}
            if digest(path, text, n, row, "ref") != digest(path, text, n, row):
                failures += 1
                print(f"  {name}: --cpu ref differs from the default after {n} tokens, {activations}")
        print(f"{name}: reference kernels: {len(ref_rows(quick))} digests compared")
    if len({v for v, _ in seen.values()}) != len(seen):
        failures += 1
        print(f"  {name}: two prefixes or modes share a digest: the digest sees too little")
    print(f"{name}: {len(rows)} host states, {len(seen)} (prefix, activations), {failures} differ, "
          f"{time.time() - start:.0f} s", flush=True)
    return failures


def run(argv):
    quick = "--quick" in argv
    factors = dict(FACTORS)
    if quick:
        factors["prefix"] = [p for p in FACTORS["prefix"] if p <= 511]
    rows = rows_of(factors)
    if uncovered(rows, factors):
        raise Failed(f"the rows miss pairs: {uncovered(rows, factors)}")
    if "--plan" in argv:
        for r in rows:
            print(r)
        print(f"{len(rows)} rows")
        return 0
    names = [a for a in argv if not a.startswith("--")] or ([SMOL] if quick else None)
    return sum(check_model(n, p, factors, quick) for n, p in find_models(names))


if __name__ == "__main__":
    main(lambda: run(sys.argv[1:]))
