// SPDX-License-Identifier: Apache-2.0
/* serve: one process that owns the life of every branch's server, and the proxy in front of them.
 *
 * Guarantees: an address of a branch answers whether its server runs or not; a connection starts
 * it, a branch without clients falls asleep; a probe (pg_isready, a bare TCP connect, a request to
 * cancel) starts nothing. One thread and an event loop; what may block (the daemon, the mount,
 * starting a server) runs in short-lived children (job.h). Talks to the mount daemon like any
 * command; neither takes the other along when it dies. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"

struct serve_options {
	const char *store;
	const char *listen;       /* address for clients (dotted) */
	int port;                 /* shared by all branches; 0 = none */
	const char *cert, *key;   /* PEM files; NULL = no TLS */
	uint64_t suspend_ms;      /* idle time until sleep; 0 = never. A branch may say otherwise */
	bool suspend_sessions;    /* idle is also who has clients that run nothing. The same */
	unsigned max_running;     /* servers at once; 0 = any number */
	unsigned max_starts;      /* starting at once */
	unsigned max_connections; /* of one branch; 0 = any number */
	unsigned sweep_max;       /* branches deleted within sweep_ms */
	uint64_t sweep_ms;
	uint64_t wait_ms;   /* how long a client may wait for its server */
	uint64_t greet_ms;  /* how long a client may take to say what it wants */
	uint64_t start_ms;  /* how long a server may take to start */
	bool leave_running; /* servers go on when serve ends */
	bool always_relay;  /* no client goes past the proxy */
};

/* Returns when a signal ended it (0), or with the reason why it could not begin. */
cow_errno serve_run(const struct serve_options *o, struct cow_error *e);
