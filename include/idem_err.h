/* SPDX-License-Identifier: MIT
 * The error that every function of idem fills: a code for programs, a sentence for people. */
#ifndef IDEM_ERR_H
#define IDEM_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

enum idem_err_code {
    IDEM_OK = 0,
    IDEM_ERR_IO,          /* a file, folder, disk or socket refused */
    IDEM_ERR_FORMAT,      /* bytes that are not what they claim to be */
    IDEM_ERR_USAGE,       /* an argument, option or key outside its range */
    IDEM_ERR_UNSUPPORTED, /* well formed, but idem cannot do it */
    IDEM_ERR_MEMORY,      /* an allocation failed */
    IDEM_ERR_LIMIT,       /* a declared ceiling was reached (context, buffer, cache) */
    IDEM_ERR_NUMERIC,     /* NaN or infinity where a number must be */
    IDEM_ERR_INTERRUPTED  /* the caller asked to stop */
};

/* Zero-initialise before first use. msg is UTF-8, one sentence or two, without a newline at
 * its end: what is wrong, where (file, key, tensor, line, byte offset), what to do. */
struct idem_err {
    enum idem_err_code code;
    char msg[1024];
};

#ifdef __cplusplus
}
#endif
#endif
