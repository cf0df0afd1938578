// SPDX-License-Identifier: Apache-2.0
/* server: the control socket of the daemon.
 *
 * One thread accepts, one thread serves each connection; their number, the size of a request and
 * the time a client may keep silent are bounded. Only root, the owner of the store and the user of
 * the daemon are served: the kernel says who asks (SO_PEERCRED). */
#pragma once
#include "tools/daemon/engine.h"

struct server;

/* Listens on the store of `g`. Every connection works with a copy of *g. Signals are blocked in all
 * of its threads. */
cow_errno server_start(const struct engine *g, struct server **ret, struct cow_error *e);

/* No new connections or verbs from now on; returns when every verb but the control ones has ended.
 * The socket is gone afterwards. */
void server_drain(struct server *s);

/* Ends every connection, joins, frees. After server_drain. NULL is fine. */
void server_free(struct server *s);
