// SPDX-License-Identifier: Apache-2.0
/* names: looking up and listing. The newest entry of the topmost lineage that has one decides; a
 * whiteout decides that there is none. */
#include "store/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/touched.h"

/* -ENOENT no entry in this lineage of the chain at or before the epoch. */
static cow_errno find_in(struct cow_live *l, uint32_t link, uint64_t epoch, uint64_t dir,
			 const char *name, struct cow_name_rec *ret)
{
	CLEANUP(cow_buf_release) struct cow_buf key = {0};
	CLEANUP(cow_buf_release) struct cow_buf val = {0};
	struct cow_key k = cow_key_name(l->chain[link].lineage, dir, name, epoch);
	struct cow_kv *kv = l->s->kv;
	cow_errno r = kv->ops->seek(kv, k.b, k.len, k.prefix, &key, &val);

	return r < 0 ? r : cow_nameval_decode(val.data, val.len, ret);
}

static cow_errno find_from(struct cow_live *l, uint32_t first, uint64_t dir, const char *name,
			   struct cow_name_rec *ret)
{
	uint32_t mark = cow_mark_name(dir, name, strlen(name));

	for (uint32_t k = first; k < l->n_chain; k++) {
		cow_errno r = -ENOENT;

		if (cow_touched_may_have(l->chain[k].touched, mark))
			r = find_in(l, k, cow_chain_at(l, k).epoch, dir, name, ret);
		if (r == 0)
			return ret->ino ? 0 : -ENOENT;
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

cow_errno cow_names_find(struct cow_live *l, uint64_t dir, const char *name,
			 struct cow_name_rec *ret)
{
	return find_from(l, 0, dir, name, ret);
}

void cow_names_set(struct cow_live *l, struct cow_batch *b, uint64_t dir, const char *name,
		   const struct cow_name_rec *v)
{
	CLEANUP(cow_buf_release) struct cow_buf bytes = {0};
	struct cow_key k = cow_key_name(l->chain[0].lineage, dir, name, cow_head(l));

	cow_touched_add(l->chain[0].touched, cow_mark_dir(dir));
	cow_touched_add(l->chain[0].touched, cow_mark_name(dir, name, strlen(name)));
	if (cow_nameval_encode(v, &bytes) < 0)
		b->failed = -ENOMEM;
	else
		cow_batch_put(b, k.b, k.len, bytes.data, bytes.len);
}

cow_errno cow_names_unset(struct cow_live *l, struct cow_batch *b, uint64_t dir, const char *name)
{
	const struct cow_name_rec whiteout = {0};
	struct cow_key k = cow_key_name(l->chain[0].lineage, dir, name, cow_head(l));
	struct cow_name_rec older;
	cow_errno r = find_in(l, 0, cow_head(l) - 1, dir, name, &older);

	/* With any older entry of our own, even a whiteout, ours stays: gc may just be dropping
	 * that one because ours is newer. */
	if (r == -ENOENT)
		r = find_from(l, 1, dir, name, &older);
	if (r == 0)
		cow_names_set(l, b, dir, name, &whiteout);
	else if (r == -ENOENT)
		cow_batch_del(b, k.b, k.len);
	return r == -ENOENT ? 0 : r;
}

/* --- listing --- */

struct entry {
	char *name;
	uint64_t ino;
	uint32_t type, level;
};

struct listing {
	struct entry *at;
	size_t n, cap;
	uint32_t level;
	uint64_t epoch; /* newest that counts on this level */
};

static void listing_release(struct listing *l)
{
	for (size_t k = 0; k < l->n; k++)
		free(l->at[k].name);
	free(l->at);
}

static cow_errno listing_add(struct listing *l, const uint8_t *name, size_t len,
			     const struct cow_name_rec *v)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct entry *more = realloc(l->at, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->at = more;
		l->cap = cap;
	}
	l->at[l->n] = (struct entry){strndup((const char *)name, len), v->ino, v->type, l->level};
	return l->at[l->n++].name ? 0 : -ENOMEM;
}

/* Versions of one name follow each other, newest first: the first at or before the epoch counts. */
static int add_version(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct listing *l = arg;
	struct entry *last = l->n ? &l->at[l->n - 1] : NULL;
	const uint8_t *name = key + 17;
	struct cow_name_rec v;
	size_t len;

	if (klen < 17 + 1 + 9)
		return -EIO;
	len = klen - 17 - 9;
	if (cow_key_epoch(key, klen) > l->epoch)
		return 0;
	if (last && last->level == l->level && strlen(last->name) == len &&
	    memcmp(last->name, name, len) == 0)
		return 0;
	return cow_nameval_decode(val, vlen, &v) < 0 ? -EIO : listing_add(l, name, len, &v);
}

static int by_name_then_level(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x->level > y->level) - (x->level < y->level);
}

