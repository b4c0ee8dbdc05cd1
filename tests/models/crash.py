# SPDX-License-Identifier: MIT
"""Same end: `idem run` killed by SIGKILL at random instants and started again ends with the digest of
a run that was never killed; a full disk and a read-only folder give an error and lose nothing.

    python3 tests/models/crash.py [--kills 50] [--seed 1] [MODEL]          (default: SmolLM2)

The full disk is a small tmpfs where mounting is allowed, and a limit on file size (which writes beyond
it meet as EFBIG) everywhere; the read-only folder is that tmpfs remounted.
"""
import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from common import IDEM, ROOT, Failed, find_models, idem, main

FILE = str(ROOT / "tests/models/crash.yaml")


def start(model, db, **more):
    return subprocess.Popen([IDEM, "run", FILE, "--model", model, "-o", str(db), "--quiet"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)


def run_to_end(model, db, **more):
    """(exit code, messages)"""
    p = start(model, db, **more)
    _, messages = p.communicate()
    return p.returncode, messages.decode(errors="replace")


def finish(model, db):
    code, messages = run_to_end(model, db)
    if code != 0:
        raise Failed(f"idem run {db}: exit code {code}: {messages[-500:]}")
    return final_digest(db)


def final_digest(db):
    doc = json.loads(idem("report", db, "--format", "json"))
    if not doc["complete"] or len(doc["digest"]) != 64:
        raise Failed(f"{db}: {doc['digest']}, complete: {doc['complete']}")
    return doc["digest"]


def exported(db):
    """Everything of every trial but how it was computed, as text."""
    rows = idem("export", db, "--format", "jsonl").splitlines()
    return [json.dumps({k: v for k, v in json.loads(r).items() if k != "computed"}) for r in rows]


def remove(db):
    for end in ("", "-wal", "-shm"):
        pathlib.Path(str(db) + end).unlink(missing_ok=True)


def kill_randomly(model, folder, want, seconds, kills, rng):
    """Kills runs, starts them again, compares each that comes to its end; number of failures."""
    db, done, in_a_row, ends, most = folder / "killed.db", 0, 0, 0, 0
    failures = 0
    while done < kills:
        p = start(model, db)
        try:
            # Some soon after the start, the rest anywhere in the time that a whole run takes.
            p.wait(timeout=rng.uniform(0, rng.choice([0.3, 1.0]) * seconds))
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
        messages = p.communicate()[1].decode(errors="replace")
        if p.returncode == -signal.SIGKILL:
            done, in_a_row = done + 1, in_a_row + 1
            most = max(most, in_a_row)
            if done < kills:
                continue
            finish(model, db)
        elif p.returncode != 0:
            raise Failed(f"after {in_a_row} kills: exit code {p.returncode}: {messages[-500:]}")
        ends += 1
        if final_digest(db) != want:
            failures += 1
            print(f"  a run with {in_a_row} kills ended with {final_digest(db)}, not {want}")
        remove(db)
        in_a_row = 0
    print(f"{done} kills over {ends} runs (up to {most} in one run): {failures} ended otherwise", flush=True)
    return failures


def expect_error(what, code, messages):
    if code != 1 or not messages.strip():
        print(f"  {what}: exit code {code} in place of 1: {messages!r}")
        return 1
    print(f"{what}: {messages.strip().splitlines()[-1]}")
    return 0


def carried_on(what, model, db, want, rows):
    """The database is carried on with more room: same digest, nothing lost."""
    before = exported(db) if pathlib.Path(db).exists() else []
    failures = int(not set(before) <= set(rows))
    if failures:
        print(f"  {what}: a stored trial is not what it should be")
    digest = finish(model, db)
    if digest != want or exported(db) != rows:
        print(f"  {what}: carried on, it ended with {digest}, not {want}")
        failures += 1
    print(f"{what}: {len(before)} of {len(rows)} trials were kept, the rest computed; same digest"
          if not failures else f"{what}: FAILED", flush=True)
    remove(db)
    return failures


def limit_file_size(n):
    def set_limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))
    return set_limit


def file_too_large(model, folder, want, rows, size):
    db, failures = folder / "limited.db", 0
    for part in (0.3, 0.7):
        code, messages = run_to_end(model, db, preexec_fn=limit_file_size(int(part * size)),
                                    restore_signals=False)
        failures += expect_error(f"files of at most {int(part * 100)} % of the database", code, messages)
    return failures + carried_on("file size limit", model, db, want, rows)


def mount(*args):
    return subprocess.run(["mount", *args], capture_output=True).returncode == 0


def full_and_read_only(model, folder, want, rows, size):
    """The disk grows until the first trials fit; then it is read-only; then there is room."""
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs", str(disk)):
        print("skipped: a full disk and a read-only folder: mounting a tmpfs is not allowed here")
        return 0
    try:
        db, failures, kept, room = disk / "run.db", 0, 0, size // 2
        while kept == 0 and room < 8 * size:
            failures += expect_error(f"disk of {room} bytes", *run_to_end(model, db))
            kept = len(exported(db)) if db.exists() else 0
            room += size // 4
            mount("-o", f"remount,size={room}", str(disk))
        if not 0 < kept < len(rows):
            print(f"  full disk: {kept} of {len(rows)} trials kept: nothing was tested")
            failures += 1
        mount("-o", "remount,ro", str(disk))
        failures += expect_error("read-only folder, run begun", *run_to_end(model, db))
        failures += expect_error("read-only folder, new run", *run_to_end(model, disk / "new.db"))
        mount("-o", f"remount,rw,size={8 * size}", str(disk))
        if len(exported(db)) != kept:
            print(f"  read-only folder: {kept} trials became {len(exported(db))}")
            failures += 1
        return failures + carried_on("full disk", model, db, want, rows)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def run():
    a = argparse.ArgumentParser()
    a.add_argument("--kills", type=int, default=50)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("model", nargs="?", default="smollm2-135m-instruct")
    o = a.parse_args()
    (_, model), = find_models([o.model])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="idem-crash-"))
    try:
        begin = time.time()
        whole = folder / "whole.db"
        want = finish(model, whole)
        seconds = time.time() - begin
        rows, size = exported(whole), whole.stat().st_size
        print(f"never killed: {want}, {len(rows)} trials, {seconds:.1f} s, {size} bytes", flush=True)
        failures = kill_randomly(model, folder, want, seconds, o.kills, random.Random(o.seed))
        failures += file_too_large(model, folder, want, rows, size)
        return failures + full_and_read_only(model, folder, want, rows, size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(run)
