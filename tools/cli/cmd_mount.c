// SPDX-License-Identifier: Apache-2.0
/* cowfs mount: show all branches of a store as directories, in the background or not.
 *
 * In the background the command returns when the mount answers, or with the reason why it does not:
 * the child says so through a pipe, so that errors reach the terminal that asked, and the rest goes
 * to STORE/log/cowfs.log. */
#include "tools/cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/daemon/client.h"
#include "tools/daemon/config.h"
#include "tools/daemon/daemon.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/mountinfo.h"
#include "tools/daemon/opening.h"
#include "tools/cli/parse.h"
#include "tools/daemon/wire.h"

/* Only in the whole executable (whole.h). */
#pragma weak daemon_run

#define GOING_WAIT_MS 5000
#define GOING_STEP_MS 20

/* --- what is asked for --- */

struct request {
	struct daemon_options daemon;
	enum cow_log_level level;
	char store[PATH_MAX], mountpoint[PATH_MAX];
	struct config *config;
};

/* The command line, else the configuration of the store. */
static const char *setting(const struct command_call *call, const struct request *q,
			   const char *option, const char *key)
{
	const char *value = command_option(call, option);

	return value ? value : config_get(q->config, "mount", key);
}

static int read_transport(struct command_call *call, const char *word, enum cow_transport *ret)
{
	static const struct {
		const char *word;
		enum cow_transport transport;
	} known[] = {{"auto", COW_TRANSPORT_AUTO},
		     {"classic", COW_TRANSPORT_CLASSIC},
		     {"io_uring", COW_TRANSPORT_URING}};

	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		if (strcmp(known[k].word, word) == 0) {
			*ret = known[k].transport;
			return 0;
		}
	}
	return command_usage(call, "unknown transport '%s'; known are auto, classic, io_uring",
			     word);
}

static int read_cache(struct command_call *call, const char *word, bool *ret_writethrough)
{
	if (strcmp(word, "writeback") != 0 && strcmp(word, "writethrough") != 0)
		return command_usage(call, "unknown cache '%s'; known are writeback, writethrough",
				     word);
	*ret_writethrough = strcmp(word, "writethrough") == 0;
	return 0;
}

static int read_full_disk(struct command_call *call, const char *word, bool *ret_fails)
{
	if (strcmp(word, "wait") != 0 && strcmp(word, "fail") != 0)
		return command_usage(
		    call, "unknown answer to a full disk '%s'; known are wait, fail", word);
	*ret_fails = strcmp(word, "fail") == 0;
	return 0;
}

static int read_settings(struct command_call *call, struct request *q)
{
	const char *cache = setting(call, q, "cache", "cache");
	const char *size = setting(call, q, "cache-size", "cache_size");
	const char *threads = setting(call, q, "threads", "threads");
	const char *level = setting(call, q, "log-level", "log_level");
	const char *transport = setting(call, q, "transport", "transport");
	const char *verify = setting(call, q, "verify-reads", "verify_reads");
	const char *full = setting(call, q, "full-disk", "full_disk");
	uint64_t n = 0;
	int r = 0;

	if (cache)
		r = read_cache(call, cache, &q->daemon.mount.writethrough);
	if (r == 0 && full)
		r = read_full_disk(call, full, &q->daemon.open.full_disk_fails);
	if (r == 0 && size)
		r = parse_size(size, &q->daemon.open.cache_bytes, &call->error);
	if (r == 0 && threads)
		r = parse_number(threads, 1, 256, &n, &call->error);
	if (r == 0 && level && cow_log_parse_level(level, &q->level) < 0)
		r = command_usage(
		    call, "unknown log level '%s'; known are error, warn, info, debug", level);
	if (r == 0 && transport)
		r = read_transport(call, transport, &q->daemon.mount.transport);
	q->daemon.mount.threads = (unsigned)n;
	q->daemon.open.verify_reads = verify && strcmp(verify, "no") != 0;
	q->daemon.mount.debug = command_option(call, "debug") != NULL;
	return r;
}

