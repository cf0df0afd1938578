// SPDX-License-Identifier: Apache-2.0
/* kv_rocks: the map on RocksDB. The only file that calls it.
 *
 * RocksDB 7.8.3 (Debian 12) has data-loss bugs that were fixed only later; the settings below stay
 * on the safe paths: WAL always on, no recycled or compressed WAL, no manual WAL flush, default
 * compaction priority, no automatic resume after a background error. After a failed write the
 * handle answers -EIO to every later write: fail stop, reopen.
 *
 * Nearly every look-up is "the newest version at or before an epoch" and most of them find nothing
 * (a lineage holds only what was changed on it), so a bloom filter over the first 17 key bytes
 * (type, lineage, inode) answers misses without touching a data block. (prefix_same_as_start would
 * save the comparison in rocks_seek, but Debian's build asserts on the keys that are shorter than a
 * prefix.) */
#include "store/kv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/format.h"
#include "store/log.h"
#include "store/rocks.h"

enum { PREFIX_BYTES = 17 };

/* Above all of its levels: no text log but a few lines of each open, which fit into a buffer.
 * Debian's build is one with assertions, and one of them ends the process at the next line, or the
 * next flush, after one that found the disk full. (It also wrote a line for each sync.) What goes
 * wrong is answered to us. */
enum { NO_LOG = 6 };

struct rocks {
	struct cow_kv kv;
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_block_based_table_options_t *table;
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *point;
	rocksdb_writeoptions_t *lazy, *synced;
};

static cow_errno io_error(const char *what, char *text)
{
	cow_log_error("map: %s: %s", what, text);
	rocksdb_free(text);
	return -EIO;
}

static cow_errno rocks_get(struct cow_kv *kv, const void *key, size_t klen, struct cow_buf *val)
{
	struct rocks *k = (struct rocks *)kv;
	char *text = NULL;
	rocksdb_pinnableslice_t *v = rocksdb_get_pinned(k->db, k->point, key, klen, &text);
	const char *data;
	size_t len;
	cow_errno r;

	if (text)
		return io_error("get", text);
	if (!v)
		return -ENOENT;
	data = rocksdb_pinnableslice_value(v, &len);
	r = cow_buf_set(val, data, len);
	rocksdb_pinnableslice_destroy(v);
	return r;
}

static cow_errno iter_error(rocksdb_iterator_t *it, const char *what)
{
	char *text = NULL;

	rocksdb_iter_get_error(it, &text);
	return text ? io_error(what, text) : 0;
}

/* An iterator that ends where keys no longer begin with `prefix`. Without that end, one that finds
 * nothing there goes on over everything that was deleted behind it, as far as the next key: a walk
 * of a lineage whose files were deleted is then the square of their number. */
struct range {
	rocksdb_readoptions_t *o;
	rocksdb_iterator_t *it;
	uint8_t end[COW_KEY_MAX]; /* borrowed by the iterator */
};

/* By the filter of prefixes, which is only for those that are long enough; `total`: without it. */
static void range_open(struct rocks *k, struct range *ret, const void *prefix, size_t plen,
		       bool total)
{
	size_t n = plen;

	ret->o = rocksdb_readoptions_create();
	rocksdb_readoptions_set_total_order_seek(ret->o, total || plen < PREFIX_BYTES);
	/* The first key behind them all: counted up like a number. As long as the prefix, because
	 * Debian's build asserts on shorter ones. Behind nothing but 0xff there is no key. */
	if (plen <= sizeof(ret->end)) {
		memcpy(ret->end, prefix, plen);
		while (n && ++ret->end[n - 1] == 0)
			n--;
		if (n)
			rocksdb_readoptions_set_iterate_upper_bound(ret->o, (const char *)ret->end,
								    plen);
	}
	ret->it = rocksdb_create_iterator(k->db, ret->o);
}

