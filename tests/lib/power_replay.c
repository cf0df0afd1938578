// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power_replay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/power_impl.h"

enum { PAGE = 4096 };

struct replay {
	const struct power_log *l;
	struct power_cut c;
	size_t prefix;   /* of KEEP_PREFIX */
	size_t journal;  /* EXT4: events below it are in the journal on disk */
	size_t all_from; /* bytes of log that a syncfs covered */
	const char *base, *out;
	struct name *names; /* the tree as it comes out */
	size_t n_names;
	bool *
	    blocked; /* STRICT, by object: a change in this directory was lost, so later ones are */
};

struct name {
	char *path;
	uint32_t object;
};

/* What happened to one page of a file. */
struct page {
	size_t durable; /* the last event that is durable on it, + 1 */
	bool stopped;   /* nothing after here reached the disk */
};

static bool in_cut(const struct replay *r, uint32_t k)
{
	return k < r->c.events;
}

/* Events of this object at or below this place in the log are covered by a finished sync. */
static size_t covered_to(const struct replay *r, uint32_t object, bool full)
{
	const struct power_object *o = &r->l->objects[object];
	size_t to = r->all_from;

	for (size_t k = 0; k < o->n_ops && in_cut(r, o->ops[k]); k++) {
		const struct power_item *i = &r->l->items[o->ops[k]];
		bool dsync = i->e->op == POWER_WRITE && i->e->flags;

		if (i->object != object)
			continue;
		if (i->e->op == POWER_SYNC && (!full || !(i->e->flags & 1)) && i->e->start > to)
			to = i->e->start;
		/* It takes what the file needs to find the bytes along, its size for one. */
		else if (dsync && !full && i->at > to)
			to = i->at;
	}
	return to;
}

/* Place in the log up to which the file's own shape (size, punches) is durable. */
static bool is_shape(const struct power_item *i)
{
	return i->e->op == POWER_TRUNCATE || i->e->op == POWER_PUNCH ||
	       i->e->op == POWER_ALLOCATE || (i->e->op == POWER_WRITE && i->grows);
}

/* EXT4: where the journal on disk ends at least. */
static size_t journal_least(const struct replay *r)
{
	size_t least = 0;

	for (uint32_t n = 1; n < r->l->n_objects; n++) {
		const struct power_object *o = &r->l->objects[n];
		size_t any = covered_to(r, n, true), data = covered_to(r, n, false);

		for (size_t k = 0; k < o->n_ops && in_cut(r, o->ops[k]); k++) {
			const struct power_item *i = &r->l->items[o->ops[k]];
			bool name = i->e->op >= POWER_CREATE && i->e->op <= POWER_LINK;
			/* fdatasync takes the creation along, for the data need it, but no other
			 * name. */
			size_t to = is_shape(i) || (i->e->op == POWER_CREATE && i->object == n)
					? data
					: any;

			if ((name || is_shape(i)) && i->at < (to > any ? to : any) &&
			    o->ops[k] + 1 > least)
				least = o->ops[k] + 1;
		}
	}
	for (size_t k = 0; k < r->c.events && r->l->items[k].at < r->all_from; k++)
		least = k + 1 > least ? k + 1 : least;
	return least;
}

static bool coin(struct replay *r, unsigned percent)
{
	return power_random(&r->c.seed) % 100 < percent;
}

/* --- names --- */

static struct name *name_at(struct replay *r, const char *path, size_t len)
{
	for (size_t k = 0; k < r->n_names; k++)
		if (strncmp(r->names[k].path, path, len) == 0 && r->names[k].path[len] == '\0')
			return &r->names[k];
	r->names[r->n_names] = (struct name){.path = strndup(path, len)};
	return &r->names[r->n_names++];
}

static bool name_durable(const struct replay *r, const struct power_item *i)
{
	return i->at < covered_to(r, i->dir, true) &&
	       (!i->dir2 || i->dir2 == i->dir || i->at < covered_to(r, i->dir2, true));
}

