// SPDX-License-Identifier: Apache-2.0
/* pgpath: the table of names in a PGDATA, and the small patterns it is made of. */
#include "fs/pgpath.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Past the digits at `s`; `s` itself when there is none. */
static const char *skip_digits(const char *s)
{
	while (isdigit((unsigned char)*s))
		s++;
	return s;
}

static bool is_number(const char *name)
{
	const char *end = skip_digits(name);

	return end != name && *end == 0;
}

static bool is_segment(const char *name)
{
	return strlen(name) == 24 && strspn(name, "0123456789ABCDEF") == 24;
}

static bool is_wal_temp(const char *name)
{
	return strncmp(name, "xlogtemp.", 9) == 0;
}

/* t<backend>_<number> is a temporary relation. */
static const char *skip_temp_prefix(const char *name)
{
	const char *end;

	if (*name != 't')
		return name;
	end = skip_digits(name + 1);
	return end != name + 1 && *end == '_' ? end + 1 : name;
}

static bool is_relation(const char *name)
{
	static const char *const forks[] = {"_fsm", "_vm", "_init"};
	const char *s = skip_temp_prefix(name), *end = skip_digits(s);

	if (end == s)
		return false;
	for (size_t i = 0; i < sizeof(forks) / sizeof(*forks); i++) {
		size_t len = strlen(forks[i]);

		if (strncmp(end, forks[i], len) == 0) {
			end += len;
			break;
		}
	}
	return *end == 0 || (*end == '.' && is_number(end + 1));
}

/* What DELETE, VACUUM and TRUNCATE may have to extend themselves. */
static bool is_system(const char *name)
{
	enum { FIRST_OF_USERS = 16384 }; /* FirstNormalObjectId */
	const char *s = skip_temp_prefix(name), *end = skip_digits(s);

	if (!is_relation(name))
		return false;
	return strncmp(end, "_fsm", 4) == 0 || strncmp(end, "_vm", 3) == 0 ||
	       (end - s <= 5 && strtoul(s, NULL, 10) < FIRST_OF_USERS);
}

static bool is_cache(const char *name)
{
	return strncmp(name, "pg_internal.init", 16) == 0;
}

static bool is_version_dir(const char *name)
{
	const char *s = name + 3;

	if (strncmp(name, "PG_", 3) != 0 || !isdigit((unsigned char)*s))
		return false;
	s += strspn(s, "0123456789.");
	return *s == '_' && is_number(s + 1);
}

/* Directories of the server's own in a PGDATA. Files in pg_dynshmem are memory to be mapped and
 * shared. */
static bool is_state_dir(const char *name)
{
	return strncmp(name, "pg_", 3) == 0 && strcmp(name, "pg_dynshmem") != 0;
}

/* Files of the server's own at the top of a PGDATA, with the temporary names they are written
 * under. */
