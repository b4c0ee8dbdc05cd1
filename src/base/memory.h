/* SPDX-License-Identifier: MIT
 * How much memory this process may use. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdint.h>

/* Bytes of physical memory, or of the control group that this process is in if that is less. */
uint64_t memory_limit(void);

#endif
