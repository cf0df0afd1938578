// SPDX-License-Identifier: Apache-2.0
/* upkeep: space, differences, garbage, checks. */
#include "store/upkeep.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/format.h"
#include "store/kv.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK };

static struct tmpstore t;

static void set_up(void)
{
	tmpstore_make(&t, true);
	put_fill(&t, "main", "f", 0, 100 * B, 'p');
	sync_branch(&t, "main");
}

static void tear_down(void)
{
	tmpstore_release(&t);
}

TestSuite(gc, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(du, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(diff, .init = set_up, .fini = tear_down, .timeout = 60);
TestSuite(verify, .init = set_up, .fini = tear_down, .timeout = 60);

/* An overwritten block that only a deleted snapshot saw comes back. */
Test(gc, frees_what_only_a_deleted_snapshot_saw)
{
	uint64_t before = host_bytes(&t);

	snapshot_make(&t, "main", "s1");
	put_fill(&t, "main", "f", 0, 100 * B, 'n');
	sync_branch(&t, "main");
	expect_clean(&t);
	cr_assert_geq(host_bytes(&t), before + 100 * B, "the snapshot needs its blocks");
	expect_fill(&t, "main@s1", "f", 0, 100 * B, 'p');
	cr_assert_eq(cow_snapshot_delete(t.s, "main", "s1", NULL), 0);
	expect_clean(&t);
	cr_assert_leq(host_bytes(&t), before + 4 * B, "%llu, was %llu",
		      (unsigned long long)host_bytes(&t), (unsigned long long)before);
	expect_fill(&t, "main", "f", 0, 100 * B, 'n');
}

/* Of two snapshots the middle version goes alone. */
Test(gc, frees_the_version_between_two_points)
{
	snapshot_make(&t, "main", "s1");
	put_fill(&t, "main", "f", 10 * B, B, 'm');
	snapshot_make(&t, "main", "s2");
	put_fill(&t, "main", "f", 10 * B, B, 'n');
	cr_assert_eq(cow_snapshot_delete(t.s, "main", "s2", NULL), 0);
	expect_clean(&t);
	expect_fill(&t, "main@s1", "f", 0, 100 * B, 'p');
	expect_fill(&t, "main", "f", 10 * B, B, 'n');
	expect_fill(&t, "main", "f", 11 * B, 89 * B, 'p');
}

/* The point that a child began over stays whole, also what the child itself has replaced, until the
 * child goes. */
Test(gc, keeps_the_point_of_a_child_until_the_child_goes)
{
	uint64_t all = host_bytes(&t);

	branch_make(&t, "child", "main");
	put_fill(&t, "child", "f", 0, 50 * B, 'c');
	sync_branch(&t, "child");
	branch_drop(&t, "main");
	expect_clean(&t);
	cr_assert_leq(host_bytes(&t), all + 50 * B + 4 * B);
	expect_fill(&t, "child", "f", 0, 50 * B, 'c');
	expect_fill(&t, "child", "f", 50 * B, 50 * B, 'p');
	branch_drop(&t, "child");
	expect_clean(&t);
	cr_assert_eq(host_bytes(&t), 0, "%llu bytes left", (unsigned long long)host_bytes(&t));
}

Test(gc, deleted_files_give_their_space_back)
{
	struct cow_live *l = live_of(&t, "main");
	struct cow_inode *root = NULL;

	cr_assert_eq(cow_inode_get(l, cow_live_root(l), &root), 0);
	cr_assert_eq(cow_name_unlink(root, "f"), 0);
	cow_inode_put(root);
	cow_live_put(l);
	sync_branch(&t, "main");
	expect_clean(&t);
	cr_assert_eq(host_bytes(&t), 0, "%llu bytes left", (unsigned long long)host_bytes(&t));
}

static void write_and_delete(struct tmpstore *c, void *arg)
{
	put_fill(c, "main", "g", 0, 50 * B, 'g');
	branch_make(c, "child", "main");
	put_fill(c, "child", "f", 0, 100 * B, 'c');
	sync_branch(c, "child");
	branch_drop(c, "child");
	put_fill(c, "main", "never-synced", 0, 50 * B, 'x');
}

/* A kill in the middle leaves nothing behind for ever. */
Test(gc, nothing_leaks_after_a_kill)
{
	tmpstore_close(&t);
	tmpstore_crash(&t, write_and_delete, NULL);
	tmpstore_open(&t);
	expect_clean(&t);
	expect_fill(&t, "main", "f", 0, 100 * B, 'p');
	branch_drop(&t, "main");
	expect_clean(&t);
	cr_assert_eq(host_bytes(&t), 0, "%llu bytes left", (unsigned long long)host_bytes(&t));
}

Test(du, tells_own_from_shared)
{
	struct cow_du d = {0};
	uint64_t freed = 99;

	branch_make(&t, "child", "main");
	put_fill(&t, "child", "f", 0, 10 * B, 'c');
	sync_branch(&t, "child");
	cr_assert_eq(cow_du_branch(t.s, "child", &d, NULL), 0);
	cr_assert_eq(d.logical, 100 * B);
	cr_assert_eq(d.unique, 10 * B, "%llu", (unsigned long long)d.unique);
	cr_assert_eq(cow_du_branch(t.s, "main", &d, NULL), 0);
	cr_assert_eq(d.logical, 100 * B);
	cr_assert_eq(d.unique, 0, "its child hangs on all of it");
	cr_assert_eq(cow_du_freed(t.s, (const char *[]){"main", "child"}, 2, &freed, NULL), 0);
	cr_assert_eq(freed, 110 * B, "%llu", (unsigned long long)freed);
	cr_assert_eq(cow_du_branch(t.s, "nobody", &d, NULL), -ENOENT);
}

Test(du, an_untouched_branch_takes_nothing)
{
	struct cow_du d = {.unique = 99};

	branch_make(&t, "child", "main");
	cr_assert_eq(cow_du_branch(t.s, "child", &d, NULL), 0);
	cr_assert_eq(d.unique, 0);
	cr_assert_eq(d.logical, 100 * B);
}

struct seen {
	char text[2000];
};

static int note_diff(const struct cow_diff_entry *d, void *arg)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%c %s %llu %llu%s\n", "+-~"[d->kind], d -> path,
		 (unsigned long long)d -> blocks, (unsigned long long)d -> bytes,
		 d -> attr_only ? " attr" : "");
	return 0;
}

