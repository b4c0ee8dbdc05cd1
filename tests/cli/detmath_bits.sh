#!/bin/sh
# SPDX-License-Identifier: MIT
# det_* have the same bits from gcc and clang at every level, with and without machine flags.
# Run from the repository root; needs at least one of the compilers.
set -eu
want=a64117f148ac3523   # changes only together with the numerics version
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0
for cc in gcc clang; do
    command -v "$cc" >/dev/null || continue
    for opt in -O0 -O1 -O2 -O3 -Os "-O3 -mavx2 -mfma" "-O3 -funroll-loops"; do
        case "$opt" in
        *-mfma*) grep -qw fma /proc/cpuinfo 2>/dev/null || continue ;;
        esac
        # $opt is a list of flags
        # shellcheck disable=SC2086
        "$cc" -std=c11 -ffp-contract=off $opt -Isrc -o "$dir/t" \
            tests/cli/detmath_digest.c src/base/detmath.c -lm
        got=$("$dir/t")
        n=$((n + 1))
        if [ "$got" != "$want" ]; then
            echo "detmath_bits: $cc $opt gives $got, not $want" >&2
            exit 1
        fi
    done
done
[ "$n" -gt 0 ] || { echo "detmath_bits: neither gcc nor clang is here" >&2; exit 1; }
echo "detmath_bits: $n builds, one digest"
