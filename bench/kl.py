# SPDX-License-Identifier: MIT
"""How much the q8 mode costs: mean KL(f32 || q8) over all positions of a text, idem's beside llama.cpp's
on the same file and against the same f32 result.

    python3 bench/kl.py [--bench FOLDER] [--text FILE] [--reference FOLDER] [MODEL...]

The f32 result is idem's own (which tests/models/parity.py holds against transformers), or, with
--reference, dumps NAME.dump made by bench/reference.py with transformers. The bar: idem's at most 1.1
times llama.cpp's. Programs and llama.cpp: make bench-programs LLAMA_CPP=folder.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/models"))
from common import ROOT, find_models   # noqa: E402

BAR = 1.1


def dump_to(path, *argv):
    with open(path, "wb") as out:
        subprocess.run([str(a) for a in argv], stdout=out, check=True)


def kl(bench, p, q):
    r = subprocess.run([str(bench / "kl"), str(p), str(q)], capture_output=True, text=True, check=True)
    return json.loads(r.stdout)


def measure(bench, text, name, path, reference):
    with tempfile.TemporaryDirectory(dir=bench) as folder:
        folder = pathlib.Path(folder)
        f32 = reference / f"{name}.dump" if reference else folder / "f32"
        if not reference:
            dump_to(f32, bench / "logits", path, text, 2, "f32")
        rows = {}
        for who, argv in (("idem q8", [bench / "logits", path, text, 2, "q8"]),
                          ("llama.cpp", [bench / "llama_logits", path, text, 2])):
            dump_to(folder / "q", *argv)
            rows[who] = kl(bench, f32, folder / "q")
    ratio = rows["idem q8"]["mean"] / rows["llama.cpp"]["mean"]
    print(f"{name} ({rows['idem q8']['positions']} positions, "
          f"{'transformers' if reference else 'idem'} f32)")
    for who, r in rows.items():
        print(f"  {who:10} mean KL {r['mean']:.6f}  median {r['median']:.6f}  p99 {r['p99']:.5f}  "
              f"max {r['max']:.4f}  same top token {100 * r['same_top']:.1f} %")
    print(f"  ratio {ratio:.3f} (bar {BAR}) {'ok' if ratio <= BAR else 'MISSED'}", flush=True)
    return ratio <= BAR


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--bench", default=ROOT / "build/bench", type=pathlib.Path)
    a.add_argument("--text", default=ROOT / "tests/data/oracle/text.txt", type=pathlib.Path)
    a.add_argument("--reference", type=pathlib.Path)
    a.add_argument("model", nargs="*")
    o = a.parse_args()
    ok = [measure(o.bench, o.text, n, p, o.reference) for n, p in find_models(o.model)]
    sys.exit(0 if all(ok) else 1)


if __name__ == "__main__":
    main()
