/* SPDX-License-Identifier: MIT
 * Korn & Graubard's interval; the beta-binomial confidence sequence. */
#include "stats/share.h"

#include <math.h>

#include "base/detmath.h"
#include "stats/stats_impl.h"

/* Clopper & Pearson for k of n that need not be whole. */
static struct stat_interval exact_interval(double k, double n, double confidence)
{
    double tail = 0.5 * (1.0 - confidence);
    return (struct stat_interval){
        k > 0.0 ? stat_beta_quantile(tail, k, n - k + 1.0) : 0.0,
        k < n ? stat_beta_quantile(1.0 - tail, k + 1.0, n - k) : 1.0,
    };
}

/* Trials that v[n] and one prompt more with the value `extra` are worth. */
static double effective(const double *v, size_t n, double extra, uint64_t n_trials,
                        double confidence)
{
    double m = (double)(n + 1), tail = 0.5 * (1.0 - confidence);
    double mean = (stat_mean(v, n) * (double)n + extra) / m;
    double square = stat_squares(v, n, mean) + (extra - mean) * (extra - mean);
    double ratio = stat_t_quantile(tail, (double)(n_trials > 1 ? n_trials - 1 : 1)) /
                   stat_t_quantile(tail, (double)(n - 1));
    double n_eff = square > 0.0 ? mean * (1.0 - mean) * m * (m - 1.0) / square * ratio * ratio
                                : (double)n_trials;
    return n_eff < (double)n_trials ? n_eff : (double)n_trials;
}

int stat_share(struct stat_share *out, const double *v, size_t n, uint64_t n_trials,
               double confidence, struct idem_err *err)
{
    *out = (struct stat_share){NAN, 0.0, 1.0, 0.0, n};
    if (stat_check_confidence(confidence, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!(v[i] >= 0.0 && v[i] <= 1.0))
            return err_set(err, IDEM_ERR_NUMERIC, "share %zu is %g, not between 0 and 1", i, v[i]);
    if (n_trials < n)
        return err_set(err, IDEM_ERR_USAGE, "%llu trials of %zu prompts",
                       (unsigned long long)n_trials, n);
    if (n == 0)
        return 0;
    out->value = stat_mean(v, n);
    out->n_effective = (double)n;
    if (n == 1)
        return 0;
    double for_low = (double)n, for_high = (double)n;
    if (out->value > 0.0 && out->value < 1.0) {
        for_low = effective(v, n, 0.0, n_trials, confidence);
        for_high = effective(v, n, 1.0, n_trials, confidence);
    }
    out->n_effective = for_low < for_high ? for_low : for_high;
    out->low = exact_interval(out->value * for_low, for_low, confidence).low;
    out->high = exact_interval(out->value * for_high, for_high, confidence).high;
    return 0;
}

/* ---- confidence sequence ---------------------------------------------------------------------- */

/* log of the mixture's likelihood ratio against p. */
static double log_ratio(double sum, double rest, double log_beta, double p)
{
    double v = log_beta;
    if (sum > 0.0)
        v -= sum * det_log(p);
    if (rest > 0.0)
        v -= rest * det_log1p(-p);
    return v;
}

/* The ratio falls from the end of the range to sum / n: bisection for where it crosses. */
static double crossing(double sum, double rest, double log_beta, double end, double limit)
{
    double out = end, in = sum / (sum + rest);
    for (int i = 0; i < 200; i++) {
        double mid = 0.5 * (out + in);
        if (mid == out || mid == in)
            break;
        if (log_ratio(sum, rest, log_beta, mid) < limit)
            in = mid;
        else
            out = mid;
    }
    return out;
}

struct stat_interval stat_sequence(double sum, uint64_t n, double confidence)
{
    if (!(confidence > 0.0 && confidence < 1.0 && sum >= 0.0 && sum <= (double)n))
        return (struct stat_interval){NAN, NAN};
    if (n == 0)
        return (struct stat_interval){0.0, 1.0};
    double rest = (double)n - sum, limit = -det_log(1.0 - confidence);
    double log_beta = stat_log_gamma(1.0 + sum) + stat_log_gamma(1.0 + rest) -
                      stat_log_gamma(2.0 + (double)n);
    return (struct stat_interval){
        sum > 0.0 ? crossing(sum, rest, log_beta, 0.0, limit) : 0.0,
        rest > 0.0 ? crossing(sum, rest, log_beta, 1.0, limit) : 1.0,
    };
}

bool stat_sequence_stop(double sum, uint64_t n, double confidence, double width)
{
    struct stat_interval i = stat_sequence(sum, n, confidence);
    return i.high - i.low <= width;
}

uint64_t stat_sequence_most(double confidence, double width)
{
    if (!(confidence > 0.0 && confidence < 1.0 && width > 0.0 && width < 1.0))
        return 0;
    uint64_t low = 0, high = 1;
    while (high < (uint64_t)1 << 40 && !stat_sequence_stop(0.5 * (double)high, high, confidence, width))
        high *= 2;
    for (low = high / 2; high - low > 1;) {
        uint64_t mid = low + (high - low) / 2;
        if (stat_sequence_stop(0.5 * (double)mid, mid, confidence, width))
            high = mid;
        else
            low = mid;
    }
    return high;
}
