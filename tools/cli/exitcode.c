// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/exitcode.h"

#include <errno.h>
#include <stddef.h>

const struct exitcode_row exitcode_table[] = {
    {EXITCODE_OK, "ok", "done"},
    {EXITCODE_FAILURE, "failure", "failed for a reason that has no code of its own"},
    {EXITCODE_USAGE, "usage", "wrong command line, name or value"},
    {EXITCODE_NOT_FOUND, "not_found", "no such branch, snapshot, store or file"},
    {EXITCODE_NOT_PERMITTED, "not_permitted", "not permitted"},
    {EXITCODE_CONFLICT, "conflict",
     "exists already, is running, is in use, has open files, or a limit is reached"},
    {EXITCODE_TIMEOUT, "timeout", "did not finish in time"},
    {EXITCODE_UNREACHABLE, "unreachable", "the daemon cannot be reached or went away"},
    {EXITCODE_INTEGRITY, "integrity", "damaged data, an input/output error or a poisoned branch"},
    {EXITCODE_FINDING, "finding",
     "done, and what was asked for was found: a difference, a limit passed"},
    {EXITCODE_INTERRUPTED, "interrupted", "interrupted (SIGINT)"},
    {0, NULL, NULL},
};

static const struct {
	int number;
	enum exitcode code;
} by_errno[] = {
    {EINVAL, EXITCODE_USAGE},           {ENAMETOOLONG, EXITCODE_USAGE},
    {ENOTDIR, EXITCODE_USAGE},          {ENOENT, EXITCODE_NOT_FOUND},
    {EPERM, EXITCODE_NOT_PERMITTED},    {EACCES, EXITCODE_NOT_PERMITTED},
    {EEXIST, EXITCODE_CONFLICT},        {EBUSY, EXITCODE_CONFLICT},
    {ENOTEMPTY, EXITCODE_CONFLICT},     {EDQUOT, EXITCODE_CONFLICT},
    {ETIMEDOUT, EXITCODE_TIMEOUT},      {ECONNREFUSED, EXITCODE_UNREACHABLE},
    {ECONNRESET, EXITCODE_UNREACHABLE}, {EPIPE, EXITCODE_UNREACHABLE},
    {ENOTCONN, EXITCODE_UNREACHABLE},   {ESHUTDOWN, EXITCODE_UNREACHABLE},
    {EIO, EXITCODE_INTEGRITY},          {EROFS, EXITCODE_INTEGRITY},
    {EBADMSG, EXITCODE_INTEGRITY},      {EUCLEAN, EXITCODE_INTEGRITY},
    {EINTR, EXITCODE_INTERRUPTED},
};

enum exitcode exitcode_of(cow_errno r)
{
	if (r == 0)
		return EXITCODE_OK;
	for (size_t k = 0; k < sizeof(by_errno) / sizeof(by_errno[0]); k++)
		if (by_errno[k].number == -r)
			return by_errno[k].code;
	return EXITCODE_FAILURE;
}

const char *exitcode_name(enum exitcode code)
{
	for (const struct exitcode_row *row = exitcode_table; row->name; row++)
		if (row->code == code)
			return row->name;
	return "failure";
}
