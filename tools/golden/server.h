// SPDX-License-Identifier: Apache-2.0
/* server: private branches of a refresh, and servers on them (struct golden_server). */
#pragma once
#include "tools/golden/golden.h"

struct golden_branch {
	const char *name;
	const char *purpose; /* value of the setting "private": "import", "mask", "image" */
	const char *parent;  /* reference; NULL = over nothing, an empty directory of conf->owner */
	bool ephemeral;      /* fsync is waived: for what is thrown away */
};

/* Make the branch; s->branch has its name, and its directory, afterwards. Errors as of
 * branch.create.
 */
cow_errno golden_branch_make(struct golden_run *run, const struct golden_branch *how,
			     struct golden_server *s, struct cow_error *e);

struct golden_initdb {
	int major; /* 0 = the newest on this machine */
	const char *superuser;
	const char *encoding, *locale; /* NULL = UTF8, C.UTF-8 */
	bool checksums;
};

/* An empty cluster in an empty branch. -ENOENT no such PostgreSQL here. */
cow_errno golden_initdb(struct golden_run *run, const struct golden_initdb *how,
			struct golden_server *s, struct cow_error *e);

/* Start its server. `extra`: settings that win over ours; may be NULL. The server of an ephemeral
 * branch runs without fsync, so a point of it is only to be taken while it does not run. */
cow_errno golden_server_start(struct golden_run *run, struct golden_server *s,
			      const struct cow_pgconf_list *extra, struct cow_error *e);

/* Nothing when it does not run. A clean shutdown, unless `crash`. */
cow_errno golden_server_stop(struct golden_run *run, struct golden_server *s, bool crash,
			     struct cow_error *e);

/* Stop and delete it, with the log and the sockets of its server. Nothing when it was not made. */
cow_errno golden_branch_drop(struct golden_run *run, struct golden_server *s, struct cow_error *e);

/* Drop every private branch of this image, whoever left it. *ret: how many there were. */
cow_errno golden_drop_all(struct golden_run *run, unsigned *ret, struct cow_error *e);
