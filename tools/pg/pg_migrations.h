// SPDX-License-Identifier: Apache-2.0
/* pg_migrations: which migrations were applied, by the table that their tool keeps. */
#pragma once
#include <jansson.h>

#include "tools/pg/pg.h"

struct migrations_tool;

/* In all databases of a server: the first table of one of `tables` (names; ends with NULL), or that
 * one called `table` ("table" or "schema.table") when it is not NULL, with the columns of one of
 * `tools` (migrations.h). *ret: {database, table, tool, applied: [id...]}, owned by the caller, or
 * NULL: there is none. `*ret_tool` belongs to `tools`. `at->dbname` is ignored. As cow_pg_open;
 * -EIO what the server said. */
cow_errno cow_pg_migrations(const struct pg_address *at, const char *table,
			    const char *const *tables, const struct migrations_tool *tools,
			    json_t **ret, struct cow_error *e);
