/* SPDX-License-Identifier: MIT
 * Filling and extending struct idem_err. Libraries fill, only src/cli prints. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "idem_err.h"

/* Sets code and message (printf style; a longer message is cut at a UTF-8 boundary). Control
 * characters, newlines too, and malformed UTF-8 become '?': words from a file are safe to print.
 * err may be NULL. Returns -1, so that a caller can `return err_set(...)`. */
int err_set(struct idem_err *err, enum idem_err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " before the message that err holds already; the code stays.
 * For adding the place (file, tensor) on the way up. Returns -1. */
int err_prefix(struct idem_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Shorthand: ERR_MEMORY naming what could not be had and its size. Returns -1. */
int err_memory(struct idem_err *err, const char *what, unsigned long long n_bytes);

#endif
