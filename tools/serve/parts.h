// SPDX-License-Identifier: Apache-2.0
/* parts: what the files of this folder share; nobody else includes it.
 *
 * Everything belongs to the one thread of the loop; nothing here is locked. A branch stays in
 * memory until its last job and its last connection are gone (`removed`). */
#pragma once
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>

#include "store/branch.h"
#include "tools/daemon/history.h"
#include "tools/serve/serve.h"
#include "tools/serve/state.h"
#include "tools/serve/startup_packet.h"

struct serve_conn;
struct serve_ask;
struct serve_steer;
struct serve_tls;
TAILQ_HEAD(serve_asks, serve_ask);

/* Of the clients that go past the proxy (straight.c). */
struct serve_straight {
	bool on;      /* its socket's name leads to the server */
	bool steered; /* its port does */
	bool was;     /* since this server began; so it may have clients that we do not see */
	bool watched; /* at the end of its time until sleep: its address is ours, and we look */
	bool evicted; /* watched, to make room for another server */
	bool unfit, unfit_port; /* cannot be done; not tried again before its next start */
	bool counted;           /* the last look saw its server listen, and so its clients too */
	unsigned clients;       /* at the last look */
	int queue, port_queue;  /* copies of the sockets where its server listens; -1 = none */
};

struct serve_branch {
	TAILQ_ENTRY(serve_branch) link;
	TAILQ_ENTRY(serve_branch) start_link; /* in serve.starts while `queued` */
	struct serve *serve;
	char name[COW_BRANCH_MAX + 1];
	uint64_t seen; /* round of sync that saw it last */
	char id[32];
	char socket_dir[108];      /* public */
	char log[4096];            /* of the server */
	int port;                  /* public; 0 = none yet */
	struct event *tcp, *local; /* listeners; NULL = could not, tried again at the next sync */

	enum serve_state state;
	struct event *rest; /* the time until sleep; or until a shutdown took too long */
	struct event *exit; /* the postmaster is gone */
	int pidfd;          /* -1 = no server */
	pid_t pid;
	char host[64]; /* where the server listens */
	int server_port;
	char server_sockets[112];
	bool other_tls; /* its TLS has not the certificate that ours has */
	bool own_tls;   /* it answers that it has TLS */

	uint64_t suspend_ms; /* as in serve_options, of this branch */
	bool suspend_sessions;
	bool asking; /* its server is being asked whether its clients do anything */
	unsigned max_connections;
	int64_t expires_ns;     /* 0 = never */
	bool protected, doomed; /* doomed: being deleted, nobody gets in */
	json_t *settings;       /* of the next start: {NAME: VALUE}; NULL = none */

	char pool[COW_BRANCH_MAX + 1]; /* that it is a member of; "" = none */
	bool pool_ready, pool_stale, marking;

	unsigned failures; /* in a row */
	uint64_t started_ms,
	    rested_ms; /* monotonic: when it took connections, had its last client */
	int start_took_ms;
	const char *because;       /* who makes an event says why; NULL = the event says it */
	char why[HISTORY_MESSAGE]; /* the start or shutdown under way is, for its history */
	uint64_t starts;           /* how often it was started */
	struct cow_error reason;   /* why it is as it is */
	char unlimited[256];       /* why its server runs without its limits; "" = it does not */

	unsigned clients, held; /* with a server, or on the way to it; waiting for it */
	struct serve_straight straight;
	unsigned refs; /* jobs and connections that point here */
	bool queued, launched, removed;
	TAILQ_HEAD(, serve_conn) waiting;
	struct serve_asks asks;
};

struct serve {
	const struct serve_options *o;
	struct event_base *base;
	TAILQ_HEAD(, serve_branch) branches;
	TAILQ_HEAD(, serve_branch) starts; /* waiting for their turn */
	TAILQ_HEAD(, serve_conn) conns;
	TAILQ_HEAD(, serve_job) jobs;
	struct event *shared; /* listener for all branches */
	struct event *control;
	struct event *tick, *sweep_tick, *golden_tick, *straight_tick, *signals[3];
	struct serve_tls *tls;     /* NULL = no TLS */
	struct serve_steer *steer; /* NULL = connections to ports are not steered: steer_fault */
	struct cow_error steer_fault;
	unsigned starting; /* start jobs that run */
	uint64_t round;    /* of sync */
	json_t *pools;     /* as the daemon lists them; NULL = not known yet */
	bool growing;      /* a member is being made */
	uint64_t grow_after_ms;
	unsigned swept; /* branches deleted since swept_ms */
	uint64_t swept_ms;
	bool syncing, sync_again, synced, ready, ending, daemon_lost;
	bool sync_void; /* what the running sync finds was overtaken by a new name */
	struct serve_asks sync_asks, sync_running; /* wait for the next sync, for this one */
	bool refreshing, golden_fault;             /* of the golden image; the fault was said */
	int64_t golden_since_ns;                   /* CLOCK_REALTIME of the first look */
	uint64_t connections, wakes;               /* since the start */
	uint8_t relay_buffer[64 << 10];            /* of the one relay step that runs */
	int spare_pipe[2];                         /* empty; if has_spare */
	bool has_spare;
	uint64_t moves;            /* relay steps since the start */
	struct serve_conn *talks;  /* whose step the last one was; NULL = it is gone */
	struct serve_flow *answer; /* its direction in which the next one is expected */
};

/* --- serve.c --- */
uint64_t serve_now_ms(void); /* monotonic */
void serve_timer(struct event *timer, uint64_t ms);
/* Free an event and close its descriptor, in this order: a child that has just been forked holds a
 * copy, and the loop would go on hearing of a descriptor whose number has a new owner. NULL in *ev
 * is fine, and is there afterwards. */
void serve_unwatch(struct event **ev);

