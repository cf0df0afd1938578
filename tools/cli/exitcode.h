// SPDX-License-Identifier: Apache-2.0
/* exitcode: what the exit status of cowfs means, in one table.
 *
 * The numbers are a promise to scripts: they are printed by --help, go with every JSON error by
 * name, and never change their meaning. Every -errno maps to exactly one of them, here and nowhere
 * else. */
#pragma once
#include "store/error.h"

enum exitcode {
	EXITCODE_OK = 0,
	EXITCODE_FAILURE = 1,
	EXITCODE_USAGE = 2,
	EXITCODE_NOT_FOUND = 3,
	EXITCODE_NOT_PERMITTED = 4,
	EXITCODE_CONFLICT = 5,
	EXITCODE_TIMEOUT = 6,
	EXITCODE_UNREACHABLE = 7,
	EXITCODE_INTEGRITY = 8,
	EXITCODE_FINDING = 9,
	EXITCODE_INTERRUPTED = 130,
};

struct exitcode_row {
	enum exitcode code;
	const char *name;    /* as "code" in a JSON error */
	const char *meaning; /* for people */
};

/* Ends with a row whose name is NULL. */
extern const struct exitcode_row exitcode_table[];

/* 0 for 0; unknown errors are EXITCODE_FAILURE. */
enum exitcode exitcode_of(cow_errno r);

/* "not_found" and so on; never NULL. */
const char *exitcode_name(enum exitcode code);
