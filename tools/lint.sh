#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything that can be said of the source without running it.
# usage: LINT_FLAGS='preprocessor flags, quoted for a shell' lint.sh CC
set -u
cd "$(dirname "$0")/.." || exit 1
cc=$1
std='-std=c11 -ffp-contract=off -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror'
passed=0 failed=0

check() {   # name, command...: runs it, says how it went
    name=$1; shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'lint: %s\n%s\n' "$name" "$out"
    fi
}

isa() {   # machine flags of a file, as in the Makefile
    case $1 in
        */sse41* | */quad*) echo '-msse4.1' ;;
        */avx2* | */x86*) echo '-mavx2 -mfma -mf16c' ;;
        */avx512*) echo '-mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512vnni' ;;
    esac
}

check 'include directions' tools/includes.sh
check 'lengths' tools/length.sh

# Each header compiles alone, except for generated tables, templates that need a file around them, and the ban itself.
for header in include/*.h src/*/*.h; do
    case $header in *_table.h | *_template.h | */banned.h | */neon.h) continue ;; esac
    # shellcheck disable=SC2046
    check "$header alone" sh -c "printf '#include \"%s\"\n' '${header#*/}' | eval $cc \"\$LINT_FLAGS\" $std -Wno-unused-function $(isa "$header") -fsyntax-only -x c -"
done

# No banned function; clang has no warnings.
for file in src/*/*.c; do
    check "$file: banned functions" sh -c "eval $cc \"\$LINT_FLAGS\" $std $(isa "$file") -include base/banned.h -fsyntax-only '$file'"
    if command -v clang > /dev/null; then
        check "$file: clang" sh -c "eval clang \"\$LINT_FLAGS\" $std $(isa "$file") -fsyntax-only '$file'"
    fi
done

# Shell scripts.
if command -v shellcheck > /dev/null; then
    for script in tools/*.sh .ci/run; do
        check "$script: shellcheck" shellcheck -S warning "$script"
    done
fi
echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
