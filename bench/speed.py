# SPDX-License-Identifier: MIT
"""Speed beside llama.cpp: the same files, the same threads, interleaved rounds, medians and ratios.

    python3 bench/speed.py --llama FOLDER_WITH_llama-bench [--rounds 7] [--threads 2] [MODEL...]

Prefill of 512 tokens and decode of 128, as llama-bench does them (-p 512 -n 128 -r 1, which warms up
first; bench/speed.c for ours). Each round runs both, in alternating order, so that a slow spell of the
machine meets both. The bar: the median of the rounds' ratios is at least 1.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/models"))
from common import ROOT, find_models   # noqa: E402


def run_json(argv):
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(f"{argv[0]}: exit code {r.returncode}: {r.stderr[-800:]}")
    return json.loads(r.stdout)


def ours(o, path):
    r = run_json([o.bench / "speed", path, o.threads, o.prefill, o.decode])
    return {"prefill": r["prefill_tok_s"], "decode": r["decode_tok_s"]}


def theirs(o, path):
    rows = run_json([o.llama / "llama-bench", "-m", path, "-t", o.threads, "-p", o.prefill,
                     "-n", o.decode, "-r", 1, "-o", "json"])
    return {"prefill" if row["n_prompt"] else "decode": row["avg_ts"] for row in rows}


def measure(o, name, path):
    rounds = []
    for i in range(o.rounds):
        first, second = (ours, theirs) if i % 2 == 0 else (theirs, ours)
        pair = {first: first(o, path)}
        pair[second] = second(o, path)
        rounds.append((pair[ours], pair[theirs]))
    print(f"{name}, {o.threads} threads, {o.rounds} rounds; median (least to most) tokens per second")
    ok = True
    for what in ("prefill", "decode"):
        a, b = [r[0][what] for r in rounds], [r[1][what] for r in rounds]
        ratios = sorted(x / y for x, y in zip(a, b))
        ratio = statistics.median(ratios)
        ok &= ratio >= 1
        print(f"  {what:8} idem {statistics.median(a):7.1f} ({min(a):.1f} to {max(a):.1f})   "
              f"llama.cpp {statistics.median(b):7.1f} ({min(b):.1f} to {max(b):.1f})   "
              f"ratio {ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) {'ok' if ratio >= 1 else 'SLOWER'}",
              flush=True)
    return ok


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--bench", default=ROOT / "build/bench", type=pathlib.Path)
    a.add_argument("--llama", required=True, type=pathlib.Path, help="folder with llama-bench")
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--prefill", type=int, default=512)
    a.add_argument("--decode", type=int, default=128)
    a.add_argument("model", nargs="*")
    o = a.parse_args()
    ok = [measure(o, n, p) for n, p in find_models(o.model)]
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
