// SPDX-License-Identifier: Apache-2.0
/* os: the host system calls cowfs makes, in the form it wants them.
 *
 * Everything that reads or writes extent files goes through here, so that one place can be watched,
 * and made to fail by the tests (cow_os_fail_after). All calls answer 0 or -errno and are retried
 * on EINTR; none is retried on any other error. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "store/error.h"

/* -EIO at the end of the file before `len` bytes. */
cow_errno cow_os_pread(int fd, void *buf, size_t len, uint64_t pos);
/* All of it or an error; what was written before the error is unknown. */
cow_errno cow_os_pwrite(int fd, const void *buf, size_t len, uint64_t pos);
/* The same and durable, in one call where the kernel can (RWF_DSYNC). */
cow_errno cow_os_pwrite_dsync(int fd, const void *buf, size_t len, uint64_t pos);
/* The kernel begins with the write-back of the range. Waits for no page to be written, but it may
 * for the host's journal or a full queue; promises nothing. */
void cow_os_start_write(int fd, uint64_t pos, uint64_t len);
cow_errno cow_os_fdatasync(int fd);
cow_errno cow_os_fsync(int fd);
cow_errno cow_os_punch(int fd, uint64_t pos, uint64_t len);
/* Grows the file: what lies past its end could not be punched again. */
cow_errno cow_os_allocate(int fd, uint64_t pos, uint64_t len);
cow_errno cow_os_truncate(int fd, uint64_t size);
cow_errno cow_os_unlink(int dirfd, const char *path);

/* Descriptor or -errno; close-on-exec. */
int cow_os_open(int dirfd, const char *path, int flags, mode_t mode);
/* mkdir that finds it good when the directory is there. */
cow_errno cow_os_mkdir(int dirfd, const char *path, mode_t mode);
/* fsync of a directory by path. */
cow_errno cow_os_sync_dir(int dirfd, const char *path);

/* Replace a small file durably: write beside it, fsync, rename, fsync the directory. */
cow_errno cow_os_replace(int dirfd, const char *path, const void *data, size_t len);
/* At most `size` - 1 bytes and a NUL. -ENOENT.. */
cow_errno cow_os_read_small(int dirfd, const char *path, char *buf, size_t size);

int64_t cow_os_now_ns(void); /* CLOCK_REALTIME */
cow_errno cow_os_boot_id(char ret[64]);

/* Tests only: let the n-th host call from now on fail once with -`err` (n 1 = the next); 0 = never.
 * Returns how many calls have been counted since the last setting. Process-wide, like the system
 * calls. */
uint64_t cow_os_fail_after(uint64_t n, int err);
/* Tests only: the same, but a read or write that is hit first moves half of its bytes, and then
 * fails; with `err` 0 it goes on with the rest, as after any short transfer. */
uint64_t cow_os_short_after(uint64_t n, int err);
