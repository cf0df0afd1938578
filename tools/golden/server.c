// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/os.h"
#include "tools/golden/program.h"
#include "tools/pg/pgbin.h"
#include "tools/pg/pgplace.h"

#define START_MS 3600000u /* an import may have much WAL to recover */
#define STOP_MS 600000u
#define BUSY_STEPS 100 /* of 100 ms: the kernel closes files a moment after a server ended */

/* --- branches --- */

static cow_errno own_directory(const struct golden_run *run, const char *path, struct cow_error *e)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0; /* ours already, and postgres runs as we are */
	pw = getpwnam(run->conf->owner);
	if (!pw) {
		cow_fail(e, -ENOENT, "there is no user %s on this machine", run->conf->owner);
		return cow_hint(e, -ENOENT, "Name the owner of the data in golden.conf: owner");
	}
	if (chown(path, pw->pw_uid, pw->pw_gid) < 0)
		return cow_fail(e, -errno, "cannot give %s to %s: %s", path, run->conf->owner,
				strerror(errno));
	return 0;
}

static cow_errno no_mount(struct cow_error *e)
{
	cow_fail(e, -ENOTCONN, "the store is not mounted");
	return cow_hint(e, -ENOTCONN, "Mount it first: cowfs mount STORE MOUNTPOINT");
}

cow_errno golden_branch_make(struct golden_run *run, const struct golden_branch *how,
			     struct golden_server *s, struct cow_error *e)
{
	json_t *answer = NULL;
	const char *path;
	cow_errno r = command_ask(run->call, "branch.create",
				  json_pack("{s:s,s:s*,s:b,s:b,s:b,s:{s:s}}", "name", how->name,
					    "parent", how->parent, "empty", how->parent == NULL,
					    "ephemeral", how->ephemeral, "private", 1, "settings",
					    "private", how->purpose),
				  &answer);

	*s = (struct golden_server){0};
	if (r < 0) {
		*e = run->call->error;
		return r;
	}
	snprintf(s->branch.name, sizeof(s->branch.name), "%s", how->name);
	path = json_string_value(json_object_get(answer, "path"));
	snprintf(s->branch.pgdata, sizeof(s->branch.pgdata), "%s", path ? path : "");
	json_decref(answer);
	if (!s->branch.pgdata[0])
		return no_mount(e);
	return how->parent ? 0 : own_directory(run, s->branch.pgdata, e);
}

cow_errno golden_initdb(struct golden_run *run, const struct golden_initdb *how,
			struct golden_server *s, struct cow_error *e)
{
	char bindir[PATH_MAX], program[PATH_MAX + 16], locale[160], encoding[80];
	const char *argv[16];
	size_t n = 0;
	int major = how->major;
	cow_errno r = -ENOENT;

	for (int m = major ? major : 18; r < 0 && m >= (major ? major : 12); m--)
		r = pgbin_find(m, NULL, bindir, sizeof(bindir), e);
	if (r < 0)
		return r;
	snprintf(program, sizeof(program), "%s/initdb", bindir);
	snprintf(locale, sizeof(locale), "--locale=%s", how->locale ? how->locale : "C.UTF-8");
	snprintf(encoding, sizeof(encoding), "--encoding=%s",
		 how->encoding ? how->encoding : "UTF8");
	argv[n++] = program;
	argv[n++] = "-D";
	argv[n++] = s->branch.pgdata;
	argv[n++] = "-U";
	argv[n++] = how->superuser;
	argv[n++] = locale;
	argv[n++] = encoding;
	/* Nobody but its owner reaches the server, and pg_hba.conf of the image is written later.
	 */
	argv[n++] = "--auth=peer";
	argv[n++] = "--no-sync";
	argv[n++] = "--no-instructions";
	if (how->checksums)
		argv[n++] = "--data-checksums";
	argv[n] = NULL;
	return program_run(
	    &(struct program){.argv = argv, .as = s->branch.pgdata, .in = -1, .out = -1}, e);
}

/* --- servers --- */

/* Who can enter the socket directory is its owner or root: let in without a word. */
static cow_errno write_hba(const struct pgbranch *b, const char *dir, char *path, size_t size,
			   struct cow_error *e)
{
	static const char text[] = "# of cowfs golden: the directory of the socket is closed\n"
				   "local all all trust\n";
	CLEANUP_FD int fd = -1;
	struct stat st;
	cow_errno r;

