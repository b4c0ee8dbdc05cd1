/* SPDX-License-Identifier: MIT
 * Noise that is a function of its place: Philox4x32-10 (Salmon et al. 2011), Gumbel-max draws.
 *
 *   key      first 8 bytes, little-endian, of SHA-256("idem noise 1" seed prompt_digest): 12 bytes
 *            of text without NUL, the seed as 8 bytes little-endian, the 32 bytes of the digest;
 *            its low half is Philox's key word 0
 *   counter  words 0..3: id / 2 (floor), position, sample, beam (its place; 0 without beams)
 *   bits     the upper 52 of the 64 bits word1:word0 of the output for even ids, word3:word2 for
 *            odd ids (the first named is the more significant)
 *   u        (bits + 1/2) / 2^52, exact, in [2^-53, 1 - 2^-53]
 *   noise    g = -det_log(-det_log(u)), between -3.61 and 36.74
 *
 * argmax of score + g over a set is a draw from softmax(score) on that set (Gumbel 1954; Maddison
 * et al. 2014). g depends on the token id and not on the set, so two settings at one place share
 * their noise. */
#include <string.h>

#include <Random123/philox.h>

#include "base/detmath.h"
#include "base/digest.h"
#include "sample/sampler.h"

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10u;
}

static void hex_bytes(uint8_t *out, size_t n, const char *hex)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
}

void sample_key_init(struct sample_key *k, uint64_t seed, const int32_t *prompt, size_t n_prompt,
                     uint32_t sample)
{
    char hex[DIGEST_HEX];
    digest_sha256(prompt, n_prompt * sizeof *prompt, hex);   /* little-endian machines only */
    *k = (struct sample_key){.seed = seed, .sample = sample};
    hex_bytes(k->prompt_digest, sizeof k->prompt_digest, hex);
}

int noise_init(struct noise *z, const struct sample_key *key, struct idem_err *err)
{
    struct digest d = {0};
    char hex[DIGEST_HEX];
    uint8_t b[8];
    if (digest_init(&d) != 0)
        return err_memory(err, "a digest", sizeof b);
    digest_update(&d, "idem noise 1", 12);
    digest_u64(&d, key->seed);
    digest_update(&d, key->prompt_digest, sizeof key->prompt_digest);
    digest_final(&d, hex);
    hex_bytes(b, sizeof b, hex);
    *z = (struct noise){.sample = key->sample, .position = key->position};
    for (int i = 7; i >= 0; i--)
        z->key = z->key << 8 | b[i];
    return 0;
}

static uint64_t bits_of(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3, uint32_t id)
{
    return id & 1u ? ((uint64_t)w3 << 32 | w2) >> 12 : ((uint64_t)w1 << 32 | w0) >> 12;
}

uint64_t noise_bits(const struct noise *z, int32_t id)
{
    philox4x32_ctr_t c = {{(uint32_t)id >> 1, z->position, z->sample, z->beam}};
    philox4x32_key_t k = {{(uint32_t)z->key, (uint32_t)(z->key >> 32)}};
    c = philox4x32(c, k);
    return bits_of(c.v[0], c.v[1], c.v[2], c.v[3], (uint32_t)id);
}

double noise_gumbel(uint64_t bits)
{
    double u = ((double)bits + 0.5) * 0x1p-52;
    return -det_log(-det_log(u));
}

/* Whether a token whose score is below the best sum by -d (d <= 0) can be seen to lose without a
 * logarithm. It wins only if -log u <= e^d. But -log u >= 1 - u, and 1 - u is more than rest - 1
 * in units of 2^-52, where rest = 2^52 - bits; while e^d < 2^e with a factor of 2^0.01 to spare,
 * which is far above all rounding as long as scores are moderate. */
static bool loses(double d, uint64_t bits)
{
    int e = (int)(d * 1.4426950408889634 + 64.01) - 63;   /* floor(d / ln 2 + 0.01) + 1 */
    uint64_t limit = e > -52 ? (uint64_t)1 << (52 + e) : 1u;
    return ((uint64_t)1 << 52) - bits > limit + 1u;
}

int32_t noise_draw(const struct noise *z, const float *score, const int32_t *alive, size_t n)
{
    int32_t id = rank_best(score, alive, n);
    double best = (double)score[id] + noise_gumbel(noise_bits(z, id));
    bool prune = score[id] < 1e6f && score[id] > -1e6f;
    uint32_t have = UINT32_MAX, word[4][NOISE_PAIRS];
    bool dense = (size_t)(alive[n - 1] - alive[0]) / n < NOISE_PAIRS;
    for (size_t i = 0; i < n; i++) {
        uint32_t j = (uint32_t)alive[i];
        double d = (double)score[j] - best;
        if (prune && d < -37.5)
            continue;                       /* beyond the largest noise */
        uint32_t pair = j >> 1, at = pair % NOISE_PAIRS;
        if (dense && pair - at != have) {
            have = pair - at;
            noise_words(z, have, word);
        }
        uint64_t bits = dense ? bits_of(word[0][at], word[1][at], word[2][at], word[3][at], j)
                              : noise_bits(z, alive[i]);
        if (prune && d <= 0.0 && loses(d, bits))
            continue;
        double sum = (double)score[j] + noise_gumbel(bits);
        if (sum > best || (sum == best && (int32_t)j < id)) {
            best = sum;
            id = (int32_t)j;
        }
    }
    return id;
}
