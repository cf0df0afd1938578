// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgbranch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/pgcontrol.h"
#include "store/cleanup.h"
#include "store/os.h"
#include "tools/daemon/fork_policy.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/verb_pool.h"
#include "tools/pg/pgbin.h"
#include "tools/pg/pgcgroup.h"
#include "tools/pg/pg_roles.h"
#include "tools/pg/pgfirst.h"
#include "tools/pg/pgpasswords.h"
#include "tools/pg/pgplace.h"
#include "tools/pg/pgprofile.h"
#include "tools/serve/client.h"

/* --- finding --- */

static void copy_text(const json_t *o, const char *key, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	snprintf(ret, size, "%s", text ? text : "");
}

static cow_errno read_answer(struct command_call *call, json_t *a, struct pgbranch *ret)
{
	const char *path = json_string_value(json_object_get(a, "path"));

	snprintf(ret->name, sizeof(ret->name), "%s",
		 json_string_value(json_object_get(a, "branch")));
	ret->port = (int)json_integer_value(json_object_get(a, "port"));
	ret->writers = (uint64_t)json_integer_value(json_object_get(a, "writers"));
	ret->ephemeral = json_is_true(json_object_get(a, "ephemeral"));
	ret->poisoned = json_is_true(json_object_get(a, "poisoned"));
	ret->lost = json_is_true(json_object_get(a, "lost"));
	ret->base = json_is_true(json_object_get(a, "base"));
	ret->memory_bytes = (uint64_t)json_integer_value(json_object_get(a, "memory_bytes"));
	ret->cpus = json_number_value(json_object_get(a, "cpus"));
	copy_text(a, "id", ret->id, sizeof(ret->id));
	copy_text(a, "profile", ret->profile, sizeof(ret->profile));
	copy_text(a, "postgres", ret->own, sizeof(ret->own));
	ret->policy = fork_policy_parse(json_object_get(a, "fork"));
	if (path) {
		snprintf(ret->pgdata, sizeof(ret->pgdata), "%s", path);
		return 0;
	}
	cow_fail(&call->error, -ENOTCONN, "the store is not mounted, so %s has no directory",
		 ret->name);
	return cow_hint(&call->error, -ENOTCONN, "Mount it first: cowfs mount STORE MOUNTPOINT");
}

static cow_errno unreachable(const struct pgbranch *b, int number, struct cow_error *e)
{
	cow_errno r = cow_fail(e, -number, "cannot look at %s: %s", b->pgdata, strerror(number));

	/* Without allow_other not even root sees a mount of somebody else. */
	if (number == EACCES)
		return cow_hint(e, r, "Run the command as the user who mounted the store.");
	return r;
}

static void owner_name(uid_t uid, char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(uid);

	if (pw)
		snprintf(buf, size, "%s", pw->pw_name);
	else
		snprintf(buf, size, "postgres");
}

/* Where the server that runs can be reached. */
static void note_running(const char *store, struct pgbranch *b)
{
	if (b->state.port)
		b->port = b->state.port;
	b->served = strcmp(b->state.listens, PGPLACE_PRIVATE_HOST) == 0;
	if (b->served && serve_runs(store))
		return;
	if (b->state.socket_dir[0])
		snprintf(b->socket_dir, sizeof(b->socket_dir), "%s", b->state.socket_dir);
	if (b->served)
		snprintf(b->host, sizeof(b->host), PGPLACE_PRIVATE_HOST);
}

#define FIRST_STEP_MS 10u
#define FIRST_MS 60000u

/* Somebody starts this fork for the first time: that server is for nobody else, and soon gone. */
static cow_errno await_first(struct pgbranch *b, struct cow_error *e)
{
	cow_errno r = 0;

	for (unsigned waited = 0;
	     r == 0 && pgfirst_is_restricted(&b->state, b->socket_dir) && waited < FIRST_MS;
	     waited += FIRST_STEP_MS) {
		nanosleep(&(struct timespec){.tv_nsec = FIRST_STEP_MS * 1000000L}, NULL);
		r = pgstate_read(b->pgdata, &b->state, e);
	}
	return r;
}

