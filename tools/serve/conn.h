// SPDX-License-Identifier: Apache-2.0
/* conn: one client, from its first byte to its last.
 *
 * Phases: it says what it wants (greeting), waits for its server, is being connected to it
 * (dialing), and talks. From the startup packet on nothing of the conversation is changed or
 * understood, except that the cancel key of the session is remembered. */
#pragma once
#include "tools/serve/parts.h"

struct serve_pump;

enum serve_phase { SERVE_GREETING, SERVE_WAITING, SERVE_DIALING, SERVE_TALKING, SERVE_FAREWELL };

/* One direction of a conversation. */
struct serve_flow {
	struct event *read, *write;
	uint8_t *left; /* what the other side did not take yet; NULL = nothing */
	size_t n, at;
	int pipe[2];  /* the same for large pieces; if has_pipe */
	size_t piped; /* bytes in it */
	bool has_pipe,
	    bulk; /* bulk: the last piece was large, the next one goes through the pipe */
};

struct serve_conn {
	TAILQ_ENTRY(serve_conn) link;
	TAILQ_ENTRY(serve_conn) waiting_link;
	struct serve *serve;
	struct serve_branch *branch; /* NULL: not known yet. Counts in its refs */
	enum serve_phase phase;
	int client, server; /* -1 = none */
	bool local;         /* over a unix socket */
	bool remote;        /* over TCP, from another machine */
	bool encrypted;     /* came through serve_tls */
	bool listed;        /* in branch->waiting */
	bool counted;       /* in branch->clients */
	bool cancels;       /* a request to cancel: not a session */
	uid_t uid;          /* of the other side of a unix socket */
	gid_t gid;
	uint64_t inode; /* of a socket of its own port, as others see it; 0 = another kind */
	char sni[256];  /* host name that TLS was asked for; "" = none */
	uint8_t *said;  /* while greeting; then what the server gets first */
	size_t said_n;
	struct serve_pump *pump;        /* decrypts it; NULL = none */
	struct serve_pump *server_pump; /* the same towards the server */
	struct event *timer, *watch;    /* deadline; the client, then the dialled server */
	unsigned dial_tries;
	struct startup_watch key;
	struct serve_flow up, down; /* client to server, server to client */
};

/* Takes over `fd`. `b` NULL: it has to say which branch. NULL without memory. */
struct serve_conn *serve_conn_new(struct serve *s, struct serve_branch *b, int fd, bool local);
/* Wait in the queue of its branch. Nothing changes for one that waits already. */
void serve_conn_hold(struct serve_conn *c);
/* Connect it to the server of its branch. Frees it when that cannot be. */
void serve_conn_forward(struct serve_conn *c);
/* Tell the reason and free it. `hint` may be NULL. */
void serve_conn_refuse(struct serve_conn *c, const char *sqlstate, const char *message,
		       const char *hint);
void serve_conn_free(struct serve_conn *c);

/* --- route.c --- */
/* A whole startup packet is there, a session or a request to cancel: do what it wants. */
void serve_route(struct serve_conn *c, const struct startup *s);

/* --- dial.c --- */
/* Connect to the server; then send what was said, and relay. */
void serve_dial(struct serve_conn *c);
/* TLS with the server stands and shows our certificate (`ours`); or it does not, its pump is gone,
 * and the connection has to do without. */
void serve_dial_encrypted(struct serve_conn *c, bool ours);

/* --- relay.c --- */
void serve_relay_begin(struct serve_conn *c);
void serve_relay_end(struct serve_conn *c);
/* Relay the answer to what was relayed last, if it is there. s->talks must not be NULL. */
void serve_relay_poll(struct serve *s);
