# SPDX-License-Identifier: MIT
"""idem bench: what it prints, for each mode and with several sequences."""
import json

from harness import TINY, check, refused

KEYS = {"model", "threads", "prefill_tok_s", "decode_tok_s", "load_ms", "peak_rss_bytes", "prefill_share",
        "decode_share", "machine_read_bytes_s", "machine_int8_ops_s", "machine_f32_ops_s"}
SHORT = ["--prefill", "16", "--decode", "4", "--rounds", "2", "--threads", "2"]


def shape(idem):
    out = json.loads(idem.ok("bench", TINY, *SHORT, "--batch", "3", "--json"))
    check(KEYS <= set(out), f"missing: {KEYS - set(out)}")
    check(out["threads"] == 2 and out["batch"] == 3, "threads and batch are not those asked for")
    for key in KEYS - {"model", "threads"}:
        check(out[key] > 0, f"{key} is {out[key]}")
    check(out["batch_tok_s"] > 0, "no speed of the batch")


def modes(idem):
    for mode in ("q8", "f32"):
        text = idem.ok("bench", TINY, *SHORT, "--activations", mode, "--cpu", "ref").decode()
        check(f"{mode} activations" in text and "2 threads, ref" in text, text)
        check("prefill" in text and "decode" in text and "batch" not in text, text)


def wrong(idem):
    refused(idem.run("bench", TINY, "--prefill", "0"), [2], "--prefill")
    refused(idem.run("bench", TINY, "--prefill", "100000"), [1], "context")
    refused(idem.run("bench", "no-such-model"), [1], "no-such-model")


CASES = [(f"bench: {f.__name__}", f) for f in (shape, modes, wrong)]
