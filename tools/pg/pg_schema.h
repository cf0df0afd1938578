// SPDX-License-Identifier: Apache-2.0
/* pg_schema: what there is in a database, object by object, from the catalogs of PostgreSQL 12-18.
 *
 * Left out: what belongs to an extension (its version says it), system schemas, what is implied by
 * another object (indexes of constraints, sequences of identity columns). Definitions are text to
 * compare and to read, not SQL to run. */
#pragma once
#include <jansson.h>

#include "tools/pg/pg.h"

/* An array of {kind, name, table, definition}, ordered by kind, then name; `table` is null for what
 * belongs to none. Kinds: schema, extension, type, table, column, index, constraint, view,
 * materialized view, function, trigger, rule, sequence, policy, grant, default privileges,
 * publication, event trigger, statistics, foreign server, comment. Names have their schema and are
 * quoted as SQL wants it. *ret is owned by the caller. As cow_pg_open; -EIO what the server said.
 */
cow_errno cow_pg_schema_objects(const struct pg_address *at, json_t **ret, struct cow_error *e);
