// SPDX-License-Identifier: Apache-2.0
/* posix_names: creating, renaming and removing names, also of open files. */
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>

#include "tests/posix/posix.h"

static void exclusive_create_lets_one_win(void)
{
	int fd = posix_file("postmaster.pid", 10, 'a');

	FAILS(open("postmaster.pid", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	OK(unlink("postmaster.pid"));
	OK(open("postmaster.pid", O_RDWR | O_CREAT | O_EXCL, 0600));
	OK(symlink("nowhere", "dangling"));
	FAILS(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	posix_want_bytes(fd, 0, 10, 'a');
}

static void rename_over_an_open_file_keeps_both_readable(void)
{
	int old = posix_file("pg_control", 8192, 'o'), new = posix_file("tmp", 100, 'n');
	struct stat a, b;

	OK(rename("tmp", "pg_control"));
	WANT(!posix_exists("tmp"));
	posix_want_bytes(old, 0, 8192, 'o');
	posix_write(old, 8192, 10, 'x');
	posix_want_size(old, 8202);
	posix_want_bytes(new, 0, 100, 'n');
	OK(fstat(new, &a));
	OK(stat("pg_control", &b));
	WANT(a.st_ino == b.st_ino && b.st_nlink == 1 && b.st_size == 100);
	OK(fstat(old, &a));
	WANT(a.st_nlink == 0);
}

static void unlinked_open_file_lives_until_it_is_closed(void)
{
	int fd = posix_file("f", 20000, 'a');
	struct stat st;

	OK(unlink("f"));
	WANT(!posix_exists("f"));
	OK(fstat(fd, &st));
	WANT(st.st_nlink == 0);
	posix_want_bytes(fd, 0, 20000, 'a');
	posix_write(fd, 100000, 10, 'b');
	posix_want_bytes(fd, 20000, 80000, 0);
	OK(ftruncate(fd, 5));
	posix_want_size(fd, 5);
	OK(fsync(fd));
	OK(fchmod(fd, 0640));
	OK(close(fd));
	fd = posix_file("f", 1, 'z');
	posix_want_size(fd, 1);
}

static void rename_without_replacing_refuses(void)
{
	OK(close(posix_file("a", 1, 'a')));
	OK(close(posix_file("b", 1, 'b')));
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	WANT(!posix_exists("a") && posix_exists("c"));
}

static void rename_exchange_swaps(void)
{
	int fd;

	OK(close(posix_file("a", 1, 'a')));
	OK(mkdir("d", 0700));
	OK(close(posix_file("d/b", 1, 'b')));
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/b", RENAME_EXCHANGE));
	fd = OK(open("a", O_RDONLY));
	posix_want_bytes(fd, 0, 1, 'b');
	fd = OK(open("d/b", O_RDONLY));
	posix_want_bytes(fd, 0, 1, 'a');
	FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
	WANT(posix_exists("a/b"));
}

static void rename_knows_directories_from_files(void)
{
	OK(mkdir("d", 0700));
	OK(mkdir("d/sub", 0700));
	OK(mkdir("empty", 0700));
	OK(close(posix_file("f", 1, 'f')));
	FAILS(rename("f", "d"), EISDIR);
	FAILS(rename("d", "f"), ENOTDIR);
	FAILS(rename("empty", "d"), ENOTEMPTY);
	FAILS(rename("d", "d/sub/x"), EINVAL);
	FAILS(rename("none", "x"), ENOENT);
	FAILS(rename("f", "none/x"), ENOENT);
	FAILS(rename("f", "f/x"), ENOTDIR);
	OK(rename("d", "empty"));
	WANT(posix_exists("empty/sub") && !posix_exists("d"));
	OK(rename("f", "f"));
	WANT(posix_exists("f"));
}

static void moving_a_directory_moves_what_is_open_in_it(void)
{
	struct stat a, b;
	int fd;

	OK(mkdir("base", 0700));
	OK(mkdir("base/5", 0700));
	fd = posix_file("base/5/112", 8192, 'p');
	OK(mkdir("other", 0700));
	OK(stat("base", &a));
	WANT(a.st_nlink == 3 || a.st_nlink == 1);
	OK(rename("base/5", "other/6"));
	posix_want_bytes(fd, 0, 8192, 'p');
	OK(fstat(fd, &a));
	OK(stat("other/6/112", &b));
	WANT(a.st_ino == b.st_ino);
	OK(stat("other/6/..", &a));
	OK(stat("other", &b));
	WANT(a.st_ino == b.st_ino);
	FAILS(open("base/5/112", O_RDONLY), ENOENT);
}

static void removing_wants_the_right_kind(void)
{
	OK(mkdir("d", 0700));
	OK(close(posix_file("d/f", 1, 'f')));
	FAILS(rmdir("d"), ENOTEMPTY);
	WANT(unlink("d") == -1 && (errno == EISDIR || errno == EPERM));
	FAILS(rmdir("d/f"), ENOTDIR);
	FAILS(unlink("d/none"), ENOENT);
	FAILS(rmdir("d/none"), ENOENT);
	FAILS(mkdir("d", 0700), EEXIST);
	OK(unlink("d/f"));
	OK(rmdir("d"));
	FAILS(rmdir("d"), ENOENT);
}

static void names_up_to_255_bytes(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	OK(close(posix_file(name, 1, 'x')));
	OK(rename(name, "short"));
	OK(rename("short", name));
	WANT(posix_exists(name));
	OK(unlink(name));
	name[255] = 'n';
	name[256] = '\0';
	FAILS(open(name, O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
	OK(close(posix_file("with \n\t\"'\\ and \xff\xfe", 1, 'x')));
	WANT(posix_exists("with \n\t\"'\\ and \xff\xfe"));
}

static void a_name_used_again_is_another_file(void)
{
	for (int k = 0; k < 200; k++) {
		int fd = posix_file("t", 100, 'a' + k % 26);

		posix_want_bytes(fd, 0, 100, 'a' + k % 26);
		posix_want_size(fd, 100);
		OK(unlink("t"));
		if (k % 3)
			OK(close(fd));
	}
}

static void durable_rename_the_way_postgres_does_it(void)
{
	int fd = posix_file("new", 8192, 'n'), dir;

	OK(fsync(fd));
	OK(close(fd));
	OK(rename("new", "target"));
	fd = OK(open("target", O_RDWR));
	OK(fsync(fd));
	OK(close(fd));
	dir = OK(open(".", O_RDONLY | O_DIRECTORY));
	OK(fsync(dir));
	OK(fdatasync(dir));
	OK(close(dir));
	OK(mkdir("d", 0700));
	dir = OK(open("d", O_RDONLY));
	OK(fsync(dir));
	OK(close(dir));
}

const struct posix_case posix_name_cases[] = {
    {"exclusive_create_lets_one_win", exclusive_create_lets_one_win},
    {"rename_over_an_open_file_keeps_both_readable", rename_over_an_open_file_keeps_both_readable},
    {"unlinked_open_file_lives_until_it_is_closed", unlinked_open_file_lives_until_it_is_closed},
    {"rename_without_replacing_refuses", rename_without_replacing_refuses},
    {"rename_exchange_swaps", rename_exchange_swaps},
    {"rename_knows_directories_from_files", rename_knows_directories_from_files},
    {"moving_a_directory_moves_what_is_open_in_it", moving_a_directory_moves_what_is_open_in_it},
    {"removing_wants_the_right_kind", removing_wants_the_right_kind},
    {"names_up_to_255_bytes", names_up_to_255_bytes},
    {"a_name_used_again_is_another_file", a_name_used_again_is_another_file},
    {"durable_rename_the_way_postgres_does_it", durable_rename_the_way_postgres_does_it},
    {NULL, NULL},
};
