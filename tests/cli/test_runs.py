# SPDX-License-Identifier: MIT
"""Runs from outside: plan, run, interruption, resumption, report, export, exit codes."""
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import time

from harness import EXPERIMENT, TINY, check, refused


def whole(idem):
    db = idem.path("whole.db")
    if not os.path.exists(db):
        idem.ok("run", EXPERIMENT, "-o", db)
    return db


def report(idem, db):
    return json.loads(idem.ok("report", db, "--format", "json"))


def plan(idem):
    out = json.loads(idem.ok("plan", EXPERIMENT, "--json"))
    check(out["trials"] == sum(out["trials_by_purpose"].values()) == out["plan"]["n_trials"], "trials do not add up")
    check(out["seconds"] > 0 and out["disk_bytes"] > 0 and 0 < out["detectable"] < 1, "no estimate")
    check(out["digest"] == json.loads(idem.ok("plan", EXPERIMENT, "--json"))["digest"], "two plans of one file")
    text = idem.ok("plan", EXPERIMENT).decode()
    for word in ("prompts", "settings", "tokens", "time", "disk", "can show", "temperature=0.1"):
        check(word in text, f"no {word!r} in the plan")
    few = json.loads(idem.ok("plan", EXPERIMENT, "--limit", "2", "--json"))
    check(0 < few["trials"] < out["trials"] and few["digest"] != out["digest"], "--limit does nothing")


def run_and_report(idem):
    db = whole(idem)
    out = report(idem, db)
    check(out["complete"] is True, "not complete")
    check(len(out["digest"]) == 64, "no digest")
    check(out["controls"] and all(c["passed"] for c in out["controls"]), f"controls: {out['controls']}")
    for v in out["verdicts"]:
        check(set(v) >= {"hypothesis", "setting", "verdict", "n", "of", "low", "high"}, str(set(v)))
    check(idem.ok("report", db, "--json") == idem.ok("report", db, "--format", "json"), "--json and --format json")
    for form in "text", "md", "html", "json":
        file = idem.path("out." + form)
        idem.ok("report", db, "--format", form, "-o", file)
        check(pathlib.Path(file).read_bytes().strip() == idem.ok("report", db, "--format", form).strip(), form)
    idem.ok("report", db, "-o", idem.path("by-ending.html"))
    page = pathlib.Path(idem.path("by-ending.html")).read_text()
    check(page.lstrip().lower().startswith("<!doctype html"), "the ending does not choose the form")
    for outside in ('src="http', "src='http", "href=\"http", "url(http", "@import"):
        check(outside not in page, f"the page needs the network: {outside}")


def run_prints_the_verdict(idem):
    r = idem.run("run", EXPERIMENT, "-o", whole(idem))
    check(r.returncode == 0 and len(r.stdout.decode().splitlines()) == 1, f"{r.stdout} {r.stderr}")
    check(b"complete already" in r.stderr, "a second run of a complete database")
    check(b"\x1b" not in r.stderr and b"\r" not in r.stderr, "a moving bar without a terminal")
    check(idem.run("run", EXPERIMENT, "-o", whole(idem), "-q").stderr == b"", "--quiet speaks")


def check_codes(idem):
    check(idem.run("report", whole(idem), "--check", "-q").returncode == 0, "a good run must give 0")
    check(idem.run("run", EXPERIMENT, "-o", whole(idem), "--check").returncode == 0, "a good run must give 0")


def same_digest_again(idem):
    """Another host state for what may be shared, another file: the same digest."""
    db = idem.path("again.db")
    idem.ok("run", EXPERIMENT, "-o", db, "--threads", "2", "--batch", "5", "--cpu", "ref")
    check(report(idem, db)["digest"] == report(idem, whole(idem))["digest"], "the digests differ")


def other_model_or_plan(idem):
    db = whole(idem)
    before = pathlib.Path(db).read_bytes()
    refused(idem.run("run", EXPERIMENT, "-o", db, "--activations", "f32"), [1, 2])
    refused(idem.run("run", EXPERIMENT, "-o", db, "--limit", "1"), [1, 2])
    check(pathlib.Path(db).read_bytes() == before, "a refused run changed the database")


def limit(idem):
    db = idem.path("limit.db")
    idem.ok("run", EXPERIMENT, "-o", db, "--limit", "1")
    text = idem.ok("report", db).decode()
    check("1 of 3" in text or "quick look" in text.lower() or "limit" in text.lower(), "the report hides --limit")


