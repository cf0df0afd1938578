// SPDX-License-Identifier: Apache-2.0
/* corrupt: bits that flip, files that shrink or go, anywhere in a store (all files: extents of
 * sealed epochs, RocksDB's tables, log, MANIFEST, CURRENT, and the store's own marks).
 *
 * Each round takes a sound store with two families of branches, damages one file, and opens it in a
 * process of its own: whatever the bytes say, it ends by itself, in time, and either refuses to
 * open with a reason or serves. Damage of an extent file is named by verify with branch, file and
 * block, its readers get EIO with verify_reads, and the other family reads as before.
 *
 *   COWFS_CORRUPT_ROUNDS=200 COWFS_CORRUPT_SEED=7 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "store/upkeep.h"
#include "tests/lib/tmpstore.h"

enum { B = COW_BLOCK, BLOCKS = 40, FILES_MAX = 64, LIMIT_S = 60 };

TestSuite(corrupt, .timeout = 600);

static struct tmpstore t;
static unsigned seed;

/* "victim" with snapshot "s1" and branch "victim/child", and "other" with one of its own. */
static void make_store(void)
{
	tmpstore_make(&t, false);
	for (int k = 0; k < 2; k++) {
		const char *name = k ? "other" : "victim", *child = k ? "other-child" : "child";

		branch_make(&t, name, NULL);
		put_fill(&t, name, "base/5/16384", 0, BLOCKS * B, k ? 'o' : 'v');
		put_text(&t, name, "PG_VERSION", "15\n");
		sync_branch(&t, name);
		snapshot_make(&t, name, "s1");
		branch_make(&t, child, name);
		put_fill(&t, child, "base/5/16384", 3 * B, B, 'c');
		put_text(&t, name, "later", "x");
		sync_branch(&t, child);
		sync_branch(&t, name);
	}
	expect_clean(&t); /* makes the sums too */
	tmpstore_close(&t);
}

/* --- damage --- */

static struct {
	char path[512];
	off_t size;
} files[FILES_MAX];
static size_t n_files;

static int list_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
	if (type == FTW_F && n_files < FILES_MAX && !strstr(path, "LOG") && !strstr(path, "LOCK")) {
		snprintf(files[n_files].path, sizeof(files[0].path), "%s", path);
		files[n_files++].size = st->st_size;
	}
	return 0;
}

static void list_files(const char *below)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", t.path, below);
	n_files = 0;
	nftw(path, list_file, 16, FTW_PHYS);
	cr_assert_gt(n_files, 0);
}

static uint32_t chance(uint32_t n)
{
	return (uint32_t)rand_r(&seed) % n;
}

static off_t flip_bit(const char *path, off_t at)
{
	unsigned char c;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s", path);
	if (pread(fd, &c, 1, at) == 1) {
		c ^= (unsigned char)(1u << chance(8));
		cr_assert_eq(pwrite(fd, &c, 1, at), 1);
	}
	close(fd);
	return at;
}

/* One file of the store: some bits, its end, or all of it. */
static void damage_something(char *ret, size_t size)
{
	size_t k;
	off_t at;

	list_files("");
	k = chance((uint32_t)n_files);
	switch (chance(4)) {
	case 0:
		snprintf(ret, size, "unlink %s", files[k].path);
		cr_assert_eq(unlink(files[k].path), 0);
		break;
	case 1:
		at = files[k].size ? chance((uint32_t)files[k].size) : 0;
		snprintf(ret, size, "truncate %s to %lld", files[k].path, (long long)at);
		cr_assert_eq(truncate(files[k].path, at), 0);
		break;
	default:
		at = 0;
		for (uint32_t n = 1 + chance(4); n && files[k].size; n--)
			at = flip_bit(files[k].path, chance((uint32_t)files[k].size));
		snprintf(ret, size, "flip bits in %s, the last at %lld", files[k].path,
			 (long long)at);
	}
}

/* --- use: in a child, which must end by itself --- */

static void no_fault(const struct cow_fault *f, void *arg)
{
}

static void read_all(struct cow_store *s, const char *reference)
{
	struct cow_live *l = NULL;
	struct cow_inode *i;
	static uint8_t buf[BLOCKS * B];
	size_t n;

	if (cow_live_get_point(s, reference, &l, NULL) < 0)
		return;
	i = path_get(l, "base/5/16384", NULL);
	if (i)
		cow_file_read(i, buf, 0, sizeof(buf), &n);
	cow_inode_put(i);
	cow_live_put(l);
}

static void write_some(struct cow_store *s, const char *branch)
{
	struct cow_live *l = NULL;
	struct cow_inode *i;

	if (cow_live_get(s, branch, &l, NULL) < 0)
		return;
	i = path_get(l, "base/5/16384", NULL);
	if (i) {
		cow_file_write(i, "new", 5 * B + 100, 3, 0);
		cow_file_sync(i, false);
	}
	cow_inode_put(i);
	cow_live_put(l);
}

