/* SPDX-License-Identifier: MIT
 * Reads how an answer is found in an output and which answers are correct. */
#include <string.h>

#include "plan/experiment.h"

/* A word, or {after: TEXT}, {regex: TEXT}, {choice: LETTERS}, {json: FIELD}. */
static int read_parse(struct plan_parse *c, struct fy_node *n, struct answer_rule *rule, struct idem_err *err)
{
    static const char *const allowed[] = {"after", "regex", "choice", "json", NULL};
    struct fy_node *value = NULL;
    if (!plan_yaml_is_mapping(n)) {
        rule->parse = plan_yaml_is_word(n, "whole") ? ANSWER_WHOLE : ANSWER_FIRST_LINE;
        if (rule->parse == ANSWER_FIRST_LINE && !plan_yaml_is_word(n, "first_line"))
            return plan_yaml_err(&c->y, n, err, "parse in answer; allowed: whole, first_line, {after: TEXT}, "
                                 "{regex: EXPRESSION}, {choice: LETTERS}, {json: FIELD}");
        return 0;
    }
    if (plan_yaml_keys(&c->y, n, "parse in answer", allowed, err))
        return -1;
    for (size_t i = 0; allowed[i]; i++) {
        struct fy_node *v = plan_yaml_get(n, allowed[i]);
        if (v && value)
            return plan_yaml_err(&c->y, n, err, "parse in answer has two ways; take one of them out");
        if (!v)
            continue;
        value = v;
        rule->parse = (enum answer_parse_kind)(ANSWER_AFTER + (int)i);
    }
    if (!value)
        return plan_yaml_err(&c->y, n, err, "parse in answer is empty; allowed: after, regex, choice, json");
    rule->arg = plan_yaml_text(&c->y, value, "parse in answer", 4000, &c->p->arena, err);
    return rule->arg ? 0 : -1;
}

/* The attribute that holds the correct answers: every prompt has it, and it can be read. */
static int check_correct(struct plan_parse *c, struct fy_node *at, const struct answer *a, struct idem_err *err)
{
    const struct plan *p = c->p;
    for (size_t i = 0; i < p->n_bases; i++) {
        const struct plan_prompt *q = &p->prompts[i];
        const char *text = NULL;
        struct idem_err why = {0};
        for (size_t k = 0; k < q->n_attributes; k++)
            if (!strcmp(q->attributes[k].name, p->answer.correct))
                text = q->attributes[k].value;
        if (!text || !text[0])
            return plan_yaml_err(&c->y, at, err, "prompt '%s' has no attribute '%s' with its correct answers", q->id,
                                 p->answer.correct);
        if (answer_correct(a, "", 0, text, strlen(text), &why) < 0)
            return plan_yaml_err(&c->y, at, err, "prompt '%s': %s", q->id, why.msg);
    }
    return 0;
}

int plan_parse_answer(struct plan_parse *c, struct fy_node *root, struct idem_err *err)
{
    static const char *const allowed[] = {"parse", "normalize", "match", "correct", NULL};
    struct plan_answer *w = &c->p->answer;
    struct fy_node *map = plan_yaml_get(root, "answer"), *n;
    struct idem_err why = {0};
    if (!map)
        return 0;
    w->given = true;
    if (plan_yaml_keys(&c->y, map, "answer", allowed, err) ||
        !(n = plan_yaml_need(&c->y, map, "answer", "parse", err)) || read_parse(c, n, &w->rule, err))
        return -1;
    struct answer *a = answer_open(&w->rule, &why);
    if (!a)
        return plan_yaml_err(&c->y, n, err, "%s", why.msg);
    answer_close(a);
    if ((n = plan_yaml_get(map, "normalize"))) {
        if (!plan_yaml_is_word(n, "squad") && !plan_yaml_is_word(n, "exact"))
            return plan_yaml_err(&c->y, n, err, "normalize in answer; allowed: squad, exact");
        w->rule.normal = plan_yaml_is_word(n, "exact") ? ANSWER_EXACT : ANSWER_SQUAD;
    }
    if ((n = plan_yaml_get(map, "match"))) {
        if (!plan_yaml_is_word(n, "equals") && !plan_yaml_is_word(n, "contains"))
            return plan_yaml_err(&c->y, n, err, "match in answer; allowed: equals, contains");
        w->rule.match = plan_yaml_is_word(n, "contains") ? ANSWER_CONTAINS : ANSWER_EQUALS;
    }
    if (!(n = plan_yaml_get(map, "correct")))
        return 0;
    if (!(w->correct = plan_yaml_text(&c->y, n, "correct in answer", PLAN_MAX_ID, &c->p->arena, err)))
        return -1;
    if (!(a = answer_open(&w->rule, err)))
        return -1;
    int rc = check_correct(c, n, a, err);
    answer_close(a);
    return rc;
}
