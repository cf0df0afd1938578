// SPDX-License-Identifier: Apache-2.0
/* pgpasswords: passwords that a branch has for itself, and keeps.
 *
 * They are made when the branch is made (or handed over by a pool), shown once, and kept as what
 * the server keeps of them, in the settings of the branch, where nobody but its own first start
 * gets them from. So they are the same after a reset or a restore, although the contents come from
 * somewhere else then, and the passwords of the original open nothing. */
#pragma once
#include "tools/pg/pgbranch.h"
#include "tools/pg/pgfirst.h"

/* Does this policy want any? */
bool pgpasswords_wanted(const struct cow_pgfork_policy *policy);

/* Make them, and do with it all that a first start does: *ret is a new object {role: password}. A
 * branch that does not run has a server for that time, where nobody else reaches it; the server of
 * one that runs is asked, as its owner, and has had its first start. */
cow_errno pgpasswords_make(struct command_call *call, const char *branch, json_t **ret);

/* pgfirst_run with the passwords of before. */
cow_errno pgpasswords_first(struct pgbranch *b, const struct cow_pgconf_list *settings,
			    struct pgfirst_report *ret, struct cow_error *e);
