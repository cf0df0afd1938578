// SPDX-License-Identifier: Apache-2.0
/* look: `golden check` and `golden preview`: rules against data, without making an image. */
#include "tools/golden/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "tools/daemon/wire.h"
#include "tools/golden/columns.h"
#include "tools/golden/mask.h"
#include "tools/golden/run.h"
#include "tools/golden/server.h"
#include "tools/golden/source.h"
#include "tools/pg/pg_golden.h"

/* --- check --- */

static json_t *summary(const struct golden_conf *conf, const struct golden_rules *rules,
		       const struct golden_database *d, size_t n, json_t *problems, json_t *notes)
{
	size_t tables = 0, columns = 0;

	for (size_t k = 0; k < n; k++) {
		tables += d[k].n_tables;
		for (size_t t = 0; t < d[k].n_tables; t++)
			columns += d[k].tables[t].n_columns;
	}
	return json_pack("{s:s,s:i,s:s,s:i,s:i,s:i,s:O,s:O}", "config", conf->path, "rules",
			 (int)rules->n, "rules_hash", rules->hash, "databases", (int)n, "tables",
			 (int)tables, "columns", (int)columns, "problems", problems, "notes",
			 notes);
}

/* Everything of a check that asks a server. */
static cow_errno check_at(const struct golden_conf *conf, const struct pg_address *at, json_t **ret,
			  struct cow_error *e)
{
	struct golden_rules rules = {0};
	struct golden_database *d = NULL;
	json_t *problems = NULL, *notes = NULL;
	size_t n = 0;
	cow_errno r = golden_rules_load(conf->rules, &rules, e);

	if (r == 0)
		r = golden_inventory(conf, at, &rules, &d, &n, e);
	if (r == 0)
		r = golden_decide(conf, &rules, d, n, &problems, &notes, e);
	if (r == 0)
		r = golden_suggest(at, problems, e);
	if (r == 0)
		*ret = summary(conf, &rules, d, n, problems, notes);
	json_decref(problems);
	json_decref(notes);
	golden_databases_free(d, n);
	golden_rules_release(&rules);
	return r;
}

/* A throw-away branch of what is looked at: whatever runs there is left alone. */
static cow_errno open_copy(struct golden_run *run, const char *branch, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1];
	const struct golden_branch how = {
	    .name = golden_branch_name(run, GOLDEN_MASKED, name, sizeof(name)),
	    .purpose = "mask",
	    .parent = branch,
	    .ephemeral = true,
	};
	cow_errno r = golden_branch_make(run, &how, &run->masked, e);

	return r < 0 ? r : golden_server_start(run, &run->masked, NULL, e);
}

static _Noreturn void answer(int out, cow_errno r, json_t *result, const struct cow_error *e)
{
	struct wire w;

	wire_init(&w, out, WIRE_ANSWER_MAX);
	wire_write(&w, r < 0 ? wire_error(r, e) : json_pack("{s:o}", "result", result));
	fflush(NULL);
	_exit(0);
}

static const char *looked_at; /* for check_body; set before the fork */

static void check_body(struct golden_run *run, int out)
{
	struct cow_error e = COW_ERROR_INIT;
	json_t *result = NULL;
	cow_errno r = open_copy(run, looked_at, &e);

	if (r == 0) {
		struct pg_address at = golden_address(&run->masked, NULL);

		r = check_at(run->conf, &at, &result, &e);
	}
	answer(out, r, result, &e);
}

/* Looks do not wait for a refresh, nor it for them: each has branches under a name of its own. */
static void begin_look(struct golden_run *run, struct command_call *call,
		       const struct golden_conf *conf)
{
	golden_run_begin(run, call, conf);
	snprintf(run->prefix, sizeof(run->prefix), "%s-look-%d", conf->name, (int)getpid());
}

static cow_errno check_branch(struct command_call *call, const struct golden_conf *conf,
			      const char *branch, json_t **ret, struct cow_error *e)
{
	struct golden_run run;
	cow_errno r;

	begin_look(&run, call, conf);
	looked_at = branch;
	r = golden_run_apart(&run, check_body, ret, e);
	golden_run_end(&run);
	return r;
}

cow_errno golden_check(struct command_call *call, const struct golden_conf *conf,
		       const struct golden_look *where, json_t **ret, struct cow_error *e)
{
	const char *url = where->url, *store;
	cow_errno r;

	/* The source itself, where it can be asked; else what yesterday's image shows. */
	if (!url && !where->branch && conf->source == GOLDEN_BASEBACKUP)
		url = conf->url;
	if (url) {
		r = check_at(conf, &(struct pg_address){.url = url}, ret, e);
	} else {
		r = command_store(call, &store);
		if (r < 0)
			*e = call->error;
		else
			r = check_branch(call, conf, where->branch ? where->branch : conf->name,
					 ret, e);
	}
	if (r == 0 && json_array_size(json_object_get(*ret, "problems")) > 0)
		r = golden_refuse(json_object_get(*ret, "problems"), e);
	return r;
}

/* --- preview --- */

static const struct golden_preview *previewed; /* for preview_body; set before the fork */

static const struct golden_table *find_table(const struct golden_run *run, const char **ret_db,
					     struct cow_error *e)
{
	const char *dot = strrchr(previewed->table, '.');
	const char *name = dot ? dot + 1 : previewed->table;
	char schema[64] = "public";