Test(diff, finds_exactly_what_changed)
{
	struct seen s = {""};
	struct cow_live *l;
	struct cow_inode *i;
	struct cow_attr a = {.mode = 0640};

	put_text(&t, "main", "dir/gone", "gone");
	put_text(&t, "main", "mode", "mode");
	put_text(&t, "main", "same", "same");
	branch_make(&t, "child", "main");
	cr_assert_eq(cow_diff(t.s, "main", "child", note_diff, &s, NULL), 0);
	cr_assert_str_eq(s.text, "", "nothing differs yet");
	put_fill(&t, "child", "f", 3 * B, B, 'c');
	put_fill(&t, "child", "f", 50 * B + 5, 10, 'c');
	put_fill(&t, "child", "f", 70 * B, B, 'p'); /* written, and still the same */
	put_text(&t, "child", "new", "new");
	l = live_of(&t, "child");
	i = path_get(l, "mode", NULL);
	cr_assert_eq(cow_inode_set(i, COW_SET_MODE, &a), 0);
	cow_inode_put(i);
	i = path_get(l, "dir", NULL);
	cr_assert_eq(cow_name_unlink(i, "gone"), 0);
	cow_inode_put(i);
	cow_live_put(l);
	sync_branch(&t, "child");
	cr_assert_eq(cow_diff(t.s, "main", "child", note_diff, &s, NULL), 0);
	cr_assert(strstr(s.text, "~ f 2 16384\n"), "%s", s.text);
	cr_assert(strstr(s.text, "+ new 1 3\n"), "%s", s.text);
	cr_assert(strstr(s.text, "- dir/gone 1 4\n"), "%s", s.text);
	cr_assert(strstr(s.text, "~ mode 0 0 attr\n"), "%s", s.text);
	cr_assert_null(strstr(s.text, "same"), "%s", s.text);
	cr_assert_eq(cow_diff(t.s, "main", "nobody", note_diff, &s, NULL), -ENOENT);
}

static char found_file[1024]; /* nftw has no argument for its callback */

static int find_big(const char *path, const struct stat *st, int type, struct FTW *where)
{
	if (type == FTW_F && st->st_size >= 50 * B)
		snprintf(found_file, sizeof(found_file), "%s", path);
	return 0;
}

static void flip_byte(uint64_t off)
{
	char ext[400], c;
	int fd;

	snprintf(ext, sizeof(ext), "%s/ext", t.path);
	found_file[0] = '\0';
	nftw(ext, find_big, 16, FTW_PHYS);
	cr_assert(found_file[0]);
	fd = open(found_file, O_RDWR);
	cr_assert_eq(pread(fd, &c, 1, (off_t)off), 1);
	c ^= 0x40;
	cr_assert_eq(pwrite(fd, &c, 1, (off_t)off), 1);
	close(fd);
}

struct faults {
	unsigned n;
	uint64_t block;
	char branch[300], path[300], what[300];
	char all[4000]; /* what was said, a line each */
};

