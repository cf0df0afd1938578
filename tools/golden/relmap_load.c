// SPDX-License-Identifier: Apache-2.0
/* relmap_load: the relations of every database of an image, from its server. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/relmap.h"
#include "tools/pg/pg_proof.h"

struct load {
	struct relmap *map;
	const char *database;
};

/* [[name, length, alignment, dropped], ...] */
static size_t read_columns(const char *text, struct relmap_column **ret)
{
	json_t *all = json_loads(text, 0, NULL), *one;
	size_t n = json_array_size(all), k;

	*ret = calloc(n + 1, sizeof(**ret));
	json_array_foreach (all, k, one) {
		const char *name = json_string_value(json_array_get(one, 0));
		const char *align = json_string_value(json_array_get(one, 2));

		if (!*ret)
			break;
		(*ret)[k] = (struct relmap_column){
		    .name = strdup(name ? name : ""),
		    .len = (int)json_integer_value(json_array_get(one, 1)),
		    .align = align ? align[0] : 'i',
		    .dropped = json_is_true(json_array_get(one, 3)),
		};
	}
	json_decref(all);
	return *ret ? n : 0;
}

static cow_errno add(void *arg, const struct pg_relation *r)
{
	struct load *l = arg;
	struct relmap_relation copy = {.path = (char *)r->path,
				       .database = (char *)l->database,
				       .name = (char *)r->name,
				       .table = (char *)r->table,
				       .oid = r->oid,
				       .kind = r->kind};

	copy.n_columns = read_columns(r->columns, &copy.columns);
	return relmap_add(l->map, &copy);
}

static cow_errno load(struct golden_image *g, const char *database, struct cow_error *e)
{
	struct pg_address at = golden_address(&g->server, database);
	struct load l = {g->relations, database};
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, e);

	if (r == 0)
		r = cow_pg_relations(s, add, &l, e);
	cow_pg_close(s);
	return r == -ENOMEM ? cow_fail(e, r, "out of memory") : r;
}

cow_errno golden_relations(struct golden_image *g, struct cow_error *e)
{
	cow_errno r = 0;

	g->relations = relmap_new();
	if (!g->relations)
		return cow_fail(e, -ENOMEM, "out of memory");
	for (size_t d = 0; r == 0 && d < g->run->n_databases; d++)
		r = load(g, g->run->databases[d].name, e);
	relmap_ready(g->relations);
	return r;
}
