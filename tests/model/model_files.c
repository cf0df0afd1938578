// SPDX-License-Identifier: Apache-2.0
/* model_files: one random operation on the files of a branch. */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/model_world.h"

enum { WRITE_MAX = 6 * MODEL_PAGE };

/* A place in both worlds: a directory, and a name in it that may exist. */
struct place {
	struct cow_inode *dir;
	struct model_node *mdir;
	char name[8];
};

static const char *type_name(uint32_t mode)
{
	return S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "symlink" : "file";
}

/* Walks down from the root, with luck; names are few so that they meet. */
static void pick_place(struct world *w, int branch, struct place *p)
{
	struct cow_live *l = world_live(w, branch);
	cow_errno r = cow_inode_get(l, cow_live_root(l), &p->dir);

	WORLD_CHECK(w, r == 0, "root of %s: %d", w->b[branch].name, r);
	p->mdir = w->b[branch].m->root;
	while (world_random(w, 3) == 0) {
		struct cow_inode *next = NULL;
		struct model_node *mnext;

		snprintf(p->name, sizeof(p->name), "d%u", (unsigned)world_random(w, 3));
		mnext = model_find(p->mdir, p->name);
		if (!mnext || !S_ISDIR(mnext->mode))
			break;
		r = cow_name_lookup(p->dir, p->name, &next);
		WORLD_CHECK(w, r == 0, "lookup of directory %s: %d", p->name, r);
		cow_inode_put(p->dir);
		p->dir = next;
		p->mdir = mnext;
	}
	/* Mostly names of the kind their letter says, now and then of another. */
	snprintf(p->name, sizeof(p->name), "%c%u", "ffffdds"[world_random(w, 7)],
		 (unsigned)world_random(w, 4));
}

static void agree(struct world *w, const char *what, int store, int model)
{
	WORLD_CHECK(w, store == model, "%s: the store answers %d, the model %d", what, store,
		    model);
}

static void step_create(struct world *w, int branch)
{
	struct cow_name_create how = {.mode = S_IFREG | 0600};
	struct cow_inode *made = NULL;
	struct place p;
	int want, r;

	pick_place(w, branch, &p);
	if (p.name[0] == 'd')
		how.mode = S_IFDIR | 0700;
	if (p.name[0] == 's') {
		how.mode = S_IFLNK | 0777;
		how.target = "f1/../elsewhere";
	}
	world_note(w, "%s: create %s %s", w->b[branch].name, type_name(how.mode), p.name);
	want = model_create(p.mdir, p.name, how.mode, how.target, NULL);
	if (want != -ENOSPC) {
		r = cow_name_create(p.dir, p.name, &how, &made);
		agree(w, "create", r, want);
	}
	cow_inode_put(made);
	cow_inode_put(p.dir);
}

static void step_remove(struct world *w, int branch)
{
	struct place p;
	bool dir;

	pick_place(w, branch, &p);
	dir = world_random(w, 5) == 0 ? p.name[0] != 'd' : p.name[0] == 'd';
	world_note(w, "%s: %s %s", w->b[branch].name, dir ? "rmdir" : "unlink", p.name);
	if (dir)
		agree(w, "rmdir", cow_name_rmdir(p.dir, p.name), model_rmdir(p.mdir, p.name));
	else
		agree(w, "unlink", cow_name_unlink(p.dir, p.name), model_unlink(p.mdir, p.name));
	cow_inode_put(p.dir);
}

