// SPDX-License-Identifier: Apache-2.0
/* error: how every function of cowfs says that it failed.
 *
 * Data path (reads, writes, names): 0 or -errno, nothing else; FUSE speaks errno.
 * Control path (open, branch, import, verify): the same number, and the reason in a
 * `struct cow_error`, written once where the fact is known and wrapped with context on the way up.
 * Texts are lower case without a full stop; the hint is a whole sentence that names the remedy.
 * Not here: printing (log.h for the daemon, tools/ for people). */
#pragma once
#include <stdarg.h>

typedef int cow_errno; /* 0 or -errno, never -1 meaning "see errno" */

/* Filled only on failure. Zero-initialise before use. Never allocates. */
struct cow_error {
	char text[1024];
	char hint[512]; /* "" when there is nothing to advise */
};

#define COW_ERROR_INIT                                                                             \
	{                                                                                          \
		.text = "", .hint = ""                                                             \
	}

/* Set the reason and return `r`, so that `return cow_fail(e, -EINVAL, ...)` reads as one thought.
 * `e` may be NULL. */
cow_errno cow_fail(struct cow_error *e, cow_errno r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Prefix the reason with context ("import main: ..."); with an empty reason, use strerror(-r). */
cow_errno cow_wrap(struct cow_error *e, cow_errno r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Attach the remedy; returns `r`. */
cow_errno cow_hint(struct cow_error *e, cow_errno r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