static bool name_kept(struct replay *r, size_t k)
{
	const struct power_item *i = &r->l->items[k];

	if (i->e->op == POWER_BASE)
		return true;
	if (r->c.model == POWER_EXT4)
		return k < r->journal;
	if (name_durable(r, i))
		return true;
	if (r->blocked[i->dir] || (i->dir2 && r->blocked[i->dir2]))
		return false;
	switch (r->c.loss) {
	case POWER_KEEP_ALL:
		return true;
	case POWER_KEEP_NONE:
		return false;
	case POWER_KEEP_PREFIX:
		return k < r->prefix;
	default:
		return coin(r, 70);
	}
}

static void replay_name(struct replay *r, size_t k)
{
	const struct power_item *i = &r->l->items[k];
	bool two = i->e->op == POWER_RENAME || i->e->op == POWER_LINK;
	/* Room for both first: the first pointer would not survive a move of the array. */
	size_t a = (size_t)(name_at(r, i->path, i->e->path_len) - r->names);
	size_t b = two ? (size_t)(name_at(r, i->path2, i->e->path2_len) - r->names) : a;
	struct name *from = &r->names[a], *to = two ? &r->names[b] : NULL;

	if (!name_kept(r, k)) {
		r->blocked[i->dir] = true;
		r->blocked[i->dir2] = i->dir2 != 0;
		return;
	}
	switch (i->e->op) {
	case POWER_UNLINK:
		from->object = 0;
		break;
	case POWER_RENAME:
		to->object = i->object;
		from->object = i->object2;
		break;
	case POWER_LINK:
		to->object = i->object;
		break;
	default:
		from->object = i->object;
	}
}

/* --- contents --- */

struct contents {
	struct replay *r;
	const struct power_object *o;
	int fd;
	size_t data_to, shape_to; /* bytes of log: covered; below is durable */
	size_t shape_events;      /* events below it: this shape is there */
	bool keep_file;           /* KEEP_FILES */
	struct page *pages;
	size_t n_pages;
	uint64_t size;
};

static bool shape_kept(const struct contents *f, size_t k)
{
	return k < f->shape_events || f->r->l->items[k].at < f->shape_to;
}

/* Bytes [lo, hi) of one page: is this write of it on the disk? */
static bool page_kept(struct contents *f, size_t k, struct page *p)
{
	struct replay *r = f->r;
	bool kept;

	if (k < p->durable)
		return true;
	if (p->stopped)
		return false;
	switch (r->c.loss) {
	case POWER_KEEP_ALL:
		kept = true;
		break;
	case POWER_KEEP_NONE:
		kept = false;
		break;
	case POWER_KEEP_PREFIX:
		kept = k < r->prefix;
		break;
	case POWER_KEEP_FILES:
		kept = f->keep_file;
		break;
	default:
		kept = coin(r, 60);
	}
	p->stopped = !kept;
	return kept;
}

static int put(struct contents *f, const uint8_t *data, uint64_t off, uint64_t len)
{
	if (pwrite(f->fd, data, len, (off_t)off) != (ssize_t)len)
		return -EIO;
	f->size = off + len > f->size ? off + len : f->size;
	return 0;
}

static int replay_write(struct contents *f, size_t k)
{
	const struct power_item *i = &f->r->l->items[k];
	uint64_t off = i->e->off, end = off + i->e->len, run = off;
	int r = 0;

	/* Runs of pages that were kept are one host write. */
	for (uint64_t at = off; r == 0 && at < end;) {
		uint64_t next = (at / PAGE + 1) * PAGE;

		next = next < end ? next : end;
		if (!page_kept(f, k, &f->pages[at / PAGE])) {
			if (at > run)
				r = put(f, i->data + (run - off), run, at - run);
			run = next;
		}
		at = next;
	}
	if (r == 0 && end > run)
		r = put(f, i->data + (run - off), run, end - run);
	return r;
}

