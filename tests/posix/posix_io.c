// SPDX-License-Identifier: Apache-2.0
/* posix_io: the less usual ways to move bytes, and that all ways see the same bytes. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tests/posix/posix.h"

enum { BLOCK = 8192, LEN = 20 * BLOCK };

/* Each block has a value of its own. */
static int patterned(const char *name)
{
	int fd = posix_file(name, 0, 0);

	for (int k = 0; k < 20; k++)
		posix_write(fd, (off_t)k * BLOCK, BLOCK, 'a' + k);
	return fd;
}

static void want_pattern(int fd, off_t at, int from, int to)
{
	for (int k = from; k < to; k++)
		posix_want_bytes(fd, at + (off_t)(k - from) * BLOCK, BLOCK, 'a' + k);
}

static void copied_ranges(void)
{
	int from = patterned("from"), to = posix_file("to", 3 * BLOCK, 'z'), readonly;
	off_t in = 2 * BLOCK, out = BLOCK;
	size_t left = 10 * BLOCK;

	while (left) {
		ssize_t n = copy_file_range(from, &in, to, &out, left, 0);

		WANT(n > 0);
		left -= (size_t)n;
	}
	WANT(in == 12 * BLOCK && out == 11 * BLOCK);
	posix_want_size(to, 11 * BLOCK);
	posix_want_bytes(to, 0, BLOCK, 'z');
	want_pattern(to, BLOCK, 2, 12);
	/* Not past the end, nothing at the end, not over itself. */
	in = LEN - 100;
	WANT(copy_file_range(from, &in, to, &out, BLOCK, 0) == 100);
	WANT(copy_file_range(from, &in, to, &out, BLOCK, 0) == 0);
	in = 0;
	out = 10;
	FAILS(copy_file_range(from, &in, from, &out, BLOCK, 0), EINVAL);
	in = 0;
	out = 15 * BLOCK;
	WANT(copy_file_range(from, &in, from, &out, BLOCK, 0) == BLOCK);
	posix_want_bytes(from, 15 * BLOCK, BLOCK, 'a');
	readonly = OK(open("to", O_RDONLY));
	FAILS(copy_file_range(from, NULL, readonly, NULL, 1, 0), EBADF);
}

static void sent_and_spliced(void)
{
	int from = patterned("from"), to = posix_file("to", 0, 0), p[2];
	off_t at = 0;

	while (at < LEN)
		WANT(sendfile(to, from, &at, (size_t)(LEN - at)) > 0);
	posix_want_size(to, LEN);
	want_pattern(to, 0, 0, 20);
	OK(ftruncate(to, 0));
	OK(pipe(p));
	at = 0;
	for (off_t out = 0; out < LEN;) {
		ssize_t n = splice(from, &at, p[1], NULL, 4 * BLOCK, 0);

		WANT(n > 0);
		while (n > 0) {
			ssize_t w = splice(p[0], NULL, to, &out, (size_t)n, SPLICE_F_MOVE);

			WANT(w > 0);
			n -= w;
		}
	}
	posix_want_size(to, LEN);
	want_pattern(to, 0, 0, 20);
}

static void flags_of_one_write_or_read(void)
{
	int fd = patterned("f");
	char buf[BLOCK];
	struct iovec v = {buf, sizeof(buf)};
	ssize_t n;

	memset(buf, 'Z', sizeof(buf));
	WANT(pwritev2(fd, &v, 1, BLOCK, RWF_DSYNC) == BLOCK);
	WANT(pwritev2(fd, &v, 1, 3 * BLOCK, RWF_SYNC) == BLOCK);
	WANT(pwritev2(fd, &v, 1, 0, RWF_APPEND) == BLOCK);
	posix_want_size(fd, LEN + BLOCK);
	posix_want_bytes(fd, BLOCK, BLOCK, 'Z');
	posix_want_bytes(fd, 3 * BLOCK, BLOCK, 'Z');
	posix_want_bytes(fd, LEN, BLOCK, 'Z');
	posix_want_bytes(fd, 0, BLOCK, 'a');
	WANT(preadv2(fd, &v, 1, 2 * BLOCK, 0) == BLOCK && buf[0] == 'c');
	n = preadv2(fd, &v, 1, 2 * BLOCK, RWF_NOWAIT);
	WANT(n == BLOCK ? buf[0] == 'c' : n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP));
	OK(lseek(fd, 4 * BLOCK, SEEK_SET));
	WANT(preadv2(fd, &v, 1, -1, 0) == BLOCK && buf[0] == 'e');
	WANT(lseek(fd, 0, SEEK_CUR) == 5 * BLOCK);
}

