// SPDX-License-Identifier: Apache-2.0
/* faults: every host call of a scripted workload fails once, at its begin or after half of its
 * bytes, or only moves them in two parts (DESIGN 4.4, rule 5).
 *
 * The workload writes, syncs, truncates, punches, takes a snapshot, branches and frees, on two
 * files; it is run once to count the host calls and then once for each of them and each error.
 * After the error: the call that met it answers with an error (or the call never promised
 * anything), what was acknowledged before is there, a file that failed keeps failing, the other
 * file goes on, and after opening again the store is consistent.
 *
 *   COWFS_FAULTS_ONLY=17    only the 17th call */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/log.h"
#include "store/os.h"
#include "store/upkeep.h"
#include "tests/lib/kv_mem.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK, STEPS = 22 };

/* What one run knows: filled by the child's steps, checked by the same child. */
struct script {
	struct tmpstore t;
	struct cow_live *l;
	struct cow_inode *a, *b;
	struct kv_mem_disk *disk; /* the map in memory, when its calls are to fail */
	int failed_step;          /* that answered an error; -1 = none */
	cow_errno error;
	bool snapshot, child; /* acknowledged */
};

static cow_errno fill(struct cow_inode *i, uint64_t off, size_t len, int byte, unsigned flags)
{
	/* Aligned: what is written durably goes past the page cache. */
	static uint8_t buf[64 * B] __attribute__((aligned(4096)));

	memset(buf, byte, len);
	return cow_file_write(i, buf, off, len, flags);
}

static cow_errno set_size(struct cow_inode *i, uint64_t size)
{
	const struct cow_attr a = {.size = size};

	return cow_inode_set(i, COW_SET_SIZE, &a);
}

static cow_errno make_child(struct script *s)
{
	const struct cow_branch_create how = {.name = "child", .parent = "main"};

	return cow_branch_create(s->t.s, &how, NULL);
}

static cow_errno write_child(struct script *s)
{
	struct cow_live *l = NULL;
	struct cow_inode *i = NULL;
	cow_errno r = cow_live_get(s->t.s, "child", &l, NULL);

	if (r == 0 && (i = path_get(l, "a", &r)) && (r = fill(i, 100, 3 * B, 'C', 0)) == 0)
		r = cow_file_sync(i, false);
	cow_inode_put(i);
	cow_live_put(l);
	return r;
}

static cow_errno run_gc(struct script *s)
{
	struct cow_gc_result g;

	cow_background_trims(s->t.s);
	return cow_gc_run(s->t.s, &g, NULL);
}

/* Both files hold ten blocks of '0' that are durable when this begins. */
static cow_errno step(struct script *s, int n)
{
	switch (n) {
	case 0:
		return fill(s->a, 0, 2 * B, '1', 0);
	case 1:
		return cow_file_sync(s->a, true);
	case 2:
		return fill(s->a, B / 2, B, '2', COW_WRITE_DSYNC);
	case 3:
		return fill(s->a, 20 * B, 3 * B, '3', 0);
	case 4:
		return cow_file_sync(s->a, false);
	case 5:
		return cow_snapshot_create(s->t.s, "main", "s", NULL, NULL, NULL);
	case 6:
		return fill(s->a, 3 * B + 10, 100, '4', 0);
	case 7:
		return cow_file_sync(s->a, true);
	case 8:
		return fill(s->a, 3 * B, B, '5', COW_WRITE_DSYNC);
	case 9:
		return set_size(s->a, 12 * B + 7);
	case 10:
		return cow_file_sync(s->a, false);
	case 11:
		return cow_file_allocate(s->a, 0, 30 * B, 4 * B);
	case 12:
		return cow_file_allocate(s->a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, B + 5,
					 3 * B);
	case 13:
		return cow_file_sync(s->a, false);
	case 14:
		return make_child(s);
	case 15:
		return write_child(s);
	case 16:
		return fill(s->a, 0, 64 * B, '6', 0);
	case 17:
		return cow_file_sync(s->a, false);
	case 18:
		return cow_branch_delete(s->t.s, "child", NULL);
	case 19:
		return run_gc(s);
	case 20:
		return cow_store_sync(s->t.s);
	default:
		return fill(s->a, 5 * B, B, '7', COW_WRITE_DSYNC);
	}
}

