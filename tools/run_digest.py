#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The digest of a run, computed from its tables alone as docs/store.md says: a second implementation
# to hold the first one against. Usage: tools/run_digest.py RUN.db
import hashlib
import json
import sqlite3
import struct
import sys

NAN = bytes((0, 0, 0xC0, 0x7F))


def main(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    h = hashlib.sha256()

    def u64(v):
        h.update(struct.pack("<Q", v & 0xFFFFFFFFFFFFFFFF))

    def text(v):
        v = v.encode() if isinstance(v, str) else v
        u64(len(v))
        h.update(v)

    def f32(v):
        h.update(NAN if v is None else struct.pack("<f", v))

    text("idem-run-digest-1")
    text(db.execute("SELECT plan_digest FROM run").fetchone()[0])
    u64(db.execute("SELECT count(*) FROM trials").fetchone()[0])
    rows = db.execute(
        "SELECT t.trial, t.key, t.purpose, t.prompt, t.setting, t.host, t.seed, t.sample, t.repeat,"
        " t.n_top, o.stop, o.text, o.logits_digest, o.n_tokens"
        " FROM trials t LEFT JOIN outputs o USING (trial) ORDER BY t.trial")
    for trial, key, purpose, *numbers, stop, out, logits, n_tokens in rows:
        u64(trial)
        text(key)
        text(purpose)
        for n in numbers:
            u64(n)
        u64(stop is not None)
        if stop is None:
            continue
        text(stop)
        text(out)
        text(logits)
        u64(n_tokens)
        for id_, *values, alternatives in db.execute(
                "SELECT k.id, k.logprob, k.logprob_processed, k.entropy, k.margin, k.tail_mass, a.list"
                " FROM tokens k LEFT JOIN alternatives a USING (alternatives)"
                " WHERE k.trial = ? ORDER BY k.position", (trial,)):
            u64(id_)
            for v in values:
                f32(v)
            top = json.loads(alternatives) if alternatives else []
            u64(len(top))
            for a, raw, processed in top:
                u64(a)
                f32(raw)
                f32(processed)
    print(h.hexdigest())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tools/run_digest.py RUN.db")
    main(sys.argv[1])
