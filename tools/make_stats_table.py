#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reference values for the tests of src/stats: scipy, mpmath, and brute force.

    python3 tools/make_stats_table.py > tests/data/stats/reference.tsv

Needs scipy (made with 1.17) and mpmath. Each line: what, arguments, results, all separated by
tabs; lists are comma-separated."""
import itertools

import numpy as np
from mpmath import mp
from scipy import stats

mp.dps = 40


def out(what, *fields):
    def text(f):
        if isinstance(f, (list, tuple)):
            return ",".join(text(x) for x in f)
        return repr(float(f)) if not isinstance(f, int) else str(f)
    print(what, *[text(f) for f in fields], sep="\t")


def shares():
    for k, n in [(0, 1), (1, 1), (0, 10), (3, 10), (5, 10), (10, 10), (81, 263), (1, 1000),
                 (999, 1000), (150, 250), (499999, 1000000), (1000000, 1000000)]:
        for conf in (0.9, 0.95, 0.99):
            for method in ("wilson", "exact"):
                ci = stats.binomtest(k, n).proportion_ci(conf, method=method)
                out(method, k, n, conf, ci.low, ci.high)


def distributions():
    for z in [-38.0, -10.0, -5.0, -2.5, -2.0, -1.959963984540054, -1.0, -0.1, 0.0, 0.3, 1.0, 1.7,
              2.0, 2.1, 3.0, 6.0, 8.5]:
        out("normal_cdf", z, mp.ncdf(z))
    for p in [1e-300, 1e-20, 0.0005, 0.025, 0.2, 0.5, 0.7, 0.975, 0.9995]:
        out("normal_quantile", p, mp.sqrt(2) * mp.erfinv(2 * mp.mpf(p) - 1) if p > 1e-10
            else stats.norm.ppf(p))
    for x, a, b in [(0.5, 1, 1), (0.3, 2, 5), (0.9, 0.5, 0.5), (0.01, 10, 1000), (0.5, 400, 410),
                    (0.999, 3000, 2), (1e-9, 1, 1e6), (0.5, 50000, 50100), (0.2, 0.1, 7)]:
        # mpmath takes hours where a and b are large
        out("beta_cdf", x, a, b, stats.beta.cdf(x, a, b) if a + b > 700
            else mp.betainc(a, b, 0, mp.mpf(x), regularized=True))


def brute_wilcoxon(d):
    d = [x for x in d if x != 0]
    r = stats.rankdata(np.abs(d))
    plus = sum(x for x, v in zip(r, d) if v > 0)
    less = min(plus, sum(r) - plus)
    n = len(d)
    hits = sum(sum(x for x, s in zip(r, signs) if s) <= less + 1e-9
               for signs in itertools.product((0, 1), repeat=n))
    return plus, sum(r) - plus, min(1.0, 2 * hits / 2**n)


def paired():
    g = np.random.default_rng(5)
    for k, n in [(0, 0), (0, 1), (1, 10), (5, 10), (3, 20), (40, 100), (450, 1000), (2, 9)]:
        p = stats.binomtest(k, n).pvalue if n else 1.0
        out("sign", k, n - k, p)
    for n in (1, 2, 5, 9, 12):      # with ties and zeros, by enumeration
        for _ in range(3):
            d = g.integers(-4, 6, n).astype(float).tolist()
            if any(d):
                out("wilcoxon_exact", d, *brute_wilcoxon(d))
    for n in (20, 49, 60, 100):     # without ties
        d = np.round(g.normal(0.2, 1, n), 9)
        w = stats.wilcoxon(d, method="exact")
        r = stats.rankdata(np.abs(d))
        plus = r[d > 0].sum()
        out("wilcoxon_exact", d.tolist(), plus, r.sum() - plus, w.pvalue)
    for shift in (0.0, 0.3, 1.0):   # with ties, by the normal approximation
        d = np.round(g.normal(shift, 2, 150), 1)
        w = stats.wilcoxon(d, method="asymptotic", correction=True, zero_method="wilcox")
        d1 = d[d != 0]
        r = stats.rankdata(np.abs(d1))
        plus = r[d1 > 0].sum()
        out("wilcoxon_approx", d.tolist(), plus, r.sum() - plus, w.pvalue)


def survival():
    # remission times under 6-MP (Freireich et al. 1963, Blood 21:699), and a made-up set with ties
    # of events and censorings and an event at the end
    sets = [([6, 6, 6, 7, 10, 13, 16, 22, 23],
             [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]),
            ([1, 1, 2, 5, 5, 5, 8, 20], [1, 3, 5, 8])]
    for events, censored in sets:
        data = stats.CensoredData(uncensored=events, right=censored)
        sf = stats.ecdf(data).sf
        ci = sf.confidence_interval(0.95, method="log-log")
        keep = [(q, s, lo, hi) for q, s, lo, hi in zip(
            sf.quantiles, sf.probabilities, ci.low.probabilities, ci.high.probabilities)]
        out("survival", events, censored, *[[float(c) for c in col] for col in zip(*keep)])


if __name__ == "__main__":
    shares()
    distributions()
    paired()
    survival()