def start_run(idem, db):
    """A run that was just started and has begun to store trials."""
    p = idem.popen("run", EXPERIMENT, "-o", db, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.time() + 60
    while p.poll() is None and time.time() < end and not os.path.exists(db + "-wal"):
        time.sleep(0.001)
    return p


def interrupted(idem):
    """Ctrl-C saves and leaves with 130; the same command carries on to the same digest."""
    want, codes = report(idem, whole(idem))["digest"], []
    for attempt in range(6):
        db = idem.path(f"int-{attempt}.db")
        p = start_run(idem, db)
        time.sleep(0.004 * attempt)
        p.send_signal(signal.SIGINT)
        message = p.communicate(timeout=120)[1].decode()
        codes.append(p.returncode)
        if p.returncode == 130 and os.path.exists(db):
            check("carries on" in message, f"no word on how to go on: {message}")
            check(report(idem, db)["complete"] is False, "an interrupted run calls itself complete")
            check(idem.run("report", db, "--check").returncode == 4, "an incomplete run is not inconclusive")
        idem.ok("run", EXPERIMENT, "-o", db)
        check(report(idem, db)["digest"] == want, "another digest after an interruption")
    check(set(codes) <= {0, 130, -2}, f"exit codes {codes}")   # -2: before the handler was there
    check(130 in codes, f"never interrupted: {codes}")


def killed(idem):
    want = report(idem, whole(idem))["digest"]
    db = idem.path("killed.db")
    for attempt in range(5):
        p = start_run(idem, db)
        time.sleep(0.003 * attempt)
        p.kill()
        p.communicate()
    idem.ok("run", EXPERIMENT, "-o", db)
    check(report(idem, db)["digest"] == want, "another digest after kills")


def export(idem):
    db = whole(idem)
    rows = list(csv.DictReader(io.StringIO(idem.ok("export", db, "--format", "csv").decode())))
    lines = [json.loads(x) for x in idem.ok("export", db, "--format", "jsonl").decode().splitlines()]
    trials = list(csv.DictReader(io.StringIO(idem.ok("export", db, "--format", "csv", "--rows", "trials").decode())))
    n = json.loads(idem.ok("plan", EXPERIMENT, "--json"))["trials"]
    check(len(trials) == len(lines) == n, f"{len(trials)} and {len(lines)} of {n} trials")
    check(len({r["trial"] for r in rows}) == n, "trials are missing among the tokens")
    file = idem.path("out.csv")
    idem.ok("export", db, "--format", "csv", "-o", file)
    check(pathlib.Path(file).read_bytes() == idem.ok("export", db, "--format", "csv"), "-o differs")


def no_room(idem):
    """A full device and a closed pipe are errors, for every command that prints."""
    db = whole(idem)
    commands = [["models"], ["generate", TINY, "-p", "the cat"], ["generate", TINY, "-p", "the cat", "--json"],
                ["digest", TINY, "-p", "the cat"], ["score", TINY, "-p", "the cat"], ["tokenize", TINY, "x"],
                ["detokenize", TINY, "70"], ["inspect", TINY], ["report", db], ["plan", EXPERIMENT], ["generate", "-h"],
                ["export", db, "--format", "csv"], ["--version"]]
    for args in commands:
        with open("/dev/full", "wb") as full:
            p = idem.popen(*args, stdout=full, stderr=subprocess.PIPE)
            message = p.communicate(timeout=120)[1].decode()
        check(p.returncode == 1 and "standard output" in message, f"{args[0]}: {p.returncode} {message}")
        reading, writing = os.pipe()
        os.close(reading)
        p = idem.popen(*args, stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        message = p.communicate(timeout=120)[1].decode()
        check(p.returncode == 1 and "standard output" in message, f"{args[0]}: {p.returncode} {message}")
    refused(idem.run("report", db, "-o", "/dev/full/x"), [1])
    refused(idem.run("export", db, "--format", "csv", "-o", "/dev/full"), [1])


CASES = [(f.__name__.replace("_", " "), f) for f in (
    plan, run_and_report, run_prints_the_verdict, check_codes, same_digest_again, other_model_or_plan, limit,
    interrupted, killed, export, no_room)]
