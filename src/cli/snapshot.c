/* SPDX-License-Identifier: MIT
 * A Hugging Face checkpoint (config, tokenizer, safetensors) into a folder, for `idem convert`. */
#include "cli/snapshot.h"

#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { SHARDS_MAX = 500, LIST_BYTES = (SHARDS_MAX + 20) * HUB_FILE_MAX };

static const char list_name[] = ".idem-complete";
static const char config_name[] = "config.json", index_name[] = "model.safetensors.index.json",
                  weights_name[] = "model.safetensors";

/* What a repository may have or not; the rest of it is not wanted. */
static const char *const others[] = {
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
};

struct snapshot {
    struct downloads *s;
    struct hub_ref ref;            /* file and revision change from file to file */
    const char *folder;
    struct buf list;               /* names of what is there, a line each */
    bool fetched;
};

static int place(char out[CACHE_PATH], const char *folder, const char *file, struct idem_err *err)
{
    int n = snprintf(out, CACHE_PATH, "%s/%s", folder, file);
    if (n > 0 && n < CACHE_PATH)
        return 0;
    return err_set(err, IDEM_ERR_LIMIT, "the name of the cache folder is too long (%d bytes); set "
                   "XDG_CACHE_HOME to a shorter one", n);
}

bool snapshot_complete(const char *folder)
{
    char path[CACHE_PATH];
    return place(path, folder, list_name, NULL) == 0 && access(path, R_OK) == 0;
}

static int get(struct snapshot *w, const char *file, bool optional, enum download_end *end, struct idem_err *err)
{
    char path[CACHE_PATH];
    struct hub_facts facts;
    struct download d = {.ref = &w->ref, .path = path, .optional = optional};
    if (place(path, w->folder, file, err) != 0 || hub_set_file(&w->ref, file, err) != 0 ||
        download_file(w->s, &d, end, &facts, err) != 0)
        return -1;
    w->fetched = w->fetched || *end == DOWNLOAD_DONE;
    if (*end == DOWNLOAD_ABSENT)
        return 0;
    buf_addf(&w->list, "%s\n", file);
    if (strcmp(file, config_name) == 0 && facts.commit[0])
        snprintf(w->ref.revision, sizeof w->ref.revision, "%s", facts.commit);   /* the rest comes from there too */
    return w->list.failed ? err_memory(err, "a list of files", w->list.max) : 0;
}

/* The names of files in the index, each once, a line each. */
static int shard_names(const struct snapshot *w, json_object *map, struct buf *names, struct idem_err *err)
{
    size_t n = 0;
    buf_adds(names, "\n");
    json_object_object_foreach(map, tensor, value) {
        const char *file = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
        size_t len = strlen(file);
        char line[HUB_FILE_MAX + 2];
        struct hub_ref check = w->ref;
        if (len < 13 || strchr(file, '/') || strcmp(file + len - 12, ".safetensors") != 0 ||
            hub_set_file(&check, file, NULL) != 0)
            return err_set(err, IDEM_ERR_FORMAT, "%s of hf:%s/%s says that tensor '%.100s' is in '%.100s', which is "
                           "no name of a safetensors file", index_name, w->ref.owner, w->ref.repo, tensor, file);
        snprintf(line, sizeof line, "\n%s\n", file);
        if (names->data && strstr(names->data, line))
            continue;
        if (++n > SHARDS_MAX)
            return err_set(err, IDEM_ERR_LIMIT, "%s of hf:%s/%s names over %d files", index_name, w->ref.owner,
                           w->ref.repo, SHARDS_MAX);
        buf_addf(names, "%s\n", file);
    }
    if (n == 0)
        return err_set(err, IDEM_ERR_FORMAT, "%s of hf:%s/%s names no file", index_name, w->ref.owner, w->ref.repo);
    return names->failed ? err_memory(err, "a list of files", names->max) : 0;
}

/* The files that the index names. */
static int shards(struct snapshot *w, json_object *map, struct idem_err *err)
{
    struct buf names;
    enum download_end end;
    buf_init(&names, SHARDS_MAX * HUB_FILE_MAX);
    int rc = shard_names(w, map, &names, err);
    for (char *name = names.data, *line_end; rc == 0 && (line_end = strchr(++name, '\n')); name = line_end) {
        *line_end = '\0';
        rc = get(w, name, false, &end, err);
    }
    buf_release(&names);
    return rc;
}

