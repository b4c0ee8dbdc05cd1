# SPDX-License-Identifier: MIT
"""The page docs/performance.md from the results that bench/peers.py collected.

    python3 bench/performance.py docs/performance.json > docs/performance.md
"""
import json
import statistics
import sys

from size import line

TITLES = {"smollm2": "SmolLM2 135M Q4_1", "qwen2.5": "Qwen2.5 0.5B Q4_K_M", "gemma3": "Gemma 3 270M Q4_K_M",
          "llama-3.1-8b": "Llama 3.1 8B shape, Q4_K_M"}
PREFILL_BARS = {"smollm2": 3, "qwen2.5": 2.5, "gemma3": 2}
DECODE_BAR, BATCH_BAR, BATCH_SHARE_BAR, LONG_BAR = 1.5, 2, 0.7, 1.5
SHARE_BARS = {1: 0.7, 2: 0.8}               # of the read bandwidth, by threads
SHARE_MODELS = ("qwen2.5", "llama-3.1-8b")
PRODUCT_BAR, FLOAT_BAR, FLOATS = 1.5, 0.9, ("F32", "F16", "BF16")
SAME_PRODUCT = 0.02                         # means of |y| differ by at most this share
FIRST_BARS_MS = {"smollm2": 100, "qwen2.5": 300}
LINE_BAR = 1.15
GRID_TRIALS = 2880
GRID_BARS = {"llama-server": 10, "transformers": 50}
PASS, SHORT = "pass", "**FALLS SHORT**"

GROUPS = [("attention", ("attn_block", "attn_finish")), ("rotation, KV cache", ("rope", "kv_store")),
          ("norms", ("rmsnorm", "layernorm")), ("quantising activations", ("quantize",)),
          ("activation functions", ("silu_mul", "gelu_mul", "gelu", "softcap")),
          ("adding, scaling, checking", ("add", "scale", "all_finite")), ("outside of kernels", ("outside",))]


class Page:
    """Lines, and the verdicts that were given on the way."""

    def __init__(self, document):
        self.results = {r["name"]: r for r in document["results"]}
        self.document, self.lines, self.verdicts = document, [], []

    def of(self, section):
        return [(n, n.split("/"), r) for n, r in self.results.items() if n.split("/")[0] == section and r["rounds"]]

    def say(self, *lines):
        self.lines += [*lines, ""]

    def head(self, title, *paragraphs):
        for text in (f"## {title}", *paragraphs):
            self.say(text)

    def table(self, head, rows):
        if rows:
            self.say("| " + " | ".join(head) + " |", "|" + "---|" * len(head),
                     *("| " + " | ".join(r) + " |" for r in rows))

    def verdict(self, what, value, bar, most=False):
        good = value <= bar if most else value >= bar
        self.verdicts.append((what, good, value, bar))
        return PASS if good else SHORT


def values(r, who, key):
    return [x[who][key] for x in r["rounds"] if who in x]


def spread(v, form="{:.1f}"):
    m, a, b = (form.format(x) for x in (statistics.median(v), min(v), max(v)))
    return m if len(v) == 1 else f"{m} ({a} to {b})"


def ratios(r, key, peer="llama.cpp"):
    """Of each round, ours to theirs; none where the peer was not there."""
    return [x["idem"][key] / x[peer][key] for x in r["rounds"] if "idem" in x and peer in x]


def repeat(name):
    return f"`ONLY={name}`"


def beside(p, name, r, key, bar, label, scale=1.0, form="{:.1f}"):
    """Cells: ours, theirs, ratio, bar and verdict, how to repeat."""
    ours = [v / scale for v in values(r, "idem", key)]
    q = ratios(r, key)
    if not q:
        return [spread(ours, form), "not measured", "", f"{bar:g}", "", repeat(name)]
    theirs = [v / scale for v in values(r, "llama.cpp", key)]
    return [spread(ours, form), spread(theirs, form), spread(q, "{:.2f}"), f"≥ {bar:g}",
            p.verdict(label, statistics.median(q), bar), repeat(name)]


HEAD = ["model", "threads", "idem tok/s", "llama.cpp tok/s", "ratio", "bar", "", "repeat"]


