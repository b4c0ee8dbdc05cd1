# SPDX-License-Identifier: MIT
"""The prompts of the oracle fixtures: several kinds and lengths, all in NFC."""
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = ROOT / "tests/data/oracle/text.txt"   # Melville, Moby-Dick (1851), chapter 1: public domain

PARA_70 = (
    "A lighthouse keeper counts the ships that pass each night and writes the number in a "
    "book. After thirty years the book is full, and he notices that the number has fallen "
    "every winter but never in June. He asks the harbour master for an explanation, and the "
    "harbour master, who has kept a book of his own, answers that the reason is")

PARA_150 = (
    "The committee met on Tuesday to decide how the new library should be paid for. The "
    "treasurer proposed a tax on parking, since most of the visitors to the town arrive by "
    "car and few of them stay for longer than an hour. The owner of the bakery objected that "
    "her customers would simply drive to the next town, where parking is free and the bread, "
    "she admitted, is nearly as good. The schoolteacher suggested a lottery; the doctor said "
    "that lotteries are a tax on those who cannot do arithmetic; the schoolteacher replied "
    "that this was precisely why the town needed a library. After two hours no motion had "
    "been seconded, the coffee was cold, and the chairman, who had been asleep since the "
    "reading of the minutes, woke up and announced that the meeting had decided to")

CODE_PY = (
    "def median(values):\n"
    "    \"\"\"Return the median of a list of numbers.\"\"\"\n"
    "    ordered = sorted(values)\n"
    "    n = len(ordered)\n"
    "    if n % 2 == 1:\n"
    "        return ordered[n // 2]\n"
    "    return ")

CODE_C = (
    "static size_t count_lines(const char *s, size_t len)\n"
    "{\n"
    "\tsize_t n = 0;\n"
    "\tfor (size_t i = 0; i < len; i++)\n"
    "\t\tif (s[i] == '\\n')\n"
    "\t\t\tn")

# (name, text). "one" is a single token in all three vocabularies.
SHORT = [
    ("one", "The"),
    ("capital", "The capital of France is"),
    ("instruction", "Explain in one sentence why the sky is blue."),
    ("fibonacci", "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144,"),
    ("arithmetic", "12345 + 67890 = 80235\n3.14159 * 2 ="),
    ("code-python", CODE_PY),
    ("code-c", CODE_C),
    ("json", '{"name": "Ada Lovelace", "born": 1815, "languages": ["English", "French"], "died":'),
    ("cjk", "日本の首都は東京です。中国的首都是北京。한국의 수도는"),
    ("emoji", "I ❤️ pizza 🍕🍕 and parties 🎉! The family emoji 👩‍👩‍👧‍👦 means"),
    ("accents", "Le café où l'élève naïf a mangé une crème brûlée était situé à"),
    ("spaces", "  two spaces,\n\n\ta tab and   runs   of\r\nspace"),
    ("para-70", PARA_70),
    ("para-150", PARA_150),
]


def all_prompts():
    """SHORT and one long text that leaves Gemma 3's window of 512 tokens behind."""
    return SHORT + [("long", TEXT.read_text(encoding="utf-8").strip())]
