// SPDX-License-Identifier: Apache-2.0
/* branchdirs: a sorted array of branch names. A directory of the mount is the range of names that
 * begin with its path and a slash; nothing else is stored for it, so it cannot outlive its
 * branches. */
#include "fs/branchdirs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/log.h"

struct item {
	char *name;
	uint64_t incarnation;
};

struct cow_branchdirs {
	pthread_rwlock_t lock;
	struct item *items; /* lock; by strcmp */
	size_t n, cap;
};

cow_errno cow_branchdirs_new(struct cow_branchdirs **ret)
{
	struct cow_branchdirs *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	pthread_rwlock_init(&d->lock, NULL);
	*ret = d;
	return 0;
}

void cow_branchdirs_free(struct cow_branchdirs *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		free(d->items[i].name);
	free(d->items);
	pthread_rwlock_destroy(&d->lock);
	free(d);
}

/* Index of the first name that is not before `name`. Lock held. */
static size_t lower_bound(const struct cow_branchdirs *d, const char *name)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(d->items[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Lock held exclusively. */
static cow_errno put(struct cow_branchdirs *d, const char *name, uint64_t incarnation)
{
	size_t at = lower_bound(d, name);
	char *copy;

	if (at < d->n && strcmp(d->items[at].name, name) == 0) {
		d->items[at].incarnation = incarnation;
		return 0;
	}
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		struct item *more = realloc(d->items, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		d->items = more;
		d->cap = cap;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	memmove(&d->items[at + 1], &d->items[at], (d->n - at) * sizeof(*d->items));
	d->items[at] = (struct item){copy, incarnation};
	d->n++;
	return 0;
}

/* Lock held exclusively. */
static void drop(struct cow_branchdirs *d, const char *name)
{
	size_t at = lower_bound(d, name);

	if (at == d->n || strcmp(d->items[at].name, name) != 0)
		return;
	free(d->items[at].name);
	d->n--;
	memmove(&d->items[at], &d->items[at + 1], (d->n - at) * sizeof(*d->items));
}

static int load_one(const struct cow_branch_info *b, void *arg)
{
	struct cow_branchdirs *d = arg;
	WITH_EXCLUSIVE(&d->lock);

	return put(d, b->name, b->incarnation);
}

cow_errno cow_branchdirs_load(struct cow_branchdirs *d, struct cow_store *s)
{
	return cow_branch_each(s, load_one, d);
}

/* Lock held. */
static enum cow_branchdir find(const struct cow_branchdirs *d, const char *path)
{
	char below[COW_BRANCH_MAX + 2];
	size_t len = strlen(path), at;

	if (len == 0)
		return COW_BRANCHDIR_PREFIX;
	if (len > COW_BRANCH_MAX)
		return COW_BRANCHDIR_NONE;
	at = lower_bound(d, path);
	if (at < d->n && strcmp(d->items[at].name, path) == 0)
		return COW_BRANCHDIR_BRANCH;
	snprintf(below, sizeof(below), "%s/", path);
	at = lower_bound(d, below);
	return at < d->n && strncmp(d->items[at].name, below, len + 1) == 0 ? COW_BRANCHDIR_PREFIX
									    : COW_BRANCHDIR_NONE;
}

enum cow_branchdir cow_branchdirs_find(struct cow_branchdirs *d, const char *path)
{
	WITH_SHARED(&d->lock);

	return find(d, path);
}

/* What each part of the path `name` is, outermost first. Lock held. */
static size_t parts_of(const struct cow_branchdirs *d, const char *name,
		       enum cow_branchdir ret[COW_BRANCH_MAX])
{
	char path[COW_BRANCH_MAX + 1];
	size_t n = 0;

	for (const char *end = name; end; n++) {
		end = strchr(end + (n > 0), '/');
		snprintf(path, sizeof(path), "%.*s", end ? (int)(end - name) : (int)COW_BRANCH_MAX,
			 name);
		ret[n] = find(d, path);
	}
	return n;
}

cow_errno cow_branchdirs_update(struct cow_branchdirs *d, struct cow_store *s, const char *name,
				char ret[COW_BRANCH_MAX + 1])
{
	enum cow_branchdir before[COW_BRANCH_MAX], after[COW_BRANCH_MAX];
	struct cow_branch_info info;
	cow_errno r = cow_branch_get(s, name, &info, NULL);
	const char *end = name;
	size_t n, part = 0;

	snprintf(ret, COW_BRANCH_MAX + 1, "%s", name);
	if (r < 0 && r != -ENOENT)
		return r;
	{
		WITH_EXCLUSIVE(&d->lock);

		n = parts_of(d, name, before);
		if (r == 0)
			r = put(d, name, info.incarnation);
		else
			drop(d, name);
		parts_of(d, name, after);
	}
	if (r == 0)
		cow_branch_info_release(&info);
	while (part + 1 < n && before[part] == after[part])
		part++;
	for (size_t i = 0; i <= part && end; i++)
		end = strchr(end + (i > 0), '/');
	if (end)
		ret[end - name] = 0;
	return r == -ENOENT ? 0 : r;
}

cow_errno cow_branchdirs_name(struct cow_branchdirs *d, uint64_t incarnation,
			      char ret[COW_BRANCH_MAX + 1])
{
	WITH_SHARED(&d->lock);

	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].incarnation == incarnation) {
			snprintf(ret, COW_BRANCH_MAX + 1, "%s", d->items[i].name);
			return 0;
		}
	return -ENOENT;
}

struct listing {
	char *names; /* each with its NUL, one after the other */
	enum cow_branchdir *what;
	size_t n;
};

/* Copy the entries of `path`, so that the callback runs without the lock. Lock held. */
static cow_errno list(const struct cow_branchdirs *d, const char *path, struct listing *ret)
{
	char below[COW_BRANCH_MAX + 2];
	size_t len = (size_t)snprintf(below, sizeof(below), *path ? "%s/" : "%s", path);
	size_t first = lower_bound(d, below), end = first, bytes = 0;
	char *at, *last = NULL;

	for (; end < d->n && strncmp(d->items[end].name, below, len) == 0; end++)
		bytes += strlen(d->items[end].name) + 1;
	ret->names = at = malloc(bytes + 1);
	ret->what = calloc(end - first + 1, sizeof(*ret->what));
	if (!ret->names || !ret->what)
		return -ENOMEM;
	for (size_t i = first; i < end; i++) {
		const char *part = d->items[i].name + len, *slash = strchr(part, '/');
		size_t n = slash ? (size_t)(slash - part) : strlen(part);

		if (last && strlen(last) == n && memcmp(last, part, n) == 0)
			continue; /* one more branch in the same directory */
		last = at;
		memcpy(at, part, n);
		at[n] = 0;
		at += n + 1;
		ret->what[ret->n++] = slash ? COW_BRANCHDIR_PREFIX : COW_BRANCHDIR_BRANCH;
	}
	return 0;
}

int cow_branchdirs_each(struct cow_branchdirs *d, const char *path,
			int (*each)(const char *name, enum cow_branchdir what, void *arg),
			void *arg)
{
	struct listing l = {0};
	const char *name;
	int r;

	{
		WITH_SHARED(&d->lock);

		r = list(d, path, &l);
	}
	name = l.names;
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		r = each(name, l.what[i], arg);
		name += strlen(name) + 1;
	}
	free(l.names);
	free(l.what);
	return r;
}