def speed(p):
    for what, bars in (("prefill", PREFILL_BARS), ("decode", {})):
        rows = []
        for name, (_, model, threads), r in p.of("speed"):
            bar = bars.get(model, DECODE_BAR)
            rows.append([TITLES[model], threads, *beside(p, name, r, what, bar,
                                                         f"{what}, {TITLES[model]}, {threads} threads")])
        if not rows:
            return
        if what == "prefill":
            p.head("Prefill and decode", "A prompt of 512 random tokens with the logits of its last one, and 128 "
                  "tokens one by "
                  "one: `speed FILE T 512 128` beside `llama-bench -m FILE -t T -p 512 -n 128 -r 1`.")
        p.say(f"**{what.capitalize()}**")
        p.table(HEAD, rows)


def share(p):
    rows = []
    for name, (_, model, threads), r in p.of("share"):
        shares, bar = values(r, "idem", "decode_share"), SHARE_BARS[int(threads)]
        wanted = model in SHARE_MODELS
        rows.append([TITLES[model], threads, spread([v / 1e9 for v in values(r, "idem", "decode_bytes_s")]),
                     spread([v / 1e9 for v in values(r, "idem", "machine_read_bytes_s")]),
                     spread([100 * v for v in shares], "{:.0f}"), f"≥ {100 * bar:.0f}" if wanted else "",
                     p.verdict(f"read bandwidth, {TITLES[model]}, {threads} threads", statistics.median(shares), bar)
                     if wanted else "", repeat(name)])
    if rows:
        p.head("Decode as a share of the read bandwidth", "Bytes of the file that a token needs, per second, "
              "beside what as many "
              "threads read from memory when they do nothing else: `idem bench FILE --threads T --json`.")
        p.table(["model", "threads", "GB/s", "machine reads GB/s", "%", "bar", "", "repeat"], rows)


def matmul(p):
    rows = []
    for name, (_, kind, threads), r in p.of("matmul"):
        bar = FLOAT_BAR if kind in FLOATS else PRODUCT_BAR
        for x in r["rounds"]:
            a, b = x["idem"]["mean_abs"], x["llama.cpp"]["mean_abs"]
            if abs(a - b) > SAME_PRODUCT * b:
                raise ValueError(f"{name}: the two products are not the same: mean |y| {a} and {b}")
        layout = r["rounds"][0]["llama.cpp"]["how"]
        rows.append([kind, threads, *beside(p, name, r, "ops_s", bar, f"product {kind}, {threads} "
              "threads", 1e9, "{:.0f}"),
                     "" if layout == "CPU" else layout])
    if rows:
        p.head("The matrix product alone", "W[2048][2048] times 512 vectors, activations quantised each time as "
              "in a forward pass: "
              "`matmul TYPE 2048 2048 512 T 0.5 W` beside a graph of one MUL_MAT by ggml's public interface "
              "(`matmul_peer`, "
              "same arguments, which writes W). Where ggml has a faster layout for the weights it is used; the last "
              "column names it. idem multiplies F16 and BF16 weights with binary32 activations; ggml rounds the "
              "activations "
              "to F16 or BF16 first, and uses the processor's products of them where there are any.")
        p.table(["type", "threads", "idem GOP/s", "ggml GOP/s", "ratio", "bar", "", "repeat", "ggml's layout"], rows)


def batch(p):
    rows = []
    for name, (_, model, threads), r in p.of("batch"):
        label = f"{TITLES[model]}, {threads} threads"
        of_prefill = values(r, "idem", "share_of_prefill")
        rows.append([TITLES[model], threads, *beside(p, name, r, "tok_s", BATCH_BAR, f"batch, {label}"),
                     f"{spread([100 * v for v in of_prefill], '{:.0f}')} (≥ {100 * BATCH_SHARE_BAR:.0f})",
                     p.verdict(f"batch beside prefill, {label}", statistics.median(of_prefill), BATCH_SHARE_BAR)])
    if rows:
        p.head("Sixteen sequences together", "16 prompts of 16 tokens, then 64 tokens of each, all sequences in "
              "each step, with the logits "
              "of each: `speed FILE T 16 64 q8 16` beside `llama-batched-bench -m FILE -t T -tb T -c 1280 -npp "
              "16 -ntg 64 -npl "
              "16`. The last columns: operations per second as a share of idem's own prefill of 512.")
        p.table([*HEAD, "% of prefill GOP/s (bar)", ""], rows)


