// SPDX-License-Identifier: Apache-2.0
/* pgvisit: the server of a branch for the time of one command, whatever it was doing before.
 *
 * A branch that sleeps or is stopped is started, through cowfs serve when that runs; at the end it
 * is put back to what it was, unless somebody else has come to use it in the meantime. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "tools/pg/pgbranch.h"

enum pgvisit_before { PGVISIT_RAN, PGVISIT_ASLEEP, PGVISIT_STOPPED };

struct pgvisit {
	struct pgbranch branch; /* with its programs; takes connections between begin and end */
	enum pgvisit_before before;
	bool served; /* by cowfs serve */
};

/* `name` NULL = the default branch. Errors as pgbranch_find and pgbranch_start; reason in
 * call->error. After a failure there is nothing to end. */
cow_errno pgvisit_begin(struct command_call *call, const char *name, struct pgvisit *ret);

/* `r`: how the command went. Returns it; a failure to put the branch back counts only after 0. */
cow_errno pgvisit_end(struct command_call *call, struct pgvisit *v, cow_errno r);

/* Run `work` as the owner of the data, in a child: peer authentication asks who connects. *ret is
 * what it made (owned by the caller); ret may be NULL. Its failure, with its words. */
cow_errno pgvisit_as_owner(const struct pgbranch *b,
			   cow_errno (*work)(const struct pgbranch *b, void *arg, json_t **ret,
					     struct cow_error *e),
			   void *arg, json_t **ret, struct cow_error *e);