static void append_with_an_offset_still_appends(void)
{
	int fd;

	OK(close(posix_file("f", 100, 'a')));
	fd = OK(open("f", O_RDWR | O_APPEND));
	WANT(pwrite(fd, "bbb", 3, 10) == 3); /* what Linux does */
	posix_want_size(fd, 103);
	posix_want_bytes(fd, 0, 100, 'a');
}

/* Two descriptions of one file see each other's ends. */
static void appending_descriptions_take_turns(void)
{
	int a, b;

	OK(close(posix_file("f", 0, 0)));
	a = OK(open("f", O_WRONLY | O_APPEND));
	b = OK(open("f", O_RDWR | O_APPEND));
	for (int k = 0; k < 300; k++) {
		WANT(write(k % 2 ? a : b, k % 2 ? "11111" : "000", k % 2 ? 5 : 3) ==
		     (k % 2 ? 5 : 3));
		if (k % 50 == 49)
			OK(ftruncate(b, 8));
	}
	posix_want_size(b, 8);
	posix_want_bytes(b, 0, 3, '0');
	posix_want_bytes(b, 3, 5, '1');
}

static void emptying_at_open_keeps_the_inode(void)
{
	int fd = posix_file("f", LEN, 'a'), writer;
	struct stat a, b;

	OK(fstat(fd, &a));
	writer = OK(open("f", O_WRONLY | O_TRUNC | O_CREAT, 0777));
	OK(close(writer));
	OK(fstat(fd, &b));
	WANT(a.st_ino == b.st_ino && b.st_size == 0 && a.st_mode == b.st_mode);
	posix_write(fd, 2 * BLOCK, 1, 'x');
	posix_want_bytes(fd, 0, 2 * BLOCK, 0);
}

static void copies_of_a_descriptor_share_the_offset(void)
{
	int fd = patterned("f"), copy = OK(dup(fd)), other = OK(open("f", O_RDONLY)), status;
	char c;
	pid_t pid;

	OK(lseek(fd, 3 * BLOCK, SEEK_SET));
	WANT(read(copy, &c, 1) == 1 && c == 'd');
	WANT(read(other, &c, 1) == 1 && c == 'a');
	pid = OK(fork());
	if (pid == 0)
		_exit(lseek(fd, 5 * BLOCK, SEEK_SET) == 5 * BLOCK ? 0 : 1);
	OK(waitpid(pid, &status, 0));
	WANT(status == 0 && read(copy, &c, 1) == 1 && c == 'f');
}

static void maps_reads_and_direct_io_see_the_same(void)
{
	int fd = patterned("f"), direct = open("f", O_RDWR | O_DIRECT);
	char *m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	void *buf = NULL;

	WANT(m != MAP_FAILED && posix_memalign(&buf, 4096, BLOCK) == 0);
	for (int k = 0; k < 20; k++) {
		m[k * BLOCK + 5] = 'M';
		posix_want_bytes(fd, (off_t)k * BLOCK + 5, 1, 'M');
		posix_write(fd, (off_t)k * BLOCK + 7, 1, 'W');
		WANT(m[k * BLOCK + 7] == 'W' && m[k * BLOCK + 8] == 'a' + k);
	}
	if (direct < 0) {
		WANT(errno == EINVAL);
		posix_skip("no O_DIRECT here");
	}
	WANT(pread(direct, buf, BLOCK, 2 * BLOCK) == BLOCK);
	WANT(((char *)buf)[5] == 'M' && ((char *)buf)[7] == 'W' && ((char *)buf)[9] == 'c');
	memset(buf, 'D', BLOCK);
	WANT(pwrite(direct, buf, BLOCK, 4 * BLOCK) == BLOCK);
	posix_want_bytes(fd, 4 * BLOCK, BLOCK, 'D');
	WANT(m[4 * BLOCK] == 'D' && m[5 * BLOCK - 1] == 'D' && m[5 * BLOCK] == 'f');
	OK(munmap(m, LEN));
	free(buf);
}