/* `hint`: the remedy when it is not there, with a %s for it. */
static int absolute(struct command_call *call, const char *what, const char *path, char *ret,
		    const char *hint)
{
	char dead_store[PATH_MAX];
	cow_errno r;

	if (realpath(path, ret))
		return 0;
	/* A mount whose daemon was killed answers ENOTCONN; prepare clears it and needs its name.
	 */
	if (errno == ENOTCONN && mountinfo_find(path, ret, dead_store, NULL) == 0)
		return 0;
	r = -errno;
	cow_fail(&call->error, r, "%s %s: %s", what, path, strerror(-r));
	return r == -ENOENT ? cow_hint(&call->error, r, hint, path) : r;
}

/* Is `path` the directory `dir` or below it? Both absolute and canonical. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* A daemon that has unmounted is about to go: wait for it a little. *ret_status is set when true.
 */
static bool mounted_elsewhere(const char *store, json_t **ret_status)
{
	const struct timespec pause = {.tv_nsec = GOING_STEP_MS * 1000000};

	for (int waited = 0; waited < GOING_WAIT_MS && client_daemon_runs(store);
	     waited += GOING_STEP_MS) {
		json_t *status = NULL;

		if (client_call_daemon(store, "status", NULL, &status, NULL) == 0 &&
		    json_is_true(json_object_get(status, "mounted"))) {
			*ret_status = status;
			return true;
		}
		json_decref(status);
		nanosleep(&pause, NULL);
	}
	return false;
}

static int check_places(struct command_call *call, const struct request *q)
{
	json_t *status = NULL;
	const char *where;

	if (is_within(q->mountpoint, q->store) || is_within(q->store, q->mountpoint)) {
		cow_fail(&call->error, -EINVAL, "the mount point %s and the store %s overlap",
			 q->mountpoint, q->store);
		return cow_hint(&call->error, -EINVAL,
				"Mount on an empty directory outside of the store.");
	}
	if (!mounted_elsewhere(q->store, &status))
		return 0;
	where = json_string_value(json_object_get(status, "mountpoint"));
	cow_fail(&call->error, -EBUSY, "the store %s is mounted already, on %s", q->store,
		 where ? where : "?");
	json_decref(status);
	return cow_hint(&call->error, -EBUSY,
			"One mount shows all branches. To move it, unmount it first.");
}

static int read_request(struct command_call *call, struct request *q)
{
	const char *store = call->argc > 1 ? call->argv[0] : call->store;
	int r;

	if (!store)
		return command_usage(call, "missing operand: STORE MOUNTPOINT");
	r = absolute(call, "store", store, q->store, "Make one: cowfs init %s");
	if (r == 0)
		r = absolute(call, "mount point", call->argv[call->argc - 1], q->mountpoint,
			     "Make the directory: mkdir -p %s");
	if (r == 0)
		r = opening_check_owner(q->store, &call->error);
	if (r == 0)
		r = check_places(call, q);
	if (r == 0)
		r = config_load(q->store, &q->config, &call->error);
	if (r < 0)
		return r;
	q->level = COW_LOG_INFO;
	q->daemon.store = q->store;
	q->daemon.mount.mountpoint = q->mountpoint;
	q->daemon.open.keep_reserves = true;
	return read_settings(call, q);
}

/* --- in the background --- */

/* In the child: tell the parent, once, and let go of its terminal. */
static void tell_parent(void *arg, cow_errno r, const struct cow_error *e)
{
	struct wire *w = arg;

	wire_write(w, r == 0 ? json_pack("{s:{}}", "result") : wire_error(r, e));
	wire_release(w);
}

/* stderr to the log file of the store; stdin and stdout to nowhere. Only in a directory that is a
 * store. */
static cow_errno redirect(const char *store, struct cow_error *e)
{
	char path[PATH_MAX + 32];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), log = -1;

	snprintf(path, sizeof(path), "%s/VERSION", store);
	if (access(path, F_OK) == 0) {
		snprintf(path, sizeof(path), "%s/log", store);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return cow_fail(e, -errno, "cannot make %s: %s", path, strerror(errno));
		snprintf(path, sizeof(path), "%s/log/cowfs.log", store);
		log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		if (log < 0)
			return cow_fail(e, -errno, "cannot open %s: %s", path, strerror(errno));
	}
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	close(null);
	if (log >= 0)
		close(log);
	return 0;
}