static cow_errno version_of(struct pgbranch *b, struct cow_error *e)
{
	cow_errno r = pgbin_version(b->pgdata, &b->major, e);

	if (r != -ENOENT)
		return r;
	cow_fail(e, r, "branch %s has no database: there is no PG_VERSION in it", b->name);
	return cow_hint(e, r, "To make one: chown postgres %s, then as postgres: initdb -D %s",
			b->pgdata, b->pgdata);
}

cow_errno pgbranch_find(struct command_call *call, const char *name, struct pgbranch_port port,
			struct pgbranch *ret)
{
	json_t *args = json_pack("{s:s?,s:b,s:i,s:b}", "name", name, "choose_port", port.choose,
				 "port", port.wanted, "private", port.private);
	json_t *answer = NULL;
	const char *store;
	struct stat st;
	cow_errno r = command_store(call, &store);

	*ret = (struct pgbranch){0};
	if (r < 0) {
		json_decref(args);
		return r;
	}
	r = command_ask(call, "server.place", args, &answer);
	if (r == 0)
		r = read_answer(call, answer, ret);
	json_decref(answer);
	if (r == 0 && stat(ret->pgdata, &st) < 0)
		r = unreachable(ret, errno, &call->error);
	if (r == 0)
		r = version_of(ret, &call->error);
	if (r == 0)
		r = pgstate_read(ret->pgdata, &ret->state, &call->error);
	if (r == 0)
		r = pgplace_fill(store, ret->name, ret->socket_dir, sizeof(ret->socket_dir),
				 ret->log, sizeof(ret->log), &call->error);
	if (r == 0)
		r = await_first(ret, &call->error);
	if (r < 0)
		return r;
	snprintf(ret->store, sizeof(ret->store), "%s", store);
	owner_name(st.st_uid, ret->user, sizeof(ret->user));
	snprintf(ret->host, sizeof(ret->host), PGPLACE_PUBLIC_HOST);
	if (ret->state.running)
		note_running(store, ret);
	return 0;
}

cow_errno pgbranch_find_programs(struct pgbranch *b, const char *given, struct cow_error *e)
{
	return pgbin_find(b->major, given, b->bindir, sizeof(b->bindir), e);
}

#define QUIET_STEPS 50u
#define QUIET_STEP_MS 100u

cow_errno pgbranch_await_quiet(struct command_call *call, struct pgbranch *b)
{
	for (unsigned k = 0; b->writers > 0 && k < QUIET_STEPS; k++) {
		json_t *answer = NULL;
		cow_errno r;

		nanosleep(&(struct timespec){.tv_nsec = QUIET_STEP_MS * 1000000L}, NULL);
		r = command_ask(call, "branch.open", json_pack("{s:s}", "name", b->name), &answer);
		if (r < 0)
			return r;
		b->writers = (uint64_t)json_integer_value(json_object_get(answer, "writers"));
		json_decref(answer);
	}
	if (b->writers == 0)
		return 0;
	cow_fail(&call->error, -EBUSY,
		 "%llu files of %s are open for writing, by no server that can be seen",
		 (unsigned long long)b->writers, b->name);
	return cow_hint(&call->error, -EBUSY,
			"Perhaps postgres runs on it in a container; see with: fuser -vm %s",
			b->pgdata);
}

cow_errno pgbranch_recover(struct command_call *call, struct pgbranch *b)
{
	char name[sizeof(b->name)];
	cow_errno r;

	if (b->lost) {
		cow_fail(&call->error, -EIO,
			 "%s is ephemeral, and the machine went down since it was written",
			 b->name);
		return cow_hint(&call->error, -EIO,
				"Give it the contents of its parent again: cowfs "
				"branch reset %s",
				b->name);
	}
	if (!b->poisoned)
		return 0;
	r = command_ask(call, "server.recover", json_pack("{s:s}", "name", b->name), NULL);
	if (r < 0)
		return r;
	fprintf(stderr,
		"note: a write to %s had failed: what never reached the disk was dropped, as "
		"after a power loss\n",
		b->name);
	snprintf(name, sizeof(name), "%s", b->name);
	return pgbranch_find(call, name, (struct pgbranch_port){0}, b);
}

/* --- settings --- */

static bool has_file(void *arg, const char *path)
{
	const struct pgbranch *b = arg;
	char full[PATH_MAX * 2];

	snprintf(full, sizeof(full), "%s/%s", b->pgdata, path);
	return access(full, F_OK) == 0;
}

