// SPDX-License-Identifier: Apache-2.0
/* branch_names: what each branch is called, by its id, in memory.
 *
 * The map has branches by name. Who was made from whom, and which one is the default, it says by
 * id, and to find the name of one id there meant going through all branches: a thousand of them
 * doubled the time of making one more.
 *
 * Filled when the store is opened; every operation that names, renames or deletes says so after its
 * commit. In between, another thread may find what was: so a name that is found counts only when
 * the record under it has the id, and else the map is asked after all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch_impl.h"
#include "store/cleanup.h"

void cow_branch_names_free(struct cow_branch_names *n)
{
	for (size_t k = 0; k < n->n; k++)
		free(n->at[k].name);
	free(n->at);
	pthread_mutex_destroy(&n->lock);
}

/* Of the first id that is not smaller. Lock held. New ids are the largest. */
static size_t place_of(const struct cow_branch_names *n, uint64_t id)
{
	size_t lo = 0, hi = n->n;

	if (n->n && n->at[n->n - 1].id < id)
		return n->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (n->at[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at(const struct cow_branch_names *n, size_t at, uint64_t id)
{
	return at < n->n && n->at[at].id == id;
}

static void remove_at(struct cow_branch_names *n, size_t at)
{
	free(n->at[at].name);
	n->n--;
	memmove(&n->at[at], &n->at[at + 1], (n->n - at) * sizeof(*n->at));
}

/* false = no memory; nothing has changed. */
static bool insert_at(struct cow_branch_names *n, size_t at, uint64_t id, char *name)
{
	if (n->n == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 64;
		void *more = realloc(n->at, cap * sizeof(*n->at));

		if (!more)
			return false;
		n->at = more;
		n->cap = cap;
	}
	memmove(&n->at[at + 1], &n->at[at], (n->n - at) * sizeof(*n->at));
	n->at[at].id = id;
	n->at[at].name = name;
	n->n++;
	return true;
}

void cow_branch_named(struct cow_store *s, uint64_t id, const char *name)
{
	struct cow_branch_names *n = &s->branch_names;
	char *copy = name ? strdup(name) : NULL;
	size_t at;
	WITH_LOCK(&n->lock);

	at = place_of(n, id);
	if (is_at(n, at, id))
		remove_at(n, at);
	if (!name || (copy && insert_at(n, at, id, copy)))
		return;
	free(copy);
	n->incomplete = true;
}

static int load_one(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	char name[COW_BRANCH_MAX + 1];

	if (klen > 1 + COW_BRANCH_MAX || cow_branch_decode(val, vlen, &b) < 0)
		return 0; /* verify names it */
	memcpy(name, key + 1, klen - 1);
	name[klen - 1] = '\0';
	cow_branch_named(arg, b.id, name);
	return 0;
}

cow_errno cow_branch_names_load(struct cow_store *s)
{
	struct cow_key k = cow_key_type('B');

	return s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, load_one, s);
}

uint64_t cow_branch_count(struct cow_store *s)
{
	WITH_LOCK(&s->branch_names.lock);

	return s->branch_names.n;
}

/* 0, -ENOENT: no such branch, -EAGAIN: only the map knows. */
static cow_errno find(struct cow_store *s, uint64_t id, char ret_name[COW_BRANCH_MAX + 1])
{
	struct cow_branch_names *n = &s->branch_names;
	size_t at;
	WITH_LOCK(&n->lock);

	at = place_of(n, id);
	if (!is_at(n, at, id))
		return n->incomplete ? -EAGAIN : -ENOENT;
	snprintf(ret_name, COW_BRANCH_MAX + 1, "%s", n->at[at].name);
	return 0;
}

struct by_id {
	uint64_t id;
	char *name;
	cow_errno r;
};

static int match_id(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	struct by_id *want = arg;

	if (klen > 1 + COW_BRANCH_MAX || cow_branch_decode(val, vlen, &b) < 0 || b.id != want->id)
		return 0;
	memcpy(want->name, key + 1, klen - 1);
	want->name[klen - 1] = '\0';
	want->r = 0;
	return 1;
}

static cow_errno search(struct cow_store *s, uint64_t id, char ret_name[COW_BRANCH_MAX + 1])
{
	struct cow_key k = cow_key_type('B');
	struct by_id want = {id, ret_name, -ENOENT};
	int r = s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, match_id, &want);

	return r < 0 ? r : want.r;
}

cow_errno cow_branch_by_id(struct cow_store *s, uint64_t id, char ret_name[COW_BRANCH_MAX + 1])
{
	CLEANUP(cow_branch_release) struct cow_branch_rec b = {0};
	cow_errno r;

	ret_name[0] = '\0';
	r = id ? find(s, id, ret_name) : -ENOENT;
	if (r == 0 && (cow_branch_read(s, ret_name, &b, NULL) < 0 || b.id != id))
		r = -EAGAIN;
	if (r == -EAGAIN)
		r = search(s, id, ret_name);
	if (r < 0)
		ret_name[0] = '\0';
	return r;
}
