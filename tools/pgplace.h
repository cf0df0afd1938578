// SPDX-License-Identifier: Apache-2.0
/* pgplace: places outside the branch that its server needs: socket directory, log, port.
 *
 * Sockets are where every local client can reach them: /run/cowfs for root, else
 * $XDG_RUNTIME_DIR/cowfs or /tmp/cowfs-UID. The path of a socket is limited to 107 bytes, so branch
 * names become short slugs. The log is in the store. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store/error.h"

#define PGPLACE_SLUG 48 /* bytes with the NUL */

/* A file name for a branch name: letters, digits, '-', '_' and '.'; different names have different
 * slugs (a hash is added unless the name is a slug itself). */
void pgplace_slug(const char *branch, char ret[PGPLACE_SLUG]);

/* Names only; nothing is made. -ENAMETOOLONG the runtime directory is too long for sockets. */
cow_errno pgplace_fill(const char *store, const char *branch, char *socket_dir, size_t socket_size,
		       char *log, size_t log_size, struct cow_error *e);

/* Make both directories; the socket directory is given to the owner of `pgdata`. A log of over 16
 * MiB is moved aside (.1). -EPERM somebody else made the socket directory. */
cow_errno pgplace_make(const char *pgdata, const char *socket_dir, const char *log,
		       struct cow_error *e);

/* Could a server listen on this port of 127.0.0.1 now? */
bool pgplace_port_free(int port);
