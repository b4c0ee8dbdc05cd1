/* SPDX-License-Identifier: MIT
 * libFuzzer: any bytes as a table of prompts. What is refused must say where, in printable words; what
 * is accepted has all its cells, each well-formed and as long as its line at most. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/utf8.h"
#include "plan/tsv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char path[64];
    struct idem_err err = {0};
    struct arena a;
    struct plan_tsv t;
    size_t column;
    int fd = memfd_create("table", MFD_CLOEXEC);
    MUST(fd >= 0 && (len == 0 || write(fd, data, len) == (ssize_t)len));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    arena_init(&a, (size_t)1 << 30);
    if (plan_tsv_read(&t, path, &a, &err) == 0) {
        MUST(t.n_rows > 0 && t.n_columns > 0);
        for (size_t i = 0; i < t.n_rows; i++)
            MUST(t.lines[i] > (i ? t.lines[i - 1] : 1));
        for (size_t i = 0; i < t.n_rows * t.n_columns; i++)
            MUST(utf8_valid(t.cells[i], strlen(t.cells[i]), NULL) && strlen(t.cells[i]) <= len);
        MUST(plan_tsv_column(&t, t.columns[t.n_columns - 1], &column, &err) == 0 && column == t.n_columns - 1);
        MUST(plan_tsv_column(&t, "no\tname", &column, &err) == -1 && err.msg[0]);
    } else {
        MUST(err.code != IDEM_OK && strncmp(err.msg, path, strlen(path)) == 0);
        for (const char *p = err.msg; *p; p++)
            MUST((unsigned char)*p >= 0x20 && *p != 0x7F);
    }
    arena_release(&a);
    close(fd);
    return 0;
}
