/* SPDX-License-Identifier: MIT
 * A strict reader over libfyaml: every error says file:line:column and what is allowed.
 * Aliases, tags and duplicate keys are refused; a scalar has the type that is asked for. */
#ifndef PLAN_YAML_H
#define PLAN_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct fy_node;
struct fy_document;

struct plan_yaml {
    const char *path;            /* for messages */
    struct fy_document *doc;
};

/* Parses text[len] (UTF-8, at most 4 MiB), which must outlive y. */
int plan_yaml_open(struct plan_yaml *y, const char *path, const char *text, size_t len,
                   struct idem_err *err);
void plan_yaml_close(struct plan_yaml *y);
struct fy_node *plan_yaml_root(const struct plan_yaml *y);   /* NULL: an empty document */

/* "<path>:<line>:<column>: <message>", at the first scalar in or under `at`. Returns -1. */
int plan_yaml_err(const struct plan_yaml *y, struct fy_node *at, struct idem_err *err,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Checks that node is a mapping whose keys are all in allowed (NULL-terminated); `what` names
 * it in messages. An unknown key is answered with the nearest allowed one. */
int plan_yaml_keys(const struct plan_yaml *y, struct fy_node *node, const char *what,
                   const char *const *allowed, struct idem_err *err);
int plan_yaml_sequence(const struct plan_yaml *y, struct fy_node *node, const char *what,
                       size_t min, size_t max, struct idem_err *err);   /* number of items, or -1 */
bool plan_yaml_is_sequence(struct fy_node *node);
bool plan_yaml_is_mapping(struct fy_node *node);
bool plan_yaml_is_word(struct fy_node *node, const char *word);   /* that plain or quoted scalar */

/* The value of a key of a mapping; NULL if absent. plan_yaml_need: absence is an error. */
struct fy_node *plan_yaml_get(struct fy_node *map, const char *key);
struct fy_node *plan_yaml_need(const struct plan_yaml *y, struct fy_node *map, const char *what,
                               const char *key, struct idem_err *err);
/* Walks a sequence or the pairs of a mapping; *at starts as NULL. Returns false at the end. */
bool plan_yaml_item(struct fy_node *seq, void **at, struct fy_node **value);
bool plan_yaml_pair(struct fy_node *map, void **at, struct fy_node **key, struct fy_node **value);

/* Typed scalars. Text is copied into the arena; lengths are in bytes. */
const char *plan_yaml_text(const struct plan_yaml *y, struct fy_node *node, const char *what,
                           size_t max_len, struct arena *a, struct idem_err *err);
int plan_yaml_bool(const struct plan_yaml *y, struct fy_node *node, const char *what, bool *out,
                   struct idem_err *err);
int plan_yaml_u64(const struct plan_yaml *y, struct fy_node *node, const char *what, uint64_t min,
                  uint64_t max, uint64_t *out, struct idem_err *err);
/* A finite number written in digits. Its range is for the caller to check. */
int plan_yaml_f64(const struct plan_yaml *y, struct fy_node *node, const char *what, double *out,
                  struct idem_err *err);

/* The word of a NULL-terminated list that is nearest to s (edit distance at most a third of its
 * length), or NULL. */
const char *plan_nearest(const char *s, size_t len, const char *const *words);

#endif
