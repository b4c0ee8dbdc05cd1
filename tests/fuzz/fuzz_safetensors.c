/* SPDX-License-Identifier: MIT
 * libFuzzer: any bytes as a safetensors file. What is accepted is readable to its last byte and
 * its tensors fill the data; what is refused says so in printable words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

static void check_refusal(const struct idem_err *err)
{
    MUST(err->code == IDEM_ERR_FORMAT);
    MUST(strncmp(err->msg, "fuzz: ", 6) == 0);
    for (const char *p = err->msg; *p; p++)
        MUST((unsigned char)*p >= 0x20 && *p != 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct idem_err err = {0};
    struct safetensors s = {0};
    if (safetensors_open_memory(&s, data, len, "fuzz", &err) != 0) {
        check_refusal(&err);
        return 0;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < s.n; i++) {
        const struct st_tensor *t = &s.tensors[i];
        MUST(t->name.len && t->offset + t->n_bytes <= len && t->data == data + t->offset);
        MUST(t->n_elems == t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3]);
        const volatile uint8_t *p = t->data;
        for (uint64_t k = 0; k < t->n_bytes; k++)
            (void)p[k];
        bytes += t->n_bytes;
    }
    MUST(bytes <= len);
    safetensors_close(&s);
    return 0;
}
