#!/bin/sh
# SPDX-License-Identifier: MIT
# Shows that the comparisons can fail: a build whose AVX2 kernels are wrong in the last bit
# (IDEM_TEST_BREAK_KERNEL) must fail the selftest and give another digest than the reference.
# usage: broken_kernel.sh BUILD_FOLDER [MODEL.gguf]      (default: the committed tiny model)
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
model=${2:-$root/tests/data/models/tiny.gguf}
if ! grep -qw avx2 /proc/cpuinfo || ! grep -qw fma /proc/cpuinfo; then
    echo "skipped: this machine has no AVX2 kernels to break"
    exit 77
fi
make -C "$root" -j2 BUILD="$build" EXTRA=-DIDEM_TEST_BREAK_KERNEL "$build/idem" > "$build.log" 2>&1 ||
    { tail -20 "$build.log"; echo "the broken build does not compile"; exit 1; }

status=0
"$build/idem" selftest > "$build/selftest.out" 2>&1 || status=$?
if [ "$status" -ne 1 ]; then
    echo "FAILED: the selftest of a broken build ended with $status in place of 1"
    exit 1
fi
echo "selftest noticed it: $(grep -ci differ "$build/selftest.out") lines say so"

for mode in q8 f32; do
    wide=$("$build/idem" digest "$model" -p "The capital of France is" -n 2 --activations $mode)
    ref=$("$build/idem" digest "$model" -p "The capital of France is" -n 2 --activations $mode --cpu ref)
    if [ "$wide" = "$ref" ] || [ ${#wide} -ne 64 ] || [ ${#ref} -ne 64 ]; then
        echo "FAILED: $mode: digests of broken and reference kernels: $wide $ref"
        exit 1
    fi
    echo "digest noticed it: $mode"
done
echo ok
