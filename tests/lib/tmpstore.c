// SPDX-License-Identifier: Apache-2.0
/* tmpstore: see the header. Uses only the public face of the store. */
#include "tests/lib/tmpstore.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/upkeep.h"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

void tmpdir_make(char *ret, size_t size)
{
	const char *base = getenv("TMPDIR");

	snprintf(ret, size, "%s/cowfs-unit.XXXXXX", base && *base ? base : "/tmp");
	cr_assert_not_null(mkdtemp(ret), "mkdtemp %s: %s", ret, strerror(errno));
}

void tmpdir_remove(const char *dir)
{
	nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

void tmpstore_open(struct tmpstore *t)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = cow_store_open(t->path, NULL, &t->s, &e);

	cr_assert_eq(r, 0, "open: %d %s", r, e.text);
}

void tmpstore_make(struct tmpstore *t, bool main)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r;

	*t = (struct tmpstore){.s = NULL};
	tmpdir_make(t->dir, sizeof(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/store", t->dir);
	r = cow_store_create(t->path, &e);
	cr_assert_eq(r, 0, "create: %d %s", r, e.text);
	tmpstore_open(t);
	if (main)
		branch_make(t, "main", NULL);
}

void tmpstore_close(struct tmpstore *t)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = cow_store_close(t->s, &e);

	t->s = NULL;
	cr_assert_eq(r, 0, "close: %d %s", r, e.text);
}

void tmpstore_reopen(struct tmpstore *t)
{
	tmpstore_close(t);
	tmpstore_open(t);
}

void tmpstore_release(struct tmpstore *t)
{
	if (t->s)
		cow_store_close(t->s, NULL);
	t->s = NULL;
	tmpdir_remove(t->dir);
}

void tmpstore_crash(struct tmpstore *t, void (*work)(struct tmpstore *child, void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct tmpstore child = *t;

		if (cow_store_open(t->path, NULL, &child.s, NULL))
			_exit(3);
		work(&child, arg);
		kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		  "the child ended by itself: status %#x", (unsigned)status);
}

struct cow_live *live_of(struct tmpstore *t, const char *branch)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_live *l = NULL;
	cow_errno r;

	if (strchr(branch, '@'))
		r = cow_live_get_point(t->s, branch, &l, &e);
	else
		r = cow_live_get(t->s, branch, &l, &e);
	cr_assert_eq(r, 0, "live %s: %d %s", branch, r, e.text);
	return l;
}

/* Next part of the path into `part`; false at the end. */
static bool next_part(const char **path, char part[COW_NAME_MAX + 1])
{
	size_t n = 0;

	while (**path == '/')
		(*path)++;
	while (**path && **path != '/' && n < COW_NAME_MAX)
		part[n++] = *(*path)++;
	part[n] = '\0';
	return n > 0;
}

struct cow_inode *path_get(struct cow_live *l, const char *path, cow_errno *r)
{
	char part[COW_NAME_MAX + 1];
	struct cow_inode *i = NULL, *next;
	cow_errno ignored;

	r = r ? r : &ignored;
	*r = cow_inode_get(l, cow_live_root(l), &i);
	while (!*r && next_part(&path, part)) {
		next = NULL;
		*r = cow_name_lookup(i, part, &next);
		cow_inode_put(i);
		i = next;
	}
	return *r ? NULL : i;
}

struct cow_inode *path_make(struct cow_live *l, const char *path)
{
	char part[COW_NAME_MAX + 1];
	struct cow_inode *i = NULL, *next = NULL;
	cow_errno r = cow_inode_get(l, cow_live_root(l), &i);

	cr_assert_eq(r, 0, "root: %d", r);
	while (next_part(&path, part)) {
		struct cow_name_create how = {.mode = *path ? S_IFDIR | 0700 : S_IFREG | 0600};

		r = cow_name_lookup(i, part, &next);
		if (r == -ENOENT)
			r = cow_name_create(i, part, &how, &next);
		cr_assert_eq(r, 0, "make %s: %d", part, r);
		cow_inode_put(i);
		i = next;
	}
	return i;
}

void put_bytes(struct tmpstore *t, const char *branch, const char *path, uint64_t off,
	       const void *bytes, size_t len)
{
	struct cow_live *l = live_of(t, branch);
	struct cow_inode *i = path_make(l, path);
	cow_errno r = cow_file_write(i, bytes, off, len, 0);

	cr_assert_eq(r, 0, "write %s/%s: %d", branch, path, r);
	cow_inode_put(i);
	cow_live_put(l);
}

void put_text(struct tmpstore *t, const char *branch, const char *path, const char *text)
{
	put_bytes(t, branch, path, 0, text, strlen(text));
}

void put_fill(struct tmpstore *t, const char *branch, const char *path, uint64_t off, size_t len,
	      int byte)
{
	uint8_t *buf = malloc(len);

	cr_assert_not_null(buf);
	memset(buf, byte, len);
	put_bytes(t, branch, path, off, buf, len);
	free(buf);
}

