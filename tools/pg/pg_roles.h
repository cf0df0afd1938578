// SPDX-License-Identifier: Apache-2.0
/* pg_roles: who gets into a fork: passwords of its roles, and superusers that nobody can become.
 *
 * A fork of production has the roles of production, with its passwords. Two answers, which may be
 * combined: the passwords are replaced, so that those of production open nothing here; or the
 * superusers are locked: they come in only as the owner of the files (pghba.h), and clients use the
 * role "restricted", which owns what they owned and is none. What a superuser can do beyond the
 * database (run programs, read the files of the machine) is out of reach of a client then.
 *
 * Locking takes away, besides: membership in superusers and in the roles that run programs and
 * read or write files; CREATEROLE before PostgreSQL 16 (where it gives itself those); REPLICATION.
 * Not here: functions in untrusted languages, and rights on them that somebody was given. */
#pragma once
#include "tools/pg/pg.h"

#define PG_RESTRICTED "restricted"

/* Over a connection of a superuser; `at->dbname` is ignored. Doing it again changes nothing more.
 * What cannot be given to the new role (one object or the other) stays with its owner. *names is a
 * new array of the superusers. -EEXIST a superuser has the name of the role; else as
 * cow_pg_fork_change. */
cow_errno cow_pg_lock_superusers(const struct pg_address *at, json_t **names, struct cow_error *e);

/* Give the role "restricted" a new password (`restricted`), and every role that has one and may log
 * in (`all`). *passwords is a new object {role: password}, *verifiers the same with what the server
 * keeps of it: that opens nothing. Errors as above. */
cow_errno cow_pg_new_passwords(const struct pg_address *at, bool all, bool restricted,
			       json_t **passwords, json_t **verifiers, struct cow_error *e);

/* Give roles of other contents the passwords they had before: `verifiers` as above, NULL = none.
 * `forget`: a role that has a password and is not among them gets one that nobody knows. */
cow_errno cow_pg_old_passwords(const struct pg_address *at, const json_t *verifiers, bool forget,
			       struct cow_error *e);