static int replay_shape(struct contents *f, size_t k)
{
	const struct power_event *e = f->r->l->items[k].e;
	uint64_t first = e->off / PAGE,
		 last = e->op == POWER_TRUNCATE ? f->n_pages : (e->off + e->len + PAGE - 1) / PAGE;
	bool kept = shape_kept(f, k);

	for (uint64_t p = first; p < last && p < f->n_pages && e->op != POWER_ALLOCATE; p++) {
		if (!kept && k >= f->pages[p].durable)
			f->pages[p].stopped =
			    true; /* what was written into the new space is not reachable */
		else if (kept && p * PAGE >= e->off &&
			 (p + 1) * PAGE <= e->off + (e->op == POWER_TRUNCATE ? UINT32_MAX : e->len))
			f->pages[p].stopped = false; /* it begins anew */
	}
	if (!kept)
		return 0;
	if (e->op == POWER_TRUNCATE) {
		f->size = e->off;
		return ftruncate(f->fd, (off_t)e->off) < 0 ? -errno : 0;
	}
	if (e->op == POWER_PUNCH && fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					      (off_t)e->off, (off_t)e->len) < 0)
		return -errno;
	if (e->flags && e->off + e->len > f->size) {
		f->size = e->off + e->len;
		return ftruncate(f->fd, (off_t)f->size) < 0 ? -errno : 0;
	}
	return 0;
}

/* First pass: how many pages there are, and what of each is durable. */
static int look_at_pages(struct contents *f)
{
	const struct power_log *l = f->r->l;
	uint64_t end = 0;

	for (size_t k = 0; k < f->o->n_ops && in_cut(f->r, f->o->ops[k]); k++) {
		const struct power_item *i = &l->items[f->o->ops[k]];

		if (i->e->op == POWER_WRITE && i->e->off + i->e->len > end)
			end = i->e->off + i->e->len;
	}
	f->n_pages = (size_t)((end + PAGE - 1) / PAGE);
	f->pages = calloc(f->n_pages + 1, sizeof(*f->pages));
	if (!f->pages)
		return -ENOMEM;
	for (size_t k = 0; k < f->o->n_ops && in_cut(f->r, f->o->ops[k]); k++) {
		const struct power_item *i = &l->items[f->o->ops[k]];

		if (i->e->op != POWER_WRITE || !i->e->len || (!i->e->flags && i->at >= f->data_to))
			continue;
		for (uint64_t p = i->e->off / PAGE; p <= (i->e->off + i->e->len - 1) / PAGE; p++)
			f->pages[p].durable = f->o->ops[k] + 1;
	}
	return 0;
}

static int copy_base(struct contents *f)
{
	char path[4300], buf[65536];
	int from;
	ssize_t n;

	if (!f->o->base || !f->r->base)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", f->r->base, f->o->base);
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return errno == ENOENT ? 0 : -errno; /* RocksDB's text logs come and go */
	while ((n = read(from, buf, sizeof(buf))) > 0) {
		if (write(f->fd, buf, (size_t)n) != n) {
			n = -1;
			break;
		}
		f->size += (uint64_t)n;
	}
	close(from);
	return n < 0 ? -EIO : 0;
}

/* STRICT: a size may be on the disk before the bytes it is for. */
static int grow_empty(struct contents *f)
{
	uint64_t size = 0;

	if (f->r->c.model != POWER_STRICT || f->r->c.loss < POWER_KEEP_PAGES || !coin(f->r, 25))
		return 0;
	for (size_t k = 0; k < f->o->n_ops && in_cut(f->r, f->o->ops[k]); k++) {
		const struct power_item *i = &f->r->l->items[f->o->ops[k]];

		if (is_shape(i))
			size = shape_kept(f, f->o->ops[k]) || i->grows ? i->size : size;
	}
	return size > f->size && ftruncate(f->fd, (off_t)size) < 0 ? -errno : 0;
}

static size_t shape_events(struct replay *r, bool keep_file)
{
	if (r->c.model == POWER_EXT4)
		return r->journal;
	switch (r->c.loss) {
	case POWER_KEEP_ALL:
		return r->c.events;
	case POWER_KEEP_NONE:
		return 0;
	case POWER_KEEP_PREFIX:
		return r->prefix;
	case POWER_KEEP_FILES:
		return keep_file ? r->c.events : 0;
	default:
		return r->c.events ? power_random(&r->c.seed) % (r->c.events + 1) : 0;
	}
}

