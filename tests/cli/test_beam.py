# SPDX-License-Identifier: MIT
"""Beam search from outside: scores, texts, the same bits in every host state, what is refused."""
import json

from harness import ROOT, check, refused

MODEL = ROOT / "tests/data/beam/beam.gguf"
ARGS = ["generate", MODEL, "-p", "the an in", "--activations", "f32", "--num-beams", "5", "--max-new-tokens", "9"]


def score_of(sample, length_penalty):
    return sum(t["logprob_processed"] for t in sample["tokens"]) / len(sample["tokens"]) ** length_penalty


def beam_scores(idem):
    for penalty in (0, 0.7, 2):
        out = json.loads(idem.ok(*ARGS, "--num-return-sequences", "5", "--length-penalty", str(penalty), "--json"))
        scores = [s["score"] for s in out["samples"]]
        check(len(scores) == 5 and scores == sorted(scores, reverse=True), "not best first")
        for s in out["samples"]:
            check(abs(s["score"] - score_of(s, penalty)) < 1e-5, f"{s['score']} is not the score of its tokens")
        check(len({tuple(t["id"] for t in s["tokens"]) for s in out["samples"]}) == 5, "one sequence twice")
    greedy = json.loads(idem.ok(*ARGS[:6], "--json"))["samples"][0]
    check(greedy["score"] is None, "a score without beams")


def beam_beats_greedy(idem):
    args = [*ARGS, "--length-penalty", "0", "--early-stopping", "never", "--min-new-tokens", "8", "--json"]
    beams = json.loads(idem.ok(*args))["samples"][0]
    greedy = json.loads(idem.ok(*args, "--num-beams", "1"))["samples"][0]
    check(beams["score"] >= sum(t["logprob"] for t in greedy["tokens"]), "greedy found a likelier output")


def beam_text(idem):
    text = idem.ok(*ARGS, "--num-return-sequences", "2").decode()
    check(text.count("--- sequence ") == 2 and "score -" in text and "ends by: " in text, "the lines above")
    quiet = idem.ok(*ARGS, "--num-return-sequences", "2", "--quiet").decode()
    out = json.loads(idem.ok(*ARGS, "--num-return-sequences", "2", "--json"))
    check(quiet == "".join(s["text"] + "\n" for s in out["samples"]), "--quiet gives the texts")


def beam_hosts(idem):
    for more in ([], ["--do-sample", "--seed", "4", "--temperature", "1.5"]):
        args = [*ARGS, *more, "--num-return-sequences", "3", "--json"]
        outs = {idem.ok(*args, "--threads", str(1 + i % 3), *(["--batch", str(2 * i)] if i else []),
                        *(["--chunk", str(i)] if i else []), "--cache", ("cold", "forked")[i % 2])
                for i in range(6)}
        check(len(outs) == 1, f"{len(outs)} outputs")


def beam_seed(idem):
    def texts(*more):
        return {idem.ok(*ARGS, "--quiet", "--seed", str(seed), *more) for seed in range(8)}

    check(len(texts()) == 1, "a search without draws looks at the seed")
    check(len(texts("--do-sample", "--temperature", "2")) > 2, "draws do not look at the seed")


def beam_refused(idem):
    refused(idem.run(*ARGS, "--num-return-sequences", "6"), (1, 2), "num_return_sequences is 6", "5 beams")
    refused(idem.run(*ARGS, "--sampler", "llama.cpp"), (1, 2), "num_beams", "llama.cpp")
    refused(idem.run(*ARGS, "--length-penalty", "80"), (1, 2), "length_penalty 80")
    refused(idem.run(*ARGS, "--early-stopping", "perhaps"), (2,), "early-stopping", "never")


CASES = [(f.__name__.replace("_", " "), f) for f in (
    beam_scores, beam_beats_greedy, beam_text, beam_hosts, beam_seed, beam_refused)]
