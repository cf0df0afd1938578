// SPDX-License-Identifier: Apache-2.0
/* renew: a new root from the image before it: a branch of that, in which the tables that changed
 * get the rows of the masked branch, and new files.
 *
 * The schema is the same on both sides (carry.h), so only rows, sequences and materialized views
 * move. TRUNCATE and COPY in one transaction leave no dead row; foreign keys are taken away before
 * and made again after, which checks them; statistics are written anew. Old files are unlinked by
 * the server, fresh WAL and the rest of the end are as of an image that is written whole. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/carry.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/server.h"
#include "tools/pg/pg_carry.h"

/* Both sides of a database, ready for statements. */
struct pair {
	struct pg_session *masked, *image;
};

static cow_errno open_one(const struct golden_server *on, const char *database,
			  struct pg_session **ret, struct cow_error *e)
{
	struct pg_address at = golden_address(on, database);
	cow_errno r = cow_pg_open(&at, ret, e);

	return r < 0 ? r : cow_pg_carry_begin(*ret, e);
}

static cow_errno open_pair(const struct golden_image *g, const char *database, struct pair *ret,
			   struct cow_error *e)
{
	cow_errno r = open_one(&g->run->masked, database, &ret->masked, e);

	return r < 0 ? r : open_one(&g->server, database, &ret->image, e);
}

static void close_pair(struct pair *p)
{
	cow_pg_close(p->masked);
	cow_pg_close(p->image);
}

/* --- foreign keys --- */

struct statements {
	char **drop, **make;
	size_t n;
};

static cow_errno keep_key(void *arg, const char *drop, const char *make)
{
	struct statements *l = arg;
	char **more = reallocarray(l->drop, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->drop = more;
	more = reallocarray(l->make, l->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->make = more;
	l->drop[l->n] = strdup(drop);
	l->make[l->n] = strdup(make);
	l->n++;
	return l->drop[l->n - 1] && l->make[l->n - 1] ? 0 : -ENOMEM;
}

static cow_errno run_keys(struct pg_session *s, char *const *statements, size_t n,
			  struct cow_error *e)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < n; k++)
		r = cow_pg_carry_key(s, statements[k], e);
	return r;
}

static void release(struct statements *l)
{
	for (size_t k = 0; k < l->n; k++) {
		free(l->drop[k]);
		free(l->make[k]);
	}
	free(l->drop);
	free(l->make);
}

/* --- rows, several tables at once --- */

struct work {
	const struct golden_image *g;
	const struct golden_database *database;
	pthread_mutex_t lock;
	size_t next;      /* lock */
	cow_errno failed; /* lock: the first failure ends all */
	struct cow_error error;
};

static const struct golden_table *take(struct work *w)
{
	WITH_LOCK(&w->lock);
	while (w->failed == 0 && w->next < w->database->n_tables) {
		const struct golden_table *t = &w->database->tables[w->next++];

		if (t->kind == 'r' && !t->carried)
			return t;
	}
	return NULL;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	struct cow_error e = COW_ERROR_INIT;
	struct pair p = {NULL, NULL};
	const struct golden_table *t;
	cow_errno r = open_pair(w->g, w->database->name, &p, &e);

	while (r == 0 && (t = take(w)))
		r = cow_pg_carry_table(p.masked, p.image, t->label, &e);
	close_pair(&p);
	WITH_LOCK(&w->lock);
	if (r < 0 && w->failed == 0) {
		w->failed = r;
		w->error = e;
	}
	return NULL;
}

static cow_errno copy_rows(const struct golden_image *g, const struct golden_database *d,
			   struct cow_error *e)
{
	struct work w = {.g = g, .database = d, .lock = PTHREAD_MUTEX_INITIALIZER};
	unsigned jobs = COW_MAX(g->run->conf->jobs, 1u), n = 0;
	pthread_t *threads = calloc(jobs, sizeof(*threads));

	for (; threads && n < jobs; n++)
		if (pthread_create(&threads[n], NULL, worker, &w) != 0)
			break;
	for (unsigned k = 0; k < n; k++)
		pthread_join(threads[k], NULL);
	free(threads);
	if (n == 0)
		return cow_fail(e, -EAGAIN, "cannot start a thread");
	if (w.failed < 0)
		*e = w.error;
	return w.failed;
}

/* --- a database --- */

static cow_errno renew_database(const struct golden_image *g, const struct golden_database *d,
				struct cow_error *e)
{
	CLEANUP_FREE char *changed = golden_carry_others(d);
	struct statements keys = {NULL, NULL, 0};
	struct pair p = {NULL, NULL};
	cow_errno r =
	    changed ? open_pair(g, d->name, &p, e) : cow_fail(e, -ENOMEM, "out of memory");

	golden_say(g->run, "renew %s in the new image", d->name);
	if (r == 0)
		r = cow_pg_carry_keys(p.image, changed, keep_key, &keys, e);
	if (r == 0)
		r = run_keys(p.image, keys.drop, keys.n, e);
	if (r == 0)
		r = copy_rows(g, d, e);
	if (r == 0)
		r = run_keys(p.image, keys.make, keys.n, e);
	if (r == 0)
		r = cow_pg_carry_sequences(p.masked, p.image, e);
	if (r == 0)
		r = cow_pg_refresh_views(p.image, e);
	release(&keys);
	close_pair(&p);
	return r < 0 ? cow_wrap(e, r, "renew %s", d->name) : 0;
}

cow_errno golden_renew(struct golden_image *g, struct cow_error *e)
{
	char name[COW_BRANCH_MAX + 1], parent[COW_BRANCH_MAX + 1];
	const struct golden_branch how = {.name = name, .purpose = "image", .parent = parent};
	cow_errno r;

	snprintf(name, sizeof(name), "%s/image", g->run->prefix);
	snprintf(parent, sizeof(parent), "%s-images/%s", g->run->conf->name, g->run->carry.from);
	r = golden_branch_make(g->run, &how, &g->server, e);
	if (r == 0)
		r = golden_build_start(g, e);
	for (size_t k = 0; r == 0 && k < g->run->n_databases; k++)
		r = renew_database(g, &g->run->databases[k], e);
	return r;
}

/* Tables that were taken over are frozen and have their statistics. */
static cow_errno vacuum_database(const struct golden_image *g, const struct golden_database *d,
				 struct cow_error *e)
{
	struct pg_session *s = NULL;
	cow_errno r = open_one(&g->server, d->name, &s, e);

	for (size_t k = 0; r == 0 && k < d->n_tables; k++)
		if (d->tables[k].kind == 'r' && !d->tables[k].carried)
			r = cow_pg_vacuum(s, d->tables[k].label, e);
	if (r == 0)
		r = cow_pg_rewrite_statistics(s, e);
	cow_pg_close(s);
	return r < 0 ? cow_wrap(e, r, "database %s", d->name) : 0;
}

cow_errno golden_renew_vacuum(struct golden_image *g, struct cow_error *e)
{
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < g->run->n_databases; k++)
		r = vacuum_database(g, &g->run->databases[k], e);
	return r;
}
