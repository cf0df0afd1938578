// SPDX-License-Identifier: Apache-2.0
/* Masking: workers take tables from a queue, the largest first, each with a connection of its own.
 *
 * Foreign keys, triggers and rules do not fire (session_replication_role), and equal values have
 * equal fakes, so no order among tables matters: what refers to another table still does
 * afterwards. New roots are dumped from here, so constraints are checked again when that dump is
 * restored. */
#include "tools/golden/mask.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "tools/pg/pg_golden.h"

struct task {
	const struct golden_database *database;
	const struct golden_table *table; /* a leaf stands for its whole tree when whole_tree */
	bool empty, whole_tree, replace;
	uint64_t weight; /* bytes of the table, or of its tree */
};

struct work {
	struct golden_run *run;
	const char *salt;
	struct task *tasks;
	size_t n;

	pthread_mutex_t lock;
	size_t next, done; /* lock */
	cow_errno failed;  /* lock: the first failure ends all */
	struct cow_error error;
	json_t *tables; /* lock */
};

/* --- what there is to do --- */

static bool needs_tree(const struct golden_table *t)
{
	for (size_t k = 0; t->root_name && k < t->n_columns; k++)
		if (t->columns[k].partition_key && t->columns[k].decision == GOLDEN_MASK)
			return true;
	return false;
}

static bool same_tree(const struct task *a, const struct golden_database *d,
		      const struct golden_table *t)
{
	return a->whole_tree && a->database == d &&
	       strcmp(a->table->root_schema, t->root_schema) == 0 &&
	       strcmp(a->table->root_name, t->root_name) == 0;
}

static void add_task(struct work *w, const struct golden_database *d, const struct golden_table *t)
{
	struct task task = {.database = d, .table = t, .weight = t->bytes};
	bool any = false;

	for (size_t k = 0; k < t->n_columns; k++) {
		const struct golden_column *c = &t->columns[k];

		task.empty |= c->decision == GOLDEN_EMPTY;
		any |= c->decision == GOLDEN_MASK;
		task.replace |= c->decision == GOLDEN_MASK && c->unique;
	}
	if (t->kind != 'r' || t->carried || (!any && !task.empty))
		return;
	/* A new value of the key may belong into another partition: the tree is one task. */
	task.whole_tree = !task.empty && needs_tree(t);
	task.replace |= task.whole_tree;
	for (size_t k = 0; task.whole_tree && k < w->n; k++) {
		if (same_tree(&w->tasks[k], d, t)) {
			w->tasks[k].weight += t->bytes;
			return;
		}
	}
	w->tasks[w->n++] = task;
}

static int by_weight(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return x->weight < y->weight ? 1 : x->weight > y->weight ? -1 : 0;
}

static cow_errno list_tasks(struct work *w, struct cow_error *e)
{
	const struct golden_run *run = w->run;
	size_t most = 0;

	for (size_t d = 0; d < run->n_databases; d++)
		most += run->databases[d].n_tables;
	w->tasks = calloc(most + 1, sizeof(*w->tasks));
	if (!w->tasks)
		return cow_fail(e, -ENOMEM, "no memory to mask");
	for (size_t d = 0; d < run->n_databases; d++)
		for (size_t t = 0; t < run->databases[d].n_tables; t++)
			add_task(w, &run->databases[d], &run->databases[d].tables[t]);
	qsort(w->tasks, w->n, sizeof(*w->tasks), by_weight);
	return 0;
}

/* --- one table --- */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static cow_errno mask_rows(struct pg_session *s, const struct task *task, uint64_t *ret_rows,
			   struct cow_error *e)
{
	const struct golden_table *t = task->table;
	struct pg_mask_table m = {.schema = task->whole_tree ? t->root_schema : t->schema,
				  .name = task->whole_tree ? t->root_name : t->name,
				  .replace = task->replace,
				  .whole_tree = task->whole_tree};
	struct pg_mask_column *columns = calloc(t->n_columns, sizeof(*columns));
	cow_errno r;

	if (!columns)
		return cow_fail(e, -ENOMEM, "no memory to mask %s", t->name);
	for (size_t k = 0; k < t->n_columns; k++)
		if (!t->columns[k].generated)
			columns[m.n++] =
			    (struct pg_mask_column){t->columns[k].name, t->columns[k].expression};
	m.columns = columns;
	r = cow_pg_mask_table(s, &m, ret_rows, e);
	free(columns);
	return r;
}

static void report(struct work *w, const struct task *task, uint64_t rows, double seconds)
{
	const struct golden_table *t = task->table;
	const char *schema = task->whole_tree ? t->root_schema : t->schema;
	const char *name = task->whole_tree ? t->root_name : t->name;

	WITH_LOCK(&w->lock);
	w->done++;
	golden_say(w->run, "%s %s.%s.%s: %llu rows, %.1f s (%zu of %zu tables)",
		   task->empty ? "emptied" : "masked", task->database->name, schema, name,
		   (unsigned long long)rows, seconds, w->done, w->n);
	json_array_append_new(w->tables, json_pack("{s:s,s:s,s:s,s:I,s:b,s:f}", "database",
						   task->database->name, "schema", schema, "table",
						   name, "rows", (json_int_t)rows, "emptied",
						   task->empty, "seconds", seconds));
}

