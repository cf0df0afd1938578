// SPDX-License-Identifier: Apache-2.0
/* power_log: reading a log, and the objects behind its numbers and names. */
#include "tests/lib/power_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/power_impl.h"

uint64_t power_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint32_t new_object(struct power_log *l, bool dir, const char *base, size_t at)
{
	struct power_object *o;

	if (l->n_objects == l->cap_objects) {
		l->cap_objects = l->cap_objects ? 2 * l->cap_objects : 256;
		l->objects = realloc(l->objects, l->cap_objects * sizeof(*l->objects));
	}
	o = &l->objects[l->n_objects];
	*o = (struct power_object){.dir = dir, .born = at, .base = base ? strdup(base) : NULL};
	return l->n_objects++;
}

/* inode number -> newest object with it */
static uint32_t *slot(struct power_log *l, uint64_t ino)
{
	for (uint64_t h = ino * 0x9e3779b97f4a7c15u >> 44;; h++) {
		struct power_bind *b = &l->binds[h & (POWER_BINDS - 1)];

		if (b->ino == ino || b->ino == 0) {
			b->ino = ino;
			return &b->object;
		}
	}
}

static struct power_name *find(struct power_log *l, const char *path, size_t len)
{
	for (size_t k = l->n_names; k-- > 0;)
		if (l->names[k].object && l->names[k].len == len &&
		    memcmp(l->names[k].path, path, len) == 0)
			return &l->names[k];
	return NULL;
}

static uint32_t object_at(struct power_log *l, const char *path, size_t len)
{
	struct power_name *n = find(l, path, len);

	return n ? n->object : 0;
}

static uint32_t dir_of(struct power_log *l, const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return object_at(l, path, len ? len - 1 : 0);
}

static void set_name(struct power_log *l, const char *path, size_t len, uint32_t object)
{
	struct power_name *n = find(l, path, len);

	if (!n && !object)
		return;
	if (!n) {
		if (l->n_names == l->cap_names) {
			l->cap_names = l->cap_names ? 2 * l->cap_names : 256;
			l->names = realloc(l->names, l->cap_names * sizeof(*l->names));
		}
		n = &l->names[l->n_names++];
	}
	*n = (struct power_name){path, len, object};
	if (!object)
		*n = l->names[--l->n_names];
}

static void add_op(struct power_log *l, uint32_t object, size_t k)
{
	struct power_object *o = &l->objects[object];

	if (o->n_ops == o->cap_ops) {
		o->cap_ops = o->cap_ops ? 2 * o->cap_ops : 8;
		o->ops = realloc(o->ops, o->cap_ops * sizeof(*o->ops));
	}
	o->ops[o->n_ops++] = (uint32_t)k;
}

static void index_name(struct power_log *l, size_t k)
{
	struct power_item *i = &l->items[k];
	const struct power_event *e = i->e;
	uint32_t other;

	i->dir = dir_of(l, i->path, e->path_len);
	switch (e->op) {
	case POWER_BASE:
	case POWER_CREATE:
	case POWER_MKDIR: {
		char *base = e->op == POWER_BASE ? strndup(i->path, e->path_len) : NULL;

		i->object = new_object(l, e->op == POWER_MKDIR || e->len, base, k);
		free(base);
		l->objects[i->object].size = e->off;
		*slot(l, e->ino) = i->object;
		set_name(l, i->path, e->path_len, i->object);
		break;
	}
	case POWER_UNLINK:
		i->object = object_at(l, i->path, e->path_len);
		set_name(l, i->path, e->path_len, 0);
		break;
	case POWER_LINK:
		i->object = object_at(l, i->path, e->path_len);
		i->dir2 = dir_of(l, i->path2, e->path2_len);
		set_name(l, i->path2, e->path2_len, i->object);
		break;
	case POWER_RENAME:
		i->object = object_at(l, i->path, e->path_len);
		i->dir2 = dir_of(l, i->path2, e->path2_len);
		other = object_at(l, i->path2, e->path2_len);
		set_name(l, i->path, e->path_len, e->flags ? other : 0);
		set_name(l, i->path2, e->path2_len, i->object);
		i->object2 = e->flags ? other : 0;
		break;
	}
	if (e->op != POWER_BASE) {
		add_op(l, i->object, k);
		add_op(l, i->dir, k);
		if (i->dir2 && i->dir2 != i->dir)
			add_op(l, i->dir2, k);
	}
}

