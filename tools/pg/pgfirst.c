// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgfirst.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/pgfork.h"
#include "store/cleanup.h"
#include "tools/pg/pg.h"
#include "tools/pg/pg_roles.h"
#include "tools/pg/pghba.h"
#include "tools/pg/pgplace.h"

#define STOP_MS 300000u /* its shutdown writes a checkpoint */
#define START_MS 300000u

/* OIDs of catalogs: fixed for ever. Their files have the same number unless they were rewritten. */
#define PG_SUBSCRIPTION 6100u
#define PG_FOREIGN_SERVER "1417"

/* --- is there anything to do? --- */

static void path_in(const struct pgbranch *b, const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", b->pgdata, name);
}

bool pgfirst_is_due(const struct pgbranch *b)
{
	char path[PATH_MAX + 64];

	path_in(b, COW_PGFORK_FIRST_START, path, sizeof(path));
	return access(path, F_OK) == 0;
}

void pgfirst_done(const struct pgbranch *b)
{
	char path[PATH_MAX + 64];

	path_in(b, COW_PGFORK_FIRST_START, path, sizeof(path));
	unlink(path);
}

/* The file of a shared catalog, by global/pg_filenode.map: magic, count, pairs (OID, file), each
 * four bytes in the order of the machine. 0 = the map cannot be read. */
static uint32_t shared_file(const struct pgbranch *b, uint32_t oid)
{
	uint32_t map[2 + 2 * 64];
	char path[PATH_MAX + 64];
	ssize_t n;

	path_in(b, "global/pg_filenode.map", path, sizeof(path));
	{
		CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

		n = fd < 0 ? -1 : read(fd, map, sizeof(map));
	}
	if (n < 8 || map[0] != 0x592717)
		return 0;
	for (size_t k = 0; k < map[1] && 8 + 8 * (k + 1) <= (size_t)n; k++)
		if (map[2 + 2 * k] == oid)
			return map[3 + 2 * k];
	return 0;
}

/* A file that is not there was rewritten under another number: it may hold anything. */
static bool may_hold_rows(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || st.st_size > 0;
}

static bool any_subscription(const struct pgbranch *b)
{
	uint32_t file = shared_file(b, PG_SUBSCRIPTION);
	char name[64], path[PATH_MAX + 64];

	if (file == 0)
		return true;
	snprintf(name, sizeof(name), "global/%u", file);
	path_in(b, name, path, sizeof(path));
	return may_hold_rows(path);
}

