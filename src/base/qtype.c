/* SPDX-License-Identifier: MIT
 * The table of weight types in GGUF files. */
#include "base/qtype.h"

static const struct qtype_info table[] = {
    [QTYPE_F32] = {"F32", 1, 4},       [QTYPE_F16] = {"F16", 1, 2},
    [QTYPE_Q4_0] = {"Q4_0", 32, 18},   [QTYPE_Q4_1] = {"Q4_1", 32, 20},
    [QTYPE_Q5_0] = {"Q5_0", 32, 22},   [QTYPE_Q5_1] = {"Q5_1", 32, 24},
    [QTYPE_Q8_0] = {"Q8_0", 32, 34},   [QTYPE_Q8_1] = {"Q8_1", 32, 36},
    [QTYPE_Q2_K] = {"Q2_K", 256, 84},  [QTYPE_Q3_K] = {"Q3_K", 256, 110},
    [QTYPE_Q4_K] = {"Q4_K", 256, 144}, [QTYPE_Q5_K] = {"Q5_K", 256, 176},
    [QTYPE_Q6_K] = {"Q6_K", 256, 210}, [QTYPE_Q8_K] = {"Q8_K", 256, 292},
    [QTYPE_IQ4_NL] = {"IQ4_NL", 32, 18}, [QTYPE_IQ4_XS] = {"IQ4_XS", 256, 136},
    [QTYPE_I8] = {"I8", 1, 1},         [QTYPE_I16] = {"I16", 1, 2},
    [QTYPE_I32] = {"I32", 1, 4},       [QTYPE_I64] = {"I64", 1, 8},
    [QTYPE_F64] = {"F64", 1, 8},       [QTYPE_BF16] = {"BF16", 1, 2},
    /* Only so that an error can name them. */
    [16] = {"IQ2_XXS", 256, 66},       [17] = {"IQ2_XS", 256, 74},
    [18] = {"IQ3_XXS", 256, 98},       [19] = {"IQ1_S", 256, 50},
    [21] = {"IQ3_S", 256, 110},        [22] = {"IQ2_S", 256, 82},
    [29] = {"IQ1_M", 256, 56},         [31] = {"Q4_0_4_4", 32, 18},
    [32] = {"Q4_0_4_8", 32, 18},       [33] = {"Q4_0_8_8", 32, 18},
    [34] = {"TQ1_0", 256, 54},         [35] = {"TQ2_0", 256, 66},
    [39] = {"MXFP4", 32, 17},          [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},          [42] = {"Q2_0", 64, 18},
};

const struct qtype_info *qtype_info(uint32_t type)
{
    if (type >= sizeof table / sizeof table[0] || !table[type].name)
        return NULL;
    return &table[type];
}
