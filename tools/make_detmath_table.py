#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Constants of src/base/detmath.c and the table its test compares with.

    python3 tools/make_detmath_table.py --constants      prints the constants, nothing else
    python3 tools/make_detmath_table.py > tests/data/base/detmath.tsv

Needs mpmath (tables made with 1.3.0), which computes with 400 bits here. Every line of the table:
function, x, y (pow only, else 0), and the true value as the nearest double plus the rest
(true value = near + rest, to about 106 bits), all as C hexadecimal floats. The inputs come from a
fixed linear congruential generator, not from Python's, so that the file is the same everywhere."""
import sys
from fractions import Fraction

from mpmath import mp, mpf

mp.prec = 400


def hexf(x):
    return float(x).hex()


def split(v, n):
    """v as a sum of n doubles, each the nearest to what is left."""
    out = []
    for _ in range(n):
        d = float(v)
        out.append(d)
        v -= mpf(d)
    return out


def lambert(last):
    """Numerator and denominator of tanh(x)/x in z = x^2: 1/(1 + z/(3 + ... z/last)), as integer
    coefficient lists, lowest power first."""
    num, den = [last], [1]                      # value of the tail: num/den
    for k in range(last - 2, -1, -2):           # k + z/(num/den) = (k num + z den)/num
        new = [k * c for c in num]
        shifted = [0] + den
        size = max(len(new), len(shifted))
        new += [0] * (size - len(new))
        shifted += [0] * (size - len(shifted))
        num, den = [a + b for a, b in zip(new, shifted)], num
    return den, num                             # tanh(x)/x = 1/(num/den)


def constants():
    ln2 = mp.ln(2)
    hi = mp.floor(ln2 * 2**40) / 2**40          # 40 significant bits
    print("LN2_HI", hexf(hi))
    print("LN2_LO", hexf(ln2 - hi))
    print("INV_LN2", hexf(1 / ln2))
    print("TWO_OVER_PI", hexf(2 / mp.pi))
    for i, p in enumerate(split(mp.pi / 2, 3)):
        print(f"PIO2_{i + 1}", hexf(p))
    print("sqrt2", hexf(mp.sqrt(2)))
    top = float(1024 * ln2)
    if mpf(top) >= 1024 * ln2:                  # largest x with e^x < 2^1024
        top = float.fromhex(hexf(top)) - 2.0**-43
    print("EXP_MAX", hexf(top))
    low = float(-1022 * ln2)
    if mpf(low) < -1022 * ln2:                  # least x with e^x >= 2^-1022
        low += 2.0**-43
    print("EXP_MIN", hexf(low))
    num, den = lambert(21)
    top_of = [d - n for n, d in zip(num + [0] * len(den), den)]
    print("tanh A (z^n ... z^1)", list(reversed(top_of[1:])))
    print("tanh D (z^n ... z^0)", list(reversed(den)))
    assert top_of[0] == 0 and all(abs(c) < 2**53 for c in top_of + den), "exact in binary64"
    z = Fraction(1)
    n = sum(c * z**i for i, c in enumerate(num))
    d = sum(c * z**i for i, c in enumerate(den))
    print("tanh cut error at 1", float(abs(mpf(n.numerator) / d.numerator - mp.tanh(1))))


class Lcg:
    def __init__(self, seed):
        self.s = seed

    def u53(self):
        self.s = (self.s * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.s >> 11) / 2.0**53

    def between(self, a, b):
        return a + (b - a) * self.u53()

    def scaled(self, e_min, e_max):
        """A double in [2^e_min, 2^e_max), log-uniform."""
        e = e_min + int(self.u53() * (e_max - e_min))
        return (1.0 + self.u53()) * 2.0**e


def row(name, x, y, v):
    near = float(v)
    rest = float(v - mpf(near))
    print(name, hexf(x), hexf(y), hexf(near), hexf(rest), sep="\t")


