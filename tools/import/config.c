// SPDX-License-Identifier: Apache-2.0
/* config: the configuration of a cluster that keeps it outside its data directory.
 *
 * Debian's clusters do; and a base backup of one has none at all. What is found is brought into the
 * root of the branch; settings that lead out of it are disabled afterwards, when the branch is
 * prepared (fs/pgfork.h). The originals are only read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pgconf.h"
#include "fs/pgfiles.h"
#include "store/cleanup.h"
#include "tools/import/import.h"

static const char default_conf[] =
    "# Made by cowfs import: the data directory came without a postgresql.conf.\n";
static const char default_hba[] =
    "# Made by cowfs import: the data directory came without a pg_hba.conf.\n"
    "local all all peer\n"
    "host all all 127.0.0.1/32 scram-sha-256\n"
    "host all all ::1/128 scram-sha-256\n";

static void put_inode(struct cow_inode **i)
{
	cow_inode_put(*i);
}
#define CLEANUP_INODE CLEANUP(put_inode)

/* A whole small file of the host; NULL when it cannot be read. */
static char *read_host(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *buf;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > COW_PGFILES_MAX)
		return NULL;
	buf = malloc((size_t)st.st_size + 1);
	n = buf ? read(fd, buf, (size_t)st.st_size) : -1;
	if (n < 0) {
		free(buf);
		return NULL;
	}
	buf[n] = '\0';
	return buf;
}

static cow_errno copy_one(const char *dir, const char *name, struct cow_inode *to,
			  struct cow_error *e)
{
	char path[PATH_MAX + 256];
	CLEANUP_FREE char *text = NULL;
	cow_errno r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	text = read_host(path);
	if (!text)
		return cow_fail(e, -EACCES, "cannot read %s", path);
	r = cow_pgfiles_write(to, name, text, strlen(text));
	return r < 0 ? cow_fail(e, r, "cannot bring in %s: %s", path, strerror(-r)) : 0;
}

/* Every *.conf of a directory, and of its conf.d; start.conf and pg_ctl.conf are Debian's own. */
static cow_errno copy_confs(const char *dir, struct cow_inode *to, bool sub, struct cow_error *e)
{
	struct cow_attr a;
	DIR *d = opendir(dir);
	struct dirent *de;
	cow_errno r = 0;

	cow_inode_attr(to, &a);
	while (d && r == 0 && (de = readdir(d))) {
		size_t n = strlen(de->d_name);
		char path[PATH_MAX + 256];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		if (stat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && !sub && strcmp(de->d_name, "conf.d") == 0) {
			CLEANUP_INODE struct cow_inode *conf_d = NULL;

			r = cow_name_create(to, "conf.d",
					    &(struct cow_name_create){
						.mode = S_IFDIR | 0700, .uid = a.uid, .gid = a.gid},
					    &conf_d);
			r = r < 0 ? cow_fail(e, r, "cannot bring in %s: %s", path, strerror(-r))
				  : copy_confs(path, conf_d, true, e);
		} else if (S_ISREG(st.st_mode) && n > 5 &&
			   strcmp(de->d_name + n - 5, ".conf") == 0 &&
			   strcmp(de->d_name, "start.conf") != 0 &&
			   strcmp(de->d_name, "pg_ctl.conf") != 0 &&
			   !cow_pgfiles_exists(to, de->d_name)) {
			r = copy_one(dir, de->d_name, to, e);
		}
	}
	if (d)
		closedir(d);
	return r;
}

/* --- where is it? --- */

/* postmaster.opts: "config_file=/etc/postgresql/15/main/postgresql.conf" of the last start. */
static bool from_opts(const char *source, char *dir, size_t size)
{
	char path[PATH_MAX + 32], *at;
	CLEANUP_FREE char *text = NULL;

	snprintf(path, sizeof(path), "%s/postmaster.opts", source);
	text = read_host(path);
	at = text ? strstr(text, "config_file=/") : NULL;
	if (!at)
		return false;
	at += strlen("config_file=");
	at[strcspn(at, "\"\n")] = '\0';
	if (access(at, R_OK) < 0)
		return false;
	*strrchr(at, '/') = '\0';
	snprintf(dir, size, "%s", at);
	return true;
}

/* Debian's place, when its data_directory is the one that is imported. */
static bool from_etc(const char *source, char *dir, size_t size)
{
	glob_t found = {0};
	bool ok = false;

	glob("/etc/postgresql/*/*/postgresql.conf", 0, NULL, &found);
	for (size_t k = 0; !ok && k < found.gl_pathc; k++) {
		CLEANUP_FREE char *text = read_host(found.gl_pathv[k]);
		char value[PATH_MAX], real[PATH_MAX];

		ok = text && cow_pgconf_get(text, "data_directory", value, sizeof(value)) &&
		     realpath(value, real) && strcmp(real, source) == 0;
		if (ok)
			snprintf(dir, size, "%.*s",
				 (int)(strrchr(found.gl_pathv[k], '/') - found.gl_pathv[k]),
				 found.gl_pathv[k]);
	}
	globfree(&found);
	return ok;
}

/* postgresql.conf is inside, but may name these elsewhere. */
static cow_errno copy_named(struct cow_inode *root, const char *key, const char *name,
			    struct cow_error *e)
{
	CLEANUP_FREE char *conf = NULL, *text = NULL;
	char path[PATH_MAX];

	if (cow_pgfiles_exists(root, name) ||
	    cow_pgfiles_read(root, "postgresql.conf", &conf, NULL) < 0 ||
	    !cow_pgconf_get(conf, key, path, sizeof(path)) || path[0] != '/')
		return 0;
	text = read_host(path);
	if (!text)
		return 0;
	if (cow_pgfiles_write(root, name, text, strlen(text)) < 0)
		return cow_fail(e, -EIO, "cannot bring in %s", path);
	return 0;
}

static cow_errno make_default(struct import *im, struct cow_inode *root, const char *name,
			      const char *text, struct cow_error *e)
{
	cow_errno r;

	if (cow_pgfiles_exists(root, name))
		return 0;
	r = cow_pgfiles_write(root, name, text, strlen(text));
	if (r < 0)
		return cow_fail(e, r, "cannot write %s: %s", name, strerror(-r));
	import_warn(im, "no %s was found: the branch has a default one", name);
	return 0;
}

cow_errno import_config(struct import *im, struct cow_inode *root, struct cow_error *e)
{
	char dir[PATH_MAX];
	cow_errno r = 0;

	if (!cow_pgfiles_exists(root, "postgresql.conf") &&
	    (from_opts(im->source, dir, sizeof(dir)) || from_etc(im->source, dir, sizeof(dir)))) {
		r = copy_confs(dir, root, false, e);
		if (r == 0)
			import_warn(im, "the configuration was brought in from %s", dir);
	}
	if (r == 0)
		r = copy_named(root, "hba_file", "pg_hba.conf", e);
	if (r == 0)
		r = copy_named(root, "ident_file", "pg_ident.conf", e);
	if (r == 0)
		r = make_default(im, root, "postgresql.conf", default_conf, e);
	if (r == 0)
		r = make_default(im, root, "pg_hba.conf", default_hba, e);
	return r;
}
