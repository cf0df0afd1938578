// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/serve/tls.h"

static void on_greeting(evutil_socket_t fd, short what, void *arg);
static void on_deadline(evutil_socket_t fd, short what, void *arg);

/* --- coming and going --- */

/* Without memory for an event its deadline ends the connection. */
static void watch(struct serve_conn *c, short what, event_callback_fn call)
{
	if (c->watch)
		event_free(c->watch);
	c->watch = event_new(c->serve->base, c->client, (short)(what | EV_PERSIST), call, c);
	if (c->watch)
		event_add(c->watch, NULL);
}

static void look_at_peer(struct serve_conn *c)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct ucred who;
	struct stat st;

	if (c->local) {
		len = sizeof(who);
		c->uid = (uid_t)-1;
		if (getsockopt(c->client, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
			c->uid = who.uid;
			c->gid = who.gid;
		}
		return;
	}
	setsockopt(c->client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	setsockopt(c->client, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
	if (c->branch && fstat(c->client, &st) == 0)
		c->inode = st.st_ino;
	c->remote = getpeername(c->client, (struct sockaddr *)&from, &len) < 0 ||
		    from.sin_family != AF_INET || ntohl(from.sin_addr.s_addr) >> 24 != 127;
}

struct serve_conn *serve_conn_new(struct serve *s, struct serve_branch *b, int fd, bool local)
{
	struct serve_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	*c = (struct serve_conn){
	    .serve = s, .branch = b, .client = fd, .server = -1, .local = local};
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	if (b)
		b->refs++;
	s->connections++;
	look_at_peer(c);
	c->said = malloc(STARTUP_MAX);
	c->timer = evtimer_new(s->base, on_deadline, c);
	c->watch = event_new(s->base, fd, EV_READ | EV_PERSIST, on_greeting, c);
	/* Whoever is not root would lend his own identity to every user of the machine. */
	if (!c->said || !c->timer || !c->watch ||
	    (local && geteuid() != 0 && c->uid != geteuid())) {
		serve_conn_free(c);
		return NULL;
	}
	event_add(c->watch, NULL);
	serve_timer(c->timer, s->o->greet_ms);
	return c;
}

/* Out of the queue of its branch, if it is in there. */
static void unlist(struct serve_conn *c)
{
	if (!c->listed)
		return;
	TAILQ_REMOVE(&c->branch->waiting, c, waiting_link);
	c->branch->held--;
	c->listed = false;
	serve_branch_unwanted(c->branch);
}

static void leave_branch(struct serve_conn *c)
{
	struct serve_branch *b = c->branch;

	if (!b)
		return;
	unlist(c);
	c->branch = NULL;
	if (c->counted && --b->clients == 0 && b->straight.clients == 0)
		serve_branch_event(b, SERVE_LAST_LEFT, NULL);
	serve_branch_release(b);
}

void serve_conn_free(struct serve_conn *c)
{
	serve_relay_end(c);
	if (c->pump)
		serve_tls_forget(c->pump);
	if (c->server_pump)
		serve_tls_forget(c->server_pump);
	if (c->timer)
		event_free(c->timer);
	if (c->watch)
		event_free(c->watch);
	if (c->client >= 0)
		close(c->client);
	if (c->server >= 0)
		close(c->server);
	free(c->said);
	TAILQ_REMOVE(&c->serve->conns, c, link);
	leave_branch(c);
	free(c);
}

static void on_farewell(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;
	char rest[4096];
	ssize_t n;

	/* Until the client has read it: a close with bytes of it unread would take the words away.
	 */
	n = recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		serve_conn_free(c);
}

void serve_conn_refuse(struct serve_conn *c, const char *sqlstate, const char *message,
		       const char *hint)
{
	uint8_t bytes[4096];
	size_t n = startup_refusal(sqlstate, message, hint, bytes, sizeof(bytes));

	unlist(c);
	c->phase = SERVE_FAREWELL;
	if (c->cancels || send(c->client, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n) {
		serve_conn_free(c);
		return;
	}
	shutdown(c->client, SHUT_WR);
	watch(c, EV_READ, on_farewell);
	serve_timer(c->timer, 2000);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;

	if (c->phase == SERVE_WAITING)
		serve_branch_refuse_late(c->branch, c);
	else if (c->phase != SERVE_TALKING)
		serve_conn_free(c);
}

/* --- greeting --- */

static void forget_said(struct serve_conn *c, size_t n)
{
	memmove(c->said, c->said + n, c->said_n - n);
	c->said_n -= n;
}

/* 1 = go on with what follows, 0 = wait for more; the client may be gone then. */
static int encrypt(struct serve_conn *c, const struct startup *s)
{
	bool tls = c->serve->tls && s->kind == STARTUP_SSL && !c->encrypted && !c->local;

	/* What came in the clear behind the request would be taken for encrypted. */
	if (tls && c->said_n > s->length) {
		serve_conn_refuse(c, "08P01", "unencrypted data after a request for encryption",
				  NULL);
		return 0;
	}
	forget_said(c, s->length);
	if (send(c->client, tls ? "S" : "N", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1 ||
	    (tls && serve_tls_wrap(c) < 0)) {
		serve_conn_free(c);
		return 0;
	}
	if (tls)
		watch(c, EV_READ, on_greeting);
	return !tls;
}

static void understand(struct serve_conn *c)
{
	struct startup s;

	for (;;) {
		switch (startup_parse(c->said, c->said_n, true, &s)) {
		case STARTUP_MORE:
			return;
		case STARTUP_TLS:
		case STARTUP_BAD:
			serve_conn_refuse(c, "08P01",
					  s.reason ? s.reason : "TLS is not configured here", NULL);
			return;
		case STARTUP_SSL:
		case STARTUP_GSS:
			if (!encrypt(c, &s))
				return;
			break;
		case STARTUP_CANCEL:
		case STARTUP_SESSION:
			event_del(c->watch);
			serve_route(c, &s);
			return;
		}
	}
}

/* A client that begins with TLS at once: its bytes are not for us. */
static bool begins_with_tls(struct serve_conn *c)
{
	uint8_t first;

	if (!c->serve->tls || c->said_n || c->encrypted || c->local ||
	    recv(c->client, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || first != 0x16)
		return false;
	if (serve_tls_wrap(c) < 0) {
		serve_conn_free(c);
		return true;
	}
	watch(c, EV_READ, on_greeting);
	return true;
}

static void on_greeting(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;
	ssize_t n;

	if (begins_with_tls(c))
		return;
	n = recv(fd, c->said + c->said_n, STARTUP_MAX - c->said_n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* One that came and went without a word: a probe of the port. */
	if (n <= 0) {
		serve_conn_free(c);
		return;
	}
	c->said_n += (size_t)n;
	understand(c);
}

/* --- waiting --- */

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;
	char one;
	ssize_t n = recv(fd, &one, 1, MSG_PEEK | MSG_DONTWAIT);

	/* It may have said more before it hung up; it does not matter any more. */
	if (n <= 0 || (what & EV_CLOSED))
		serve_conn_free(c);
}

void serve_conn_hold(struct serve_conn *c)
{
	if (c->listed)
		return;
	c->phase = SERVE_WAITING;
	c->listed = true;
	c->branch->held++;
	TAILQ_INSERT_TAIL(&c->branch->waiting, c, waiting_link);
	watch(c, EV_CLOSED, on_gone);
	serve_timer(c->timer, c->serve->o->wait_ms);
}

void serve_conn_forward(struct serve_conn *c)
{
	unlist(c);
	c->counted = true;
	c->branch->clients++;
	serve_dial(c);
}
