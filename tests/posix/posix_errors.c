// SPDX-License-Identifier: Apache-2.0
/* posix_errors: what must be refused, and with which errno; link counts; removed directories. */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include "tests/posix/posix.h"

static unsigned links_of(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return (unsigned)st.st_nlink;
}

static void circles_of_symlinks_end(void)
{
	struct stat st;

	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	OK(symlink("self/x", "self"));
	FAILS(open("a", O_RDONLY), ELOOP);
	FAILS(open("a", O_RDWR | O_CREAT, 0600), ELOOP);
	FAILS(stat("b", &st), ELOOP);
	FAILS(chmod("a", 0600), ELOOP);
	FAILS(chown("a", 1, 1), ELOOP);
	FAILS(truncate("a", 1), ELOOP);
	FAILS(link("a/x", "y"), ELOOP);
	FAILS(mkdir("self/d", 0700), ELOOP);
	FAILS(rename("self/d", "x"), ELOOP);
	FAILS(unlink("self/d"), ELOOP);
	OK(unlink("a"));
	OK(rename("b", "c"));
}

static void names_and_paths_can_be_too_long(void)
{
	char name[300], *path = malloc(2 * PATH_MAX);

	WANT(path);
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	OK(close(posix_file("f", 1, 'f')));
	FAILS(mkdir(name, 0700), ENAMETOOLONG);
	FAILS(mkfifo(name, 0600), ENAMETOOLONG);
	FAILS(symlink("x", name), ENAMETOOLONG);
	FAILS(link("f", name), ENAMETOOLONG);
	FAILS(rename("f", name), ENAMETOOLONG);
	FAILS(rename(name, "f"), ENAMETOOLONG);
	FAILS(unlink(name), ENAMETOOLONG);
	FAILS(rmdir(name), ENAMETOOLONG);
	FAILS(access(name, F_OK), ENAMETOOLONG);
	for (int k = 0; k < PATH_MAX; k += 2)
		memcpy(path + k, "./", 3);
	strcpy(path + PATH_MAX - 2, "f");
	OK(access(path, F_OK));
	strcpy(path + PATH_MAX - 2, "/f");
	FAILS(access(path, F_OK), ENAMETOOLONG);
	free(path);
}

