// SPDX-License-Identifier: Apache-2.0
/* diff: two points compared name by name and block by block.
 *
 * Both branches are looked at as closed points, so the answer is of one moment each. Blocks that
 * resolve to the same place of the same extent file are equal without being read; the rest is read
 * and compared. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/os.h"

struct diff {
	struct cow_live *a, *b;
	int (*each)(const struct cow_diff_entry *d, void *arg);
	void *arg;
};

struct names {
	struct name {
		char *text;
		uint64_t ino;
		uint32_t type;
	} * at;
	size_t n, cap;
};

static void names_release(struct names *v)
{
	for (size_t k = 0; k < v->n; k++)
		free(v->at[k].text);
	free(v->at);
}

static int add_name(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct names *v = arg;

	if (v->n == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 32;
		void *more = realloc(v->at, cap * sizeof(*v->at));

		if (!more)
			return -ENOMEM;
		v->at = more;
		v->cap = cap;
	}
	v->at[v->n] = (struct name){strdup(name), ino, type};
	return v->at[v->n++].text ? 0 : -ENOMEM;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static cow_errno list(struct cow_live *l, uint64_t ino, struct names *ret)
{
	struct cow_inode *dir;
	cow_errno r = ino ? cow_inode_get(l, ino, &dir) : -ENOENT;

	if (r < 0)
		return ino ? r : 0;
	r = cow_name_each(dir, add_name, ret);
	cow_inode_put(dir);
	if (r == 0 && ret->n)
		qsort(ret->at, ret->n, sizeof(*ret->at), by_text);
	return r;
}

/* Count the blocks of one step whose contents differ. */
static cow_errno compare_blocks(struct cow_inode *a, struct cow_inode *b, uint64_t off,
				struct cow_diff_entry *d)
{
	CLEANUP_FREE uint8_t *ba = calloc(2, COW_READ_MAX);
	uint8_t *bb = ba ? ba + COW_READ_MAX : NULL;
	size_t na = 0, nb = 0, n;
	cow_errno r = ba ? cow_file_read(a, ba, off, COW_READ_MAX, &na) : -ENOMEM;

	if (r == 0)
		r = cow_file_read(b, bb, off, COW_READ_MAX, &nb);
	n = COW_MAX(na, nb);
	for (size_t at = 0; r == 0 && at < n; at += COW_BLOCK) {
		size_t len = COW_MIN((size_t)COW_BLOCK, n - at);

		if (memcmp(ba + at, bb + at, len) != 0) {
			d->blocks++;
			d->bytes += len;
		}
	}
	return r;
}

/* The same pieces of the same extent files. */
static bool same_place(const struct cow_read *a, const struct cow_read *b)
{
	if (a->n != b->n || a->len != b->len)
		return false;
	for (unsigned k = 0; k < a->n; k++)
		if (a->pins[k] != b->pins[k] || a->seg[k].len != b->seg[k].len)
			return false;
	return true;
}

static cow_errno compare_step(struct cow_inode *a, struct cow_inode *b, uint64_t off,
			      struct cow_diff_entry *d)
{
	struct cow_read ra, rb;
	cow_errno r = cow_store_ending(a->live->s) ? -ECANCELED
						   : cow_file_read_begin(a, off, COW_READ_MAX, &ra);

	if (r < 0)
		return r;
	r = cow_file_read_begin(b, off, COW_READ_MAX, &rb);
	if (r == 0) {
		if (!same_place(&ra, &rb))
			r = compare_blocks(a, b, off, d);
		cow_file_read_end(&rb);
	}
	cow_file_read_end(&ra);
	return r;
}

static cow_errno compare_files(struct cow_inode *a, struct cow_inode *b, struct cow_diff_entry *d)
{
	cow_errno r = 0;

	for (uint64_t off = 0; r == 0 && off < COW_MAX(d->size_a, d->size_b); off += COW_READ_MAX)
		r = compare_step(a, b, off, d);
	return r;
}

static int tell(struct diff *x, const struct cow_diff_entry *d)
{
	return x->each(d, x->arg);
}

