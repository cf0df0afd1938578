// SPDX-License-Identifier: Apache-2.0
/* pgfirst: what a fork must lose before its first client, and can lose only by SQL.
 *
 * Settings (fs/pgconf.h) keep a running fork from acting by itself. What its users may set off
 * without knowing is in its catalogs: DROP SUBSCRIPTION drops the slot of the original at the
 * publisher, and a user mapping holds a password that opens somebody else's database. And its
 * policy may say that the roles of the original do not get into it (pg_roles.h). So before the
 * server of a fork is started for the first time, one is started that only this process can reach
 * (a socket directory of its own, no port, an own pg_hba.conf), changed, and shut down.
 *
 * That costs about 150 ms, and most clusters have neither: whether there is anything is found by a
 * look at the sizes of a few catalog files, without a server. After a crash recovery the same look
 * is taken again, because a row may have been in the WAL only; between the two looks it is the
 * settings that protect.
 *
 * Not here: databases that allow no connections (template0) are left as they are; passwords inside
 * functions, in the text of a dblink call, or in tables are the user's data. A server of somebody
 * else that takes anybody without a password (trust) still does. */
#pragma once
#include <jansson.h>

#include "tools/pg/pgbranch.h"

struct pgfirst_report {
	unsigned subscriptions, servers, mappings; /* changed */
	unsigned superusers;                       /* locked */
};

/* Of its roles, as far as the policy of the branch is about them. */
struct pgfirst_passwords {
	bool make;                     /* new ones; else those of before */
	const json_t *verifiers;       /* those of before (pg_roles.h); NULL = none */
	json_t *made, *made_verifiers; /* out, when made: {role: password}, {role: verifier}; new */
};

/* Was this fork never started? */
bool pgfirst_is_due(const struct pgbranch *b);

/* Does its policy ask for something that its files may hold? Errs on the side of true. */
bool pgfirst_finds_work(const struct pgbranch *b);

/* Do it: start the restricted server with `settings`, change what the policy of the branch says,
 * shut down. Needs b->bindir and b->port. -ECHILD as pgserver_start; -EPERM the change failed, with
 * the server's words: the branch stays unstarted. */
cow_errno pgfirst_run(struct pgbranch *b, const struct cow_pgconf_list *settings,
		      struct pgfirst_passwords *passwords, struct pgfirst_report *ret,
		      struct cow_error *e);

/* It is done, for these contents. */
void pgfirst_done(const struct pgbranch *b);

/* Is this the restricted server of somebody who is at it now? `socket_dir` is that of the branch.
 */
bool pgfirst_is_restricted(const struct pgstate *s, const char *socket_dir);
