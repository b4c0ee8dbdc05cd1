#!/usr/bin/env python3
"""Writes normal.tsv: the normal form of every correct answer and of some harder texts, by Python's own
Unicode tables and SQuAD's four steps. usage: make_normal.py > normal.tsv   from the root of the repository"""
import csv
import json
import re
import string
import unicodedata


def lower(c):
    return c.lower() if len(c.lower()) == 1 else c


def normal(s):
    s = ''.join(lower(c) for c in unicodedata.normalize('NFC', s))
    s = ''.join(c for c in s if c not in string.punctuation and not unicodedata.category(c).startswith('P'))
    s = re.sub(r'(?<!\S)(a|an|the)(?!\S)', ' ', s)
    return ' '.join(s.split())


texts = ["The  Who", "a", "An apple a day", "the\u00a0end", "\u201cQuotes\u201d \u2014 and dashes", "A.B.C.", "$5 + 3", "cafe\u0301",
         "the-the", "theatre of the absurd", "\u3000wide\u2028line", "x^2|y~z", "an an", "Thea", "\u0416\u0418\u0417\u041d\u042c", "'a'"]
for row in csv.DictReader(open('prompts/popqa-300.tsv'), delimiter='\t'):
    texts += json.loads(row['possible_answers'])
seen = set()
print('# Written by make_normal.py: text, normal form.')
for t in texts:
    if t not in seen and 'İ' not in t and '\t' not in t:
        seen.add(t)
        print(t + '\t' + normal(t))
