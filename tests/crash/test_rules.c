// SPDX-License-Identifier: Apache-2.0
/* rules: one test for each ordering rule of the store (DESIGN 4.4), under its name.
 *
 * The host calls of the process are watched (hostio), so that "before" means before on the host,
 * whoever made the call. A commit is a write to RocksDB's write-ahead log, map/<number>.log. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/os.h"
#include "store/upkeep.h"
#include "tests/lib/hostio.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK };

static struct tmpstore t;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_fill(&t, "main", "f", 0, 20 * B, 'p');
	sync_branch(&t, "main");
}

static void tear_down(void)
{
	cow_os_fail_after(0, 0);
	tmpstore_release(&t);
}

TestSuite(rules, .init = set_up, .fini = tear_down, .timeout = 120);

static void sync_file(const char *branch, const char *path, cow_errno want)
{
	struct cow_live *l = live_of(&t, branch);
	struct cow_inode *i = path_get(l, path, NULL);
	cow_errno r = cow_file_sync(i, true);

	cr_assert_eq(r, want, "sync %s: %d", path, r);
	cow_inode_put(i);
	cow_live_put(l);
}

/* Every write to an extent file is followed by a sync of that file before the next commit. */
static void assert_data_before_map(void)
{
	size_t n;
	const struct hostio_event *e = hostio_log(&n);
	unsigned commits = 0, writes = 0;

	for (size_t k = 0; k < n; k++) {
		if (e[k].op == HOSTIO_WRITE && strstr(e[k].path, "/map/") &&
		    strstr(e[k].path, ".log")) {
			commits++;
			for (size_t j = 0; j < k; j++) {
				bool synced = false;

				if (e[j].op != HOSTIO_WRITE || !strstr(e[j].path, "/ext/"))
					continue;
				for (size_t s = j + 1; s < k && !synced; s++)
					synced = e[s].op == HOSTIO_SYNC && !e[s].result &&
						 strcmp(e[s].path, e[j].path) == 0;
				if (!synced)
					hostio_print();
				cr_assert(synced, "event %zu commits while event %zu is not synced",
					  k, j);
			}
		}
		writes += strstr(e[k].path, "/ext/") &&
			  (e[k].op == HOSTIO_WRITE || e[k].op == HOSTIO_WRITE_DSYNC);
	}
	cr_assert_gt(writes, 0, "nothing was watched");
	cr_assert_gt(commits, 0, "no commit was seen");
}

/* 1. A record that says "owned" is committed only after the block's data is durable. */
Test(rules, rule1_data_before_map)
{
	branch_make(&t, "child", "main");
	hostio_watch(t.path);
	put_fill(&t, "child", "f", 3 * B, 2 * B, 'c');
	sync_file("child", "f", 0);
	assert_data_before_map();
	hostio_watch(t.path);
	put_fill(&t, "child", "f", 9 * B, 100, 'd');
	snapshot_make(&t, "child", "s");
	assert_data_before_map();
}

/* 2. Space is freed on the host only after the record that makes it unreachable is durable. */
Test(rules, rule2_map_before_free)
{
	const struct hostio_event *e;
	long freed = -1, synced = -1;
	size_t n;

	put_fill(&t, "main", "g", 0, 20 * B, 'g');
	sync_branch(&t, "main");
	snapshot_make(&t, "main", "s");
	hostio_watch(t.path);
	branch_drop(&t, "main");
	expect_clean(&t);
	e = hostio_log(&n);
	for (size_t k = 0; k < n && freed < 0; k++) {
		if (strstr(e[k].path, "/map/") && strstr(e[k].path, ".log") &&
		    e[k].op == HOSTIO_SYNC)
			synced = (long)k;
		if (strstr(e[k].path, "/ext/") &&
		    (e[k].op == HOSTIO_PUNCH || e[k].op == HOSTIO_UNLINK ||
		     e[k].op == HOSTIO_TRUNCATE))
			freed = (long)k;
	}
	cr_assert_geq(freed, 0, "nothing was freed");
	cr_assert(synced >= 0 && synced < freed, "freed at %ld, map durable at %ld", freed, synced);
	cr_assert_eq(host_bytes(&t), 0);
}

static void write_and_sync(struct tmpstore *c, void *arg)
{
	struct cow_live *l = live_of(c, "main");
	struct cow_inode *root = NULL, *dir, *i;

	/* A name, a rename and a size that lead to the data. */
	cow_inode_get(l, cow_live_root(l), &root);
	put_text(c, "main", "dir/tmp", "synced");
	dir = path_get(l, "dir", NULL);
	i = path_get(l, "dir/tmp", NULL);
	if (cow_name_rename(dir, "tmp", root, "final", 0) || cow_file_sync(i, false))
		_exit(6);
	put_text(c, "main", "dir/later", "not synced");
}

