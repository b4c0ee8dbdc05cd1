/* SPDX-License-Identifier: MIT
 * One experiment file on its way into a plan; shared by the files that read it. */
#ifndef PLAN_EXPERIMENT_H
#define PLAN_EXPERIMENT_H

#include "plan/intern.h"

struct plan_parse {
    struct plan *p;
    struct plan_yaml y;          /* the experiment file */
    const struct plan_options *o;
    const struct plan_prompt *declared;   /* [n_prompts_declared], also those that --limit leaves out */
};

#define PLAN_ID_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
/* Letters, digits and ._- only: ids become columns, anchors and file names. */
const char *plan_parse_id(const struct plan_yaml *y, struct fy_node *node, const char *what,
                          struct arena *a, struct idem_err *err);
/* A path that does not begin with '/' is relative to the experiment file. Fills path, which the
 * caller releases. -1: no memory. */
int plan_parse_path(struct plan_parse *c, const char *name, struct buf *path);
int plan_parse_prompts(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
/* Adds the perturbed prompts behind the others. */
int plan_parse_perturbations(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
/* How answers are found and compared. */
int plan_parse_answer(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
int plan_prompt_digest(struct plan_prompt *q, struct idem_err *err);

/* The index of a setting by its id, or -1 with an error at node that lists near names. */
int plan_parse_setting(struct plan_parse *c, struct fy_node *node, const char *what,
                       uint32_t *index, struct idem_err *err);
int plan_parse_hosts(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
/* seeds, repeats, hosts, controls: which part of the grid each covers. */
int plan_parse_parts(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
int plan_parse_claims(struct plan_parse *c, struct fy_node *root, struct idem_err *err);
int plan_parse_decision(struct plan_parse *c, struct fy_node *root, struct idem_err *err);

#endif
