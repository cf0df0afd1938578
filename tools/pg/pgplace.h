// SPDX-License-Identifier: Apache-2.0
/* pgplace: places outside the branch that its server needs: socket directory, log, port.
 *
 * Sockets are where every local client can reach them: /run/cowfs for root, else
 * $XDG_RUNTIME_DIR/cowfs or /tmp/cowfs-UID. The path of a socket is limited to 107 bytes, so branch
 * names become short slugs. The log is in the store. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

#define PGPLACE_SLUG 48 /* bytes with the NUL */

/* Short names that differ, nothing more is asked of it. The same for ever. */
uint64_t pgplace_hash(const char *text);

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

/* pgplace_make, and the right to start a server there until *ret_fd is closed. Of two starts at
 * once the later would take the postmaster.pid that the earlier is writing for a stale one.
 * -ETIMEDOUT somebody else has it for so long. */
cow_errno pgplace_lock(const char *pgdata, const char *socket_dir, const char *log,
		       unsigned timeout_ms, int *ret_fd, struct cow_error *e);

/* The directory for the sockets of a served branch, for nobody but the owner of `pgdata` and root.
 * Its parent was made by pgplace_make. */
cow_errno pgplace_make_private(const char *pgdata, const char *dir, struct cow_error *e);

/* Where a server listens whose branch is served by cowfs serve: the port is the same, so that the
 * URL of the branch stays what it was, and belongs to the proxy. Another loopback address and not a
 * unix socket, because pg_hba.conf treats the two kinds of clients differently. */
#define PGPLACE_PRIVATE_HOST "127.77.0.1"
#define PGPLACE_PUBLIC_HOST "127.0.0.1"

/* Sockets of such a server: a directory in the public one. `ret` of at least 108 bytes. */
void pgplace_private_dir(const char *socket_dir, char *ret, size_t size);

/* A server that may be handed over under another name (a member of a pool) is told this path for
 * its data: a link in its private directory. It reads its configuration by that path for as long as
 * it lives. `ret` of at least 128 bytes. */
void pgplace_data_link(const char *private_dir, char *ret, size_t size);
/* Make it lead to `pgdata`, instead of where it led before. -errno. */
cow_errno pgplace_link_data(const char *private_dir, const char *pgdata);
/* The branch `from` is `to` now, and is at `pgdata`: its server and its log follow. What cannot be
 * done is left; the server goes on. */
void pgplace_hand_over(const char *store, const char *from, const char *to, const char *pgdata);

/* A branch that does not run has another name: its log follows. */
void pgplace_rename_log(const char *store, const char *from, const char *to);

/* Sockets of the restricted server of a first start (pgfirst.h), in the public directory too. */
void pgplace_first_dir(const char *socket_dir, char *ret, size_t size);

/* Could a server listen on this port of `host` (dotted) now? */
bool pgplace_port_free(const char *host, int port);