static cow_errno run_task(struct work *w, struct pg_session *s, const struct task *task,
			  struct cow_error *e)
{
	const struct golden_table *t = task->table;
	double began = now_s();
	uint64_t rows = 0;
	cow_errno r = task->empty ? cow_pg_empty_table(s, t->schema, t->name, &rows, e)
				  : mask_rows(s, task, &rows, e);

	if (r == 0)
		report(w, task, rows, now_s() - began);
	return r;
}

/* --- workers --- */

static const struct task *take(struct work *w)
{
	WITH_LOCK(&w->lock);
	return w->failed == 0 && w->next < w->n ? &w->tasks[w->next++] : NULL;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	const struct golden_database *at = NULL;
	struct pg_session *s = NULL;
	struct cow_error e = COW_ERROR_INIT;
	const struct task *task;
	cow_errno r = 0;

	while (r == 0 && (task = take(w))) {
		if (task->database != at) {
			struct pg_address to =
			    golden_address(&w->run->masked, task->database->name);

			cow_pg_close(s);
			s = NULL;
			at = task->database;
			r = cow_pg_open(&to, &s, &e);
			if (r == 0)
				r = cow_pg_mask_begin(s, w->salt, &e);
		}
		if (r == 0)
			r = run_task(w, s, task, &e);
		if (r < 0)
			cow_wrap(&e, r, "database %s", task->database->name);
	}
	cow_pg_close(s);
	WITH_LOCK(&w->lock);
	if (r < 0 && w->failed == 0) {
		w->failed = r;
		w->error = e;
	}
	return NULL;
}

static cow_errno run_workers(struct work *w, unsigned jobs, struct cow_error *e)
{
	pthread_t *threads = calloc(jobs, sizeof(*threads));
	unsigned n = 0;

	for (; threads && n < jobs; n++)
		if (pthread_create(&threads[n], NULL, worker, w) != 0)
			break;
	for (unsigned k = 0; k < n; k++)
		pthread_join(threads[k], NULL);
	free(threads);
	if (n == 0)
		return cow_fail(e, -EAGAIN, "cannot start a thread");
	if (w->failed < 0)
		*e = w->error;
	return w->failed;
}

/* --- the whole --- */

static cow_errno in_each(const struct golden_server *s, const struct golden_database *d, size_t n,
			 bool install, struct cow_error *e)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < n; k++) {
		struct pg_address at = golden_address(s, d[k].name);
		struct pg_session *c = NULL;

		r = cow_pg_open(&at, &c, e);
		if (r == 0)
			r = install ? cow_pg_mask_install(c, golden_mask_sql, e)
				    : cow_pg_mask_remove(c, e);
		cow_pg_close(c);
		if (r < 0)
			cow_wrap(e, r, "database %s", d[k].name);
	}
	return r;
}

cow_errno golden_mask_install(const struct golden_server *s, const struct golden_database *d,
			      size_t n, struct cow_error *e)
{
	return in_each(s, d, n, true, e);
}

cow_errno golden_mask_remove(const struct golden_server *s, const struct golden_database *d,
			     size_t n, struct cow_error *e)
{
	return in_each(s, d, n, false, e);
}

static cow_errno empty_large_objects(const struct golden_run *run, struct cow_error *e)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < run->n_databases; k++) {
		const struct golden_database *d = &run->databases[k];
		struct pg_address at = golden_address(&run->masked, d->name);
		struct pg_session *c = NULL;

		if (d->large_objects == 0 || d->large_objects_decision == GOLDEN_KEEP)
			continue;
		r = cow_pg_open(&at, &c, e);
		if (r == 0)
			r = cow_pg_empty_large_objects(c, e);
		cow_pg_close(c);
	}
	return r;
}

cow_errno golden_mask(struct golden_run *run, struct cow_error *e)
{
	struct work w = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER, .tables = json_array()};
	char salt[GOLDEN_SALT_SIZE];
	cow_errno r = golden_salt(run->conf, run->store, salt, e);

	w.salt = salt;
	if (r == 0)
		r = list_tasks(&w, e);
	if (r == 0)
		r = golden_mask_install(&run->masked, run->databases, run->n_databases, e);
	if (r == 0 && w.n > 0)
		r = run_workers(&w, (unsigned)COW_MIN((size_t)run->conf->jobs, w.n), e);
	if (r == 0)
		r = empty_large_objects(run, e);
	if (r == 0)
		r = golden_mask_remove(&run->masked, run->databases, run->n_databases, e);
	json_object_set_new(run->report, "tables", w.tables);
	explicit_bzero(salt, sizeof(salt));
	free(w.tasks);
	return r;
}
