// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/schema/schema.h"

static const char *get(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Both lists have this order. */
static int order(const json_t *a, const json_t *b)
{
	int c = strcmp(get(a, "kind"), get(b, "kind"));

	return c ? c : strcmp(get(a, "name"), get(b, "name"));
}

/* A set of the tables that are only in `in`. */
static json_t *tables_only(const json_t *in, const json_t *other)
{
	json_t *set = json_object(), *o;
	size_t k;

	json_array_foreach (in, k, o)
		if (strcmp(get(o, "kind"), "table") == 0)
			json_object_set_new(set, get(o, "name"), json_true());
	json_array_foreach (other, k, o)
		if (strcmp(get(o, "kind"), "table") == 0)
			json_object_del(set, get(o, "name"));
	return set;
}

static void add(json_t *changes, const json_t *from, const json_t *to, const json_t *whole)
{
	const json_t *o = from ? from : to;

	/* Said by the table already. */
	if (!(from && to) && json_object_get(whole, get(o, "table")) &&
	    json_is_string(json_object_get(o, "table")))
		return;
	json_array_append_new(changes,
			      json_pack("{s:s,s:s,s:s,s:O,s:O?,s:O?}", "change",
					!from ? "added"
					: !to ? "dropped"
					      : "changed",
					"kind", get(o, "kind"), "name", get(o, "name"), "table",
					json_object_get(o, "table"), "from",
					from ? json_object_get(from, "definition") : NULL, "to",
					to ? json_object_get(to, "definition") : NULL));
}

json_t *schema_compare(const json_t *from, const json_t *to)
{
	json_t *changes = json_array(), *dropped = tables_only(from, to),
	       *added = tables_only(to, from);
	size_t i = 0, k = 0;

	while (i < json_array_size(from) || k < json_array_size(to)) {
		json_t *a = json_array_get(from, i), *b = json_array_get(to, k);
		int c = !a ? 1 : !b ? -1 : order(a, b);

		if (c < 0)
			add(changes, a, NULL, dropped);
		else if (c > 0)
			add(changes, NULL, b, added);
		else if (strcmp(get(a, "definition"), get(b, "definition")) != 0)
			add(changes, a, b, NULL);
		i += c <= 0;
		k += c >= 0;
	}
	json_decref(dropped);
	json_decref(added);
	return changes;
}
