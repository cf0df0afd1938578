// SPDX-License-Identifier: Apache-2.0
/* kv_mem: two sorted arrays (what a reader sees, what is durable) and the row of batches between
 * them. Small on purpose: an insert moves the tail of an array, which is fine for tests. */
#include "tests/lib/kv_mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct cow_buf key, val;
};

struct table {
	struct entry *e;
	size_t n, cap;
};

struct kv_mem_disk {
	pthread_mutex_t lock;
	struct table now, durable;
	struct cow_batch *queue; /* written, not synced, oldest first */
	size_t n_queue;
	struct {
		unsigned seen, fail_at; /* fail_at 0 = never */
		cow_errno err;
	} call[KV_MEM_CALLS];
	bool open, stopped, cut;
};

struct kv_mem {
	struct cow_kv kv;
	struct kv_mem_disk *disk;
};

static int key_cmp(const struct cow_buf *k, const void *key, size_t klen)
{
	size_t n = k->len < klen ? k->len : klen;
	int c = n ? memcmp(k->data, key, n) : 0;

	return c ? c : (k->len > klen) - (k->len < klen);
}

/* Index of the first entry at or after `key`. */
static size_t table_find(const struct table *t, const void *key, size_t klen)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (key_cmp(&t->e[mid].key, key, klen) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		cow_buf_release(&t->e[i].key);
		cow_buf_release(&t->e[i].val);
	}
	free(t->e);
	*t = (struct table){0};
}

static bool entry_is(const struct table *t, size_t i, const void *key, size_t klen)
{
	return i < t->n && key_cmp(&t->e[i].key, key, klen) == 0;
}

static int table_apply(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct table *t = arg;
	size_t i = table_find(t, key, klen);

	if (!val) {
		if (entry_is(t, i, key, klen)) {
			cow_buf_release(&t->e[i].key);
			cow_buf_release(&t->e[i].val);
			memmove(&t->e[i], &t->e[i + 1], (t->n - i - 1) * sizeof(*t->e));
			t->n--;
		}
		return 0;
	}
	if (entry_is(t, i, key, klen))
		return cow_buf_set(&t->e[i].val, val, vlen);
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct entry *e = realloc(t->e, cap * sizeof(*e));

		if (!e)
			return -ENOMEM;
		t->e = e;
		t->cap = cap;
	}
	memmove(&t->e[i + 1], &t->e[i], (t->n - i) * sizeof(*t->e));
	t->e[i] = (struct entry){0};
	t->n++;
	if (cow_buf_set(&t->e[i].key, key, klen) || cow_buf_set(&t->e[i].val, val, vlen))
		return -ENOMEM;
	return 0;
}

/* The order of calls is the order of the lock: counts them, and says whether this one is to fail.
 */
static cow_errno called(struct kv_mem_disk *d, enum kv_mem_call call)
{
	d->call[call].seen++;
	if (d->cut)
		return -EIO;
	if (d->call[call].fail_at && --d->call[call].fail_at == 0)
		return d->call[call].err;
	return 0;
}

static struct kv_mem_disk *disk_of(struct cow_kv *kv)
{
	return ((struct kv_mem *)kv)->disk;
}

