// SPDX-License-Identifier: Apache-2.0
/* names_change: create, link, unlink, rmdir, rename.
 *
 * Each is one batch: the entries, and the records of every inode whose link count or times changed.
 * It is put into the map at once and unsynced, so all name changes of the store lie in the map's
 * log in the order in which they happened; the next synced commit of anything makes them durable
 * (rule 3). */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/names.h"

enum { TOUCHED_MAX = 5 };

/* A change being put together. Under freeze shared and names exclusive. */
struct change {
	struct cow_live *l;
	struct cow_batch batch;
	struct cow_inode *touched[TOUCHED_MAX]; /* borrowed, unique, ascending number */
	unsigned n;
};

static void change_release(struct change *c)
{
	cow_batch_release(&c->batch);
}

/* The inode's record goes with the change. In ascending order: that is the order their locks are
 * taken in. */
static void touch(struct change *c, struct cow_inode *i)
{
	unsigned k = c->n;

	for (unsigned j = 0; j < c->n; j++)
		if (c->touched[j] == i)
			return;
	while (k > 0 && c->touched[k - 1]->ino > i->ino) {
		c->touched[k] = c->touched[k - 1];
		k--;
	}
	c->touched[k] = i;
	c->n++;
}

/* Link count by `delta`, ctime now; a directory whose entries changed (`dir`) gets its mtime too.
 */
static void relink(struct change *c, struct cow_inode *i, int delta, bool dir)
{
	WITH_LOCK(&i->map);

	i->attr.nlink = (uint32_t)((int)i->attr.nlink + delta);
	i->attr.ctime = cow_now();
	if (dir)
		i->attr.mtime = i->attr.ctime;
	touch(c, i);
}

static cow_errno put(struct change *c)
{
	struct cow_store *s = c->l->s;
	cow_errno r;

	for (unsigned k = 0; k < c->n; k++) {
		pthread_mutex_lock(&c->touched[k]->commit);
		pthread_mutex_lock(&c->touched[k]->map);
		cow_inode_put_record(c->touched[k], &c->batch);
		pthread_mutex_unlock(&c->touched[k]->map);
	}
	r = cow_kv_write(s->kv, &c->batch, false);
	for (unsigned k = 0; k < c->n; k++)
		pthread_mutex_unlock(&c->touched[k]->commit);
	c->l->head_written = true;
	/* After the write: a commit that reads the new number finds the change in the log. */
	cow_raise(&c->l->name_seq, atomic_fetch_add(&s->name_seq, 1) + 1);
	return r;
}

static cow_errno check_dir(struct cow_inode *dir, const char *name)
{
	cow_errno r = cow_inode_check(dir, true);

	if (r < 0)
		return r;
	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	if (dir->attr.nlink == 0)
		return -ENOENT;
	return strlen(name) > COW_NAME_MAX ? -ENAMETOOLONG : 0;
}

static cow_errno must_be_free(struct cow_live *l, uint64_t dir, const char *name)
{
	struct cow_name_rec v;
	cow_errno r = cow_names_find(l, dir, name, &v);

	return r == -ENOENT ? 0 : r < 0 ? r : -EEXIST;
}

cow_errno cow_name_create(struct cow_inode *dir, const char *name,
			  const struct cow_name_create *how, struct cow_inode **ret)
{
	struct cow_live *l = dir->live;
	CLEANUP(change_release) struct change c = {.l = l};
	struct cow_inode *i = NULL;
	uint64_t ino;
	cow_errno r;
	WITH_SHARED(&l->freeze);
	WITH_EXCLUSIVE(&l->names);

	if ((r = check_dir(dir, name)) < 0 || (r = must_be_free(l, dir->ino, name)) < 0 ||
	    (r = cow_id_next(l->s, COW_ID_INO, &ino)) < 0 ||
	    (r = cow_inode_make(l, ino, how, &i)) < 0)
		return r;
	cow_names_set(l, &c.batch, dir->ino, name, &(struct cow_name_rec){ino, how->mode & S_IFMT});
	relink(&c, i, 0, false);
	relink(&c, dir, S_ISDIR(how->mode) ? 1 : 0, true);
	r = put(&c);
	if (r < 0)
		cow_inode_put(i);
	else
		*ret = i;
	return r;
}

