# SPDX-License-Identifier: MIT
"""Large shapes with random weights: memory, speed, and long contexts.

    python3 bench/size.py --bench BUILD/bench [--shapes FOLDER] [--threads 2] [--tokens 32768]

- Llama 3.1 8B in Q4_K_M (4.9 GB): peak memory (VmHWM) at most file + 15 % + 64 MiB + KV cache; decode in
  bytes of the file that a token needs per second, as a share of what the same threads read from memory.
- Phi-3.5 cut to one layer: a prompt of 32768 tokens; the cost of a token grows as attention's own work,
  which is linear in the position: a line through the first half must hold in the second (the median
  within 15 %).
- Phi-3.5 whole at 131072 tokens: what it would take is said, and what does not fit is refused before
  anything is allocated.

The files are made once (tests/models/make_shape.py, 7 GB) and kept in the folder.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/models"))
from common import IDEM, models_folder   # noqa: E402

MIB = 1 << 20


def shape(folder, name):
    path = folder / f"{name}.gguf"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        subprocess.run([sys.executable, ROOT / "tests/models/make_shape.py", name, part], check=True)
        part.rename(path)
    return path


def run(argv):
    """(standard output, peak bytes) of a program."""
    p = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE)
    out = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    if status != 0:
        sys.exit(f"failed: {argv}")
    return out, usage.ru_maxrss * 1024


def line(xs, ys):
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)
    return my - slope * mx, slope


def large(args, good):
    path = shape(args.shapes, "llama-3.1-8b")
    out, peak = run([args.bench / "positions", path, args.threads, 64, 64])
    r = json.loads(out)
    size = path.stat().st_size
    bar = size * 1.15 + 64 * MIB + r["kv_bytes"]
    decode = r["positions"][-1]["decode_s"]
    rate = r["bytes_per_token"] / decode
    print(f"llama-3.1-8b: file {size / 1e9:.2f} GB, load {r['load_s']:.1f} s, peak {peak / 1e9:.2f} GB "
          f"(bar {bar / 1e9:.2f}), decode {1 / decode:.2f} tok/s = {rate / 1e9:.1f} GB/s, "
          f"{100 * rate / r['read_bytes_s']:.0f} % of the {r['read_bytes_s'] / 1e9:.1f} GB/s "
          f"that {args.threads} threads read")
    good.append(peak <= bar)


def long(args, good):
    path = shape(args.shapes, "phi-3.5-one-layer")
    out, peak = run([args.bench / "positions", path, args.threads, args.tokens, 512])
    r = json.loads(out)
    points = [(p["to"], p["prefill_s"]) for p in r["positions"]]
    half = len(points) // 2
    a, b = line(*zip(*[p for p in points[:half] if p[0] > 512]))    # the first chunks are shorter
    ratios = sorted(s / (a + b * to) for to, s in points[half:])
    middle = statistics.median(ratios)
    planned = json.loads(run([IDEM, "inspect", path, "--context", args.tokens, "--json"])[0])["memory"]
    bar = path.stat().st_size * 1.15 + 64 * MIB + planned["kv"]
    print(f"phi-3.5, one layer, {args.tokens} tokens: prefill {1 / points[0][1]:.0f} tok/s at the start, "
          f"{1 / points[-1][1]:.0f} at the end; second half {middle:.2f} ({ratios[0]:.2f} to "
          f"{ratios[-1]:.2f}) x the line through the first (bar 1.15); KV cache {r['kv_bytes'] / 1e6:.0f} MB (planned {planned['kv'] / 1e6:.0f}), "
          f"peak {peak / 1e6:.0f} MB (bar {bar / 1e6:.0f})")
    for p in r["positions"]:
        if p["decode_s"]:
            print(f"    decode at {p['to']:6}: {1e3 * p['decode_s']:7.2f} ms")
    good.append(middle <= 1.15)
    good.append(peak <= bar)


def whole(args, good):
    path = shape(args.shapes, "phi-3.5")
    facts = json.loads(run([IDEM, "inspect", path, "--json"])[0])["memory"]
    print(f"phi-3.5, 131072 tokens: weights {facts['weights'] / 1e9:.2f} GB, KV cache {facts['kv'] / 1e9:.2f} GB, "
          f"this machine has {facts['limit'] / 1e9:.2f} GB: {facts['longest']} tokens fit")
    if facts["weights"] + facts["kv"] <= facts["limit"]:
        print("    it fits here: nothing to refuse")
        return
    p = subprocess.Popen([IDEM, "generate", path, "-p", "x", "--context", "131072"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = p.stderr.read().decode()
    _, status, usage = os.wait4(p.pid, 0)
    print(f"    refused with a peak of {usage.ru_maxrss / 1024:.0f} MiB: {said.strip()}")
    good.append(os.waitstatus_to_exitcode(status) == 1 and "fit" in said and usage.ru_maxrss < 256 * 1024)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bench", type=pathlib.Path, required=True)
    a.add_argument("--shapes", type=pathlib.Path, default=models_folder().parent / "shapes")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--tokens", type=int, default=32768)
    args = a.parse_args()
    good = []
    for part in (large, long, whole):
        part(args, good)
    print(f"size: {sum(good)} passed, {len(good) - sum(good)} failed")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