static cow_errno mem_get(struct cow_kv *kv, const void *key, size_t klen, struct cow_buf *val)
{
	struct kv_mem_disk *d = disk_of(kv);
	cow_errno r;
	size_t i;

	pthread_mutex_lock(&d->lock);
	r = called(d, KV_MEM_GET);
	if (!r) {
		i = table_find(&d->now, key, klen);
		if (entry_is(&d->now, i, key, klen))
			r = cow_buf_set(val, d->now.e[i].val.data, d->now.e[i].val.len);
		else
			r = -ENOENT;
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

static bool has_prefix(const struct cow_buf *k, const void *prefix, size_t plen)
{
	return k->len >= plen && (plen == 0 || memcmp(k->data, prefix, plen) == 0);
}

static cow_errno mem_seek(struct cow_kv *kv, const void *key, size_t klen, size_t plen,
			  struct cow_buf *ret_key, struct cow_buf *val)
{
	struct kv_mem_disk *d = disk_of(kv);
	cow_errno r;
	size_t i;

	pthread_mutex_lock(&d->lock);
	r = called(d, KV_MEM_SEEK);
	if (!r) {
		i = table_find(&d->now, key, klen);
		if (i < d->now.n && has_prefix(&d->now.e[i].key, key, plen)) {
			const struct entry *e = &d->now.e[i];

			r = cow_buf_set(ret_key, e->key.data, e->key.len);
			if (!r)
				r = cow_buf_set(val, e->val.data, e->val.len);
		} else {
			r = -ENOENT;
		}
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

/* Copies what matches first, so that `each` may call the kv and sees one moment. */
static int
mem_scan(struct cow_kv *kv, const void *prefix, size_t plen, const void *from, size_t flen,
	 int (*each)(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg),
	 void *arg)
{
	struct kv_mem_disk *d = disk_of(kv);
	struct cow_batch copy = {0};
	size_t i, start = 0;
	int r;

	pthread_mutex_lock(&d->lock);
	r = called(d, KV_MEM_SCAN);
	if (!r) {
		i = table_find(&d->now, prefix, plen);
		if (from)
			start = table_find(&d->now, from, flen);
		for (i = i > start ? i : start; i < d->now.n; i++) {
			const struct entry *e = &d->now.e[i];

			if (!has_prefix(&e->key, prefix, plen))
				break;
			cow_batch_put(&copy, e->key.data, e->key.len, e->val.data, e->val.len);
		}
		r = copy.failed;
	}
	pthread_mutex_unlock(&d->lock);
	if (!r)
		r = cow_batch_each(&copy, each, arg);
	cow_batch_release(&copy);
	return r;
}

/* The first `n` batches of the queue reach the medium. */
static void queue_land(struct kv_mem_disk *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		cow_batch_each(&d->queue[i], table_apply, &d->durable);
		cow_batch_release(&d->queue[i]);
	}
	memmove(d->queue, d->queue + n, (d->n_queue - n) * sizeof(*d->queue));
	d->n_queue -= n;
}

static cow_errno queue_add(struct kv_mem_disk *d, const struct cow_batch *b)
{
	struct cow_batch *q = realloc(d->queue, (d->n_queue + 1) * sizeof(*q));

	if (!q)
		return -ENOMEM;
	d->queue = q;
	q[d->n_queue] = (struct cow_batch){0};
	cow_batch_append(&q[d->n_queue], b);
	return q[d->n_queue++].failed;
}

static cow_errno mem_write(struct cow_kv *kv, const struct cow_batch *b, bool sync)
{
	struct kv_mem_disk *d = disk_of(kv);
	cow_errno r;

	pthread_mutex_lock(&d->lock);
	r = d->stopped ? -EIO : 0;
	if (!r) {
		cow_errno failed = called(d, KV_MEM_WRITE);

		r = d->cut ? -EIO : queue_add(d, b);
		if (!r && failed)
			r = failed;
		if (!r)
			r = cow_batch_each(b, table_apply, &d->now);
		if (!r && sync)
			queue_land(d, d->n_queue);
		d->stopped = r != 0;
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

static cow_errno mem_sync(struct cow_kv *kv)
{
	struct kv_mem_disk *d = disk_of(kv);
	cow_errno r;

	pthread_mutex_lock(&d->lock);
	r = d->stopped ? -EIO : called(d, KV_MEM_SYNC);
	if (!r)
		queue_land(d, d->n_queue);
	else
		d->stopped = true;
	pthread_mutex_unlock(&d->lock);
	return r;
}

static void mem_memory(struct cow_kv *kv, struct cow_kv_memory *ret)
{
	*ret = (struct cow_kv_memory){0};
}

static void mem_close(struct cow_kv *kv)
{
	struct kv_mem_disk *d = disk_of(kv);

	d->open = false;
	free(kv);
}

static const struct cow_kv_ops mem_ops = {
    .get = mem_get,
    .seek = mem_seek,
    .scan = mem_scan,
    .write = mem_write,
    .sync = mem_sync,
    .memory = mem_memory,
    .close = mem_close,
};

struct kv_mem_disk *kv_mem_disk_new(void)
{
	struct kv_mem_disk *d = calloc(1, sizeof(*d));

	if (d)
		pthread_mutex_init(&d->lock, NULL);
	return d;
}

void kv_mem_disk_free(struct kv_mem_disk *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_queue; i++)
		cow_batch_release(&d->queue[i]);
	free(d->queue);
	table_free(&d->now);
	table_free(&d->durable);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

cow_errno kv_mem_open(struct kv_mem_disk *d, struct cow_kv **ret)
{
	struct kv_mem *kv;

	if (d->open)
		return -EBUSY;
	kv = calloc(1, sizeof(*kv));
	if (!kv)
		return -ENOMEM;
	kv->kv.ops = &mem_ops;
	kv->disk = d;
	d->open = true;
	d->stopped = d->cut = false;
	*ret = &kv->kv;
	return 0;
}

void kv_mem_fail(struct kv_mem_disk *d, enum kv_mem_call call, unsigned nth, cow_errno err)
{
	d->call[call].fail_at = nth;
	d->call[call].err = err;
}

unsigned kv_mem_calls(const struct kv_mem_disk *d, enum kv_mem_call call)
{
	return d->call[call].seen;
}

size_t kv_mem_unsynced(const struct kv_mem_disk *d)
{
	return d->n_queue;
}

void kv_mem_power_cut(struct kv_mem_disk *d, size_t keep)
{
	queue_land(d, keep < d->n_queue ? keep : d->n_queue);
	for (size_t i = 0; i < d->n_queue; i++)
		cow_batch_release(&d->queue[i]);
	d->n_queue = 0;
	table_free(&d->now);
	for (size_t i = 0; i < d->durable.n; i++) {
		const struct entry *e = &d->durable.e[i];

		table_apply(e->key.data, e->key.len, e->val.data, e->val.len, &d->now);
	}
	d->cut = d->open;
}
