// SPDX-License-Identifier: Apache-2.0
/* listen: the addresses that clients connect to. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/serve/conn.h"

#define BACKLOG 1024
#define FULL_MS 10    /* pause when there are no descriptors left */
#define ACCEPT_MAX 64 /* in one turn, so that others have theirs */

static void accept_all(struct serve *s, struct serve_branch *b, int fd, bool local)
{
	for (int k = 0; k < ACCEPT_MAX; k++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
				return;
			cow_log_warn("cannot take a connection: %s", strerror(errno));
			/* It is still there in the next turn, which would be now. */
			nanosleep(&(struct timespec){.tv_nsec = FULL_MS * 1000000L}, NULL);
			return;
		}
		serve_conn_new(s, b, client, local);
	}
}

static void on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;

	accept_all(b->serve, b, fd, false);
}

static void on_local(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;

	accept_all(b->serve, b, fd, true);
}

static void on_shared(evutil_socket_t fd, short what, void *arg)
{
	accept_all(arg, NULL, fd, false);
}

static int listen_tcp(const char *host, int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), number;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (fd < 0)
		return -errno;
	if (inet_pton(AF_INET, host, &at.sin_addr) != 1) {
		close(fd);
		return -EINVAL;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	number = errno;
	close(fd);
	return -number;
}

static int listen_local(const char *dir, int port)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, number;

	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.%d", dir, port) >=
	    (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(at.sun_path);
	/* As postgres does: who gets in is decided by pg_hba.conf. */
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && chmod(at.sun_path, 0777) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	number = errno;
	close(fd);
	return -number;
}

static struct event *watch(struct serve *s, int fd, event_callback_fn call, void *arg)
{
	struct event *ev = event_new(s->base, fd, EV_READ | EV_PERSIST, call, arg);

	if (ev)
		event_add(ev, NULL);
	else
		close(fd);
	return ev;
}

void serve_listen_branch(struct serve_branch *b)
{
	int fd;

	if (!b->port || serve_branch_is_direct(b) || b->removed)
		return;
	if (!b->tcp) {
		fd = listen_tcp(b->serve->o->listen, b->port);
		if (fd >= 0)
			b->tcp = watch(b->serve, fd, on_tcp, b);
		else
			cow_log_warn("%s: cannot listen on %s port %d: %s", b->name,
				     b->serve->o->listen, b->port, strerror(-fd));
	}
	if (!b->local && b->socket_dir[0]) {
		fd = listen_local(b->socket_dir, b->port);
		if (fd >= 0)
			b->local = watch(b->serve, fd, on_local, b);
		else if (fd != -ENOENT)
			cow_log_warn("%s: cannot listen in %s: %s", b->name, b->socket_dir,
				     strerror(-fd));
	}
}

void serve_unlisten_local(struct serve_branch *b)
{
	char path[sizeof(b->socket_dir) + 32];

	if (!b->local)
		return;
	serve_unwatch(&b->local);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", b->socket_dir, b->port);
	unlink(path);
	snprintf(path, sizeof(path), "%s/pg", b->socket_dir);
	rmdir(path);
	rmdir(b->socket_dir);
}

void serve_unlisten_branch(struct serve_branch *b)
{
	serve_unwatch(&b->tcp);
	serve_unlisten_local(b);
}

cow_errno serve_listen_shared(struct serve *s, struct cow_error *e)
{
	int fd;

	if (!s->o->port)
		return 0;
	fd = listen_tcp(s->o->listen, s->o->port);
	if (fd < 0)
		cow_fail(e, fd, "cannot listen on %s port %d: %s", s->o->listen, s->o->port,
			 strerror(-fd));
	if (fd == -EADDRINUSE)
		cow_hint(e, fd,
			 "Another program listens there, or a connection goes out from it: "
			 "take a port outside of net.ipv4.ip_local_port_range.");
	if (fd < 0)
		return fd;
	s->shared = watch(s, fd, on_shared, s);
	return s->shared ? 0 : cow_fail(e, -ENOMEM, "no memory to listen");
}
