// SPDX-License-Identifier: Apache-2.0
/* diag: who is connected to whom on this machine, as the kernel tells (sock_diag(7)).
 *
 * One dump of all sockets of a kind, without privilege. A connection that its server has not
 * accepted yet is in it. One that exists during the whole dump is missed only if others come and go
 * in its row of the kernel's table at the moment between two pieces of the dump: who needs to be
 * sure looks twice. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

struct serve_diag_local {
	const char *path; /* that the socket, or the one that it was accepted from, is bound to */
	size_t path_n;    /* its bytes, no NUL */
	bool listens;     /* else it is one end of a connection */
};

/* For each unix stream socket with a path that listens or is connected. -errno: the dump is not
 * whole, and says nothing; -EAGAIN: the next one may be. */
cow_errno serve_diag_local(void (*call)(void *arg, const struct serve_diag_local *x), void *arg);

struct serve_diag_tcp {
	uint32_t local, remote; /* addresses, in network order */
	int port;               /* the local one */
	bool listens;   /* else it is one end of a connection that both or the other end has open */
	uint32_t inode; /* 0 = nobody has accepted it yet */
};

/* The same for TCP over IPv4. */
cow_errno serve_diag_tcp(void (*call)(void *arg, const struct serve_diag_tcp *x), void *arg);
