// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power_kv.h"

#include <stdlib.h>
#include <string.h>

/* A mark is 'k' and the batch, or 'y': everything so far is durable. */
struct wrapped {
	struct cow_kv kv;
	struct cow_kv *inner;
	void (*mark)(const void *data, size_t len);
};

static cow_errno get(struct cow_kv *kv, const void *key, size_t klen, struct cow_buf *val)
{
	struct cow_kv *k = ((struct wrapped *)kv)->inner;

	return k->ops->get(k, key, klen, val);
}

static cow_errno seek(struct cow_kv *kv, const void *key, size_t klen, size_t plen,
		      struct cow_buf *ret_key, struct cow_buf *val)
{
	struct cow_kv *k = ((struct wrapped *)kv)->inner;

	return k->ops->seek(k, key, klen, plen, ret_key, val);
}

static int scan(struct cow_kv *kv, const void *prefix, size_t plen, const void *from, size_t flen,
		int (*each)(const uint8_t *, size_t, const uint8_t *, size_t, void *), void *arg)
{
	struct cow_kv *k = ((struct wrapped *)kv)->inner;

	return k->ops->scan(k, prefix, plen, from, flen, each, arg);
}

static cow_errno sync_kv(struct cow_kv *kv)
{
	struct wrapped *w = (struct wrapped *)kv;
	cow_errno r = w->inner->ops->sync(w->inner);

	if (r == 0)
		w->mark("y", 1);
	return r;
}

static cow_errno write_kv(struct cow_kv *kv, const struct cow_batch *b, bool sync)
{
	struct wrapped *w = (struct wrapped *)kv;
	uint8_t *text = malloc(1 + b->ops.len);
	cow_errno r = w->inner->ops->write(w->inner, b, sync);

	text[0] = 'k';
	memcpy(text + 1, b->ops.data, b->ops.len);
	w->mark(text, 1 + b->ops.len);
	free(text);
	if (r == 0 && sync)
		w->mark("y", 1);
	return r;
}

static void close_kv(struct cow_kv *kv)
{
	struct wrapped *w = (struct wrapped *)kv;

	w->inner->ops->close(w->inner);
	free(w);
}

struct cow_kv *power_kv_open(struct kv_mem_disk *d, void (*mark)(const void *data, size_t len))
{
	static const struct cow_kv_ops ops = {.get = get,
					      .seek = seek,
					      .scan = scan,
					      .write = write_kv,
					      .sync = sync_kv,
					      .close = close_kv};
	struct wrapped *w = calloc(1, sizeof(*w));

	w->kv.ops = &ops;
	w->mark = mark;
	if (kv_mem_open(d, &w->inner) < 0)
		abort();
	return &w->kv;
}

static size_t kept(const struct power_cut *c, size_t unsynced)
{
	uint64_t seed = c->seed + 77;

	switch (c->loss) {
	case POWER_KEEP_ALL:
		return unsynced;
	case POWER_KEEP_NONE:
		return 0;
	default:
		return power_random(&seed) % (unsynced + 1);
	}
}

struct kv_mem_disk *power_kv_replay(const struct power_log *l, const struct power_cut *c)
{
	struct kv_mem_disk *d = kv_mem_disk_new();
	struct cow_kv *kv;

	if (kv_mem_open(d, &kv) < 0)
		abort();
	for (size_t k = 0; k < c->events; k++) {
		const struct power_event *e = power_log_event(l, k);
		const uint8_t *text = power_log_data(l, k);
		struct cow_batch b = {.ops = {.data = (uint8_t *)text + 1, .len = e->data_len - 1},
				      .count = 1};

		if (e->op == POWER_MARK && e->data_len && text[0] == 'k')
			kv->ops->write(kv, &b, false);
		else if (e->op == POWER_MARK && e->data_len && text[0] == 'y')
			kv->ops->sync(kv);
	}
	kv->ops->close(kv);
	kv_mem_power_cut(d, kept(c, kv_mem_unsynced(d)));
	return d;
}
