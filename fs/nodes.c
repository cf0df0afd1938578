// SPDX-License-Identifier: Apache-2.0
/* nodes: a hash table in shards, keyed by node id.
 *
 * Life of an entry: a look-up makes it or counts it up; FORGET counts it down, and at zero it goes.
 * Opens do not hold an entry: the kernel holds its inode, and so a look-up, as long as a file is
 * open.
 *
 * Accepted: when a directory is renamed into or out of a place that gives it another kind, files
 * below it that the kernel already knows keep theirs until they are looked up again. The kind
 * decides how a file is cached, never what it contains, and postgres renames no such directory. */
#include "fs/nodes.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/policy.h"
#include "store/cleanup.h"
#include "store/log.h"

enum { SHARDS = 64, FIRST_BUCKETS = 16, DEPTH_MAX = 4096 };

struct entry {
	struct entry *next;
	uint64_t id, parent, lookups;
	struct cow_inode *inode;
	char *path; /* of a directory of the mount, else NULL */
	uint32_t readers, writers;
	enum cow_pg_kind kind;
};

struct shard {
	pthread_mutex_t lock;
	struct entry **buckets; /* lock */
	uint32_t n_buckets, n;  /* lock; n_buckets is a power of two */
};

struct cow_nodes {
	struct shard shards[SHARDS];
	_Atomic uint64_t count;
};

/* Neighbouring numbers differ in their low bits only; spread them (the finish of splitmix64). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static struct shard *shard_of(struct cow_nodes *n, uint64_t id)
{
	return &n->shards[mix(id) % SHARDS];
}

static struct entry **slot_of(struct shard *s, uint64_t id)
{
	struct entry **at = &s->buckets[(mix(id) / SHARDS) & (s->n_buckets - 1)];

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

cow_errno cow_node_id(struct cow_inode *i, uint64_t *ret)
{
	uint64_t inc = cow_live_incarnation(cow_inode_live(i)), ino = cow_inode_number(i);

	if (inc == 0 || inc >> (64 - COW_NODE_INO_BITS) || ino >> COW_NODE_INO_BITS) {
		cow_log_error("no node id for inode %llu of incarnation %llu: numbers have run out",
			      (unsigned long long)ino, (unsigned long long)inc);
		return -EOVERFLOW;
	}
	*ret = inc << COW_NODE_INO_BITS | ino;
	return 0;
}

uint64_t cow_node_id_of_path(const char *path)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */

	if (!*path)
		return COW_NODE_ROOT;
	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3ull;
	h = (h ^ (h >> COW_NODE_INO_BITS)) & ((1ull << COW_NODE_INO_BITS) - 1);
	return h > COW_NODE_ROOT ? h : h + 2;
}

/* Twice the buckets; if there is no memory, chains grow longer instead. Lock held. */
static void grow(struct shard *s)
{
	uint32_t old = s->n_buckets;
	struct entry **was = s->buckets, **more = calloc(old * 2ul, sizeof(*more));

	if (!more)
		return;
	s->buckets = more;
	s->n_buckets = old * 2;
	for (uint32_t b = 0; b < old; b++) {
		struct entry *e = was[b], *next;

		for (; e; e = next) {
			struct entry **at = slot_of(s, e->id);

			next = e->next;
			e->next = NULL;
			*at = e;
		}
	}
	free(was);
}

static void entry_free(struct entry *e)
{
	for (; e->readers; e->readers--)
		cow_inode_close(e->inode, false);
	for (; e->writers; e->writers--)
		cow_inode_close(e->inode, true);
	cow_inode_put(e->inode);
	free(e->path);
	free(e);
}

/* Find or make, and count one look-up. Lock held. */
static struct entry *count_up(struct cow_nodes *n, struct shard *s, uint64_t id)
{
	struct entry **at = slot_of(s, id), *e = *at;

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return NULL;
		e->id = id;
		*at = e;
		n->count++;
		if (++s->n > s->n_buckets)
			grow(s);
	}
	e->lookups++;
	return e;
}

cow_errno cow_nodes_new(struct cow_nodes **ret)
{
	struct cow_nodes *n = calloc(1, sizeof(*n));
	bool ok = n != NULL;
	uint64_t id;

	for (int i = 0; ok && i < SHARDS; i++) {
		struct shard *s = &n->shards[i];

		pthread_mutex_init(&s->lock, NULL);
		s->n_buckets = FIRST_BUCKETS;
		s->buckets = calloc(FIRST_BUCKETS, sizeof(*s->buckets));
		ok = s->buckets != NULL;
	}
	/* The kernel knows the root without a look-up, and never forgets it. */
	if (!ok || cow_nodes_remember_path(n, "", COW_NODE_ROOT, &id) < 0) {
		cow_nodes_free(n);
		return -ENOMEM;
	}
	*ret = n;
	return 0;
}

void cow_nodes_free(struct cow_nodes *n)
{
	if (!n)
		return;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &n->shards[i];

		for (uint32_t b = 0; s->buckets && b < s->n_buckets; b++) {
			struct entry *e = s->buckets[b], *next;

			for (; e; e = next) {
				next = e->next;
				entry_free(e);
			}
		}
		free(s->buckets);
		pthread_mutex_destroy(&s->lock);
	}
	free(n);
}

