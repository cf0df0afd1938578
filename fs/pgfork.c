// SPDX-License-Identifier: Apache-2.0
/* pgfork: makes the data directory of a fresh branch fit to start.
 *
 * Costs a handful of name look-ups and the rewriting of one small file, whatever the size of the
 * cluster: nothing below base/<database> is ever listed. PostgreSQL removes pgsql_tmp* inside the
 * databases itself when it starts; only the directories that can be large are removed here.
 * pg_subtrans may be emptied: start-up zeroes its pages from the oldest active transaction on. */
#include "fs/pgfork.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/pgconf.h"
#include "fs/pgcontrol.h"
#include "fs/pgfiles.h"
#include "store/cleanup.h"

static void put_inode(struct cow_inode **i)
{
	cow_inode_put(*i);
}
#define CLEANUP_INODE CLEANUP(put_inode)

/* Files of the server that runs on the parent, or of what the parent was. */
static const char *const not_carried[] = {"postmaster.pid", "postmaster.opts", "standby.signal",
					  "recovery.signal"};
/* A base backup that never ran needs them; beside a postmaster.pid they are left over. */
static const char *const not_carried_alive[] = {"backup_label", "tablespace_map"};
static const char *const emptied[] = {"pg_replslot",  "pg_dynshmem", "pg_notify",  "pg_serial",
				      "pg_snapshots", "pg_subtrans", "pg_stat_tmp"};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

cow_errno cow_pgfork_major(struct cow_live *l, int *ret_major)
{
	CLEANUP_INODE struct cow_inode *root = NULL;
	CLEANUP_FREE char *text = NULL;
	cow_errno r = cow_pgfiles_root(l, &root);

	if (r == 0)
		r = cow_pgfiles_read(root, "PG_VERSION", &text, NULL);
	if (r == 0)
		*ret_major = (int)strtol(text, NULL, 10);
	return r;
}

static int remove_tmp(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	return strncmp(name, "pgsql_tmp", 9) == 0 ? cow_pgfiles_remove(arg, name) : 0;
}

static int remove_tmp_of_version(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	CLEANUP_INODE struct cow_inode *dir = NULL;
	cow_errno r;

	if (!S_ISDIR(type) || strncmp(name, "PG_", 3) != 0)
		return 0;
	r = cow_name_lookup(arg, name, &dir);
	return r < 0 ? r : cow_name_each(dir, remove_tmp, dir);
}

struct tablespaces {
	struct cow_inode *root, *dir;
};

/* A tablespace is a directory, or a link to another place in the branch ("../PLACE"). */
static int clean_tablespace(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct tablespaces *t = arg;
	CLEANUP_INODE struct cow_inode *i = NULL, *place = NULL;
	char target[4096];
	size_t n;
	cow_errno r = cow_name_lookup(t->dir, name, &i);

	if (r < 0 || S_ISDIR(type))
		return r < 0 ? r : cow_name_each(i, remove_tmp_of_version, i);
	if (!S_ISLNK(type) || cow_name_readlink(i, target, sizeof(target) - 1, &n) < 0)
		return 0;
	target[n] = '\0';
	if (strncmp(target, "../", 3) != 0 || cow_pgfiles_find(t->root, target + 3, &place) < 0)
		return 0;
	r = cow_name_each(place, remove_tmp_of_version, place);
	return r == -ENOTDIR ? 0 : r;
}

static cow_errno remove_temporary(struct cow_inode *root)
{
	CLEANUP_INODE struct cow_inode *base = NULL, *tblspc = NULL;
	cow_errno r = cow_name_lookup(root, "base", &base);

	if (r == 0)
		r = cow_name_each(base, remove_tmp, base);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return r;
	r = cow_name_lookup(root, "pg_tblspc", &tblspc);
	if (r == 0)
		r = cow_name_each(tblspc, clean_tablespace,
				  &(struct tablespaces){.root = root, .dir = tblspc});
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static cow_errno leave_behind(struct cow_inode *root)
{
	bool alive = cow_pgfiles_exists(root, "postmaster.pid");
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && alive && k < LENGTH(not_carried_alive); k++)
		r = cow_pgfiles_remove(root, not_carried_alive[k]);
	for (size_t k = 0; r == 0 && k < LENGTH(not_carried); k++)
		r = cow_pgfiles_remove(root, not_carried[k]);
	for (size_t k = 0; r == 0 && k < LENGTH(emptied); k++)
		r = cow_pgfiles_empty(root, emptied[k]);
	return r ? r : remove_temporary(root);
}

