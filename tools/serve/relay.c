// SPDX-License-Identifier: Apache-2.0
/* relay: bytes from a client to its server and back, as they are.
 *
 * What comes in small pieces (a statement, a few rows) is read into one buffer of the process and
 * written out; once a piece was large, the next ones of that direction go through a pipe by
 * splice(2) and are never copied, until a small one comes. Which is faster was measured, see
 * bench/README.md. What one side does not take stays in the buffer of the direction or in its pipe,
 * and the other side is not read until it is gone: memory per session is bounded by one of both
 * each way, and an idle session has neither. The client may close its half (the server then ends
 * the session); when the server has said all, the session is over. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/serve/conn.h"

#define BULK_FROM (16u << 10)   /* a piece of so many bytes: more will come */
#define BULK_UNTIL (4u << 10)   /* a piece of less: that was the end of it */
#define PIPE_BYTES (256u << 10) /* asked for; a plain user may get less */

static int target(const struct serve_conn *c, const struct serve_flow *f)
{
	return f == &c->up ? c->server : c->client;
}

/* --- the ends --- */

/* The reading side has said all. */
static void ended(struct serve_conn *c, struct serve_flow *f)
{
	if (f == &c->down) {
		serve_conn_free(c);
		return;
	}
	event_del(f->read);
	shutdown(c->server, SHUT_WR);
}

/* Not a byte more is read before the other side has taken what there is. */
static void wait_for_room(struct serve_flow *f)
{
	event_del(f->read);
	event_add(f->write, NULL);
}

static void go_on(struct serve_flow *f)
{
	event_del(f->write);
	event_add(f->read, NULL);
}

/* Something was read. */
static void moved(struct serve_conn *c, struct serve_flow *f)
{
	struct serve *s = c->serve;

	s->moves++;
	s->talks = c;
	s->answer = f == &c->up ? &c->down : &c->up;
}

/* --- large pieces --- */

/* An empty pipe: the spare one, or a new one. */
static bool take_pipe(struct serve *s, struct serve_flow *f)
{
	if (f->has_pipe)
		return true;
	if (s->has_spare)
		memcpy(f->pipe, s->spare_pipe, sizeof(f->pipe));
	else if (pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC) == 0)
		fcntl(f->pipe[1], F_SETPIPE_SZ, (int)PIPE_BYTES);
	else
		return false;
	s->has_spare = false;
	return f->has_pipe = true;
}

/* One spare is enough: a step takes it and gives it back, unless the other side is slow. */
static void give_pipe(struct serve *s, struct serve_flow *f)
{
	if (!f->has_pipe)
		return;
	if (s->has_spare || f->piped) {
		close(f->pipe[0]);
		close(f->pipe[1]);
	} else {
		memcpy(s->spare_pipe, f->pipe, sizeof(f->pipe));
		s->has_spare = true;
	}
	f->has_pipe = false;
	f->piped = 0;
}

/* From the pipe to the other side, as far as it takes it; an empty pipe is given back. false = the
 * connection is over and freed. */
static bool drain(struct serve_conn *c, struct serve_flow *f)
{
	while (f->piped) {
		ssize_t n = splice(f->pipe[0], NULL, target(c, f), NULL, f->piped,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			serve_conn_free(c);
			return false;
		}
		f->piped -= (size_t)n;
	}
	give_pipe(c->serve, f);
	return true;
}

static void move_large(struct serve_conn *c, struct serve_flow *f, int from)
{
	ssize_t n =
	    splice(from, NULL, f->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n <= 0) {
		give_pipe(c->serve, f);
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			ended(c, f);
		return;
	}
	moved(c, f);
	f->piped = (size_t)n;
	f->bulk = f->piped >= BULK_UNTIL;
	if (drain(c, f) && f->piped)
		wait_for_room(f);
}

/* --- small pieces --- */

static bool keep(struct serve_flow *f, const uint8_t *bytes, size_t n)
{
	f->left = malloc(n);
	if (!f->left)
		return false;
	memcpy(f->left, bytes, n);
	f->n = n;
	f->at = 0;
	return true;
}

static void move_small(struct serve_conn *c, struct serve_flow *f, int from)
{
	uint8_t *buffer = c->serve->relay_buffer;
	ssize_t n, sent;

	n = recv(from, buffer, sizeof(c->serve->relay_buffer), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ended(c, f);
		return;
	}
	moved(c, f);
	f->bulk = (size_t)n >= BULK_FROM;
	if (f == &c->down && !c->key.done)
		startup_watch_feed(&c->key, buffer, (size_t)n);
	sent = send(target(c, f), buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent == n)
		return;
	if ((sent < 0 && errno != EAGAIN && errno != EINTR) ||
	    !keep(f, buffer + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)))) {
		serve_conn_free(c);
		return;
	}
	wait_for_room(f);
}

/* false = the connection is over and freed. */
static bool flush(struct serve_conn *c, struct serve_flow *f)
{
	ssize_t sent =
	    send(target(c, f), f->left + f->at, f->n - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		serve_conn_free(c);
		return false;
	}
	f->at += sent > 0 ? (size_t)sent : 0;
	if (f->at == f->n) {
		free(f->left);
		f->left = NULL;
		f->n = f->at = 0;
	}
	return true;
}

/* --- events --- */

static void move(struct serve_conn *c, struct serve_flow *f, int from)
{
	/* What the server says until the session stands is looked at. */
	if (f->bulk && (f == &c->up || c->key.done) && take_pipe(c->serve, f))
		move_large(c, f, from);
	else
		move_small(c, f, from);
}

static void move_rest(struct serve_conn *c, struct serve_flow *f)
{
	if (f->piped ? !drain(c, f) : !flush(c, f))
		return;
	if (!f->piped && !f->left)
		go_on(f);
}

static void on_client_says(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;

	move(c, &c->up, fd);
}

static void on_server_says(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;

	move(c, &c->down, fd);
}

static void on_client_takes(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;

	move_rest(c, &c->down);
}

static void on_server_takes(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;

	move_rest(c, &c->up);
}

void serve_relay_poll(struct serve *s)
{
	struct serve_flow *f = s->answer;
	struct serve_conn *c = s->talks;

	if (event_pending(f->read, EV_READ, NULL))
		move(c, f, f == &c->up ? c->client : c->server);
}

void serve_relay_begin(struct serve_conn *c)
{
	struct event_base *base = c->serve->base;

	event_free(c->watch);
	c->watch = NULL;
	c->phase = SERVE_TALKING;
	c->up.read = event_new(base, c->client, EV_READ | EV_PERSIST, on_client_says, c);
	c->up.write = event_new(base, c->server, EV_WRITE | EV_PERSIST, on_server_takes, c);
	c->down.read = event_new(base, c->server, EV_READ | EV_PERSIST, on_server_says, c);
	c->down.write = event_new(base, c->client, EV_WRITE | EV_PERSIST, on_client_takes, c);
	if (!c->up.read || !c->up.write || !c->down.read || !c->down.write) {
		serve_conn_free(c);
		return;
	}
	event_add(c->up.read, NULL);
	event_add(c->down.read, NULL);
}

static void end_flow(struct serve *s, struct serve_flow *f)
{
	if (f->read)
		event_free(f->read);
	if (f->write)
		event_free(f->write);
	free(f->left);
	give_pipe(s, f);
	*f = (struct serve_flow){0};
}

void serve_relay_end(struct serve_conn *c)
{
	if (c->serve->talks == c)
		c->serve->talks = NULL;
	end_flow(c->serve, &c->up);
	end_flow(c->serve, &c->down);
}