static void range_close(struct range *r)
{
	rocksdb_iter_destroy(r->it);
	rocksdb_readoptions_destroy(r->o);
}

static cow_errno rocks_seek(struct cow_kv *kv, const void *key, size_t klen, size_t plen,
			    struct cow_buf *ret_key, struct cow_buf *val)
{
	struct rocks *k = (struct rocks *)kv;
	rocksdb_iterator_t *it;
	struct range range;
	const char *at;
	size_t len;
	cow_errno r;

	range_open(k, &range, key, plen, false);
	it = range.it;
	rocksdb_iter_seek(it, key, klen);
	if (!rocksdb_iter_valid(it)) {
		r = iter_error(it, "seek");
		r = r ? r : -ENOENT;
		goto done;
	}
	at = rocksdb_iter_key(it, &len);
	r = -ENOENT;
	if (len < plen || memcmp(at, key, plen) != 0)
		goto done;
	if ((r = cow_buf_set(ret_key, at, len)) < 0)
		goto done;
	at = rocksdb_iter_value(it, &len);
	r = cow_buf_set(val, at, len);
done:
	range_close(&range);
	return r;
}

static int rocks_scan(struct cow_kv *kv, const void *prefix, size_t plen, const void *from,
		      size_t flen,
		      int (*each)(const uint8_t *, size_t, const uint8_t *, size_t, void *),
		      void *arg)
{
	struct rocks *k = (struct rocks *)kv;
	rocksdb_iterator_t *it;
	struct range range;
	int r = 0;

	range_open(k, &range, prefix, plen, true);
	it = range.it;
	rocksdb_iter_seek(it, from ? from : prefix, from ? flen : plen);
	for (; r == 0 && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		size_t klen, vlen;
		const char *key = rocksdb_iter_key(it, &klen);
		const char *val = rocksdb_iter_value(it, &vlen);

		if (klen < plen || memcmp(key, prefix, plen) != 0)
			break;
		r = each((const uint8_t *)key, klen, (const uint8_t *)val, vlen, arg);
	}
	if (r == 0)
		r = iter_error(it, "scan");
	range_close(&range);
	return r;
}

static int add_to_rocks(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	rocksdb_writebatch_t *wb = arg;

	if (val)
		rocksdb_writebatch_put(wb, (const char *)key, klen, (const char *)val, vlen);
	else
		rocksdb_writebatch_delete(wb, (const char *)key, klen);
	return 0;
}

/* Its automatic resume has lost data (see above), so nothing is tried again: what is on the disk is
 * whole, and is what the next open finds. */
static cow_errno fail_stop(struct rocks *k, char *text)
{
	if (!atomic_exchange(&k->kv.broken, true))
		cow_log_error(
		    "map: a write failed: nothing becomes durable any more until the store "
		    "is opened again: make room if the disk is full, then unmount it "
		    "(--force) and mount it again");
	return io_error("write", text);
}

static cow_errno write_rocks(struct rocks *k, rocksdb_writebatch_t *wb, bool sync)
{
	char *text = NULL;

	if (k->kv.broken)
		return -EIO;
	rocksdb_write(k->db, sync ? k->synced : k->lazy, wb, &text);
	if (!text)
		return 0;
	return fail_stop(k, text);
}

static cow_errno rocks_write(struct cow_kv *kv, const struct cow_batch *b, bool sync)
{
	rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
	cow_errno r;

	cow_batch_each(b, add_to_rocks, wb);
	r = write_rocks((struct rocks *)kv, wb, sync);
	rocksdb_writebatch_destroy(wb);
	return r;
}

/* An empty batch that is synced, and not a flush of the log: that one goes past the queue of the
 * writers, and when the write of another one has just found the disk full, an assertion (see above)
 * ends the process. In the queue it is refused. Several at once cost one sync. */
static cow_errno rocks_sync(struct cow_kv *kv)
{
	rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
	cow_errno r = write_rocks((struct rocks *)kv, wb, true);

	rocksdb_writebatch_destroy(wb);
	return r;
}