/* A name that only one side has. Contents count in full. */
static int one_sided(struct diff *x, const char *path, struct cow_live *l, uint64_t ino,
		     enum cow_diff_kind kind)
{
	struct cow_diff_entry d = {.kind = kind, .path = path};
	struct cow_inode *i;
	struct cow_attr a;
	cow_errno r = cow_inode_get(l, ino, &i);

	if (r < 0)
		return r;
	cow_inode_attr(i, &a);
	cow_inode_put(i);
	if (S_ISREG(a.mode))
		d.bytes = a.size;
	d.blocks = cow_blocks_of(d.bytes);
	*(kind == COW_DIFF_ADDED ? &d.size_b : &d.size_a) = d.bytes;
	return tell(x, &d);
}

static int both(struct diff *x, const char *path, uint64_t ino_a, uint64_t ino_b)
{
	struct cow_diff_entry d = {.kind = COW_DIFF_CHANGED, .path = path};
	struct cow_inode *a = NULL, *b = NULL;
	struct cow_attr aa, ab;
	int r = cow_inode_get(x->a, ino_a, &a);

	if (r == 0)
		r = cow_inode_get(x->b, ino_b, &b);
	if (r == 0) {
		cow_inode_attr(a, &aa);
		cow_inode_attr(b, &ab);
		d.attr_only = aa.mode != ab.mode || aa.uid != ab.uid || aa.gid != ab.gid;
		if (S_ISREG(aa.mode) && S_ISREG(ab.mode)) {
			d.size_a = aa.size;
			d.size_b = ab.size;
			r = compare_files(a, b, &d);
		} else if (S_ISLNK(aa.mode) && S_ISLNK(ab.mode)) {
			d.attr_only = strcmp(a->target, b->target) != 0 || d.attr_only;
		}
	}
	if (r == 0 && (d.blocks || d.size_a != d.size_b || d.attr_only)) {
		d.attr_only = !d.blocks && d.size_a == d.size_b;
		r = tell(x, &d);
	}
	cow_inode_put(a);
	cow_inode_put(b);
	return r;
}

static int walk(struct diff *x, const char *path, uint64_t dir_a, uint64_t dir_b);

static int entry(struct diff *x, const char *dir, const struct name *a, const struct name *b)
{
	CLEANUP_FREE char *path = NULL;
	bool into_a = a && S_ISDIR(a->type), into_b = b && S_ISDIR(b->type);
	int r;

	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", a ? a->text : b->text) < 0)
		return -ENOMEM;
	if (a && b)
		r = both(x, path, a->ino, b->ino);
	else
		r = a ? one_sided(x, path, x->a, a->ino, COW_DIFF_REMOVED)
		      : one_sided(x, path, x->b, b->ino, COW_DIFF_ADDED);
	if (r == 0 && (into_a || into_b))
		r = walk(x, path, into_a ? a->ino : 0, into_b ? b->ino : 0);
	return r;
}

static int walk(struct diff *x, const char *path, uint64_t dir_a, uint64_t dir_b)
{
	CLEANUP(names_release) struct names a = {0};
	CLEANUP(names_release) struct names b = {0};
	size_t ka = 0, kb = 0;
	int r = list(x->a, dir_a, &a);

	if (r == 0)
		r = list(x->b, dir_b, &b);
	while (r == 0 && (ka < a.n || kb < b.n)) {
		int c = ka == a.n ? 1 : kb == b.n ? -1 : strcmp(a.at[ka].text, b.at[kb].text);

		r = entry(x, path, c <= 0 ? &a.at[ka] : NULL, c >= 0 ? &b.at[kb] : NULL);
		ka += c <= 0;
		kb += c >= 0;
	}
	return r;
}

cow_errno cow_diff(struct cow_store *s, const char *a, const char *b,
		   int (*each)(const struct cow_diff_entry *d, void *arg), void *arg,
		   struct cow_error *e)
{
	struct diff x = {.each = each, .arg = arg};
	int r = cow_live_get_point(s, a, &x.a, e);

	if (r == 0 && (r = cow_live_get_point(s, b, &x.b, e)) == 0) {
		r = walk(&x, "", x.a->root, x.b->root);
		if (r < 0)
			cow_fail(e, r, "cannot compare: %s", strerror(-r));
	}
	cow_live_put(x.a);
	cow_live_put(x.b);
	return r;
}
