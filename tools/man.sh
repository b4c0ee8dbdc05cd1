#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes manual pages and completions with the program's own tables.
# usage: man.sh IDEM MAN-FOLDER COMPLETION-FOLDER
set -eu
idem=$1 man=$2 completions=$3
mkdir -p "$man" "$completions"
"$idem" --dump-man idem > "$man/idem.1"
for command in $("$idem" --dump-commands); do
    "$idem" --dump-man "$command" > "$man/idem-$command.1"
done
"$idem" --dump-completion bash > "$completions/idem"
"$idem" --dump-completion zsh > "$completions/_idem"
"$idem" --dump-completion fish > "$completions/idem.fish"
