/* SPDX-License-Identifier: MIT
 * Prints one hash over the bits of det_* for many inputs; tests/cli/detmath_bits.sh compares it
 * between compilers and optimisation levels. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/detmath.h"

static uint64_t hash = 0xcbf29ce484222325u;   /* FNV-1a over 64-bit words */

static void add(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    if (v != v)
        u = 0x7FF8000000000000u;   /* the sign and payload of a NaN are not defined */
    hash = (hash ^ u) * 0x100000001b3u;
}

int main(void)
{
    uint64_t s = 20240607;
    for (int i = 0; i < 200000; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        double x;
        memcpy(&x, &s, sizeof x);                       /* any bit pattern */
        double u = (double)(s >> 11) * 0x1p-53, w = (u - 0.5) * (i % 2 ? 40.0 : 1400.0);
        const double in[] = {x, u, w, u * 0x1p27, -u * 0x1p-20, 1.0 + w * 0x1p-40};
        for (int j = 0; j < 6; j++) {
            add(det_exp(in[j]));
            add(det_log(in[j]));
            add(det_log1p(in[j]));
            add(det_sin(in[j]));
            add(det_cos(in[j]));
            add(det_tanh(in[j]));
            add(det_pow(in[j], w * 0.01));
        }
    }
    printf("%016" PRIx64 "\n", hash);
    return 0;
}
