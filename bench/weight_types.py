# SPDX-License-Identifier: MIT
"""Every weight type beside llama.cpp on one model: what q8 mode costs, and speed.

    python3 bench/weight_types.py --llama FOLDER [--bench FOLDER] [--keep FOLDER] [--rounds 3] MODEL [TYPE...]

llama-quantize of FOLDER makes the file of each type from MODEL (best F16, with widths that are
multiples of 256; else it falls back to other types in places). Per type:

  KL      mean KL(f32 || q8) over a text, idem's and llama.cpp's own, against idem's f32 on the same file
  prefill, decode   tokens per second of CPU time on one thread, medians; of CPU time, so that other
          programs of the machine disturb less. Differences of two lengths: loading does not count.
"""
import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

from kl import ROOT, dump_to, kl

TYPES = ["Q2_K", "Q3_K_S", "Q4_0", "Q4_K_S", "Q5_K_S", "Q6_K", "Q8_0", "IQ4_NL", "IQ4_XS"]
SHORT, PREFILL, DECODE = (16, 8), (272, 8), (16, 104)      # prompt, generated


def cpu_s(argv):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(f"{argv[0]}: exit code {r.returncode}: {r.stderr[-800:]}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime


def speeds(o, path):
    """((prefill, decode) of idem, the same of llama.cpp)"""
    def ours(n):
        return cpu_s([o.bench / "speed", path, 1, *n])

    def theirs(n):
        return cpu_s([o.llama / "llama-bench", "-m", path, "-t", 1, "-p", n[0], "-n", n[1], "-r", 1,
                      "--no-warmup"])
    rounds = []
    for _ in range(o.rounds):
        for run in (ours, theirs):
            base = run(SHORT)
            rounds.append(((PREFILL[0] - SHORT[0]) / (run(PREFILL) - base),
                           (DECODE[1] - SHORT[1]) / (run(DECODE) - base)))
    return [[statistics.median(r[i] for r in rounds[who::2]) for i in (0, 1)] for who in (0, 1)]


def costs(o, path, folder):
    dump_to(folder / "f32", o.bench / "logits", path, o.text, 2, "f32")
    for name, argv in (("q8", ["logits", path, o.text, 2, "q8"]), ("llama", ["llama_logits", path, o.text, 2])):
        dump_to(folder / name, o.bench / argv[0], *argv[1:])
    return [kl(o.bench, folder / "f32", folder / n)["mean"] for n in ("q8", "llama")]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--bench", default=ROOT / "build/bench", type=pathlib.Path)
    a.add_argument("--llama", required=True, type=pathlib.Path, help="folder with llama-quantize, llama-bench")
    a.add_argument("--keep", type=pathlib.Path, help="folder for the files of the types")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--text", type=pathlib.Path, help="default: the first 1,200 bytes of the fixtures' text")
    a.add_argument("model")
    a.add_argument("type", nargs="*")
    o = a.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if not o.text:
            o.text = folder / "text"
            o.text.write_bytes((ROOT / "tests/data/oracle/text.txt").read_bytes()[:1200])
        print("type      KL idem   KL llama.cpp  ratio   prefill idem, llama.cpp  ratio   decode idem, llama.cpp  ratio")
        for t in o.type or TYPES:
            path = (o.keep or folder) / f"{t}.gguf"
            if not path.exists():
                subprocess.run([str(o.llama / "llama-quantize"), "--allow-requantize", "--pure", o.model,
                                str(path), t], check=True, capture_output=True)
            k, (us, them) = costs(o, path, folder), speeds(o, path)
            print(f"{t:8} {k[0]:8.6f}     {k[1]:8.6f}   {k[0] / k[1]:5.2f}"
                  + "".join(f"        {u:7.1f}   {v:7.1f}    {u / v:5.2f}" for u, v in zip(us, them)), flush=True)
            if not o.keep:
                path.unlink()


if __name__ == "__main__":
    main()
