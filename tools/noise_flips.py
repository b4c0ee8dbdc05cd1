#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many answers a noise flips, and how near the two best tokens were where it did.

usage: noise_flips.py RUN.db

RUN.db is a run whose base setting has no noise, as of experiments/noise.yaml: each setting that differs
from it in its noise alone is compared with it, prompt by prompt and, for shuffle, seed by seed (the other
kinds have no seed).
"""
import sqlite3
import statistics
import sys


def outputs(q, setting):
    """(prompt, seed) -> [(token, margin)] of the trials over seeds."""
    out = {}
    for prompt, seed, token, margin in q.execute(
            "SELECT t.prompt, t.seed, k.id, k.margin FROM trials t JOIN tokens k USING (trial) "
            "WHERE t.purpose = 'seeds' AND t.setting = ? AND t.sample = 0 ORDER BY t.trial, k.position", (setting,)):
        out.setdefault((prompt, seed), []).append((token, margin))
    return out


def parts_at(a, b):
    """Where two outputs part, None if they do not."""
    for i, (x, y) in enumerate(zip(a, b)):
        if x[0] != y[0]:
            return i
    return None if len(a) == len(b) else min(len(a), len(b)) - 1


def row(q, setting, noise, base):
    """Columns of the table: what one setting flips."""
    flipped, outs, margins, kept, moved = set(), outputs(q, setting), [], [], []
    first = min(seed for _, seed in outs)
    if not noise.startswith("shuffle"):
        outs = {key: out for key, out in outs.items() if key[1] == first}
    for key, out in outs.items():
        at = parts_at(base[key], out)
        same = out[:at] if at is not None else out
        kept += [m for _, m in (base[key][:at] if at is not None else base[key])]
        moved += [abs(x[1] - y[1]) for x, y in zip(base[key], same)]
        if at is not None:
            flipped.add(key[0])
            margins.append(base[key][at][1])
    n = len({p for p, _ in outs})
    cells = [f"{len(flipped)} of {n}", f"{len(margins)} of {len(outs)}"]
    cells.append(f"{statistics.median(margins):.4f} ({max(margins):.4f})" if margins else "–")
    return cells + [f"{statistics.median(moved):.1e}", f"{min(kept):.4f}"]


def main(path):
    q = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    settings = q.execute("SELECT setting, name, noise FROM settings WHERE setting = 0 OR factor = 'noise' "
                         "ORDER BY setting").fetchall()
    if settings[0][2] != "none":
        sys.exit(f"noise_flips: {path}: its base setting has noise {settings[0][2]}; nothing to compare with")
    base = outputs(q, settings[0][0])
    print("| noise | prompts flipped | outputs flipped | margin at the flip: median (largest) | margins moved by (median)"
          " | smallest margin that held |\n|---|---|---|---|---|---|")
    for setting, _, noise in settings[1:]:
        print(f"| `{noise}` | " + " | ".join(row(q, setting, noise, base)) + " |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
