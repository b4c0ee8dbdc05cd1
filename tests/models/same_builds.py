# SPDX-License-Identifier: MIT
"""Same bits from every compiler: idem built by GCC and clang at -O0, -O2 and -O3, each in a folder of
its own, must give the same digests, with the widest kernels and with the reference ones, and pass
its own selftest.

    python3 tests/models/same_builds.py [--folder build/same] [--jobs 2] [--keep-going]

The digests are those of SmolLM2 after up to 65 tokens, and of tests/data/models/tiny.gguf where the
real model is not there.
"""
import argparse
import pathlib
import shutil
import subprocess
import time

from common import MODELS, ROOT, Failed, main, models_folder

COMPILERS = ("gcc", "clang")
LEVELS = ("-O0", "-O2", "-O3")
TEXT = ("The quick brown fox jumps over the lazy dog, counts to 12345 and says: \"def f(x): return x\". "
        "Then it sleeps until the morning, when the sun is high above the hills and all the birds of "
        "the valley have been singing for hours; nobody knows what it dreams of.")
CASES = [                       # (words of TEXT, greedy tokens, options)
    (60, 8, ["--activations", "q8"]),
    (60, 8, ["--activations", "f32"]),
    (8, 2, ["--activations", "q8", "--cpu", "ref"]),
    (8, 2, ["--activations", "f32", "--cpu", "ref"]),
    (8, 2, ["--activations", "q8"]),
    (8, 2, ["--activations", "f32"]),
]


def build(folder, cc, level, jobs):
    where = folder / (cc + level)
    argv = ["make", "-C", str(ROOT), f"-j{jobs}", f"CC={cc}", f"BUILD={where}", f"OPT={level}",
            f"KERNEL_OPT={level}", str(where / "idem")]
    r = subprocess.run(argv, capture_output=True, text=True)
    if r.returncode != 0:
        raise Failed(f"{' '.join(argv)}:\n{r.stdout[-500:]}{r.stderr[-1500:]}")
    return where / "idem"


def output(binary, *args):
    r = subprocess.run([str(binary), *map(str, args)], capture_output=True, text=True)
    if r.returncode != 0:
        raise Failed(f"{binary} {args[0]}: exit code {r.returncode}: {r.stderr[-800:] or r.stdout[-800:]}")
    return r.stdout.strip()


def digests(binary, model):
    words = TEXT.split(" ")
    return [output(binary, "digest", model, "-p", " ".join(words[:n]), "-n", greedy, *options)
            for n, greedy, options in CASES]


def run():
    a = argparse.ArgumentParser()
    a.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/same")
    a.add_argument("--jobs", type=int, default=2)
    o = a.parse_args()
    smol = models_folder() / MODELS["smollm2-135m-instruct"]
    model = smol if smol.is_file() else ROOT / "tests/data/models/tiny.gguf"
    print(f"model: {model}")
    want, failures = None, 0
    for cc in COMPILERS:
        if not shutil.which(cc):
            print(f"skipped: {cc} is not installed")
            continue
        for level in LEVELS:
            binary, start = build(o.folder.resolve(), cc, level, o.jobs), time.time()
            output(binary, "selftest")
            got = digests(binary, model)
            want = want or got
            same = got == want and got[2] == got[4] and got[3] == got[5]
            failures += not same
            print(f"{cc} {level}: selftest passed, {len(got)} digests "
                  f"{'equal' if same else f'DIFFER: {got} against {want}'}, {time.time() - start:.0f} s",
                  flush=True)
    return failures


if __name__ == "__main__":
    main(run)
