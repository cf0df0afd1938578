// SPDX-License-Identifier: Apache-2.0
/* relmap: from a file of a data directory to the relation, and from a place in it to the column.
 *
 * Filled from the catalogs of a running server before it is stopped (relmap_load.c); what moved
 * since then, or belongs to nobody, is not in it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

struct relmap_column {
	char *name;
	int len;    /* attlen: bytes, -1 varlena, -2 C string */
	char align; /* attalign: c s i d */
	bool dropped;
};

struct relmap_relation {
	char *path;     /* "base/5/16397": the main fork, without segment */
	char *database; /* "" = shared */
	char *name;     /* schema.relation */
	char *table;    /* of an index or a TOAST table: schema.table it belongs to; else = name */
	uint32_t oid;
	char kind; /* relkind: r i t m S p */
	struct relmap_column *columns;
	size_t n_columns;
};

struct relmap;
struct relmap *relmap_new(void);
void relmap_free(struct relmap *m);

/* Copies the texts of `r` but for columns, which it takes. -ENOMEM. */
cow_errno relmap_add(struct relmap *m, const struct relmap_relation *r);
/* Once, after the last. */
void relmap_ready(struct relmap *m);

/* The relation of any file of it: forks and segments too. NULL = unknown. */
const struct relmap_relation *relmap_find(const struct relmap *m, const char *file);
const struct relmap_relation *relmap_find_oid(const struct relmap *m, const char *database,
					      uint32_t oid);

/* "base/5/16397_vm.1" to "base/5/16397"; *ret_segment 1. False: not named like a relation. */
bool relmap_split(const char *file, char *ret, size_t size, uint32_t *ret_segment, bool *ret_main);

/* What a place belongs to. Texts are "" when unknown. */
struct relmap_spot {
	const struct relmap_relation *relation;
	char table[160], column[80]; /* schema.table whose values these are */
	const char *how;             /* "", "index", "TOAST", "statistics" */
};
/* `page` NULL = not at hand; `at` is the place in it. */
void relmap_spot(const struct relmap *m, const char *file, const uint8_t *page, size_t at,
		 struct relmap_spot *ret);
/* Is the spot in a list of schema.table and schema.table.column? */
bool relmap_allowed(const struct relmap_spot *s, const char *const *allow);
/* "public.people.email", "index public.people_email (public.people)", ... */
void relmap_describe(const struct relmap_spot *s, char *buf, size_t size);
