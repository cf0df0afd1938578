// SPDX-License-Identifier: Apache-2.0
/* pgconf: the settings that keep a fork harmless and startable, and the text they are written in.
 *
 * One table says which settings are forced, for which major versions of PostgreSQL, and why; what
 * depends on the cluster (limits, libraries, keys) is computed beside it. The result goes into
 * postgresql.auto.conf when a branch is made, and onto the command line when it is started.
 * Pure functions on text: no file is opened here. Not here: who reads and writes (pgfork.c,
 * tools/). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store/error.h"

struct cow_pgcontrol;

#define COW_PG_FIRST 12 /* major versions of PostgreSQL that are understood */
#define COW_PG_LAST 18

/* From this version on every server takes a directory in pg_tblspc for a tablespace (and
 * pg_basebackup copies it, which it does not with a relative link); before, it depends on the minor
 * version. */
#define COW_PG_IN_PLACE 15

/* What a fork may keep of what reaches out of it. All false is the safe default. */
struct cow_pgfork_policy {
	bool keep_subscriptions;
	bool keep_workers;   /* scheduled jobs, and libraries whose workers talk to others */
	bool keep_passwords; /* of foreign servers, user mappings, dblink */
	/* Not about reaching out, but about who gets in. */
	bool replace_role_passwords;
	bool lock_superusers;
};

struct cow_pgconf_row {
	const char *name, *value;
	int first, last; /* major versions that know the setting */
	const char *why;
};
extern const struct cow_pgconf_row cow_pgconf_table[]; /* ends with name NULL */
/* Those that are not forced when the policy keeps subscriptions, or workers. */
extern const struct cow_pgconf_row cow_pgconf_subscriptions[], cow_pgconf_workers[];

/* Libraries with workers of their own that connect to other servers; ends with name NULL. */
struct cow_pgconf_library {
	const char *name, *why;
};
extern const struct cow_pgconf_library cow_pgconf_reaching_out[];

/* Settings in order; a later one of the same name wins. Zero-initialise. */
struct cow_pgconf_list {
	struct cow_pgconf_item {
		char *name, *value;
	} * items;
	size_t n;
};
void cow_pgconf_list_release(struct cow_pgconf_list *l);
/* Replaces a setting of the same name. -ENOMEM. */
cow_errno cow_pgconf_list_set(struct cow_pgconf_list *l, const char *name, const char *value);
const char *cow_pgconf_list_get(const struct cow_pgconf_list *l, const char *name); /* or NULL */

/* What is known of the cluster when its overrides are computed. All borrowed. */
struct cow_pgconf_facts {
	int major;
	struct cow_pgfork_policy policy;
	const char *conf; /* text of its configuration files in the order they are read */
	const struct cow_pgcontrol *control; /* NULL = unknown */
	bool in_place; /* a tablespace is a directory in pg_tblspc, not a link */
	/* Is there such a file inside the branch (relative to its root)? NULL = nothing is. */
	bool (*has_file)(void *arg, const char *path);
	/* Can the server load this library? NULL = unknown, then all are left. */
	bool (*has_library)(void *arg, const char *name);
	void *arg;
};

/* The table for this version and policy, then limits at least those of pg_control, libraries that
 * exist and do not reach out, and ssl=off when its key is not in the branch. Adds to *ret. -ENOMEM.
 */
cow_errno cow_pgconf_override(const struct cow_pgconf_facts *f, struct cow_pgconf_list *ret);

/* The value of the last line that sets `name` (letter case does not matter); false = none does.
 * Includes are not followed. Cut to `size`. */
bool cow_pgconf_get(const char *text, const char *name, char *ret, size_t size);

/* Is the value a way to write "off"? */
bool cow_pgconf_is_off(const char *value);

/* `text` (of postgresql.auto.conf) without an earlier section of ours and without lines that the
 * new one overrides, followed by a marked section with `l`. Free the result; NULL = no memory. */
char *cow_pgconf_with_section(const char *text, const struct cow_pgconf_list *l);

/* `text` without our section. Free the result; NULL = no memory. */
char *cow_pgconf_without_section(const char *text);

/* Comment out what would open files outside the branch: data_directory, config_file,
 * external_pid_file, and hba_file, ident_file and includes that are absolute or climb out.
 * Free the result; NULL = no memory. *ret_n = lines disabled. */
char *cow_pgconf_disable_outside(const char *text, size_t *ret_n);
