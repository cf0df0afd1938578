// SPDX-License-Identifier: Apache-2.0
/* ops_dir: reading directories.
 *
 * A directory handle holds the names of one moment: taken at the first read and taken again after a
 * rewind, so a listing never shows a name twice and never misses one that was there all the time,
 * whatever changes meanwhile. An offset is an index into it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cowfs_ll.h"
#include "store/cleanup.h"

struct name {
	uint64_t ino;
	uint32_t type; /* S_IFMT bits */
	size_t at;     /* in `text` */
};

struct listing {
	pthread_mutex_t lock; /* all below; the kernel reads one handle from one thread at a time */
	bool filled;
	struct cow_mount *m;
	struct name *names;
	size_t n, cap;
	char *text;
	size_t len, text_cap;
	struct cow_live *live; /* only while filling */
};

static struct listing *listing_of(const struct fuse_file_info *fi)
{
	return (struct listing *)(uintptr_t)fi->fh;
}

/* Room for `more` elements of `size` bytes after `used`. */
static cow_errno reserve(void *array, size_t *cap, size_t used, size_t more, size_t size)
{
	void **p = array, *grown;
	size_t want = *cap ? *cap : 64;

	while (want < used + more)
		want *= 2;
	if (want == *cap)
		return 0;
	grown = realloc(*p, want * size);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*cap = want;
	return 0;
}

static int add(struct listing *l, const char *name, uint64_t ino, uint32_t type)
{
	size_t len = strlen(name) + 1;
	int r = reserve(&l->names, &l->cap, l->n, 1, sizeof(*l->names));

	if (r == 0)
		r = reserve(&l->text, &l->text_cap, l->len, len, 1);
	if (r < 0)
		return r;
	memcpy(l->text + l->len, name, len);
	l->names[l->n++] = (struct name){.ino = ino, .type = type, .at = l->len};
	l->len += len;
	return 0;
}

static int add_file(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct listing *l = arg;

	return add(l, name, cow_live_incarnation(l->live) << COW_NODE_INO_BITS | ino, type);
}

struct own_dir {
	struct listing *l;
	const char *path;
};

static int add_own(const char *name, enum cow_branchdir what, void *arg)
{
	struct own_dir *d = arg;
	char path[2 * COW_BRANCH_MAX + 2];
	uint64_t id;

	snprintf(path, sizeof(path), "%s%s%s", d->path, *d->path ? "/" : "", name);
	id = cow_node_id_of_path(path);
	if (what == COW_BRANCHDIR_BRANCH) {
		struct cow_live *live;

		if (cow_live_get(d->l->m->store, path, &live, NULL) < 0)
			return 0; /* deleted just now */
		id = cow_live_incarnation(live) << COW_NODE_INO_BITS | cow_live_root(live);
		cow_live_put(live);
	}
	return add(d->l, name, id, S_IFDIR);
}

static cow_errno fill(struct listing *l, const struct cow_node *dir)
{
	struct own_dir own = {l, dir->path};
	int r;

	l->n = l->len = 0;
	r = add(l, ".", dir->id, S_IFDIR);
	if (r == 0)
		r = add(l, "..", dir->parent, S_IFDIR);
	if (r < 0)
		return r;
	if (!dir->inode) {
		r = cow_branchdirs_each(l->m->dirs, dir->path, add_own, &own);
	} else {
		l->live = cow_inode_live(dir->inode);
		r = cow_name_each(dir->inode, add_file, l);
	}
	l->filled = r == 0;
	return r;
}

void cow_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_OPENDIR);
	struct listing *l = calloc(1, sizeof(*l));

	if (!l) {
		cow_reply(req, -ENOMEM);
		return;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->m = m;
	fi->fh = (uintptr_t)l;
	if (fuse_reply_open(req, fi) < 0) {
		pthread_mutex_destroy(&l->lock);
		free(l);
	}
}

void cow_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct listing *l = listing_of(fi);

	cow_op_begin(req, FUSE_RELEASEDIR);
	pthread_mutex_destroy(&l->lock);
	free(l->names);
	free(l->text);
	free(l);
	cow_reply(req, 0);
}

/* One entry at `buf`; 0 = it does not fit, else its size. With attributes it counts as a look-up,
 * but not for "." and "..", and not for branches, which are opened when somebody goes there. */
static size_t put_entry(fuse_req_t req, struct listing *l, const struct cow_node *dir, size_t i,
			char *buf, size_t room, bool plus)
{
	const struct name *n = &l->names[i];
	const char *name = l->text + n->at;
	struct fuse_entry_param e = {.attr = {.st_ino = n->ino, .st_mode = n->type}};
	size_t need;

	if (!plus) {
		need = fuse_add_direntry(req, buf, room, name, &e.attr, (off_t)i + 1);
		return need <= room ? need : 0;
	}
	need = fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0);
	if (need > room)
		return 0;
	if (i >= 2 && dir->inode && cow_names_enter(l->m, dir, name, &e) < 0)
		e = (struct fuse_entry_param){.attr = {.st_ino = n->ino, .st_mode = n->type}};
	return fuse_add_direntry_plus(req, buf, room, name, &e, (off_t)i + 1);
}

/* Entries from `off` on into `buf`. Returns how many bytes, or -errno. */
static ssize_t take_names(fuse_req_t req, struct listing *l, const struct cow_node *dir, char *buf,
			  size_t size, off_t off, bool plus)
{
	size_t used = 0;
	cow_errno r = 0;
	WITH_LOCK(&l->lock);

	if (off == 0 || !l->filled)
		r = fill(l, dir);
	for (size_t i = (size_t)off; r == 0 && i < l->n; i++) {
		size_t n = put_entry(req, l, dir, i, buf + used, size - used, plus);

		if (n == 0)
			break;
		used += n;
	}
	return r < 0 ? r : (ssize_t)used;
}

/* The answer is given with no lock held and touches nothing of the handle: the kernel may send
 * RELEASEDIR at once, and another thread frees the listing. */
static void read_names(fuse_req_t req, struct cow_mount *m, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi, bool plus)
{
	CLEANUP_FREE char *buf = malloc(size);
	struct cow_node dir = {0};
	cow_errno r = buf ? cow_node_get(m->nodes, ino, &dir) : -ENOMEM;
	ssize_t used = r < 0 ? r : take_names(req, listing_of(fi), &dir, buf, size, off, plus);

	cow_node_put(&dir);
	if (used < 0)
		cow_reply(req, (cow_errno)used);
	else
		fuse_reply_buf(req, buf, (size_t)used);
}

void cow_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	read_names(req, cow_op_begin(req, FUSE_READDIR), ino, size, off, fi, false);
}

void cow_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi)
{
	read_names(req, cow_op_begin(req, FUSE_READDIRPLUS), ino, size, off, fi, true);
}

void cow_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct cow_mount *m = cow_op_begin(req, FUSE_FSYNCDIR);
	struct cow_node node = {0};
	cow_errno r = cow_node_get(m->nodes, ino, &node);

	if (r == 0 && node.inode)
		r = cow_file_sync(node.inode, datasync != 0);
	cow_reply(req, r);
	cow_node_put(&node);
}