static void note_fault(const struct cow_fault *f, void *arg)
{
	struct faults *all = arg;

	all->n++;
	all->block = f->block;
	snprintf(all->branch, sizeof(all->branch), "%s", f->branch);
	snprintf(all->path, sizeof(all->path), "%s", f->path);
	snprintf(all->what, sizeof(all->what), "%s", f->what);
	snprintf(all->all + strlen(all->all), sizeof(all->all) - strlen(all->all), "%s: %s\n",
		 f->branch, f->what);
}

static void verify(const char *branch, struct faults *all, struct cow_verify_result *v)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r;

	*all = (struct faults){0};
	*v = (struct cow_verify_result){0};
	r = cow_verify(t.s, &branch, branch ? 1 : 0, false, note_fault, NULL, all, v, &e);
	cr_assert_eq(r, 0, "verify: %d %s", r, e.text);
	cr_assert_eq(v->faults, all->n);
}

/* One flipped bit in a sealed extent file is found and named: branch, file, block. */
Test(verify, names_the_block_with_a_flipped_bit)
{
	struct cow_verify_result v;
	struct faults all;

	snapshot_make(&t, "main", "s1");
	put_text(&t, "main", "other", "x"); /* the head moves on: what is under s1 is sealed */
	verify(NULL, &all, &v);
	cr_assert_eq(all.n, 0, "%s", all.what);
	cr_assert_gt(v.sums_checked + v.sums_missing, 0);
	tmpstore_reopen(&t);
	flip_byte(42 * B + 77);
	verify("main", &all, &v);
	cr_assert_geq(all.n, 1);
	cr_assert_eq(all.block, 42, "block %llu", (unsigned long long)all.block);
	cr_assert_str_eq(all.path, "f");
	cr_assert(strstr(all.branch, "main"), "%s", all.branch);
}

/* With verify_reads a wrong sum is an error to the reader, and other blocks still read well. */
Test(verify, reads_can_check_sums)
{
	struct cow_store_options o = {.verify_reads = true};
	struct cow_verify_result v;
	struct cow_inode *i;
	struct cow_live *l;
	struct faults all;
	uint8_t buf[B];
	size_t n;

	snapshot_make(&t, "main", "s1");
	put_text(&t, "main", "other", "x");
	verify(NULL, &all, &v);
	tmpstore_close(&t);
	flip_byte(42 * B + 77);
	cr_assert_eq(cow_store_open(t.path, &o, &t.s, NULL), 0);
	l = live_of(&t, "main");
	i = path_get(l, "f", NULL);
	cr_assert_eq(cow_file_read(i, buf, 42 * B, B, &n), -EIO);
	cr_assert_eq(cow_file_read(i, buf, 41 * B, B, &n), 0);
	cr_assert_eq(buf[0], 'p');
	cow_inode_put(i);
	cow_live_put(l);
}

/* A missing extent file is a fault of its file, and other branches still open. */
Test(verify, names_a_file_whose_extent_is_gone)
{
	struct cow_verify_result v;
	struct faults all;

	branch_make(&t, "other", NULL);
	put_text(&t, "other", "g", "fine");
	sync_branch(&t, "other");
	tmpstore_close(&t);
	char ext[400];
	snprintf(ext, sizeof(ext), "%s/ext", t.path);
	nftw(ext, find_big, 16, FTW_PHYS);
	cr_assert_eq(unlink(found_file), 0);
	tmpstore_open(&t);
	verify("main", &all, &v);
	cr_assert_geq(all.n, 1);
	cr_assert_str_eq(all.path, "f");
	expect_text(&t, "other", "g", "fine");
	verify("other", &all, &v);
	cr_assert_eq(all.n, 0, "%s", all.what);
}

/* Bytes in place of a record, while the store is closed. */
static void damage_record(struct cow_key k)
{
	static const char junk[] = "\xff\xff nobody wrote this";
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_kv *kv;
	char map[400];

	tmpstore_close(&t);
	snprintf(map, sizeof(map), "%s/map", t.path);
	cr_assert_eq(cow_kv_rocks_open(map, false, &kv, NULL), 0);
	cow_batch_put(&b, k.b, k.len, junk, sizeof(junk));
	cr_assert_eq(cow_kv_write(kv, &b, true), 0);
	kv->ops->close(kv);
	tmpstore_open(&t);
}

static bool said(const struct faults *all, const char *what)
{
	return strstr(all->all, what) != NULL;
}

/* A record that says what there is, damaged: named, and everything else is looked at all the same.
 * Nothing is freed as long as nobody knows what is needed. */