/* --- settings --- */

static cow_errno disable_in(struct cow_inode *dir, const char *name, void *arg)
{
	CLEANUP_FREE char *text = NULL, *clean = NULL;
	size_t n;
	cow_errno r = cow_pgfiles_read(dir, name, &text, NULL);

	if (r < 0)
		return r == -EINVAL ? 0 : r;
	clean = cow_pgconf_disable_outside(text, &n);
	if (!clean)
		return -ENOMEM;
	return n ? cow_pgfiles_write(dir, name, clean, strlen(clean)) : 0;
}

/* Gathers the text of all configuration files; our own section does not count as configured. */
static cow_errno gather(struct cow_inode *dir, const char *name, void *arg)
{
	FILE *all = arg;
	CLEANUP_FREE char *text = NULL, *foreign = NULL;
	cow_errno r = cow_pgfiles_read(dir, name, &text, NULL);

	if (r < 0)
		return r == -EINVAL ? 0 : r;
	foreign = cow_pgconf_without_section(text);
	if (!foreign)
		return -ENOMEM;
	fprintf(all, "%s\n", foreign);
	return 0;
}

static cow_errno read_conf(struct cow_inode *root,
			   cow_errno (*each)(struct cow_inode *, const char *, void *), char **ret)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);
	cow_errno r;

	if (!f)
		return -ENOMEM;
	r = cow_pgfiles_each_conf(root, each, f);
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0)
		free(buf);
	else
		*ret = buf;
	return r;
}

struct place {
	struct cow_inode *root;
	const char *libdir;
};

static bool has_file(void *arg, const char *path)
{
	return cow_pgfiles_exists(((struct place *)arg)->root, path);
}

static bool has_library(void *arg, const char *name)
{
	const struct place *p = arg;
	const char *suffix =
	    strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".so") == 0 ? "" : ".so";
	char path[4096];

	if (strncmp(name, "$libdir/", 8) == 0)
		name += 8;
	if (name[0] == '/')
		snprintf(path, sizeof(path), "%s%s", name, suffix);
	else
		snprintf(path, sizeof(path), "%s/%s%s", p->libdir, name, suffix);
	return access(path, R_OK) == 0;
}

/* Where packages put the libraries of a major version; false = not found here. */
static bool find_libdir(int major, char *buf, size_t size)
{
	static const char *const places[] = {"/usr/lib/postgresql/%d/lib", "/usr/pgsql-%d/lib",
					     "/usr/lib64/pgsql/postgresql-%d/lib"};

	for (size_t k = 0; k < LENGTH(places); k++) {
		snprintf(buf, size, places[k], major);
		if (access(buf, X_OK) == 0)
			return true;
	}
	return false;
}

static int is_directory(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	return S_ISDIR(type) ? 1 : 0;
}

static bool has_in_place(struct cow_inode *root)
{
	CLEANUP_INODE struct cow_inode *dir = NULL;

	return cow_name_lookup(root, "pg_tblspc", &dir) == 0 &&
	       cow_name_each(dir, is_directory, NULL) == 1;
}

static bool read_control(struct cow_inode *root, struct cow_pgcontrol *ret)
{
	CLEANUP_FREE char *data = NULL;
	size_t len;

	return cow_pgfiles_read(root, "global/pg_control", &data, &len) == 0 &&
	       cow_pgcontrol_decode(data, len, ret, NULL) == 0;
}

static cow_errno write_settings(struct cow_inode *root, int major,
				const struct cow_pgfork_policy *policy)
{
	CLEANUP_FREE char *conf = NULL, *before = NULL, *after = NULL;
	struct cow_pgconf_list list = {0};
	struct cow_pgcontrol control;
	char libdir[128];
	struct place place = {.root = root, .libdir = libdir};
	struct cow_pgconf_facts facts = {.major = major, .has_file = has_file, .arg = &place};
	cow_errno r = cow_pgfiles_each_conf(root, disable_in, NULL);

	if (policy)
		facts.policy = *policy;
	if (r == 0)
		r = read_conf(root, gather, &conf);
	if (r == 0) {
		facts.conf = conf;
		facts.in_place = has_in_place(root);
		if (read_control(root, &control))
			facts.control = &control;
		if (find_libdir(major, libdir, sizeof(libdir)))
			facts.has_library = has_library;
		r = cow_pgconf_override(&facts, &list);
	}
	if (r == 0)
		r = cow_pgfiles_read(root, "postgresql.auto.conf", &before, NULL);
	if (r == 0 || r == -ENOENT) {
		after = cow_pgconf_with_section(before ? before : "", &list);
		r = after ? 0 : -ENOMEM;
	}
	/* A branch of a branch has the right text already: then nothing is written. */
	if (r == 0 && !(before && strcmp(before, after) == 0))
		r = cow_pgfiles_write(root, "postgresql.auto.conf", after, strlen(after));
	cow_pgconf_list_release(&list);
	return r;
}

