// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pghba.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pgconf.h"
#include "store/cleanup.h"
#include "store/os.h"

#define FIRST_LINE                                                                                 \
	"# cowfs: superusers only as the owner of the files (branch create --restricted)\n"
#define LAST_LINE "# cowfs: end\n"

/* Free *ret. */
static cow_errno read_file(const char *path, char **ret, struct stat *st)
{
	CLEANUP_FD int fd = cow_os_open(AT_FDCWD, path, O_RDONLY, 0);
	char *text;
	cow_errno r;

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return -errno;
	text = calloc(1, (size_t)st->st_size + 1);
	r = text ? cow_os_pread(fd, text, (size_t)st->st_size, 0) : -ENOMEM;
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}

/* Where the server looks. What leads out of the branch was commented out when it was made. */
static void find(const struct pgbranch *b, char *ret, size_t size)
{
	static const char *const files[] = {"postgresql.conf", "postgresql.auto.conf"};
	char name[PATH_MAX] = "pg_hba.conf";

	for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
		char path[PATH_MAX * 2], given[PATH_MAX];
		CLEANUP_FREE char *text = NULL;
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", b->pgdata, files[k]);
		if (read_file(path, &text, &st) == 0 &&
		    cow_pgconf_get(text, "hba_file", given, sizeof(given)) && given[0])
			snprintf(name, sizeof(name), "%s", given);
	}
	if (name[0] == '/')
		snprintf(ret, size, "%s", name);
	else
		snprintf(ret, size, "%s/%s", b->pgdata, name);
}

static void put_names(FILE *f, const json_t *names)
{
	const json_t *v;
	size_t k;

	json_array_foreach (names, k, v) {
		fputs(k ? ",\"" : "\"", f);
		for (const char *at = json_string_value(v); *at; at++)
			fprintf(f, *at == '"' ? "\"\"" : "%c", *at);
		fputc('"', f);
	}
}

static cow_errno check_names(const json_t *names, struct cow_error *e)
{
	const json_t *v;
	size_t k;

	json_array_foreach (names, k, v)
		if (json_string_value(v)[0] == '/' || strpbrk(json_string_value(v), "\r\n"))
			return cow_fail(e, -EINVAL,
					"the superuser '%s' has a name that pg_hba.conf cannot "
					"hold, so it cannot be kept out",
					json_string_value(v));
	return 0;
}

/* What is there without our lines; borrowed from `text`, which is changed. */
static void without_ours(char *text)
{
	char *first = strstr(text, FIRST_LINE), *last = first ? strstr(first, LAST_LINE) : NULL;

	if (last)
		memmove(first, last + strlen(LAST_LINE), strlen(last + strlen(LAST_LINE)) + 1);
}

/* The new file belongs to who runs the command; the server runs as the owner of the data. */
static cow_errno replace(const struct pgbranch *b, const char *path, const char *text, mode_t mode)
{
	const char *base = strrchr(path, '/') + 1;
	char dir[PATH_MAX * 2];
	CLEANUP_FD int fd = -1;
	struct stat owner;
	cow_errno r;

	snprintf(dir, sizeof(dir), "%.*s", (int)(base - path), path);
	fd = cow_os_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	r = fd < 0 ? fd : stat(b->pgdata, &owner) < 0 ? -errno : 0;
	if (r == 0)
		r = cow_os_replace(fd, base, text, strlen(text));
	if (r == 0 && (fchownat(fd, base, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		       fchmodat(fd, base, mode & 07777, 0) < 0))
		r = -errno;
	return r;
}

cow_errno pghba_lock(const struct pgbranch *b, const json_t *names, struct cow_error *e)
{
	CLEANUP_FREE char *old = NULL, *text = NULL;
	char path[PATH_MAX * 2];
	struct stat st;
	size_t n = 0;
	FILE *f;
	cow_errno r = check_names(names, e);

	if (r < 0)
		return r;
	find(b, path, sizeof(path));
	r = read_file(path, &old, &st);
	if (r < 0)
		return cow_fail(e, r, "cannot read %s: %s", path, strerror(-r));
	without_ours(old);
	f = open_memstream(&text, &n);
	if (!f)
		return cow_fail(e, -ENOMEM, "no memory to write %s", path);
	fputs(FIRST_LINE "local all,replication ", f);
	put_names(f, names);
	fputs(" peer\nhost all,replication ", f);
	put_names(f, names);
	fprintf(f, " all reject\n" LAST_LINE "%s", old);
	r = fclose(f) == 0 ? replace(b, path, text, st.st_mode) : -ENOMEM;
	return r < 0 ? cow_fail(e, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}