static void step_rename(struct world *w, int branch)
{
	static const unsigned kinds[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned flags = kinds[world_random(w, 5)];
	struct place a, b;
	struct model_node *up;
	bool over_ancestor = false;
	int r, want;

	pick_place(w, branch, &a);
	pick_place(w, branch, &b);
	world_note(w, "%s: rename %s to %s flags %u", w->b[branch].name, a.name, b.name, flags);
	for (up = a.mdir; up; up = up->parent)
		over_ancestor |= model_find(b.mdir, b.name) == up;
	want = model_rename(a.mdir, a.name, b.mdir, b.name, flags);
	if (want != -ENOSPC) {
		r = cow_name_rename(a.dir, a.name, b.dir, b.name, flags);
		/* Which of several true reasons comes first is the kernel's affair. */
		if (!(over_ancestor && r < 0 && want < 0))
			agree(w, "rename", r, want);
	}
	cow_inode_put(a.dir);
	cow_inode_put(b.dir);
}

static void step_link(struct world *w, int branch)
{
	struct cow_inode *i = NULL;
	struct model_node *n;
	struct place a, b;
	int r, want;

	pick_place(w, branch, &a);
	pick_place(w, branch, &b);
	n = model_find(a.mdir, a.name);
	r = cow_name_lookup(a.dir, a.name, &i);
	agree(w, "lookup", r, n ? 0 : -ENOENT);
	if (n) {
		world_note(w, "%s: link %s as %s", w->b[branch].name, a.name, b.name);
		want = model_link(n, b.mdir, b.name);
		if (want != -ENOSPC)
			agree(w, "link", cow_name_link(i, b.dir, b.name), want);
	}
	cow_inode_put(i);
	cow_inode_put(a.dir);
	cow_inode_put(b.dir);
}

/* A regular file by name or by an open handle; NULL when luck has it so. */
static struct cow_inode *pick_file(struct world *w, int *branch, struct model_node **mnode,
				   char *what, size_t size)
{
	struct cow_inode *i = NULL;
	struct place p;
	int r;

	if (world_random(w, 3) == 0) {
		struct world_handle *h = &w->h[world_random(w, HANDLES)];

		if (h->i) {
			*branch = h->branch;
			*mnode = h->n;
			snprintf(what, size, "%s: handle %d (inode %llu)", w->b[*branch].name,
				 (int)(h - w->h), (unsigned long long)cow_inode_number(h->i));
			return cow_inode_ref(h->i);
		}
	}
	for (int tries = 0; tries < 6; tries++) {
		pick_place(w, *branch, &p);
		*mnode = model_find(p.mdir, p.name);
		r = cow_name_lookup(p.dir, p.name, &i);
		cow_inode_put(p.dir);
		agree(w, "lookup", r, *mnode ? 0 : -ENOENT);
		if (*mnode && S_ISREG((*mnode)->mode)) {
			snprintf(what, size, "%s: %s (inode %llu)", w->b[*branch].name, p.name,
				 (unsigned long long)cow_inode_number(i));
			return i;
		}
		cow_inode_put(i);
		i = NULL;
	}
	return NULL;
}

/* Near block edges, the chunk edge (block 1,024) and the end of the file. */
static uint64_t pick_offset(struct world *w, const struct model_node *n)
{
	static const uint64_t blocks[] = {0,   0,   1,    2,    3,    5,    8,
					  127, 128, 1022, 1023, 1024, 1025, 2047};
	uint64_t off = blocks[world_random(w, sizeof(blocks) / sizeof(*blocks))] * MODEL_PAGE;

	switch (world_random(w, 6)) {
	case 0:
		return off + world_random(w, MODEL_PAGE);
	case 1:
		return n->size;
	case 2:
		return n->size / MODEL_PAGE * MODEL_PAGE;
	case 3:
		return off + MODEL_PAGE / 2;
	default:
		return off;
	}
}

static size_t pick_length(struct world *w)
{
	switch (world_random(w, 4)) {
	case 0:
		return 1 + world_random(w, WRITE_MAX);
	case 1:
		return MODEL_PAGE / 2;
	case 2:
		return 1 + world_random(w, 100);
	default:
		return MODEL_PAGE * (1 + world_random(w, WRITE_MAX / MODEL_PAGE));
	}
}

static void step_write(struct world *w, struct cow_inode *i, struct model_node *n, const char *what)
{
	uint64_t off = pick_offset(w, n);
	size_t len = pick_length(w);
	unsigned flags = world_random(w, 8) == 0 ? COW_WRITE_DSYNC : 0;
	uint8_t *buf = malloc(len);
	uint64_t word = world_random(w, UINT64_MAX);
	int r;

	for (size_t k = 0; k < len; k++)
		buf[k] = (uint8_t)(word >> k % 8 * 8) ^ (uint8_t)(k / 8);
	if (world_random(w, 6) == 0)
		memset(buf, 0, len); /* zeroes that were written are contents too */
	world_note(w, "%s write %llu+%zu%s", what, (unsigned long long)off, len,
		   flags ? " dsync" : "");
	r = cow_file_write(i, buf, off, len, flags);
	WORLD_CHECK(w, r == 0, "write: %d", r);
	model_write(n, off, buf, len);
	free(buf);
}

static void step_size(struct world *w, struct cow_inode *i, struct model_node *n, const char *what)
{
	struct cow_attr a = {.size = pick_offset(w, n)};
	int r;

	world_note(w, "%s truncate to %llu (from %llu)", what, (unsigned long long)a.size,
		   (unsigned long long)n->size);
	r = cow_inode_set(i, COW_SET_SIZE, &a);
	WORLD_CHECK(w, r == 0, "truncate: %d", r);
	model_truncate(n, a.size);
}

static void step_allocate(struct world *w, struct cow_inode *i, struct model_node *n,
			  const char *what)
{
	static const int modes[] = {0,
				    FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_ZERO_RANGE,
				    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
	int mode = modes[world_random(w, sizeof(modes) / sizeof(*modes))], r;
	uint64_t off = pick_offset(w, n), len = pick_length(w), end = off + len;

	world_note(w, "%s allocate mode %d %llu+%llu", what, mode, (unsigned long long)off,
		   (unsigned long long)len);
	r = cow_file_allocate(i, mode, off, len);
	WORLD_CHECK(w, r == 0, "allocate: %d", r);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > n->size)
		model_truncate(n, end);
	if (mode & ~FALLOC_FL_KEEP_SIZE && off < n->size)
		model_zero(n, off, (end < n->size ? end : n->size) - off);
}

static void step_read(struct world *w, struct cow_inode *i, struct model_node *n, const char *what)
{
	uint64_t off = pick_offset(w, n);
	size_t len = pick_length(w), got = 0, want;
	uint8_t *a = malloc(len), *b = malloc(len);
	int r = cow_file_read(i, a, off, len, &got);

	world_note(w, "%s read %llu+%zu", what, (unsigned long long)off, len);
	WORLD_CHECK(w, r == 0, "read: %d", r);
	want = model_read(n, off, b, len);
	WORLD_CHECK(w, got == want, "read %zu bytes, not %zu", got, want);
	for (size_t k = 0; k < got; k++)
		WORLD_CHECK(w, a[k] == b[k], "byte %llu is %#x, not %#x",
			    (unsigned long long)(off + k), a[k], b[k]);
	free(a);
	free(b);
}

static void step_handle(struct world *w, int branch)
{
	struct world_handle *h = &w->h[world_random(w, HANDLES)];
	char what[100];
	int r;

	if (h->i) {
		world_note(w, "%s: close handle %d", w->b[h->branch].name, (int)(h - w->h));
		cow_inode_close(h->i, true);
		cow_inode_put(h->i);
		model_put(h->n);
		h->i = NULL;
		return;
	}
	h->i = pick_file(w, &branch, &h->n, what, sizeof(what));
	if (!h->i)
		return;
	world_note(w, "%s open as handle %d", what, (int)(h - w->h));
	r = cow_inode_open(h->i, true);
	WORLD_CHECK(w, r == 0, "open: %d", r);
	h->branch = branch;
	model_ref(h->n);
}

static void step_attr(struct world *w, struct cow_inode *i, struct model_node *n, const char *what)
{
	struct cow_attr a = {.mode = 0400 | (uint32_t)world_random(w, 0400)}, got;
	int r;

	world_note(w, "%s chmod %o", what, a.mode);
	r = cow_inode_set(i, COW_SET_MODE, &a);
	WORLD_CHECK(w, r == 0, "chmod: %d", r);
	n->mode = (n->mode & S_IFMT) | a.mode;
	cow_inode_attr(i, &got);
	WORLD_CHECK(w, got.mode == n->mode && got.size == n->size && got.nlink == n->nlink,
		    "mode %o size %llu nlink %u, not %o %llu %u", got.mode,
		    (unsigned long long)got.size, got.nlink, n->mode, (unsigned long long)n->size,
		    n->nlink);
}

static void step_sync(struct world *w, struct cow_inode *i, struct model_node *n, const char *what)
{
	bool data = world_random(w, 2);
	int r;

	world_note(w, "%s %s", what, data ? "fdatasync" : "fsync");
	r = cow_file_sync(i, data);
	WORLD_CHECK(w, r == 0, "sync: %d", r);
}

void world_file_step(struct world *w)
{
	static void (*const on_file[])(struct world *, struct cow_inode *, struct model_node *,
				       const char *) = {
	    step_write, step_write,    step_write, step_write, step_write, step_size,
	    step_size,  step_allocate, step_read,  step_attr,  step_sync,  step_allocate};
	static void (*const on_names[])(struct world *,
					int) = {step_create, step_create, step_create, step_remove,
						step_rename, step_link,   step_handle, step_handle};
	int branch = world_pick_branch(w);
	struct model_node *n = NULL;
	struct cow_inode *i;
	char what[100];

	if (world_random(w, 3) == 0) {
		on_names[world_random(w, sizeof(on_names) / sizeof(*on_names))](w, branch);
		return;
	}
	i = pick_file(w, &branch, &n, what, sizeof(what));
	if (!i) {
		step_create(w, branch);
		return;
	}
	on_file[world_random(w, sizeof(on_file) / sizeof(*on_file))](w, i, n, what);
	cow_inode_put(i);
}
