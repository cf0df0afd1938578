// SPDX-License-Identifier: Apache-2.0
/* Deciding: each column meets its rule, and what the rules together would break is found. */
#include "tools/golden/columns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/builtins.h"

struct deciding {
	const struct golden_conf *conf;
	struct golden_rules *rules;
	const struct golden_database *database;
	json_t *problems;
	const char *domain;
};

static void problem(struct deciding *d, const struct golden_table *t, const struct golden_column *c,
		    const char *what)
{
	json_t *p = json_pack("{s:s,s:s,s:s,s:s}", "database", d->database->name, "schema",
			      t ? t->schema : "", "table", t ? t->name : "", "problem", what);

	if (c) {
		json_object_set_new(p, "column", json_string(c->name));
		json_object_set_new(p, "type", json_string(c->type));
		json_object_set_new(p, "base_type", json_string(c->base));
		json_object_set_new(p, "array", json_boolean(c->array));
	}
	json_array_append_new(d->problems, p);
}

/* Is the same column of the same table listed already? */
static bool is_listed(const struct deciding *d, const struct golden_table *t,
		      const struct golden_column *c)
{
	json_t *p;
	size_t k;

	json_array_foreach (d->problems, k, p) {
		const char *column = json_string_value(json_object_get(p, "column"));

		if (column && strcmp(column, c->name) == 0 &&
		    strcmp(json_string_value(json_object_get(p, "table")), t->name) == 0 &&
		    strcmp(json_string_value(json_object_get(p, "schema")), t->schema) == 0 &&
		    strcmp(json_string_value(json_object_get(p, "database")), d->database->name) ==
			0)
			return true;
	}
	return false;
}

/* Only these get a suggestion. An inherited column is listed once, where it comes from; its values
 * are here. */
static void undecided(struct deciding *d, const struct golden_table *t,
		      const struct golden_column *c)
{
	json_t *up = c->ancestors ? json_loads(c->ancestors, 0, NULL) : NULL, *p;
	json_t *top = json_array_get(up, json_array_size(up) - 1);
	const struct golden_table from = {
	    .schema = top ? (char *)json_string_value(json_array_get(top, 0)) : t->schema,
	    .name = top ? (char *)json_string_value(json_array_get(top, 1)) : t->name,
	};

	if (!is_listed(d, &from, c)) {
		problem(d, &from, c, "nobody decided about it");
		p = json_array_get(d->problems, json_array_size(d->problems) - 1);
		json_object_set_new(p, "undecided", json_true());
		/* Nobody goes where a foreign table leads. */
		if (t->kind == 'r')
			json_object_set_new(p, "sampled", json_pack("[s,s]", t->schema, t->name));
	}
	json_decref(up);
}

/* --- the rule for a column --- */

/* Its own, or that of the nearest table it is inherited from: partitions follow their root. */
static struct golden_rule *rule_of(struct deciding *d, const struct golden_table *t,
				   const struct golden_column *c)
{
	const char *db = d->database->name;
	struct golden_rule *rule = golden_rules_find(d->rules, db, t->schema, t->name, c->name);
	json_t *up = !rule && c->ancestors ? json_loads(c->ancestors, 0, NULL) : NULL, *v;
	size_t k;

	json_array_foreach (up, k, v) {
		if (rule)
			break;
		rule = golden_rules_find(d->rules, db, json_string_value(json_array_get(v, 0)),
					 json_string_value(json_array_get(v, 1)), c->name);
	}
	json_decref(up);
	return rule;
}

/* EMPTY for the table, or for the partitioned table it is a part of. */
static struct golden_rule *empty_rule(struct deciding *d, const struct golden_table *t)
{
	const char *db = d->database->name;
	struct golden_rule *rule = golden_rules_find(d->rules, db, t->schema, t->name, NULL);

	if (!rule && t->root_name)
		rule = golden_rules_find(d->rules, db, t->root_schema, t->root_name, NULL);
	return rule;
}

static cow_errno apply_rule(struct deciding *d, const struct golden_table *t,
			    struct golden_column *c, const struct golden_rule *rule)
{
	struct cow_error why = COW_ERROR_INIT;
	char text[1200];

