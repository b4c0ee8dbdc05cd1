/* SPDX-License-Identifier: MIT
 * One experiment file on its way into a plan; shared by experiment.c and parts.c only. */
#ifndef PLAN_EXPERIMENT_H
#define PLAN_EXPERIMENT_H

#include "plan/intern.h"

struct plan_parse {
    struct plan *p;
    struct plan_yaml y;          /* the experiment file */
    const struct plan_options *o;
};

/* The index of a setting by its id, or -1 with an error at node that lists near names. */
int plan_parse_setting(struct plan_parse *c, struct fy_node *node, const char *what,
                       uint32_t *index, struct idem_err *err);
int plan_parse_hosts(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
/* seeds, repeats, hosts, controls: which part of the grid each covers. */
int plan_parse_parts(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
int plan_parse_claims(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
int plan_parse_decision(struct plan_parse *c, struct fy_node *root, struct idem_err *err);

#endif