def first(p):
    rows = []
    for name, (_, model), r in p.of("first"):
        ours, bar = values(r, "idem", "first_ms"), FIRST_BARS_MS.get(model)
        rows.append([TITLES[model], spread(ours, "{:.0f}"), spread(values(r, "llama.cpp", "first_ms"), "{:.0f}")
                     if "llama.cpp" in r["who"] else "not measured", f"≤ {bar}" if bar else "",
                     p.verdict(f"first token, "
                           f"{TITLES[model]}", statistics.median(ours), bar, most=True) if bar else "",
                     repeat(name)])
    if rows:
        p.head("First token", "From the start of the process to the first byte of new text, file cache warm, all "
              "threads, in each round "
              "the middle one of three starts in a row: `idem generate "
              "FILE -p 'The capital of France is' -n 8 --quiet` beside `llama-completion` with the same prompt, "
              "`-no-cnv "
              "--temp 0 --no-warmup`.")
        p.table(["model", "idem ms", "llama.cpp ms", "bar", "", "repeat"], rows)


def grows(points):
    """Of (position, seconds): the cost behind the first half beside the line through the first half."""
    half = [x for x in points if x[0] <= points[-1][0] / 2]
    a, b = line(*zip(*half))
    return statistics.median(s / (a + b * at) for at, s in points[len(half):])


def long(p):
    rows, costs, lines = [], [], []
    for name, (_, model, threads), r in p.of("long"):
        for what in ("prefill", "decode"):
            label = f"{TITLES[model]}, {threads} threads"
            rows.append([TITLES[model], threads, what, *beside(p, name, r, f"{what}_tok_s", LONG_BAR,
                                                               f"{what} at 4096, {label}")])
        at = r["rounds"][0]["idem"]["positions"]
        if at[-1]["to"] < 8192:
            continue
        cells = {x["to"]: f"{1e3 * x['prefill_s']:.2f} / {1e3 * x['decode_s']:.2f}" for x in at if x["decode_s"]}
        costs.append([TITLES[model], threads, *(cells.get(1 << i, "") for i in range(7, 14))])
        for what, points in (("prefill", [(x["to"], x["prefill_s"]) for x in at if x["to"] > 512]),
                             ("decode", [(x["to"], x["decode_s"]) for x in at if x["decode_s"]])):
            g = grows(points)
            lines.append([TITLES[model], threads, what, f"{g:.2f}", f"≤ {LINE_BAR}",
                          p.verdict(f"{what} grows as a line, {TITLES[model]}, {threads} "
                                "threads", g, LINE_BAR, most=True)])
    if not rows:
        return
    p.head("Long contexts", "512 tokens after 4096 others, and tokens one by one there: `positions FILE T 8192 "
          "512` beside "
          "`llama-bench -m FILE -t T -d 4096 -p 512 -n 32 -r 1`.")
    p.table(["model", "threads", "phase", *HEAD[2:]], rows)
    if costs:
        p.say("Milliseconds per token, prefill / decode, at each position (the first chunks are shorter than 512 "
              "tokens):")
        p.table(["model", "threads", *(str(1 << i) for i in range(7, 14))], costs)
        p.say("Attention's work grows as a line with the position. The cost of a token beyond 4096, as a "
              "multiple of the line through "
              "the positions up to 4096 (median):")
        p.table(["model", "threads", "phase", "multiple", "bar", ""], lines)


def memory(p):
    rows = []
    for name, (_, model), r in p.of("memory"):
        x = r["rounds"][0]["idem"]
        rows.append([TITLES[model], *(f"{x[k] / 2**20:.0f}" for k in ("file_bytes", "peak_bytes", "bar_bytes")),
                     p.verdict(f"memory, {TITLES[model]}", x["peak_bytes"], x["bar_bytes"], most=True), repeat(name)])
    if rows:
        p.head("Memory", "VmHWM of a process that opens the model, computes a prompt of 512 tokens (64 for the "
              "8B shape) and decodes: at most "
              "the file + 15 % + 64 MiB + the KV cache.")
        p.table(["model", "file MiB", "peak MiB", "bar MiB", "", "repeat"], rows)


