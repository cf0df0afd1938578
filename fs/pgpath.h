// SPDX-License-Identifier: Apache-2.0
/* pgpath: which kind of file in a PGDATA a name is.
 *
 * A pure function of the kind of its directory, its name, and whether it is a directory itself; so
 * a kind needs no path, and is found by one step for each look-up. A branch's root directory is
 * taken to be a PGDATA. A name that no rule knows is COW_PG_OTHER, which is always safe. Not here:
 * what follows from a kind (policy.h). */
#pragma once
#include <stdbool.h>

enum cow_pg_kind {
	COW_PG_OTHER,        /* anything without a rule of its own, file or directory */
	COW_PG_ROOT,         /* the root directory of a branch */
	COW_PG_BASE_DIR,     /* base/ */
	COW_PG_DATABASE_DIR, /* base/<oid>/, and the same in a tablespace */
	COW_PG_GLOBAL_DIR,   /* global/ */
	COW_PG_WAL_DIR,      /* pg_wal/ */
	COW_PG_WAL_SEGMENT,  /* pg_wal/<24 hex digits> */
	COW_PG_WAL_TEMP,     /* pg_wal/xlogtemp.<pid>: a segment being filled with zeroes */
	COW_PG_RELATION,     /* a fork of a relation: <number>[_fsm|_vm|_init][.<segment>] ... */
	COW_PG_SYSTEM,       /* ... of a catalog (number below 16384), or the map of free or visible
			      * pages of any */
	COW_PG_TEMP_DIR,     /* pgsql_tmp/ and what is below it */
	COW_PG_TEMP_FILE,    /* a file below pgsql_tmp/ */
	COW_PG_TBLSPC_DIR,   /* pg_tblspc/ */
	COW_PG_VERSION_DIR,  /* PG_<major>_<catalog>/ of a tablespace, wherever it is */
	COW_PG_CACHE,        /* pg_internal.init[.<pid>]: what each new connection would have to
			      * find out again */
	COW_PG_STATE_DIR,    /* pg_xact/, pg_logical/ and their like, and what is below them */
	COW_PG_STATE, /* any other file that is postgres's own: control, map, SLRU, settings, pid */
	COW_PG_KINDS
};

enum cow_pg_kind cow_pg_kind_of(enum cow_pg_kind parent, const char *name, bool is_dir);

/* A word for logs and tests. */
const char *cow_pg_kind_name(enum cow_pg_kind kind);
