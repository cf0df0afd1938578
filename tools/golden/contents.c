// SPDX-License-Identifier: Apache-2.0
/* contents: the image has the rows that it should have: of a table that was taken over those that
 * the image before was published with, as many as the source has; of any other one those of the
 * masked branch. Values are never in what is said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/server.h"
#include "tools/pg/pg_carry.h"

struct names {
	char **names;
	size_t n;
};

static cow_errno keep_name(void *arg, const char *name)
{
	struct names *l = arg;
	char **more = reallocarray(l->names, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->names = more;
	more[l->n] = strdup(name);
	return more[l->n++] ? 0 : -ENOMEM;
}

static void release(struct names *l)
{
	for (size_t k = 0; k < l->n; k++)
		free(l->names[k]);
	free(l->names);
}

/* Both sides of a database. */
struct sides {
	const struct golden_database *database;
	struct pg_session *masked, *image;
	struct names names, image_names;
};

static cow_errno open_side(const struct golden_server *on, const char *database,
			   struct pg_session **ret, struct names *names, struct cow_error *e)
{
	struct pg_address at = golden_address(on, database);
	cow_errno r = cow_pg_open(&at, ret, e);

	if (r == 0)
		r = cow_pg_carry_begin(*ret, e);
	return r < 0 ? r : cow_pg_tables(*ret, keep_name, names, e);
}

static struct golden_table *find(const struct golden_database *d, const char *label)
{
	for (size_t k = 0; k < d->n_tables; k++)
		if (d->tables[k].label && strcmp(d->tables[k].label, label) == 0)
			return &d->tables[k];
	return NULL; /* of an extension */
}

/* *ret_same false: `why` says what is different. */
static cow_errno compare_table(const struct sides *s, const char *label, bool *ret_same, char *why,
			       size_t size, struct cow_error *e)
{
	struct golden_table *t = find(s->database, label);
	char wanted[PG_CONTENTS_SIZE] = "", got[PG_CONTENTS_SIZE] = "";
	uint64_t rows = 0;
	cow_errno r = 0;

	if (t && t->carried)
		snprintf(wanted, sizeof(wanted), "%s", t->contents);
	else
		r = cow_pg_contents(s->masked, label, 0, wanted, NULL, e);
	if (r == 0)
		r = cow_pg_contents(s->image, label, 0, got, &rows, e);
	*ret_same = strcmp(wanted, got) == 0;
	snprintf(why, size, "%s: %s '%s %s', image '%s %s'", s->database->name,
		 t && t->carried ? "image before" : "masked", label, wanted, label, got);
	if (t && t->carried && *ret_same && t->columns[0].decision != GOLDEN_EMPTY &&
	    rows != t->rows) {
		*ret_same = false;
		snprintf(why, size, "%s: %s has %llu rows in the source, %llu in the image",
			 s->database->name, label, (unsigned long long)t->rows,
			 (unsigned long long)rows);
	}
	if (t)
		snprintf(t->contents, sizeof(t->contents), "%s", got);
	return r;
}

static cow_errno compare_database(struct sides *s, uint64_t *count, bool *ret_same, char *why,
				  size_t size, struct cow_error *e)
{
	cow_errno r = 0;
	size_t k = 0;

	*ret_same = true;
	for (; r == 0 && *ret_same && k < s->names.n && k < s->image_names.n; k++) {
		if (strcmp(s->names.names[k], s->image_names.names[k]) != 0)
			break;
		r = compare_table(s, s->names.names[k], ret_same, why, size, e);
	}
	*count += k;
	if (r == 0 && *ret_same && (k < s->names.n || k < s->image_names.n)) {
		*ret_same = false;
		snprintf(why, size, "%s: masked has table %s, the image %s", s->database->name,
			 k < s->names.n ? s->names.names[k] : "none",
			 k < s->image_names.n ? s->image_names.names[k] : "none");
	}
	return r;
}

cow_errno golden_prove_contents(struct golden_image *g, struct cow_error *e)
{
	bool same = true;
	char why[700] = "";
	uint64_t count = 0;
	cow_errno r = 0;

	for (size_t d = 0; r == 0 && same && d < g->run->n_databases; d++) {
		struct sides s = {.database = &g->run->databases[d]};

		r = open_side(&g->run->masked, s.database->name, &s.masked, &s.names, e);
		if (r == 0)
			r = open_side(&g->server, s.database->name, &s.image, &s.image_names, e);
		if (r == 0)
			r = compare_database(&s, &count, &same, why, sizeof(why), e);
		cow_pg_close(s.masked);
		cow_pg_close(s.image);
		release(&s.names);
		release(&s.image_names);
	}
	if (r < 0)
		return r == -ENOMEM ? cow_fail(e, r, "out of memory") : r;
	return golden_checked(g, "rows and contents as masked", same, count, same ? NULL : why, e);
}
