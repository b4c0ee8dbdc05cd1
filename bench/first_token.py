# SPDX-License-Identifier: MIT
"""Two bars of `idem generate`: the first token within 100 ms of the start on SmolLM2 and 300 ms on
Qwen2.5 0.5B from a warm file cache, and a peak of memory (VmHWM) of at most 1.15 x the file + 64 MiB +
the KV cache, on every model.

    python3 bench/first_token.py [--rounds 11] [--llama FOLDER_WITH_llama-completion] [MODEL...]

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
TIME_BARS_MS = {"smollm2-135m-instruct": 100, "qwen2.5-coder-0.5b-instruct": 300}


def ours(path, n_new):
    return [IDEM, "generate", path, "-p", PROMPT, "-n", str(n_new), "--quiet"]


def theirs(folder, path, n_new):
    return [str(folder / "llama-completion"), "-m", path, "-p", PROMPT, "-n", str(n_new), "-no-cnv", "-t",
            str(os.cpu_count()), "--temp", "0", "--no-warmup", "--simple-io"]


def first_byte_ms(argv):
    """(ms to the first byte beyond the prompt's echo, ms in all, peak bytes)"""
    start = time.perf_counter()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    fd, got, first = p.stdout.fileno(), b"", None
    while True:
        part = os.read(fd, 4096)
        if not part:
            break
        got += part
        new = got.lstrip().removeprefix(PROMPT.encode())
        if first is None and new and not PROMPT.encode().startswith(got.lstrip()):
            first = time.perf_counter()
    end = time.perf_counter()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode != 0 or first is None:
        sys.exit(f"{' '.join(argv)}: exit code {p.returncode}" + (", no text" if first is None else ""))
    return 1e3 * (first - start), 1e3 * (end - start), usage.ru_maxrss * 1024


def kv_bytes(path, n_tokens):
    i = idem_json("inspect", path)
    per_token = 2 * 2 * i["n_layer"] * i["n_head_kv"] * i["head_dim"]      # K and V, 2 bytes each
    return -(-n_tokens // 64) * 64 * per_token


def memory_bar(path, n_tokens):
    return 1.15 * pathlib.Path(path).stat().st_size + (64 << 20) + kv_bytes(path, n_tokens)


def warm(path):
    """Reads a file, so that the file cache has it."""
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def measure(o, name, path):
    warm(path)
    runs, peers = [], []
    for _ in range(o.rounds):
        runs.append(first_byte_ms(ours(path, o.tokens)))
        if o.llama:
            peers.append(first_byte_ms(theirs(o.llama, path, o.tokens))[0])
    first = statistics.median(r[0] for r in runs)
    peak, bar = max(r[2] for r in runs), memory_bar(path, 16 + o.tokens)
    fast, small = first <= TIME_BARS_MS.get(name, first), peak <= bar
    print(f"{name}: first token after {first:.0f} ms ({min(r[0] for r in runs):.0f} to "
          f"{max(r[0] for r in runs):.0f})"
          + (f", bar {TIME_BARS_MS[name]} {'ok' if fast else 'MISSED'}" if name in TIME_BARS_MS else "")
          + (f", llama-completion {statistics.median(peers):.0f} ms" if peers else "")
          + f"; peak {peak / 2**20:.0f} MiB, bar {bar / 2**20:.0f} {'ok' if small else 'MISSED'}"
          f" (file {pathlib.Path(path).stat().st_size / 2**20:.0f})", flush=True)
    return fast and small


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--rounds", type=int, default=11)
    a.add_argument("--tokens", type=int, default=8)
    a.add_argument("--llama", type=pathlib.Path, help="folder with llama-completion, to measure beside")
    a.add_argument("model", nargs="*")
    o = a.parse_args()
    sys.exit(0 if all([measure(o, n, p) for n, p in find_models(o.model)]) else 1)


if __name__ == "__main__":
    main()
