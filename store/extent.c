// SPDX-License-Identifier: Apache-2.0
/* extent: the table is a hash of references; open descriptors are additionally in a ring that a
 * clock hand goes round when there are too many.
 *
 * `pins` is the whole state: CLOSED, or the number of users of an open descriptor. Users of an open
 * one only touch the counter; opening and closing happen under the table's lock. */
#include "store/extent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"

enum { CLOSED = -1 };

/* States of `direct` that are no descriptor. */
enum { NOT_YET = -1, NEVER = -2 };

struct cow_extent {
	uint64_t lineage, epoch, ino;
	struct cow_extent *next; /* hash chain; table lock */
	uint32_t refs;           /* table lock */
	_Atomic int pins;
	_Atomic bool used; /* since the hand last came by */
	bool writable;     /* the open descriptor is; changes only while nobody has a pin */
	_Atomic bool sealed;
	_Atomic bool fresh_name; /* its name may not be durable yet */
	_Atomic bool named;      /* its name was made durable through this object */
	_Atomic bool no_direct;  /* the file system refused it */
	_Atomic int direct; /* NOT_YET, NEVER, or open while `fd` is; set under the table lock */
	int fd;
	TAILQ_ENTRY(cow_extent) ring; /* of open ones; table lock */
};

enum { KNOWN = 1024 };

struct cow_extents {
	pthread_mutex_t lock;
	int dirfd;
	uint32_t max_files, n_open, n_buckets, n_extents;
	struct cow_extent **buckets;
	TAILQ_HEAD(, cow_extent) open;
	struct known {
		uint64_t lineage, epoch;
	} known[KNOWN]; /* whose directories are durable; a cache */
};

void cow_extent_path(uint64_t lineage, uint64_t epoch, uint64_t ino, char ret[64])
{
	snprintf(ret, 64, "ext/%016" PRIx64 "/%016" PRIx64 "/%016" PRIx64, lineage, epoch, ino);
}

cow_errno cow_extents_open(int store_dirfd, uint32_t max_files, struct cow_extents **ret)
{
	struct cow_extents *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->dirfd = store_dirfd;
	t->max_files = max_files;
	t->n_buckets = 4096;
	t->buckets = calloc(t->n_buckets, sizeof(*t->buckets));
	if (!t->buckets) {
		free(t);
		return -ENOMEM;
	}
	pthread_mutex_init(&t->lock, NULL);
	TAILQ_INIT(&t->open);
	*ret = t;
	return 0;
}

static void close_both(struct cow_extent *x)
{
	if (x->direct >= 0)
		close(x->direct);
	x->direct = NOT_YET;
	close(x->fd);
	x->fd = -1;
}

