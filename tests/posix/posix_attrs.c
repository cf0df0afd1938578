// SPDX-License-Identifier: Apache-2.0
/* posix_attrs: modes, owners, times, and who may do what. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/posix/posix.h"

static void modes_are_kept_exactly(void)
{
	static const mode_t modes[] = {0600, 0700, 0750, 0640, 0777, 0, 01777, 02755};
	struct stat st;

	OK(mkdir("d", 0700));
	OK(close(posix_file("f", 1, 'f')));
	for (size_t k = 0; k < sizeof(modes) / sizeof(*modes); k++) {
		OK(chmod("d", modes[k]));
		OK(stat("d", &st));
		WANT(S_ISDIR(st.st_mode) && (st.st_mode & 07777) == modes[k]);
		OK(chmod("f", modes[k] & 0777));
		OK(stat("f", &st));
		WANT(S_ISREG(st.st_mode) && (st.st_mode & 07777) == (modes[k] & 0777));
	}
	OK(chmod("d", 0700));
}

static void umask_is_honoured(void)
{
	struct stat st;
	int fd;

	umask(077);
	fd = OK(open("f", O_CREAT | O_WRONLY, 0666));
	OK(close(fd));
	OK(mkdir("d", 0777));
	OK(stat("f", &st));
	WANT((st.st_mode & 07777) == 0600);
	OK(stat("d", &st));
	WANT((st.st_mode & 07777) == 0700);
}

static void owners_are_kept_exactly(void)
{
	struct stat st;

	if (geteuid() != 0)
		posix_skip("needs root");
	OK(close(posix_file("f", 1, 'f')));
	OK(chown("f", 12345, 54321));
	OK(stat("f", &st));
	WANT(st.st_uid == 12345 && st.st_gid == 54321);
	OK(chown("f", (uid_t)-1, 7));
	OK(stat("f", &st));
	WANT(st.st_uid == 12345 && st.st_gid == 7);
	OK(symlink("f", "s"));
	OK(lchown("s", 1, 2));
	OK(stat("f", &st));
	WANT(st.st_uid == 12345);
	OK(lstat("s", &st));
	WANT(st.st_uid == 1 && st.st_gid == 2);
}

static void as_stranger(void)
{
	struct stat st;

	FAILS(open("private/f", O_RDONLY), EACCES);
	FAILS(stat("private/f", &st), EACCES);
	FAILS(open("readable", O_RDWR), EACCES);
	OK(open("readable", O_RDONLY));
	FAILS(open("secret", O_RDONLY), EACCES);
	FAILS(chmod("readable", 0777), EPERM);
	FAILS(chown("readable", 65534, 65534), EPERM);
	FAILS(unlink("readable"), EACCES);
	FAILS(rename("readable", "x"), EACCES);
	FAILS(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
	FAILS(truncate("readable", 0), EACCES);
	OK(open("sticky/mine", O_CREAT | O_WRONLY, 0600));
	OK(stat("sticky/mine", &st));
	WANT(st.st_uid == 65534 && st.st_gid == 65534);
	FAILS(unlink("sticky/theirs"), EPERM);
	OK(unlink("sticky/mine"));
}

static void strangers_are_kept_out(void)
{
	OK(mkdir("private", 0700));
	OK(close(posix_file("private/f", 1, 'f')));
	OK(close(posix_file("readable", 1, 'r')));
	OK(chmod("readable", 0644));
	OK(close(posix_file("secret", 1, 's')));
	OK(mkdir("sticky", 0777));
	OK(chmod("sticky", 01777));
	OK(close(posix_file("sticky/theirs", 1, 't')));
	WANT(posix_as_other_user(as_stranger));
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static void times_can_be_set_to_the_nanosecond(void)
{
	struct timespec t[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
	struct stat st;
	int fd = posix_file("f", 1, 'f');

	OK(utimensat(AT_FDCWD, "f", t, 0));
	OK(stat("f", &st));
	WANT(st.st_atim.tv_sec == 1000000000 && st.st_atim.tv_nsec == 123456789);
	WANT(st.st_mtim.tv_sec == 1500000000 && st.st_mtim.tv_nsec == 987654321);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_nsec = UTIME_NOW;
	OK(futimens(fd, t));
	OK(fstat(fd, &st));
	WANT(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec > 1600000000);
	OK(symlink("f", "s"));
	t[0] = t[1] = (struct timespec){77, 5};
	OK(utimensat(AT_FDCWD, "s", t, AT_SYMLINK_NOFOLLOW));
	OK(lstat("s", &st));
	WANT(st.st_mtim.tv_sec == 77 && st.st_mtim.tv_nsec == 5);
	OK(stat("f", &st));
	WANT(st.st_mtim.tv_sec > 1600000000);
}

static void times_move_when_contents_do(void)
{
	struct timespec wait = {0, 20000000};
	struct stat before, after;
	int fd = posix_file("f", 1, 'f');

	OK(fsync(fd));
	OK(fstat(fd, &before));
	nanosleep(&wait, NULL);
	posix_write(fd, 0, 10, 'g');
	OK(fsync(fd));
	OK(fstat(fd, &after));
	WANT(later(after.st_mtim, before.st_mtim) && later(after.st_ctim, before.st_ctim));
	before = after;
	nanosleep(&wait, NULL);
	OK(ftruncate(fd, 5));
	OK(fstat(fd, &after));
	WANT(later(after.st_mtim, before.st_mtim));
	OK(mkdir("d", 0700));
	OK(stat("d", &before));
	nanosleep(&wait, NULL);
	OK(close(posix_file("d/x", 1, 'x')));
	OK(stat("d", &after));
	WANT(later(after.st_mtim, before.st_mtim));
	before = after;
	nanosleep(&wait, NULL);
	OK(unlink("d/x"));
	OK(stat("d", &after));
	WANT(later(after.st_mtim, before.st_mtim));
}

static void blocks_tell_the_space_taken(void)
{
	int fd = posix_file("f", 1 << 20, 'a');
	struct stat st;

	OK(fsync(fd));
	OK(fstat(fd, &st));
	WANT(st.st_blocks * 512 >= 1 << 20 && st.st_blocks * 512 < 3 << 20);
	WANT(st.st_blksize >= 512);
	fd = posix_file("empty", 0, 0);
	OK(ftruncate(fd, 1 << 30));
	OK(fstat(fd, &st));
	WANT(st.st_blocks * 512 < 1 << 20);
}

static void inode_numbers_are_stable_and_distinct(void)
{
	struct stat a, b, again;
	int fd = posix_file("a", 1, 'a');

	OK(close(posix_file("b", 1, 'b')));
	OK(stat("a", &a));
	OK(stat("b", &b));
	WANT(a.st_ino != b.st_ino && a.st_dev == b.st_dev);
	OK(rename("a", "c"));
	OK(rename("b", "a"));
	OK(fstat(fd, &again));
	WANT(again.st_ino == a.st_ino);
	OK(stat("c", &again));
	WANT(again.st_ino == a.st_ino);
	OK(stat("a", &again));
	WANT(again.st_ino == b.st_ino);
}

static void access_answers_for_the_caller(void)
{
	OK(close(posix_file("f", 1, 'f')));
	OK(access("f", R_OK | W_OK));
	FAILS(access("f", X_OK), EACCES);
	FAILS(access("none", F_OK), ENOENT);
	OK(chmod("f", 0700));
	OK(access("f", X_OK));
}

const struct posix_case posix_attr_cases[] = {
    {"modes_are_kept_exactly", modes_are_kept_exactly},
    {"umask_is_honoured", umask_is_honoured},
    {"owners_are_kept_exactly", owners_are_kept_exactly},
    {"strangers_are_kept_out", strangers_are_kept_out},
    {"times_can_be_set_to_the_nanosecond", times_can_be_set_to_the_nanosecond},
    {"times_move_when_contents_do", times_move_when_contents_do},
    {"blocks_tell_the_space_taken", blocks_tell_the_space_taken},
    {"inode_numbers_are_stable_and_distinct", inode_numbers_are_stable_and_distinct},
    {"access_answers_for_the_caller", access_answers_for_the_caller},
    {NULL, NULL},
};
