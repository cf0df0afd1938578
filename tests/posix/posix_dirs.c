// SPDX-License-Identifier: Apache-2.0
/* posix_dirs: reading directories, also large ones and while they change. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/posix/posix.h"

/* Names in the large directory; fewer where it is not the first run. */
static int many(void)
{
	const char *text = getenv("COWFS_POSIX_NAMES");

	return text && atoi(text) > 0 ? atoi(text) : 100000;
}

static void touch(const char *prefix, int n)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s%d", prefix, n);
	fd = OK(open(name, O_CREAT | O_EXCL | O_WRONLY, 0600));
	OK(close(fd));
}

static void a_directory_lists_each_name_once(void)
{
	struct dirent *e;
	unsigned dots = 0, seen = 0;
	DIR *d;

	OK(mkdir("sub", 0700));
	OK(symlink("x", "link"));
	for (int k = 0; k < 500; k++)
		touch("f", k);
	d = opendir(".");
	WANT(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
			dots++;
		} else if (strcmp(e->d_name, "sub") == 0) {
			WANT(e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
		} else if (strcmp(e->d_name, "link") == 0) {
			WANT(e->d_type == DT_LNK || e->d_type == DT_UNKNOWN);
		} else {
			struct stat st;

			WANT(e->d_type == DT_REG || e->d_type == DT_UNKNOWN);
			OK(lstat(e->d_name, &st));
			WANT(st.st_ino == e->d_ino);
			seen++;
		}
	}
	WANT(dots == 2 && seen == 500);
	closedir(d);
}

static void removing_while_reading_leaves_nothing(void)
{
	struct dirent *e;
	DIR *d;

	OK(mkdir("d", 0700));
	for (int k = 0; k < 3000; k++)
		touch("d/f", k);
	/* The way rmtree() and pgsql_tmp cleaning do it. */
	d = opendir("d");
	WANT(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			OK(unlinkat(dirfd(d), e->d_name, 0));
	closedir(d);
	OK(rmdir("d"));
}

/* Every name that was there from before until after the reading is seen exactly once. */
static void large_directory_read_while_it_changes(void)
{
	const int names = many();
	unsigned char *seen = calloc((size_t)names, 1);
	unsigned n = 0, others = 0;
	struct dirent *e;
	DIR *d;

	WANT(seen);
	OK(mkdir("d", 0700));
	for (int k = 0; k < names; k++)
		touch("d/stays", k);
	d = opendir("d");
	WANT(d);
	while ((e = readdir(d))) {
		int k;

		if (sscanf(e->d_name, "stays%d", &k) == 1) {
			WANT(k >= 0 && k < names && !seen[k]);
			seen[k] = 1;
			n++;
		} else {
			others++;
		}
		if (n % 50 == 0 && others < 20000) {
			touch("d/comes", (int)others);
			others++;
			if (others % 2) {
				char name[64];

				snprintf(name, sizeof(name), "d/comes%d", (int)others - 1);
				OK(unlink(name));
			}
		}
	}
	WANT(n == (unsigned)names);
	closedir(d);
	free(seen);
}

static void telldir_and_rewind(void)
{
	struct dirent *e;
	char name[300];
	long at;
	DIR *d;

	for (int k = 0; k < 300; k++)
		touch("f", k);
	d = opendir(".");
	WANT(d);
	for (int k = 0; k < 100; k++)
		WANT(readdir(d));
	at = telldir(d);
	e = readdir(d);
	WANT(e);
	snprintf(name, sizeof(name), "%s", e->d_name);
	for (int k = 0; k < 100; k++)
		WANT(readdir(d));
	seekdir(d, at);
	e = readdir(d);
	WANT(e && strcmp(e->d_name, name) == 0);
	touch("new", 1);
	rewinddir(d);
	for (;;) {
		e = readdir(d);
		WANT(e);
		if (strcmp(e->d_name, "new1") == 0)
			break;
	}
	closedir(d);
}

static void a_removed_directory_is_empty(void)
{
	DIR *d;

	OK(mkdir("d", 0700));
	d = opendir("d");
	WANT(d);
	OK(rmdir("d"));
	FAILS(openat(dirfd(d), "x", O_CREAT | O_WRONLY, 0600), ENOENT);
	closedir(d);
}

static void deep_paths(void)
{
	char path[4000] = "";
	size_t n = 0;

	for (int k = 0; k < 200; k++) {
		n += (size_t)snprintf(path + n, sizeof(path) - n, "%sdir%03d", k ? "/" : "", k);
		OK(mkdir(path, 0700));
	}
	snprintf(path + n, sizeof(path) - n, "/file");
	OK(close(posix_file(path, 10, 'd')));
	WANT(posix_exists(path));
	path[n] = '\0';
	FAILS(rmdir(path), ENOTEMPTY);
	WANT(!posix_exists("dir000/none/x") && errno == ENOENT);
}

const struct posix_case posix_dir_cases[] = {
    {"a_directory_lists_each_name_once", a_directory_lists_each_name_once},
    {"removing_while_reading_leaves_nothing", removing_while_reading_leaves_nothing},
    {"large_directory_read_while_it_changes", large_directory_read_while_it_changes},
    {"telldir_and_rewind", telldir_and_rewind},
    {"a_removed_directory_is_empty", a_removed_directory_is_empty},
    {"deep_paths", deep_paths},
    {NULL, NULL},
};
