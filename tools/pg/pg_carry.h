// SPDX-License-Identifier: Apache-2.0
/* pg_carry: what it takes to make a golden image from the one before it: sums of tables that say
 * whether one changed, and putting new rows into a table of a database that stays.
 *
 * Callbacks borrow what they get; not 0 ends the query and is returned. Errors: -EIO with the
 * server's words, -ECONNRESET the connection is gone. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/pg/pg.h"

/* "schema.table" as SQL writes it, of every table with rows (relkind r) outside the system, in
 * order. */
cow_errno cow_pg_tables(struct pg_session *s, cow_errno (*each)(void *arg, const char *table),
			void *arg, struct cow_error *e);

#define PG_CONTENTS_SIZE 96
/* Rows of a table (as cow_pg_tables names it), and a sum over their texts that does not depend on
 * their order: "17 rows, sum 4242". `seed` makes the sum another one for who does not know it.
 * Partitions and children of it are others. */
cow_errno cow_pg_contents(struct pg_session *s, const char *table, int64_t seed,
			  char ret[PG_CONTENTS_SIZE], uint64_t *ret_rows, struct cow_error *e);

/* What the sum needs to mean the same tomorrow, whatever a role or a database has set; and
 * statements of this session fire neither triggers nor rules. */
cow_errno cow_pg_carry_begin(struct pg_session *s, struct cow_error *e);

/* "schema.table" as SQL writes it, allocated. */
cow_errno cow_pg_table_name(struct pg_session *s, const char *schema, const char *table, char **ret,
			    struct cow_error *e);

/* Why rows of this database cannot be replaced table by table: triggers or rules that always fire,
 * tables of extensions among `tables` (a literal of text[]). "" = they can. */
cow_errno cow_pg_carry_obstacle(struct pg_session *s, const char *tables, char *buf, size_t size,
				struct cow_error *e);

/* Foreign keys from or to `tables` (a literal of text[]), partitions included: statements that drop
 * each, and that make it again, which checks it. */
cow_errno cow_pg_carry_keys(struct pg_session *s, const char *tables,
			    cow_errno (*each)(void *arg, const char *drop, const char *make),
			    void *arg, struct cow_error *e);
/* One of those statements. */
cow_errno cow_pg_carry_key(struct pg_session *s, const char *statement, struct cow_error *e);

/* The table `to` gets the rows that `from` has, and a new file. In one transaction. */
cow_errno cow_pg_carry_table(struct pg_session *from, struct pg_session *to, const char *table,
			     struct cow_error *e);

/* Sequences of `to` go on where those of `from` are. */
cow_errno cow_pg_carry_sequences(struct pg_session *from, struct pg_session *to,
				 struct cow_error *e);

/* Materialized views that have rows, in the order they were made. */
cow_errno cow_pg_refresh_views(struct pg_session *s, struct cow_error *e);

/* Frozen, visible to all, with statistics. */
cow_errno cow_pg_vacuum(struct pg_session *s, const char *table, struct cow_error *e);
/* Statistics of rows that are gone leave the file, too. */
cow_errno cow_pg_rewrite_statistics(struct pg_session *s, struct cow_error *e);