/* 0 it served, 2 it refused. */
static int use_damaged(void)
{
	const struct cow_store_options o = {.verify_reads = chance(2)};
	const char *const points[] = {"victim", "victim@s1", "child", "other", "other@s1"};
	struct cow_branch_create how = {.name = "fresh", .parent = "victim@s1"};
	struct cow_error e = COW_ERROR_INIT;
	struct cow_verify_result v;
	struct cow_gc_result g;
	struct cow_store *s = NULL;
	cow_errno r = cow_store_open(t.path, &o, &s, &e);

	if (r < 0)
		return e.text[0] ? 2 : 3;
	cow_verify(s, NULL, 0, false, no_fault, NULL, NULL, &v, NULL);
	for (int k = 0; k < 5; k++)
		read_all(s, points[k]);
	write_some(s, "victim");
	write_some(s, "other");
	cow_branch_create(s, &how, NULL);
	cow_snapshot_create(s, "child", "s2", NULL, NULL, NULL);
	cow_branch_reset(s, &(struct cow_branch_reset){.name = "child"}, NULL);
	cow_branch_delete(s, "victim", NULL);
	cow_gc_run(s, &g, NULL);
	cow_store_close(s, NULL);
	return 0;
}

static int in_child(int (*work)(void))
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		alarm(LIMIT_S);
		cow_log_set_level((enum cow_log_level)0);
		_exit(work());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void copy_store(const char *from, const char *to)
{
	char command[900];

	snprintf(command, sizeof(command), "rm -rf '%s' && cp -a --sparse=always '%s' '%s'", to,
		 from, to);
	cr_assert_eq(system(command), 0);
}

static unsigned number_of(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* Whatever the bytes on the disk say, nobody crashes and nobody hangs. */
Test(corrupt, any_damage_is_refused_or_reported_and_never_crashes)
{
	unsigned rounds = number_of("COWFS_CORRUPT_ROUNDS", getenv("COWFS_LONG") ? 500 : 60);
	unsigned first = number_of("COWFS_CORRUPT_SEED", (unsigned)time(NULL)), refused = 0;
	char sound[400], what[700];

	make_store();
	snprintf(sound, sizeof(sound), "%s/sound", t.dir);
	copy_store(t.path, sound);
	for (unsigned k = 0; k < rounds; k++) {
		int got;

		seed = first + k;
		copy_store(sound, t.path);
		damage_something(what, sizeof(what));
		got = in_child(use_damaged);
		cr_assert(got == 0 || got == 2, "seed %u: %s: ended with %d", first + k, what, got);
		refused += got == 2;
	}
	printf("corrupt: %u rounds from seed %u, %u refused to open\n", rounds, first, refused);
	cr_assert_lt(refused, rounds, "every store refused: nothing was tested");
	tmpstore_release(&t);
}

/* --- extent files: named, kept from readers, and nobody else's trouble --- */

struct seen {
	unsigned n, named;
	uint64_t block;
};

static void see_fault(const struct cow_fault *f, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->named += f->block == s->block && strcmp(f->path, "base/5/16384") == 0 && f->branch[0];
}

/* The byte says whose it is, so that the damaged block is known to belong to "victim". */
static bool is_victims(const char *path)
{
	char c = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && pread(fd, &c, 1, 7 * B) < 0)
		c = 0;
	close(fd);
	return c == 'v';
}

Test(corrupt, a_flipped_bit_in_a_sealed_extent_is_named_and_kept_from_readers)
{
	const struct cow_store_options o = {.verify_reads = true};
	unsigned rounds = number_of("COWFS_CORRUPT_ROUNDS", 20),
		 first = number_of("COWFS_CORRUPT_SEED", 1);

	make_store();
	for (unsigned n = 0; n < rounds; n++) {
		struct cow_verify_result v;
		struct seen found = {0};
		struct cow_inode *i;
		struct cow_live *l;
		uint8_t buf[B];
		size_t k = 0, got;
		off_t at;

		seed = first + n;
		list_files("ext");
		while (k < n_files && !is_victims(files[k].path))
			k++;
		cr_assert_lt(k, n_files);
		found.block = 10 + chance(BLOCKS - 10);
		at = flip_bit(files[k].path, (off_t)(found.block * B + chance(B)));
		cr_assert_eq(cow_store_open(t.path, &o, &t.s, NULL), 0);
		cr_assert_eq(cow_verify(t.s, NULL, 0, false, see_fault, NULL, &found, &v, NULL), 0);
		cr_assert_eq(found.n, 1, "%u faults", found.n);
		cr_assert_eq(found.named, 1, "not named: block %llu",
			     (unsigned long long)found.block);
		l = live_of(&t, "victim");
		i = path_get(l, "base/5/16384", NULL);
		cr_assert_eq(cow_file_read(i, buf, found.block * B, B, &got), -EIO);
		cr_assert_eq(cow_file_read(i, buf, 9 * B, B, &got), 0);
		cow_inode_put(i);
		cow_live_put(l);
		expect_fill(&t, "other", "base/5/16384", 0, BLOCKS * B, 'o');
		put_text(&t, "other", "still", "works");
		tmpstore_close(&t);
		/* And back: the next round begins sound. */
		cr_assert_geq(at, 0);
		{
			int fd = open(files[k].path, O_RDWR | O_CLOEXEC);
			unsigned char c = 'v';

			cr_assert_eq(pwrite(fd, &c, 1, at), 1);
			close(fd);
		}
	}
	tmpstore_release(&t);
}
