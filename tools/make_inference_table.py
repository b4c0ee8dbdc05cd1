#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reference values for tests/unit/stats_inference.c: scipy, statsmodels, numpy, and definitions
written out the slow way.

    python3 tools/make_inference_table.py > tests/data/stats/inference.tsv

Made with scipy 1.17, statsmodels 0.15, numpy 2.4. Each line: what, fields separated by tabs; lists
are comma-separated."""
import itertools

import numpy as np
import statsmodels.api as sm
from scipy import optimize, special, stats
from statsmodels.stats.contingency_tables import mcnemar

g = np.random.default_rng(20)


def out(what, *fields):
    def text(f):
        if isinstance(f, (list, tuple, np.ndarray)):
            return ",".join(text(x) for x in f)
        return str(int(f)) if isinstance(f, (int, np.integer)) else repr(float(f))
    print(what, *[text(f) for f in fields], sep="\t")


def student():
    for df in (1, 2, 4.5, 10, 29, 300, 1e5):
        for t in (-30.0, -4.0, -1.0, -0.2, 0.0, 0.7, 2.5, 12.0):
            out("t_cdf", t, df, stats.t.cdf(t, df))
        for p in (1e-6, 0.005, 0.025, 0.2, 0.3, 0.45, 0.6, 0.975):
            out("t_quantile", p, df, stats.t.ppf(p, df))


def tests():
    for m in (1, 2, 5, 12):
        p = np.round(g.uniform(0, 1, m) ** 3, 6)
        out("bh", p, stats.false_discovery_control(p))
    out("bh", [0.01, 0.01, 0.03, 0.04, 1.0], stats.false_discovery_control([0.01, 0.01, 0.03, 0.04, 1.0]))
    for b, c in [(0, 0), (0, 1), (1, 5), (6, 6), (3, 12), (40, 61), (300, 200), (0, 9)]:
        exact = mcnemar([[3, b], [c, 3]], exact=True).pvalue if b + c else 1.0
        k, n = min(b, c), b + c
        mid = 1.0 if b == c else 2 * stats.binom.cdf(k, n, 0.5) - stats.binom.pmf(k, n, 0.5)
        out("mcnemar", b, c, exact, mid)
    for n in (1, 3, 6, 10, 12):
        d = np.round(g.normal(0.4, 1, n), 2)
        if n == 12:
            d = g.integers(-3, 5, n).astype(float)   # ties and zeros
        sums = [abs(sum(s * x for s, x in zip(signs, d)))
                for signs in itertools.product((-1, 1), repeat=n)]
        out("permute", d, np.mean(np.array(sums) >= abs(d.sum()) - 1e-9))
        if n > 1 and n < 12:
            r = stats.permutation_test((d,), lambda x, axis: abs(x.sum(axis=axis)), vectorized=True,
                                       permutation_type="samples", n_resamples=np.inf,
                                       alternative="greater")
            out("permute", d, r.pvalue)


def edit(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


def edits():
    for n_a, n_b, v in [(1, 1, 2), (5, 9, 3), (63, 64, 4), (64, 64, 2), (65, 70, 5), (130, 120, 3),
                        (200, 10, 4), (250, 250, 6), (128, 250, 2), (192, 193, 2)]:
        a = g.integers(0, v, n_a)
        b = g.integers(0, v, n_b)
        out("edit", a, b, edit(a, b))
    a = g.integers(0, 50000, 250)
    b = np.concatenate([a[:40], a[43:100], g.integers(0, 50000, 5), a[100:240]])
    out("edit", a, b, edit(a, b))


def sensitivity():
    for n in (2, 5, 9):
        s = np.round(g.uniform(0, 1, n), 2)
        out("std", s, np.std(s, ddof=1))
        out("range", s, s.max() - s.min())
        pairs = [abs(x - y) for x, y in itertools.combinations(s, 2)]
        out("pss", s, np.mean(pairs))
        lp = -np.round(g.exponential(5, (n, n)), 3)
        tokens = g.integers(1, 20, n)
        psi = sum(abs(lp[i, j] - lp[j, j]) / tokens[j] for i in range(n) for j in range(n))
        out("posix", lp.ravel(), tokens, psi / (n * (n - 1)))
        p = np.round(g.uniform(0, 1, (n, 7)), 4)
        out("std_top1", n, p.ravel(), p.std(axis=0, ddof=1).mean())
    for c, n, k in [(3, 5, 2), (5, 5, 5), (4, 5, 5), (0, 4, 1), (7, 20, 3)]:
        hits = [all(i < c for i in s) for s in itertools.combinations(range(n), k)]
        out("all_right", c, n, k, np.mean(hits))


def distributions():
    for n in (2, 6, 40):
        p = g.dirichlet(np.full(n, 0.5))
        q = g.dirichlet(np.full(n, 0.5))
        m = (p + q) / 2
        js = (stats.entropy(p, m) + stats.entropy(q, m)) / 2
        out("full", np.log(p), np.log(q), stats.entropy(p), stats.entropy(p, q), js)
    for n, k in ((1, 1), (7, 3), (30, 4)):
        cls = g.integers(0, k, n)
        w = -np.round(g.exponential(3, n), 3)
        share = np.bincount(cls, minlength=k) / n
        mass = np.bincount(cls, weights=np.exp(w), minlength=k)
        seen = np.count_nonzero(share)
        out("semantic", cls, w, stats.entropy(share), stats.entropy(share) + (seen - 1) / (2 * n),
            stats.entropy(mass[mass > 0]), seen)


def beta_product(time, parted, alpha):
    """Method of moments, Fay, Brittain & Proschan 2013; event before censoring."""
    def quantile(parts, q):
        mean = np.prod([a / (a + b) for a, b in parts]) if parts else 1.0
        second = np.prod([a * (a + 1) / ((a + b) * (a + b + 1)) for a, b in parts]) if parts else 1.0
        var = second - mean ** 2
        if var <= 0:
            return mean
        f = mean * (1 - mean) / var - 1
        return stats.beta.ppf(q, mean * f, (1 - mean) * f)
    rows, parts = [], []
    for t in sorted(set(time)):
        r = sum(x >= t for x in time)
        d = sum(x == t and e for x, e in zip(time, parted))
        if d:
            parts = parts + [(r - d + 1, d)]
        low = quantile(parts + [(r - d, 1)], alpha / 2) if r > d else 0.0
        rows.append((t, low, quantile(parts, 1 - alpha / 2)))
    return rows


def survival():
    for n, p_event in ((6, 1.0), (15, 0.0), (30, 0.6)):
        time = g.integers(1, 8, n)
        parted = g.uniform(size=n) < p_event
        rows = beta_product(time.tolist(), parted.tolist(), 0.05)
        out("beta_product", time, parted.astype(int), *[[float(x) for x in c] for c in zip(*rows)])


def shares():
    for n, k in ((2, 3), (12, 5), (40, 8)):
        v = g.binomial(k, g.beta(4, 2, n)) / k
        ends = []
        for extra in (0.0, 1.0):
            w = np.append(v, extra)
            m, se2 = w.mean(), w.var(ddof=1) / len(w)
            n_eff = m * (1 - m) / se2 * (stats.t.ppf(0.025, n * k - 1) / stats.t.ppf(0.025, n - 1)) ** 2
            ends.append(min(n_eff, n * k))
        lo, hi = ends
        out("share", v, n * k, min(ends), stats.beta.ppf(0.025, v.mean() * lo, lo - v.mean() * lo + 1),
            stats.beta.ppf(0.975, v.mean() * hi + 1, hi - v.mean() * hi))
    for s, n in ((0, 5), (3, 10), (2.5, 10), (50, 100), (997, 1000), (7, 7)):
        def f(p):
            return (special.betaln(1 + s, 1 + n - s) - special.xlogy(s, p)
                    - special.xlog1py(n - s, -p) - np.log(20))
        mid = s / n
        low = optimize.brentq(f, 1e-300, mid, xtol=1e-15) if s > 0 else 0.0
        high = optimize.brentq(f, mid, 1 - 1e-16, xtol=1e-15) if s < n else 1.0
        out("sequence", float(s), n, low, high)


def regressions():
    n = 60
    block = g.integers(0, 4, n)
    cluster = g.integers(0, 12, n)
    x = np.round(np.column_stack([g.normal(4, 1, n), g.integers(1, 9, n)]), 3)
    y = np.round(block + 0.5 * x[:, 0] - 0.1 * x[:, 1] + g.normal(0, 1 + 0.3 * x[:, 1], n), 3)
    design = np.column_stack([x] + [(block == b).astype(float) for b in range(4)])
    fit = sm.OLS(y, design).fit()
    hc3 = np.sqrt(np.diag(fit.get_robustcov_results("HC3").cov_params()))[:2] * np.sqrt((n - 1) / n)
    out("regress", y, x.ravel(), block, [], fit.params[:2], hc3, n - 1)
    ids = sorted(set(cluster))
    moved = np.array([np.linalg.lstsq(design[cluster != c], y[cluster != c], rcond=None)[0][:2]
                      for c in ids])
    cv3 = np.sqrt((len(ids) - 1) / len(ids) * ((moved - fit.params[:2]) ** 2).sum(axis=0))
    out("regress", y, x.ravel(), block, cluster, fit.params[:2], cv3, len(ids) - 1)
    # blocks that are clusters: a level goes with its cluster
    within = y - np.array([y[block == b].mean() for b in block])
    xw = x - np.array([x[block == b].mean(axis=0) for b in block])
    slope = np.linalg.lstsq(xw, within, rcond=None)[0]
    moved = np.array([np.linalg.lstsq(xw[block != b], within[block != b], rcond=None)[0]
                      for b in range(4)])
    cv3 = np.sqrt(3 / 4 * ((moved - slope) ** 2).sum(axis=0))
    out("regress", y, x.ravel(), block, block, slope, cv3, 3)


def logits():
    n = 50
    x = np.round(g.exponential(1.0, n), 3)
    trials = g.integers(1, 5, n)
    cluster = g.integers(0, 15, n)
    for apart in (False, True):
        k = np.where(x < 0.7, trials, 0) if apart else g.binomial(trials, special.expit(1 - 2 * x))

        def loss(b):
            p = special.expit(b[0] + b[1] * x)
            w = trials * p * (1 - p)
            det = w.sum() * (w * x * x).sum() - (w * x).sum() ** 2
            return -(special.xlogy(k, p) + special.xlog1py(trials - k, -p)).sum() - 0.5 * np.log(det)
        b = optimize.minimize(loss, [0, 0], method="Nelder-Mead",
                              options=dict(xatol=1e-10, fatol=1e-14, maxiter=10000)).x
        design = np.column_stack([np.ones(n), x])
        p = special.expit(design @ b)
        w = trials * p * (1 - p)
        info = (design.T * w) @ design
        lever = w * np.einsum("ij,jk,ik->i", design, np.linalg.inv(info), design)
        res = k - trials * p + lever * (0.5 - p)
        ids = sorted(set(cluster))
        cov = np.zeros((2, 2))
        for c in ids:
            own = cluster == c
            step = np.linalg.solve(info - (design[own].T * w[own]) @ design[own], -design[own].T @ res[own])
            cov += np.outer(step, step)
        cov *= (len(ids) - 1) / len(ids)
        out("logit", x, k, trials, cluster, b, [cov[0, 0], cov[0, 1], cov[1, 1]], len(ids) - 1)


def isotonics():
    for n in (1, 5, 40, 120):
        x = np.round(g.exponential(1.0, n), 1)
        trials = g.integers(1, 4, n)
        k = g.binomial(trials, np.exp(-x))
        places = sorted(set(x))
        share = [k[x == p].sum() / trials[x == p].sum() for p in places]
        weight = [trials[x == p].sum() for p in places]
        fit = optimize.isotonic_regression(share, weights=weight, increasing=False).x
        out("isotonic", x, k, trials, [fit[places.index(v)] for v in x])


def splits():
    """Quadratic forms and their expectations as traces of explicit matrices."""
    def matrices(levels, terms, y):
        n = len(y)
        z = []
        for t in terms:
            key = [tuple(row[f] for f in range(levels.shape[1]) if t >> f & 1) for row in levels]
            names = sorted(set(key))
            z.append(np.array([[float(k == name) for name in names] for k in key]))
        z.append(np.eye(n))
        mean = np.full((n, n), 1 / n)
        forms = [m @ np.linalg.inv(m.T @ m) @ m.T - mean for m in z]
        lhs = [[np.trace(a @ m @ m.T) for m in z] for a in forms]
        return np.linalg.solve(lhs, [y @ a @ y for a in forms])
    for n, missing in ((120, 0), (120, 40)):
        levels = np.array([(p, s, r % 3) for p in range(10) for s in range(4) for r in range(3)])
        keep = np.sort(g.permutation(n)[:n - missing])
        levels = levels[keep]
        y = (g.normal(0, 2, 10)[levels[:, 0]] + g.normal(0, 1, 4)[levels[:, 1]]
             + g.normal(0, 0.7, 40)[levels[:, 0] * 4 + levels[:, 1]] + g.normal(0, 0.5, len(levels)))
        y = np.round(y, 3)
        for terms in ([1, 2], [1, 2, 3], [1, 2, 4]):
            out("split", y, levels.ravel(), 3, terms, matrices(levels, terms, y))


def resampling():
    """The two intervals with so many resamples that they have settled."""
    for n, skew in ((12, True), (30, False)):
        v = np.round(g.exponential(1, n) if skew else g.normal(0, 1, n), 3)
        bca = stats.bootstrap((v,), np.mean, n_resamples=400000, method="BCa", batch=20000,
                              rng=np.random.default_rng(1)).confidence_interval
        draw = v[np.random.default_rng(2).integers(0, n, (400000, n))]
        t = (draw.mean(axis=1) - v.mean()) / (draw.std(axis=1, ddof=1) / np.sqrt(n))
        lo, hi = np.quantile(t, [0.025, 0.975])
        se = v.std(ddof=1) / np.sqrt(n)
        out("bca", v, bca.low, bca.high)
        out("student", v, v.mean() - hi * se, v.mean() - lo * se)
        margin = abs(v.mean()) + 1.5 * se
        p = max(np.mean(t <= (v.mean() - margin) / se), np.mean(t >= (v.mean() + margin) / se))
        out("tost", v, margin, p)
    for n, sd in ((10, 1.0), (300, 0.4)):
        out("detectable", sd, n, 0.05, 0.8,
            (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * sd / np.sqrt(n))


if __name__ == "__main__":
    for f in (student, tests, edits, sensitivity, distributions, survival, shares, regressions,
              logits, isotonics, splits, resampling):
        f()
