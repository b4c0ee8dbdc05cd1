#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Renders conversations with Jinja as transformers sets it up and writes tests/data/chat/cases.tsv.

    tools/oracle_chat.py SMOLLM2.gguf GEMMA3.gguf     (needs transformers and gguf)

The templates of Qwen2.5 and Gemma 2 are in tests/data/templates; those of SmolLM2 and Gemma 3 are
read from model files, where they have one, and written beside them."""
import json
import pathlib
import sys

from gguf import GGUFReader
from transformers.utils.chat_template_utils import render_jinja_template

TEMPLATES = pathlib.Path("tests/data/templates")
OUT = pathlib.Path("tests/data/chat/cases.tsv")

U = lambda s: {"role": "user", "content": s}
A = lambda s: {"role": "assistant", "content": s}
S = lambda s: {"role": "system", "content": s}
CASES = [
    [U("Hello")],
    [U("  spaces at both ends \n")],
    [S("Be brief."), U("Hello")],
    [S(" Be brief.\n"), U(" Hello ")],
    [U("One?"), A("Two."), U("Three?")],
    [S("Be brief."), U("One?"), A(" Two. "), U("Three?")],
    [U("{{ braces }} {% tags %} <|im_end|>")],
    [U("naïve 日本語 🙂")],
    [U("a"), A("b")],
    [A("the assistant first"), U("x")],
    [U("a"), U("b")],
]


def template(path):
    field = GGUFReader(path).fields.get("tokenizer.chat_template")
    return bytes(field.parts[field.data[0]]).decode() if field else None


def main():
    for path in sys.argv[1:]:
        text = template(path)
        if text and not any(text == p.read_text() for p in TEMPLATES.glob("*.jinja")):
            (TEMPLATES / (pathlib.Path(path).stem.split(".")[0] + ".jinja")).write_text(text)
    rows = ["# template\tmessages\tadd_generation_prompt\trendered, or null where it raises: by tools/oracle_chat.py"]
    for path in sorted(TEMPLATES.glob("*.jinja")):
        for case in CASES:
            for opening in (False, True):
                try:
                    out = render_jinja_template([case], chat_template=path.read_text(),
                                                add_generation_prompt=opening, bos_token="")[0][0]
                except Exception:
                    out = None
                rows.append("\t".join((path.name, json.dumps(case), json.dumps(opening), json.dumps(out))))
    OUT.write_text("\n".join(rows) + "\n")


main()
