# SPDX-License-Identifier: MIT
"""Two bars of `idem generate`: the first token within 300 ms of the start on SmolLM2 from a warm file
cache, and a peak of memory (VmHWM) of at most 1.25 x the file + 64 MiB + the KV cache, on every model.

    python3 bench/first_token.py [--rounds 11] [MODEL...]

The time is from the start of the process to the first byte of the text on standard output; the peak is
what wait4 says of the process. The KV cache is counted in blocks of 64 tokens, binary16.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/models"))
from common import IDEM, find_models, idem_json   # noqa: E402

PROMPT = "The capital of France is"
TIME_BAR_MS = 300
SMOL = "smollm2-135m-instruct"


def first_byte_ms(path, n_new):
    """(ms to the first byte beyond the prompt's echo, ms in all, peak bytes)"""
    start = time.perf_counter()
    argv = [IDEM, "generate", path, "-p", PROMPT, "-n", str(n_new), "--quiet"]
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    fd, got, first = p.stdout.fileno(), b"", None
    while True:
        part = os.read(fd, 4096)
        if not part:
            break
        got += part
        new = got.removeprefix(PROMPT.encode())
        if first is None and new and not PROMPT.encode().startswith(got):
            first = time.perf_counter()
    end = time.perf_counter()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode != 0 or first is None:
        sys.exit(f"{' '.join(argv)}: exit code {p.returncode}, no output")
    return 1e3 * (first - start), 1e3 * (end - start), usage.ru_maxrss * 1024


def kv_bytes(path, n_tokens):
    i = idem_json("inspect", path)
    per_token = 2 * 2 * i["n_layer"] * i["n_head_kv"] * i["head_dim"]      # K and V, 2 bytes each
    return -(-n_tokens // 64) * 64 * per_token


def measure(name, path, rounds, n_new):
    with open(path, "rb") as f:         # a warm file cache
        while f.read(1 << 24):
            pass
    runs = [first_byte_ms(path, n_new) for _ in range(rounds)]
    first = statistics.median(r[0] for r in runs)
    peak, size = max(r[2] for r in runs), pathlib.Path(path).stat().st_size
    bar = 1.25 * size + (64 << 20) + kv_bytes(path, 16 + n_new)
    fast, small = name != SMOL or first <= TIME_BAR_MS, peak <= bar
    print(f"{name}: first token after {first:.0f} ms ({min(r[0] for r in runs):.0f} to "
          f"{max(r[0] for r in runs):.0f})"
          + (f", bar {TIME_BAR_MS} {'ok' if fast else 'MISSED'}" if name == SMOL else "")
          + f"; peak {peak / 2**20:.0f} MiB, bar {bar / 2**20:.0f} {'ok' if small else 'MISSED'}"
          f" (file {size / 2**20:.0f})", flush=True)
    return fast and small


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=11)
    a.add_argument("--tokens", type=int, default=8)
    a.add_argument("model", nargs="*")
    o = a.parse_args()
    sys.exit(0 if all([measure(n, p, o.rounds, o.tokens) for n, p in find_models(o.model)]) else 1)


if __name__ == "__main__":
    main()
