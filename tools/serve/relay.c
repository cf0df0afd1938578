// SPDX-License-Identifier: Apache-2.0
/* relay: bytes from a client to its server and back, as they are.
 *
 * What one side does not take is kept, and the other side is not read until it is gone: memory per
 * session is bounded by one buffer each way. The client may close its half (the server then ends
 * the session); when the server has said all, the session is over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/serve/conn.h"

static int target(const struct serve_conn *c, const struct serve_flow *f)
{
	return f == &c->up ? c->server : c->client;
}

/* false = the connection is over and freed. */
static bool ended(struct serve_conn *c, struct serve_flow *f)
{
	if (f == &c->down) {
		serve_conn_free(c);
		return false;
	}
	event_del(f->read);
	shutdown(c->server, SHUT_WR);
	return true;
}

static bool keep(struct serve_flow *f, const uint8_t *bytes, size_t n)
{
	if (f->cap < n) {
		uint8_t *more = realloc(f->left, n);

		if (!more)
			return false;
		f->left = more;
		f->cap = n;
	}
	memcpy(f->left, bytes, n);
	f->n = n;
	f->at = 0;
	return true;
}

static void move(struct serve_conn *c, struct serve_flow *f, int from)
{
	uint8_t *buffer = c->serve->relay_buffer;
	ssize_t n, sent;

	n = recv(from, buffer, sizeof(c->serve->relay_buffer), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		f->ended = true;
		ended(c, f);
		return;
	}
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
	event_del(f->read);
	event_add(f->write, NULL);
}

static void flush(struct serve_conn *c, struct serve_flow *f)
{
	ssize_t sent =
	    send(target(c, f), f->left + f->at, f->n - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		serve_conn_free(c);
		return;
	}
	f->at += sent > 0 ? (size_t)sent : 0;
	if (f->at < f->n)
		return;
	/* An idle session keeps no buffer. */
	free(f->left);
	f->left = NULL;
	f->n = f->at = f->cap = 0;
	event_del(f->write);
	event_add(f->read, NULL);
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

	flush(c, &c->down);
}

static void on_server_takes(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;

	flush(c, &c->up);
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

static void end_flow(struct serve_flow *f)
{
	if (f->read)
		event_free(f->read);
	if (f->write)
		event_free(f->write);
	free(f->left);
	*f = (struct serve_flow){0};
}

void serve_relay_end(struct serve_conn *c)
{
	end_flow(&c->up);
	end_flow(&c->down);
}