static void rocks_memory(struct cow_kv *kv, struct cow_kv_memory *ret)
{
	struct rocks *k = (struct rocks *)kv;

	*ret = (struct cow_kv_memory){.cache = rocksdb_cache_get_usage(k->cache)};
	rocksdb_property_int(k->db, "rocksdb.size-all-mem-tables", &ret->writes);
	rocksdb_property_int(k->db, "rocksdb.estimate-table-readers-mem", &ret->files);
}

static void rocks_close(struct cow_kv *kv)
{
	struct rocks *k = (struct rocks *)kv;

	if (k->db)
		rocksdb_close(k->db);
	rocksdb_readoptions_destroy(k->point);
	rocksdb_writeoptions_destroy(k->lazy);
	rocksdb_writeoptions_destroy(k->synced);
	rocksdb_block_based_options_destroy(k->table);
	rocksdb_options_destroy(k->options);
	rocksdb_cache_destroy(k->cache);
	free(k);
}

static const struct cow_kv_ops rocks_ops = {
    .get = rocks_get,
    .seek = rocks_seek,
    .scan = rocks_scan,
    .write = rocks_write,
    .sync = rocks_sync,
    .memory = rocks_memory,
    .close = rocks_close,
};

static rocksdb_options_t *make_options(void)
{
	rocksdb_options_t *base = rocksdb_options_create(), *o = rocksdb_options_create();
	char *text = NULL;

	/* No setter in the C API for this one. */
	rocksdb_get_options_from_string(base, "max_bgerror_resume_count=0", o, &text);
	rocksdb_options_destroy(base);
	if (text) {
		cow_log_warn("map: options: %s", text);
		rocksdb_free(text);
	}
	return o;
}

static struct rocks *make_rocks(bool create)
{
	struct rocks *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->kv.ops = &rocks_ops;
	k->options = make_options();
	k->cache = rocksdb_cache_create_lru(16u << 20);
	k->table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(k->table, k->cache);
	rocksdb_block_based_options_set_filter_policy(k->table,
						      rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_whole_key_filtering(k->table, 1);
	rocksdb_options_set_block_based_table_factory(k->options, k->table);
	rocksdb_options_set_prefix_extractor(
	    k->options, rocksdb_slicetransform_create_fixed_prefix(PREFIX_BYTES));
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(k->options, 0.05);
	rocksdb_options_set_create_if_missing(k->options, create);
	rocksdb_options_set_error_if_exists(k->options, create);
	rocksdb_options_set_write_buffer_size(k->options, 16u << 20);
	rocksdb_options_set_max_open_files(k->options, 256);
	rocksdb_options_set_max_total_wal_size(k->options, 64u << 20);
	rocksdb_options_set_info_log_level(k->options, NO_LOG);
	rocksdb_options_set_keep_log_file_num(k->options, 3);
	rocksdb_options_set_compression(k->options, rocksdb_lz4_compression);
	k->point = rocksdb_readoptions_create();
	k->lazy = rocksdb_writeoptions_create();
	k->synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(k->synced, 1);
	return k;
}

cow_errno cow_kv_rocks_open(const char *dir, bool create, struct cow_kv **ret, struct cow_error *e)
{
	cow_errno r = cow_rocks_load(e);
	struct rocks *k = r < 0 ? NULL : make_rocks(create);
	char *text = NULL;

	if (!k)
		return r < 0 ? r : -ENOMEM;
	k->db = rocksdb_open(k->options, dir, &text);
	if (k->db) {
		*ret = &k->kv;
		return 0;
	}
	r = strstr(text, "lock") ? -EBUSY : -EIO;
	cow_fail(e, r, "cannot open the map %s: %s", dir, text);
	rocksdb_free(text);
	rocks_close(&k->kv);
	return r;
}