cow_errno cow_name_link(struct cow_inode *i, struct cow_inode *dir, const char *name)
{
	struct cow_live *l = dir->live;
	CLEANUP(change_release) struct change c = {.l = l};
	cow_errno r;
	WITH_SHARED(&l->freeze);
	WITH_EXCLUSIVE(&l->names);

	if (i->live != l)
		return -EXDEV;
	if (S_ISDIR(i->attr.mode))
		return -EPERM;
	if (i->attr.nlink == 0)
		return -ENOENT;
	if ((r = check_dir(dir, name)) < 0 || (r = must_be_free(l, dir->ino, name)) < 0)
		return r;
	cow_names_set(l, &c.batch, dir->ino, name,
		      &(struct cow_name_rec){i->ino, i->attr.mode & S_IFMT});
	relink(&c, i, 1, false);
	relink(&c, dir, 0, true);
	return put(&c);
}

/* The last name went: for an open file a mark that survives a crash, else it is dropped after the
 * put. */
static void lose_name(struct change *c, struct cow_inode *i)
{
	struct cow_key k = cow_key_orphan(c->l->chain[0].lineage, i->ino);

	relink(c, i, S_ISDIR(i->attr.mode) ? -(int)i->attr.nlink : -1, false);
	if (i->attr.nlink == 0)
		cow_batch_put(&c->batch, k.b, k.len, "", 0);
}

static cow_errno drop_if_unused(struct cow_inode *i)
{
	return i->attr.nlink == 0 && i->opens == 0 ? cow_inode_drop(i) : 0;
}

