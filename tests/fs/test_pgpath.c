// SPDX-License-Identifier: Apache-2.0
/* pgpath and policy: paths in a PGDATA, one by one, with the kind and the treatment they get. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fs/pgpath.h"
#include "fs/policy.h"

/* Walk `path` from the root of a branch; a slash at its end says that it is a directory. */
static enum cow_pg_kind kind_of(const char *path)
{
	enum cow_pg_kind kind = COW_PG_ROOT;
	char part[256];

	while (*path) {
		size_t len = strcspn(path, "/");

		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		kind = cow_pg_kind_of(kind, part, path[len] == '/');
		path += len + (path[len] == '/');
	}
	return kind;
}

static void expect(const char *path, enum cow_pg_kind want)
{
	enum cow_pg_kind got = kind_of(path);

	cr_expect(got == want, "%s is %s, not %s", path, cow_pg_kind_name(got),
		  cow_pg_kind_name(want));
}

/* Each fork and segment of a relation is a relation, wherever databases lie. */
Test(pgpath, knows_forks_of_relations)
{
	expect("base/5/1259", COW_PG_SYSTEM);
	expect("base/16384/2619_fsm", COW_PG_SYSTEM);
	expect("base/16384/2619_vm", COW_PG_SYSTEM);
	expect("base/16384/16390_init", COW_PG_RELATION);
	expect("base/16384/16390.1", COW_PG_RELATION);
	expect("base/16384/16390_vm.12", COW_PG_SYSTEM);
	expect("base/16384/t3_16390", COW_PG_RELATION);
	expect("base/16384/t3_16390_fsm.1", COW_PG_SYSTEM);
	expect("global/1260", COW_PG_SYSTEM);
	expect("pg_tblspc/16500/PG_15_202209061/16384/16501", COW_PG_RELATION);
	expect("tablespaces/fast/PG_15_202209061/16384/16501.3", COW_PG_RELATION);
	expect("ts/PG_9.6_201608131/1/2", COW_PG_SYSTEM);
}

/* What only resembles a relation is not one. */
Test(pgpath, is_not_fooled_by_similar_names)
{
	expect("base/5/pg_filenode.map", COW_PG_STATE);
	expect("base/5/1259_foo", COW_PG_STATE);
	expect("base/5/1259.", COW_PG_STATE);
	expect("base/5/1259.x", COW_PG_STATE);
	expect("base/5/t_1259", COW_PG_STATE);
	expect("base/5/_vm", COW_PG_STATE);
	expect("base/1259", COW_PG_STATE);
	expect("1259", COW_PG_OTHER);
	expect("base/5/1259/", COW_PG_OTHER);
	expect("base/abc/1259", COW_PG_OTHER);
	expect("elsewhere/5/1259", COW_PG_OTHER);
}

/* The log: segments, the file that becomes one, and everything else in its directory. */
Test(pgpath, knows_the_log)
{
	expect("pg_wal/000000010000000000000001", COW_PG_WAL_SEGMENT);
	expect("pg_wal/0000000A000000FF000000C0", COW_PG_WAL_SEGMENT);
	expect("pg_wal/xlogtemp.4711", COW_PG_WAL_TEMP);
	expect("pg_wal/00000002.history", COW_PG_STATE);
	expect("pg_wal/000000010000000000000001.partial", COW_PG_STATE);
	expect("pg_wal/000000010000000000000001.00000028.backup", COW_PG_STATE);
	expect("pg_wal/00000001000000000000000g", COW_PG_STATE);
	expect("pg_wal/archive_status/000000010000000000000001.ready", COW_PG_STATE);
	expect("pg_wal/archive_status/000000010000000000000001", COW_PG_STATE);
	expect("elsewhere/000000010000000000000001", COW_PG_OTHER);
}

/* A segment gets its kind by the rename that gives it its name: same directory, other name. */
Test(pgpath, kind_follows_the_name)
{
	cr_expect(cow_pg_kind_of(COW_PG_WAL_DIR, "xlogtemp.1", false) == COW_PG_WAL_TEMP);
	cr_expect(cow_pg_kind_of(COW_PG_WAL_DIR, "000000010000000000000007", false) ==
		  COW_PG_WAL_SEGMENT);
}

/* Temporary files: directly, in a set of files, and in tablespaces. */
Test(pgpath, knows_temporary_files)
{
	expect("base/pgsql_tmp/pgsql_tmp12.0", COW_PG_TEMP_FILE);
	expect("base/pgsql_tmp/pgsql_tmp12.0.fileset/o1of2.p0.0", COW_PG_TEMP_FILE);
	expect("ts/PG_15_202209061/pgsql_tmp/pgsql_tmp12.1", COW_PG_TEMP_FILE);
	expect("pgsql_tmp/x", COW_PG_OTHER);
}

/* The server's own state, by directory and by name. */
Test(pgpath, knows_state)
{
	expect("global/pg_control", COW_PG_STATE);
	expect("global/pg_filenode.map", COW_PG_STATE);
	expect("base/5/pg_internal.init", COW_PG_CACHE);
	expect("base/5/pg_internal.init.4711", COW_PG_CACHE);
	expect("global/pg_internal.init", COW_PG_CACHE);
	expect("pg_xact/pg_internal.init", COW_PG_STATE);
	expect("pg_xact/0000", COW_PG_STATE);
	expect("pg_multixact/members/0000", COW_PG_STATE);
	expect("pg_logical/snapshots/0-1.snap", COW_PG_STATE);
	expect("postgresql.conf", COW_PG_STATE);
	expect("postgresql.auto.conf.tmp", COW_PG_STATE);
	expect("postmaster.pid", COW_PG_STATE);
	expect("backup_label.old", COW_PG_STATE);
	expect("PG_VERSION", COW_PG_STATE);
}

/* Files of others, and memory that postgres maps, are ordinary files. */
Test(pgpath, leaves_other_files_alone)
{
	expect("log/postgresql-Mon.log", COW_PG_OTHER);
	expect("pg_dynshmem/mmap.123", COW_PG_OTHER);
	expect("notes.txt", COW_PG_OTHER);
	expect("dir/dir/file", COW_PG_OTHER);
}

/* What must be in a snapshot as it was written goes around the page cache; all else through it. */
Test(policy, treats_kinds_as_designed)
{
	cr_expect(cow_policy_for(COW_PG_RELATION).cached);
	cr_expect(cow_policy_for(COW_PG_RELATION).bound);
	cr_expect(cow_policy_for(COW_PG_SYSTEM).cached);
	cr_expect_not(cow_policy_for(COW_PG_SYSTEM).bound);
	cr_expect_not(cow_policy_for(COW_PG_WAL_TEMP).bound);
	cr_expect_not(cow_policy_for(COW_PG_WAL_SEGMENT).bound);
	cr_expect_not(cow_policy_for(COW_PG_STATE).bound);
	cr_expect(cow_policy_for(COW_PG_WAL_TEMP).cached);
	cr_expect(cow_policy_for(COW_PG_TEMP_FILE).cached);
	cr_expect(cow_policy_for(COW_PG_OTHER).cached);
	cr_expect_not(cow_policy_for(COW_PG_WAL_SEGMENT).cached);
	cr_expect_not(cow_policy_for(COW_PG_STATE).cached);
	cr_expect_eq(cow_policy_for(COW_PG_WAL_SEGMENT).own_run, 128);
	cr_expect_eq(cow_policy_for(COW_PG_RELATION).own_run, 1);
}
