// SPDX-License-Identifier: Apache-2.0
/* pg_proof: what the publishing of a golden image asks of databases: values to look for, and
 * whether two databases hold the same. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"
#include "tools/pg/pg.h"

/* A column to take values of. Borrowed texts. */
struct pg_value_source {
	const char *schema, *table, *column;
	const char *base; /* name of its type, behind domains and arrays (pg_type.typname) */
	bool array;
	char kind;     /* typtype of base */
	uint64_t rows; /* of the table, about */
	unsigned limit;
};

enum pg_value_form {
	PG_VALUE_TEXT,
	PG_VALUE_NUMERIC,
	PG_VALUE_INT8,
	PG_VALUE_FLOAT8,
	PG_VALUE_HEX
};

/* Distinct values: text in the encoding of the database; json, arrays and composites taken apart;
 * int8 also for timestamps with a fraction of a second (as they are stored); HEX for uuid and
 * bytea. */
cow_errno cow_pg_values(struct pg_session *s, const struct pg_value_source *from,
			cow_errno (*each)(void *arg, enum pg_value_form form, const char *value),
			void *arg, struct cow_error *e);

/* Of the values in `array` (a literal of text[]), those that the column has, whatever the case. */
cow_errno cow_pg_values_present(struct pg_session *s, const struct pg_value_source *from,
				const char *array, cow_errno (*each)(void *arg, const char *value),
				void *arg, struct cow_error *e);

/* For comparing rows: the primary key as JSON text and MD5 of the value, of some rows. *ret_keys
 * and *ret_sums are literals of text[], allocated, NULL when the table has no primary key of
 * `keep`. */
cow_errno cow_pg_row_sample(struct pg_session *s, const struct pg_value_source *from,
			    const char *key_columns, char **ret_keys, char **ret_sums,
			    struct cow_error *e);
cow_errno cow_pg_row_compare(struct pg_session *s, const struct pg_value_source *from,
			     const char *key_columns, const char *keys, const char *sums,
			     uint64_t *ret_rows, uint64_t *ret_same, struct cow_error *e);
/* Numbers of the columns of the primary key, "1 3"; "" without one. */
cow_errno cow_pg_primary_key(struct pg_session *s, const char *schema, const char *table, char *ret,
			     size_t size, struct cow_error *e);
/* "a, b" quoted, of columns by number "1 3". Allocated. */
cow_errno cow_pg_column_list(struct pg_session *s, const char *schema, const char *table,
			     const char *numbers, char **ret, struct cow_error *e);

/* Encoding, locale and checksums of a cluster, for one like it. Buffers of 64 bytes. */
cow_errno cow_pg_cluster(struct pg_session *s, char *encoding, char *locale, bool *ret_checksums,
			 struct cow_error *e);
/* Lines for postgresql.conf: settings of the configuration that an image keeps. */
cow_errno cow_pg_settings(struct pg_session *s, cow_errno (*each)(void *arg, const char *line),
			  void *arg, struct cow_error *e);

/* Every relation with a file: file, schema.name, schema.name of its table, oid, relkind, shared,
 * columns as JSON [[name, length, alignment, dropped], ...]. */
struct pg_relation {
	const char *path, *name, *table, *columns;
	uint32_t oid;
	char kind;
	bool shared;
};
cow_errno cow_pg_relations(struct pg_session *s,
			   cow_errno (*each)(void *arg, const struct pg_relation *r), void *arg,
			   struct cow_error *e);

/* One line for each constraint, with whether it was checked. */
cow_errno cow_pg_constraints(struct pg_session *s, cow_errno (*each)(void *arg, const char *line),
			     void *arg, struct cow_error *e);
/* Invalid indexes; and by amcheck every B-tree index against its table and every heap, which leaves
 * nothing behind. *ret_checked counts relations. -EBADMSG what amcheck found, -ENOENT no amcheck.
 */
cow_errno cow_pg_amcheck(struct pg_session *s, uint64_t *ret_checked, struct cow_error *e);
