// SPDX-License-Identifier: Apache-2.0
/* state: the life of a branch's server as a table.
 *
 * Pure: what happens to a branch (an event) in a state gives the next state and one thing to do.
 * Who does it is branch.c. The table is complete: what cannot happen in a state changes
 * nothing. */
#pragma once

enum serve_state {
	SERVE_STOPPED,    /* by hand; a connection does not start it */
	SERVE_SUSPENDED,  /* asleep; the next connection starts it */
	SERVE_STARTING,   /* connections are held */
	SERVE_RUNNING,    /* with clients */
	SERVE_IDLE,       /* without clients; falls asleep after its time-out */
	SERVE_SUSPENDING, /* shutting down; connections are held and start it again */
	SERVE_STOPPING,   /* shutting down by hand; connections are refused */
	SERVE_FAILED,     /* failed too often; connections are refused until somebody looks */
	SERVE_STATES,
};

enum serve_event {
	SERVE_CONNECT,   /* a client wants a session */
	SERVE_WAKE,      /* asked for by hand: start, wake */
	SERVE_SUSPEND,   /* asked for by hand, by eviction, or because it expires */
	SERVE_STOP,      /* asked for by hand */
	SERVE_QUIET,     /* idle for as long as its time-out says */
	SERVE_DORMANT,   /* its clients did nothing for so long, and it may sleep under them */
	SERVE_LAST_LEFT, /* the last client went */
	SERVE_SEEN,      /* it has clients that came past the proxy */
	SERVE_STARTED,   /* it takes connections */
	SERVE_NO_START,  /* it did not start */
	SERVE_GAVE_UP,   /* it did not start, or crashed, once too often */
	SERVE_ENDED,     /* its postmaster is gone */
	SERVE_NO_STOP,   /* it did not shut down in time */
	SERVE_EVENTS,
};

enum serve_action {
	SERVE_DO_NOTHING,
	SERVE_DO_START,    /* begin a start */
	SERVE_DO_SHUTDOWN, /* begin a fast shutdown */
	SERVE_DO_HOLD,     /* let the client, or the one who asked, wait */
	SERVE_DO_FORWARD,  /* connect the client to the server */
	SERVE_DO_WATCH,    /* the time until sleep is over */
	SERVE_DO_RELEASE,  /* forward everybody who waits, answer who asked */
	SERVE_DO_REFUSE,   /* refuse everybody who waits, with the reason of the branch */
	SERVE_DO_SETTLE,   /* the shutdown is over: answer who asked; start again for those who wait
			    */
	SERVE_DO_REST,     /* the time until sleep begins */
	SERVE_DO_MISS,     /* it ended by itself: note the crash, end its clients */
};

struct serve_step {
	enum serve_state next;
	enum serve_action action;
};

struct serve_step serve_step(enum serve_state at, enum serve_event event);

/* "suspended"; what branch list shows. */
const char *serve_state_name(enum serve_state s);