def made(r, who):
    """Tokens per trial, and tokens per second; a trial without an answer has as many as the others."""
    trials, seconds, tokens = (sum(values(r, who, k)) for k in ("trials", "seconds", "tokens"))
    failed = sum(x[who].get("failed", 0) for x in r["rounds"])
    tokens = tokens * trials / (trials - failed)
    return tokens / trials, tokens / seconds


def grid(p):
    served, alone, together = (p.results.get(f"grid/{n}") for n in ("llama-server", "transformers", "transformers-together"))
    if not served or not served["rounds"] or not values(served, "idem", "trials"):
        return
    ours = [x["trials"] / x["seconds"] for x in (y["idem"] for y in served["rounds"])]
    mine, length = statistics.median(ours), made(served, "idem")[0]
    rows = [["`idem run`", spread(ours), f"{length:.1f}", "", "", "", repeat("grid/llama-server")]]
    for r, who, name, bar in ((served, "llama.cpp", "llama-server, 4 slots, prompt cache", GRID_BARS["llama-server"]),
                              (alone, "transformers", "transformers, one `generate` a "
                                    "trial", GRID_BARS["transformers"]),
                              (together, "transformers", "transformers, the 8 seeds of a setting in one "
                                    "`generate`", None)):
        if not r or not r["rounds"] or not values(r, who, "trials"):
            rows.append([name, "not measured", "", "", f"≥ {bar}" if bar else "", "", ""])
            continue
        tokens, rate = made(r, who)
        theirs = rate / length
        failed = sum(x[who].get("failed", 0) for x in r["rounds"])
        n = f"{sum(values(r, who, 'trials'))} trials" + (f", {failed} of them without an answer" if failed else "")
        rows.append([f"{name} ({n})", f"{theirs:.2f}", f"{tokens:.1f}", f"{mine / theirs:.1f}",
                     f"≥ {bar}" if bar else "", p.verdict(f"experiment beside "
                     f"{name}", mine / theirs, bar) if bar else "",
                     repeat(r["name"])])
    p.head("An experiment", f"[bench/grid.yaml](../bench/grid.yaml): 30 questions of PopQA, 12 settings, 8 "
          f"seeds, at most 32 tokens each, {GRID_TRIALS} "
          "trials; the five best alternatives of each token are kept. `idem run` counts from the start of the "
          "process to its "
          "end, with opening and hashing the model, the controls, and storing everything; it computes equal "
          "prefixes once. "
          "llama-server (4 clients on kept connections, `n_probs` 5, a warm server) and transformers (float32, "
          "the logits of each step) count without start and loading. transformers ran a part. Texts of other "
          "prompts are of "
          "other lengths, so the trials per second of the others are their tokens per second over the tokens of "
          "a trial of "
          "idem's. In the last row a seed is the call's, so a trial cannot be repeated alone. llama-server has no "
          "no_repeat_ngram_size, which one setting has; an answer that it refuses to give after its work (error "
          "500) counts as "
          "a trial. [bench/grid.py](../bench/grid.py) does all four.")
    p.table(["", "trials/s", "tokens a trial", "idem is × as fast", "bar", "", "repeat"], rows)


def profile(p):
    found = p.of("profile")
    if not found:
        return
    p.head("Where the time goes", "Shares of the threads' time in % (`profile FILE 2`: clocks around each "
          "kernel, none in the normal "
          "build). *Outside of kernels* is splitting the work, waiting for the other thread, looking up embeddings.")
    for name, (_, model, threads), r in found:
        phases = r["rounds"][0]["idem"]["phases"]
        kinds = sorted({k for ph in phases for k in ph["parts"] if k.startswith("matmul")},
                       key=lambda k: -sum(ph["parts"].get(k, 0) for ph in phases))
        rows = [[f"product {k[7:]}", *(part(ph, (k,)) for ph in phases)] for k in kinds]
        rows += [[title, *(part(ph, keys) for ph in phases)] for title, keys in GROUPS]
        rows = [r for r in rows if any(x not in ("", "0.0") for x in r[1:])]
        rows.append(["seconds (with clocks)", *(f"{ph['seconds']:.2f} "
              f"({ph['seconds_with_clocks']:.2f})" for ph in phases)])
        p.say(f"**{TITLES[model]}, {threads} threads** ({repeat(name)})")
        p.table(["", *(ph["name"] for ph in phases)], rows)