/* 3. When fsync is answered, data, size and every name change that leads to the file are there. */
Test(rules, rule3_fsync_means_it)
{
	long at;

	tmpstore_close(&t);
	tmpstore_crash(&t, write_and_sync, NULL);
	tmpstore_open(&t);
	expect_text(&t, "main", "final", "synced");
	expect_missing(&t, "main", "dir/tmp");
	/* In place, it costs one fdatasync and no commit; with nothing written, nothing at all. */
	put_fill(&t, "main", "f", 0, B, 'q');
	sync_file("main", "f", 0);
	put_fill(&t, "main", "f", 0, B, 'r');
	hostio_watch(t.path);
	sync_file("main", "f", 0);
	at = hostio_find(0, HOSTIO_SYNC, "/ext/");
	cr_assert_geq(at, 0, "fsync of a written file did not reach the host");
	cr_assert_lt(hostio_find(0, HOSTIO_SYNC, "/map/"), 0, "and it paid for a commit");
	hostio_watch(t.path);
	sync_file("main", "f", 0);
	cr_assert_eq(hostio_count(), 0, "an fsync with nothing to do reached the host");
}

/* ... and an O_DSYNC write in place, which is a commit of postgres, is one durable host write. */
Test(rules, rule3_a_durable_write_in_place_is_one_host_call)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	const struct hostio_event *e;
	void *page = NULL;
	size_t n;

	cr_assert_eq(posix_memalign(&page, 4096, B), 0);
	memset(page, 'd', B);
	/* What led to the file becomes durable with the first, the second opens it. */
	for (int k = 0; k < 2; k++)
		cr_assert_eq(cow_file_write(i, page, 0, B, COW_WRITE_DSYNC), 0);
	hostio_watch(t.path);
	cr_assert_eq(cow_file_write(i, page, B, B, COW_WRITE_DSYNC), 0);
	e = hostio_log(&n);
	cr_assert_eq(n, 1, "%zu host calls", n);
	cr_assert_eq(e->op, HOSTIO_WRITE_DSYNC);
	cr_assert_eq(e->len, B);
	free(page);
	cow_inode_put(i);
	cow_live_put(l);
}

/* 4. No extent file of a sealed epoch is opened for writing, whatever is done to the head. */
Test(rules, rule4_sealed_never_changes)
{
	const struct hostio_event *e;
	char sealed[256] = "";
	long first;
	size_t n;

	hostio_watch(t.path);
	put_fill(&t, "main", "f", 0, B, 's');
	first = hostio_find(0, HOSTIO_WRITE, "/ext/");
	cr_assert_geq(first, 0);
	e = hostio_log(&n);
	snprintf(sealed, sizeof(sealed), "%s", e[first].path);
	snapshot_make(&t, "main", "s");
	tmpstore_reopen(&t);
	branch_make(&t, "child", "main@s");
	hostio_watch(t.path);
	put_fill(&t, "main", "f", 0, 20 * B, 'x');
	put_fill(&t, "child", "f", 5, B, 'y');
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	struct cow_attr a = {.size = 100};

	cr_assert_eq(cow_file_allocate(i, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3 * B), 0);
	cr_assert_eq(cow_inode_set(i, COW_SET_SIZE, &a), 0);
	cow_inode_put(i);
	cow_live_put(l);
	sync_branch(&t, "main");
	sync_branch(&t, "child");
	e = hostio_log(&n);
	for (size_t k = 0; k < n; k++)
		cr_assert(strcmp(e[k].path, sealed) != 0 || e[k].op == HOSTIO_SYNC,
			  "event %zu changes %s", k, sealed);
	expect_fill(&t, "main@s", "f", 0, B, 's');
}

static cow_errno write_at(struct cow_inode *i, uint64_t off)
{
	char buf[B];

	memset(buf, 'e', sizeof(buf));
	return cow_file_write(i, buf, off, B, 0);
}

/* Lets the host call of the sync fail, wherever it is among the calls. */
static void poison(struct cow_inode *i)
{
	cow_errno r = 0;

	for (uint64_t n = 1; n < 10 && !r; n++) {
		cr_assert_eq(write_at(i, (n % 20) * B), 0);
		cow_os_fail_after(n, EIO);
		r = cow_file_sync(i, true);
		cow_os_fail_after(0, 0);
	}
	cr_assert_eq(r, -EIO, "no host error reached the caller: %d", r);
}

/* 5. After a failed write or fsync every later one of that file fails, also after reopening, and
 * snapshots of the branch are refused; other files go on. */
Test(rules, rule5_an_error_is_kept)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *i = path_get(l, "f", NULL);
	struct cow_branch_info b = {0};

	poison(i);
	for (int k = 0; k < 3; k++) {
		cr_assert_eq(cow_file_sync(i, true), -EIO, "a failed fsync turned into a success");
		cr_assert_eq(write_at(i, 0), -EIO);
	}
	cr_assert_eq(cow_snapshot_create(t.s, "main", "s", NULL, NULL, NULL), -EROFS);
	put_text(&t, "main", "other", "goes on");
	sync_file("main", "other", 0);
	cow_inode_put(i);
	cow_live_put(l);
	cow_store_close(t.s, NULL);
	tmpstore_open(&t);
	cr_assert_eq(cow_branch_get(t.s, "main", &b, NULL), 0);
	cr_assert(b.poisoned, "the poison was forgotten by reopening");
	cow_branch_info_release(&b);
	expect_text(&t, "main", "other", "goes on");
}

