# SPDX-License-Identifier: MIT
"""make install and uninstall, and a program of somebody else's that uses the library."""
import os
import pathlib
import shutil
import subprocess

from harness import ROOT, TINY, check

PROGRAM = r"""
#include <idem.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct idem_err err = {0};
    struct idem_model_options o = {.n_threads = 1};
    struct idem_model *m = idem_model_open(argv[argc - 1], &o, &err);
    if (!m) { puts(err.msg); return 1; }
    printf("%s %s\n", idem_model_info(m)->arch, IDEM_NUMERICS);
    idem_model_close(m);
    return idem_model_open("/nowhere.gguf", NULL, &err) ? 1 : 0;
}
"""


def shell(command, env=None):
    r = subprocess.run(command, shell=True, capture_output=True, cwd=ROOT, env={**os.environ, **(env or {})})
    check(r.returncode == 0, f"{command}: {r.stdout.decode()[-2000:]}{r.stderr.decode()[-2000:]}")
    return r.stdout.decode()


def install(idem):
    if b"__asan_init" in (idem.build / "libidem.so").read_bytes() or b"__tsan_init" in (idem.build / "libidem.so").read_bytes():
        return   # a sanitizer's library needs the sanitizer's flags
    dest = pathlib.Path(idem.path("dest"))
    shell(f"make -s BUILD={idem.build} PREFIX=/opt/idem DESTDIR={dest} install")
    prefix = dest / "opt/idem"
    for file in ("bin/idem", "lib/libidem.a", "lib/libidem.so", "lib/libidem.so.0", "include/idem.h", "include/idem_err.h",
                 "lib/pkgconfig/idem.pc", "share/man/man1/idem.1", "share/man/man1/idem-generate.1",
                 "share/bash-completion/completions/idem", "share/zsh/site-functions/_idem",
                 "share/fish/vendor_completions.d/idem.fish"):
        check((prefix / file).exists(), f"{file} is not installed")
    (dest / "use.c").write_text(PROGRAM)
    env = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(dest),
           "LD_LIBRARY_PATH": str(prefix / "lib")}
    check("/opt/idem" in (prefix / "lib/pkgconfig/idem.pc").read_text(), "idem.pc does not know PREFIX")
    check(str(dest) not in (prefix / "lib/pkgconfig/idem.pc").read_text(), "idem.pc knows DESTDIR")
    libs = f"-I{prefix}/include {dest}/use.c -o {dest}/use"
    shell(f"cc {libs} -L{prefix}/lib -lidem", env)
    check(shell(f"{dest}/use {TINY}", env) == "llama idem-numerics-1\n", "the shared library")
    check("libidem.so.0" in shell(f"readelf -d {dest}/use"), "no soname")
    private = shell("pkg-config --static --libs libutf8proc libxxhash libcrypto").strip()
    shell(f"cc {libs} {prefix}/lib/libidem.a {private} -pthread -lm", env)
    check(shell(f"{dest}/use {TINY}", env) == "llama idem-numerics-1\n", "the static library")
    for library in "libidem.so", "libidem.a":
        names = shell(f"nm -g --defined-only {'-D ' if library.endswith('.so') else ''}{prefix}/lib/{library}")
        other = [x.split()[-1] for x in names.splitlines() if len(x.split()) == 3 and not x.split()[-1].startswith("idem_")]
        check(not other, f"{library} shows {other[:5]}")
    if shutil.which("c++"):
        (dest / "use.cc").write_text("#include <idem.h>\nint main() { return idem_model_open(0, 0, 0) != 0; }\n")
        shell(f"c++ -fsyntax-only -I{prefix}/include {dest}/use.cc")
    shell(f"make -s BUILD={idem.build} PREFIX=/opt/idem DESTDIR={dest} uninstall")
    left = [str(p) for p in prefix.rglob("*") if not p.is_dir()]
    check(not left, f"uninstall left {left}")


def tiny_is_reproducible(idem):
    """The committed model is what its script makes."""
    shell(f"python3 tools/make_tiny_model.py {idem.path('tiny.gguf')}")
    check(pathlib.Path(idem.path("tiny.gguf")).read_bytes() == TINY.read_bytes(), "tiny.gguf is not what its script makes")


CASES = [("install, use, uninstall", install), ("tiny model is what its script makes", tiny_is_reproducible)]