void expect_text(struct tmpstore *t, const char *branch, const char *path, const char *text)
{
	size_t want = strlen(text), got = 0;
	char *buf = calloc(1, want + 2);
	struct cow_live *l = live_of(t, branch);
	cow_errno r;
	struct cow_inode *i = path_get(l, path, &r);

	cr_assert_not_null(i, "%s/%s: %d", branch, path, r);
	r = cow_file_read(i, buf, 0, want + 1, &got);
	cr_assert_eq(r, 0, "read %s/%s: %d", branch, path, r);
	cr_assert(got == want && memcmp(buf, text, want) == 0, "%s/%s holds \"%.*s\", not \"%s\"",
		  branch, path, (int)got, buf, text);
	cow_inode_put(i);
	cow_live_put(l);
	free(buf);
}

void expect_fill(struct tmpstore *t, const char *branch, const char *path, uint64_t off, size_t len,
		 int byte)
{
	uint8_t *buf = malloc(len);
	struct cow_live *l = live_of(t, branch);
	size_t got = 0, pos = 0;
	cow_errno r;
	struct cow_inode *i = path_get(l, path, &r);

	cr_assert_not_null(i, "%s/%s: %d", branch, path, r);
	while (pos < len) {
		size_t part = len - pos < COW_READ_MAX ? len - pos : COW_READ_MAX;

		r = cow_file_read(i, buf + pos, off + pos, part, &got);
		cr_assert_eq(r, 0, "read %s/%s: %d", branch, path, r);
		cr_assert_eq(got, part, "%s/%s is short at %zu", branch, path, pos + got);
		pos += got;
	}
	for (pos = 0; pos < len; pos++)
		cr_assert_eq(buf[pos], (uint8_t)byte, "%s/%s at %zu: %#x, not %#x", branch, path,
			     (size_t)off + pos, (unsigned)buf[pos], (unsigned)byte);
	cow_inode_put(i);
	cow_live_put(l);
	free(buf);
}

void expect_missing(struct tmpstore *t, const char *branch, const char *path)
{
	struct cow_live *l = live_of(t, branch);
	cow_errno r;
	struct cow_inode *i = path_get(l, path, &r);

	cr_assert_null(i, "%s/%s exists", branch, path);
	cr_assert_eq(r, -ENOENT, "%s/%s: %d", branch, path, r);
	cow_live_put(l);
}

void expect_size(struct tmpstore *t, const char *branch, const char *path, uint64_t size)
{
	struct cow_live *l = live_of(t, branch);
	struct cow_inode *i = path_get(l, path, NULL);
	struct cow_attr a;

	cr_assert_not_null(i, "%s/%s is missing", branch, path);
	cow_inode_attr(i, &a);
	cr_assert_eq(a.size, size, "%s/%s has %llu bytes, not %llu", branch, path,
		     (unsigned long long)a.size, (unsigned long long)size);
	cow_inode_put(i);
	cow_live_put(l);
}

void sync_branch(struct tmpstore *t, const char *branch)
{
	struct cow_live *l = live_of(t, branch);
	cow_errno r = cow_live_sync(l);

	cr_assert_eq(r, 0, "sync %s: %d", branch, r);
	cow_live_put(l);
}

void branch_make(struct tmpstore *t, const char *name, const char *parent)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_branch_create how = {
	    .name = name, .parent = parent, .empty = !parent, .root_mode = S_IFDIR | 0700};
	cow_errno r = cow_branch_create(t->s, &how, &e);

	cr_assert_eq(r, 0, "branch %s: %d %s", name, r, e.text);
}

void branch_drop(struct tmpstore *t, const char *name)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = cow_branch_delete(t->s, name, &e);

	cr_assert_eq(r, 0, "delete %s: %d %s", name, r, e.text);
}

void snapshot_make(struct tmpstore *t, const char *branch, const char *name)
{
	struct cow_error e = COW_ERROR_INIT;
	cow_errno r = cow_snapshot_create(t->s, branch, name, NULL, NULL, &e);

	cr_assert_eq(r, 0, "snapshot %s@%s: %d %s", branch, name, r, e.text);
}

static void report_fault(const struct cow_fault *f, void *arg)
{
	fprintf(stderr, "fault: %s/%s lineage %llu epoch %llu inode %llu block %lld: %s\n",
		f->branch, f->path, (unsigned long long)f->lineage, (unsigned long long)f->epoch,
		(unsigned long long)f->ino, (long long)f->block, f->what);
}

void expect_clean(struct tmpstore *t)
{
	struct cow_error e = COW_ERROR_INIT;
	struct cow_gc_result g = {0};
	struct cow_verify_result v = {0};
	cow_errno r = cow_gc_run(t->s, &g, &e);

	cr_assert_eq(r, 0, "gc: %d %s", r, e.text);
	r = cow_verify(t->s, NULL, 0, false, report_fault, NULL, NULL, &v, &e);
	cr_assert_eq(r, 0, "verify: %d %s", r, e.text);
	cr_assert_eq(v.faults, 0, "%llu faults", (unsigned long long)v.faults);
	cr_assert_eq(v.leaked_bytes, 0, "%llu bytes leaked", (unsigned long long)v.leaked_bytes);
}

static uint64_t host_sum; /* nftw has no argument for its callback */

static int add_bytes(const char *path, const struct stat *st, int type, struct FTW *where)
{
	if (type == FTW_F)
		host_sum += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t host_bytes(struct tmpstore *t)
{
	char ext[PATH_MAX];

	host_sum = 0;
	snprintf(ext, sizeof(ext), "%s/ext", t->path);
	nftw(ext, add_bytes, 32, FTW_PHYS);
	return host_sum;
}
