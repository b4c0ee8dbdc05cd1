#!/usr/bin/env python3
"""Writes random.txt: what kinds with a choice do to ASCII texts, by a second implementation of the
layout in src/perturb/apply.c (key, Philox4x32-10, bounded integers, order of places).
usage: make_random.py > random.txt   from the root of the repository"""
import hashlib
import struct

M = 0xFFFFFFFF


def philox(c, k):
    c, k = list(c), list(k)
    for r in range(10):
        if r:
            k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & M, (a >> 32) ^ c[3] ^ k[1], a & M]
    return c


class Draw:
    def __init__(self, seed, body, name):
        hexa = hashlib.sha256(body.encode()).hexdigest().encode()
        name = name.encode()
        h = hashlib.sha256(b'idem perturb 1' + struct.pack('<Q', seed) + struct.pack('<Q', 64) + hexa +
                           struct.pack('<Q', len(name)) + name).digest()
        self.key, self.block, self.words = struct.unpack('<II', h[:8]), 0, []

    def word(self):
        if not self.words:
            self.words = philox([self.block & M, self.block >> 32, 0, 0x70657274], self.key)
            self.block += 1
        return self.words.pop(0)

    def below(self, n):
        m = self.word() * n
        if m & M < n:
            least = (-n & M) % n
            while m & M < least:
                m = self.word() * n
        return m >> 32

    def pick(self, sites):
        return sites[self.below(len(sites)) if len(sites) > 1 else 0]


def read_list(path):
    out = {}
    for line in open(path):
        line = line.strip()
        if line and line[0] != '#':
            k, v = line.split('=')
            out[k.strip()] = [x.strip() for x in v.split('|')]
    return out


KEYS, WORDS = read_list('perturbations/keyboard.txt'), read_list('perturbations/synonyms.txt')


def diff(s, a, b, new):
    return s[:a] + ('[-' + s[a:b] + '-]' if b > a else '') + ('{+' + new + '+}' if new else '') + s[b:]


def like(word, new):
    if len(word) > 1 and word.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if word[0].isupper() else new


def words(s):
    i = 0
    while i < len(s):
        k = i
        while k < len(s) and (s[k].isalpha() or (s[k] == "'" and 0 < k < len(s) - 1 and
                                                 s[k - 1].isalpha() and s[k + 1].isalpha())):
            k += 1
        if k > i:
            yield i, k
        i = max(k, i + 1)


def one(kind, seed, s):
    d, n = Draw(seed, s, kind), len(s)
    letters = [i for i in range(n) if s[i].isalpha()]
    if kind == 'case:one':
        i = d.pick(letters)
        return diff(s, i, i + 1, s[i].swapcase())
    if kind == 'space:double':
        i = d.pick([i for i in range(n) if s[i] == ' '])
        return diff(s, i + 1, i + 1, ' ')
    if kind == 'space:drop':
        i = d.pick([i for i in range(1, n - 1) if s[i] == ' ' and s[i - 1] != ' ' and s[i + 1] != ' '])
        return diff(s, i, i + 1, '')
    if kind in ('punct:drop', 'punct:double'):
        i = d.pick([i for i in range(n) if s[i] in ".,;:!?'\"()-"])
        return diff(s, i, i + 1, '') if kind == 'punct:drop' else diff(s, i + 1, i + 1, s[i])
    if kind == 'typo:swap':
        i = d.pick([i for i in range(n - 1) if s[i].isalpha() and s[i + 1].isalpha() and s[i] != s[i + 1]])
        return diff(s, i, i + 2, s[i + 1] + s[i])
    if kind == 'typo:drop':
        i = d.pick([i for i in letters if (i and s[i - 1].isalpha()) or (i + 1 < n and s[i + 1].isalpha())])
        return diff(s, i, i + 1, '')
    if kind == 'typo:double':
        i = d.pick(letters)
        return diff(s, i + 1, i + 1, s[i])
    if kind == 'typo:neighbour':
        i = d.pick([i for i in letters if s[i].lower() in KEYS])
        v = KEYS[s[i].lower()]
        v = v[d.below(len(v))]
        return diff(s, i, i + 1, v.upper() if s[i].isupper() else v)
    if kind == 'synonym':
        a, b = d.pick([w for w in words(s) if s[w[0]:w[1]].lower() in WORDS])
        v = WORDS[s[a:b].lower()]
        return diff(s, a, b, like(s[a:b], v[d.below(len(v))]))
    raise ValueError(kind)


TEXTS = ["Who is the author of The Sword of Shibito?", "What's the largest city, and what type of sport do people play there?",
         "In what country is Zug? (Answer: one word.)"]
KINDS = ['case:one', 'space:double', 'space:drop', 'punct:drop', 'punct:double', 'typo:swap', 'typo:drop',
         'typo:double', 'typo:neighbour', 'synonym']
print('# Written by make_random.py. The columns of cases.txt.')
for kind in KINDS:
    for text in TEXTS:
        for seed in (1, 2, 1 << 40):
            print(f'{kind}\t{seed}\t{text}\t\t{one(kind, seed, text)}')