static const char *const step_names[STEPS] = {"write",
					      "fdatasync",
					      "dsync over two blocks",
					      "write far",
					      "fsync",
					      "snapshot",
					      "partial write",
					      "fdatasync",
					      "dsync",
					      "truncate",
					      "fsync",
					      "allocate",
					      "punch",
					      "fsync",
					      "branch",
					      "write in the child",
					      "write of everything",
					      "fsync",
					      "delete the child",
					      "gc",
					      "sync",
					      "dsync"};

static cow_errno open_store(struct script *s, struct cow_error *e)
{
	const struct cow_store_options o = {.no_background = true};
	struct cow_kv *kv = NULL;

	if (!s->disk)
		return cow_store_open(s->t.path, &o, &s->t.s, e);
	cr_assert_eq(kv_mem_open(s->disk, &kv), 0);
	if (s->failed_step < 0) { /* not behind the number beside it, which is RocksDB's */
		CLEANUP(cow_batch_release) struct cow_batch b = {0};

		cow_meta_put(&b, "commit", 1000);
		cr_assert_eq(cow_kv_write(kv, &b, true), 0);
	}
	return cow_store_open_kv(s->t.path, &o, kv, &s->t.s, e);
}

static void begin(struct script *s, bool map_in_memory)
{
	*s = (struct script){.failed_step = -1};
	tmpstore_make(&s->t, false);
	tmpstore_close(&s->t);
	s->disk = map_in_memory ? kv_mem_disk_new() : NULL;
	cr_assert_eq(open_store(s, NULL), 0);
	branch_make(&s->t, "main", NULL);
	put_fill(&s->t, "main", "a", 0, 10 * B, '0');
	put_fill(&s->t, "main", "b", 0, 10 * B, '0');
	sync_branch(&s->t, "main");
	s->l = live_of(&s->t, "main");
	s->a = path_get(s->l, "a", NULL);
	s->b = path_get(s->l, "b", NULL);
}

static void go(struct script *s)
{
	for (int n = 0; n < STEPS; n++) {
		cow_errno r = step(s, n);

		if (r < 0) {
			s->failed_step = n;
			s->error = r;
			return;
		}
		s->snapshot = s->snapshot || n == 5;
		s->child = (s->child || n == 14) && n != 18;
	}
}

static void end(struct script *s)
{
	cow_inode_put(s->a);
	cow_inode_put(s->b);
	cow_live_put(s->l);
}

/* --- what must hold after the error --- */

static int bad(const struct script *s, const char *what, long detail)
{
	fprintf(stderr, "  step %d (%s) failed with %d: %s (%ld)\n", s->failed_step,
		s->failed_step < 0 ? "none" : step_names[s->failed_step], s->error, what, detail);
	return 1;
}

static int all_bytes(struct cow_inode *i, uint64_t off, size_t len, int byte)
{
	static uint8_t buf[64 * B];
	size_t n = 0;
	cow_errno r = cow_file_read(i, buf, off, len, &n);

	for (size_t k = 0; r == 0 && k < n; k++)
		if (buf[k] != byte)
			return (int)(1 + k);
	return r < 0 ? r : n == len ? 0 : -ENODATA;
}

/* The other file is read, written and synced as if nothing had happened. */
static int others_go_on(struct script *s)
{
	int r;

	if ((r = all_bytes(s->b, 0, 10 * B, '0')))
		return bad(s, "the other file reads wrong", r);
	if ((r = fill(s->b, 0, B, 'b', 0)) || (r = cow_file_sync(s->b, true)) ||
	    (r = fill(s->b, B, B, 'b', COW_WRITE_DSYNC)))
		return bad(s, "the other file cannot be written", r);
	if ((r = all_bytes(s->b, 0, 2 * B, 'b')))
		return bad(s, "the other file reads wrong after writing", r);
	return 0;
}

