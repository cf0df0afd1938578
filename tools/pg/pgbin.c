// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgbin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/pgconf.h"
#include "store/cleanup.h"
#include "store/os.h"

cow_errno pgbin_version(const char *pgdata, int *ret_major, struct cow_error *e)
{
	char path[PATH_MAX], text[64], *end;
	long major;
	cow_errno r;

	snprintf(path, sizeof(path), "%s/PG_VERSION", pgdata);
	r = cow_os_read_small(AT_FDCWD, path, text, sizeof(text));
	if (r == -ENOENT || r == -ENOTDIR) {
		cow_fail(e, -ENOENT, "%s is not a PostgreSQL data directory: it has no PG_VERSION",
			 pgdata);
		return cow_hint(e, -ENOENT,
				"Name the directory that `SHOW data_directory` prints.");
	}
	if (r < 0)
		return cow_fail(e, r, "cannot read %s: %s", path, strerror(-r));
	major = strtol(text, &end, 10);
	if (end == text || (*end != '\n' && *end != '\0') || major < COW_PG_FIRST ||
	    major > COW_PG_LAST) {
		text[strcspn(text, "\n")] = '\0';
		return cow_fail(e, -EINVAL,
				"%s is of PostgreSQL '%s'; versions %d to %d are supported", pgdata,
				text, COW_PG_FIRST, COW_PG_LAST);
	}
	*ret_major = (int)major;
	return 0;
}

/* First line that `program option` prints; false when it cannot be run. */
static bool first_line(const char *program, const char *option, char *buf, size_t size)
{
	char *const argv[] = {(char *)program, (char *)option, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t pid;
	bool ok;
	FILE *f;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	ok = posix_spawn(&pid, program, &actions, NULL, argv, environ) == 0;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	f = fdopen(ends[0], "r");
	if (ok) {
		buf[0] = '\0';
		ok = f && fgets(buf, (int)size, f) != NULL;
		waitpid(pid, NULL, 0);
		buf[strcspn(buf, "\n")] = '\0';
	}
	if (f)
		fclose(f);
	else
		close(ends[0]);
	return ok;
}

/* Major version of DIR/postgres ("postgres (PostgreSQL) 15.4 (Debian ...)"); 0 = no such program.
 */
static int version_of(const char *dir)
{
	char path[PATH_MAX], line[256], *p;

	if (snprintf(path, sizeof(path), "%s/postgres", dir) >= (int)sizeof(path) ||
	    access(path, X_OK) < 0 || !first_line(path, "--version", line, sizeof(line)))
		return 0;
	p = strstr(line, "(PostgreSQL) ");
	return p ? (int)strtol(p + strlen("(PostgreSQL) "), NULL, 10) : 0;
}

static bool in_versioned_place(int major, char *ret, size_t size)
{
	static const char *const places[] = {"/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin",
					     "/usr/lib64/postgresql-%d/bin",
					     "/usr/local/pgsql-%d/bin"};

	for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
		char path[PATH_MAX];

		snprintf(ret, size, places[k], major);
		snprintf(path, sizeof(path), "%s/postgres", ret);
		/* The place says the version: asking the program would cost a start of it. */
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static bool on_path(int major, char *ret, size_t size)
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *copy = path ? strdup(path) : NULL;
	char *save = NULL, config[PATH_MAX];

	for (char *d = copy ? strtok_r(copy, ":", &save) : NULL; d;
	     d = strtok_r(NULL, ":", &save)) {
		if (version_of(d) == major) {
			snprintf(ret, size, "%s", d);
			return true;
		}
		snprintf(config, sizeof(config), "%s/pg_config", d);
		if (access(config, X_OK) == 0 && first_line(config, "--bindir", ret, size) &&
		    version_of(ret) == major)
			return true;
	}
	return version_of("/usr/local/pgsql/bin") == major &&
	       snprintf(ret, size, "/usr/local/pgsql/bin") > 0;
}

cow_errno pgbin_find(int major, const char *given, char *ret, size_t size, struct cow_error *e)
{
	if (given) {
		int found = version_of(given);

		if (found == 0)
			return cow_fail(e, -ENOENT, "there is no postgres program in %s", given);
		if (found != major)
			return cow_fail(e, -EINVAL,
					"%s has PostgreSQL %d, but the data directory is of %d",
					given, found, major);
		snprintf(ret, size, "%s", given);
		return 0;
	}
	if (in_versioned_place(major, ret, size) || on_path(major, ret, size))
		return 0;
	cow_fail(e, -ENOENT, "no programs of PostgreSQL %d found on this machine", major);
	return cow_hint(
	    e, -ENOENT,
	    "Install them (Debian: apt install postgresql-%d), or name their directory with "
	    "--bindir.",
	    major);
}

bool pgbin_has_library(const char *bindir, const char *name)
{
	static const char *const dirs[] = {"%s/../lib", "%s/../lib/postgresql", "%s/../lib64"};
	size_t len = strlen(name);
	const char *suffix = len > 3 && strcmp(name + len - 3, ".so") == 0 ? "" : ".so";
	bool known = false;

	if (strncmp(name, "$libdir/", 8) == 0)
		name += 8;
	for (size_t k = 0; k < sizeof(dirs) / sizeof(dirs[0]); k++) {
		char dir[PATH_MAX], path[PATH_MAX + 512];

		snprintf(dir, sizeof(dir), dirs[k], bindir);
		/* Every server has this one: a directory without it is not where libraries are. */
		snprintf(path, sizeof(path), "%s/plpgsql.so", dir);
		if (access(path, R_OK) < 0)
			continue;
		known = true;
		snprintf(path, sizeof(path), "%s/%s%s", name[0] == '/' ? "" : dir, name, suffix);
		if (access(path, R_OK) == 0)
			return true;
	}
	return !known;
}
