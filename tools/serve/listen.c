// SPDX-License-Identifier: Apache-2.0
/* listen: the addresses that clients connect to.
 *
 * The unix socket of a branch is bound as DIR/serve, and the name that clients know is a second
 * link to it, or one to the socket of the server (straight.c): a link is put in the place of
 * another by rename(2), so that there is no moment in which a client finds none. */
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
#define LOCAL_PATH (sizeof(((struct serve_branch *)0)->socket_dir) + 32)

bool serve_accept(struct serve *s, struct serve_branch *b, int fd, bool local)
{
	for (int k = 0; k < ACCEPT_MAX; k++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
				return false;
			cow_log_warn("cannot take a connection: %s", strerror(errno));
			/* It is still there in the next turn, which would be now. */
			nanosleep(&(struct timespec){.tv_nsec = FULL_MS * 1000000L}, NULL);
			return false;
		}
		serve_conn_new(s, b, client, local);
	}
	return true;
}

static void on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;

	serve_accept(b->serve, b, fd, false);
}

static void on_local(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;

	serve_accept(b->serve, b, fd, true);
}

static void on_shared(evutil_socket_t fd, short what, void *arg)
{
	serve_accept(arg, NULL, fd, false);
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

/* Of clients, or ("serve") our own. */
static void local_path(const struct serve_branch *b, const char *own, char *ret, size_t size)
{
	if (own)
		snprintf(ret, size, "%s/%s", b->socket_dir, own);
	else
		snprintf(ret, size, "%s/.s.PGSQL.%d", b->socket_dir, b->port);
}

cow_errno serve_listen_lead(struct serve_branch *b, const char *from)
{
	char own[LOCAL_PATH], fresh[LOCAL_PATH], known[LOCAL_PATH];
	struct stat st;
	int number = 0;

	local_path(b, "serve", own, sizeof(own));
	local_path(b, "serve.new", fresh, sizeof(fresh));
	local_path(b, NULL, known, sizeof(known));
	unlink(fresh);
	if (link(from ? from : own, fresh) < 0)
		return -errno;
	/* The directory belongs to the owner of the data. */
	if (lstat(fresh, &st) < 0 || !S_ISSOCK(st.st_mode))
		number = ENOTSOCK;
	else if (rename(fresh, known) < 0)
		number = errno;
	/* Of two links to the same file none is renamed. */
	unlink(fresh);
	return -number;
}

static int listen_local(struct serve_branch *b)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char own[LOCAL_PATH];
	mode_t mask;
	int fd, r;

	local_path(b, "serve", own, sizeof(own));
	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", own) >= (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(own);
	/* As postgres does: who gets in is decided by pg_hba.conf. */
	mask = umask(0);
	r = bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r == 0)
		r = serve_listen_lead(b, NULL);
	if (r == 0)
		return fd;
	close(fd);
	return r;
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
		fd = listen_local(b);
		if (fd >= 0)
			b->local = watch(b->serve, fd, on_local, b);
		else if (fd != -ENOENT)
			cow_log_warn("%s: cannot listen in %s: %s", b->name, b->socket_dir,
				     strerror(-fd));
	}
	serve_straight_settle(b);
}

void serve_unlisten_local(struct serve_branch *b)
{
	char path[LOCAL_PATH];

	if (!b->local)
		return;
	serve_unwatch(&b->local);
	/* A server that goes on without us is still found by the name that leads to it. */
	local_path(b, NULL, path, sizeof(path));
	if (!b->straight.on || !b->serve->o->leave_running || !b->serve->ending)
		unlink(path);
	b->straight.on = false;
	local_path(b, "serve", path, sizeof(path));
	unlink(path);
	local_path(b, "pg", path, sizeof(path));
	rmdir(path);
	rmdir(b->socket_dir);
}

void serve_unlisten_branch(struct serve_branch *b)
{
	serve_straight_leave_port(b);
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
