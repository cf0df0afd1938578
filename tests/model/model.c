// SPDX-License-Identifier: Apache-2.0
/* model: pages of bytes and small directories; everything is copied, nothing is shared. */
#include "tests/model/model.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct model_node *node_new(uint32_t mode)
{
	struct model_node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->mode = mode;
	n->refs = 1;
	n->nlink = 1;
	return n;
}

struct model_node *model_ref(struct model_node *n)
{
	n->refs++;
	return n;
}

void model_put(struct model_node *n)
{
	if (!n || --n->refs)
		return;
	for (size_t k = 0; k < n->n_pages; k++)
		free(n->page[k]);
	free(n->page);
	free(n->target);
	free(n);
}

/* Gives up the tree below a directory: one reference for each name. */
static void tree_put(struct model_node *dir)
{
	for (int k = 0; k < MODEL_ENTRIES; k++) {
		struct model_node *n = dir->entry[k].node;

		if (!n)
			continue;
		if (S_ISDIR(n->mode))
			tree_put(n);
		dir->entry[k].node = NULL;
		model_put(n);
	}
}

struct model *model_new(uint32_t root_mode)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->root = node_new(root_mode);
	return m;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	tree_put(m->root);
	model_put(m->root);
	free(m);
}

static struct model_node *node_copy(struct model_node *n)
{
	struct model_node *c;

	if (n->copy)
		return model_ref(n->copy); /* a second name of the same file */
	c = node_new(n->mode);
	n->copy = c;
	c->nlink = n->nlink;
	c->size = n->size;
	c->n_pages = n->n_pages;
	c->page = calloc(n->n_pages ? n->n_pages : 1, sizeof(*c->page));
	c->target = n->target ? strdup(n->target) : NULL;
	for (size_t k = 0; k < n->n_pages; k++) {
		if (!n->page[k])
			continue;
		c->page[k] = malloc(MODEL_PAGE);
		memcpy(c->page[k], n->page[k], MODEL_PAGE);
	}
	for (int k = 0; k < MODEL_ENTRIES; k++) {
		if (!n->entry[k].node)
			continue;
		strcpy(c->entry[k].name, n->entry[k].name);
		c->entry[k].node = node_copy(n->entry[k].node);
		if (S_ISDIR(n->entry[k].node->mode))
			c->entry[k].node->parent = c;
	}
	return c;
}

static void forget_copies(struct model_node *n)
{
	n->copy = NULL;
	for (int k = 0; k < MODEL_ENTRIES; k++)
		if (n->entry[k].node)
			forget_copies(n->entry[k].node);
}

struct model *model_copy(const struct model *m)
{
	struct model *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->root = node_copy(m->root);
	forget_copies(m->root);
	return c;
}

static uint8_t *page_for_write(struct model_node *f, size_t at)
{
	if (at >= f->n_pages) {
		f->page = realloc(f->page, (at + 1) * sizeof(*f->page));
		memset(f->page + f->n_pages, 0, (at + 1 - f->n_pages) * sizeof(*f->page));
		f->n_pages = at + 1;
	}
	if (!f->page[at])
		f->page[at] = calloc(1, MODEL_PAGE);
	return f->page[at];
}

static size_t step(uint64_t off, uint64_t left)
{
	size_t in = MODEL_PAGE - off % MODEL_PAGE;

	return left < in ? (size_t)left : in;
}

void model_write(struct model_node *f, uint64_t off, const uint8_t *bytes, size_t len)
{
	for (size_t done = 0, n; done < len; done += n) {
		n = step(off + done, len - done);
		memcpy(page_for_write(f, (off + done) / MODEL_PAGE) + (off + done) % MODEL_PAGE,
		       bytes + done, n);
	}
	if (len && off + len > f->size)
		f->size = off + len;
}

void model_zero(struct model_node *f, uint64_t off, uint64_t len)
{
	for (uint64_t done = 0, n; done < len; done += n) {
		size_t at = (off + done) / MODEL_PAGE;

		n = step(off + done, len - done);
		if (at < f->n_pages && f->page[at])
			memset(f->page[at] + (off + done) % MODEL_PAGE, 0, n);
	}
}

void model_truncate(struct model_node *f, uint64_t size)
{
	if (size < f->size)
		model_zero(f, size, f->size - size);
	f->size = size;
}

size_t model_read(const struct model_node *f, uint64_t off, uint8_t *bytes, size_t len)
{
	if (off >= f->size)
		return 0;
	len = len < f->size - off ? len : (size_t)(f->size - off);
	for (size_t done = 0, n; done < len; done += n) {
		size_t at = (off + done) / MODEL_PAGE;

		n = step(off + done, len - done);
		if (at < f->n_pages && f->page[at])
			memcpy(bytes + done, f->page[at] + (off + done) % MODEL_PAGE, n);
		else
			memset(bytes + done, 0, n);
	}
	return len;
}

static int slot_of(const struct model_node *dir, const char *name)
{
	for (int k = 0; k < MODEL_ENTRIES; k++)
		if (dir->entry[k].node && strcmp(dir->entry[k].name, name) == 0)
			return k;
	return -1;
}

static int free_slot(const struct model_node *dir)
{
	for (int k = 0; k < MODEL_ENTRIES; k++)
		if (!dir->entry[k].node)
			return k;
	return -1;
}

struct model_node *model_find(const struct model_node *dir, const char *name)
{
	int k = slot_of(dir, name);

