// SPDX-License-Identifier: Apache-2.0
/* program: run pg_basebackup, pg_restore and their like as the owner of the data, and know why they
 * failed. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "store/error.h"

struct program {
	const char *const
	    *argv;      /* argv[0] an absolute path or a name looked up in PATH; ends with NULL */
	const char *as; /* a path: run as its owner. NULL = as we are */
	const char *const
	    *env;    /* NAME=VALUE besides what is inherited; ends with NULL; NULL = none */
	int in, out; /* descriptors for stdin and stdout; -1 = /dev/null */
	bool secret; /* it works on originals: what it says is told without values */
	/* Each line of its stderr; may be NULL. */
	void (*line)(void *arg, const char *line);
	void *arg;
};

/* 0 when it exits with 0. -ENOENT no such program, -EINTR it was killed, -EIO it failed: the last
 * lines of its stderr are in `e`. */
cow_errno program_run(const struct program *p, struct cow_error *e);

/* In two steps, for pipes of programs. */
struct program_running {
	pid_t pid;
	int errors; /* owned */
};
cow_errno program_start(const struct program *p, struct program_running *ret, struct cow_error *e);
cow_errno program_wait(const struct program *p, struct program_running *r, struct cow_error *e);