static bool has_library(void *arg, const char *name)
{
	return pgbin_has_library(((const struct pgbranch *)arg)->bindir, name);
}

static void append_file(FILE *all, const char *dir, const char *name)
{
	char path[PATH_MAX * 2], buf[8192];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		fwrite(buf, 1, n, all);
	if (f)
		fclose(f);
	fputc('\n', all);
}

static char *read_conf(const struct pgbranch *b)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	append_file(f, b->pgdata, "postgresql.conf");
	append_file(f, b->pgdata, "postgresql.auto.conf");
	return fclose(f) == 0 ? buf : NULL;
}

static bool has_in_place(const struct pgbranch *b)
{
	char path[PATH_MAX * 2];
	struct dirent *de;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "%s/pg_tblspc", b->pgdata);
	d = opendir(path);
	while (d && !found && (de = readdir(d)))
		found = de->d_type == DT_DIR && de->d_name[0] != '.';
	if (d)
		closedir(d);
	return found;
}

static const struct pgprofile *profile_of(const struct pgbranch *b)
{
	const struct pgprofile *p = pgprofile_find(b->profile);

	return p ? p : pgprofile_default(b->base);
}

cow_errno pgbranch_settings(struct pgbranch *b, struct cow_pgconf_list *l)
{
	CLEANUP_FREE char *conf = read_conf(b);
	struct cow_pgconf_facts facts = {.major = b->major,
					 .conf = conf,
					 .policy = b->policy,
					 .has_file = has_file,
					 .has_library = has_library,
					 .arg = b};
	char path[PATH_MAX * 2];
	uint8_t raw[COW_PGCONTROL_BYTES];
	struct cow_pgcontrol control;
	CLEANUP_FD int fd = -1;
	cow_errno r;

	if (!conf)
		return -ENOMEM;
	facts.in_place = has_in_place(b);
	snprintf(path, sizeof(path), "%s/global/pg_control", b->pgdata);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && cow_os_pread(fd, raw, sizeof(raw), 0) == 0 &&
	    cow_pgcontrol_decode(raw, sizeof(raw), &control, NULL) == 0)
		facts.control = &control;
	r = cow_pgconf_override(&facts, l);
	return r < 0 ? r : pgprofile_apply(profile_of(b), conf, l);
}

/* Where this server is: only cowfs knows, so these are not for the user. */
static cow_errno place(const struct pgbranch *b, const char *pgdata, const char *socket_dir,
		       struct cow_pgconf_list *l)
{
	char port[16], cluster[64];
	const char *const rows[][2] = {
	    {"data_directory", pgdata},
	    {"cluster_name", cluster},
	    {"port", port},
	    {"listen_addresses", b->served ? PGPLACE_PRIVATE_HOST : PGPLACE_PUBLIC_HOST},
	    {"unix_socket_directories", socket_dir},
	    {"logging_collector", "off"},
	};
	cow_errno r = 0;

	snprintf(port, sizeof(port), "%d", b->port);
	snprintf(cluster, sizeof(cluster), "%.63s", b->name);
	for (size_t k = 0; r == 0 && k < sizeof(rows) / sizeof(rows[0]); k++)
		r = cow_pgconf_list_set(l, rows[k][0], rows[k][1]);
	return r;
}

cow_errno pgbranch_check_setting(const char *name, const char *value, bool ephemeral,
				 struct cow_error *e)
{
	static const char *const fixed[] = {"data_directory", "config_file", "port",
					    "unix_socket_directories"};
	static const char *const needed[] = {"fsync", "full_page_writes"};

	for (size_t k = 0; k < sizeof(fixed) / sizeof(fixed[0]); k++)
		if (strcasecmp(name, fixed[k]) == 0)
			return cow_fail(e, -EINVAL, "%s is chosen by cowfs", name);
	for (size_t k = 0; k < sizeof(needed) / sizeof(needed[0]); k++) {
		if (strcasecmp(name, needed[k]) != 0 || !cow_pgconf_is_off(value) || ephemeral)
			continue;
		cow_fail(e, -EINVAL, "%s=off is refused: snapshots of a running branch rest on it",
			 name);
		return cow_hint(e, -EINVAL, "A branch made with --ephemeral may have it.");
	}
	return 0;
}

