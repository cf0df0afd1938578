// SPDX-License-Identifier: Apache-2.0
/* posix_links: hard links, symbolic links, and files that are no files. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/posix/posix.h"

static void hard_links_are_one_file(void)
{
	int fd = posix_file("a", 100, 'a'), other;
	struct stat st;

	OK(link("a", "b"));
	OK(mkdir("d", 0700));
	OK(link("b", "d/c"));
	OK(stat("d/c", &st));
	WANT(st.st_nlink == 3 && st.st_size == 100);
	other = OK(open("d/c", O_RDWR));
	posix_write(other, 50, 100, 'c');
	posix_want_bytes(fd, 50, 100, 'c');
	posix_want_size(fd, 150);
	OK(unlink("a"));
	OK(unlink("b"));
	OK(fstat(other, &st));
	WANT(st.st_nlink == 1);
	posix_want_bytes(other, 0, 50, 'a');
	FAILS(link("none", "x"), ENOENT);
	FAILS(link("d/c", "d"), EEXIST);
	FAILS(link("d", "e"), EPERM);
}

static void rename_between_links_of_one_file_does_nothing(void)
{
	OK(close(posix_file("a", 1, 'a')));
	OK(link("a", "b"));
	OK(rename("a", "b"));
	WANT(posix_exists("a") && posix_exists("b"));
}

static void symlinks_keep_their_text(void)
{
	char text[600], got[600];
	struct stat st;
	ssize_t n;

	OK(mkdir("d", 0700));
	OK(close(posix_file("d/f", 3, 'f')));
	OK(symlink("d/f", "s"));
	OK(stat("s", &st));
	WANT(S_ISREG(st.st_mode) && st.st_size == 3);
	OK(lstat("s", &st));
	WANT(S_ISLNK(st.st_mode) && st.st_size == 3);
	OK(symlink("../nowhere/at all", "dangling"));
	n = OK(readlink("dangling", got, sizeof(got)));
	WANT(n == 17 && memcmp(got, "../nowhere/at all", 17) == 0);
	FAILS(open("dangling", O_RDONLY), ENOENT);
	FAILS(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	memset(text, 'x', sizeof(text));
	for (int k = 100; k < 500; k += 100)
		text[k] = '/';
	text[500] = '\0';
	OK(symlink(text, "long"));
	n = OK(readlink("long", got, sizeof(got)));
	WANT(n == 500 && memcmp(got, text, 500) == 0);
	FAILS(readlink("d/f", got, sizeof(got)), EINVAL);
	FAILS(symlink("x", "s"), EEXIST);
	OK(unlink("s"));
	WANT(posix_exists("d/f"));
	OK(rename("long", "dangling"));
	n = OK(readlink("dangling", got, sizeof(got)));
	WANT(n == 500);
}

static void fifo_carries_bytes(void)
{
	char got[8] = "";
	int status, fd;
	pid_t pid;

	OK(mkfifo("fifo", 0600));
	pid = OK(fork());
	if (pid == 0) {
		fd = OK(open("fifo", O_WRONLY));
		WANT(write(fd, "hello", 5) == 5);
		_exit(0);
	}
	fd = OK(open("fifo", O_RDONLY));
	WANT(read(fd, got, sizeof(got)) == 5 && memcmp(got, "hello", 5) == 0);
	OK(waitpid(pid, &status, 0));
	WANT(status == 0);
	OK(unlink("fifo"));
}

static void socket_has_a_name(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int s = OK(socket(AF_UNIX, SOCK_STREAM, 0)), c = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	struct stat st;

	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	OK(listen(s, 1));
	OK(lstat("sock", &st));
	WANT(S_ISSOCK(st.st_mode));
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	OK(unlink("sock"));
}

const struct posix_case posix_link_cases[] = {
    {"hard_links_are_one_file", hard_links_are_one_file},
    {"rename_between_links_of_one_file_does_nothing",
     rename_between_links_of_one_file_does_nothing},
    {"symlinks_keep_their_text", symlinks_keep_their_text},
    {"fifo_carries_bytes", fifo_carries_bytes},
    {"socket_has_a_name", socket_has_a_name},
    {NULL, NULL},
};