static _Noreturn void be_daemon(struct request *q, int fd)
{
	struct cow_error e = COW_ERROR_INIT;
	struct wire w;
	cow_errno r;

	wire_init(&w, fd, WIRE_REQUEST_MAX);
	setsid();
	r = redirect(q->store, &e);
	if (r < 0) {
		tell_parent(&w, r, &e);
		_exit(EXIT_FAILURE);
	}
	if (chdir("/") < 0)
		cow_log_warn("chdir: %s", strerror(errno));
	q->daemon.ready = tell_parent;
	q->daemon.arg = &w;
	r = daemon_run(&q->daemon, &e);
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* In the parent: the child's word, or how it ended without one. */
static int await_child(struct command_call *call, pid_t child, int fd)
{
	struct wire w;
	json_t *word = NULL;
	int n, status, r = 0;

	wire_init(&w, fd, WIRE_REQUEST_MAX);
	n = wire_read(&w, &word);
	wire_release(&w);
	if (n == 1) {
		if (!json_object_get(word, "result"))
			r = wire_error_read(json_object_get(word, "error"), &call->error);
		json_decref(word);
		return r;
	}
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		return cow_fail(&call->error, -ECONNRESET, "the daemon was ended by signal %d",
				WTERMSIG(status));
	return cow_fail(&call->error, -ECONNRESET, "the daemon ended before it was ready");
}

static int in_background(struct command_call *call, struct request *q)
{
	int pair[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cow_fail(&call->error, -errno, "socketpair: %s", strerror(errno));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		close(pair[0]);
		close(pair[1]);
		return cow_fail(&call->error, -errno, "fork: %s", strerror(errno));
	}
	if (child == 0) {
		close(pair[0]);
		be_daemon(q, pair[1]);
	}
	close(pair[1]);
	return await_child(call, child, pair[0]);
}

/* --- the command --- */

static const struct output_column columns[] = {
    {"store", "Store", OUTPUT_TEXT, NULL},
    {"mountpoint", "Mounted on", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec spec = {.columns = columns};

static int run(struct command_call *call)
{
	struct request q = {0};
	json_t *result;
	int r = read_request(call, &q);

	if (r == 0)
		cow_log_set_level(q.level);
	if (r == 0 && command_option(call, "foreground")) {
		r = daemon_run(&q.daemon, &call->error);
	} else if (r == 0) {
		r = in_background(call, &q);
		if (r == 0) {
			result = json_pack("{s:o,s:o}", "store", json_text(q.store), "mountpoint",
					   json_text(q.mountpoint));
			r = output_print(&call->out, result, &spec);
			json_decref(result);
		}
	}
	config_free(q.config);
	return r;
}

static const struct command_option options[] = {
    {"foreground", 'f', NULL, "stay, and log to stderr"},
    {"log-level", 0, "L", "error, warn, info or debug (default: info)"},
    {"cache", 0, "MODE", "writeback, or writethrough: an immediate error on a full disk"},
    {"full-disk", 0, "MODE",
     "wait: writes wait until there is room (default); fail: ENOSPC at once"},
    {"cache-size", 0, "SIZE", "memory for block maps (default: 64M)"},
    {"threads", 0, "N", "most threads that serve requests (default: 64)"},
    {"transport", 0, "T", "auto, classic or io_uring (default: auto)"},
    {"verify-reads", 0, NULL, "check the sums of sealed blocks when they are read"},
    {"debug", 0, NULL, "trace every request on stderr"},
    {0},
};

const struct command cmd_mount = {
    .name = "mount",
    .summary = "show all branches of a store as directories",
    .usage = "STORE MOUNTPOINT [--foreground] [--log-level L]",
    .detail = "MOUNTPOINT is an empty directory. Settings may also stand in STORE/cowfs.conf, "
	      "section [mount].\nIn the background the log is STORE/log/cowfs.log.",
    .example = "cowfs mount /var/lib/cowfs /mnt/cowfs",
    .options = options,
    .min_args = 1,
    .max_args = 2,
    .operands = "dir",
    .whole = true,
    .run = run,
};