	snprintf(path, size, "%s/hba.conf", dir);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || stat(b->pgdata, &st) < 0)
		return cow_fail(e, -errno, "cannot make %s: %s", path, strerror(errno));
	r = cow_os_pwrite(fd, text, strlen(text), 0);
	if (r == 0 && geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		r = -errno;
	return r < 0 ? cow_fail(e, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

static cow_errno settings(const struct golden_run *run, const struct pgbranch *b, const char *hba,
			  const struct cow_pgconf_list *extra, struct cow_pgconf_list *ret)
{
	static const struct {
		const char *name, *value;
		bool thrown_away; /* only for what nobody needs after a crash */
	} rows[] = {
	    {"listen_addresses", "", false},
	    /* No value of the source may get into the log. */
	    {"log_statement", "none", false},
	    {"log_min_error_statement", "panic", false},
	    {"log_min_duration_statement", "-1", false},
	    {"log_min_duration_sample", "-1", false},
	    {"log_error_verbosity", "terse", false},
	    {"log_autovacuum_min_duration", "-1", false},
	    {"session_preload_libraries", "", false},
	    {"local_preload_libraries", "", false},
	    {"archive_mode", "off", false},
	    {"autovacuum", "off", false},
	    {"jit", "off", false},
	    {"ssl", "off", false},
	    {"max_wal_size", "4GB", false},
	    {"checkpoint_timeout", "1h", false},
	    {"maintenance_work_mem", "256MB", false},
	    {"fsync", "off", true},
	    {"full_page_writes", "off", true},
	    {"synchronous_commit", "off", true},
	    {"wal_level", "minimal", true},
	    {"max_wal_senders", "0", true},
	};
	char connections[16];
	cow_errno r = cow_pgconf_list_set(ret, "hba_file", hba);

	for (size_t k = 0; r == 0 && k < sizeof(rows) / sizeof(rows[0]); k++)
		if (!rows[k].thrown_away || b->ephemeral)
			r = cow_pgconf_list_set(ret, rows[k].name, rows[k].value);
	/* "login" ones too, which no setting of a session comes before. */
	if (r == 0 && b->major >= 17)
		r = cow_pgconf_list_set(ret, "event_triggers", "off");
	snprintf(connections, sizeof(connections), "%u", run->conf->jobs * 2 + 20);
	if (r == 0)
		r = cow_pgconf_list_set(ret, "max_connections", connections);
	for (size_t k = 0; r == 0 && extra && k < extra->n; k++)
		r = cow_pgconf_list_set(ret, extra->items[k].name, extra->items[k].value);
	return r;
}

cow_errno golden_server_start(struct golden_run *run, struct golden_server *s,
			      const struct cow_pgconf_list *extra, struct cow_error *e)
{
	struct cow_pgconf_list all = {0};
	struct pgbranch *b = &s->branch;
	char name[sizeof(b->name)], dir[sizeof(b->socket_dir)], hba[sizeof(dir) + 16];
	cow_errno r;

	snprintf(name, sizeof(name), "%s", b->name);
	r = pgbranch_find(run->call, name, (struct pgbranch_port){.choose = true, .private = true},
			  b);
	if (r == 0 && b->state.running)
		r = cow_fail(&run->call->error, -EBUSY, "a server runs on %s", b->name);
	if (r == 0)
		r = pgbranch_find_programs(b, NULL, &run->call->error);
	if (r < 0) {
		*e = run->call->error;
		return r;
	}
	if (run->conf->superuser)
		snprintf(b->user, sizeof(b->user), "%s", run->conf->superuser);
	b->served = true; /* sockets where only the owner can go */
	pgplace_private_dir(b->socket_dir, dir, sizeof(dir));
	r = pgplace_make(b->pgdata, b->socket_dir, b->log, e);
	if (r == 0)
		r = pgplace_make_private(b->pgdata, dir, e);
	if (r == 0)
		r = write_hba(b, dir, hba, sizeof(hba), e);
	if (r == 0 && settings(run, b, hba, extra, &all) < 0)
		r = cow_fail(e, -ENOMEM, "no memory for settings");
	if (r == 0)
		r = pgbranch_start(b, &all, START_MS, e);
	cow_pgconf_list_release(&all);
	s->running = r == 0;
	if (r == 0)
		snprintf(b->socket_dir, sizeof(b->socket_dir), "%s", dir);
	return r < 0 ? cow_wrap(e, r, "start the server of %s", b->name) : 0;
}

cow_errno golden_server_stop(struct golden_run *run, struct golden_server *s, bool crash,
			     struct cow_error *e)
{
	bool was;
	cow_errno r = 0;

	if (s->branch.pgdata[0] && access(s->branch.pgdata, F_OK) == 0)
		r = pgserver_stop(s->branch.pgdata, crash ? PGSERVER_IMMEDIATE : PGSERVER_FAST,
				  STOP_MS, &was, e);
	if (r == 0)
		s->running = false;
	return r;
}

/* --- taking away --- */

static void remove_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *de;

	while (d && (de = readdir(d)))
		if (de->d_name[0] != '.' || strlen(de->d_name) > 2)
			unlinkat(dirfd(d), de->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

static void remove_places(const struct golden_run *run, const char *name)
{
	char sockets[108], log[PATH_MAX], more[PATH_MAX + 8];

	if (pgplace_fill(run->store, name, sockets, sizeof(sockets), log, sizeof(log), NULL) < 0)
		return;
	unlink(log);
	snprintf(more, sizeof(more), "%s.1", log);
	unlink(more);
	pgplace_private_dir(sockets, more, sizeof(more));
	remove_dir(more);
	remove_dir(sockets);
}

cow_errno golden_branch_drop(struct golden_run *run, struct golden_server *s, struct cow_error *e)
{
	const char *name = s->branch.name;
	cow_errno r;

	if (!name[0])
		return 0;
	r = golden_server_stop(run, s, true, e);
	for (int k = 0; r == 0 && k <= BUSY_STEPS; k++) {
		r = command_ask(
		    run->call, "branch.delete",
		    json_pack("{s:[s],s:b,s:i}", "names", name, "force", 1, "keep_ms", 0), NULL);
		if (r != -EBUSY)
			break;
		if (k < BUSY_STEPS)
			r = 0;
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	if (r < 0 && r != -ENOENT) {
		*e = run->call->error;
		return cow_wrap(e, r, "delete %s", name);
	}
	remove_places(run, name);
	*s = (struct golden_server){0};
	return 0;
}

/* Of this run, or of a look (NAME-look-PID/...) whose process is gone. */
static bool is_ours(const struct golden_run *run, const char *name)
{
	size_t len = strlen(run->prefix);
	long pid;

	if (strncmp(name, run->prefix, len) == 0 && name[len] == '/')
		return true;
	len = strlen(run->conf->name);
	if (strncmp(name, run->conf->name, len) != 0 || strncmp(name + len, "-look-", 6) != 0)
		return false;
	pid = strtol(name + len + 6, NULL, 10);
	return pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

cow_errno golden_drop_all(struct golden_run *run, unsigned *ret, struct cow_error *e)
{
	json_t *answer = NULL, *b;
	cow_errno r = command_ask(run->call, "branch.list", NULL, &answer), one;
	size_t k;

	*ret = 0;
	if (r < 0)
		*e = run->call->error;
	json_array_foreach (json_object_get(answer, "branches"), k, b) {
		const char *name = json_string_value(json_object_get(b, "name"));
		const char *path = json_string_value(json_object_get(b, "path"));
		const json_t *settings_of = json_object_get(b, "settings");
		struct golden_server s = {0};
		struct cow_error why = COW_ERROR_INIT;

		if (!json_is_string(json_object_get(settings_of, "private")) || !is_ours(run, name))
			continue;
		snprintf(s.branch.name, sizeof(s.branch.name), "%s", name);
		snprintf(s.branch.pgdata, sizeof(s.branch.pgdata), "%s", path ? path : "");
		one = golden_branch_drop(run, &s, &why);
		*ret += one == 0;
		/* All are tried; the first failure is told. */
		if (one < 0 && r == 0) {
			r = one;
			*e = why;
		}
	}
	json_decref(answer);
	return r;
}

/* --- small --- */

struct pg_address golden_address(const struct golden_server *s, const char *dbname)
{
	return (struct pg_address){.host = s->branch.socket_dir,
				   .port = s->branch.port,
				   .user = s->branch.user,
				   .dbname = dbname};
}
