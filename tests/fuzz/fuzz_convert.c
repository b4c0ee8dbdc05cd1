/* SPDX-License-Identifier: MIT
 * libFuzzer: good checkpoints with edits in one of their files. Whatever is damaged, convert either
 * says so and leaves nothing, or writes a file that the reader takes.
 *
 *   input = u8 checkpoint, u8 file, then edits: u8 kind, u16 offset, u8 length or value, bytes */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "convert/convert.h"
#include "gguf/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(x)                                                     \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%d: not so: %s\n", __LINE__, #x);      \
            abort();                                                \
        }                                                           \
    } while (0)

enum { N_FOLDERS = 4, MAX_FILES = 9, PATH = 256, FILE_MAX = 1 << 20 };
static const char *const folders[N_FOLDERS] = {"llama-shards", "llama3-json", "gpt2-slow", "gemma3-text"};
static const char *const files[MAX_FILES] = {
    "config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "merges.txt",
    "model.safetensors", "model.safetensors.index.json", "generation_config.json",
};
static char root[64];
static struct buf good[N_FOLDERS][MAX_FILES];    /* len 0: the checkpoint has no such file */

static void write_file(const char *path, const char *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    MUST(f && fwrite(data, 1, len, f) == len && fclose(f) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void tear_down(void)
{
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void set_up(void)
{
    /* in memory where there is such a folder: every file is synced */
    snprintf(root, sizeof root, "%s/idem-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    MUST(mkdtemp(root));
    atexit(tear_down);
    for (int i = 0; i < N_FOLDERS; i++) {
        char path[PATH];
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        MUST(mkdir(path, 0700) == 0);
        for (int k = 0; k < MAX_FILES; k++) {
            struct idem_err err = {0};
            buf_init(&good[i][k], FILE_MAX);
            snprintf(path, sizeof path, "tests/data/convert/%s/%s", folders[i], files[k]);
            if (access(path, R_OK) != 0)
                continue;
            MUST(file_read(&good[i][k], path, &err) == 0);
            snprintf(path, sizeof path, "%s/%s/%s", root, folders[i], files[k]);
            write_file(path, good[i][k].data, good[i][k].len);
        }
        for (int shard = 1; i == 0 && shard <= 3; shard++) {
            char from[PATH], cwd[PATH / 2];
            MUST(getcwd(cwd, sizeof cwd));
            snprintf(from, sizeof from, "%s/tests/data/convert/%s/model-%05d-of-00003.safetensors", cwd, folders[i], shard);
            snprintf(path, sizeof path, "%s/%s/model-%05d-of-00003.safetensors", root, folders[i], shard);
            MUST(symlink(from, path) == 0);
        }
    }
}

/* Overwrites, deletes, inserts, cuts, repeats. */
static void edit(struct buf *b, const uint8_t *p, size_t len)
{
    while (len >= 4) {
        size_t at = b->len ? (size_t)(p[1] | p[2] << 8) % b->len : 0, n = p[3];
        switch (p[0] % 5) {
        case 0:
            if (b->len)
                b->data[at] = (char)p[3];
            break;
        case 1:
            n = n < b->len - at ? n : b->len - at;
            memmove(b->data + at, b->data + at + n, b->len - at - n);
            b->len -= n;
            break;
        case 2:
            b->len = at;
            break;
        case 3:
            n = n < b->len - at ? n : b->len - at;
            for (size_t i = 0; i < n; i++) {
                char c = b->data[at + i];
                buf_add(b, &c, 1);
            }
            break;
        default:
            for (size_t i = 0; i < 4 && 4 + i < len && at + i < b->len; i++)
                b->data[at + i] = (char)p[4 + i];
            p += len >= 8 ? 4 : 0;
            len -= len >= 8 ? 4 : 0;
        }
        p += 4;
        len -= 4;
    }
}

static void convert(const char *dir)
{
    struct idem_err err = {0};
    struct convert_result r;
    char out[PATH];
    snprintf(out, sizeof out, "%s/out.gguf", root);
    struct convert_options opt = {.dir = dir, .out = out};
    if (convert_checkpoint(&opt, &r, &err) == 0) {
        struct gguf *g = gguf_open(out, &err);
        MUST(g && gguf_n_tensors(g) == r.n_tensors);
        gguf_close(g);
        MUST(unlink(out) == 0);
    } else {
        MUST(err.code != IDEM_OK && strlen(err.msg) > 10);
        MUST(access(out, F_OK) != 0);
        for (const char *p = err.msg; *p; p++)
            MUST((unsigned char)*p >= 0x20 && *p != 0x7F);
    }
    buf_release(&r.notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char dir[PATH], path[PATH * 2];
    if (!root[0])
        set_up();
    if (len < 2)
        return 0;
    unsigned i = data[0] % N_FOLDERS, k = data[1] % MAX_FILES;
    if (!good[i][k].len)
        return 0;
    struct buf b;
    buf_init(&b, 2 * FILE_MAX);
    buf_add(&b, good[i][k].data, good[i][k].len);
    edit(&b, data + 2, len - 2);
    snprintf(dir, sizeof dir, "%s/%s", root, folders[i]);
    snprintf(path, sizeof path, "%s/%s", dir, files[k]);
    write_file(path, b.data, b.len);
    convert(dir);
    write_file(path, good[i][k].data, good[i][k].len);
    buf_release(&b);
    return 0;
}
