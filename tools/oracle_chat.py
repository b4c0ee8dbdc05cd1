#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Renders conversations with Jinja as transformers sets it up and writes tests/data/chat/cases.tsv
(published templates), tests/data/chat/jinja.tsv (small templates for each part of the language) and
tests/data/chat/ids.tsv (the token ids of conversations).

    tools/oracle_chat.py [MODEL.gguf...]     (needs transformers and gguf)

Templates are those of tests/data/templates; that of a model file named here is written beside them
first. transformers gives a template today's date (strftime_now); here, as in idem, it has none
unless the case names a day."""
import datetime
import functools
import json
import pathlib
import sys

from gguf import GGUFReader
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

TEMPLATES = pathlib.Path("tests/data/templates")
OUT = pathlib.Path("tests/data/chat")

# By the beginning of a template's name: what its tokenizer calls them.
TOKENS = [
    ("meta-llama", "<|begin_of_text|>", "<|eot_id|>"), ("google", "<bos>", "<eos>"),
    ("Qwen-Qwen3", None, "<|im_end|>"), ("Qwen", None, "<|im_end|>"),
    ("SmolLM2", "<|im_start|>", "<|im_end|>"), ("HuggingFaceTB", None, "<|im_end|>"),
    ("microsoft", "<s>", "<|endoftext|>"), ("ibm", "<|end_of_text|>", "<|end_of_text|>"), ("", "<s>", "</s>"),
]

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
    [U("1"), A("2"), U("3"), A("4"), U("5")],
    [U("a"), S("late"), U("b")],
    [U("{{ braces }} {% tags %} <|im_end|> [/INST] </s>")],
    [U("quotes ' \" and \\n backslashes")],
    [U("naïve 日本語 🙂")],
    [U("a"), A("b")],
    [U("a"), A("")],
    [A("the assistant first"), U("x")],
    [U("a"), U("b")],
    [S("one"), S("two"), U("x")],
    [U("a"), A("<think>\nwhy\n</think>\n\nb"), U("c"), A("<think>\nso\n</think>\n\nd")],
    [S("Brief. /no_think"), U("a"), A("\n\nb")],
    [{"role": "tool", "content": "t"}],
]
OPTIONS = [{"add_generation_prompt": False}, {"add_generation_prompt": True}]
MORE = [{"add_generation_prompt": True, "enable_thinking": False},
        {"add_generation_prompt": True, "enable_thinking": True},
        {"add_generation_prompt": True, "strftime_now": "2025-02-03"},
        {"add_generation_prompt": True, "date_string": "1 Jan 2000"}]

# Each part of the language, with what surrounds it: white space, scopes, Python's own ways.
SMALL = r"""
{{ 1 + 2 * 3 - 4 // 3 % 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 'ab' * 3 }} {{ 2 * [1, 2] | length }}
{{ 'a' ~ 1 ~ none ~ true ~ nope }}|{{ 'a' 'b' "c" }}|{{ 1 == true }}|{{ 'a' < 'b' < 'c' }}|{{ 2 > 1 > 1 }}
{{ 'a' in 'abc' and 'x' not in ['y'] }} {{ not 1 }} {{ 0 or 'x' }} {{ 1 and 'y' }} {{ 'k' in {'k': 1} }}
{{ 'yes' if messages else 'no' }}{{ 'gone' if false }}|{{ 1 if 0 else 2 if 0 else 3 }}
{{ messages[-1].content }} {{ messages[0]['role'] }} {{ messages[9] is defined }} {{ messages[:1] | length }}
{{ 'abcdef'[1:4] }} {{ 'abcdef'[::-1] }} {{ 'héllo'[1] }} {{ 'héllo'[-4:] }} {{ 'abc'[9] }} {{ 'abc'[5:] }} {{ 'abcdef'[4:1:-2] }}
{{ [1, 2, 3][1:] | join('-') }} {{ (1, 2)[0] }} {{ {'a': 1}['a'] }} {{ {'a': 1}.get('b', 'c') }} {{ {'a': {'b': 2}}.a.b }}
{{ "q\"\n\t\x41\u00e9\U0001F642\101\q" | tojson }} {{ {'b': [1, none, true], 'a': "é\u0001"} | tojson }}
{{ {'b': [1, {'c': []}], 'a': {}} | tojson(indent=2) }}
{{ ' x\n' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ 'aXb' | upper }}{{ 'AB' | lower }}{{ 'hELLO you' | capitalize }}{{ 'hELLO you-all' .title() }}
{{ ' a '.strip() }}|{{ 'xa'.lstrip('x') }}|{{ 'ax '.rstrip() }}|{{ 'a,b,c'.split(',') | join('+') }}|{{ ' a  b '.split() | length }}|{{ 'a b c'.split(' ', 1)[1] }}|{{ 'a b c'.rsplit(' ', 1)[0] }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'banana'.replace('a', 'o', 2) }} {{ 'banana'.count('an') }} {{ 'banana'.find('n') }} {{ '-'.join(['a', 'b']) }} {{ '<{}>'.format('x') }}
{{ nope | default('d') }} {{ '' | default('d', true) }} {{ '' | default('d') }}| {{ none | d('x') }} {{ '12' | int + 1 }} {{ 'x' | int(5) }} {{ 3 | string + 'x' }}
{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'eq', 'user') | map(attribute='content') | join }} {{ ['a ', ' b'] | map('trim') | join('|') }} {{ [0, 1, 2] | select | join }} {{ [1, 2, 3, 4] | reject('odd') | join(' ') }}
{{ [3, 4] | first }} {{ [3, 4] | last }} {{ 'abc' | list | join('.') }} {{ [1, 2] | reverse | join }} {{ 'abc' | reverse }} {{ {'b': 1, 'A': 2} | dictsort | map('first') | join }}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}
{% for x in [1, 2, 3] if x != 2 %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex0 }}{{ x }};{% else %}none{% endfor %}{% for x in [] %}{% else %}none{% endfor %}
{% for x in [1, 2, 3] %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }} {% endfor %}
{% for x in range(10) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}{% for x in [1] %}{% break %}{% else %}else{% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}
{% set ns = namespace(n=0, s='') %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.gone }}
{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set (c, d) = (3, 4) %}{{ c }}{% set t = 1, %}{{ t | length }}
{% set x %} block {{ 1 }} {% endset %}[{{ x }}]{% set y | trim | upper %} y {% endset %}[{{ y }}]
{% macro m(a, b='B', c=a) %}({{ a }}{{ b }}{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m() }}{{ m('x', 'y') | length }}
{% macro m() %}<{{ caller('q') }}>{% endmacro %}{% call(x) m() %}{{ x }}!{% endcall %}
{% set n = 'outer' %}{% macro m() %}{{ n }}{% endmacro %}{% for n in ['inner'] %}{{ m() }}{% endfor %}{% set n = 'later' %}{{ m() }}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}{% filter upper %}abc{{ 'd' }}{% endfilter %}{% generation %}g{% set z = 1 %}{% endgeneration %}{{ z }}
{% raw %}{{ raw }} {% if %}{% endraw %}{# comment {{ x }} #}after
  {% if true %}  
    indented
  {% endif %}  
end
  {%- if true -%}  
    stripped  
  {%- endif -%}  
  end
  {%+ if true %}kept{%+ endif %}
 {{ 'var' }}
 {{- 'left' }}
 {{ 'right' -}}  
 x {# c #}
  {# c #}
{#- d -#}  y
{{ 1 is defined }}{{ x is undefined }}{{ none is none }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is iterable }}{{ [] is sequence }}{{ 1 is number }}{{ true is boolean }}{{ 1 is integer }}{{ 3 is odd }}{{ 4 is even }}{{ 4 is divisibleby 2 }}{{ 'a' is in 'abc' }}{{ 1 is sameas true }}{{ true is true }}{{ tools is none }}{{ documents is defined }}
{{ 'a' is not string }}{{ 'b' is eq 'b' and 1 is ne 2 }}{{ not 1 is string }}{{ (2 is gt 1) and 1 is lt(2) }}
{{ {'a': 1}['a'] + [1, 2][{'k': 1}.k] }}{{ {'x': {'y': '}}'}}.x.y }}{{ "}}" }}{{ '%}' }}
{{ nope.x }}
{{ nope['x'] }}
{{ nope + 1 }}
{{ none.x }}|{{ none['x'] }}|{{ 1.x }}|{{ 'a'.x }}
{{ 'a' + 1 }}
{{ [] + 'a' }}
{{ 1 // 0 }}
{{ 1 < 'a' }}
{{ 1 in 'a' }}
{{ nope() }}
{{ 'a'() }}
{{ messages.append(1) }}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for x in nope %}{{ x }}{% else %}nothing{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% set x.y = 1 %}
{{ 5 | length }}
{{ nope | tojson }}
{{ raise_exception('no: ' ~ messages[0].role) }}
{% if %}
{% if true %}
{% endif %}
{{ 1
{{ }}
{% nope %}
{{ 'a }}
{{ 1 + }}
{{ (1 }}
{{ 1) }}
{% for x %}{% endfor %}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% break %}
{# open
{% raw %} x
{{ a.b.c }}
{{ 1 is nope }}
{{ 1 | nope }}
{{ a & b }}
"""
BLOCKS = {"  {% if true %}  ": 14}     # several lines that are one template begin here


def template(path):
    field = GGUFReader(path).fields.get("tokenizer.chat_template")
    return bytes(field.parts[field.data[0]]).decode() if field else None


def fixed_day(compile_template, day, text):
    compiled = compile_template(text)
    for variables in compiled.globals, compiled.environment.globals:
        variables.pop("strftime_now", None)
        if day:
            variables["strftime_now"] = lambda f: datetime.datetime.fromisoformat(day).strftime(f)
    return compiled


def render(text, messages, options):
    real = chat_template_utils._compile_jinja_template
    options = dict(options)
    chat_template_utils._compile_jinja_template = functools.partial(
        fixed_day, chat_template_utils._cached_compile_jinja_template, options.pop("strftime_now", None))
    try:
        return chat_template_utils.render_jinja_template([messages], chat_template=text, **options)[0][0]
    except Exception:
        return None
    finally:
        chat_template_utils._compile_jinja_template = real


def tokens(name):
    _, bos, eos = next(t for t in TOKENS if name.startswith(t[0]))
    return {k: v for k, v in (("bos_token", bos), ("eos_token", eos)) if v}


def small_templates():
    lines = SMALL.strip("\n").split("\n")
    while lines:
        n = BLOCKS.get(lines[0], 1)
        yield "\n".join(lines[:n])
        lines = lines[n:]


# Vocabularies of tests/data/vocab with the template of their model. Decomposed letters are left out:
# transformers' reader of GGUF files forgets the normal form of Qwen's tokenizer.
IDS = [("llama-bpe", "meta-llama-Llama-3.1-8B-Instruct"), ("qwen2", "Qwen2"), ("qwen2", "Qwen-Qwen3-0.6B")]


def id_rows():
    for vocab, name in IDS:
        tokenizer = AutoTokenizer.from_pretrained("tests/data/vocab", gguf_file=vocab + ".gguf")
        text = (TEMPLATES / (name + ".jinja")).read_text()
        for case in CASES:
            try:
                ids = tokenizer.apply_chat_template(case, chat_template=text, add_generation_prompt=True,
                                                    date_string="26 Jul 2024", return_dict=False)
            except Exception:
                continue
            yield vocab, name + ".jinja", json.dumps(case), json.dumps(ids)


def write(name, head, rows):
    (OUT / name).write_text("\n".join([head] + ["\t".join(r) for r in rows]) + "\n")


def main():
    for path in sys.argv[1:]:
        text = template(path)
        if text and not any(text == p.read_text() for p in TEMPLATES.glob("*.jinja")):
            (TEMPLATES / (pathlib.Path(path).stem.split(".")[0] + ".jinja")).write_text(text)
    rows = []
    for path in sorted(TEMPLATES.glob("*.jinja")):
        text = path.read_bytes().decode()
        for n, case in enumerate(CASES):
            plain = render(text, case, {**tokens(path.stem), **OPTIONS[1]})
            for options in OPTIONS + MORE:
                out = render(text, case, {**tokens(path.stem), **options})
                if options in MORE and (out == plain or n % 5):
                    continue
                rows.append((path.name, json.dumps(case), json.dumps({**tokens(path.stem), **options}), json.dumps(out)))
    head = "\t".join(("# template", "messages", "variables", "rendered, or null where it raises: by tools/oracle_chat.py"))
    write("cases.tsv", head, rows)
    case = [S("sys"), U("Hi"), A(" yo ")]
    rows = []
    for text in small_templates():
        rows.append((json.dumps(text), json.dumps(case), "{}", json.dumps(render(text, case, {}))))
    write("jinja.tsv", head.replace("# template", "# template text"), rows)
    write("ids.tsv", "# vocabulary\ttemplate\tmessages\tids", id_rows())


main()
