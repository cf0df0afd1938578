// SPDX-License-Identifier: Apache-2.0
/* cowfs exec, wait-ready, logs: a branch for scripts and for whoever looks for the reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"
#include "tools/process/process.h"
#include "tools/remote/remote.h"
#include "tools/serve/client.h"

#define STEP_MS 10    /* between two looks at a server that starts */
#define FOLLOW_MS 200 /* between two looks at a log */

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
		  NULL);
}

/* A branch with an address; behind serve it gets one now. */
static cow_errno find_with_address(struct command_call *call, struct pgbranch *b)
{
	cow_errno r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, b);

	if (r == 0 && b->port == 0 && serve_runs(call->store)) {
		serve_nudge(call->store);
		r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, b);
	}
	if (r == 0 && !b->state.running && !serve_runs(call->store)) {
		cow_fail(&call->error, -ENOTCONN, "%s is not running", b->name);
		r = cow_hint(&call->error, -ENOTCONN, "Start it: cowfs start %s", b->name);
	}
	return r;
}

/* --- exec --- */

static void set_environment(const json_t *address)
{
	static const char *const names[][2] = {{"DATABASE_URL", "connection_uri"},
					       {"PGHOST", "host"},
					       {"PGUSER", "user"},
					       {"PGDATABASE", "database"},
					       {"COWFS_BRANCH", "branch"}};
	char port[24];

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		const char *value = json_string_value(json_object_get(address, names[k][1]));

		setenv(names[k][0], value ? value : "", 1);
	}
	snprintf(port, sizeof(port), "%lld",
		 (long long)json_integer_value(json_object_get(address, "port")));
	setenv("PGPORT", port, 1);
}

static int run_exec(struct command_call *call)
{
	struct pgbranch b;
	json_t *address;
	cow_errno r;

	if (call->tail_argc == 0)
		return command_usage(call, "which command? cowfs exec BRANCH -- COMMAND");
	r = find_with_address(call, &b);
	if (r < 0)
		return r;
	address = pgbranch_json(&b, command_option(call, "user"), command_option(call, "dbname"));
	set_environment(address);
	json_decref(address);
	fflush(NULL);
	execvp(call->tail[0], call->tail);
	return cow_fail(&call->error, -errno, "cannot run %s: %s", call->tail[0], strerror(errno));
}

/* The address of the branch on the other side; awake, or it is refused there. */
static int ask_address(struct command_call *call, json_t **ret)
{
	const char *user = command_option(call, "user"), *dbname = command_option(call, "dbname");
	const char *wait[] = {"wait-ready", "--timeout=1s", "--", call->argv[0], NULL};
	const char *url[] = {"url", "--user",      user, "--dbname", dbname ? dbname : "postgres",
			     "--",  call->argv[0], NULL};
	const char *plain[] = {"url", "--dbname",    dbname ? dbname : "postgres",
			       "--",  call->argv[0], NULL};
	int r = remote_ask_words(call, wait, NULL);

	return r == 0 ? remote_ask_words(call, user ? url : plain, ret) : r;
}

/* The command runs here, where its files are; the database comes through a tunnel. */
static int run_exec_remote(struct command_call *call)
{
	const struct process p = {.argv = (const char *const *)call->tail,
				  .in = PROCESS_INHERIT,
				  .out = PROCESS_INHERIT,
				  .err = PROCESS_INHERIT};
	struct remote_tunnel tunnel = {0};
	json_t *address = NULL;
	int status = 0, r;

	if (call->tail_argc == 0)
		return command_usage(call, "which command? cowfs exec BRANCH -- COMMAND");
	r = ask_address(call, &address);
	if (r == 0)
		r = remote_tunnel_open(
		    call, (int)json_integer_value(json_object_get(address, "port")), &tunnel);
	if (r == 0) {
		remote_address_set(address, "127.0.0.1", tunnel.port);
		set_environment(address);
		r = process_run(&p, &status, &call->error);
	}
	remote_tunnel_close(&tunnel);
	json_decref(address);
	return r != 0 ? r : status;
}

