// SPDX-License-Identifier: Apache-2.0
/* posix_times: which time moves when.
 *
 * Access times: only that they can be set and stay. Whether reading moves them is an option of
 * every mount (noatime), so no case may depend on it. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/posix/posix.h"

static struct stat look(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return st;
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static bool equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* What happened to the times of `name` since `before`, which becomes what they are now. */
enum { MTIME = 1, CTIME = 2 };

static int moved(const char *name, struct stat *before)
{
	struct stat now = look(name);
	int moved = (later(now.st_mtim, before->st_mtim) ? MTIME : 0) |
		    (later(now.st_ctim, before->st_ctim) ? CTIME : 0);

	WANT(!later(before->st_mtim, now.st_mtim) && !later(before->st_ctim, now.st_ctim));
	*before = now;
	return moved;
}

static void a_moment(void)
{
	/* The clock of a file system may tick as slowly as the kernel's. */
	nanosleep(&(struct timespec){0, 15000000}, NULL);
}

static void changes_of_the_inode_move_its_ctime_only(void)
{
	struct stat f;

	OK(close(posix_file("f", 10, 'f')));
	f = look("f");
	a_moment();
	OK(chmod("f", 0640));
	WANT(moved("f", &f) == CTIME);
	a_moment();
	OK(link("f", "g"));
	WANT(moved("f", &f) == CTIME);
	a_moment();
	OK(unlink("g"));
	WANT(moved("f", &f) == CTIME);
	if (geteuid() != 0)
		return;
	a_moment();
	OK(chown("f", 12, 34));
	WANT(moved("f", &f) == CTIME);
}

static void changes_of_names_move_their_directories(void)
{
	struct stat a, b;

	OK(mkdir("a", 0700));
	OK(mkdir("b", 0700));
	a = look("a");
	b = look("b");
	a_moment();
	OK(close(posix_file("a/f", 10, 'f')));
	WANT(moved("a", &a) == (MTIME | CTIME) && moved("b", &b) == 0);
	a_moment();
	OK(rename("a/f", "b/f"));
	WANT(moved("a", &a) == (MTIME | CTIME) && moved("b", &b) == (MTIME | CTIME));
	a_moment();
	OK(link("b/f", "a/g"));
	WANT(moved("a", &a) == (MTIME | CTIME) && moved("b", &b) == 0);
	a_moment();
	OK(symlink("x", "a/s"));
	WANT(moved("a", &a) == (MTIME | CTIME));
	a_moment();
	OK(mkdir("a/d", 0700));
	WANT(moved("a", &a) == (MTIME | CTIME));
	a_moment();
	OK(rmdir("a/d"));
	WANT(moved("a", &a) == (MTIME | CTIME));
	a_moment();
	OK(unlink("b/f"));
	WANT(moved("b", &b) == (MTIME | CTIME));
	a_moment();
	FAILS(unlink("b/none"), ENOENT);
	FAILS(mkdir("a/s", 0700), EEXIST);
	FAILS(rmdir("a"), ENOTEMPTY);
	WANT(moved("a", &a) == 0 && moved("b", &b) == 0);
}

static void changes_of_contents_move_both(void)
{
	int fd = posix_file("f", 10000, 'f'), other;
	struct stat f = look("f");

	a_moment();
	posix_write(fd, 5000, 10, 'g');
	WANT(moved("f", &f) == (MTIME | CTIME));
	a_moment();
	OK(ftruncate(fd, 20000));
	WANT(moved("f", &f) == (MTIME | CTIME));
	a_moment();
	OK(truncate("f", 100));
	WANT(moved("f", &f) == (MTIME | CTIME));
	a_moment();
	OK(fallocate(fd, 0, 0, 30000));
	WANT(moved("f", &f) & CTIME);
	a_moment();
	other = OK(open("f", O_WRONLY | O_TRUNC));
	OK(close(other));
	WANT(moved("f", &f) == (MTIME | CTIME));
	a_moment();
	WANT(write(fd, "", 0) == 0);
	OK(fsync(fd));
	other = OK(open("f", O_RDWR | O_CREAT, 0777));
	OK(close(other));
	WANT(moved("f", &f) == 0);
	a_moment();
	posix_write(fd, 0, 10, 'h');
	OK(fsync(fd));
	moved("f", &f);
	a_moment();
	OK(fsync(fd));
	OK(close(fd));
	WANT(moved("f", &f) == 0);
}