void cow_extents_close(struct cow_extents *t)
{
	if (!t)
		return;
	for (uint32_t k = 0; k < t->n_buckets; k++) {
		for (struct cow_extent *x = t->buckets[k], *next; x; x = next) {
			next = x->next;
			if (x->pins != CLOSED)
				close_both(x);
			free(x);
		}
	}
	free(t->buckets);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

uint64_t cow_extents_count(const struct cow_extents *t)
{
	return t->n_open;
}

static uint32_t bucket_of(const struct cow_extents *t, uint64_t lineage, uint64_t epoch,
			  uint64_t ino)
{
	uint64_t h = (lineage * 0x9e3779b97f4a7c15u ^ epoch) * 0xff51afd7ed558ccdu ^ ino;

	h *= 0xc4ceb9fe1a85ec53u;
	return (uint32_t)(h >> 33) & (t->n_buckets - 1);
}

/* Chains stay short; the table is rebuilt at twice the size when they would not. */
static void grow(struct cow_extents *t)
{
	struct cow_extent **old = t->buckets;
	uint32_t n = t->n_buckets;
	struct cow_extent **buckets = calloc((size_t)n * 2, sizeof(*buckets));

	if (!buckets)
		return;
	t->buckets = buckets;
	t->n_buckets = n * 2;
	for (uint32_t k = 0; k < n; k++) {
		for (struct cow_extent *x = old[k], *next; x; x = next) {
			uint32_t b = bucket_of(t, x->lineage, x->epoch, x->ino);

			next = x->next;
			x->next = t->buckets[b];
			t->buckets[b] = x;
		}
	}
	free(old);
}

cow_errno cow_extent_get(struct cow_extents *t, uint64_t lineage, uint64_t epoch, uint64_t ino,
			 struct cow_extent **ret)
{
	uint32_t b;
	struct cow_extent *x;
	WITH_LOCK(&t->lock);

	b = bucket_of(t, lineage, epoch, ino);
	for (x = t->buckets[b]; x; x = x->next)
		if (x->ino == ino && x->epoch == epoch && x->lineage == lineage)
			break;
	if (!x) {
		x = calloc(1, sizeof(*x));
		if (!x)
			return -ENOMEM;
		x->lineage = lineage;
		x->epoch = epoch;
		x->ino = ino;
		x->fd = -1;
		atomic_init(&x->pins, CLOSED);
		atomic_init(&x->direct, NOT_YET);
		x->next = t->buckets[b];
		t->buckets[b] = x;
		if (++t->n_extents > 2 * t->n_buckets)
			grow(t);
	}
	x->refs++;
	*ret = x;
	return 0;
}

void cow_extent_place(const struct cow_extent *x, uint64_t *ret_lineage, uint64_t *ret_epoch)
{
	*ret_lineage = x->lineage;
	*ret_epoch = x->epoch;
}

/* Only with no user: takes the counter from 0 to CLOSED so that no new one can come in. */
static bool try_close(struct cow_extents *t, struct cow_extent *x)
{
	int idle = 0;

	if (!atomic_compare_exchange_strong(&x->pins, &idle, CLOSED))
		return false;
	t->n_open -= x->direct >= 0 ? 2 : 1;
	close_both(x);
	TAILQ_REMOVE(&t->open, x, ring);
	return true;
}

void cow_extent_put(struct cow_extents *t, struct cow_extent *x)
{
	struct cow_extent **at;
	WITH_LOCK(&t->lock);

	if (--x->refs > 0)
		return;
	if (x->pins != CLOSED && !try_close(t, x))
		abort(); /* a pin without a reference: our own bug, and the memory is about to go */
	for (at = &t->buckets[bucket_of(t, x->lineage, x->epoch, x->ino)]; *at != x;)
		at = &(*at)->next;
	*at = x->next;
	t->n_extents--;
	free(x);
}

/* Second chance: what was used since the last round is spared once. */
static void shrink(struct cow_extents *t)
{
	for (uint32_t tries = 2 * t->n_open; tries && t->n_open >= t->max_files; tries--) {
		struct cow_extent *x = TAILQ_FIRST(&t->open);

		TAILQ_REMOVE(&t->open, x, ring);
		TAILQ_INSERT_TAIL(&t->open, x, ring);
		if (!atomic_exchange(&x->used, false))
			try_close(t, x);
	}
}

static int open_head(struct cow_extents *t, struct cow_extent *x, const char *path)
{
	char dir[64];
	int fd = cow_os_open(t->dirfd, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	cow_errno r;

	if (fd == -EEXIST)
		fd = cow_os_open(t->dirfd, path, O_RDWR, 0);
	if (fd == -ENOENT) {
		snprintf(dir, sizeof(dir), "ext/%016" PRIx64, x->lineage);
		if ((r = cow_os_mkdir(t->dirfd, dir, 0700)) < 0)
			return r;
		snprintf(dir, sizeof(dir), "ext/%016" PRIx64 "/%016" PRIx64, x->lineage, x->epoch);
		if ((r = cow_os_mkdir(t->dirfd, dir, 0700)) < 0)
			return r;
		fd = cow_os_open(t->dirfd, path, O_RDWR | O_CREAT, 0600);
	}
	/* Also of a file that was there: whoever made it may have gone without syncing its name. */
	if (fd >= 0)
		x->fresh_name = !x->named;
	return fd;
}

/* Table lock held; the extent is closed, or open for reading only and not in use. */
static int open_extent(struct cow_extents *t, struct cow_extent *x, bool writable)
{
	char path[64];
	int fd;

	shrink(t);
	cow_extent_path(x->lineage, x->epoch, x->ino, path);
	fd = writable ? open_head(t, x, path) : cow_os_open(t->dirfd, path, O_RDONLY, 0);
	if (fd < 0) {
		cow_log_error("extent file %s: %s", path, strerror(-fd));
		return fd == -ENOENT ? -EIO : fd;
	}
	x->fd = fd;
	x->writable = writable;
	TAILQ_INSERT_TAIL(&t->open, x, ring);
	t->n_open++;
	return 0;
}

static int pin_slow(struct cow_extents *t, struct cow_extent *x, bool writable)
{
	cow_errno r;
	WITH_LOCK(&t->lock);

	/* A head's file that was first read is opened again; with a reader inside, the reader's
	 * descriptor cannot be replaced under it, so the caller comes back. */
	if (x->pins != CLOSED && writable && !x->writable && !try_close(t, x))
		return -EAGAIN;
	if (x->pins == CLOSED) {
		if ((r = open_extent(t, x, writable)) < 0)
			return r;
		atomic_store(&x->pins, 1);
	} else {
		atomic_fetch_add(&x->pins, 1);
	}
	return x->fd;
}

int cow_extent_pin(struct cow_extents *t, struct cow_extent *x, bool writable)
{
	int pins = atomic_load(&x->pins), fd;

	while (pins >= 0) {
		if (!atomic_compare_exchange_weak(&x->pins, &pins, pins + 1))
			continue;
		atomic_store_explicit(&x->used, true, memory_order_relaxed);
		if (x->writable || !writable)
			return x->fd; /* neither changes while it is pinned */
		cow_extent_unpin(t, x);
		break;
	}
	while ((fd = pin_slow(t, x, writable)) == -EAGAIN)
		sched_yield();
	return fd;
}

void cow_extent_unpin(struct cow_extents *t, struct cow_extent *x)
{
	if (atomic_fetch_sub(&x->pins, 1) != 1 || !x->sealed)
		return;
	WITH_LOCK(&t->lock);
	if (x->writable && try_close(t, x))
		x->sealed = false;
}

void cow_extent_direct_refused(struct cow_extent *x)
{
	x->no_direct = true;
}

int cow_extent_direct(struct cow_extents *t, struct cow_extent *x)
{
	char path[64];
	int fd = x->direct;

	if (x->no_direct)
		return -1;
	if (fd != NOT_YET)
		return fd == NEVER ? -1 : fd;
	WITH_LOCK(&t->lock);
	if (x->direct != NOT_YET)
		return x->direct == NEVER ? -1 : x->direct;
	cow_extent_path(x->lineage, x->epoch, x->ino, path);
	fd = cow_os_open(t->dirfd, path, O_WRONLY | O_DIRECT, 0);
	x->direct = fd < 0 ? NEVER : fd;
	t->n_open += fd < 0 ? 0 : 1;
	return fd < 0 ? -1 : fd;
}

void cow_extent_seal(struct cow_extents *t, struct cow_extent *x)
{
	WITH_LOCK(&t->lock);

	if (x->pins == CLOSED || !x->writable || try_close(t, x))
		return;
	x->sealed = true; /* the last user closes it */
}

/* The directories above the file were synced by this process: once for each epoch is enough. */
static bool parents_known(struct cow_extents *t, const struct cow_extent *x, bool learn)
{
	struct known *k = &t->known[(x->lineage * 31 + x->epoch) % KNOWN];
	WITH_LOCK(&t->lock);

	if (learn)
		*k = (struct known){x->lineage, x->epoch};
	return k->lineage == x->lineage && k->epoch == x->epoch;
}

static cow_errno sync_parents(struct cow_extents *t, struct cow_extent *x)
{
	char dir[64];
	cow_errno r;

	if (parents_known(t, x, false))
		return 0;
	snprintf(dir, sizeof(dir), "ext/%016" PRIx64, x->lineage);
	if ((r = cow_os_sync_dir(t->dirfd, dir)) < 0 || (r = cow_os_sync_dir(t->dirfd, "ext")) < 0)
		return r;
	parents_known(t, x, true);
	return 0;
}

cow_errno cow_extent_sync(struct cow_extents *t, struct cow_extent *x)
{
	char dir[64];
	cow_errno r;

	if (!x->fresh_name)
		return cow_os_fdatasync(x->fd);
	if ((r = cow_os_fsync(x->fd)) < 0)
		return r;
	snprintf(dir, sizeof(dir), "ext/%016" PRIx64 "/%016" PRIx64, x->lineage, x->epoch);
	if ((r = cow_os_sync_dir(t->dirfd, dir)) < 0 || (r = sync_parents(t, x)) < 0)
		return r;
	x->named = true;
	x->fresh_name = false;
	return 0;
}

void cow_extent_synced(struct cow_extents *t, struct cow_extent *x, bool durable)
{
	if (durable) {
		x->named = true;
		x->fresh_name = false;
	}
	cow_extent_unpin(t, x);
}
