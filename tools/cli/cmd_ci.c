// SPDX-License-Identifier: Apache-2.0
/* cowfs ci sweep: branches of pull requests that are no longer open go.
 *
 * The close event of a pull request gets lost now and then; this asks what is open instead. It
 * deletes nothing unless the whole list could be read, nothing at all when more would go than
 * --limit, and never a protected branch, the default one, or one younger than --grace: its pull
 * request may be younger than the list. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/ci/prlist.h"
#include "tools/cli/commands.h"
#include "tools/cli/parse.h"
#include "tools/pg/pgbranch.h"
#include "tools/process/process.h"
#include "tools/remote/remote.h"
#include "tools/serve/client.h"

#define PREFIX "preview/pr-"
#define LIMIT 20
#define GRACE_MS (10u * 60 * 1000)
#define STOP_MS 60000u

/* --- the list --- */

static char *read_all(int fd)
{
	char *text = NULL, buf[16384];
	size_t len = 0;
	ssize_t n;
	FILE *f = open_memstream(&text, &len);

	while (f && (n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || fwrite(buf, 1, (size_t)n, f) != (size_t)n) {
			fclose(f);
			free(text);
			return NULL;
		}
	}
	return f && fclose(f) == 0 ? text : NULL;
}

static cow_errno read_file(const char *file, struct prlist *ret, struct cow_error *e)
{
	bool in = strcmp(file, "-") == 0;
	CLEANUP_FD int fd =
	    in ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(file, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *text = fd < 0 ? NULL : read_all(fd);

	if (!text)
		return cow_fail(e, -errno, "cannot read %s: %s", file, strerror(errno));
	return prlist_parse(text, in ? "the list on stdin" : file, ret, e);
}

static cow_errno read_list(struct command_call *call, struct prlist *ret)
{
	const char *file = command_option(call, "open-prs");
	const char *repository = command_option(call, "github");

	*ret = (struct prlist){0};
	if (!file == !repository)
		return command_usage(call, "--open-prs FILE or --github OWNER/NAME is needed");
	return file ? read_file(file, ret, &call->error)
		    : prlist_github(repository, ret, &call->error);
}

/* --- what becomes of a branch --- */

/* PREFIX and a number as it is written; false: the branch is none of a pull request. */
static bool number_of(const char *name, const char *prefix, uint64_t *ret)
{
	size_t len = strlen(prefix);
	char *end;

	if (strncmp(name, prefix, len) != 0 || name[len] < '1' || name[len] > '9')
		return false;
	errno = 0;
	*ret = strtoull(name + len, &end, 10);
	return !errno && !*end;
}

static bool is_young(const json_t *branch, uint64_t grace_ms)
{
	const char *created = json_string_value(json_object_get(branch, "created_at"));
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	/* One whose age cannot be told is not old. */
	return !created || parse_time(created, &ns, NULL) < 0 ||
	       (now.tv_sec * INT64_C(1000000000) + now.tv_nsec - ns) / 1000000 < (int64_t)grace_ms;
}

/* NULL: nothing keeps it. */
static const char *kept_because(const json_t *branch, uint64_t number, const struct prlist *open,
				uint64_t grace_ms)
{
	if (prlist_has(open, number))
		return "open";
	if (json_is_true(json_object_get(branch, "default")))
		return "it is the default branch";
	if (json_is_true(json_object_get(branch, "protected")))
		return "it is protected";
	if (is_young(branch, grace_ms))
		return "it is younger than --grace";
	return NULL;
}

struct sweep {
	const char *prefix;
	uint64_t grace_ms, limit;
	bool dry_run;
	json_t *rows; /* {name, pull_request, action, reason} */
	size_t doomed, failed;
};

static cow_errno choose(struct command_call *call, struct sweep *s, const struct prlist *open)
{
	json_t *result = NULL, *branch;
	uint64_t number;
	size_t k;
	cow_errno r =
	    command_ask(call, "branch.list", json_pack("{s:b,s:b}", "space", 0, "all", 0), &result);

	json_array_foreach (json_object_get(result, "branches"), k, branch) {
		const char *name = json_string_value(json_object_get(branch, "name")), *why;

		if (!name || !number_of(name, s->prefix, &number))
			continue;
		why = kept_because(branch, number, open, s->grace_ms);
		s->doomed += why == NULL;
		json_array_append_new(
		    s->rows, json_pack("{s:s,s:I,s:s,s:s}", "name", name, "pull_request",
				       (json_int_t)number, "action", why ? "keep" : "delete",
				       "reason", why ? why : "its pull request is not open"));
	}
	json_decref(result);
	return r;
}

/* Its clients, if any, belong to nobody who still needs them. */
static cow_errno stop_server(struct command_call *call, const char *name)
{
	struct pgbranch b;
	bool was;

	if (serve_runs(call->store))
		return serve_make_way(call->store, name, true, "cowfs ci sweep", &call->error);
	/* Not mounted, or no database: then no server runs. */
	if (pgbranch_find(call, name, (struct pgbranch_port){0}, &b) < 0)
		return 0;
	return b.state.running ? pgserver_stop(b.pgdata, PGSERVER_FAST, STOP_MS, &was, &call->error)
			       : 0;
}

static void delete_one(struct command_call *call, struct sweep *s, json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	cow_errno r = stop_server(call, name);

	if (r == 0)
		r = command_ask(call, "branch.delete",
				json_pack("{s:[s],s:b}", "names", name, "force", 0), NULL);
	json_object_set_new(row, "action", json_string(r < 0 ? "failed" : "deleted"));
	if (r < 0)
		json_object_set_new(row, "reason", json_string(call->error.text));
	s->failed += r < 0;
	call->error = (struct cow_error)COW_ERROR_INIT;
}

static cow_errno delete_all(struct command_call *call, struct sweep *s)
{
	json_t *row;
	size_t k;

	if (s->doomed > s->limit && !s->dry_run) {
		cow_fail(&call->error, -EPERM,
			 "%zu branches would be deleted, more than the limit of %" PRIu64
			 "; none was",
			 s->doomed, s->limit);
		return cow_hint(&call->error, -EPERM,
				"Look at them with --dry-run; if it is right, raise --limit.");
	}
	json_array_foreach (s->rows, k, row) {
		if (strcmp(json_string_value(json_object_get(row, "action")), "delete") != 0)
			continue;
		if (s->dry_run)
			json_object_set_new(row, "action", json_string("would delete"));
		else
			delete_one(call, s, row);
	}
	if (!s->dry_run && s->doomed)
		serve_nudge(call->store);
	return 0;
}

/* --- the command --- */

static cow_errno read_options(struct command_call *call, struct sweep *s)
{
	const char *prefix = command_option(call, "prefix"), *limit = command_option(call, "limit");
	const char *grace = command_option(call, "grace");
	cow_errno r = 0;

	*s = (struct sweep){.prefix = prefix ? prefix : PREFIX,
			    .grace_ms = GRACE_MS,
			    .limit = LIMIT,
			    .dry_run = command_option(call, "dry-run"),
			    .rows = json_array()};
	if (!*s->prefix)
		return command_usage(call, "an empty --prefix would take any branch");
	if (limit)
		r = parse_number(limit, 0, 100000, &s->limit, &call->error);
	if (r == 0 && grace)
		r = parse_duration(grace, &s->grace_ms, &call->error);
	return r;
}

static const struct output_column columns[] = {
    {"name", "BRANCH", OUTPUT_TEXT, NULL},
    {"pull_request", "PULL REQUEST", OUTPUT_NUMBER, NULL},
    {"action", "ACTION", OUTPUT_TEXT, NULL},
    {"reason", "REASON", OUTPUT_TEXT, NULL},
    {0},
};
static const struct output_spec spec = {.rows = "branches", .columns = columns};

static cow_errno print(struct command_call *call, const struct sweep *s, size_t open)
{
	json_t *result =
	    json_pack("{s:O,s:I,s:I,s:I,s:b}", "branches", s->rows, "open", (json_int_t)open,
		      "deleted", (json_int_t)(s->dry_run ? 0 : s->doomed - s->failed), "failed",
		      (json_int_t)s->failed, "dry_run", s->dry_run);
	cow_errno r = output_print(&call->out, result, &spec);

	json_decref(result);
	if (r < 0)
		return cow_fail(&call->error, r, "cannot print: %s", strerror(-r));
	return s->failed
		   ? cow_fail(&call->error, -EBUSY, "%zu branches could not be deleted", s->failed)
		   : 0;
}

static int run_sweep(struct command_call *call)
{
	struct prlist open = {0};
	struct sweep s = {0};
	cow_errno r = read_options(call, &s);

	if (r == 0)
		r = read_list(call, &open);
	if (r == 0)
		r = choose(call, &s, &open);
	if (r == 0)
		r = delete_all(call, &s);
	if (r == 0)
		r = print(call, &s, open.n);
	json_decref(s.rows);
	prlist_release(&open);
	return r;
}

/* The list is read on this side, where file and token are. */
static int run_sweep_remote(struct command_call *call)
{
	CLEANUP_FD int in = process_memory("list");
	struct prlist open;
	cow_errno r = read_list(call, &open);

	if (r < 0)
		return r;
	dprintf(in, "[");
	for (size_t k = 0; k < open.n; k++)
		dprintf(in, "%s%" PRIu64, k ? "," : "", open.numbers[k]);
	dprintf(in, "]\n");
	prlist_release(&open);
	if (in < 0 || lseek(in, 0, SEEK_SET) < 0)
		return cow_fail(&call->error, -EIO, "cannot write to memory");
	return remote_run_feeding(call, command_option(call, "github") ? "github" : "open-prs",
				  "open-prs", in);
}

static const struct command_option options[] = {
    {"open-prs", 0, "FILE",
     "numbers of the open ones: one a line, or JSON as forges give it; - = stdin"},
    {"github", 0, "OWNER/NAME", "ask GitHub (token: GH_TOKEN or GITHUB_TOKEN)"},
    {"prefix", 0, "TEXT", "branches of this name and a number (default: " PREFIX ")"},
    {"limit", 0, "N", "when more would go, none does (default: 20)"},
    {"grace", 0, "TIME", "younger branches stay (default: 10m)"},
    {"dry-run", 'n', NULL, "only say what would go"},
    {0},
};

const struct command cmd_ci_sweep = {
    .group = "ci",
    .name = "sweep",
    .summary = "delete the branches of pull requests that are no longer open",
    .usage = "--open-prs FILE | --github OWNER/NAME [--dry-run]",
    .detail =
	"For a timer, beside --ttl: events get lost. A list that cannot be read whole deletes "
	"nothing;\n`gh pr list` gives only 30 without --limit. Protected branches stay. "
	"GITHUB_API_URL names\nanother server than GitHub's own.",
    .example = "cowfs ci sweep --github acme/shop --dry-run\n"
	       "gh pr list --state open --limit 1000 --json number | cowfs ci sweep --open-prs -",
    .options = options,
    .run = run_sweep,
    .run_remote = run_sweep_remote,
};