static void writing_through_a_map_moves_the_mtime(void)
{
	int fd = posix_file("f", 8192, 'f');
	struct stat f = look("f");
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	WANT(m != MAP_FAILED);
	a_moment();
	m[100] = 'm';
	OK(msync(m, 8192, MS_SYNC));
	WANT(moved("f", &f) == (MTIME | CTIME));
}

static void times_that_were_set_stay(void)
{
	static const time_t when[] = {0, 1, 978307200, 2147483647, 2147483648, 4102444800, -86400};
	int fd = posix_file("f", 100, 'f');

	for (size_t k = 0; k < sizeof(when) / sizeof(*when); k++) {
		struct timespec t[2] = {{when[k], 1}, {when[k] + 7, 999999999}};
		struct stat st;

		OK(futimens(fd, t));
		OK(fsync(fd));
		st = look("f");
		WANT(equal(st.st_atim, t[0]) && equal(st.st_mtim, t[1]));
		OK(chmod("f", 0600 | (k & 1)));
		OK(rename("f", "g"));
		OK(rename("g", "f"));
		st = look("f");
		WANT(equal(st.st_atim, t[0]) && equal(st.st_mtim, t[1]));
	}
	FAILS(futimens(fd, (struct timespec[2]){{0, 1000000000}, {0, 0}}), EINVAL);
}

/* Dirty pages that are written back later do not bring back the time of the write. */
static void times_set_after_a_write_stay(void)
{
	int fd = posix_file("f", 0, 0);
	struct timespec t[2] = {{1000, 1}, {2000, 2}};
	struct stat st;

	posix_write(fd, 0, 100000, 'w');
	OK(futimens(fd, t));
	OK(fsync(fd));
	OK(close(fd));
	st = look("f");
	WANT(equal(st.st_atim, t[0]) && equal(st.st_mtim, t[1]) && st.st_size == 100000);
}

static void omitting_and_now(void)
{
	struct timespec t[2] = {{1000, 1}, {2000, 2}}, start;
	struct stat st, before;

	OK(close(posix_file("f", 1, 'f')));
	OK(utimensat(AT_FDCWD, "f", t, 0));
	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	a_moment();
	t[0].tv_nsec = UTIME_NOW;
	t[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	st = look("f");
	WANT(later(st.st_atim, start) && st.st_mtim.tv_sec == 2000 && later(st.st_ctim, start));
	before = st;
	a_moment();
	t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	st = look("f");
	WANT(equal(st.st_atim, before.st_atim) && equal(st.st_ctim, before.st_ctim));
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	st = look("f");
	WANT(later(st.st_mtim, start) && equal(st.st_mtim, st.st_atim));
	FAILS(utimensat(AT_FDCWD, "none", NULL, 0), ENOENT);
}

const struct posix_case posix_time_cases[] = {
    {"changes_of_the_inode_move_its_ctime_only", changes_of_the_inode_move_its_ctime_only},
    {"changes_of_names_move_their_directories", changes_of_names_move_their_directories},
    {"changes_of_contents_move_both", changes_of_contents_move_both},
    {"writing_through_a_map_moves_the_mtime", writing_through_a_map_moves_the_mtime},
    {"times_that_were_set_stay", times_that_were_set_stay},
    {"times_set_after_a_write_stay", times_set_after_a_write_stay},
    {"omitting_and_now", omitting_and_now},
    {NULL, NULL},
};