static int make_file(struct replay *r, uint32_t object, const char *path)
{
	struct contents f = {.r = r, .o = &r->l->objects[object]};
	int rc;

	f.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f.fd < 0)
		return -errno;
	f.keep_file = coin(r, 50);
	f.data_to = f.shape_to = covered_to(r, object, false);
	f.shape_events = shape_events(r, f.keep_file);
	rc = copy_base(&f);
	if (rc == 0)
		rc = look_at_pages(&f);
	for (size_t k = 0; rc == 0 && k < f.o->n_ops && in_cut(r, f.o->ops[k]); k++) {
		const struct power_item *i = &r->l->items[f.o->ops[k]];

		if (i->object != object)
			continue;
		if (i->e->op == POWER_WRITE)
			rc = replay_write(&f, f.o->ops[k]);
		else if (i->e->op >= POWER_TRUNCATE && i->e->op <= POWER_ALLOCATE)
			rc = replay_shape(&f, f.o->ops[k]);
	}
	if (rc == 0)
		rc = grow_empty(&f);
	free(f.pages);
	close(f.fd);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

static int make_tree(struct replay *r)
{
	int rc = mkdir(r->out, 0700) < 0 ? -errno : 0;

	qsort(r->names, r->n_names, sizeof(*r->names), by_path);
	for (size_t k = 0; rc == 0 && k < r->n_names; k++) {
		char path[4300];
		struct name *n = &r->names[k];

		if (!n->object || !n->path[0])
			continue;
		snprintf(path, sizeof(path), "%s/%s", r->out, n->path);
		if (r->l->objects[n->object].dir)
			rc = mkdir(path, 0700) < 0 ? -errno : 0;
		else
			rc = make_file(r, n->object, path);
		if (rc == -ENOENT)
			rc = 0; /* the directory above it was lost, and it with it */
		if (rc < 0)
			fprintf(stderr, "power_replay: %s: %s\n", path, strerror(-rc));
	}
	return rc;
}

static void choose(struct replay *r)
{
	const struct power_object *all = &r->l->objects[0];
	size_t least;

	for (size_t k = 0; k < all->n_ops && in_cut(r, all->ops[k]); k++)
		if (r->l->items[all->ops[k]].e->start > r->all_from)
			r->all_from = r->l->items[all->ops[k]].e->start;
	r->prefix = power_random(&r->c.seed) % (r->c.events + 1);
	if (r->c.model != POWER_EXT4)
		return;
	least = journal_least(r);
	switch (r->c.loss) {
	case POWER_KEEP_ALL:
		r->journal = r->c.events;
		break;
	case POWER_KEEP_NONE:
		r->journal = least;
		break;
	case POWER_KEEP_PREFIX:
		r->journal = r->prefix > least ? r->prefix : least;
		break;
	default:
		r->journal = least + power_random(&r->c.seed) % (r->c.events - least + 1);
	}
}

int power_replay(const struct power_log *l, const struct power_cut *c, const char *base,
		 const char *out)
{
	struct replay r = {.l = l, .c = *c, .base = base, .out = out};
	size_t n = 0;
	int rc;

	r.c.events = c->events < l->n ? c->events : l->n;
	choose(&r);
	for (size_t k = 0; k < l->n; k++)
		n += l->items[k].e->op <= POWER_LINK;
	r.names = calloc(2 * n + 1, sizeof(*r.names));
	r.blocked = calloc(l->n_objects, sizeof(*r.blocked));
	if (!r.names || !r.blocked)
		return -ENOMEM;
	for (size_t k = 0; k < r.c.events; k++)
		if (l->items[k].e->op <= POWER_LINK)
			replay_name(&r, k);
	rc = make_tree(&r);
	for (size_t k = 0; k < r.n_names; k++)
		free(r.names[k].path);
	free(r.names);
	free(r.blocked);
	return rc;
}
