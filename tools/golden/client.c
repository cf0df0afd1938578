// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/client.h"

#include <stdio.h>

#include "tools/golden/program.h"

cow_errno golden_client_run(const struct golden_client *c, struct cow_error *e)
{
	char path[PATH_MAX + 32], host[140], port[32], user[80], database[160];
	const char *argv[CLIENT_ARGS_MAX + 1] = {path};
	const char *env[] = {host, port, user, database, NULL};
	const struct pgbranch *b = &c->on->branch;
	const struct program p = {.argv = argv,
				  .as = b->pgdata,
				  .env = env,
				  .in = c->in ? c->in : -1,
				  .out = c->out ? c->out : -1};

	snprintf(path, sizeof(path), "%s/%s", b->bindir, c->program);
	snprintf(host, sizeof(host), "PGHOST=%s", b->socket_dir);
	snprintf(port, sizeof(port), "PGPORT=%d", b->port);
	snprintf(user, sizeof(user), "PGUSER=%s", b->user);
	snprintf(database, sizeof(database), "PGDATABASE=%s",
		 c->database ? c->database : "postgres");
	for (size_t k = 0; k + 1 < CLIENT_ARGS_MAX && c->args[k]; k++)
		argv[k + 1] = c->args[k];
	return program_run(&p, e);
}
