// SPDX-License-Identifier: Apache-2.0
/* dial: the connection to the server that a client is forwarded to.
 *
 * A client over TCP comes over TCP, one over a unix socket over a unix socket, so that pg_hba.conf
 * means what it says. Over a unix socket the server sees the client's user and not ours: that is
 * what peer authentication asks. A client from another machine comes from PROXY_REMOTE, which no
 * rule for 127.0.0.1/32 admits. A client with TLS has it as far as the server where that shows the
 * same certificate: only then channel binding holds (tls.c). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/tls.h"

#define PROXY_LOCAL "127.0.0.1"
#define PROXY_REMOTE "127.0.0.2"
#define RETRY_MS 5u
#define TRIES_MAX 2000u /* the server's queue of new connections is full */

static void on_dialled(evutil_socket_t fd, short what, void *arg);

/* The effective user of this process for the time of one connect(): the kernel notes it for the
 * other side. */
static int connect_as(int fd, const struct sockaddr_un *to, uid_t uid, gid_t gid)
{
	uid_t me = geteuid();
	gid_t my_group = getegid();
	int r, number;

	if (me != 0)
		return connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ? -errno : 0;
	if (setegid(gid) < 0 || seteuid(uid) < 0) {
		r = -errno;
	} else {
		/* The directory is private to the owner of the data; only root gets through. */
		setfsuid(me);
		r = connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ? -errno : 0;
	}
	number = seteuid(me) < 0 || setegid(my_group) < 0 ? errno : 0;
	if (number) {
		cow_log_error("cannot become user %u again: %s", me, strerror(number));
		_exit(1);
	}
	return r;
}

static int dial_local(struct serve_conn *c)
{
	const struct serve_branch *b = c->branch;
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (snprintf(to.sun_path, sizeof(to.sun_path), "%s/.s.PGSQL.%d", b->server_sockets,
		     b->server_port) >= (int)sizeof(to.sun_path))
		return -ENAMETOOLONG;
	c->server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return c->server < 0 ? -errno : connect_as(c->server, &to, c->uid, c->gid);
}

static int dial_tcp(struct serve_conn *c)
{
	const struct serve_branch *b = c->branch;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)b->server_port)};
	struct sockaddr_in from = {.sin_family = AF_INET};

	c->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->server < 0)
		return -errno;
	to.sin_addr.s_addr = inet_addr(b->host);
	from.sin_addr.s_addr = inet_addr(c->remote ? PROXY_REMOTE : PROXY_LOCAL);
	setsockopt(c->server, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	setsockopt(c->server, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	if (bind(c->server, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(c->server, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

static void give_up(struct serve_conn *c, int r)
{
	char message[COW_BRANCH_MAX + 128];

	snprintf(message, sizeof(message), "the server of branch \"%s\" cannot be reached: %s",
		 c->branch->name, strerror(-r));
	serve_conn_refuse(c, "08006", message, NULL);
}

static void again(struct serve_conn *c, int r)
{
	event_free(c->watch);
	c->watch = NULL;
	close(c->server);
	c->server = -1;
	if (++c->dial_tries > TRIES_MAX) {
		give_up(c, r);
		return;
	}
	c->watch = evtimer_new(c->serve->base, on_dialled, c);
	if (c->watch)
		serve_timer(c->watch, RETRY_MS);
}

void serve_dial(struct serve_conn *c)
{
	int r = c->local ? dial_local(c) : dial_tcp(c);

	c->phase = SERVE_DIALING;
	if (r == -EAGAIN) {
		again(c, r);
		return;
	}
	if (r < 0 && r != -EINPROGRESS) {
		give_up(c, r);
		return;
	}
	if (c->watch)
		event_free(c->watch);
	c->watch = event_new(c->serve->base, c->server, EV_WRITE, on_dialled, c);
	if (c->watch)
		event_add(c->watch, NULL);
	serve_timer(c->timer, c->serve->o->greet_ms);
}

/* The server hears what was said, and the two talk. */
static void introduce(struct serve_conn *c)
{
	/* At most 10 kB into an empty buffer of the kernel. */
	ssize_t n = send(c->server, c->said, c->said_n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n != (ssize_t)c->said_n) {
		give_up(c, n < 0 ? -errno : -ENOBUFS);
		return;
	}
	free(c->said);
	c->said = NULL;
	evtimer_del(c->timer);
	serve_relay_begin(c);
}

/* --- TLS with the server --- */

void serve_dial_encrypted(struct serve_conn *c, bool ours)
{
	if (ours) {
		introduce(c);
		return;
	}
	c->branch->other_tls = true;
	close(c->server);
	c->server = -1;
	serve_dial(c);
}

static void on_tls_answer(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;
	char answer = 0;
	ssize_t n = recv(fd, &answer, 1, MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		event_add(c->watch, NULL);
		return;
	}
	event_del(c->watch);
	if (n == 1 && answer == 'N') {
		introduce(c);
	} else if (n == 1 && answer == 'S') {
		r = serve_tls_wrap_server(c);
		if (r < 0)
			give_up(c, r);
	} else {
		give_up(c, n < 0 ? -errno : -ECONNRESET);
	}
}

static bool wants_tls(const struct serve_conn *c)
{
	return c->encrypted && !c->local && !c->cancels && !c->branch->other_tls;
}

static void ask_for_tls(struct serve_conn *c)
{
	static const uint8_t request[] = {0, 0, 0, 8, 4, 210, 22, 47}; /* SSLRequest */

	event_free(c->watch);
	c->watch = event_new(c->serve->base, c->server, EV_READ, on_tls_answer, c);
	if (c->watch)
		event_add(c->watch, NULL);
	if (send(c->server, request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    sizeof(request))
		give_up(c, -errno);
}

static void on_dialled(evutil_socket_t fd, short what, void *arg)
{
	struct serve_conn *c = arg;
	int number = 0;
	socklen_t len = sizeof(number);

	if (c->server < 0) {
		serve_dial(c);
		return;
	}
	if (getsockopt(c->server, SOL_SOCKET, SO_ERROR, &number, &len) < 0 || number) {
		give_up(c, -number);
		return;
	}
	if (wants_tls(c))
		ask_for_tls(c);
	else
		introduce(c);
}
