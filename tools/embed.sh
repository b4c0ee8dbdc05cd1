#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints a C file that holds the given files as byte arrays: web/report.css becomes
# web_report_css[] and web_report_css_len. Usage: tools/embed.sh FILE... > assets.c
set -eu
echo '/* Made by tools/embed.sh. */'
echo '#include <stddef.h>'
for f in "$@"; do
    name=$(printf %s "$f" | tr -c 'A-Za-z0-9' _)
    printf 'extern const unsigned char %s[];\nextern const size_t %s_len;\n' "$name" "$name"
    printf 'const unsigned char %s[] = {\n' "$name"
    od -An -v -tu1 "$f" | sed 's/[0-9][0-9]*/&,/g'
    printf '0};\nconst size_t %s_len = sizeof %s - 1;\n' "$name" "$name"
done