def table():
    g = Lcg(2024)
    n = 220
    print("# made by tools/make_detmath_table.py: function, x, y, nearest double, rest")
    xs = [g.between(-708.0, 709.7) for _ in range(n)] + [g.between(-1, 1) for _ in range(n)]
    xs += [s * g.scaled(-60, -2) for s in (1, -1) for _ in range(30)]
    xs += [0.0, 1.0, -1.0, 0.34657359027997264, 0.3465735902799727, 709.782712893384,
           -708.3964185322641, 709.0, 88.0, -103.0]
    for x in xs:
        row("exp", x, 0, mp.exp(x))
    xs = [g.scaled(-1022, 1024) for _ in range(n)] + [g.between(0.5, 2) for _ in range(n)]
    xs += [1 + s * g.scaled(-52, -3) for s in (1, -1) for _ in range(40)]
    xs += [5e-324, 2.0**-1022, 2.0**-1074 * 12345, 1.7976931348623157e308, 1.4142135623730951,
           1.414213562373095, 0.7071067811865475, 0.7071067811865476, 2.0, 10.0, 2.0**-53,
           1 - 2.0**-53]
    for x in xs:
        row("log", x, 0, mp.log(x))
    xs = [g.scaled(-60, 60) for _ in range(n)] + [g.between(-0.999, 1) for _ in range(n)]
    xs += [-g.scaled(-60, -1) for _ in range(60)] + [1e300, -1 + 2.0**-53, 2.0**-54, -2.0**-54]
    for x in xs:
        row("log1p", x, 0, mp.log1p(x))
    for i in range(2 * n):
        x = g.scaled(-40, 40) if i % 2 else g.between(0.3, 3)
        y = g.between(-690, 690) / float(mp.log(x)) * g.u53() if i % 4 < 3 else g.between(-2, 2)
        row("pow", x, y, mpf(x)**mpf(y))
    for base in (10000.0, 500000.0, 1000000.0, 150000.0):   # what rope asks for
        for i in range(0, 64, 3):
            row("pow", base, -2.0 * i / 128, mpf(base)**mpf(-2.0 * i / 128))
    xs = [g.between(-1, 1) * 2.0**27 for _ in range(n)] + [g.between(-10, 10) for _ in range(n)]
    xs += [s * g.scaled(-40, 27) for s in (1, -1) for _ in range(60)]
    for k in (1, 2, 3, 4, 5, 7, 100, 1001, 65537, 1234567, 85445658):   # next to k pi/2
        v = float(k * mp.pi / 2)
        xs += [v, -v, v * (1 + 2.0**-52), v * (1 - 2.0**-52)]
    xs += [0.7853981633974483, 0.7853981633974482, 2.0**27, -2.0**27, worst_sin()]
    for x in xs:
        if abs(x) <= 2.0**27:
            row("sin", x, 0, mp.sin(x))
            row("cos", x, 0, mp.cos(x))
    xs = [g.between(-21, 21) for _ in range(n)] + [g.between(-1.2, 1.2) for _ in range(n)]
    xs += [s * g.scaled(-60, -1) for s in (1, -1) for _ in range(30)]
    xs += [0.0, 1.0, 1 - 2.0**-53, 19.999999, 20.0, 21.0, 700.0, -1e300]
    for x in xs:
        row("tanh", x, 0, mp.tanh(x))


def worst_sin():
    """The double in [1, 2^27] that comes nearest to a multiple of pi/2: for each exponent, the
    best continued-fraction denominators of (pi/2)/ulp."""
    best, best_x = mpf(1), 1.0
    for e in range(0, 27):
        ulp = mpf(2)**(e - 52)
        a = mp.pi / 2 / ulp
        h0, h1, k0, k1, t = 0, 1, 1, 0, a
        while True:
            q = int(mp.floor(t))
            h0, h1, k0, k1 = h1, q * h1 + h0, k1, q * k1 + k0
            if h1 >= 2**53:
                break
            if h1 >= 2**52:
                d = abs(h1 * ulp - k1 * mp.pi / 2)
                if d < best:
                    best, best_x = d, float(h1 * ulp)
            t = 1 / (t - q)
    return best_x


if __name__ == "__main__":
    constants() if "--constants" in sys.argv else table()