static void symlinks_up_to_the_longest_path(void)
{
	char text[PATH_MAX + 2], got[PATH_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[PATH_MAX - 1] = '\0';
	OK(symlink(text, "longest"));
	WANT(readlink("longest", got, sizeof(got)) == PATH_MAX - 1);
	WANT(memcmp(got, text, PATH_MAX - 1) == 0);
	WANT(readlink("longest", got, 10) == 10);
	text[PATH_MAX - 1] = 'x';
	text[PATH_MAX] = '\0';
	FAILS(symlink(text, "longer"), ENAMETOOLONG);
	FAILS(symlink("", "empty"), ENOENT);
}

static void a_file_is_no_directory(void)
{
	struct stat st;

	OK(close(posix_file("f", 1, 'f')));
	FAILS(open("f/x", O_RDONLY), ENOTDIR);
	FAILS(open("f/x", O_RDWR | O_CREAT, 0600), ENOTDIR);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(stat("f/", &st), ENOTDIR);
	FAILS(mkdir("f/d", 0700), ENOTDIR);
	FAILS(mkfifo("f/p", 0600), ENOTDIR);
	FAILS(symlink("x", "f/s"), ENOTDIR);
	FAILS(link("f", "f/l"), ENOTDIR);
	FAILS(unlink("f/x"), ENOTDIR);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(chdir("f"), ENOTDIR);
	WANT(!opendir("f") && errno == ENOTDIR);
}

static void a_directory_is_no_file(void)
{
	char byte;
	int fd;

	OK(mkdir("d", 0700));
	FAILS(open("d", O_WRONLY), EISDIR);
	FAILS(open("d", O_RDWR), EISDIR);
	FAILS(open("d", O_RDONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("d", O_WRONLY | O_TRUNC), EISDIR);
	FAILS(truncate("d", 0), EISDIR);
	FAILS(open("new/", O_RDWR | O_CREAT, 0600), EISDIR);
	fd = OK(open("d", O_RDONLY));
	FAILS(read(fd, &byte, 1), EISDIR);
	FAILS(ftruncate(fd, 0), EINVAL);
	FAILS(mkdir("d/.", 0700), EEXIST);
	FAILS(rmdir("d/."), EINVAL);
	OK(mkdir("d/sub", 0700));
	FAILS(rmdir("d/sub/.."), ENOTEMPTY);
	WANT(rename("d/.", "x") == -1 && (errno == EBUSY || errno == EINVAL));
	WANT(rename("d", "d/sub/..") == -1);
}

static void renaming_directories(void)
{
	OK(mkdir("a", 0700));
	OK(mkdir("a/b", 0700));
	OK(mkdir("a/b/c", 0700));
	OK(mkdir("full", 0700));
	OK(close(posix_file("full/f", 1, 'f')));
	FAILS(rename("a", "a/b/c/d"), EINVAL);
	FAILS(rename("a", "a/x"), EINVAL);
	FAILS(rename("a/b", "a"), ENOTEMPTY);
	FAILS(rename("a", "full"), ENOTEMPTY);
	FAILS(rename("full/f", "a"), EISDIR);
	FAILS(rename("a", "full/f"), ENOTDIR);
	OK(symlink("full", "link"));
	FAILS(rename("a", "link"), ENOTDIR);
	OK(rename("a", "a"));
	WANT(links_of("a") == 3 && links_of("a/b") == 3 && links_of("full") == 2);
	OK(rename("a/b", "full/b"));
	WANT(links_of("a") == 2 && links_of("full") == 3);
	OK(rename("a", "full/b/c"));
	WANT(links_of("full/b") == 3 && links_of("full/b/c") == 2);
	WANT(!posix_exists("a"));
}

static void link_counts_follow_every_name(void)
{
	enum { LINKS = 500 };
	struct stat st;
	char name[32];
	int fd = posix_file("f", 10, 'l');

	for (unsigned k = 0; k < LINKS; k++) {
		snprintf(name, sizeof(name), "l%u", k);
		OK(link("f", name));
		WANT(links_of("f") == k + 2 && links_of(name) == k + 2);
	}
	OK(rename("l0", "l1"));
	WANT(links_of("f") == LINKS + 1);
	OK(close(posix_file("other", 1, 'o')));
	OK(rename("other", "l2"));
	WANT(links_of("f") == LINKS && links_of("l2") == 1);
	OK(unlink("f"));
	for (unsigned k = 0; k < LINKS; k++) {
		if (k == 2)
			continue;
		snprintf(name, sizeof(name), "l%u", k);
		OK(unlink(name));
		OK(fstat(fd, &st));
	}
	WANT(st.st_nlink == 0);
	posix_want_bytes(fd, 0, 10, 'l');
	WANT(linkat(fd, "", AT_FDCWD, "back", AT_EMPTY_PATH) == -1);
}

static void a_removed_directory_takes_nothing(void)
{
	char path[PATH_MAX];
	struct stat st;

	OK(mkdir("d", 0700));
	OK(chdir("d"));
	WANT(getcwd(path, sizeof(path)));
	OK(rmdir("../d"));
	WANT(!getcwd(path, sizeof(path)) && errno == ENOENT);
	OK(stat(".", &st));
	WANT(st.st_nlink == 0);
	FAILS(open("x", O_CREAT | O_WRONLY, 0600), ENOENT);
	FAILS(mkdir("x", 0700), ENOENT);
	FAILS(symlink("y", "x"), ENOENT);
	FAILS(open("x", O_RDONLY), ENOENT);
	OK(chdir(".."));
	OK(chmod(".", 0755));
	WANT(!posix_exists("d"));
}

static void descriptors_do_what_they_were_opened_for(void)
{
	int rd, wr;
	char byte;

	OK(close(posix_file("f", 100, 'a')));
	rd = OK(open("f", O_RDONLY));
	wr = OK(open("f", O_WRONLY));
	FAILS(write(rd, "x", 1), EBADF);
	FAILS(read(wr, &byte, 1), EBADF);
	FAILS(ftruncate(rd, 0), EINVAL);
	FAILS(fallocate(rd, 0, 0, 10), EBADF);
	OK(fsync(rd));
	OK(fdatasync(rd));
	FAILS(pread(rd, &byte, 1, -1), EINVAL);
	FAILS(pwrite(wr, "x", 1, -1), EINVAL);
	FAILS(lseek(rd, -200, SEEK_END), EINVAL);
	FAILS(lseek(rd, 0, 77), EINVAL);
	FAILS(fallocate(wr, 0, -1, 10), EINVAL);
	posix_want_size(rd, 100);
	rd = OK(open("f", O_PATH));
	FAILS(read(rd, &byte, 1), EBADF);
	FAILS(fchmod(rd, 0600), EBADF);
}

static void the_largest_file(void)
{
	int fd = posix_file("f", 0, 0);
	struct rlimit limit = {1 << 20, 1 << 20};

	WANT(pwrite(fd, "x", 1, INT64_MAX) == -1 && (errno == EFBIG || errno == EINVAL));
	WANT(ftruncate(fd, INT64_MAX) == -1 ? errno == EFBIG || errno == EINVAL : 1);
	OK(ftruncate(fd, 0));
	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	WANT(pwrite(fd, "0123456789", 10, (1 << 20) - 4) == 4);
	FAILS(pwrite(fd, "x", 1, 1 << 20), EFBIG);
	FAILS(ftruncate(fd, (1 << 20) + 1), EFBIG);
	posix_want_size(fd, 1 << 20);
}

static void files_that_are_no_files(void)
{
	struct stat st;

	OK(mkfifo("fifo", 0640));
	OK(lstat("fifo", &st));
	WANT(S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0640 && st.st_size == 0);
	OK(mknod("sock", S_IFSOCK | 0600, 0));
	OK(lstat("sock", &st));
	WANT(S_ISSOCK(st.st_mode));
	FAILS(open("sock", O_RDONLY), ENXIO);
	FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	OK(open("fifo", O_RDONLY | O_NONBLOCK));
	OK(mknod("plain", S_IFREG | 0600, 0));
	OK(lstat("plain", &st));
	WANT(S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1);
	FAILS(mknod("fifo", S_IFIFO | 0600, 0), EEXIST);
	OK(link("fifo", "again"));
	OK(rename("again", "sock"));
	WANT(links_of("fifo") == 2);
	if (geteuid() != 0)
		return;
	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	OK(lstat("null", &st));
	WANT(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	OK(mknod("blk", S_IFBLK | 0600, makedev(259, 300)));
	OK(lstat("blk", &st));
	WANT(S_ISBLK(st.st_mode) && st.st_rdev == makedev(259, 300));
}

static void unnamed_files_or_a_clear_no(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	struct stat st;
	char path[64];

	if (fd < 0) {
		WANT(errno == EOPNOTSUPP);
		return;
	}
	OK(fstat(fd, &st));
	WANT(st.st_nlink == 0 && S_ISREG(st.st_mode));
	posix_write(fd, 0, 10000, 't');
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	WANT(links_of("named") == 1);
}

const struct posix_case posix_error_cases[] = {
    {"circles_of_symlinks_end", circles_of_symlinks_end},
    {"names_and_paths_can_be_too_long", names_and_paths_can_be_too_long},
    {"symlinks_up_to_the_longest_path", symlinks_up_to_the_longest_path},
    {"a_file_is_no_directory", a_file_is_no_directory},
    {"a_directory_is_no_file", a_directory_is_no_file},
    {"renaming_directories", renaming_directories},
    {"link_counts_follow_every_name", link_counts_follow_every_name},
    {"a_removed_directory_takes_nothing", a_removed_directory_takes_nothing},
    {"descriptors_do_what_they_were_opened_for", descriptors_do_what_they_were_opened_for},
    {"the_largest_file", the_largest_file},
    {"files_that_are_no_files", files_that_are_no_files},
    {"unnamed_files_or_a_clear_no", unnamed_files_or_a_clear_no},
    {NULL, NULL},
};