static bool is_state_file(const char *name)
{
	static const char *const known[] = {
	    "PG_VERSION", "pg_",       "postgresql.",  "postmaster.",
	    "backup_",    "recovery.", "standby.",     "tablespace_map",
	    "promote",    "logrotate", "trigger_file", "current_log",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strncmp(name, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

static bool is_any(const char *name)
{
	return true;
}

#define IN(kind) (1u << (kind))
#define IN_PGDATA (IN(COW_PG_ROOT) | IN(COW_PG_OTHER) | IN(COW_PG_TBLSPC_DIR))

/* Directories in which every file is the server's. */
#define IN_SERVER                                                                                  \
	(IN(COW_PG_BASE_DIR) | IN(COW_PG_DATABASE_DIR) | IN(COW_PG_GLOBAL_DIR) |                   \
	 IN(COW_PG_WAL_DIR) | IN(COW_PG_VERSION_DIR) | IN(COW_PG_STATE_DIR))

/* The first rule that fits decides. `literal` or `match`, never both. */
static const struct rule {
	unsigned parents;
	bool dir;
	const char *literal;
	bool (*match)(const char *name);
	enum cow_pg_kind kind;
} rules[] = {
    {IN(COW_PG_ROOT), true, "base", NULL, COW_PG_BASE_DIR},
    {IN(COW_PG_ROOT), true, "global", NULL, COW_PG_GLOBAL_DIR},
    {IN(COW_PG_ROOT), true, "pg_wal", NULL, COW_PG_WAL_DIR},
    {IN(COW_PG_ROOT), true, "pg_tblspc", NULL, COW_PG_TBLSPC_DIR},
    {IN(COW_PG_BASE_DIR) | IN(COW_PG_VERSION_DIR), true, "pgsql_tmp", NULL, COW_PG_TEMP_DIR},
    {IN(COW_PG_BASE_DIR) | IN(COW_PG_VERSION_DIR), true, NULL, is_number, COW_PG_DATABASE_DIR},
    {IN(COW_PG_DATABASE_DIR) | IN(COW_PG_GLOBAL_DIR), false, NULL, is_system, COW_PG_SYSTEM},
    {IN(COW_PG_DATABASE_DIR) | IN(COW_PG_GLOBAL_DIR), false, NULL, is_relation, COW_PG_RELATION},
    {IN(COW_PG_DATABASE_DIR) | IN(COW_PG_GLOBAL_DIR), false, NULL, is_cache, COW_PG_CACHE},
    {IN(COW_PG_WAL_DIR), false, NULL, is_segment, COW_PG_WAL_SEGMENT},
    {IN(COW_PG_WAL_DIR), false, NULL, is_wal_temp, COW_PG_WAL_TEMP},
    {IN(COW_PG_TEMP_DIR), true, NULL, is_any, COW_PG_TEMP_DIR},
    {IN(COW_PG_TEMP_DIR), false, NULL, is_any, COW_PG_TEMP_FILE},
    {IN_PGDATA, true, NULL, is_version_dir, COW_PG_VERSION_DIR},
    {IN(COW_PG_ROOT), true, NULL, is_state_dir, COW_PG_STATE_DIR},
    {IN(COW_PG_ROOT), false, NULL, is_state_file, COW_PG_STATE},
    {IN(COW_PG_STATE_DIR) | IN(COW_PG_WAL_DIR), true, NULL, is_any, COW_PG_STATE_DIR},
    {IN_SERVER, false, NULL, is_any, COW_PG_STATE},
};

enum cow_pg_kind cow_pg_kind_of(enum cow_pg_kind parent, const char *name, bool is_dir)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		const struct rule *r = &rules[i];

		if ((r->parents & IN(parent)) && r->dir == is_dir &&
		    (r->literal ? strcmp(name, r->literal) == 0 : r->match(name)))
			return r->kind;
	}
	return COW_PG_OTHER;
}

const char *cow_pg_kind_name(enum cow_pg_kind kind)
{
	static const char *const names[COW_PG_KINDS] = {
	    [COW_PG_OTHER] = "other",
	    [COW_PG_ROOT] = "root",
	    [COW_PG_BASE_DIR] = "base",
	    [COW_PG_DATABASE_DIR] = "database",
	    [COW_PG_GLOBAL_DIR] = "global",
	    [COW_PG_WAL_DIR] = "wal",
	    [COW_PG_WAL_SEGMENT] = "wal-segment",
	    [COW_PG_WAL_TEMP] = "wal-temp",
	    [COW_PG_RELATION] = "relation",
	    [COW_PG_SYSTEM] = "system relation",
	    [COW_PG_TEMP_DIR] = "temp",
	    [COW_PG_TEMP_FILE] = "temp-file",
	    [COW_PG_TBLSPC_DIR] = "tablespaces",
	    [COW_PG_VERSION_DIR] = "tablespace-version",
	    [COW_PG_CACHE] = "cache",
	    [COW_PG_STATE_DIR] = "state-dir",
	    [COW_PG_STATE] = "state",
	};

	return kind < COW_PG_KINDS ? names[kind] : "?";
}
