/* SPDX-License-Identifier: MIT
 * Functions that idem does not use: `make lint` compiles every file with this header in front,
 * and a call of one of them does not compile. Bounded buffers (base/buf.h), snprintf, memcpy,
 * strtol and counter-based noise take their place. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* system headers that declare these functions come first */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define strcpy(...) idem_does_not_use_strcpy
#define strcat(...) idem_does_not_use_strcat
#define strncpy(...) idem_does_not_use_strncpy
#define strncat(...) idem_does_not_use_strncat
#define sprintf(...) idem_does_not_use_sprintf
#define vsprintf(...) idem_does_not_use_vsprintf
#define strtok(...) idem_does_not_use_strtok
#define gets(...) idem_does_not_use_gets
#define atoi(...) idem_does_not_use_atoi
#define atol(...) idem_does_not_use_atol
#define atof(...) idem_does_not_use_atof
#define rand(...) idem_does_not_use_rand
#define srand(...) idem_does_not_use_srand
#define random(...) idem_does_not_use_random
#define drand48(...) idem_does_not_use_drand48
#define gmtime(...) idem_does_not_use_gmtime
#define localtime(...) idem_does_not_use_localtime
#define ctime(...) idem_does_not_use_ctime
#define tmpnam(...) idem_does_not_use_tmpnam
#define mktemp(...) idem_does_not_use_mktemp
#define system(...) idem_does_not_use_system

#endif
