// SPDX-License-Identifier: Apache-2.0
/* walk: the tree of a data directory: directories, links, tablespaces.
 *
 * Two walks by the same code: one adds up bytes, one brings in. Links that lead out of the data
 * directory are followed where PostgreSQL keeps data behind them, so that the branch has all of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pgconf.h"
#include "store/cleanup.h"
#include "tools/import/import.h"

#define TABLESPACES ".cowfs_tblspc" /* where linked tablespaces of PostgreSQL 12 to 14 are put */

static void put_inode(struct cow_inode **i)
{
	cow_inode_put(*i);
}
#define CLEANUP_INODE CLEANUP(put_inode)

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static cow_errno walk_dir(struct import *im, const char *path, const char *rel,
			  struct cow_inode *dir, const char *only, struct cow_error *e);

/* --- directories --- */

static cow_errno bring_dir(struct import *im, const struct import_item *n, const char *only,
			   struct cow_error *e)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	cow_errno r = 0;

	if (n->dir)
		r = import_create(n, S_IFDIR, NULL, &i);
	if (r < 0)
		return import_fail(e, r, n->rel);
	im->directories += n->dir != NULL;
	r = walk_dir(im, n->path, n->rel, i, only, e);
	if (r == 0 && i)
		import_set_times(i, &n->st);
	return r;
}

/* --- symlinks --- */

/* Directories whose contents are PostgreSQL's own. */
static bool is_postgres(const char *rel)
{
	return import_below(rel, "base") || import_below(rel, "global") ||
	       (strncmp(rel, "pg_", 3) == 0 && strcmp(rel, "pg_log") != 0);
}

static bool is_tablespace(const char *rel)
{
	const char *oid = rel + strlen("pg_tblspc/");

	return strncmp(rel, "pg_tblspc/", strlen("pg_tblspc/")) == 0 && *oid &&
	       oid[strspn(oid, "0123456789")] == '\0';
}

/* The target of a link at `rel` to `inside` (a path from the root), as seen from the link. */
static void relative(const char *rel, const char *inside, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (const char *p = rel; (p = strchr(p, '/')) && n + 4 < size; p++)
		n += (size_t)snprintf(buf + n, size - n, "../");
	snprintf(buf + n, size - n, "%s", *inside ? inside : ".");
}

static cow_errno keep_link(const struct import_item *n, const char *target, struct cow_error *e)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	cow_errno r;

	if (!n->dir)
		return 0;
	r = import_create(n, S_IFLNK, target, &i);
	return r < 0 ? import_fail(e, r, n->rel) : 0;
}

