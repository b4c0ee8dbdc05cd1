#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Renders conversations with Jinja as transformers sets it up and writes tests/data/chat/cases.tsv.

    tools/oracle_chat.py [MODEL.gguf...]     (needs transformers and gguf)

Templates are those of tests/data/templates; that of a model file named here is written beside them
first. BOS is left out, since idem's tokenizer adds it. The date is the one that the templates
themselves name for when they know no other."""
import json
import pathlib
import sys

from gguf import GGUFReader
from transformers.utils.chat_template_utils import render_jinja_template

TEMPLATES = pathlib.Path("tests/data/templates")
OUT = pathlib.Path("tests/data/chat/cases.tsv")

# Of families that idem does not have: it must say so and not take them for another.
UNKNOWN = ["Qwen-Qwen3-0.6B", "HuggingFaceTB-SmolLM3-3B", "openbmb-MiniCPM5-1B",
           "microsoft-Phi-3.5-mini-instruct", "mistralai-Mistral-Nemo-Instruct-2407"]

U = lambda s: {"role": "user", "content": s}
A = lambda s: {"role": "assistant", "content": s}
S = lambda s: {"role": "system", "content": s}
CASES = [
    [U("Hello")],
    [U("  spaces at both ends \n")],
    [U("\u3000\u00a0\x1cwide and narrow spaces\u2003\u0085")],
    [U("")],
    [U(" \n ")],
    [S("Be brief."), U("Hello")],
    [S(" Be brief.\n"), U(" Hello ")],
    [S(""), U("Hello")],
    [S("Only the system.")],
    [U("One?"), A("Two."), U("Three?")],
    [S("Be brief."), U("One?"), A(" Two. "), U("Three?")],
    [U("a"), S("late"), U("b")],
    [U("{{ braces }} {% tags %} <|im_end|>")],
    [U("quotes ' \" and \\n backslashes")],
    [U("naïve 日本語 🙂")],
    [U("a"), A("b")],
    [A("the assistant first"), U("x")],
    [U("a"), U("b")],
    [S("one"), S("two"), U("x")],
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
        if path.stem in UNKNOWN:
            rows.append("\t".join((path.name, "unknown", "unknown", "unknown")))
            continue
        for case in CASES:
            # Gemma's templates let a later system message slip through as a turn that the models
            # do not know, and lose one that stands alone; idem refuses both
            if "gemma" in path.stem and "system" in [m["role"] for m in case[1:] + case[-1:]]:
                continue
            for opening in (False, True):
                try:
                    out = render_jinja_template([case], chat_template=path.read_text(), bos_token="",
                                                add_generation_prompt=opening, date_string="26 Jul 2024")[0][0]
                except Exception:
                    out = None
                rows.append("\t".join((path.name, json.dumps(case), json.dumps(opening), json.dumps(out))))
    OUT.write_text("\n".join(rows) + "\n")


main()
