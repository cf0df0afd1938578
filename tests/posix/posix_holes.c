// SPDX-License-Identifier: Apache-2.0
/* posix_holes: sparse files, fallocate in its kinds, SEEK_DATA and SEEK_HOLE. */
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>

#include "tests/posix/posix.h"

enum { BLOCK = 8192 };

static void holes_read_as_zeroes(void)
{
	int fd = posix_file("f", 10, 'a');

	posix_write(fd, 100 * BLOCK + 5, 10, 'b');
	posix_want_bytes(fd, 0, 10, 'a');
	posix_want_bytes(fd, 10, 100 * BLOCK - 5, 0);
	posix_want_bytes(fd, 100 * BLOCK + 5, 10, 'b');
	posix_want_size(fd, 100 * BLOCK + 15);
	posix_write(fd, 50 * BLOCK + 1, 1, 'c');
	posix_want_bytes(fd, 50 * BLOCK, 1, 0);
	posix_want_bytes(fd, 50 * BLOCK + 2, BLOCK, 0);
}

static void allocate_extends_with_zeroes(void)
{
	int fd = posix_file("f", 100, 'a');

	OK(fallocate(fd, 0, 0, 10 * BLOCK));
	posix_want_size(fd, 10 * BLOCK);
	posix_want_bytes(fd, 0, 100, 'a');
	posix_want_bytes(fd, 100, 10 * BLOCK - 100, 0);
	WANT(posix_fallocate(fd, 5 * BLOCK, 10 * BLOCK) == 0);
	posix_want_size(fd, 15 * BLOCK);
	OK(fallocate(fd, 0, 0, 10));
	posix_want_size(fd, 15 * BLOCK);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
}

static void allocate_keeping_the_size(void)
{
	int fd = posix_file("f", 100, 'a');

	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10 * BLOCK));
	posix_want_size(fd, 100);
	OK(ftruncate(fd, 3 * BLOCK));
	posix_want_bytes(fd, 0, 100, 'a');
	posix_want_bytes(fd, 100, 3 * BLOCK - 100, 0);
}

static void punched_ranges_read_as_zeroes(void)
{
	static const struct {
		off_t off;
		size_t len;
	} hole[] = {
	    {3, 10}, {BLOCK, BLOCK}, {2 * BLOCK + 5, 3 * BLOCK}, {9 * BLOCK - 1, 2}, {0, 1}};

	for (size_t k = 0; k < sizeof(hole) / sizeof(*hole); k++) {
		int fd = posix_file("f", 10 * BLOCK, 'a');
		off_t end = hole[k].off + (off_t)hole[k].len;

		OK(fsync(fd));
		OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole[k].off,
			     (off_t)hole[k].len));
		posix_want_bytes(fd, 0, (size_t)hole[k].off, 'a');
		posix_want_bytes(fd, hole[k].off, hole[k].len, 0);
		posix_want_bytes(fd, end, (size_t)(10 * BLOCK - end), 'a');
		posix_want_size(fd, 10 * BLOCK);
		posix_write(fd, hole[k].off, 1, 'n');
		posix_want_bytes(fd, hole[k].off, 1, 'n');
		OK(close(fd));
		OK(unlink("f"));
	}
}

static void punching_past_the_end_changes_nothing(void)
{
	int fd = posix_file("f", 100, 'a');

	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK));
	posix_want_size(fd, 100);
	posix_want_bytes(fd, 0, 100, 'a');
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 50, 10 * BLOCK));
	posix_want_size(fd, 100);
	posix_want_bytes(fd, 0, 50, 'a');
	posix_want_bytes(fd, 50, 50, 0);
}

static void zeroed_ranges(void)
{
	int fd = posix_file("f", 4 * BLOCK, 'a');

	if (fallocate(fd, FALLOC_FL_ZERO_RANGE, BLOCK + 10, BLOCK) < 0) {
		WANT(errno == EOPNOTSUPP);
		posix_skip("no FALLOC_FL_ZERO_RANGE here");
	}
	posix_want_bytes(fd, 0, BLOCK + 10, 'a');
	posix_want_bytes(fd, BLOCK + 10, BLOCK, 0);
	posix_want_bytes(fd, 2 * BLOCK + 10, 2 * BLOCK - 10, 'a');
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 3 * BLOCK, 5 * BLOCK));
	posix_want_size(fd, 8 * BLOCK);
	posix_want_bytes(fd, 3 * BLOCK, 5 * BLOCK, 0);
}

