// SPDX-License-Identifier: Apache-2.0
/* pgstate: does a postgres run on this data directory, and which one?
 *
 * Read from postmaster.pid and from the processes of this machine, never by connecting. A pid that
 * was given to another process meanwhile does not count: a postmaster works in its data directory.
 * What cannot be seen from here is a server in another pid namespace (a container). */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "store/error.h"

struct pgstate {
	bool has_file; /* postmaster.pid exists */
	bool running;  /* its process lives and works in this directory */
	bool leftover; /* the postmaster is gone, but processes of it still use its shared memory */
	bool orphan;   /* its process lives, but works in a mount whose daemon is gone */
	bool ready;    /* it says that it takes connections */
	pid_t pid;
	int port;
	char socket_dir[108]; /* "" = none */
	char listens[64];     /* the first address it listens on; "" = on no port */
	int shmid;            /* -1 = unknown */
};

/* 0 also when nothing runs. -EIO.. postmaster.pid cannot be read. */
cow_errno pgstate_read(const char *pgdata, struct pgstate *ret, struct cow_error *e);
