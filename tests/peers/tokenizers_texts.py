# SPDX-License-Identifier: MIT
"""Texts on which tokenizers may differ: random ones from a seed, and a fixed list."""
import random

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORDS = ["the", "The", " the", " of", "Hello", " world", "capital", " is", "don't", "I've", "WE'LL", "int", "return",
         "_x", "ing", "tion", " a", "für", " naïve", "café", "Привет", " мир", "γλώσσα", "שלום", "سلام", "नमस्ते",
         "สวัสดี", "កាន់តែ", "日本語", "中文", "ひらがな", "カタカナ", "한국어", "Việt", "ǅ", "ﬁ", "ß", "İ", "ı"]
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\n", "\n\n", "\t", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u00a0",
          "\u1680", "\u180e", "\u2000", "\u2003", "\u2009", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"]
MARKS = [chr(c) for c in (0x300, 0x301, 0x302, 0x308, 0x30A, 0x316, 0x323, 0x327, 0x328, 0x345, 0x5B0, 0x64B, 0x93C, 0x94D,
                          0x9BE, 0xB3E, 0xDCF, 0xE38, 0x1037, 0x17D2, 0x3099, 0x309A, 0x20D0, 0xFE0F, 0x1D165, 0x110BA)]
DIGITS = list("0123456789") + list("0123456789") + ["٣", "५", "๙", "½", "²", "Ⅷ", "①", "㊿", "𝟘", "〇", "௰", "12", "345", "6789"]
PUNCT = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["''", "...", "--", "==", "//", "</", "/>", "«", "»", "“", "”", "‘", "’", "…", "—",
                                                      "¿", "。", "、", "「", "」", "！", "（", "€", "£", "©", "™", "→", "∑", "𝄞", "﹏", "‿", "·"]
EMOJI = ["😀", "🦙", "👍🏽", "👩‍👩‍👧‍👦", "😶‍🌫️", "🇩🇪", "🇫🇷", "❤️", "☃", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u200d", "\u200c", "1️⃣"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'M", "'lL", "'D", "'ſ", "’s", "''s", "'", "'st", "'rE"]
NFC = ["e\u0301", "A\u030a", "a\u0323\u0302", "a\u0302\u0323", "\u212b", "\u2126", "\u0958", "\u0374", "\u037e", "\u1112\u1161\u11ab",
       "\u1100\u1161", "\uac00\u11a8", "\u11a8", "\ufb1d", "\u2adc", "\u0344", "\u1e9b\u0323", "\u0f73", "\U0001d15e", "\u1fc1", "q\u0307\u0323",
       "\u09c7\u09be", "\u0b92\u0bd7", "か\u3099", "ハ\u309a", "\uf900", "\U0002f800", "\u0340", "\u2000"]
CONTROLS = [chr(c) for c in (0, 1, 4, 7, 8, 0x1B, 0x1F, 0x7F, 0x80, 0x9F, 0xAD, 0x61C, 0x200E, 0x2060, 0xFFF9, 0xFFFD, 0xFFFF, 0xE000, 0x10FFFF)]
SPM = ["\u2581", "\u2581\u2581", " \u2581", "\u2581 ", "<0x41>", "<0xE2>", "▁the"]


def random_char(r):
    """Any scalar value, the planes with characters most of the time."""
    k = r.random()
    top = 0x250 if k < 0.25 else 0x3000 if k < 0.6 else 0x10000 if k < 0.85 else 0x30000 if k < 0.97 else 0x110000
    while True:
        c = r.randrange(top)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def near(r, special):
    """A text that looks like an added token."""
    k = r.randrange(6)
    at = r.randrange(len(special) + 1)
    if k == 0:
        return special[:at]
    if k == 1:
        return special[at:]
    if k == 2:
        return special[:at] + " " + special[at:]
    if k == 3:
        return special.upper()
    if k == 4:
        return special[:at] + special
    return special + special[:at]


class Texts:
    """Random texts with the added tokens of one tokenizer among them."""

    def __init__(self, seed, specials, skip=""):
        self.r = random.Random(seed)
        self.specials = [s for s in specials if s] or ["<s>"]
        self.skip = {ord(c): None for c in skip}

    def part(self):
        r = self.r
        k = r.random()
        if k < 0.20:
            return r.choice(WORDS)
        if k < 0.30:
            return r.choice(SPACES)
        if k < 0.36:
            return "".join(r.choice(LETTERS) for _ in range(r.randrange(1, 8)))
        if k < 0.43:
            return r.choice(DIGITS)
        if k < 0.50:
            return r.choice(PUNCT)
        if k < 0.54:
            return r.choice(CONTRACTIONS)
        if k < 0.58:
            return r.choice(EMOJI)
        if k < 0.62:
            return r.choice(NFC)
        if k < 0.67:
            return r.choice("aeionuAx日한ग") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 4)))
        if k < 0.69:
            return r.choice(CONTROLS)
        if k < 0.71:
            return r.choice(SPM)
        if k < 0.80:
            return r.choice(self.specials)
        if k < 0.83:
            return near(r, r.choice(self.specials))
        if k < 0.86:
            return r.choice((r.choice(SPACES), r.choice(PUNCT), r.choice(DIGITS), r.choice(LETTERS))) * r.randrange(1, 40)
        return random_char(r)

    def text(self):
        r = self.r
        n = 1 if r.random() < 0.05 else r.randrange(1, 14)
        s = "".join(self.part() for _ in range(n))
        if r.random() < 0.02:
            s = s * r.randrange(1, 12)
        return s.translate(self.skip)


FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n ", "a", " a", "a ", "  a  b   c", "Hello, world!", "I've told 'em we'll see",
    "WE'RE HERE, IT'S 'RE 'Ve 'lL", "'s't're've'm'll'd", "'ſ x'S", "3", "33", "333", "3333", "1234567 89", "3.14,1e-5", "½²Ⅷ①٣५",
    "def f(x):\n    return x ** 2\n\n\n", "a = b;\r\n\tc();\r\n", "!!!???...", "a!b.c,d", "x=y+z", " .", " ..\n\n", "/path/to/file\n//", "MiXeD CaSe ABC DEf",
    "naïve café", "e\u0301", "a\u0323\u0302", "a\u0302\u0323", "\u212b", "\u1112\u1161\u11ab", "한국어", "Привет мир", "日本語のテキスト", "中文，测试。",
    "कि\u0902दी", "สวัสดี", "😀", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "👍🏽", "\u2581", "a\u2581b", "\u2581\u2581x", " \u2581 ", "\ufeffx", "a\u200bb", "a\u00a0b", "a\u3000b",
    "\u2028x\u0085y", "“q” ‘r’ «s»", "…—–", "€£¥", "\x00", "a\x00b", "\x1b[0m", "\x04", "<0x41>", "<0xE2>", " " * 31, " " * 32, " " * 40 + "x", "\n" * 35, "\t" * 9,
    "a" * 40, "1" * 20, "日" * 12, "the the the", "The capital of France is", "snake_case camelCase", "ABCdef", "ǅabc", "ﬁ", "\U0001d15e", "\U0010ffff", "\ue000",
    "q\u0307\u0323", "か\u3099", "\u0958", "x\u0301\u0301\u0301", "\u0301", " \u0301a", "\n\u0301", "1\u0301", "a\u20dd",
]
