// SPDX-License-Identifier: Apache-2.0
/* file: one regular file of a data directory.
 *
 * With --move a large file is taken over through a second hard link, so that the original name
 * stays until the branch exists. Nothing writes to those before that, so a failure leaves every
 * byte where it was. Files that have other hard links are copied (they would be written through),
 * and small ones, which the store would pad. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/take.h"
#include "tools/import/import.h"

#define SECOND_LINK IMPORT_SECOND_LINK
#define TAKE_OVER_BYTES (64 << 10) /* below that, copying costs less than care */
#define FILES_PER_SYNC 1024

static void put_inode(struct cow_inode **i)
{
	cow_inode_put(*i);
}
#define CLEANUP_INODE CLEANUP(put_inode)

cow_errno import_fail(struct cow_error *e, cow_errno r, const char *rel)
{
	return cow_fail(e, r, "cannot bring in %s: %s", rel, strerror(-r));
}

bool import_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return n && strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* --- hard links --- */

struct seen {
	dev_t dev;
	ino_t ino;
	uint64_t store_ino;
};

static int by_inode(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Remember a file with several names. True: it was seen before, as *ret_ino. */
static bool seen_before(struct import *im, const struct stat *st, uint64_t store_ino,
			uint64_t *ret_ino)
{
	struct seen *s = malloc(sizeof(*s)), **at;

	if (!s)
		return false;
	*s = (struct seen){.dev = st->st_dev, .ino = st->st_ino, .store_ino = store_ino};
	at = tsearch(s, &im->links, by_inode);
	if (at && *at == s)
		return false;
	free(s);
	if (at)
		*ret_ino = (*at)->store_ino;
	return at != NULL;
}

static bool find_seen(struct import *im, const struct stat *st, uint64_t *ret_ino)
{
	const struct seen key = {.dev = st->st_dev, .ino = st->st_ino};
	struct seen **at = tfind(&key, &im->links, by_inode);

	if (at)
		*ret_ino = (*at)->store_ino;
	return at != NULL;
}

void import_forget_links(struct import *im)
{
	tdestroy(im->links, free);
	im->links = NULL;
}

/* --- regular files --- */

void import_set_times(struct cow_inode *i, const struct stat *st)
{
	cow_inode_set(i, COW_SET_ATIME | COW_SET_MTIME,
		      &(struct cow_attr){.atime = st->st_atim, .mtime = st->st_mtim});
}

cow_errno import_create(const struct import_item *n, uint32_t type, const char *target,
			struct cow_inode **ret)
{
	return cow_name_create(n->dir, n->name,
			       &(struct cow_name_create){.mode = type | (n->st.st_mode & 07777),
							 .uid = n->st.st_uid,
							 .gid = n->st.st_gid,
							 .target = target},
			       ret);
}

static void copied(uint64_t bytes, void *arg)
{
	struct import *im = arg;

	im->done += bytes;
	engine_progress(im->g, COW_MIN(im->done, im->total), im->total);
}

/* Whole blocks only, and only below directories in which the preparation of a branch changes
 * nothing. */
static bool can_take_over(const struct import *im, const struct import_item *n)
{
	return im->move && n->st.st_nlink == 1 && n->st.st_size >= TAKE_OVER_BYTES &&
	       n->st.st_size % COW_BLOCK == 0 &&
	       (import_below(n->rel, "base") || import_below(n->rel, "pg_wal") ||
		import_below(n->rel, "pg_tblspc"));
}

static bool note_taken(struct import *im, const struct import_item *n)
{
	struct import_taken *grown = im->taken;

	/* Room doubles: there may be a million. */
	if ((im->n_taken & (im->n_taken - 1)) == 0)
		grown = realloc(grown, (im->n_taken ? im->n_taken * 2 : 1) * sizeof(*grown));
	if (!grown)
		return false;
	im->taken = grown;
	grown[im->n_taken] = (struct import_taken){.path = strdup(n->path), .st = n->st};
	return grown[im->n_taken].path && ++im->n_taken;
}

/* *ret_taken: the bytes are the original's own. */
static cow_errno take(struct import *im, struct cow_inode *i, const struct import_item *n,
		      bool *ret_taken, struct cow_error *e)
{
	char second[PATH_MAX + sizeof(SECOND_LINK)];
	cow_errno r;

	*ret_taken = false;
	snprintf(second, sizeof(second), "%.*s" SECOND_LINK,
		 (int)(strrchr(n->path, '/') + 1 - n->path), n->path);
	if (!can_take_over(im, n) || (unlink(second) < 0 && errno != ENOENT) ||
	    link(n->path, second) < 0)
		return cow_file_take(i, n->path, COW_TAKE_COPY, copied, im, e);
	*ret_taken = note_taken(im, n);
	if (*ret_taken)
		r = cow_file_take(i, second, COW_TAKE_MOVE, copied, im, e);
	else
		r = cow_fail(e, -ENOMEM, "no memory to import");
	if (r < 0)
		unlink(second);
	return r;
}

/* A server that was started meanwhile, or anybody else, would make the copy worthless. */
static cow_errno unchanged(const struct import_item *n, struct cow_inode *i, bool taken,
			   struct cow_error *e)
{
	struct cow_attr a;
	struct stat now;

	cow_inode_attr(i, &a);
	/* Taking over touches the time itself. */
	if (stat(n->path, &now) == 0 && now.st_size == n->st.st_size &&
	    (taken || (now.st_mtim.tv_sec == n->st.st_mtim.tv_sec &&
		       now.st_mtim.tv_nsec == n->st.st_mtim.tv_nsec))) {
		if (a.size == (uint64_t)now.st_size)
			return 0;
		return cow_fail(e, -EIO, "%s has %llu bytes in the branch, %llu in the original",
				n->rel, (unsigned long long)a.size,
				(unsigned long long)now.st_size);
	}
	cow_fail(e, -EBUSY, "%s changed while it was imported", n->path);
	return cow_hint(e, -EBUSY,
			"Stop what writes there, or import a copy made by pg_basebackup.");
}

cow_errno import_file(struct import *im, const struct import_item *n, struct cow_error *e)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	uint64_t before = im->done, ino;
	bool taken = false;
	cow_errno r;

	if (!n->dir) {
		im->total += (uint64_t)n->st.st_size;
		return 0;
	}
	if (n->st.st_nlink > 1 && find_seen(im, &n->st, &ino)) {
		r = cow_inode_get(cow_inode_live(n->dir), ino, &i);
		if (r == 0)
			r = cow_name_link(i, n->dir, n->name);
		im->total -= COW_MIN(im->total, (uint64_t)n->st.st_size);
		return r < 0 ? import_fail(e, r, n->rel) : 0;
	}
	r = import_create(n, S_IFREG, NULL, &i);
	if (r < 0)
		return import_fail(e, r, n->rel);
	if (n->st.st_nlink > 1)
		seen_before(im, &n->st, cow_inode_number(i), &ino);
	if (n->st.st_size > 0)
		r = take(im, i, n, &taken, e);
	if (r < 0)
		return cow_wrap(e, r, "bring in %s", n->rel);
	import_set_times(i, &n->st);
	/* Files that are not durable yet are open in the store, and descriptors are not endless. */
	if (++im->files % FILES_PER_SYNC == 0 && (r = cow_live_sync(cow_inode_live(i))) < 0)
		return import_fail(e, r, n->rel);
	if (cow_store_ending(im->g->store))
		return cow_fail(e, -ECANCELED, "the daemon stops");
	im->done = before + (uint64_t)n->st.st_size;
	engine_progress(im->g, COW_MIN(im->done, im->total), im->total);
	return im->verify ? unchanged(n, i, taken, e) : 0;
}

void import_give_back(struct import *im)
{
	for (size_t k = 0; k < im->n_taken; k++) {
		const struct import_taken *t = &im->taken[k];

		/* What cannot be given back keeps its bytes: that is what counts. */
		if (lchown(t->path, t->st.st_uid, t->st.st_gid) < 0 ||
		    chmod(t->path, t->st.st_mode & 07777) < 0 ||
		    utimensat(AT_FDCWD, t->path,
			      (const struct timespec[]){t->st.st_atim, t->st.st_mtim}, 0) < 0)
			cow_log_warn("owner, mode or time of %s could not be restored", t->path);
	}
}