static bool is_poisoned(struct script *s)
{
	struct cow_branch_info b = {0};
	bool poisoned = cow_branch_get(s->t.s, "main", &b, NULL) == 0 && b.poisoned;

	cow_branch_info_release(&b);
	return poisoned;
}

/* A failed sync, and any failed write but one that found the disk full, spoils the file for good.
 */
static int error_is_kept(struct script *s)
{
	int n = s->failed_step;
	bool sync = n == 1 || n == 4 || n == 7 || n == 10 || n == 13 || n == 17;
	bool dsync = n == 2 || n == 8 || n == 21, write = n == 0 || n == 3 || n == 6 || n == 16;
	int r;

	if (!sync && !((dsync || write) && s->error != -ENOSPC)) {
		/* Whatever failed: if the file still takes a sync, that sync has to be true. */
		return 0;
	}
	for (int k = 0; k < 3; k++)
		if ((r = cow_file_sync(s->a, false)) != -EIO)
			return bad(s, "a later fsync answers", r);
	if ((r = fill(s->a, 0, B, 'z', 0)) != -EIO)
		return bad(s, "a later write answers", r);
	if (!is_poisoned(s))
		return bad(s, "the branch is not marked", 0);
	if ((r = cow_snapshot_create(s->t.s, "main", "refused", NULL, NULL, NULL)) != -EROFS)
		return bad(s, "a snapshot of it answers", r);
	return 0;
}

/* A branch with a spoilt file is one fault by itself, lifted by recovering it; all others count. */
static void note_fault(const struct cow_fault *f, void *arg)
{
	if (strstr(f->what, "branch recover"))
		return;
	++*(unsigned *)arg;
	fprintf(stderr, "  fault: %s/%s epoch %llu inode %llu block %lld: %s\n", f->branch, f->path,
		(unsigned long long)f->epoch, (unsigned long long)f->ino, (long long)f->block,
		f->what);
}

/* What every step that answered 0 before the failure had made durable, in file a. */
static int durable_is_there(struct script *s)
{
	int n = s->failed_step < 0 ? STEPS : s->failed_step, r = 0;
	struct cow_live *l = NULL;
	struct cow_inode *i;

	if (cow_live_get(s->t.s, "main", &l, NULL) || !(i = path_get(l, "a", NULL)))
		return bad(s, "the file is gone", 0);
	if (n > 5 && (r = cow_live_get_point(s->t.s, "main@s", &s->l, NULL)) == 0) {
		struct cow_inode *old = path_get(s->l, "a", NULL);

		if (!old || all_bytes(old, 20 * B, 3 * B, '3') || all_bytes(old, 0, B / 2, '1') ||
		    all_bytes(old, B / 2, B, '2') || all_bytes(old, 2 * B, 8 * B, '0'))
			r = -EILSEQ;
		cow_inode_put(old);
		cow_live_put(s->l);
	}
	if (r)
		bad(s, "the snapshot is not as it was acknowledged", r);
	/* Block 9: '0' until everything is overwritten; never touched by a step that can be half
	 * done. */
	if (r == 0 && n < 16 && (r = all_bytes(i, 9 * B, B, '0')))
		bad(s, "an old block was lost", r);
	if (r == 0 && n > 17 && (r = all_bytes(i, 10 * B, 50 * B, '6')))
		bad(s, "acknowledged bytes were lost", r);
	if (r == 0 && n > 2 && n < 12 && (r = all_bytes(i, B / 2, B, '2')))
		bad(s, "acknowledged bytes were lost", r);
	cow_inode_put(i);
	cow_live_put(l);
	return r != 0;
}