static cow_errno list(struct cow_live *l, uint64_t dir, struct listing *out)
{
	uint32_t mark = cow_mark_dir(dir);
	cow_errno r = 0;

	for (uint32_t k = 0; r == 0 && k < l->n_chain; k++) {
		struct cow_key key = cow_key_type2('N', l->chain[k].lineage, dir);

		if (!cow_touched_may_have(l->chain[k].touched, mark))
			continue;
		out->level = k;
		out->epoch = cow_chain_at(l, k).epoch;
		r = l->s->kv->ops->scan(l->s->kv, key.b, key.len, NULL, 0, add_version, out);
	}
	if (r == 0 && out->n)
		qsort(out->at, out->n, sizeof(*out->at), by_name_then_level);
	return r;
}

/* The topmost level of each name decides; whiteouts are left out. */
static const struct entry *shown(const struct listing *l, size_t *at)
{
	while (*at < l->n) {
		const struct entry *e = &l->at[(*at)++];

		while (*at < l->n && strcmp(l->at[*at].name, e->name) == 0)
			(*at)++;
		if (e->ino)
			return e;
	}
	return NULL;
}

cow_errno cow_names_empty(struct cow_live *l, uint64_t dir)
{
	CLEANUP(listing_release) struct listing all = {0};
	size_t at = 0;
	cow_errno r = list(l, dir, &all);

	if (r < 0)
		return r;
	return shown(&all, &at) ? -ENOTEMPTY : 0;
}

static int tell(const struct listing *all,
		int (*each)(const char *name, uint64_t ino, uint32_t type, void *arg), void *arg)
{
	const struct entry *e;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (e = shown(all, &at)))
		r = each(e->name, e->ino, e->type, arg);
	return r;
}

int cow_names_each(struct cow_live *l, uint64_t dir,
		   int (*each)(const char *name, uint64_t ino, uint32_t type, void *arg), void *arg)
{
	CLEANUP(listing_release) struct listing all = {0};
	cow_errno r = list(l, dir, &all);

	return r < 0 ? r : tell(&all, each, arg);
}

cow_errno cow_name_each(struct cow_inode *dir,
			int (*each)(const char *name, uint64_t ino, uint32_t type, void *arg),
			void *arg)
{
	CLEANUP(listing_release) struct listing all = {0};
	int r = cow_inode_check(dir, false);

	if (r < 0 || !S_ISDIR(dir->attr.mode))
		return r < 0 ? r : -ENOTDIR;
	{
		WITH_SHARED(&dir->live->names); /* not while `each` runs: it may change names */
		r = list(dir->live, dir->ino, &all);
	}
	return r < 0 ? r : tell(&all, each, arg);
}

cow_errno cow_name_lookup(struct cow_inode *dir, const char *name, struct cow_inode **ret)
{
	struct cow_name_rec v;
	cow_errno r = cow_inode_check(dir, false);
	WITH_SHARED(&dir->live->names);

	if (r < 0)
		return r;
	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	if (strlen(name) > COW_NAME_MAX)
		return -ENAMETOOLONG;
	r = cow_names_find(dir->live, dir->ino, name, &v);
	if (r == 0 && (r = cow_inode_get(dir->live, v.ino, ret)) == -ENOENT)
		r = -EIO; /* a name that leads nowhere */
	return r;
}

cow_errno cow_name_readlink(struct cow_inode *i, char *buf, size_t size, size_t *ret_len)
{
	cow_errno r = cow_inode_check(i, false);
	size_t n;

	if (r < 0)
		return r;
	if (!S_ISLNK(i->attr.mode) || !i->target)
		return -EINVAL;
	n = strlen(i->target);
	if (n > size)
		return -ERANGE;
	memcpy(buf, i->target, n);
	*ret_len = n;
	return 0;
}
