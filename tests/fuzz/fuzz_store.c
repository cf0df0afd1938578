// SPDX-License-Identifier: Apache-2.0
/* fuzz_store: see fuzz.h. Without background threads, so that an input always does the same. */
#include <ftw.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/branch.h"
#include "store/core.h"
#include "store/file.h"
#include "store/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/kv_mem.h"

enum { B = COW_BLOCK };

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static void put_file(struct cow_store *s, const char *branch, const char *name, uint64_t off,
		     size_t len, int byte)
{
	const struct cow_name_create how = {.mode = S_IFREG | 0600};
	static uint8_t buf[8 * B];
	struct cow_inode *root = NULL, *i = NULL;
	struct cow_live *l = NULL;

	fuzz_want(len <= sizeof(buf));
	memset(buf, byte, len);
	fuzz_want(cow_live_get(s, branch, &l, NULL) == 0);
	fuzz_want(cow_inode_get(l, cow_live_root(l), &root) == 0);
	if (cow_name_lookup(root, name, &i) < 0)
		fuzz_want(cow_name_create(root, name, &how, &i) == 0);
	fuzz_want(cow_file_write(i, buf, off, len, 0) == 0);
	fuzz_want(cow_file_sync(i, false) == 0);
	cow_inode_put(i);
	cow_inode_put(root);
	cow_live_put(l);
}

static void put_names(struct cow_store *s)
{
	struct cow_name_create dir = {.mode = S_IFDIR | 0700},
			       link = {.mode = S_IFLNK | 0777, .target = "data"};
	struct cow_inode *root = NULL, *d = NULL, *i = NULL;
	struct cow_live *l = NULL;

	fuzz_want(cow_live_get(s, "main", &l, NULL) == 0);
	fuzz_want(cow_inode_get(l, cow_live_root(l), &root) == 0);
	fuzz_want(cow_name_create(root, "base", &dir, &d) == 0);
	fuzz_want(cow_name_create(d, "link", &link, &i) == 0);
	cow_inode_put(i);
	fuzz_want(cow_name_lookup(root, "data", &i) == 0);
	fuzz_want(cow_name_link(i, d, "again") == 0);
	cow_inode_put(i);
	cow_inode_put(d);
	cow_inode_put(root);
	fuzz_want(cow_live_sync(l) == 0);
	cow_live_put(l);
}

static void fill(struct cow_store *s)
{
	struct cow_branch_create make = {.name = "main", .empty = true, .root_mode = 0700};

	fuzz_want(cow_branch_create(s, &make, NULL) == 0);
	put_file(s, "main", "data", 0, 4 * B, 'a');
	put_names(s);
	fuzz_want(cow_snapshot_create(s, "main", "one", "the first", NULL, NULL) == 0);
	put_file(s, "main", "data", B, 3000, 'b');
	put_file(s, "main", "far", 9ull << 20, B + 5, 'c');
	make = (struct cow_branch_create){.name = "child", .parent = "main"};
	fuzz_want(cow_branch_create(s, &make, NULL) == 0);
	put_file(s, "child", "data", 3 * B, 2 * B, 'd');
	make = (struct cow_branch_create){.name = "grand/child", .parent = "main@one"};
	fuzz_want(cow_branch_create(s, &make, NULL) == 0);
	put_file(s, "grand/child", "data", 0, 10, 'e');
	fuzz_want(cow_snapshot_create(s, "main", "two", NULL, NULL, NULL) == 0);
	put_file(s, "main", "data", 0, 10, 'f');
}

static void open_it(struct fuzz_store *t)
{
	const struct cow_store_options o = {.no_background = true, .max_files = 64};
	struct cow_kv *kv = NULL;
	char path[80];

	snprintf(path, sizeof(path), "%s/store", t->dir);
	fuzz_want(kv_mem_open(t->disk, &kv) == 0);
	if (cow_store_open_kv(path, &o, kv, &t->s, NULL) < 0)
		t->s = NULL;
}

/* What cow_store_create leaves, without a RocksDB: that would take most of the time of an input. */
static void make_files(const char *dir)
{
	static const char *const dirs[] = {"store", "store/map", "store/ext"};
	static const char *const files[][2] = {{"store/COMMIT", "1 clean\n"},
					       {"store/VERSION", "cowfs store 1\n"}};
	char path[100];

	for (int k = 0; k < 3; k++) {
		snprintf(path, sizeof(path), "%s/%s", dir, dirs[k]);
		fuzz_want(mkdir(path, 0700) == 0);
	}
	for (int k = 0; k < 2; k++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, files[k][0]);
		f = fopen(path, "w");
		fuzz_want(f && fputs(files[k][1], f) >= 0 && fclose(f) == 0);
	}
}

void fuzz_store_make(struct fuzz_store *t)
{
	struct cow_batch b = {0};
	struct cow_kv *kv = NULL;

	cow_log_set_level(0);
	snprintf(t->dir, sizeof(t->dir), "/dev/shm/cowfs-fuzz.XXXXXX");
	fuzz_want(mkdtemp(t->dir));
	make_files(t->dir);
	fuzz_want((t->disk = kv_mem_disk_new()));
	fuzz_want(kv_mem_open(t->disk, &kv) == 0);
	cow_meta_put(&b, "commit", 1);
	fuzz_want(cow_kv_write(kv, &b, true) == 0);
	cow_batch_release(&b);
	kv->ops->close(kv);
	open_it(t);
	fuzz_want(t->s);
	fill(t->s);
}

void fuzz_store_reopen(struct fuzz_store *t)
{
	if (t->s)
		cow_store_close(t->s, NULL);
	open_it(t);
}

void fuzz_store_release(struct fuzz_store *t)
{
	if (t->s)
		cow_store_close(t->s, NULL);
	kv_mem_disk_free(t->disk);
	nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