static int verify_is_clean(struct script *s, bool recovered)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_verify_result v = {0};
	struct cow_gc_result g = {0};
	unsigned faults = 0;
	cow_errno r = cow_gc_run(s->t.s, &g, &e);

	if (r == 0)
		r = cow_verify(s->t.s, NULL, 0, false, note_fault, NULL, &faults, &v, &e);
	if (r < 0)
		return bad(s, e.text, r);
	if (faults || v.leaked_bytes || (recovered && v.faults))
		return bad(s, "verify finds faults or leaks", (long)(v.faults + v.leaked_bytes));
	return 0;
}

/* What never reached the disk is dropped, and the file takes writes again. */
static int recover_branches(struct script *s)
{
	static const char *const names[] = {"main", "child"};
	struct cow_error e = COW_ERROR_INIT;

	for (int k = 0; k < 2; k++) {
		struct cow_branch_info b = {0};
		cow_errno r = cow_branch_get(s->t.s, names[k], &b, NULL);

		if (r == 0 && b.poisoned)
			r = cow_branch_recover(s->t.s, names[k], &e);
		cow_branch_info_release(&b);
		if (r < 0 && r != -ENOENT)
			return bad(s, e.text, r);
	}
	return 0;
}

static int takes_writes(struct script *s)
{
	struct cow_live *l = NULL;
	struct cow_inode *i = NULL;
	cow_errno r = cow_live_get(s->t.s, "main", &l, NULL);

	if (r == 0 && (i = path_get(l, "a", &r)) && (r = fill(i, 80 * B, B, 'w', 0)) == 0 &&
	    (r = cow_file_sync(i, false)) == 0)
		r = cow_snapshot_create(s->t.s, "main", "recovered", NULL, NULL, NULL);
	cow_inode_put(i);
	cow_live_put(l);
	return r ? bad(s, "the recovered branch cannot be used", r) : 0;
}

static int again(struct script *s)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = open_store(s, &e);
	int failed;

	if (r < 0)
		return bad(s, e.text, r);
	failed = durable_is_there(s) || verify_is_clean(s, false) || recover_branches(s) ||
		 durable_is_there(s) || takes_writes(s) || verify_is_clean(s, true) ||
		 durable_is_there(s);
	cow_store_close(s->t.s, NULL);
	return failed;
}

/* In a child: a crash or a hang is a failure of its own. */
static int one_fault(uint64_t (*arm)(uint64_t n, int err), uint64_t nth, int err)
{
	struct script s;
	int failed;

	begin(&s, false);
	cow_log_set_level(COW_LOG_ERROR - 1);
	arm(nth, err);
	go(&s);
	arm(0, 0);
	failed = err == 0 && s.failed_step >= 0 ? bad(&s, "nothing was asked to fail", 0) : 0;
	failed = failed || others_go_on(&s) || (s.failed_step >= 0 && error_is_kept(&s));
	end(&s);
	if (!failed) {
		cow_store_close(s.t.s, NULL);
		failed = again(&s);
	}
	tmpdir_remove(s.t.dir);
	return failed;
}

static int one_host_fault(uint64_t nth, int err)
{
	return one_fault(cow_os_fail_after, nth, err);
}

/* Half of the bytes are moved; then the error, or (0) the rest. */
static int one_short_transfer(uint64_t nth, int err)
{
	return one_fault(cow_os_short_after, nth, err);
}

/* The map stops for good at its first error; half of the time the power goes as well, and what it
 * had not synced with it. */
static int one_map_fault(uint64_t nth, int err)
{
	struct script s;
	int failed = 0;

	begin(&s, true);
	cow_log_set_level(COW_LOG_ERROR - 1);
	kv_mem_fail(s.disk, KV_MEM_WRITE, (unsigned)nth, -err);
	go(&s);
	if (s.failed_step < 0)
		failed = bad(&s, "no call said that the map cannot be written", 0);
	end(&s);
	if (cow_store_close(s.t.s, NULL) == 0)
		failed = bad(&s, "closing says that everything is durable", 0);
	if (nth % 2)
		kv_mem_power_cut(s.disk, 0);
	failed = failed || again(&s);
	tmpdir_remove(s.t.dir);
	return failed;
}