cow_errno cow_pgfork_prepare(struct cow_live *fresh, void *arg, struct cow_error *e)
{
	CLEANUP_INODE struct cow_inode *root = NULL;
	int major;
	cow_errno r = cow_pgfork_major(fresh, &major);

	if (r < 0)
		return r == -ENOENT ? 0 : cow_wrap(e, r, "read PG_VERSION");
	r = cow_pgfiles_root(fresh, &root);
	if (r == 0)
		r = leave_behind(root);
	if (r < 0)
		return cow_wrap(e, r, "remove what a branch must not inherit");
	r = write_settings(root, major, arg);
	if (r < 0)
		return cow_wrap(e, r, "write postgresql.auto.conf");
	if (!cow_pgfiles_exists(root, COW_PGFORK_FIRST_START))
		r = cow_pgfiles_write(root, COW_PGFORK_FIRST_START, "", 0);
	return r < 0 ? cow_wrap(e, r, "write %s", COW_PGFORK_FIRST_START) : 0;
}

/* --- is a snapshot of the running server safe? --- */

static cow_errno gather_all(struct cow_inode *dir, const char *name, void *arg)
{
	CLEANUP_FREE char *text = NULL;
	cow_errno r = cow_pgfiles_read(dir, name, &text, NULL);

	if (r == 0)
		fprintf(arg, "%s\n", text);
	return r == -EINVAL ? 0 : r;
}

/* postmaster.opts is one line: the program and its arguments, each in double quotes. The last
 * NAME=VALUE wins; with -F, fsync is off. */
static bool option_of(const char *opts, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);
	bool found = false;

	if (strcmp(name, "fsync") == 0 && strstr(opts, "\"-F\"")) {
		snprintf(ret, size, "off");
		found = true;
	}
	for (const char *p = opts; (p = strstr(p, name)); p += len) {
		if (p == opts || !strchr("\"-c", p[-1]) || p[len] != '=')
			continue;
		snprintf(ret, size, "%.*s", (int)strcspn(p + len + 1, "\" \n"), p + len + 1);
		found = true;
	}
	return found;
}

cow_errno cow_pgfork_snapshot_safe(struct cow_live *l, struct cow_error *e)
{
	static const char *const names[] = {"fsync", "full_page_writes"};
	CLEANUP_INODE struct cow_inode *root = NULL;
	CLEANUP_FREE char *conf = NULL, *opts = NULL;
	char value[64];
	cow_errno r = cow_pgfiles_root(l, &root);

	if (r < 0)
		return cow_wrap(e, r, "read the root of the branch");
	if (!cow_pgfiles_exists(root, "PG_VERSION") || !cow_pgfiles_exists(root, "postmaster.pid"))
		return 0;
	r = read_conf(root, gather_all, &conf);
	if (r < 0)
		return cow_wrap(e, r, "read the configuration of the server");
	if (cow_pgfiles_read(root, "postmaster.opts", &opts, NULL) < 0)
		opts = NULL;
	for (size_t k = 0; k < LENGTH(names); k++) {
		if (!(opts && option_of(opts, names[k], value, sizeof(value))) &&
		    !cow_pgconf_get(conf, names[k], value, sizeof(value)))
			continue;
		if (!cow_pgconf_is_off(value))
			continue;
		r = cow_fail(
		    e, -EPERM,
		    "its server runs with %s=off: the point might not survive crash recovery",
		    names[k]);
		return cow_hint(e, r,
				"Stop the server first, or set %s=on; a branch that may lose "
				"its data is what --ephemeral is for.",
				names[k]);
	}
	return 0;
}