	if (dot)
		snprintf(schema, sizeof(schema), "%.*s", (int)(dot - previewed->table),
			 previewed->table);
	for (size_t d = 0; d < run->n_databases; d++) {
		if (previewed->database && strcmp(run->databases[d].name, previewed->database) != 0)
			continue;
		for (size_t t = 0; t < run->databases[d].n_tables; t++) {
			const struct golden_table *g = &run->databases[d].tables[t];
			bool itself = strcmp(g->schema, schema) == 0 && strcmp(g->name, name) == 0;
			bool root = g->root_name && strcmp(g->root_schema, schema) == 0 &&
				    strcmp(g->root_name, name) == 0;

			*ret_db = run->databases[d].name;
			if (itself || (root && g->rows > 0))
				return g;
		}
	}
	cow_fail(e, -ENOENT, "there is no table %s.%s with rows", schema, name);
	return NULL;
}

struct showing {
	const struct pg_mask_table *table;
	json_t *rows;
};

static cow_errno show_row(void *arg, const char *const *before, const char *const *after)
{
	struct showing *s = arg;
	json_t *row = json_object();

	for (size_t k = 0; k < s->table->n; k++) {
		const char *old = previewed->show ? before[k] : NULL;
		json_t *cell = json_pack("{s:s?}", "after", after[k]);

		if (previewed->show)
			json_object_set_new(cell, "before", old ? json_string(old) : json_null());
		json_object_set_new(row, s->table->columns[k].name, cell);
	}
	return json_array_append_new(s->rows, row) < 0 ? -ENOMEM : 0;
}

static cow_errno preview_table(struct golden_run *run, const struct golden_table *t, const char *db,
			       json_t *rows, struct cow_error *e)
{
	struct pg_mask_column *columns = calloc(t->n_columns, sizeof(*columns));
	struct pg_mask_table m = {.schema = t->schema, .name = t->name, .columns = columns};
	struct showing s = {&m, rows};
	struct pg_address at = golden_address(&run->masked, db);
	struct pg_session *c = NULL;
	char salt[GOLDEN_SALT_SIZE];
	cow_errno r = columns ? golden_salt(run->conf, run->store, salt, e)
			      : cow_fail(e, -ENOMEM, "no memory for a preview");

	for (size_t k = 0; columns && k < t->n_columns; k++)
		if (t->columns[k].decision == GOLDEN_MASK)
			columns[m.n++] =
			    (struct pg_mask_column){t->columns[k].name, t->columns[k].expression};
	if (r == 0 && m.n == 0)
		r = cow_fail(e, -ENOENT, "no column of %s.%s has a rule", t->schema, t->name);
	if (r == 0)
		r = golden_mask_install(&run->masked, run->databases, run->n_databases, e);
	if (r == 0)
		r = cow_pg_open(&at, &c, e);
	if (r == 0)
		r = cow_pg_mask_begin(c, salt, e);
	if (r == 0)
		r = cow_pg_mask_preview(c, &m, previewed->rows, show_row, &s, e);
	cow_pg_close(c);
	free(columns);
	return r;
}

/* Rules, and what is in run->masked. Columns nobody decided about are no hindrance for a look. */
static cow_errno decide_loosely(struct golden_run *run, struct cow_error *e)
{
	struct pg_address at = golden_address(&run->masked, NULL);
	struct golden_rules rules = {0};
	json_t *problems = NULL, *notes = NULL;
	cow_errno r = golden_rules_load(run->conf->rules, &rules, e);

	if (r == 0)
		r = golden_inventory(run->conf, &at, &rules, &run->databases, &run->n_databases, e);
	if (r == 0)
		r = golden_decide(run->conf, &rules, run->databases, run->n_databases, &problems,
				  &notes, e);
	golden_rules_release(&rules);
	json_decref(problems);
	json_decref(notes);
	return r;
}

static void preview_body(struct golden_run *run, int out)
{
	struct cow_error e = COW_ERROR_INIT;
	const struct golden_table *t;
	json_t *rows = json_array(), *result = NULL;
	const char *db = NULL;
	cow_errno r = 0;

	if (previewed->branch) {
		r = open_copy(run, previewed->branch, &e);
	} else {
		r = golden_fetch(run, &e);
		if (r == 0)
			r = golden_run_branch(run, &e);
	}
	if (r == 0)
		r = decide_loosely(run, &e);
	if (r == 0) {
		t = find_table(run, &db, &e);
		r = t ? preview_table(run, t, db, rows, &e) : -ENOENT;
	}
	if (r == 0)
		result = json_pack("{s:s,s:s,s:O,s:b}", "database", db, "table", previewed->table,
				   "rows", rows, "originals", previewed->show);
	json_decref(rows);
	answer(out, r, result, &e);
}

cow_errno golden_preview(struct command_call *call, const struct golden_conf *conf,
			 const struct golden_preview *how, json_t **ret, struct cow_error *e)
{
	const char *store;
	struct golden_run run;
	cow_errno r = command_store(call, &store);

	if (r < 0) {
		*e = call->error;
		return r;
	}
	begin_look(&run, call, conf);
	previewed = how;
	r = golden_run_apart(&run, preview_body, ret, e);
	golden_run_end(&run);
	return r;
}