	c->origin = strdup(rule->origin);
	if (!c->origin)
		return -ENOMEM;
	if (rule->decision == GOLDEN_KEEP) {
		c->decision = GOLDEN_KEEP;
		return 0;
	}
	c->rule = golden_call_text(&rule->call);
	if (!c->rule)
		return -ENOMEM;
	if (golden_expression(t, c, &rule->call, d->domain, &c->expression, &why) == 0) {
		c->decision = GOLDEN_MASK;
		return 0;
	}
	c->why_not = strdup(why.text);
	snprintf(text, sizeof(text), "the rule %s (%s) does not fit: %s", c->rule, c->origin,
		 why.text);
	problem(d, t, c, text);
	return c->why_not ? 0 : -ENOMEM;
}

static cow_errno decide_column(struct deciding *d, const struct golden_table *t,
			       struct golden_column *c)
{
	const struct golden_rule *rule = rule_of(d, t, c);

	if (t->kind == 'f' && rule && rule->decision != GOLDEN_KEEP) {
		problem(d, t, c,
			"rows of a foreign table are elsewhere and cannot be masked: KEEP "
			"its columns if what it leads to may be seen");
		return 0;
	}
	if (rule)
		return apply_rule(d, t, c, rule);
	if (c->generated)
		c->decision = GOLDEN_DERIVED;
	else
		undecided(d, t, c);
	return 0;
}

static cow_errno decide_table(struct deciding *d, struct golden_table *t)
{
	const struct golden_rule *empty = t->kind == 'r' ? empty_rule(d, t) : NULL;
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < t->n_columns; k++) {
		struct golden_column *c = &t->columns[k];

		if (empty) {
			c->decision = GOLDEN_EMPTY;
			c->origin = strdup(empty->origin);
			r = c->origin ? 0 : -ENOMEM;
		} else {
			r = decide_column(d, t, c);
		}
	}
	return r;
}

static void decide_large_objects(struct deciding *d, struct golden_database *db)
{
	const struct golden_rule *rule = golden_rules_large_objects(d->rules, db->name);
	char text[160];

	db->large_objects_decision = rule ? rule->decision : GOLDEN_UNDECIDED;
	if (rule || db->large_objects == 0)
		return;
	snprintf(text, sizeof(text),
		 "nobody decided about its %llu large objects: LARGE OBJECTS EMPTY; or KEEP;",
		 (unsigned long long)db->large_objects);
	problem(d, NULL, NULL, text);
}

/* --- keys --- */

static const struct golden_column *find(const struct golden_database *db, const char *schema,
					const char *table, const char *column)
{
	for (size_t t = 0; t < db->n_tables; t++) {
		const struct golden_table *g = &db->tables[t];
		bool itself = strcmp(g->schema, schema) == 0 && strcmp(g->name, table) == 0;
		bool root = g->root_name && strcmp(g->root_schema, schema) == 0 &&
			    strcmp(g->root_name, table) == 0;

		for (size_t c = 0; (itself || root) && c < g->n_columns; c++)
			if (strcmp(g->columns[c].name, column) == 0)
				return &g->columns[c];
	}
	return NULL;
}

/* A rule makes equal values of equal values only when it knows no more than the value. */
static bool same_fakes(const struct golden_column *a, const struct golden_column *b)
{
	if (a->decision != b->decision)
		return false;
	if (a->decision != GOLDEN_MASK)
		return true;
	if (strcmp(a->rule, b->rule) != 0)
		return false;
	if (strcmp(a->rule, "hash") == 0 && strcmp(a->base, b->base) != 0)
		return strcmp(a->base, "int2") != 0 && strcmp(b->base, "int2") != 0;
	/* Fakes of a unique column are longer than those of another, and what is cut differs. */
	return a->length == b->length &&
	       (a->unique == b->unique || strcmp(a->rule, "hash") == 0 ||
		strcmp(a->rule, "email") == 0 || strcmp(a->rule, "shape") == 0 ||
		strcmp(a->rule, "iban") == 0);
}