/* --- branch.c: one branch --- */
struct serve_branch *serve_branch_new(struct serve *s, const char *name);
/* Frees it now, or when the last that points to it is gone. */
void serve_branch_remove(struct serve_branch *b);
void serve_branch_release(struct serve_branch *b);                         /* one of refs */
struct serve_branch *serve_branch_find(struct serve *s, const char *name); /* NULL = none */
/* By name, or with slashes as dashes and any letter case. NULL = none, or more than one. */
struct serve_branch *serve_branch_match(struct serve *s, const char *name);
/* Something happened. `c`: the client of SERVE_CONNECT; it is forwarded, held or refused. */
void serve_branch_event(struct serve_branch *b, enum serve_event event, struct serve_conn *c);
/* The same without a client, and `why`, for the history if something comes of it. */
void serve_branch_do(struct serve_branch *b, enum serve_event event, const char *why);
void serve_branch_adopt(struct serve_branch *b, const json_t *server);
/* Its server was started without us and listens where we would: it is not put to sleep, because
 * we do not see its clients. */
bool serve_branch_is_direct(const struct serve_branch *b);
void serve_branch_exited(struct serve_branch *b, int status); /* -1 = not known */
/* It has another name, and everything else it had. A sync that runs is done over. */
void serve_branch_rename(struct serve_branch *b, const char *name);
bool serve_branch_is_down(const struct serve_branch *b);
/* Somebody who waited for its server went. When nobody is left and its turn to start has not come,
 * it sleeps on: else servers would start, and put others to sleep, for clients that are gone. */
void serve_branch_unwanted(struct serve_branch *b);
/* This client has waited for too long. */
void serve_branch_refuse_late(struct serve_branch *b, struct serve_conn *c);
/* Start those whose turn it is. */
void serve_pump(struct serve *s);
bool serve_has_room(const struct serve *s); /* for one more server, without putting one to sleep */

/* --- rest.c --- */
void serve_rest_begin(struct serve_branch *b);    /* the last client went */
void serve_rest_watch(struct serve_branch *b);    /* it has clients */
void serve_rest_anew(struct serve_branch *b);     /* its settings changed */
void serve_rest_shutdown(struct serve_branch *b); /* begin a fast shutdown */
/* It is idle, and makes room for another; `why`: for its history. */
void serve_rest_evict(struct serve_branch *b, const char *why);
void serve_on_rest(evutil_socket_t fd, short what, void *arg); /* its timer */

/* --- straight.c --- */
cow_errno serve_straight_open(struct serve *s, struct cow_error *e);
void serve_straight_close(struct serve *s);
/* Lead its clients to where its state and settings say. Cheap when they go there already. */
void serve_straight_settle(struct serve_branch *b);
/* Its own port is ours, for as long as it stays what it is. */
void serve_straight_leave_port(struct serve_branch *b);
/* Its server is gone: its address is ours, and so is who waits for that server. */
void serve_straight_end(struct serve_branch *b);
/* Count who came straight, to all branches; SERVE_SEEN and SERVE_LAST_LEFT follow. */
void serve_straight_look(struct serve *s);
unsigned serve_clients(const struct serve_branch *b); /* with a server, by either way */
/* Monotonic: when it had its last client, as far as is known. One that came and went at the unix
 * socket between two looks is not; a probe of the port counts. */
uint64_t serve_last_client_ms(const struct serve_branch *b);

/* --- note.c: what goes into the history of a branch (history.h) --- */
/* A start or a shutdown begins: remember why. */
void serve_note_why(struct serve_branch *b, enum serve_event event, const struct serve_conn *c);
void serve_note_started(const struct serve_branch *b);
/* Its server did not start, or ended; `crash`: by itself, and badly. */
void serve_note_no_start(const struct serve_branch *b, bool gave_up);
void serve_note_ended(const struct serve_branch *b, bool asked, bool crash, bool gave_up);

/* --- pools.c --- */
void serve_pools_keep(struct serve *s);

/* --- listen.c --- */
void serve_listen_branch(struct serve_branch *b);
void serve_unlisten_branch(struct serve_branch *b);
void serve_unlisten_local(struct serve_branch *b); /* the unix socket only */
/* Take the connections that wait at `fd`, which listens for clients of this branch (NULL: of any).
 * true: there may be more. */
bool serve_accept(struct serve *s, struct serve_branch *b, int fd, bool local);
/* The name that clients know leads to `from` (a socket) from now on, without a moment in which it
 * leads nowhere; NULL: to ours. -errno, and it leads where it led. */
cow_errno serve_listen_lead(struct serve_branch *b, const char *from);
cow_errno serve_listen_shared(struct serve *s, struct cow_error *e);

/* --- sync.c: what the daemon knows --- */
/* `ask` (may be NULL) is answered when a sync that began after this call has ended. */
void serve_sync(struct serve *s, struct serve_ask *ask);
void serve_sweep(struct serve *s);

/* --- control.c --- */
cow_errno serve_control_open(struct serve *s, struct cow_error *e);
void serve_control_close(struct serve *s);
/* Answer everybody who waits for this branch. `r` < 0: with its reason. */
void serve_asks_answer(struct serve_branch *b, cow_errno r);
bool serve_asks_wake(const struct serve_branch *b); /* somebody waits for its start */
/* Answer one that waits for a sync, and free it. */
void serve_ask_done(struct serve_ask *ask);
void serve_ask_wait_for_sync(struct serve *s, struct serve_ask *ask);
void serve_asks_move(struct serve *s); /* from sync_asks to sync_running */
json_t *serve_branch_json(const struct serve_branch *b);

/* --- golden.c: refreshes by schedule --- */
/* Begin one when it is due, and come back later. */
void serve_golden_look(struct serve *s);