def part(phase, keys):
    whole = sum(phase["parts"].values())
    return f"{100 * sum(phase['parts'].get(k, 0) for k in keys) / whole:.1f}"


def facts(p):
    e = p.document["environment"]
    m = e["machine"]
    p.head("What was measured with what")
    p.say("| | |", "|---|---|",
          f"| processor | {m['cpu']} (family/model/stepping {m['family']}), {m['processors']} processors"
          + (", a virtual machine |" if m["virtual"] else " |"),
          f"| instruction sets | {' '.join(m['flags'])} |",
          f"| memory, system | {m['memory_bytes'] / 2**30:.1f} GiB, {m['system']} |",
          *limits(p),
          f"| idem | {e['idem']['version']}, commit {e['idem']['commit']}, built by {e['idem']['compiler']} |",
          *(f"| llama.cpp | {x['version']}, built by {x['compiler']}, {', '.join(x['options'])} "
                "|" for x in [e.get("llama.cpp")] if x),
          *(f"| transformers | {x['version']} |" for x in [e.get("transformers")] if x))
    for who, why in p.document["missing"].items():
        p.say(f"Without {who}: {why}.")


def limits(p):
    """What the machine can do at most, by threads, of the measurements of the share."""
    for threads in ("1", "2"):
        rounds = [x["idem"] for _, parts, r in p.of("share") if parts[2] == threads for x in r["rounds"]]
        if rounds:
            best = [max(x[k] for x in rounds) / 1e9 for k in ("machine_read_bytes_s", "machine_int8_ops_s", "machine_f32_ops_s")]
            yield (f"| limits, {threads} thread{'s' if threads != '1' else ''} | reads {best[0]:.1f} GB/s, "
                  f"{best[1]:.0f} GOP/s of int8, "
                   f"{best[2]:.0f} of binary32 (`idem bench`) |")


def count(document):
    p = Page(document)
    for section in SECTIONS:
        section(p)
    good = sum(v[1] for v in p.verdicts)
    return f"{good} bars pass, {len(p.verdicts) - good} fall short"


SECTIONS = (speed, share, matmul, batch, grid, first, long, memory, profile)


def page(document):
    p = Page(document)
    facts(p)
    for section in SECTIONS:
        section(p)
    body, p.lines = p.lines, []
    short = [v for v in p.verdicts if not v[1]]
    rounds = [len(r["rounds"]) for r in document["results"]]
    p.say("# Performance")
    p.say("Made by `make bench-peers` (bench/peers.py, bench/performance.py) from docs/performance.json; do not "
          "edit. idem and its "
          "peers run the same file with the same threads, in rounds whose order alternates; a number is the "
          "median of the rounds "
          "with the least and the most in brackets, a ratio the median of the rounds' ratios. Bars stand whether "
          "they are reached "
          "or not. *repeat*: `make bench-peers` with this word and `FRESH=1`.")
    if any(r["quick"] for r in document["results"]):
        p.say("**A draft: measured by `QUICK=1`, few rounds and only a part of the measurements.**")
    if any(r["stale"] for r in document["results"]):
        p.say("Measured with another build of idem, another peer or on another machine than the table below names: "
              + ", ".join(r["name"] for r in document["results"] if r["stale"]) + ".")
    p.say(f"{len(p.verdicts) - len(short)} bars pass, {len(short)} fall short; {min(rounds, default=0)} to "
          f"{max(rounds, default=0)} rounds."
          + (" Short:" if short else ""))
    if short:
        p.say(*(f"- {what}: {value:.3g}, bar {bar:.3g}" for what, _, value, bar in short))
    return "\n".join(p.lines + body).rstrip("\n") + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as f:
        sys.stdout.write(page(json.load(f)))
