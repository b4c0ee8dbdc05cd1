#!/bin/sh
# SPDX-License-Identifier: MIT
# The first experiment from nothing to a page: fetch the model, run, verdict, page.
# usage: demo.sh IDEM FOLDER [MODEL]
set -eu
idem=$1 folder=$2 model=${3:-smollm2-135m-instruct}
experiment=experiments/h1-same-input.yaml
mkdir -p "$folder"
if [ $# -lt 3 ]; then
    "$idem" pull "$model" > /dev/null
fi
# Another model or another version of the experiment is another run: each has its own database.
key=$( (printf '%s\n' "$model"; cat "$experiment" prompts/h1.yaml; "$idem" --version) | sha256sum | cut -c 1-8)
name=$folder/h1-$(basename "$model" .gguf)-$key
"$idem" run "$experiment" --model "$model" -o "$name.db" > /dev/null
"$idem" report "$name.db"
"$idem" report "$name.db" --quiet -o "$name.html"
echo
echo "Page:     $(cd "$(dirname "$name")" && pwd)/$(basename "$name").html"
echo "Database: $(cd "$(dirname "$name")" && pwd)/$(basename "$name").db"
