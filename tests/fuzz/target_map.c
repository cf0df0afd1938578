// SPDX-License-Identifier: Apache-2.0
/* A map with records that nobody wrote. The input is a list of changes to the records of a sound
 * store: overwritten bytes, cut values, other keys, records that are gone or new. Then everything
 * is asked of it: it may refuse, but neither crash, nor hang, nor read what is not there.
 *
 * A change: record u16, kind u8, offset u8, length u8, bytes. */
#include <errno.h>
#include <string.h>

#include "store/branch.h"
#include "store/core.h"
#include "store/file.h"
#include "store/upkeep.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/kv_mem.h"

struct record {
	uint8_t key[600], val[8192];
	size_t klen, vlen;
};

struct records {
	struct record *at;
	size_t n;
};

static int collect(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	struct records *all = arg;
	struct record *r;

	if (klen > sizeof(r->key) || vlen > sizeof(r->val))
		return 0;
	all->at = realloc(all->at, (all->n + 1) * sizeof(*all->at));
	fuzz_want(all->at);
	r = &all->at[all->n++];
	memcpy(r->key, key, klen);
	memcpy(r->val, val, vlen);
	r->klen = klen;
	r->vlen = vlen;
	return 0;
}

/* Bytes from the input over those of the record, which may become longer; len 0 cuts it there. */
static void overwrite(uint8_t *at, size_t *len, size_t max, size_t off, const uint8_t *with,
		      size_t n)
{
	off = *len ? off % (*len + 1) : 0;
	if (n == 0) {
		*len = off;
		return;
	}
	if (off + n > max)
		return;
	memcpy(at + off, with, n);
	if (off + n > *len)
		*len = off + n;
}

static void damage(struct cow_kv *kv, const uint8_t *data, size_t size)
{
	struct records all = {0};
	struct cow_batch b = {0};

	kv->ops->scan(kv, "", 0, NULL, 0, collect, &all);
	fuzz_want(all.n > 0);
	for (unsigned k = 0; size >= 5 && k < 8; k++) {
		struct record *r = &all.at[((size_t)data[0] << 8 | data[1]) % all.n];
		unsigned kind = data[2] % 4;
		size_t off = data[3], n = data[4] < size - 5 ? data[4] : size - 5;

		if (kind == 0 || kind == 2) /* in place, or in place of another key */
			cow_batch_del(&b, r->key, r->klen);
		if (kind == 1)
			overwrite(r->val, &r->vlen, sizeof(r->val), off, data + 5, n);
		else if (kind > 1)
			overwrite(r->key, &r->klen, sizeof(r->key), off, data + 5, n);
		if (kind != 0)
			cow_batch_put(&b, r->key, r->klen, r->val, r->vlen);
		data += 5 + n;
		size -= 5 + n;
	}
	fuzz_want(cow_kv_write(kv, &b, true) == 0);
	cow_batch_release(&b);
	free(all.at);
}

static void no_fault(const struct cow_fault *f, void *arg)
{
	fuzz_want(f->what && f->branch && f->path);
}

static int no_diff(const struct cow_diff_entry *d, void *arg)
{
	return 0;
}

static int no_snapshot(const struct cow_snapshot_info *p, void *arg)
{
	return 0;
}

struct walk {
	struct cow_live *l;
	bool write;
	unsigned depth, left; /* a directory may be its own child; so that it ends */
};

static int visit(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	static uint8_t buf[256 << 10];
	struct walk *w = arg;
	struct cow_inode *i = NULL;
	struct cow_attr a;
	size_t n = 0;
	uint64_t at;

	if (w->left-- == 0 || cow_inode_get(w->l, ino, &i) < 0)
		return w->left == 0;
	cow_inode_attr(i, &a);
	if (S_ISDIR(a.mode)) {
		if (w->depth < 4) {
			w->depth++;
			cow_name_each(i, visit, w);
			w->depth--;
		}
	} else if (S_ISREG(a.mode)) {
		cow_file_read(i, buf, 0, sizeof(buf), &n);
		cow_file_read(i, buf, a.size > sizeof(buf) ? a.size - sizeof(buf) : 0, sizeof(buf),
			      &n);
		cow_file_seek(i, 0, SEEK_HOLE, &at);
		if (w->write) {
			cow_file_write(i, "changed", 100, 7, 0);
			cow_file_sync(i, false);
			a.size = 9000;
			cow_inode_set(i, COW_SET_SIZE, &a);
			cow_file_sync(i, false);
		}
	} else {
		char target[200];

		cow_name_readlink(i, target, sizeof(target), &n);
	}
	cow_inode_put(i);
	return 0;
}

static void use(struct cow_store *s, const char *reference, bool write)
{
	struct walk w = {.write = write, .left = 100};
	struct cow_inode *root = NULL;

	if ((write ? cow_live_get(s, reference, &w.l, NULL)
		   : cow_live_get_point(s, reference, &w.l, NULL)) < 0)
		return;
	if (cow_inode_get(w.l, cow_live_root(w.l), &root) == 0) {
		cow_name_each(root, visit, &w);
		if (write)
			cow_name_unlink(root, "data");
		cow_inode_put(root);
	}
	cow_live_sync(w.l);
	cow_live_put(w.l);
}

static void use_all(struct cow_store *s)
{
	const char *names[] = {"main", "child", "grand/child"};
	struct cow_branch_create how = {.name = "fresh", .parent = "child"};
	struct cow_verify_result v;
	struct cow_gc_result g;
	struct cow_du du;
	uint64_t freed;

	cow_verify(s, NULL, 0, false, no_fault, NULL, NULL, &v, NULL);
	cow_snapshot_each(s, NULL, no_snapshot, NULL);
	for (int k = 0; k < 3; k++) {
		struct cow_branch_info b = {0};

		if (cow_branch_get(s, names[k], &b, NULL) == 0)
			cow_branch_info_release(&b);
		use(s, names[k], true);
		use(s, names[k], false);
		cow_du_branch(s, names[k], &du, NULL);
	}
	use(s, "main@one", false);
	cow_diff(s, "main@one", "child", no_diff, NULL, NULL);
	cow_du_freed(s, names, 3, &freed, NULL);
	cow_branch_create(s, &how, NULL);
	cow_snapshot_create(s, "main", "three", NULL, NULL, NULL);
	cow_branch_reset(s, &(struct cow_branch_reset){.name = "child"}, NULL);
	cow_branch_promote(s, "child", NULL, NULL, NULL);
	cow_snapshot_delete(s, "main", "one", NULL);
	cow_branch_recover(s, "main", NULL);
	cow_gc_run(s, &g, NULL);
	for (int k = 0; k < 3; k++)
		cow_branch_delete(s, names[k], NULL);
	cow_gc_run(s, &g, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_store t;
	struct cow_kv *kv;

	fuzz_store_make(&t);
	cow_store_close(t.s, NULL);
	t.s = NULL;
	fuzz_want(kv_mem_open(t.disk, &kv) == 0);
	damage(kv, data, size);
	kv->ops->close(kv);
	fuzz_store_reopen(&t);
	if (t.s)
		use_all(t.s);
	fuzz_store_release(&t);
	return 0;
}
