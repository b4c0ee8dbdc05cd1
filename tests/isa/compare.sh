#!/bin/sh
# SPDX-License-Identifier: MIT
# Every instruction set against the scalar definition on this machine: each kernel by memcmp, the
# fused multiply-add of SSE4.1 by itself, and the digests of whole models in both modes.
# usage: compare.sh FOLDER FOLDER_AARCH64     of isa_digest (and isa_fma), built by make isa
# FMA_SUMS: how many sums isa_fma compares (default 10^8)    ISA_MODELS: more model files
set -u
cd "$(dirname "$0")/../.." || exit 1
here=$1 arm=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 compared=0
models="$(ls tests/data/arch/*.gguf tests/data/models/*.gguf) ${ISA_MODELS:-}"

fail() {
    failed=$((failed + 1))
    echo "FAILED: $*"
}

nehalem() { qemu-x86_64 -cpu Nehalem "$@"; }      # SSE4.2, no AVX
qemu64() { qemu-x86_64 -cpu max "$@"; }          # AVX2, no AVX-512
aarch64() { qemu-aarch64 -cpu max "$@"; }
aarch64_old() { qemu-aarch64 -cpu cortex-a53 "$@"; }   # without the dot product
direct() { "$@"; }

kernels() {   # name, runner, folder, variants that must be there...
    name=$1 run=$2 folder=$3; shift 3
    $run "$folder/isa_digest" --check 5 > "$work/check" 2>&1 || fail "$name: isa_digest --check ended with $?"
    for variant in "$@"; do
        n=$(grep -c "^$variant .* equal$" "$work/check")
        [ "$n" -ge 15 ] || fail "$name: $n kernels of $variant are equal, 15 or more must be"
        passed=$((passed + n))
        echo "$name: $n kernels of $variant equal the definition"
    done
    if grep -v ' equal$' "$work/check"; then
        fail "$name: kernels differ"
    fi
}

digests() {   # name, runner, folder, variant
    name="$1, $4"
    # shellcheck disable=SC2086
    if ! $2 "$3/isa_digest" --cpu "$4" $models > "$work/got" 2> "$work/err"; then
        fail "$name: $(head -n 3 "$work/err")"
        return
    fi
    same=$(grep -cxFf "$work/got" "$work/want")           # each line has its model and mode
    total=$(wc -l < "$work/want")
    compared=$((compared + total)) passed=$((passed + same))
    if [ "$same" -ne "$total" ]; then
        failed=$((failed + total - same))
        diff "$work/want" "$work/got" | grep '^[<>]' | head -n 10
    fi
    echo "$name: $same of $total digests of models are those of the definition"
}

fma() {   # name, runner, sums
    if $2 "$here/isa_fma" "$3" 1 > "$work/fma" 2>&1; then
        passed=$((passed + 1))
    else
        fail "$1: the fused multiply-add of SSE4.1"
    fi
    echo "$1: $(cat "$work/fma")"
}

# shellcheck disable=SC2086
"$here/isa_digest" --cpu ref $models > "$work/want" || { echo "isa: 0 passed, 1 failed"; exit 1; }

wide=''
for variant in avx2 avx512; do
    if "$here/isa_digest" --cpu $variant > /dev/null 2>&1; then
        wide="$wide $variant"
    else
        echo "this machine: skipped $variant, which it does not have"      # avx2 is run by qemu in any case
    fi
done
# shellcheck disable=SC2086
kernels 'this machine' direct "$here" sse41 $wide
kernels 'x86-64 by qemu' qemu64 "$here" avx2
kernels 'x86-64 without AVX' nehalem "$here" sse41
kernels 'AArch64' aarch64 "$arm" neon
fma 'this machine' direct "${FMA_SUMS:-100000000}"
fma 'x86-64 without AVX' nehalem 200000
for variant in sse41 $wide; do
    digests 'this machine' direct "$here" "$variant"
done
digests 'x86-64 by qemu' qemu64 "$here" avx2
digests 'x86-64 without AVX' nehalem "$here" sse41
digests 'AArch64' aarch64 "$arm" neon
digests 'AArch64' aarch64 "$arm" ref

# Where a CPU lacks what a variant is made of, it is not offered.
for case in 'nehalem:avx2:x86-64 without AVX' 'aarch64_old:neon:AArch64 without the dot product'; do
    run=${case%%:*} rest=${case#*:}
    folder=$here
    [ "$run" = nehalem ] || folder=$arm
    if $run "$folder/isa_digest" --cpu "${rest%%:*}" > /dev/null 2> "$work/err"; then
        fail "${rest#*:}: offers ${rest%%:*}"
    else
        passed=$((passed + 1))
        echo "${rest#*:}: $(cat "$work/err")"
    fi
done

[ "$compared" -ge 200 ] || fail "$compared comparisons of models, 200 or more are wanted"
echo "$compared comparisons of models over instruction sets"
echo "isa: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