static const struct command_option exec_options[] = {
    {"user", 'U', "USER", "role to connect as (default: the name of the owner of the data)"},
    {"dbname", 'd', "NAME", "database (default: postgres)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_exec = {
    .name = "exec",
    .summary = "run a command with the address of a branch in its environment",
    .usage = "[BRANCH] [-d NAME] -- COMMAND",
    .detail = "Sets DATABASE_URL, PGHOST, PGPORT, PGUSER, PGDATABASE and COWFS_BRANCH. The exit "
	      "status is\nthat of the command. With --host the command runs here, and reaches the "
	      "branch through a\ntunnel.",
    .example = "cowfs exec feature/add-orgs -- npx prisma migrate deploy",
    .options = exec_options,
    .max_args = 1,
    .takes_tail = true,
    .operands = "branch",
    .pins = true,
    .run = run_exec,
    .run_remote = run_exec_remote,
};

/* --- wait-ready --- */

static cow_errno await_server(struct command_call *call, struct pgbranch *b, uint64_t timeout_ms)
{
	cow_errno r = 0;

	for (uint64_t waited = 0; r == 0 && waited <= timeout_ms; waited += STEP_MS) {
		const struct pg_address at = {
		    .host = b->socket_dir, .port = b->port, .user = b->user, .dbname = "postgres"};

		if (b->state.ready && cow_pg_ping(&at) == PG_ANSWER_OK)
			return 0;
		pause_ms(STEP_MS);
		r = pgbranch_find(call, b->name, (struct pgbranch_port){0}, b);
	}
	return r < 0 ? r : cow_fail(&call->error, -ETIMEDOUT, "%s is not ready", b->name);
}

static int run_wait_ready(struct command_call *call)
{
	const char *text = command_option(call, "timeout");
	uint64_t timeout_ms = 60000;
	struct pgbranch b;
	cow_errno r = text ? parse_duration(text, &timeout_ms, &call->error) : 0;

	if (r == 0)
		r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, &b);
	if (r < 0 || !serve_runs(call->store))
		return r < 0 ? r : await_server(call, &b, timeout_ms);
	serve_nudge(call->store);
	return serve_call_within(
	    call->store, "wake", json_pack("{s:s,s:s}", "name", b.name, "why", "cowfs wait-ready"),
	    timeout_ms == 0 ? 1 : (unsigned)COW_MIN(timeout_ms, (uint64_t)INT32_MAX), NULL,
	    &call->error);
}

static const struct command_option wait_options[] = {
    {"timeout", 0, "TIME", "how long (default: 1m)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_wait_ready = {
    .name = "wait-ready",
    .summary = "return when a branch takes connections",
    .usage = "[BRANCH] [--timeout TIME]",
    .detail = "Behind cowfs serve this wakes it. Without, it waits for somebody else's start; exit "
	      "status 6\nwhen there was none in time.",
    .example = "cowfs wait-ready feature/add-orgs && npm test",
    .options = wait_options,
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_wait_ready,
};

/* --- logs --- */

/* Where the last `lines` lines begin. */
static off_t last_lines(int fd, uint64_t lines)
{
	off_t at = lseek(fd, 0, SEEK_END);
	uint64_t seen = 0;
	char c;

	while (at > 0 && pread(fd, &c, 1, at - 1) == 1) {
		if (c == '\n' && seen++ == lines)
			break;
		at--;
	}
	return at;
}

static cow_errno copy_out(struct command_call *call, int fd, off_t *at)
{
	char buf[16384];
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), *at)) > 0) {
		if (fwrite(buf, 1, (size_t)n, call->out.out) != (size_t)n)
			return -EPIPE;
		*at += n;
	}
	return fflush(call->out.out) ? -EPIPE : n < 0 ? -errno : 0;
}

/* Until interrupted. A log that was moved aside is read to its end, then the new one. */
static cow_errno follow(struct command_call *call, const char *path, int *fd, off_t at)
{
	struct stat now, ours;
	cow_errno r = 0;

	while (r == 0) {
		pause_ms(FOLLOW_MS);
		r = copy_out(call, *fd, &at);
		if (r == 0 && stat(path, &now) == 0 && fstat(*fd, &ours) == 0 &&
		    now.st_ino != ours.st_ino) {
			close(*fd);
			*fd = open(path, O_RDONLY | O_CLOEXEC);
			at = 0;
			if (*fd < 0)
				r = -errno;
		}
	}
	return r;
}

static int run_logs(struct command_call *call)
{
	const char *text = command_option(call, "lines");
	CLEANUP_FD int fd = -1;
	uint64_t lines = 100;
	struct pgbranch b;
	off_t at;
	cow_errno r = text ? parse_number(text, 0, 1000000000, &lines, &call->error) : 0;

	if (r == 0)
		r = pgbranch_find(call, call->argv[0], (struct pgbranch_port){0}, &b);
	if (r < 0)
		return r;
	fd = open(b.log, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		r = cow_fail(&call->error, -errno, "cannot read %s: %s", b.log, strerror(errno));
		return errno == ENOENT ? cow_hint(&call->error, r, "%s was never started.", b.name)
				       : r;
	}
	at = last_lines(fd, lines);
	r = copy_out(call, fd, &at);
	if (r == 0 && command_option(call, "follow"))
		r = follow(call, b.log, &fd, at);
	/* Whoever read from us has read enough. */
	return r == -EPIPE ? 0 : r < 0 ? cow_fail(&call->error, r, "cannot read the log") : 0;
}

static const struct command_option logs_options[] = {
    {"follow", 'f', NULL, "go on with what is written from now on"},
    {"lines", 'n', "N", "begin with the last N lines (default: 100)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_logs = {
    .name = "logs",
    .summary = "show what the server of a branch logged",
    .usage = "[BRANCH] [-f] [-n N]",
    .example = "cowfs logs feature/add-orgs -f",
    .options = logs_options,
    .max_args = 1,
    .operands = "branch",
    .pins = true,
    .run = run_logs,
};
