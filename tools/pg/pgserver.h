// SPDX-License-Identifier: Apache-2.0
/* pgserver: start and stop stock postgres on a directory.
 *
 * The server runs as the owner of the directory, never as root, in a session of its own: it
 * outlives the command. Nothing is kept here about running servers: postmaster.pid is the truth
 * (pgstate.h). */
#pragma once
#include <stdbool.h>

#include "fs/pgconf.h"
#include "tools/pg/pgstate.h"

struct pgserver_start {
	const char *pgdata, *bindir;
	const char *log;  /* file that gets stdout and stderr of the server; appended to */
	const char *user; /* a role to ask with whether it is ready; NULL = believe its word */
	const char *socket_dir; /* exists, and the owner of pgdata may write into it */
	int port;
	const struct cow_pgconf_list *settings; /* each becomes -c name=value, in order */
	int group; /* cgroup.procs of the group it runs in (pgcgroup.h); 0 = that of the caller */
	unsigned timeout_ms;
};

/* Returns when the server takes connections. -EPERM the data is root's, or not ours and we are not
 * root; -ETIMEDOUT it lives but is not ready (it goes on recovering); -ECHILD it ended: the end of
 * its log is in the error. */
cow_errno pgserver_start(const struct pgserver_start *how, struct pgstate *ret,
			 struct cow_error *e);

enum pgserver_mode { PGSERVER_SMART, PGSERVER_FAST, PGSERVER_IMMEDIATE };

/* Returns when the postmaster is gone. *ret_was false: nothing was running.
 * -ETIMEDOUT clients hold it up (the hint names a stronger mode), -EPERM not ours. */
cow_errno pgserver_stop(const char *pgdata, enum pgserver_mode mode, unsigned timeout_ms,
			bool *ret_was, struct cow_error *e);

/* End what was left running on this branch when the daemon of an earlier mount died (pgstate.h:
 * orphan), and remove the postmaster.pid that it cannot reach. 0 also when there is none;
 * -ETIMEDOUT it does not end, -EPERM not ours. */
cow_errno pgserver_end_orphan(const char *pgdata, struct cow_error *e);

/* Become the owner of `path` in this process (a child that is about to exec); a plain user stays
 * who he is and must be the owner. Safe only in a process with one thread. -EPERM as above. */
cow_errno pgserver_become_owner(const char *path, struct cow_error *e);
