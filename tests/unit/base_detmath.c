/* SPDX-License-Identifier: MIT
 * det_* against true values (tests/data/base/detmath.tsv, made by tools/make_detmath_table.py). */
#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/detmath.h"

static const struct func {
    const char *name;
    double (*f)(double);
} funcs[] = {
    {"exp", det_exp}, {"log", det_log}, {"log1p", det_log1p},
    {"sin", det_sin}, {"cos", det_cos}, {"tanh", det_tanh},
};

static double ulp(double x)
{
    x = fabs(x);
    return nextafter(x, INFINITY) - x;
}

static double apply(const char *name, double x, double y)
{
    if (strcmp(name, "pow") == 0)
        return det_pow(x, y);
    for (size_t i = 0; i < sizeof funcs / sizeof funcs[0]; i++)
        if (strcmp(name, funcs[i].name) == 0)
            return funcs[i].f(x);
    fail_msg("unknown function %s", name);
    return 0;
}

static void test_table(void **state)
{
    (void)state;
    FILE *f = fopen("tests/data/base/detmath.tsv", "r");
    assert_non_null(f);
    char line[512];
    size_t n = 0;
    double worst = 0;
    char worst_line[512] = "";
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        char *save = NULL, *name = strtok_r(line, "\t\n", &save), *field[4];
        for (int i = 0; i < 4; i++) {
            field[i] = strtok_r(NULL, "\t\n", &save);
            assert_non_null(field[i]);
        }
        double x = strtod(field[0], NULL), y = strtod(field[1], NULL);
        double near = strtod(field[2], NULL), rest = strtod(field[3], NULL);
        double got = apply(name, x, y);
        double off = fabs((got - near) - rest) / ulp(near);
        double allowed = 2.0;
        if (strcmp(name, "pow") == 0)
            allowed = 4.0 * fmax(1.0, fabs(y * log(x)));
        if (!(off <= allowed))
            fail_msg("%s(%a, %a) = %a, true %a, off by %g ulp (allowed %g)", name, x, y, got,
                     near, off, allowed);
        if (off > worst) {
            worst = off;
            (void)snprintf(worst_line, sizeof worst_line, "%s(%a, %a)", name, x, y);
        }
        n++;
    }
    fclose(f);
    print_message("%zu values, worst %.3f ulp: %s\n", n, worst, worst_line);
    assert_true(n > 3700);
}

static void test_edges(void **state)
{
    (void)state;
    static const struct { const char *name; double x, y, want; } t[] = {
        {"exp", 710.0, 0, INFINITY}, {"exp", INFINITY, 0, INFINITY}, {"exp", -INFINITY, 0, 0.0},
        {"exp", -709.0, 0, 0.0}, {"exp", 0.0, 0, 1.0}, {"exp", -0.0, 0, 1.0},
        {"exp", NAN, 0, NAN}, {"log", 0.0, 0, -INFINITY}, {"log", -0.0, 0, -INFINITY},
        {"log", -1.0, 0, NAN}, {"log", INFINITY, 0, INFINITY}, {"log", 1.0, 0, 0.0},
        {"log", NAN, 0, NAN}, {"log", -INFINITY, 0, NAN}, {"log1p", -1.0, 0, -INFINITY},
        {"log1p", -1.5, 0, NAN}, {"log1p", 0.0, 0, 0.0}, {"log1p", -0.0, 0, -0.0},
        {"log1p", INFINITY, 0, INFINITY}, {"pow", 2.0, 0.0, 1.0}, {"pow", 1.0, 1e300, 1.0},
        {"pow", 2.0, 10.0, 1024.0}, {"pow", 0.0, 2.0, NAN}, {"pow", -2.0, 2.0, NAN},
        {"pow", 2.0, 2000.0, INFINITY}, {"pow", 2.0, -2000.0, 0.0}, {"sin", -0.0, 0, -0.0},
        {"sin", 0x1.0000001p27, 0, NAN}, {"sin", NAN, 0, NAN}, {"sin", INFINITY, 0, NAN},
        {"cos", 0.0, 0, 1.0}, {"cos", INFINITY, 0, NAN}, {"tanh", -0.0, 0, -0.0},
        {"tanh", INFINITY, 0, 1.0}, {"tanh", -INFINITY, 0, -1.0}, {"tanh", NAN, 0, NAN},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        double got = apply(t[i].name, t[i].x, t[i].y);
        bool same = isnan(t[i].want) ? isnan(got)
                                     : got == t[i].want && !signbit(got) == !signbit(t[i].want);
        if (!same)
            fail_msg("%s(%a, %a) = %a, want %a", t[i].name, t[i].x, t[i].y, got, t[i].want);
    }
}

/* What must hold exactly: odd and even functions, and monotony of exp next to its cuts. */
/* Many at once: the bits of one at a time, at every length and place. */
static void test_exp_many(void **state)
{
    static const double edges[] = {
        0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, NAN, 0x1.62e42fefa39efp+9, 0x1.62e42fefa39fp+9,
        -0x1.6232bdd7abcd2p+9, -0x1.6232bdd7abcd3p+9, 1e308, -1e308, 5e-324, -37.5, 88.0
    };
    enum { N_EDGES = sizeof edges / sizeof edges[0], N = 4096 };
    static double x[N], y[N];
    uint64_t r = 1;
    (void)state;
    for (size_t i = 0; i < N; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        double u = (double)(r >> 11) * 0x1p-53;
        x[i] = i % 7 == 0 ? edges[(r >> 40) % N_EDGES] : i % 2 ? 1500.0 * u - 750.0 : -40.0 * u;
    }
    for (size_t from = 0; from < 8; from++)
        for (size_t n = 0; from + n <= N; n = n < 40 ? n + 1 : n * 3) {
            memcpy(y, x, sizeof y);
            det_exp_many(y + from, n);
            for (size_t i = 0; i < N; i++) {
                double want = i < from || i >= from + n ? x[i] : det_exp(x[i]);
                assert_memory_equal(&y[i], &want, sizeof want);
            }
        }
}

static void test_symmetry(void **state)
{
    (void)state;
    uint64_t s = 7;
    for (int i = 0; i < 20000; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        double x = (double)(s >> 11) * 0x1p-53 * (i % 2 ? 1e6 : 8.0);
        assert_true(det_sin(-x) == -det_sin(x));
        assert_true(det_cos(-x) == det_cos(x));
        assert_true(det_tanh(-x) == -det_tanh(x));
        assert_true(fabs(det_tanh(x)) <= 1.0 && fabs(det_sin(x)) <= 1.0);
    }
    for (int k = -1000; k <= 1000; k++) {   /* where exp changes its k */
        double x = (k + 0.5) * 0.6931471805599453;
        double a = det_exp(x * (1 - 0x1p-40)), b = det_exp(x), c = det_exp(x * (1 + 0x1p-40));
        assert_true(x > 0 ? a <= b && b <= c : a >= b && b >= c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_exp_many), cmocka_unit_test(test_symmetry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
