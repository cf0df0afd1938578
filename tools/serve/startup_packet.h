// SPDX-License-Identifier: Apache-2.0
/* startup_packet: the first bytes of a PostgreSQL client, and the last word to one that is refused.
 *
 * Pure functions on bytes: nothing is read from or written to a socket, nothing outside the given
 * buffers is looked at, whatever they hold. Knows versions 2.0 (refused by everybody, passed on) to
 * 3.x of the protocol. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/branch.h"

#define STARTUP_MAX 10000u   /* bytes; what PostgreSQL itself takes (MAX_STARTUP_PACKET_LENGTH) */
#define STARTUP_KEY_MAX 256u /* bytes of a cancel key: 4, up to 256 from protocol 3.2 on */

enum startup_kind {
	STARTUP_MORE,    /* not all here yet */
	STARTUP_BAD,     /* no PostgreSQL client, or damaged; `reason` says why */
	STARTUP_SESSION, /* wants a session */
	STARTUP_SSL,     /* SSLRequest: wants one byte, then says more */
	STARTUP_GSS,     /* GSSENCRequest: the same */
	STARTUP_CANCEL,  /* CancelRequest */
	STARTUP_TLS,     /* the first byte of TLS: a client with sslnegotiation=direct */
};

/* Texts point into the buffer that was parsed. */
struct startup {
	enum startup_kind kind;
	size_t length;       /* bytes of the packet; more may follow it */
	uint32_t version;    /* of the protocol, for a session: 0x30000 = 3.0 */
	const char *user;    /* as the client sent it; NULL = not there */
	const char *options; /* NULL = none */
	const char *application;
	/* Which branch it asks for; "" = it does not say. From options=--cowfs.branch=NAME,
	 * options=endpoint=NAME, or user@NAME, in this order; the last only when asked for. */
	char branch[COW_BRANCH_MAX + 1];
	bool branch_of_user; /* it was user@NAME */
	uint32_t cancel_pid;
	const uint8_t *cancel_key;
	size_t cancel_key_length;
	const char *reason; /* of STARTUP_BAD */
};

/* Look at the first `n` bytes that a client sent. `user_names_branch`: take user@NAME apart. */
enum startup_kind startup_parse(const uint8_t *bytes, size_t n, bool user_names_branch,
				struct startup *ret);

/* Only pg_isready says so. */
bool startup_is_probe(const struct startup *s);

/* The packet of a session without what named the branch, into `ret` of at least s->length bytes.
 * Returns its length. */
size_t startup_rewrite(const uint8_t *packet, const struct startup *s, uint8_t *ret);

/* An ErrorResponse of severity FATAL into `ret`; long texts are cut. Returns its length.
 * `hint` may be NULL or "". */
size_t startup_refusal(const char *sqlstate, const char *message, const char *hint, uint8_t *ret,
		       size_t size);

/* Finds the BackendKeyData in what a server sends after a startup packet, however it is cut into
 * pieces. Zero-initialise. */
struct startup_watch {
	uint8_t head[5];
	size_t head_n;      /* bytes of the header of the present message that are here */
	uint32_t left;      /* bytes of its body still to come */
	bool has_key, done; /* done: ReadyForQuery or an error was seen; nothing more to learn */
	uint32_t pid;
	uint8_t key[4 + STARTUP_KEY_MAX]; /* pid and key as sent */
	size_t key_n;
};
void startup_watch_feed(struct startup_watch *w, const uint8_t *bytes, size_t n);