static void kinds_that_are_not_offered_say_so(void)
{
	int fd = posix_file("f", 4 * BLOCK, 'a');

	/* A file system may offer them; then the size changes, otherwise nothing does. */
	if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, BLOCK, BLOCK) == 0)
		posix_want_size(fd, 3 * BLOCK);
	else
		WANT(errno == EOPNOTSUPP);
	posix_want_bytes(fd, 0, 3 * BLOCK, 'a');
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, BLOCK), EOPNOTSUPP);
}

static void seek_finds_all_data(void)
{
	int fd = posix_file("f", 0, 0);
	off_t data, hole;

	posix_write(fd, 10 * BLOCK, BLOCK, 'a');
	posix_write(fd, 20 * BLOCK, 5, 'b');
	OK(ftruncate(fd, 40 * BLOCK));
	OK(fsync(fd));
	/* Where data is said to end it may not; but it never begins later than it does. */
	data = OK(lseek(fd, 0, SEEK_DATA));
	WANT(data <= 10 * BLOCK);
	hole = OK(lseek(fd, 10 * BLOCK, SEEK_HOLE));
	WANT(hole >= 11 * BLOCK);
	data = OK(lseek(fd, 20 * BLOCK, SEEK_DATA));
	WANT(data == 20 * BLOCK);
	hole = OK(lseek(fd, 20 * BLOCK, SEEK_HOLE));
	WANT(hole >= 20 * BLOCK + 5 && hole <= 40 * BLOCK);
	FAILS(lseek(fd, 40 * BLOCK, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 40 * BLOCK, SEEK_HOLE), ENXIO);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
}

static void a_copy_that_skips_holes_is_whole(void)
{
	int fd = posix_file("f", 0, 0), to = posix_file("g", 0, 0);
	off_t end = 0, at, stop;
	char buf[BLOCK];

	for (int k = 0; k < 40; k += 3)
		posix_write(fd, (off_t)k * 5000, 1000, 'a' + k % 26);
	OK(fsync(fd));
	end = OK(lseek(fd, 0, SEEK_END));
	OK(ftruncate(to, end));
	for (at = lseek(fd, 0, SEEK_DATA); at >= 0; at = lseek(fd, stop, SEEK_DATA)) {
		stop = OK(lseek(fd, at, SEEK_HOLE));
		while (at < stop) {
			size_t n =
			    (size_t)(stop - at) < sizeof(buf) ? (size_t)(stop - at) : sizeof(buf);

			WANT(pread(fd, buf, n, at) == (ssize_t)n);
			WANT(pwrite(to, buf, n, at) == (ssize_t)n);
			at += (off_t)n;
		}
	}
	WANT(errno == ENXIO);
	for (int k = 0; k < 40; k += 3)
		posix_want_bytes(to, (off_t)k * 5000, 1000, 'a' + k % 26);
}

const struct posix_case posix_hole_cases[] = {
    {"holes_read_as_zeroes", holes_read_as_zeroes},
    {"allocate_extends_with_zeroes", allocate_extends_with_zeroes},
    {"allocate_keeping_the_size", allocate_keeping_the_size},
    {"punched_ranges_read_as_zeroes", punched_ranges_read_as_zeroes},
    {"punching_past_the_end_changes_nothing", punching_past_the_end_changes_nothing},
    {"zeroed_ranges", zeroed_ranges},
    {"kinds_that_are_not_offered_say_so", kinds_that_are_not_offered_say_so},
    {"seek_finds_all_data", seek_finds_all_data},
    {"a_copy_that_skips_holes_is_whole", a_copy_that_skips_holes_is_whole},
    {NULL, NULL},
};