static void check_key(struct deciding *d, const struct golden_key *key)
{
	const struct golden_database *db = d->database;
	const struct golden_column *from = find(db, key->schema, key->table, key->column);
	const struct golden_column *to = find(db, key->to_schema, key->to_table, key->to_column);
	const struct golden_table t = {.schema = key->schema, .name = key->table};
	char text[700];

	if (!from || !to || from->decision == GOLDEN_UNDECIDED || to->decision == GOLDEN_UNDECIDED)
		return;
	if (from->decision == GOLDEN_EMPTY || same_fakes(from, to))
		return;
	if (from->decision == GOLDEN_MASK && strcmp(from->rule, "null") == 0)
		return;
	if (to->decision == GOLDEN_EMPTY)
		snprintf(text, sizeof(text), "it refers to %s.%s, which is EMPTY", key->to_schema,
			 key->to_table);
	else
		snprintf(text, sizeof(text),
			 "it refers to %s.%s.%s, and both need the same rule (here %s, there %s)",
			 key->to_schema, key->to_table, key->to_column,
			 from->rule ? from->rule : "KEEP", to->rule ? to->rule : "KEEP");
	problem(d, &t, from, text);
}

/* --- all --- */

static cow_errno note_unused(const struct golden_rules *rules, json_t *notes)
{
	for (size_t k = 0; k < rules->n; k++) {
		const struct golden_rule *rule = &rules->rules[k];
		char text[700];

		if (rule->used || rule->large_objects)
			continue;
		snprintf(text, sizeof(text), "%s: there is no %s.%s%s%s", rule->origin,
			 rule->schema, rule->table, rule->column ? "." : "",
			 rule->column ? rule->column : "");
		if (json_array_append_new(notes, json_string(text)) < 0)
			return -ENOMEM;
	}
	return 0;
}

cow_errno golden_decide(const struct golden_conf *conf, struct golden_rules *rules,
			struct golden_database *databases, size_t n, json_t **ret_problems,
			json_t **ret_notes, struct cow_error *e)
{
	struct deciding d = {.conf = conf,
			     .rules = rules,
			     .problems = json_array(),
			     .domain = conf->fake_domains ? conf->fake_domains[0] : "test.example"};
	cow_errno r = d.problems ? 0 : -ENOMEM;

	for (size_t k = 0; r == 0 && k < n; k++) {
		struct golden_database *db = &databases[k];

		d.database = db;
		for (size_t t = 0; r == 0 && t < db->n_tables; t++)
			r = decide_table(&d, &db->tables[t]);
		decide_large_objects(&d, db);
		for (size_t f = 0; r == 0 && f < db->n_keys; f++)
			check_key(&d, &db->keys[f]);
	}
	*ret_problems = d.problems;
	*ret_notes = json_array();
	if (r == 0)
		r = note_unused(rules, *ret_notes);
	return r < 0 ? cow_fail(e, r, "no memory to decide about columns") : 0;
}

cow_errno golden_refuse(const json_t *problems, struct cow_error *e)
{
	size_t n = json_array_size(problems), k, at = 0;
	char list[700] = "";
	json_t *p;

	json_array_foreach (problems, k, p) {
		const char *column = json_string_value(json_object_get(p, "column"));
		const char *hint = json_string_value(json_object_get(p, "suggestion"));

		if (k == 5 || at > sizeof(list) - 100)
			break;
		at += (size_t)snprintf(list + at, sizeof(list) - at, "\n  %s.%s%s%s: %s%s%s",
				       json_string_value(json_object_get(p, "schema")),
				       json_string_value(json_object_get(p, "table")),
				       column ? "." : "", column ? column : "",
				       json_string_value(json_object_get(p, "problem")),
				       hint ? "; perhaps " : "", hint ? hint : "");
		at = COW_MIN(at, sizeof(list) - 1);
	}
	cow_fail(e, -EPERM,
		 "%zu thing%s of the source %s not decided about, so nothing is published:%s%s", n,
		 n == 1 ? "" : "s", n == 1 ? "is" : "are", list, n > k ? "\n  ..." : "");
	return cow_hint(e, -EPERM, "See all with: cowfs golden check. The image stays as it is.");
}