static void private_maps_see_what_others_write_until_they_write(void)
{
	int fd = patterned("f");
	char *m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	WANT(m != MAP_FAILED && m[0] == 'a');
	m[1] = 'P';
	posix_want_bytes(fd, 1, 1, 'a');
	OK(msync(m, LEN, MS_SYNC));
	OK(fsync(fd));
	posix_want_bytes(fd, 0, BLOCK, 'a');
	WANT(m[1] == 'P');
}

static void the_rest_of_the_last_page_is_zero(void)
{
	int fd = posix_file("f", 100, 'a');
	char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	WANT(m != MAP_FAILED);
	for (int k = 100; k < 4096; k++)
		WANT(m[k] == 0);
	/* What is written there is never part of the file. */
	memset(m + 100, 'J', 1000);
	OK(msync(m, 4096, MS_SYNC));
	OK(munmap(m, 4096));
	posix_want_size(fd, 100);
	OK(fsync(fd));
	OK(ftruncate(fd, 5000));
	posix_want_bytes(fd, 100, 4900, 0);
}

static void advice_and_partial_syncs_do_no_harm(void)
{
	int fd = patterned("f");

	WANT(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
	OK(sync_file_range(fd, 0, LEN,
			   SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			       SYNC_FILE_RANGE_WAIT_AFTER));
	WANT(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	want_pattern(fd, 0, 0, 20);
	WANT(posix_fadvise(fd, BLOCK, BLOCK, POSIX_FADV_WILLNEED) == 0);
	OK(readahead(fd, 0, LEN));
	want_pattern(fd, 0, 0, 20);
}

/* Every place in a directory can be come back to, also when other names went and came. */
static void every_place_in_a_directory(void)
{
	enum { NAMES = 200 };
	static struct {
		long at;
		char name[32];
	} seen[NAMES + 2];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	OK(mkdir("d", 0700));
	for (int k = 0; k < NAMES; k++) {
		char name[32];

		snprintf(name, sizeof(name), "d/n%d", k);
		OK(close(posix_file(name, 0, 0)));
	}
	d = opendir("d");
	WANT(d);
	for (;;) {
		long at = telldir(d);

		if (!(e = readdir(d)))
			break;
		WANT(n < NAMES + 2);
		seen[n].at = at;
		snprintf(seen[n++].name, sizeof(seen[0].name), "%.31s", e->d_name);
	}
	WANT(n == NAMES + 2);
	OK(close(posix_file("d/new", 0, 0)));
	for (unsigned k = n; k-- > 0;) {
		char name[64];

		seekdir(d, seen[k].at);
		e = readdir(d);
		WANT(e && strcmp(e->d_name, seen[k].name) == 0);
		snprintf(name, sizeof(name), "d/%s", seen[k].name);
		if (seen[k].name[0] == 'n' && k % 3 == 0)
			OK(unlink(name));
	}
	closedir(d);
}

const struct posix_case posix_io_cases[] = {
    {"copied_ranges", copied_ranges},
    {"sent_and_spliced", sent_and_spliced},
    {"flags_of_one_write_or_read", flags_of_one_write_or_read},
    {"append_with_an_offset_still_appends", append_with_an_offset_still_appends},
    {"appending_descriptions_take_turns", appending_descriptions_take_turns},
    {"emptying_at_open_keeps_the_inode", emptying_at_open_keeps_the_inode},
    {"copies_of_a_descriptor_share_the_offset", copies_of_a_descriptor_share_the_offset},
    {"maps_reads_and_direct_io_see_the_same", maps_reads_and_direct_io_see_the_same},
    {"private_maps_see_what_others_write_until_they_write",
     private_maps_see_what_others_write_until_they_write},
    {"the_rest_of_the_last_page_is_zero", the_rest_of_the_last_page_is_zero},
    {"advice_and_partial_syncs_do_no_harm", advice_and_partial_syncs_do_no_harm},
    {"every_place_in_a_directory", every_place_in_a_directory},
    {NULL, NULL},
};