static void index_data(struct power_log *l, size_t k)
{
	struct power_item *i = &l->items[k];
	struct power_object *o;

	i->object = *slot(l, i->e->ino);
	add_op(l, i->object, k);
	o = &l->objects[i->object];
	/* Growing is a change of the inode; other writes are only of its bytes. */
	if (i->e->op == POWER_TRUNCATE)
		o->size = i->e->off;
	else if (i->e->op == POWER_WRITE || i->e->flags) {
		i->grows = i->e->off + i->e->len > o->size;
		o->size = i->grows ? i->e->off + i->e->len : o->size;
	}
	i->size = o->size;
}

static bool add_event(struct power_log *l, size_t at)
{
	const struct power_event *e = (const void *)(l->bytes + at);
	size_t whole;

	if (at + sizeof(*e) > l->len || e->magic != POWER_MAGIC)
		return false;
	whole = sizeof(*e) + e->path_len + e->path2_len + e->data_len;
	if (at + whole > l->len)
		return false;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 4096;
		l->items = realloc(l->items, l->cap * sizeof(*l->items));
	}
	l->items[l->n] = (struct power_item){
	    .at = at,
	    .next = at + whole,
	    .e = e,
	    .path = (const char *)(e + 1),
	    .path2 = (const char *)(e + 1) + e->path_len,
	    .data = (const uint8_t *)(e + 1) + e->path_len + e->path2_len,
	};
	if (e->op <= POWER_LINK)
		index_name(l, l->n);
	else if (e->op <= POWER_SYNC)
		index_data(l, l->n);
	else if (e->op == POWER_SYNCFS)
		add_op(l, 0, l->n);
	l->n++;
	return true;
}

struct power_log *power_log_open(const char *path)
{
	struct power_log *l = calloc(1, sizeof(*l));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		free(l);
		return NULL;
	}
	l->len = (size_t)st.st_size;
	l->bytes = l->len ? mmap(NULL, l->len, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	close(fd);
	l->binds = calloc(POWER_BINDS, sizeof(*l->binds));
	new_object(l, false, NULL, 0); /* 0: nobody */
	for (size_t at = 0; add_event(l, at);)
		at = l->items[l->n - 1].next;
	l->end = l->n ? l->items[l->n - 1].next : 0;
	if (l->end != l->len)
		fprintf(stderr, "%s: %zu bytes after event %zu are no event\n", path,
			l->len - l->end, l->n);
	return l;
}

void power_log_close(struct power_log *l)
{
	for (uint32_t k = 0; k < l->n_objects; k++) {
		free(l->objects[k].ops);
		free(l->objects[k].base);
	}
	if (l->bytes)
		munmap((void *)l->bytes, l->len);
	free(l->objects);
	free(l->names);
	free(l->binds);
	free(l->items);
	free(l);
}

size_t power_log_count(const struct power_log *l)
{
	return l->n;
}

const struct power_event *power_log_event(const struct power_log *l, size_t k)
{
	return l->items[k].e;
}

const uint8_t *power_log_data(const struct power_log *l, size_t k)
{
	return l->items[k].data;
}

void power_log_print(const struct power_log *l, size_t first, size_t n)
{
	static const char *const names[] = {"?",        "base", "create", "mkdir",    "unlink",
					    "rename",   "link", "write",  "truncate", "punch",
					    "allocate", "sync", "syncfs", "mark"};

	for (size_t k = first; k < first + n && k < l->n; k++) {
		const struct power_item *i = &l->items[k];
		size_t mark = i->e->op == POWER_MARK ? (size_t)i->e->data_len : 0;

		fprintf(stderr,
			"%5zu %-8s object %u ino %llu off %llu len %llu flags %u start %llu at %zu "
			"%.*s %.*s %.*s\n",
			k, names[i->e->op <= POWER_MARK ? i->e->op : 0], i->object,
			(unsigned long long)i->e->ino, (unsigned long long)i->e->off,
			(unsigned long long)i->e->len, i->e->flags, (unsigned long long)i->e->start,
			i->at, (int)i->e->path_len, i->path, (int)i->e->path2_len, i->path2,
			(int)mark, (const char *)i->data);
	}
}
