#!/bin/sh
# SPDX-License-Identifier: MIT
# Budgets: a function at most 150 lines (aim: 60), a file at most 1000 (aim: 600), the file of an
# architecture at most 400. Generated tables (*_table.h, *_table.c) are exempt. With -v names what misses the aim too.
set -eu
cd "$(dirname "$0")/.." || exit 1
find src include tests bench tools -name '*.[ch]' ! -name '*_table.[ch]' 2> /dev/null | sort | xargs awk -v verbose="${1:-}" '
    function check(what, n, aim, hard) {
        if (n > hard) { printf "%s: %d lines, at most %d\n", what, n, hard; bad = 1 }
        else if (n > aim && verbose == "-v") printf "%s: %d lines, aim at %d\n", what, n, aim
    }
    function check_file() { check(file, lines, 600, file ~ /\/arch_[^\/]*\.c$/ ? 400 : 1000) }
    FNR == 1 { if (file) check_file(); file = FILENAME; start = 0; name = "" }
    { lines = FNR }
    /^[a-zA-Z_].*\(/ && !/;[ \t]*$/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name); head = FNR }
    /^{/ { start = head ? head : FNR }
    /^}/ { if (start) check(FILENAME ":" start ": " name, FNR - start + 1, 60, 150); start = 0; head = 0 }
    END { if (file) check_file(); exit bad }
'
