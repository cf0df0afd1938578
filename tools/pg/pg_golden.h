// SPDX-License-Identifier: Apache-2.0
/* pg_golden: what the golden image asks of a server: what is in a database, samples of columns, and
 * masking of tables. Named queries of the libpq fence, on one session each.
 *
 * Callbacks borrow what they get; not 0 ends the query and is returned. Errors: -EIO with the
 * server's words, -ECONNRESET the connection is gone. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "tools/pg/pg.h"

/* Databases that take connections and are no templates, in order of name. */
cow_errno cow_pg_databases(struct pg_session *s, cow_errno (*each)(void *arg, const char *name),
			   void *arg, struct cow_error *e);

/* Transactions that were prepared and neither committed nor rolled back, in databases of any kind.
 */
cow_errno cow_pg_prepared_databases(struct pg_session *s,
				    cow_errno (*each)(void *arg, const char *name), void *arg,
				    struct cow_error *e);
/* Rolls those of this database back: what nobody committed. *count grows by how many. */
cow_errno cow_pg_rollback_prepared(struct pg_session *s, unsigned *count, struct cow_error *e);

int cow_pg_major(struct pg_session *s); /* of the server: 15 */

/* Tablespaces outside the data directory. */
cow_errno cow_pg_tablespaces(struct pg_session *s,
			     cow_errno (*each)(void *arg, uint32_t oid, const char *location),
			     void *arg, struct cow_error *e);

struct pg_column {
	const char *schema, *table, *column;
	uint32_t oid;         /* of the table */
	char kind;            /* relkind: r, f */
	uint64_t rows, bytes; /* rows: what the last ANALYZE thought; 0 = unknown */
	int number;           /* attnum */
	const char *type;     /* as format_type() says */
	const char *base;     /* pg_type.typname behind domains, of the elements of an array */
	char base_kind;       /* pg_type.typtype of it: b, e, c, r, m, p */
	bool array;
	int length; /* most characters of varchar(n) and char(n), 0 = any */
	bool not_null, generated, unique;
	bool partition_key; /* rows would move when it changes */
	const char *root_schema,
	    *root_table;       /* of the partition tree the table is a leaf of; NULL */
	const char *ancestors; /* tables the column is inherited from, nearest first: JSON [[schema,
				  table]] */
};
/* Every column of every table with rows of its own, and of foreign tables, outside the system and
 * of extensions whose tables are not dumped. In order of table and number. */
cow_errno cow_pg_columns(struct pg_session *s,
			 cow_errno (*each)(void *arg, const struct pg_column *c), void *arg,
			 struct cow_error *e);

struct pg_foreign_key {
	const char *name, *schema, *table, *column;
	const char *to_schema, *to_table, *to_column;
};
/* A row for each pair of columns. */
cow_errno cow_pg_foreign_keys(struct pg_session *s,
			      cow_errno (*each)(void *arg, const struct pg_foreign_key *k),
			      void *arg, struct cow_error *e);

/* Security labels on columns for the provider anon. */
cow_errno cow_pg_anon_labels(struct pg_session *s,
			     cow_errno (*each)(void *arg, const char *schema, const char *table,
					       const char *column, const char *label),
			     void *arg, struct cow_error *e);

cow_errno cow_pg_count_large_objects(struct pg_session *s, uint64_t *ret, struct cow_error *e);

/* Up to `most` values of a column that are not null, cut to 200 characters. */
cow_errno cow_pg_sample(struct pg_session *s, const char *schema, const char *table,
			const char *column, unsigned most,
			cow_errno (*each)(void *arg, const char *value), void *arg,
			struct cow_error *e);

/* --- masking --- */

/* The schema cowfs_mask of functions; one that is there is replaced. */
cow_errno cow_pg_mask_install(struct pg_session *s, const char *functions, struct cow_error *e);
cow_errno cow_pg_mask_remove(struct pg_session *s, struct cow_error *e);

/* From now on triggers, rules and foreign keys do not fire, and the functions have their salt. */
cow_errno cow_pg_mask_begin(struct pg_session *s, const char *salt, struct cow_error *e);

struct pg_mask_column {
	const char *name;
	const char *expression; /* SQL of the new value; NULL = stays */
};
struct pg_mask_table {
	const char *schema, *name;
	const struct pg_mask_column *columns; /* all that can be written, in order */
	size_t n;
	/* Rows are taken out and put in again, so that a new value never meets an old one in a
	 * unique index, and finds its partition. Otherwise they are updated where they are. */
	bool replace;
	bool whole_tree; /* with the partitions below it */
};
/* In one transaction. *ret_rows: how many were written. -EEXIST fakes are not unique. */
cow_errno cow_pg_mask_table(struct pg_session *s, const struct pg_mask_table *t, uint64_t *ret_rows,
			    struct cow_error *e);
cow_errno cow_pg_empty_table(struct pg_session *s, const char *schema, const char *name,
			     uint64_t *ret_rows, struct cow_error *e);
cow_errno cow_pg_empty_large_objects(struct pg_session *s, struct cow_error *e);

/* Rows before and after, without changing them: values of the columns that have an expression. */
cow_errno cow_pg_mask_preview(struct pg_session *s, const struct pg_mask_table *t, unsigned rows,
			      cow_errno (*each)(void *arg, const char *const *before,
						const char *const *after),
			      void *arg, struct cow_error *e);