/* Any database in this directory with a foreign server? User mappings need one. */
static bool any_server_in(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	bool found = false;

	while (d && !found && (de = readdir(d))) {
		char path[PATH_MAX + 1200];

		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		/* A tablespace also has directories of databases that live elsewhere. */
		snprintf(path, sizeof(path), "%s/%s/PG_VERSION", dir, de->d_name);
		if (access(path, F_OK) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/" PG_FOREIGN_SERVER, dir, de->d_name);
		found = may_hold_rows(path);
	}
	if (d)
		closedir(d);
	return found;
}

/* DIR/PG_15_202209061 and the like. */
static bool any_server_in_tablespace(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	bool found = false;

	while (d && !found && (de = readdir(d))) {
		char path[PATH_MAX + 800];

		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		found = strncmp(de->d_name, "PG_", 3) == 0 && any_server_in(path);
	}
	if (d)
		closedir(d);
	return found;
}

static bool any_server(const struct pgbranch *b)
{
	char path[PATH_MAX + 64];
	struct dirent *de;
	bool found;
	DIR *d;

	path_in(b, "base", path, sizeof(path));
	found = any_server_in(path);
	path_in(b, "pg_tblspc", path, sizeof(path));
	d = opendir(path);
	while (d && !found && (de = readdir(d))) {
		char place[PATH_MAX + 400];

		snprintf(place, sizeof(place), "%s/%s", path, de->d_name);
		found = de->d_name[0] != '.' && any_server_in_tablespace(place);
	}
	if (d)
		closedir(d);
	return found;
}

bool pgfirst_finds_work(const struct pgbranch *b)
{
	return b->policy.replace_role_passwords || b->policy.lock_superusers ||
	       (!b->policy.keep_subscriptions && any_subscription(b)) ||
	       (!b->policy.keep_passwords && any_server(b));
}

/* --- the restricted server --- */

bool pgfirst_is_restricted(const struct pgstate *s, const char *socket_dir)
{
	char dir[112];

	pgplace_first_dir(socket_dir, dir, sizeof(dir));
	return s->running && strcmp(s->socket_dir, dir) == 0;
}

/* Whoever can enter the directory may do everything: that is its owner, and root. */
static cow_errno write_hba(const char *path, struct cow_error *e)
{
	static const char text[] = "local all all trust\n";
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
		return cow_fail(e, errno ? -errno : -EIO, "cannot write %s: %s", path,
				strerror(errno));
	return 0;
}

static cow_errno restrict_to(const struct pgbranch *b, const char *dir, const char *hba,
			     const struct cow_pgconf_list *settings, struct cow_pgconf_list *ret)
{
	char port[16];
	const char *const rows[][2] = {
	    {"data_directory", b->pgdata},
	    {"hba_file", hba},
	    {"port", port},
	    {"listen_addresses", ""},
	    {"unix_socket_directories", dir},
	    {"unix_socket_permissions", "0700"},
	    {"logging_collector", "off"},
	    {"session_preload_libraries", ""},
	    {"local_preload_libraries", ""},
	    {"autovacuum", "off"},
	    /* A trigger of the original on login is not run by us. */
	    {b->major >= 17 ? "event_triggers" : NULL, "off"},
	};
	cow_errno r = 0;

	snprintf(port, sizeof(port), "%d", b->port);
	for (size_t k = 0; r == 0 && k < settings->n; k++)
		r = cow_pgconf_list_set(ret, settings->items[k].name, settings->items[k].value);
	for (size_t k = 0; r == 0 && k < sizeof(rows) / sizeof(rows[0]); k++)
		if (rows[k][0])
			r = cow_pgconf_list_set(ret, rows[k][0], rows[k][1]);
	return r;
}

/* Who gets in from now on. */
static cow_errno change_roles(const struct pgbranch *b, const struct pg_address *at,
			      struct pgfirst_passwords *p, struct pgfirst_report *ret,
			      struct cow_error *e)
{
	const struct cow_pgfork_policy *policy = &b->policy;
	json_t *names = NULL;
	cow_errno r = 0;

	if (policy->lock_superusers) {
		r = cow_pg_lock_superusers(at, &names, e);
		if (r == 0)
			r = pghba_lock(b, names, e);
		if (r == 0)
			ret->superusers = (unsigned)json_array_size(names);
		json_decref(names);
	}
	if (r < 0 || (!policy->lock_superusers && !policy->replace_role_passwords))
		return r;
	if (p->make)
		return cow_pg_new_passwords(at, policy->replace_role_passwords,
					    policy->lock_superusers, &p->made, &p->made_verifiers,
					    e);
	return cow_pg_old_passwords(at, p->verifiers, policy->replace_role_passwords, e);
}

static cow_errno change(const struct pgbranch *b, const char *dir, struct pgfirst_passwords *p,
			struct pgfirst_report *ret, struct cow_error *e)
{
	struct pg_address at = {.host = dir, .port = b->port, .user = b->user};
	struct pg_fork_change c = {
	    .subscriptions = !b->policy.keep_subscriptions,
	    .foreign_passwords = !b->policy.keep_passwords,
	};
	struct cow_error named = COW_ERROR_INIT;
	cow_errno r = cow_pg_fork_change(&at, &c, &named);

	/* The owner of the files is the first superuser by custom only. */
	if (r == -ECONNREFUSED && strcmp(b->user, "postgres") != 0) {
		at.user = "postgres";
		r = cow_pg_fork_change(&at, &c, e);
	} else if (r < 0 && e) {
		*e = named;
	}
	*ret = (struct pgfirst_report){c.n_subscriptions, c.n_servers, c.n_mappings, 0};
	return r < 0 ? r : change_roles(b, &at, p, ret, e);
}

cow_errno pgfirst_run(struct pgbranch *b, const struct cow_pgconf_list *settings,
		      struct pgfirst_passwords *passwords, struct pgfirst_report *ret,
		      struct cow_error *e)
{
	char dir[112], hba[128];
	struct cow_pgconf_list l = {0};
	struct pgserver_start how = {.pgdata = b->pgdata,
				     .bindir = b->bindir,
				     .log = b->log,
				     .socket_dir = dir,
				     .port = b->port,
				     .settings = &l,
				     .timeout_ms = START_MS};
	struct cow_error stopping = COW_ERROR_INIT;
	struct pgstate state;
	bool was;
	cow_errno r = pgplace_make(b->pgdata, b->socket_dir, b->log, e), s;

	pgplace_first_dir(b->socket_dir, dir, sizeof(dir));
	snprintf(hba, sizeof(hba), "%s/hba", dir);
	if (r == 0)
		r = pgplace_make_private(b->pgdata, dir, e);
	if (r == 0)
		r = write_hba(hba, e);
	if (r < 0)
		return r;
	r = restrict_to(b, dir, hba, settings, &l);
	r = r < 0 ? cow_fail(e, r, "no memory for settings") : pgserver_start(&how, &state, e);
	cow_pgconf_list_release(&l);
	if (r == 0) {
		r = change(b, dir, passwords, ret, e);
		s = pgserver_stop(b->pgdata, PGSERVER_FAST, STOP_MS, &was, &stopping);
		waitpid(state.pid, NULL, WNOHANG);
		if (r == 0 && s < 0) {
			r = s;
			*e = stopping;
		}
		if (r == -ECONNREFUSED || r == -EPERM) {
			cow_wrap(e, r, "the first start of a fork, before its clients");
			cow_hint(
			    e, r,
			    "What must not reach out of it could not be disabled. To start it as "
			    "it is: cowfs branch set %s --fork subscriptions=kept --fork "
			    "foreign_passwords=kept --fork role_passwords=kept --fork "
			    "superusers=kept",
			    b->name);
		}
	}
	unlink(hba);
	rmdir(dir);
	return r;
}