static cow_errno note_followed(struct import *im, const char *path)
{
	char **grown = realloc(im->followed, (im->n_followed + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	im->followed = grown;
	im->followed[im->n_followed] = strdup(path);
	return im->followed[im->n_followed++] ? 0 : -ENOMEM;
}

/* PostgreSQL 12 to 14: the tablespace gets a place of its own in the branch, and stays a link to
 * it. */
static cow_errno bring_linked(struct import *im, const struct import_item *n, const char *only,
			      struct cow_error *e)
{
	CLEANUP_INODE struct cow_inode *places = NULL;
	struct import_item place = *n;
	char target[64];
	cow_errno r;

	if (!n->dir)
		return bring_dir(im, n, only, e);
	r = cow_name_lookup(im->root, TABLESPACES, &places);
	if (r == -ENOENT) {
		place.name = TABLESPACES;
		place.dir = im->root;
		r = import_create(&place, S_IFDIR, NULL, &places);
	}
	if (r < 0)
		return import_fail(e, r, TABLESPACES);
	place.name = n->name;
	place.dir = places;
	snprintf(target, sizeof(target), "../" TABLESPACES "/%s", n->name);
	r = keep_link(n, target, e);
	return r < 0 ? r : bring_dir(im, &place, only, e);
}

/* What the link leads to becomes a part of the branch in its place. */
static cow_errno follow(struct import *im, const struct import_item *link, const char *real,
			struct cow_error *e)
{
	struct import_item n = *link;
	char only[32];
	cow_errno r;

	n.path = real;
	if (stat(real, &n.st) < 0)
		return cow_fail(e, -errno, "cannot look at %s: %s", real, strerror(errno));
	if (S_ISREG(n.st.st_mode))
		return import_file(im, &n, e);
	if (!S_ISDIR(n.st.st_mode))
		return 0;
	if (is_tablespace(n.rel)) {
		/* It can be shared by clusters of several versions. */
		snprintf(only, sizeof(only), "PG_%d_", im->major);
		return im->major < COW_PG_IN_PLACE ? bring_linked(im, &n, only, e)
						   : bring_dir(im, &n, only, e);
	}
	if (n.dir && (r = note_followed(im, real)) < 0)
		return cow_fail(e, r, "no memory to import");
	return bring_dir(im, &n, NULL, e);
}

static cow_errno bring_link(struct import *im, const struct import_item *n, struct cow_error *e)
{
	char target[PATH_MAX], real[PATH_MAX], inside[PATH_MAX];
	ssize_t len = readlink(n->path, target, sizeof(target) - 1);

	if (len < 0)
		return cow_fail(e, -errno, "cannot read the link %s: %s", n->path, strerror(errno));
	target[len] = '\0';
	if (import_below(target, im->mountpoint))
		return cow_fail(e, -EINVAL, "%s leads into the mount of this store", n->path);
	if (!realpath(n->path, real)) {
		if (is_postgres(n->rel))
			return cow_fail(e, -errno, "%s leads to %s: %s", n->path, target,
					strerror(errno));
		return keep_link(n, target, e);
	}
	if (import_below(real, im->mountpoint))
		return cow_fail(e, -EINVAL, "%s leads into the mount of this store", n->path);
	if (import_below(real, im->source)) {
		relative(n->rel, real + strlen(im->source) + (real[strlen(im->source)] == '/'),
			 inside, sizeof(inside));
		return keep_link(n, inside, e);
	}
	if (is_postgres(n->rel) || (!strchr(n->rel, '/') && strstr(n->rel, ".conf")))
		return follow(im, n, real, e);
	if (strcmp(n->rel, "log") == 0 || strcmp(n->rel, "pg_log") == 0) {
		/* Old logs are not data, and new ones must not go to the original's place. */
		struct import_item log = *n;
		struct cow_attr root = {0};
		CLEANUP_INODE struct cow_inode *i = NULL;
		cow_errno r;

		if (im->root)
			cow_inode_attr(im->root, &root);
		log.st.st_mode = 0700;
		log.st.st_uid = root.uid;
		log.st.st_gid = root.gid;
		r = n->dir ? import_create(&log, S_IFDIR, NULL, &i) : 0;
		return r < 0 ? import_fail(e, r, n->rel) : 0;
	}
	return keep_link(n, target, e);
}

/* --- the walk --- */

static bool left_out(const char *rel, const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       strcmp(name, IMPORT_SECOND_LINK) == 0 || strncmp(name, "pgsql_tmp", 9) == 0 ||
	       (*rel == '\0' &&
		(strcmp(name, "lost+found") == 0 || strcmp(name, "tablespace_map") == 0));
}

static cow_errno bring(struct import *im, const struct import_item *n, struct cow_error *e)
{
	switch (n->st.st_mode & S_IFMT) {
	case S_IFREG:
		return import_file(im, n, e);
	case S_IFDIR:
		return bring_dir(im, n, NULL, e);
	case S_IFLNK:
		return bring_link(im, n, e);
	default:
		/* Sockets and pipes belong to processes, not to data. */
		im->skipped += n->dir != NULL;
		return 0;
	}
}

/* `only`: names must begin with it; NULL = all. */
static cow_errno walk_dir(struct import *im, const char *path, const char *rel,
			  struct cow_inode *dir, const char *only, struct cow_error *e)
{
	CLEANUP(close_dir) DIR *d = opendir(path);
	struct dirent *de;
	cow_errno r = 0;

	if (!d)
		return cow_fail(e, -errno, "cannot list %s: %s", path, strerror(errno));
	while (r == 0 && (errno = 0, de = readdir(d))) {
		CLEANUP_FREE char *child = NULL, *child_rel = NULL;
		struct import_item n = {.name = de->d_name, .dir = dir};

		if (left_out(rel, de->d_name) ||
		    (only && strncmp(de->d_name, only, strlen(only)) != 0))
			continue;
		if (asprintf(&child, "%s/%s", path, de->d_name) < 0 ||
		    asprintf(&child_rel, "%s%s%s", rel, *rel ? "/" : "", de->d_name) < 0)
			return cow_fail(e, -ENOMEM, "no memory to import");
		n.path = child;
		n.rel = child_rel;
		if (lstat(child, &n.st) < 0)
			return cow_fail(e, -errno, "cannot look at %s: %s", child, strerror(errno));
		if (only && dir && (r = note_followed(im, child)) < 0)
			return cow_fail(e, r, "no memory to import");
		r = bring(im, &n, e);
	}
	if (r == 0 && errno)
		r = cow_fail(e, -errno, "cannot list %s: %s", path, strerror(errno));
	return r;
}

/* A base backup in tar format has no links, but a file that says where its tablespaces are ("OID
 * PATH"). With them in the branch, and the file left out, there is nothing left for recovery to
 * link. */
static cow_errno bring_mapped(struct import *im, const char *oid, const char *path,
			      struct cow_error *e)
{
	CLEANUP_INODE struct cow_inode *dir = NULL;
	char rel[PATH_MAX + 64], link[2 * PATH_MAX + 64];
	struct import_item n = {.name = oid, .rel = rel, .path = path};
	struct stat st;
	cow_errno r = 0;

	snprintf(rel, sizeof(rel), "pg_tblspc/%s", oid);
	snprintf(link, sizeof(link), "%s/%s", im->source, rel);
	if (!is_tablespace(rel) || lstat(link, &st) == 0)
		return 0;
	if (import_below(path, im->mountpoint))
		return cow_fail(e, -EINVAL, "%s leads into the mount of this store", path);
	if (im->root && (r = cow_name_lookup(im->root, "pg_tblspc", &dir)) < 0)
		return import_fail(e, r, "pg_tblspc");
	n.dir = dir;
	if (im->root)
		import_warn(im, "tablespace %s was brought in from %s, as tablespace_map says", oid,
			    path);
	return follow(im, &n, path, e);
}

static cow_errno walk_map(struct import *im, struct cow_error *e)
{
	char path[PATH_MAX + 32], line[PATH_MAX + 32];
	cow_errno r = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tablespace_map", im->source);
	f = fopen(path, "re");
	while (f && r == 0 && fgets(line, sizeof(line), f)) {
		char *space = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (!space || space[1] != '/')
			continue;
		*space = '\0';
		r = bring_mapped(im, line, space + 1, e);
	}
	if (f)
		fclose(f);
	return r;
}

cow_errno import_walk(struct import *im, struct cow_inode *root, struct cow_error *e)
{
	struct stat st;
	cow_errno r;

	im->root = root;
	r = walk_dir(im, im->source, "", root, NULL, e);
	if (r == 0)
		r = walk_map(im, e);
	import_forget_links(im);
	if (r == 0 && root && stat(im->source, &st) == 0)
		import_set_times(root, &st);
	return r;
}

/* --- after --move --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return at->level == 0 ? 0 : remove(path) < 0 && errno != ENOENT ? errno : 0;
}

cow_errno import_remove_original(struct import *im, struct cow_error *e)
{
	int err = 0;

	for (size_t k = 0; err == 0 && k < im->n_followed; k++)
		err = nftw(im->followed[k], remove_one, 32, FTW_DEPTH | FTW_PHYS);
	if (err == 0)
		err = nftw(im->source, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return err ? cow_fail(e, err > 0 ? -err : -errno, "cannot remove all of the original: %s",
			      strerror(err > 0 ? err : errno))
		   : 0;
}