static void need_no_fault(const struct script *s)
{
	cr_assert_eq(s->failed_step, -1, "the workload fails by itself at step %d: %d",
		     s->failed_step, s->error);
}

static uint64_t count_host_calls(void)
{
	struct script s;
	uint64_t n;

	begin(&s, false);
	cow_os_fail_after(UINT64_MAX, EIO);
	go(&s);
	n = cow_os_fail_after(0, 0);
	need_no_fault(&s);
	end(&s);
	tmpstore_release(&s.t);
	return n;
}

static uint64_t count_map_writes(void)
{
	struct script s;
	uint64_t before, n;

	begin(&s, true);
	before = kv_mem_calls(s.disk, KV_MEM_WRITE);
	go(&s);
	n = kv_mem_calls(s.disk, KV_MEM_WRITE) - before;
	need_no_fault(&s);
	end(&s);
	tmpstore_release(&s.t);
	kv_mem_disk_free(s.disk);
	return n;
}

static unsigned in_child(int (*fault)(uint64_t nth, int err), uint64_t nth, int err)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		alarm(60);
		_exit(fault(nth, err));
	}
	waitpid(pid, &status, 0);
	if (status)
		fprintf(stderr, "  status %#x; again: COWFS_FAULTS_ONLY=%llu (errno %d)\n",
			(unsigned)status, (unsigned long long)nth, err);
	return status != 0;
}

static void every_call_fails(int (*fault)(uint64_t nth, int err), uint64_t n, int err)
{
	const char *only = getenv("COWFS_FAULTS_ONLY");
	unsigned failures = 0;

	cr_assert_gt(n, 10, "only %llu calls", (unsigned long long)n);
	for (uint64_t k = 1; k <= n; k++)
		if (!only || strtoull(only, NULL, 10) == k)
			failures += in_child(fault, k, err);
	fprintf(stderr, "%llu calls met it once: %s\n", (unsigned long long)n,
		err ? strerror(err) : "a short transfer");
	cr_assert_eq(failures, 0, "%u of %llu faults were not taken well", failures,
		     (unsigned long long)n);
}

TestSuite(faults, .timeout = 1200);

Test(faults, every_host_call_fails_with_EIO)
{
	every_call_fails(one_host_fault, count_host_calls(), EIO);
}

Test(faults, every_host_call_fails_with_ENOSPC)
{
	every_call_fails(one_host_fault, count_host_calls(), ENOSPC);
}

/* As a transfer near the end of a disk, or one that a signal met: the rest has to follow. */
Test(faults, every_transfer_is_short_and_goes_on)
{
	every_call_fails(one_short_transfer, count_host_calls(), 0);
}

Test(faults, every_transfer_is_short_and_fails_with_EIO)
{
	every_call_fails(one_short_transfer, count_host_calls(), EIO);
}

Test(faults, every_transfer_is_short_and_fails_with_ENOSPC)
{
	every_call_fails(one_short_transfer, count_host_calls(), ENOSPC);
}

Test(faults, every_write_to_the_map_fails)
{
	every_call_fails(one_map_fault, count_map_writes(), EIO);
}

/* One spoilt file does not keep the rest of the store from being verified. */
Test(faults, verify_works_beside_a_poisoned_file)
{
	struct script s;

	begin(&s, false);
	cr_assert_eq(fill(s.a, 0, B, 'x', 0), 0);
	s.failed_step = 1;
	cow_os_fail_after(1, EIO);
	cr_assert_eq(cow_file_sync(s.a, true), -EIO);
	cow_os_fail_after(0, 0);
	end(&s);
	cow_store_close(s.t.s, NULL);
	cr_expect_eq(again(&s), 0);
	tmpdir_remove(s.t.dir);
}