static cow_errno add_one(const struct pgbranch *b, const char *name, const char *value,
			 struct cow_pgconf_list *l, struct cow_error *e)
{
	cow_errno r = pgbranch_check_setting(name, value, b->ephemeral, e);

	if (r < 0)
		return r;
	r = cow_pgconf_list_set(l, name, value);
	return r < 0 ? cow_fail(e, r, "no memory for settings") : 0;
}

/* Those that are kept with the branch, then those of this start. */
static cow_errno add_extra(const struct pgbranch *b, const struct cow_pgconf_list *extra,
			   struct cow_pgconf_list *l, struct cow_error *e)
{
	json_t *own = json_loads(b->own, 0, NULL), *v;
	const char *name;
	cow_errno r = 0;

	json_object_foreach (own, name, v)
		if (r == 0 && json_is_string(v))
			r = add_one(b, name, json_string_value(v), l, e);
	for (size_t k = 0; r == 0 && k < extra->n; k++)
		r = add_one(b, extra->items[k].name, extra->items[k].value, l, e);
	json_decref(own);
	return r;
}

/* --- starting --- */

/* The group that limits its server; 0 = none. Limits that cannot be had are no reason not to run:
 * whoever set them is told. */
static int enter_group(struct pgbranch *b)
{
	struct cow_error e = COW_ERROR_INIT;
	char base[PATH_MAX], slug[PGPLACE_SLUG];
	int fd = 0;

	b->unlimited[0] = '\0';
	if (!b->memory_bytes && !(b->cpus > 0))
		return 0;
	pgplace_slug(b->name, slug);
	if (pgcgroup_base(base, sizeof(base), &e) < 0 ||
	    pgcgroup_open(base, slug, b->memory_bytes, b->cpus, &fd, &e) < 0)
		snprintf(b->unlimited, sizeof(b->unlimited), "%.*s", (int)sizeof(b->unlimited) - 1,
			 e.text);
	return fd;
}

static cow_errno make_harmless(struct pgbranch *b, const struct cow_pgconf_list *l,
			       struct cow_error *e)
{
	struct pgfirst_report report = {0};
	cow_errno r = pgpasswords_first(b, l, &report, e);

	if (r == 0 && report.subscriptions)
		fprintf(stderr, "note: %u subscription(s) of %s were disabled\n",
			report.subscriptions, b->name);
	if (r == 0 && report.servers + report.mappings)
		fprintf(
		    stderr,
		    "note: the secrets of %u foreign server(s) and %u user mapping(s) of %s were "
		    "removed\n",
		    report.servers, report.mappings, b->name);
	if (r == 0 && report.superusers)
		fprintf(
		    stderr,
		    "note: the superusers of %s are locked; its clients use the role " PG_RESTRICTED
		    "\n",
		    b->name);
	return r;
}

/* Everything is in place: settings, and then the server. */
static cow_errno start_with(struct pgbranch *b, const struct cow_pgconf_list *extra,
			    struct pgserver_start *how, bool first, struct cow_error *e)
{
	struct cow_pgconf_list l = {0};
	bool harmless = !first, was;
	cow_errno r = pgbranch_settings(b, &l);

	if (r == 0 && first && pgfirst_finds_work(b)) {
		r = make_harmless(b, &l, e);
		harmless = r == 0;
		if (r < 0)
			goto out;
	}
	if (r == 0)
		r = place(b, how->pgdata, how->socket_dir, &l);
	r = r < 0 ? cow_fail(e, r, "cannot make the settings of the server: %s", strerror(-r))
		  : add_extra(b, extra, &l, e);
	how->settings = &l;
	if (r == 0)
		r = pgserver_start(how, &b->state, e);
	/* Recovery may have brought what the files did not show before. */
	if (r == 0 && !harmless && pgfirst_finds_work(b)) {
		r = pgserver_stop(b->pgdata, PGSERVER_FAST, how->timeout_ms, &was, e);
		waitpid(b->state.pid, NULL, WNOHANG);
		if (r == 0)
			r = make_harmless(b, &l, e);
		if (r == 0)
			r = pgserver_start(how, &b->state, e);
	}
	if (r == 0 && first)
		pgfirst_done(b);
out:
	cow_pgconf_list_release(&l);
	return r;
}

