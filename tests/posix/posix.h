// SPDX-License-Identifier: Apache-2.0
/* posix: what PostgreSQL relies on in a file system, as cases that run in any directory.
 *
 * Run on a directory of the host first: that proves the cases. Each one runs in a process of its
 * own, in an empty directory of its own, with a time limit; the first thing that is not as wanted
 * ends it. Not here: anything about cowfs. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct posix_case {
	const char *name; /* a sentence with underscores */
	void (*run)(void);
};

/* Each ends with a row whose name is NULL. */
extern const struct posix_case posix_name_cases[];
extern const struct posix_case posix_link_cases[];
extern const struct posix_case posix_data_cases[];
extern const struct posix_case posix_hole_cases[];
extern const struct posix_case posix_map_cases[];
extern const struct posix_case posix_attr_cases[];
extern const struct posix_case posix_dir_cases[];
extern const struct posix_case posix_right_cases[];
extern const struct posix_case posix_error_cases[];
extern const struct posix_case posix_time_cases[];
extern const struct posix_case posix_lock_cases[];
extern const struct posix_case posix_io_cases[];

/* Ends the case as failed, with the text and errno. */
_Noreturn void posix_fail(const char *file, int line, const char *what);
/* Ends the case as not possible here. */
_Noreturn void posix_skip(const char *why);

#define WANT(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr))                                                                       \
			posix_fail(__FILE__, __LINE__, #expr);                                     \
	} while (0)
/* A system call that must succeed; its value. */
#define OK(expr)                                                                                   \
	({                                                                                         \
		errno = 0;                                                                         \
		__typeof__(expr) ok_ = (expr);                                                     \
		if (ok_ == (__typeof__(expr))-1)                                                   \
			posix_fail(__FILE__, __LINE__, #expr);                                     \
		ok_;                                                                               \
	})
/* A system call that must fail with this errno. */
#define FAILS(expr, err)                                                                           \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((expr) != (__typeof__(expr))-1 || errno != (err))                              \
			posix_fail(__FILE__, __LINE__, #expr " must fail with " #err);             \
	} while (0)

/* A new file of `len` bytes of value `byte`, opened O_RDWR. */
int posix_file(const char *name, size_t len, int byte);
/* All of it or the case fails. */
void posix_write(int fd, off_t off, size_t len, int byte);
void posix_want_bytes(int fd, off_t off, size_t len, int byte);
void posix_want_size(int fd, off_t size);
bool posix_exists(const char *name);
/* Runs `work` as another user in a child; true if it ended well. Needs root (else the case is
 * skipped). */
bool posix_as_other_user(void (*work)(void));