cow_errno cow_node_get(struct cow_nodes *n, uint64_t id, struct cow_node *ret)
{
	struct shard *s = shard_of(n, id);
	WITH_LOCK(&s->lock);
	const struct entry *e = *slot_of(s, id);

	if (!e)
		return -ESTALE;
	ret->id = id;
	ret->parent = e->parent;
	ret->inode = e->inode ? cow_inode_ref(e->inode) : NULL;
	ret->kind = e->kind;
	ret->writers = e->writers;
	ret->path[0] = 0;
	if (e->path)
		memcpy(ret->path, e->path, strlen(e->path) + 1);
	return 0;
}

void cow_node_put(struct cow_node *node)
{
	cow_inode_put(node->inode);
	node->inode = NULL;
}

cow_errno cow_nodes_remember(struct cow_nodes *n, struct cow_inode *i, uint64_t parent,
			     enum cow_pg_kind kind, uint64_t *ret_id)
{
	uint64_t id;
	cow_errno r = cow_node_id(i, &id);
	struct shard *s;
	struct entry *e;

	if (r < 0)
		return r;
	s = shard_of(n, id);
	{
		WITH_LOCK(&s->lock);

		e = count_up(n, s, id);
		if (!e)
			return -ENOMEM;
		if (!e->inode)
			e->inode = cow_inode_ref(i);
		e->parent = parent;
		e->kind = kind;
	}
	cow_inode_set_own_run(i, cow_policy_for(kind).own_run);
	*ret_id = id;
	return 0;
}

cow_errno cow_nodes_remember_path(struct cow_nodes *n, const char *path, uint64_t parent,
				  uint64_t *ret_id)
{
	uint64_t id = cow_node_id_of_path(path);
	struct shard *s = shard_of(n, id);
	WITH_LOCK(&s->lock);
	struct entry *e = count_up(n, s, id);

	if (!e)
		return -ENOMEM;
	if (e->path && strcmp(e->path, path) != 0) {
		e->lookups--;
		cow_log_error(
		    "the directories %s and %s have the same hash; rename one of the branches",
		    path, e->path);
		return -EIO;
	}
	if (!e->path && !(e->path = strdup(path)))
		return -ENOMEM; /* the entry stays, with one look-up too many: harmless */
	e->parent = parent;
	*ret_id = id;
	return 0;
}

void cow_nodes_forget(struct cow_nodes *n, uint64_t id, uint64_t lookups)
{
	struct shard *s = shard_of(n, id);
	struct entry *gone = NULL;

	if (id == COW_NODE_ROOT)
		return;
	{
		WITH_LOCK(&s->lock);
		struct entry **at = slot_of(s, id), *e = *at;

		if (!e)
			return;
		e->lookups -= lookups < e->lookups ? lookups : e->lookups;
		if (e->lookups == 0) {
			*at = e->next;
			s->n--;
			n->count--;
			gone = e;
		}
	}
	if (gone)
		entry_free(gone);
}

void cow_nodes_move(struct cow_nodes *n, uint64_t id, uint64_t parent, enum cow_pg_kind kind)
{
	struct shard *s = shard_of(n, id);
	struct cow_inode *i = NULL;

	{
		WITH_LOCK(&s->lock);
		struct entry *e = *slot_of(s, id);

		if (e && e->inode) {
			e->parent = parent;
			e->kind = kind;
			i = cow_inode_ref(e->inode);
		}
	}
	if (i)
		cow_inode_set_own_run(i, cow_policy_for(kind).own_run);
	cow_inode_put(i);
}

void cow_nodes_opened(struct cow_nodes *n, uint64_t id, bool writer)
{
	struct shard *s = shard_of(n, id);
	WITH_LOCK(&s->lock);
	struct entry *e = *slot_of(s, id);

	if (!e)
		return;
	if (writer)
		e->writers++;
	else
		e->readers++;
}

bool cow_nodes_closed(struct cow_nodes *n, uint64_t id, bool writer)
{
	struct shard *s = shard_of(n, id);
	WITH_LOCK(&s->lock);
	struct entry *e = *slot_of(s, id);

	if (!e || (writer ? e->writers : e->readers) == 0)
		return false;
	if (writer)
		e->writers--;
	else
		e->readers--;
	return true;
}

/* Ids of a shard; *ret is allocated. */
static cow_errno writers_of(struct shard *s, uint64_t **ret, uint32_t *ret_n)
{
	WITH_LOCK(&s->lock);

	*ret_n = 0;
	*ret = s->n ? calloc(s->n, sizeof(**ret)) : NULL;
	if (s->n && !*ret)
		return -ENOMEM;
	for (uint32_t b = 0; s->n && b < s->n_buckets; b++)
		for (const struct entry *e = s->buckets[b]; e; e = e->next)
			if (e->writers)
				(*ret)[(*ret_n)++] = e->id;
	return 0;
}

cow_errno cow_nodes_each_writer(struct cow_nodes *n, void (*each)(uint64_t id, void *arg),
				void *arg)
{
	cow_errno r = 0;

	for (int i = 0; i < SHARDS; i++) {
		CLEANUP_FREE uint64_t *ids = NULL;
		uint32_t many;

		if (writers_of(&n->shards[i], &ids, &many) < 0)
			r = -ENOMEM;
		for (uint32_t k = 0; k < many; k++)
			each(ids[k], arg);
	}
	return r;
}

int cow_nodes_depth(struct cow_nodes *n, uint64_t id)
{
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct shard *s = shard_of(n, id);
		WITH_LOCK(&s->lock);
		const struct entry *e = *slot_of(s, id);

		if (!e || !e->inode)
			return -ESTALE;
		if (e->kind == COW_PG_ROOT)
			return depth;
		id = e->parent;
	}
	return -ELOOP;
}

uint64_t cow_nodes_count(struct cow_nodes *n)
{
	return n->count;
}