static int by_index(struct snapshot *w, struct idem_err *err)
{
    char path[CACHE_PATH];
    struct file_map file = {0};
    json_object *root = NULL, *map = NULL;
    if (place(path, w->folder, index_name, err) != 0 || file_map(&file, path, err) != 0)
        return -1;
    json_tokener *t = json_tokener_new();
    int rc = -1;
    if (!t)
        err_memory(err, "a JSON reader", 0);
    else if (file.len > INT32_MAX)
        err_set(err, IDEM_ERR_FORMAT, "'%s' is too long for an index", path);
    else
        root = json_tokener_parse_ex(t, (const char *)file.data, (int)file.len);
    if (root && json_object_object_get_ex(root, "weight_map", &map) && json_object_is_type(map, json_type_object))
        rc = shards(w, map, err);
    else if (t)
        err_set(err, IDEM_ERR_FORMAT, "'%s' is no index of safetensors files: it has no \"weight_map\"", path);
    json_object_put(root);
    if (t)
        json_tokener_free(t);
    file_unmap(&file);
    return rc;
}

static int weights(struct snapshot *w, struct idem_err *err)
{
    enum download_end end;
    if (get(w, index_name, true, &end, err) != 0)
        return -1;
    if (end != DOWNLOAD_ABSENT)
        return by_index(w, err);
    if (get(w, weights_name, true, &end, err) != 0)
        return -1;
    if (end != DOWNLOAD_ABSENT)
        return 0;
    return err_set(err, IDEM_ERR_UNSUPPORTED, "hf:%s/%s has no safetensors files at revision %.40s, perhaps only "
                   "pytorch_model.bin. Look for a revision that has them (hf:%s/%s@REVISION; often refs/pr/N), or "
                   "let transformers write them (from_pretrained, then save_pretrained) and convert that folder",
                   w->ref.owner, w->ref.repo, w->ref.revision, w->ref.owner, w->ref.repo);
}

/* 1: all that the list names is there and right. */
static int is_whole(struct snapshot *w, struct idem_err *err)
{
    char path[CACHE_PATH];
    struct buf list;
    int rc = snapshot_complete(w->folder) ? 1 : 0;
    buf_init(&list, LIST_BYTES);
    if (rc == 1)
        rc = place(path, w->folder, list_name, err) == 0 && file_read(&list, path, err) == 0 ? 1 : -1;
    for (char *line = list.data, *end; rc == 1 && line && *line && (end = strchr(line, '\n')); line = end + 1) {
        struct hub_facts facts;
        struct hub_ref check = w->ref;
        *end = '\0';
        if (hub_set_file(&check, line, err) != 0 || place(path, w->folder, line, err) != 0)
            rc = -1;
        else
            rc = cache_check(&w->s->user, path, NULL, &facts, err);
    }
    buf_release(&list);
    return rc;
}

int snapshot_fetch(struct downloads *s, const struct hub_ref *repo, const char *folder, bool *fetched,
                   struct idem_err *err)
{
    char path[CACHE_PATH];
    struct snapshot w = {.s = s, .ref = *repo, .folder = folder};
    enum download_end end;
    *fetched = false;
    int whole = is_whole(&w, err);
    if (whole != 0)
        return whole > 0 ? 0 : -1;
    buf_init(&w.list, LIST_BYTES);
    buf_adds(&w.list, "\n");
    int rc = place(path, folder, list_name, err);
    if (rc == 0)
        unlink(path);
    if (rc == 0)
        rc = get(&w, config_name, false, &end, err);
    for (size_t i = 0; rc == 0 && i < sizeof others / sizeof others[0]; i++)
        rc = get(&w, others[i], true, &end, err);
    if (rc == 0)
        rc = weights(&w, err);
    if (rc == 0)
        rc = file_write(path, w.list.data + 1, w.list.len - 1, err);
    *fetched = w.fetched;
    buf_release(&w.list);
    return rc;
}