	return k < 0 ? NULL : dir->entry[k].node;
}

bool model_dir_full(const struct model_node *dir)
{
	return free_slot(dir) < 0;
}

unsigned model_dir_count(const struct model_node *dir)
{
	unsigned n = 0;

	for (int k = 0; k < MODEL_ENTRIES; k++)
		n += dir->entry[k].node != NULL;
	return n;
}

static int put_name(struct model_node *dir, const char *name, struct model_node *n)
{
	int k = free_slot(dir);

	if (k < 0)
		return -ENOSPC;
	snprintf(dir->entry[k].name, sizeof(dir->entry[k].name), "%s", name);
	dir->entry[k].node = n;
	if (S_ISDIR(n->mode))
		n->parent = dir;
	return 0;
}

int model_create(struct model_node *dir, const char *name, uint32_t mode, const char *target,
		 struct model_node **ret)
{
	struct model_node *n;
	int r;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (model_find(dir, name))
		return -EEXIST;
	n = node_new(mode);
	if (target) {
		n->target = strdup(target);
		n->size = strlen(target);
	}
	r = put_name(dir, name, n);
	if (r)
		model_put(n);
	else if (ret)
		*ret = n;
	return r;
}

int model_link(struct model_node *n, struct model_node *dir, const char *name)
{
	int r;

	if (S_ISDIR(n->mode))
		return -EPERM;
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (model_find(dir, name))
		return -EEXIST;
	if (n->nlink == 0)
		return -ENOENT;
	r = put_name(dir, name, n);
	if (!r) {
		n->nlink++;
		model_ref(n);
	}
	return r;
}

static void drop_name(struct model_node *dir, const char *name)
{
	int k = slot_of(dir, name);
	struct model_node *n = dir->entry[k].node;

	dir->entry[k].node = NULL;
	n->nlink--;
	model_put(n);
}

int model_unlink(struct model_node *dir, const char *name)
{
	struct model_node *n;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	n = model_find(dir, name);
	if (!n)
		return -ENOENT;
	if (S_ISDIR(n->mode))
		return -EISDIR;
	drop_name(dir, name);
	return 0;
}

int model_rmdir(struct model_node *dir, const char *name)
{
	struct model_node *n;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	n = model_find(dir, name);
	if (!n)
		return -ENOENT;
	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	if (model_dir_count(n))
		return -ENOTEMPTY;
	drop_name(dir, name);
	return 0;
}

static bool is_at_or_below(const struct model_node *n, const struct model_node *top)
{
	for (; n; n = n->parent)
		if (n == top)
			return true;
	return false;
}

static int rename_check(struct model_node *from_dir, struct model_node *n,
			struct model_node *to_dir, struct model_node *over, unsigned flags)
{
	if (!n)
		return -ENOENT;
	if (flags == RENAME_NOREPLACE && over)
		return -EEXIST;
	if (flags == RENAME_EXCHANGE && !over)
		return -ENOENT;
	if (S_ISDIR(n->mode) && is_at_or_below(to_dir, n))
		return -EINVAL;
	if (flags == RENAME_EXCHANGE)
		return S_ISDIR(over->mode) && is_at_or_below(from_dir, over) ? -EINVAL : 0;
	if (!over || over == n)
		return 0;
	if (S_ISDIR(over->mode) && is_at_or_below(from_dir, over))
		return -ENOTEMPTY;
	if (S_ISDIR(n->mode) && !S_ISDIR(over->mode))
		return -ENOTDIR;
	if (!S_ISDIR(n->mode) && S_ISDIR(over->mode))
		return -EISDIR;
	if (S_ISDIR(over->mode) && model_dir_count(over))
		return -ENOTEMPTY;
	return 0;
}

int model_rename(struct model_node *from_dir, const char *from, struct model_node *to_dir,
		 const char *to, unsigned flags)
{
	struct model_node *n, *over;
	int a, b, r;

	if (!S_ISDIR(from_dir->mode) || !S_ISDIR(to_dir->mode))
		return -ENOTDIR;
	n = model_find(from_dir, from);
	over = model_find(to_dir, to);
	r = rename_check(from_dir, n, to_dir, over, flags);
	if (r || n == over)
		return r;
	if (flags == RENAME_EXCHANGE) {
		a = slot_of(from_dir, from);
		b = slot_of(to_dir, to);
		from_dir->entry[a].node = over;
		to_dir->entry[b].node = n;
		if (S_ISDIR(over->mode))
			over->parent = from_dir;
		if (S_ISDIR(n->mode))
			n->parent = to_dir;
		return 0;
	}
	if (!over && from_dir != to_dir && model_dir_full(to_dir))
		return -ENOSPC;
	if (over)
		drop_name(to_dir, to);
	from_dir->entry[slot_of(from_dir, from)].node = NULL;
	return put_name(to_dir, to, n);
}

static uint64_t bytes_below(struct model_node *n)
{
	uint64_t sum = 0;

	if (n->copy)
		return 0;
	n->copy = n; /* a mark, so that a second name counts nothing */
	if (S_ISREG(n->mode))
		sum = n->size;
	for (int k = 0; k < MODEL_ENTRIES; k++)
		if (n->entry[k].node)
			sum += bytes_below(n->entry[k].node);
	return sum;
}

uint64_t model_bytes(const struct model *m)
{
	uint64_t sum = bytes_below(m->root);

	forget_copies(m->root);
	return sum;
}