static void leave_unsynced(struct tmpstore *c, void *arg)
{
	put_fill(c, "main", "f", 0, 5 * B, 'l');
	put_fill(c, "main", "lost", 0, 5 * B, 'l');
}

/* 6. After a crash the map is the truth: what lies in extent files outside of it is ignored, and
 * freed by gc. */
Test(rules, rule6_the_map_is_the_truth)
{
	struct cow_store_stat st;
	struct cow_live *l;
	struct cow_inode *i;
	cow_errno r;

	tmpstore_close(&t);
	tmpstore_crash(&t, leave_unsynced, NULL);
	hostio_watch(t.path);
	tmpstore_open(&t);
	cow_store_stat(t.s, &st);
	cr_assert(st.recovered, "no recovery after a kill");
	/* Written in place or not at all, block by block; never anything else. */
	l = live_of(&t, "main");
	i = path_get(l, "f", &r);
	for (uint64_t k = 0; k < 20; k++) {
		char buf[B];
		size_t n = 0;

		cr_assert_eq(cow_file_read(i, buf, k * B, B, &n), 0);
		cr_assert_eq(n, B);
		cr_assert(buf[0] == 'p' || (k < 5 && buf[0] == 'l'), "block %llu is '%c'",
			  (unsigned long long)k, buf[0]);
		for (int j = 1; j < B; j++)
			cr_assert_eq(buf[j], buf[0]);
	}
	cow_inode_put(i);
	cow_live_put(l);
	expect_clean(&t);
}

/* 7. Presence comes from the map alone: extent files that were copied without their holes, or with
 * zeroes made into holes, show the same. */
Test(rules, rule7_presence_comes_from_the_map_alone)
{
	char command[2000];

	put_fill(&t, "main", "zeroes", 0, 10 * B, 0);
	put_fill(&t, "main", "sparse", 30 * B, B, 's');
	sync_branch(&t, "main");
	branch_make(&t, "child", "main");
	put_fill(&t, "child", "f", 2 * B, B, 0);
	put_fill(&t, "child", "sparse", 5 * B, B, 'c');
	sync_branch(&t, "child");
	for (int sparse = 0; sparse < 2; sparse++) {
		tmpstore_close(&t);
		snprintf(command, sizeof(command),
			 "cp -a --sparse=%s '%s/ext' '%s/copy' && rm -r '%s/ext' && mv '%s/copy' "
			 "'%s/ext'",
			 sparse ? "always" : "never", t.path, t.path, t.path, t.path, t.path);
		cr_assert_eq(system(command), 0);
		tmpstore_open(&t);
		expect_fill(&t, "child", "f", 2 * B, B, 0);
		expect_fill(&t, "child", "f", 0, 2 * B, 'p');
		expect_fill(&t, "child", "zeroes", 0, 10 * B, 0);
		expect_fill(&t, "child", "sparse", 0, 5 * B, 0);
		expect_fill(&t, "child", "sparse", 5 * B, B, 'c');
		expect_fill(&t, "child", "sparse", 30 * B, B, 's');
		expect_fill(&t, "main", "sparse", 5 * B, B, 0);
	}
}

static _Atomic bool freed;

static void *drop_and_collect(void *arg)
{
	struct cow_gc_result g;

	cow_branch_delete(t.s, "child", NULL);
	cow_gc_run(t.s, &g, NULL);
	freed = true;
	return NULL;
}

/* 8. Punch and unlink wait until every read that began before has ended. */
Test(rules, rule8_nothing_freed_under_a_reader)
{
	struct cow_read *r = malloc(sizeof(*r));
	struct cow_live *l;
	struct cow_inode *i;
	pthread_t thread;
	char buf[B];

	branch_make(&t, "child", "main");
	put_fill(&t, "child", "f", 0, 20 * B, 'c');
	sync_branch(&t, "child");
	l = live_of(&t, "child");
	i = path_get(l, "f", NULL);
	cr_assert_eq(cow_file_read_begin(i, 0, 20 * B, r), 0);
	hostio_watch(t.path);
	cr_assert_eq(pthread_create(&thread, NULL, drop_and_collect, NULL), 0);
	for (int k = 0; k < 30; k++) {
		usleep(10000);
		for (unsigned s = 0; s < r->n; s++) {
			cr_assert_eq(pread(r->seg[s].fd, buf, B, (off_t)r->seg[s].pos), B);
			cr_assert_eq(buf[0], 'c', "the block was freed under its reader");
		}
		cr_assert_lt(hostio_find(0, HOSTIO_UNLINK, "/ext/"), 0);
		cr_assert_lt(hostio_find(0, HOSTIO_PUNCH, "/ext/"), 0);
	}
	cow_file_read_end(r);
	pthread_join(thread, NULL);
	cr_assert(freed);
	cow_inode_put(i);
	cow_live_put(l);
	expect_clean(&t);
	expect_fill(&t, "main", "f", 0, 20 * B, 'p');
	free(r);
}