static void looks_at_the_rest(struct cow_key damaged, const char *name)
{
	struct cow_verify_result v;
	struct faults all;

	tmpstore_close(&t);
	flip_byte(42 * B + 77); /* of the branch main */
	tmpstore_open(&t);
	damage_record(damaged);
	verify(NULL, &all, &v);
	cr_assert(said(&all, name), "not named: %s", all.all);
	cr_assert(said(&all, "block 42 does not match its sum"), "the rest: %s", all.all);
	cr_assert(said(&all, "nothing is freed"), "%s", all.all);
	cr_assert_eq(cow_gc_run(t.s, &(struct cow_gc_result){0}, NULL), -EIO);
	verify("main", &all, &v);
	cr_assert_eq(all.n, 1, "%s", all.all);
	cr_assert_eq(all.block, 42);
}

static uint64_t make_other(void)
{
	struct cow_branch_info b;
	struct cow_verify_result v;
	struct faults all;

	snapshot_make(&t, "main", "s1");
	put_text(&t, "main", "more", "x");
	branch_make(&t, "other", NULL);
	put_text(&t, "other", "g", "fine");
	snapshot_make(&t, "other", "s2");
	verify(NULL, &all, &v); /* every block has its sum */
	cr_assert_eq(all.n, 0, "%s", all.all);
	cr_assert_eq(cow_branch_get(t.s, "other", &b, NULL), 0);
	cow_branch_info_release(&b);
	return b.lineage;
}

Test(verify, names_a_damaged_record_of_a_branch_and_goes_on)
{
	make_other();
	looks_at_the_rest(cow_key_branch("other"), "the record of the branch is damaged");
}

Test(verify, names_a_damaged_record_of_a_lineage_and_goes_on)
{
	looks_at_the_rest(cow_key_lineage(make_other()), "the record of lineage");
}

Test(verify, names_a_damaged_record_of_a_snapshot_and_goes_on)
{
	looks_at_the_rest(cow_key_snap(make_other(), 1), "the record of a snapshot");
}

static void stop_it(uint64_t done, uint64_t total, void *arg)
{
	cow_store_give_up(t.s);
}

/* Whoever looks at whole lineages ends when the store is about to be closed, and says so. */
Test(verify, ends_when_the_store_closes)
{
	struct cow_verify_result v;
	struct cow_error e = COW_ERROR_INIT;
	struct faults all = {0};
	uint64_t freed;

	make_other();
	put_fill(&t, "main", "f", 2000 * B, 100 * B, 'q'); /* another chunk */
	snapshot_make(&t, "main", "s3");
	cr_assert_eq(cow_verify(t.s, NULL, 0, false, note_fault, stop_it, &all, &v, &e),
		     -ECANCELED);
	cr_assert(strstr(e.text, "has not come to its end"), "%s", e.text);
	cr_assert_eq(all.n, 0);
	cr_assert_eq(cow_gc_run(t.s, &(struct cow_gc_result){0}, NULL), -ECANCELED);
	cr_assert_eq(cow_du_freed(t.s, (const char *const[]){"main"}, 1, &freed, NULL), -ECANCELED);
	tmpstore_reopen(&t);
	expect_clean(&t);
}

/* What was deleted just before a close is freed after the next open, by nobody's order. */
Test(gc, goes_on_after_a_close_that_came_first)
{
	uint64_t before = host_bytes(&t);

	branch_make(&t, "big", NULL);
	put_fill(&t, "big", "f", 0, 200 * B, 'b');
	sync_branch(&t, "big");
	branch_drop(&t, "big");
	cow_store_give_up(t.s); /* the background does no more */
	tmpstore_reopen(&t);
	for (int k = 0; k < 200 && host_bytes(&t) > before + 8 * B; k++)
		usleep(50000);
	cr_assert_leq(host_bytes(&t), before + 8 * B);
}

/* What lies in ext/ and nobody knows is a leak; repair removes it. */
Test(verify, repairs_leaks_only)
{
	struct cow_verify_result v = {0};
	struct faults all = {0};
	char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ext/00000000000000ff", t.path);
	cr_assert_eq(mkdir(path, 0700), 0);
	strcat(path, "/0000000000000001");
	cr_assert_eq(mkdir(path, 0700), 0);
	strcat(path, "/0000000000000042");
	f = fopen(path, "w");
	cr_assert(f && fputs("nobody knows me", f) >= 0 && fclose(f) == 0);
	cr_assert_eq(cow_verify(t.s, NULL, 0, false, note_fault, NULL, &all, &v, NULL), 0);
	cr_assert_gt(v.leaked_bytes + v.faults, 0);
	cr_assert_eq(cow_verify(t.s, NULL, 0, true, note_fault, NULL, &all, &v, NULL), 0);
	cr_assert_neq(access(path, F_OK), 0, "repair left the leak");
	expect_clean(&t);
	expect_fill(&t, "main", "f", 0, 100 * B, 'p');
}
