/* SPDX-License-Identifier: MIT
 * Writing JSON into a buffer, value by value, with numbers that read back to the same bits.
 *
 *     struct json j = {.out = &buf};
 *     json_begin(&j, '{');
 *     json_key(&j, "id");      json_i64(&j, 504);
 *     json_key(&j, "tokens");  json_begin(&j, '[');  json_f32(&j, x);  json_end(&j);
 *     json_end(&j);            gives {"id": 504, "tokens": [0.5]}
 *
 * Commas come by themselves. Errors (memory, ceiling) stick in out->failed. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 16 };

struct json {
    struct buf *out;
    unsigned depth;
    char close[JSON_DEPTH_MAX];     /* the bracket that ends each open level */
    bool more[JSON_DEPTH_MAX];      /* the level has a value already */
    bool after_key;
    bool lines;                     /* each element of the outermost array or object on its own line */
};

void json_begin(struct json *j, char bracket);   /* '{' or '['; at most JSON_DEPTH_MAX deep */
void json_end(struct json *j);                   /* the innermost open level */
void json_key(struct json *j, const char *key);  /* plain ASCII */

/* Bytes as a string. What is not UTF-8 becomes U+FFFD, one per broken character. */
void json_str(struct json *j, const char *s, size_t len);
void json_strz(struct json *j, const char *s);   /* NULL gives null */
/* The bytes themselves as an array of numbers. */
void json_bytes(struct json *j, const char *s, size_t len);
void json_i64(struct json *j, int64_t v);
void json_u64(struct json *j, uint64_t v);
void json_f32(struct json *j, float v);          /* %.9g; NaN and infinities give null */
void json_f64(struct json *j, double v);         /* %.17g; NaN and infinities give null */
void json_bool(struct json *j, bool v);
void json_null(struct json *j);
void json_raw(struct json *j, const char *value);   /* text that is a JSON value already */

/* The same numbers elsewhere (CSV, tables). NaN and infinities give "null". */
enum { JSON_NUMBER_MAX = 32 };
const char *json_number_f32(char out[JSON_NUMBER_MAX], float v);
const char *json_number_f64(char out[JSON_NUMBER_MAX], double v);

#endif
