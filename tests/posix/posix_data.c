// SPDX-License-Identifier: Apache-2.0
/* posix_data: reading, writing, appending, truncating, syncing. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tests/posix/posix.h"

enum { BLOCK = 8192 };

static void append_from_many_processes_loses_nothing(void)
{
	enum { WRITERS = 4, LINES = 500, LINE = 100 };
	unsigned seen[WRITERS] = {0};
	char line[LINE];
	int fd, status;

	OK(close(posix_file("log", 0, 0)));
	for (int w = 0; w < WRITERS; w++) {
		if (OK(fork()) != 0)
			continue;
		fd = OK(open("log", O_WRONLY | O_APPEND));
		memset(line, 'A' + w, sizeof(line));
		for (int k = 0; k < LINES; k++)
			WANT(write(fd, line, LINE) == LINE);
		_exit(0);
	}
	for (int w = 0; w < WRITERS; w++) {
		OK(wait(&status));
		WANT(status == 0);
	}
	fd = OK(open("log", O_RDONLY));
	posix_want_size(fd, (off_t)WRITERS * LINES * LINE);
	for (int k = 0; k < WRITERS * LINES; k++) {
		WANT(pread(fd, line, LINE, (off_t)k * LINE) == LINE);
		for (int b = 1; b < LINE; b++)
			WANT(line[b] == line[0]);
		WANT(line[0] >= 'A' && line[0] < 'A' + WRITERS);
		seen[line[0] - 'A']++;
	}
	for (int w = 0; w < WRITERS; w++)
		WANT(seen[w] == LINES);
}

static void append_ignores_the_offset(void)
{
	int fd = posix_file("f", 100, 'a');

	OK(close(fd));
	fd = OK(open("f", O_RDWR | O_APPEND));
	OK(lseek(fd, 0, SEEK_SET));
	WANT(write(fd, "bbb", 3) == 3);
	posix_want_size(fd, 103);
	posix_want_bytes(fd, 100, 3, 'b');
	OK(ftruncate(fd, 10));
	WANT(write(fd, "ccc", 3) == 3);
	posix_want_size(fd, 13);
}

static void small_writes_inside_blocks_keep_their_neighbours(void)
{
	int fd = posix_file("f", 3 * BLOCK, 'a');

	OK(fsync(fd));
	posix_write(fd, BLOCK - 5, 10, 'b');
	posix_write(fd, 2 * BLOCK + 4096, 4096, 'c');
	posix_want_bytes(fd, 0, BLOCK - 5, 'a');
	posix_want_bytes(fd, BLOCK - 5, 10, 'b');
	posix_want_bytes(fd, BLOCK + 5, BLOCK - 5 + 4096, 'a');
	posix_want_bytes(fd, 2 * BLOCK + 4096, 4096, 'c');
	posix_want_size(fd, 3 * BLOCK);
}

static void truncate_down_and_up_shows_zeroes(void)
{
	int fd = posix_file("f", 5 * BLOCK, 'a');

	OK(fsync(fd));
	OK(ftruncate(fd, BLOCK + 100));
	posix_want_size(fd, BLOCK + 100);
	OK(ftruncate(fd, 4 * BLOCK + 7));
	posix_want_size(fd, 4 * BLOCK + 7);
	posix_want_bytes(fd, 0, BLOCK + 100, 'a');
	posix_want_bytes(fd, BLOCK + 100, 3 * BLOCK - 93, 0);
	posix_write(fd, 6 * BLOCK, 1, 'z');
	posix_want_bytes(fd, 4 * BLOCK, 2 * BLOCK, 0);
	OK(ftruncate(fd, 0));
	OK(ftruncate(fd, BLOCK));
	posix_want_bytes(fd, 0, BLOCK, 0);
	OK(close(fd));
	OK(truncate("f", 3));
	fd = OK(open("f", O_RDWR | O_TRUNC));
	posix_want_size(fd, 0);
	FAILS(ftruncate(fd, -1), EINVAL);
}

static void write_then_truncate_then_write_again(void)
{
	int fd = posix_file("f", 0, 0);

	for (int k = 1; k <= 50; k++) {
		posix_write(fd, 0, 3 * BLOCK, 'a' + k % 26);
		OK(ftruncate(fd, k * 100));
		posix_write(fd, 2 * BLOCK + k, 10, 'Z');
		posix_want_bytes(fd, 0, (size_t)k * 100, 'a' + k % 26);
		posix_want_bytes(fd, k * 100, (size_t)(2 * BLOCK + k - k * 100), 0);
		posix_want_bytes(fd, 2 * BLOCK + k, 10, 'Z');
	}
}

static void reads_stop_at_the_end(void)
{
	int fd = posix_file("f", 100, 'a');
	char buf[200];

	WANT(pread(fd, buf, 200, 0) == 100);
	WANT(pread(fd, buf, 200, 60) == 40);
	WANT(pread(fd, buf, 200, 100) == 0);
	WANT(pread(fd, buf, 200, 1000000) == 0);
	WANT(write(fd, buf, 0) == 0);
	posix_want_size(fd, 100);
}

static void offsets_of_64_bits(void)
{
	static const off_t far[] = {(1LL << 31) - 3, (1LL << 32) + 5, 1LL << 40};
	int fd = posix_file("f", 0, 0);
	struct stat st;

	for (size_t k = 0; k < sizeof(far) / sizeof(*far); k++) {
		posix_write(fd, far[k], 7, 'a' + (int)k);
		posix_want_size(fd, far[k] + 7);
		posix_want_bytes(fd, far[k] - 3, 3, 0);
	}
	for (size_t k = 0; k < sizeof(far) / sizeof(*far); k++)
		posix_want_bytes(fd, far[k], 7, 'a' + (int)k);
	OK(fstat(fd, &st));
	WANT(st.st_blocks < 8192);
	OK(ftruncate(fd, 1LL << 33));
	posix_want_bytes(fd, (1LL << 33) - 10, 10, 0);
	posix_want_bytes(fd, (1LL << 32) + 5, 7, 'b');
}

static void vectors_are_one_write(void)
{
	char a[5000], b[6000], c[9000];
	struct iovec v[3] = {{a, sizeof(a)}, {b, sizeof(b)}, {c, sizeof(c)}};
	int fd = posix_file("f", 0, 0);

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	memset(c, 'c', sizeof(c));
	WANT(pwritev(fd, v, 3, 100) == 20000);
	posix_want_bytes(fd, 0, 100, 0);
	posix_want_bytes(fd, 100, 5000, 'a');
	posix_want_bytes(fd, 5100, 6000, 'b');
	posix_want_bytes(fd, 11100, 9000, 'c');
	memset(a, 0, sizeof(a));
	WANT(preadv(fd, v, 3, 100) == 20000);
	WANT(a[0] == 'a' && a[4999] == 'a' && b[0] == 'b' && c[8999] == 'c');
}

static void syncs_answer_well(void)
{
	int fd = posix_file("f", 100, 'a'), sync_fd;

	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(fsync(fd));
	posix_write(fd, 50000, 1, 'b');
	OK(fdatasync(fd));
	OK(sync_file_range(fd, 0, 8192, SYNC_FILE_RANGE_WRITE));
	sync_fd = OK(open("f", O_RDWR | O_DSYNC));
	posix_write(sync_fd, 0, BLOCK, 'd');
	posix_want_bytes(fd, 0, BLOCK, 'd');
	OK(close(sync_fd));
	sync_fd = OK(open("f", O_RDWR | O_SYNC));
	posix_write(sync_fd, 10, 10, 'e');
	posix_want_bytes(fd, 10, 10, 'e');
	OK(close(fd));
	fd = OK(open("f", O_RDONLY));
	OK(fsync(fd));
	OK(syncfs(fd));
}

static void direct_io_or_a_clear_no(void)
{
	int fd = posix_file("f", 4 * BLOCK, 'a'), direct = open("f", O_RDWR | O_DIRECT);
	void *buf = NULL;

	if (direct < 0) {
		WANT(errno == EINVAL);
		posix_skip("no O_DIRECT here");
	}
	WANT(posix_memalign(&buf, 4096, 2 * BLOCK) == 0);
	memset(buf, 'b', 2 * BLOCK);
	WANT(pwrite(direct, buf, 2 * BLOCK, BLOCK) == 2 * BLOCK);
	posix_want_bytes(fd, 0, BLOCK, 'a');
	posix_want_bytes(fd, BLOCK, 2 * BLOCK, 'b');
	WANT(pread(direct, buf, BLOCK, 3 * BLOCK) == BLOCK && ((char *)buf)[0] == 'a');
	free(buf);
}

static void a_segment_filled_with_zeroes_then_renamed_then_written(void)
{
	int fd = posix_file("xlogtemp.1", 0, 0), wal;

	for (int k = 0; k < 256; k++)
		posix_write(fd, (off_t)k * BLOCK, BLOCK, 0);
	OK(fsync(fd));
	OK(close(fd));
	OK(rename("xlogtemp.1", "000000010000000000000001"));
	wal = OK(open("000000010000000000000001", O_RDWR | O_DSYNC));
	for (int k = 0; k < 64; k++) {
		posix_write(wal, (off_t)k * BLOCK, BLOCK, 1 + k);
		posix_want_bytes(wal, (off_t)k * BLOCK, BLOCK, 1 + k);
	}
	fd = OK(open("000000010000000000000001", O_RDONLY));
	posix_want_size(fd, 256 * BLOCK);
	posix_want_bytes(fd, 63 * BLOCK, BLOCK, 64);
	posix_want_bytes(fd, 64 * BLOCK, 192 * BLOCK, 0);
}

static void *read_all_the_time(void *arg)
{
	const volatile bool *stop = arg;
	int fd = OK(open("f", O_RDONLY));
	char buf[BLOCK];

	/* A block is written whole, so it is read whole: never half of one and half of another. */
	while (!*stop) {
		WANT(pread(fd, buf, BLOCK, 4 * BLOCK) == BLOCK);
		WANT(buf[0] >= 'a' && buf[0] <= 'z');
	}
	return NULL;
}

