#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line from outside: every case runs the program that a user runs.

usage: run.py BUILD [WORD...]     BUILD: folder with idem
WORD: only the files (usage, data, … as in MODULES), or cases with it in their name
"""
import importlib
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Failure, Idem  # noqa: E402

MODULES = [
    "test_usage", "test_data", "test_bad_input", "test_arch", "test_beam", "test_sampling", "test_convert", "test_bench",
    "test_runs", "test_noise", "test_perturb", "test_performance", "test_pull", "test_install",
]


def main(build, *words):
    passed = failed = 0
    files = [w for w in words if f"test_{w}" in MODULES]
    words = [w for w in words if w not in files]
    for module in MODULES:
        if files and not words and module[5:] not in files:
            continue
        idem = Idem(build)
        try:
            for name, case in importlib.import_module(module).CASES:
                if words and module[5:] not in files and not any(w in name for w in words):
                    continue
                start = time.time()
                try:
                    case(idem)
                    passed += 1
                    if time.time() - start > 5:
                        print(f"ok    {name} ({time.time() - start:.0f} s)", flush=True)
                except Failure as e:
                    failed += 1
                    print(f"FAIL  {name}: {e}", flush=True)
                except Exception:
                    failed += 1
                    print(f"FAIL  {name}:\n{traceback.format_exc()}", flush=True)
        finally:
            idem.close()
    print(f"cli: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
