// SPDX-License-Identifier: Apache-2.0
/* pgbranch: the server of a branch, as the commands see it: where it is, whether it runs, starting
 * it.
 *
 * Runs in the command, never in the daemon: all of it makes path calls on the mount. */
#pragma once
#include <limits.h>
#include <stdint.h>

#include "store/branch.h"
#include "tools/cli/command.h"
#include "tools/pg/pgserver.h"
#include "tools/pg/pgurl.h"

struct pgbranch {
	char store[PATH_MAX];
	char name[COW_BRANCH_MAX + 1];
	char pgdata[PATH_MAX];
	char bindir[PATH_MAX]; /* "" until pgbranch_find_programs */
	char socket_dir[108];
	char log[PATH_MAX];
	char id[32];   /* as branches are shown with */
	char user[64]; /* name of the owner of the data: its first superuser, by custom */
	int port;      /* 0 = never started */
	int major;
	uint64_t writers;               /* files of the branch that are open for writing */
	bool ephemeral, poisoned, lost; /* as in store/branch.h */
	bool base;                      /* was made from nothing */
	char profile[32];               /* pgprofile.h; "" = by default */
	char own[4096];        /* settings kept with it: {NAME: VALUE} as text; "" = none */
	uint64_t memory_bytes; /* most of its server; 0 = any */
	double cpus;           /* the same */
	char unlimited[256];   /* after a start: why these two could not be had; "" = they could */
	struct cow_pgfork_policy policy;
	/* Behind the proxy: listens where only cowfs serve connects to. `host` and `socket_dir` are
	 * where clients connect to: the proxy, or the server itself when no proxy runs any more. */
	bool served;
	char host[256];
	struct pgstate state;
};

struct pgbranch_port {
	bool choose;  /* give it one when it has none */
	int wanted;   /* 0 = any */
	bool private; /* also of a branch that is private (daemon/private.h) */
};

/* `name` NULL = the default branch. -ENOENT no such branch, -ENOTCONN not mounted, -EINVAL no
 * PGDATA. Reason in call->error. */
cow_errno pgbranch_find(struct command_call *call, const char *name, struct pgbranch_port port,
			struct pgbranch *ret);

/* Fill `bindir`; `given` may be NULL. */
cow_errno pgbranch_find_programs(struct pgbranch *b, const char *given, struct cow_error *e);

/* May a user choose this setting of a server? -EINVAL with the reason. */
cow_errno pgbranch_check_setting(const char *name, const char *value, bool ephemeral,
				 struct cow_error *e);

/* Wait until nobody has files of the branch open for writing: the kernel closes those of a server
 * that ended a moment later. -EBUSY somebody still has after 5 s: a server that cannot be seen from
 * here. */
cow_errno pgbranch_await_quiet(struct command_call *call, struct pgbranch *b);

/* Make a branch fit to start that had a failed write: what never reached the disk is dropped, and
 * said on stderr. -EIO an ephemeral branch did not survive the machine. Looks at the branch again.
 */
cow_errno pgbranch_recover(struct command_call *call, struct pgbranch *b);

/* Start the server that does not run, where b->served says; a fork that was never started goes
 * through pgfirst.h before, and what that changed is said on stderr. `extra`: settings of the user,
 * they win over ours. Updates b->state. Of several commands that start one branch at once the first
 * does it, and the others find it started. -EBUSY its port is taken; else as pgserver_start and
 * pgfirst_run. */
cow_errno pgbranch_start(struct pgbranch *b, const struct cow_pgconf_list *extra,
			 unsigned timeout_ms, struct cow_error *e);

/* What cowfs says about its server before anything that a user says (fs/pgconf.h and the profile).
 * -ENOMEM. */
cow_errno pgbranch_settings(struct pgbranch *b, struct cow_pgconf_list *l);

/* The role that its clients use when they name none: the owner, or the one that is left to them
 * (pg_roles.h). */
const char *pgbranch_user(const struct pgbranch *b);

/* Where its clients connect to. `user`, `dbname` NULL = pgbranch_user, postgres. Borrows all. */
struct pgurl pgbranch_address(const struct pgbranch *b, const char *user, const char *dbname);

/* postgresql://USER@HOST:PORT/DBNAME, percent-encoded. */
void pgbranch_url(const struct pgbranch *b, const char *user, const char *dbname, char *buf,
		  size_t size);

/* Keys: branch current_state pid port connection_uri database host socket_dir user data_directory
 * log version. `user`, `dbname` NULL = as above. */
json_t *pgbranch_json(const struct pgbranch *b, const char *user, const char *dbname);