static void reading_while_another_writes(void)
{
	int fd = posix_file("f", 16 * BLOCK, 'a');
	volatile bool stop = false;
	pthread_t t[2];

	for (int k = 0; k < 2; k++)
		WANT(pthread_create(&t[k], NULL, read_all_the_time, (void *)&stop) == 0);
	for (int k = 0; k < 2000; k++)
		posix_write(fd, (off_t)(k % 16) * BLOCK, BLOCK, 'a' + k % 26);
	stop = true;
	for (int k = 0; k < 2; k++)
		WANT(pthread_join(t[k], NULL) == 0);
}

static void statfs_is_plausible(void)
{
	struct statvfs v;

	OK(statvfs(".", &v));
	WANT(v.f_blocks > 0 && v.f_bavail > 0 && v.f_bavail <= v.f_blocks);
	WANT(v.f_namemax >= 255);
	WANT(v.f_frsize >= 512);
}

const struct posix_case posix_data_cases[] = {
    {"append_from_many_processes_loses_nothing", append_from_many_processes_loses_nothing},
    {"append_ignores_the_offset", append_ignores_the_offset},
    {"small_writes_inside_blocks_keep_their_neighbours",
     small_writes_inside_blocks_keep_their_neighbours},
    {"truncate_down_and_up_shows_zeroes", truncate_down_and_up_shows_zeroes},
    {"write_then_truncate_then_write_again", write_then_truncate_then_write_again},
    {"reads_stop_at_the_end", reads_stop_at_the_end},
    {"offsets_of_64_bits", offsets_of_64_bits},
    {"vectors_are_one_write", vectors_are_one_write},
    {"syncs_answer_well", syncs_answer_well},
    {"direct_io_or_a_clear_no", direct_io_or_a_clear_no},
    {"a_segment_filled_with_zeroes_then_renamed_then_written",
     a_segment_filled_with_zeroes_then_renamed_then_written},
    {"reading_while_another_writes", reading_while_another_writes},
    {"statfs_is_plausible", statfs_is_plausible},
    {NULL, NULL},
};