cow_errno pgbranch_start(struct pgbranch *b, const struct cow_pgconf_list *extra,
			 unsigned timeout_ms, struct cow_error *e)
{
	char socket_dir[sizeof(b->socket_dir) + 8], link[128];
	struct pgserver_start how = {.pgdata = b->pgdata,
				     .bindir = b->bindir,
				     .log = b->log,
				     /* The client that waits asks soon enough. */
				     .user = b->served ? NULL : b->user,
				     .socket_dir = socket_dir,
				     .port = b->port,
				     .timeout_ms = timeout_ms};
	CLEANUP_FD int lock = -1;
	cow_errno r = pgplace_lock(b->pgdata, b->socket_dir, b->log, timeout_ms, &lock, e);

	if (r == 0)
		r = pgstate_read(b->pgdata, &b->state, e);
	/* Somebody was faster. */
	if (r == 0 && b->state.ready && !b->served)
		return 0;
	if (r == 0)
		r = pgserver_end_orphan(b->pgdata, e);
	if (r < 0)
		return r;
	if (b->served)
		pgplace_private_dir(b->socket_dir, socket_dir, sizeof(socket_dir));
	else
		snprintf(socket_dir, sizeof(socket_dir), "%s", b->socket_dir);
	if (!pgplace_port_free(b->served ? PGPLACE_PRIVATE_HOST : PGPLACE_PUBLIC_HOST, b->port)) {
		cow_fail(e, -EBUSY, "port %d of %s is used by another program", b->port, b->name);
		return cow_hint(e, -EBUSY,
				"End that program, or give the branch another port: cowfs start "
				"%s --port N",
				b->name);
	}
	if (b->served)
		r = pgplace_make_private(b->pgdata, socket_dir, e);
	if (r == 0 && b->served && pool_is_member(b->name)) {
		pgplace_data_link(socket_dir, link, sizeof(link));
		how.pgdata = link;
		r = pgplace_link_data(socket_dir, b->pgdata);
		if (r < 0)
			cow_fail(e, r, "cannot make %s: %s", link, strerror(-r));
	}
	if (r < 0)
		return r;
	how.group = enter_group(b);
	r = start_with(b, extra, &how, pgfirst_is_due(b), e);
	if (how.group > 0)
		close(how.group);
	return r;
}

/* --- showing --- */

const char *pgbranch_user(const struct pgbranch *b)
{
	return b->policy.lock_superusers ? PG_RESTRICTED : b->user;
}

struct pgurl pgbranch_address(const struct pgbranch *b, const char *user, const char *dbname)
{
	return (struct pgurl){.name = b->name,
			      .host = b->host,
			      .port = b->port,
			      .user = user ? user : pgbranch_user(b),
			      .dbname = dbname ? dbname : "postgres"};
}

void pgbranch_url(const struct pgbranch *b, const char *user, const char *dbname, char *buf,
		  size_t size)
{
	const struct pgurl u = pgbranch_address(b, user, dbname);
	CLEANUP_FREE char *text = NULL;

	buf[0] = '\0';
	if (pgurl_print(&u, PGURL_URI, &text, NULL) == 0)
		snprintf(buf, size, "%s", text);
}

json_t *pgbranch_json(const struct pgbranch *b, const char *user, const char *dbname)
{
	char url[2048];
	const char *state = b->state.ready ? "running" : b->state.running ? "starting" : "stopped";

	pgbranch_url(b, user, dbname, url, sizeof(url));
	return json_pack("{s:o,s:s,s:b,s:o,s:i,s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:i}", "branch",
			 json_text(b->name), "current_state", state, "ephemeral", b->ephemeral,
			 "pid", b->state.running ? json_integer(b->state.pid) : json_null(), "port",
			 b->port, "connection_uri", json_text(b->port ? url : NULL), "host",
			 b->host, "user", json_text(user ? user : pgbranch_user(b)), "database",
			 json_text(dbname ? dbname : "postgres"), "socket_dir",
			 json_text(b->socket_dir), "data_directory", json_text(b->pgdata), "log",
			 json_text(b->log), "version", b->major);
}
