// SPDX-License-Identifier: Apache-2.0
/* model_compare: is what the store shows what the model holds? Names, kinds, modes, links, sizes,
 * bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/model_world.h"

/* Which inode a node was found to be, so that two names of one file are one file in both. */
struct pairs {
	struct {
		uint64_t ino;
		const struct model_node *n;
	} of[256];
	unsigned n;
};

struct names {
	char name[2 * MODEL_ENTRIES][COW_NAME_MAX + 1];
	uint32_t type[2 * MODEL_ENTRIES];
	unsigned n;
};

static int add_name(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct names *all = arg;

	if (all->n == 2 * MODEL_ENTRIES)
		return 1;
	snprintf(all->name[all->n], sizeof(all->name[0]), "%s", name);
	all->type[all->n++] = type;
	return 0;
}

static void compare_bytes(struct world *w, struct cow_inode *i, const struct model_node *n,
			  const char *path)
{
	size_t size = 256 * 1024, got, want;
	uint8_t *a = malloc(size), *b = malloc(size);

	for (uint64_t off = 0;; off += size) {
		int r = cow_file_read(i, a, off, size, &got);

		WORLD_CHECK(w, r == 0, "%s: read at %llu: %d", path, (unsigned long long)off, r);
		want = model_read(n, off, b, size);
		WORLD_CHECK(w, got == want, "%s: %zu bytes at %llu, not %zu", path, got,
			    (unsigned long long)off, want);
		for (size_t k = 0; k < got && memcmp(a, b, got) != 0; k++)
			WORLD_CHECK(w, a[k] == b[k], "%s: byte %llu (block %llu) is %#x, not %#x",
				    path, (unsigned long long)(off + k),
				    (unsigned long long)((off + k) / MODEL_PAGE), a[k], b[k]);
		if (got < size)
			break;
	}
	free(a);
	free(b);
}

static void check_pair(struct world *w, struct pairs *p, uint64_t ino, const struct model_node *n,
		       const char *path)
{
	for (unsigned k = 0; k < p->n; k++)
		WORLD_CHECK(w, (p->of[k].ino == ino) == (p->of[k].n == n),
			    "%s: inode %llu is not the same file in both", path,
			    (unsigned long long)ino);
	if (p->n < sizeof(p->of) / sizeof(*p->of)) {
		p->of[p->n].ino = ino;
		p->of[p->n++].n = n;
	}
}

static void compare_node(struct world *w, struct cow_inode *i, const struct model_node *n,
			 const char *path, struct pairs *p);

static void compare_dir(struct world *w, struct cow_inode *dir, const struct model_node *n,
			const char *path, struct pairs *p)
{
	struct names all = {.n = 0};
	int r = cow_name_each(dir, add_name, &all);

	WORLD_CHECK(w, r == 0, "%s: listing: %d", path, r);
	for (unsigned k = 0; k < all.n; k++) {
		const struct model_node *c = model_find(n, all.name[k]);

		WORLD_CHECK(w, c, "%s/%s should not be there", path, all.name[k]);
		WORLD_CHECK(w, all.type[k] == (c->mode & S_IFMT), "%s/%s has the wrong type", path,
			    all.name[k]);
	}
	WORLD_CHECK(w, all.n == model_dir_count(n), "%s lists %u names, not %u", path, all.n,
		    model_dir_count(n));
	for (int k = 0; k < MODEL_ENTRIES; k++) {
		struct cow_inode *i = NULL;
		char sub[500];

		if (!n->entry[k].node)
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, n->entry[k].name);
		r = cow_name_lookup(dir, n->entry[k].name, &i);
		WORLD_CHECK(w, r == 0, "%s is missing: %d", sub, r);
		compare_node(w, i, n->entry[k].node, sub, p);
		cow_inode_put(i);
	}
}

static void compare_node(struct world *w, struct cow_inode *i, const struct model_node *n,
			 const char *path, struct pairs *p)
{
	struct cow_attr a;

	cow_inode_attr(i, &a);
	WORLD_CHECK(w, a.mode == n->mode, "%s: mode %o, not %o", path, a.mode, n->mode);
	check_pair(w, p, a.ino, n, path);
	if (S_ISDIR(n->mode)) {
		compare_dir(w, i, n, path, p);
		return;
	}
	WORLD_CHECK(w, a.nlink == n->nlink, "%s: nlink %u, not %u", path, a.nlink, n->nlink);
	WORLD_CHECK(w, a.size == n->size, "%s: %llu bytes, not %llu", path,
		    (unsigned long long)a.size, (unsigned long long)n->size);
	if (S_ISLNK(n->mode)) {
		char buf[100];
		size_t len = 0;
		int r = cow_name_readlink(i, buf, sizeof(buf), &len);

		WORLD_CHECK(w, r == 0 && len == n->size && memcmp(buf, n->target, len) == 0,
			    "%s: target differs (%d)", path, r);
	} else {
		compare_bytes(w, i, n, path);
	}
}

static void compare_live(struct world *w, struct cow_live *l, const struct model *m,
			 const char *name)
{
	struct cow_inode *root = NULL;
	struct pairs p = {.n = 0};
	int r = cow_inode_get(l, cow_live_root(l), &root);

	WORLD_CHECK(w, r == 0, "root of %s: %d", name, r);
	compare_node(w, root, m->root, name, &p);
	cow_inode_put(root);
}

void world_compare_branch(struct world *w, int branch)
{
	compare_live(w, world_live(w, branch), w->b[branch].m, w->b[branch].name);
}

void world_compare(struct world *w)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_live *l = NULL;
	char ref[2 * COW_BRANCH_MAX];
	int r;

	for (int k = 0; k < BRANCHES; k++)
		if (w->b[k].name[0])
			world_compare_branch(w, k);
	for (int k = 0; k < SNAPSHOTS; k++) {
		if (!w->s[k].name[0])
			continue;
		snprintf(ref, sizeof(ref), "%s@%s", w->s[k].branch, w->s[k].name);
		r = cow_live_get_point(w->t.s, ref, &l, &e);
		WORLD_CHECK(w, r == 0, "%s: %d %s", ref, r, e.text);
		compare_live(w, l, w->s[k].m, ref);
		cow_live_put(l);
	}
}