static cow_errno remove_name(struct cow_inode *dir, const char *name, bool want_dir)
{
	struct cow_live *l = dir->live;
	CLEANUP(change_release) struct change c = {.l = l};
	struct cow_inode *i = NULL;
	struct cow_name_rec v;
	cow_errno r;
	WITH_SHARED(&l->freeze);
	WITH_EXCLUSIVE(&l->names);

	if ((r = check_dir(dir, name)) < 0 || (r = cow_names_find(l, dir->ino, name, &v)) < 0)
		return r;
	if (S_ISDIR(v.type) != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if ((want_dir && (r = cow_names_empty(l, v.ino)) < 0) ||
	    (r = cow_inode_get(l, v.ino, &i)) < 0)
		return r == -ENOENT ? -EIO : r;
	r = cow_names_unset(l, &c.batch, dir->ino, name);
	if (r == 0) {
		lose_name(&c, i);
		relink(&c, dir, want_dir ? -1 : 0, true);
		r = put(&c);
	}
	if (r == 0)
		r = drop_if_unused(i);
	cow_inode_put(i);
	return r;
}

cow_errno cow_name_unlink(struct cow_inode *dir, const char *name)
{
	return remove_name(dir, name, false);
}

cow_errno cow_name_rmdir(struct cow_inode *dir, const char *name)
{
	return remove_name(dir, name, true);
}

/* What stands at the two ends of a rename. */
struct ends {
	struct cow_inode *from_dir, *to_dir;
	const char *from, *to;
	struct cow_inode *moved, *victim; /* victim may be NULL */
};

static void ends_release(struct ends *n)
{
	cow_inode_put(n->moved);
	cow_inode_put(n->victim);
}

static cow_errno may_replace(struct cow_live *l, const struct ends *n)
{
	bool moved_dir = S_ISDIR(n->moved->attr.mode), victim_dir;

	if (!n->victim)
		return 0;
	victim_dir = S_ISDIR(n->victim->attr.mode);
	if (moved_dir && !victim_dir)
		return -ENOTDIR;
	if (!moved_dir && victim_dir)
		return -EISDIR;
	return victim_dir ? cow_names_empty(l, n->victim->ino) : 0;
}

/* Is `dir` inside the directory `top`, at any depth? The kernel asks the same before it renames; a
 * caller without a kernel above it must not be able to cut a tree off either. */
struct inside {
	struct cow_live *l;
	uint64_t dir;
};

static int look_inside(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct inside *x = arg;

	if (!S_ISDIR(type))
		return 0;
	return ino == x->dir ? 1 : cow_names_each(x->l, ino, look_inside, x);
}

static cow_errno not_into(struct cow_live *l, struct cow_inode *moved, struct cow_inode *dir)
{
	struct inside x = {l, dir->ino};
	int r;

	if (!moved || !S_ISDIR(moved->attr.mode))
		return 0;
	if (moved == dir)
		return -EINVAL;
	r = cow_names_each(l, moved->ino, look_inside, &x);
	return r == 1 ? -EINVAL : r;
}

static cow_errno no_loop(struct cow_live *l, const struct ends *n, unsigned flags)
{
	cow_errno r = 0;

	if (n->from_dir != n->to_dir)
		r = not_into(l, n->moved, n->to_dir);
	if (r == 0 && n->from_dir != n->to_dir && (flags & RENAME_EXCHANGE))
		r = not_into(l, n->victim, n->from_dir);
	return r;
}

static cow_errno find_end(struct cow_live *l, struct cow_inode *dir, const char *name,
			  struct cow_inode **ret)
{
	struct cow_name_rec v;
	cow_errno r = cow_names_find(l, dir->ino, name, &v);

	if (r == 0 && (r = cow_inode_get(l, v.ino, ret)) == -ENOENT)
		r = -EIO;
	return r;
}

/* Entries, link counts and times of a rename without RENAME_EXCHANGE. */
static cow_errno move(struct change *c, const struct ends *n)
{
	bool dir = S_ISDIR(n->moved->attr.mode);
	int to_dir_links = (dir ? 1 : 0) - (n->victim && dir ? 1 : 0);
	cow_errno r = cow_names_unset(c->l, &c->batch, n->from_dir->ino, n->from);

	if (r < 0)
		return r;
	cow_names_set(c->l, &c->batch, n->to_dir->ino, n->to,
		      &(struct cow_name_rec){n->moved->ino, n->moved->attr.mode & S_IFMT});
	if (n->victim)
		lose_name(c, n->victim);
	relink(c, n->moved, 0, false);
	relink(c, n->from_dir, dir ? -1 : 0, true);
	relink(c, n->to_dir, to_dir_links, true);
	return 0;
}

static void exchange(struct change *c, const struct ends *n)
{
	int moved_dir = S_ISDIR(n->moved->attr.mode), victim_dir = S_ISDIR(n->victim->attr.mode);

	cow_names_set(c->l, &c->batch, n->to_dir->ino, n->to,
		      &(struct cow_name_rec){n->moved->ino, n->moved->attr.mode & S_IFMT});
	cow_names_set(c->l, &c->batch, n->from_dir->ino, n->from,
		      &(struct cow_name_rec){n->victim->ino, n->victim->attr.mode & S_IFMT});
	relink(c, n->moved, 0, false);
	relink(c, n->victim, 0, false);
	relink(c, n->from_dir, victim_dir - moved_dir, true);
	relink(c, n->to_dir, moved_dir - victim_dir, true);
}

static cow_errno rename_ends(struct cow_live *l, struct ends *n, unsigned flags)
{
	CLEANUP(change_release) struct change c = {.l = l};
	cow_errno r = find_end(l, n->from_dir, n->from, &n->moved);

	if (r < 0)
		return r;
	r = find_end(l, n->to_dir, n->to, &n->victim);
	if (r < 0 && (r != -ENOENT || (flags & RENAME_EXCHANGE)))
		return r;
	if (n->victim && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if ((r = no_loop(l, n, flags)) < 0)
		return r;
	if (n->victim == n->moved)
		return 0; /* two names of one file: POSIX wants nothing done */
	if (flags & RENAME_EXCHANGE) {
		exchange(&c, n);
		return put(&c);
	}
	if ((r = may_replace(l, n)) < 0 || (r = move(&c, n)) < 0 || (r = put(&c)) < 0)
		return r;
	return n->victim ? drop_if_unused(n->victim) : 0;
}

cow_errno cow_name_rename(struct cow_inode *from_dir, const char *from, struct cow_inode *to_dir,
			  const char *to, unsigned flags)
{
	CLEANUP(ends_release) struct ends n = {from_dir, to_dir, from, to, NULL, NULL};
	struct cow_live *l = from_dir->live;
	cow_errno r;

	if (to_dir->live != l)
		return -EXDEV;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	WITH_SHARED(&l->freeze);
	WITH_EXCLUSIVE(&l->names);
	if ((r = check_dir(from_dir, from)) < 0 || (r = check_dir(to_dir, to)) < 0)
		return r;
	return rename_ends(l, &n, flags);
}
