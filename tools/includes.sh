#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks who includes whom in src/: a room may include only the rooms named here (and itself).
set -eu
cd "$(dirname "$0")/.." || exit 1

allowed() {   # of room $1
    case $1 in
    base) echo '' ;;
    gguf | kernels | record | stats | perturb | answer) echo 'base' ;;
    convert) echo 'base gguf' ;;
    engine) echo 'base gguf kernels' ;;
    sample | store) echo 'base record' ;;
    plan) echo 'base record perturb answer' ;;
    backend) echo 'base record' ;;          # and the engine by idem.h
    run) echo 'base record plan backend sample store' ;;
    report) echo 'base record store stats answer' ;;
    serve) echo 'base report' ;;
    cli) echo 'base gguf convert record sample perturb answer plan backend store run stats report serve' ;;
    *) echo "unknown room $1: add it to $0" >&2; echo '' ;;
    esac
}

# Libraries that one room alone knows: header, who.
library() {
    case $1 in
    sqlite3.h) echo 'src/store/' ;;
    curl/*) echo 'src/backend/http.c' ;;
    libfyaml.h) echo 'src/plan/' ;;
    pcre2.h) echo 'src/answer/' ;;
    *) echo 'src/' ;;
    esac
}

bad=0
for file in src/*/*.[ch]; do
    room=${file#src/}; room=${room%%/*}
    ok=" $room $(allowed "$room") "
    for header in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
        case $header in
        idem.h | idem_err.h) continue ;;
        */*) ;;
        *) echo "$file: include \"$header\" as \"room/file.h\""; bad=1; continue ;;
        esac
        case $ok in
        *" ${header%%/*} "*) ;;
        *) echo "$file: $room may not include $header (allowed:$ok)"; bad=1 ;;
        esac
    done
    for header in $(sed -n 's/^ *# *include *<\([^>]*\)>.*/\1/p' "$file"); do
        case $file in
        "$(library "$header")"*) ;;
        *) echo "$file: only $(library "$header") may include <$header>"; bad=1 ;;
        esac
    done
done
exit $bad
