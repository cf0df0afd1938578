// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgsettle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/pgcontrol.h"
#include "store/cleanup.h"
#include "store/os.h"
#include "tools/daemon/client.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"

/* Times in pg_control are whole seconds, those of files are finer, and the clock may be set. */
#define DOUBT_S 2

/* initdb writes PG_VERSION, once, after it made the directories: one that is no newer has never had
 * a tablespace in it. A young cluster would else look changed, and a checkpoint under load holds up
 * commits for longer than all the rest of making a branch. */
static bool as_initdb_made_it(const struct pgbranch *b, const struct stat *dir)
{
	char path[PATH_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/PG_VERSION", b->pgdata);
	return stat(path, &st) == 0 && (dir->st_mtim.tv_sec < st.st_mtim.tv_sec ||
					(dir->st_mtim.tv_sec == st.st_mtim.tv_sec &&
					 dir->st_mtim.tv_nsec <= st.st_mtim.tv_nsec));
}

static bool tablespaces_changed(const struct pgbranch *b)
{
	char path[PATH_MAX + 32];
	uint8_t raw[COW_PGCONTROL_BYTES];
	struct cow_pgcontrol control;
	CLEANUP_FD int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "%s/pg_tblspc", b->pgdata);
	if (stat(path, &st) < 0 || as_initdb_made_it(b, &st))
		return false;
	snprintf(path, sizeof(path), "%s/global/pg_control", b->pgdata);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* What cannot be read is no reason to skip a checkpoint. */
	return fd < 0 || cow_os_pread(fd, raw, sizeof(raw), 0) < 0 ||
	       cow_pgcontrol_decode(raw, sizeof(raw), &control, NULL) < 0 ||
	       st.st_mtim.tv_sec + DOUBT_S >= control.checkpoint_time;
}

/* As the owner of the data, in a child: peer authentication asks who connects. */
static cow_errno checkpoint(const struct pgbranch *b, struct cow_error *e)
{
	const struct pg_address at = {
	    .host = b->socket_dir, .port = b->port, .user = b->user, .dbname = "postgres"};
	struct cow_error said = COW_ERROR_INIT;
	int ends[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cow_fail(e, -errno, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		if (pgserver_become_owner(b->pgdata, &said) < 0 ||
		    cow_pg_checkpoint(&at, &said) < 0)
			n = write(ends[1], said.text, strlen(said.text));
		_exit(said.text[0] ? 1 : 0);
	}
	close(ends[1]);
	n = pid < 0 ? 0 : read(ends[0], said.text, sizeof(said.text) - 1);
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return cow_fail(e, -errno, "cannot start a process: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	said.text[n > 0 ? n : 0] = '\0';
	cow_fail(e, -EPERM,
		 "tablespaces of %s changed since its last checkpoint, and none could be made: %s",
		 b->name, said.text);
	return cow_hint(e, -EPERM,
			"Make one as a superuser, then try again: cowfs psql %s -U ROLE -- -c "
			"CHECKPOINT",
			b->name);
}

/* On a full disk a checkpoint may wait until there is room, and then the verb is refused anyway. */
static bool writes_wait(struct command_call *call)
{
	struct cow_error ignored = COW_ERROR_INIT;
	json_t *status = NULL;
	const char *store;
	bool wait;

	if (command_store(call, &store) < 0 ||
	    client_call_daemon(store, "status", NULL, &status, &ignored) < 0)
		return false;
	wait = json_integer_value(json_object_get(status, "waiting_for_room")) > 0;
	json_decref(status);
	return wait;
}

cow_errno pgsettle(struct command_call *call, const char *reference)
{
	struct pgbranch b;
	cow_errno r;

	if (reference && (strchr(reference, '@') || reference[0] == '^'))
		return 0;
	r = pgbranch_find(call, reference, (struct pgbranch_port){0}, &b);
	if (r < 0 || !b.state.ready || !tablespaces_changed(&b) || writes_wait(call)) {
		/* Not mounted, no such branch, no PGDATA, no room: the verb itself says what
		 * matters. */
		call->error = (struct cow_error)COW_ERROR_INIT;
		return 0;
	}
	return checkpoint(&b, &call->error);
}
