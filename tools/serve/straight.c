// SPDX-License-Identifier: Apache-2.0
/* straight: while the server of a branch runs, new clients of the branch's own address go to it
 * past the proxy.
 *
 * Each message that is relayed costs two system calls and a wake-up, and the proxy has nothing to
 * say in most sessions. So the name of the unix socket leads to the server's own socket while that
 * runs (a hard link: its directory is for nobody but the owner of the data), and to the proxy's
 * while it does not, starts, or shuts down. The port of the branch does the same for clients of
 * this machine, where the kernel steers connections (steer.h). Sessions stay where they began.
 *
 * Not where the proxy has something to say: a limit of connections, sleep under clients that do
 * nothing (statements are looked for), a server whose socket has narrower permissions than ours;
 * for the port: TLS, ours or the server's. And not where clients cannot be counted: a server that
 * may have clients nobody sees is never put to sleep.
 *
 * Guarantees: a client finds the server or the proxy at any moment, never nothing. It is counted as
 * long as it is there (census.c), once a second and before its server would be put to sleep
 * (rest.c). We hold copies of the sockets on which its server listens: of a server that ended,
 * whoever waits in its queues is taken over and waits for the next one. Where the kernel does not
 * give us the copy of the unix socket, a client that comes between the end of the server and our
 * hearing of it is refused. When serve itself ends without a word, servers and their clients go on;
 * new ones come straight still by the unix socket, and are refused at the port. */
#include "tools/serve/straight.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/steer.h"

#define LOOK_MS 1000u

unsigned serve_clients(const struct serve_branch *b)
{
	return b->clients + b->straight.clients;
}

uint64_t serve_last_client_ms(const struct serve_branch *b)
{
	uint64_t came = b->serve->steer ? serve_steer_last(b->serve->steer, b->port) : 0;

	return COW_MAX(came, b->rested_ms);
}

bool serve_straight_is_up(const struct serve_branch *b)
{
	return b->pidfd >= 0 && (b->state == SERVE_RUNNING || b->state == SERVE_IDLE);
}

/* --- its server's sockets --- */

void serve_straight_place(const struct serve_branch *b, struct sockaddr_un *local,
			  struct sockaddr_in *port)
{
	*local = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* One that does not fit is no socket's. */
	if (snprintf(local->sun_path, sizeof(local->sun_path), "%s/.s.PGSQL.%d", b->server_sockets,
		     b->server_port) >= (int)sizeof(local->sun_path))
		local->sun_path[0] = '\0';
	*port = (struct sockaddr_in){.sin_family = AF_INET,
				     .sin_port = htons((uint16_t)b->server_port)};
	port->sin_addr.s_addr = inet_addr(b->host);
}

/* `path` NULL: at `port`. */
static bool listens_at(int fd, const char *path, const struct sockaddr_in *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_in port;
	} here = {0};
	socklen_t len = sizeof(here), flag_len = sizeof(int);
	int listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_len) < 0 || !listens ||
	    getsockname(fd, &here.any, &len) < 0)
		return false;
	if (path)
		return here.any.sa_family == AF_UNIX &&
		       strncmp(here.local.sun_path, path, sizeof(here.local.sun_path)) == 0;
	return here.any.sa_family == AF_INET && here.port.sin_port == port->sin_port &&
	       here.port.sin_addr.s_addr == port->sin_addr.s_addr;
}

/* -1: there is none, or it is not given to us. */
static int copy_of_listener(const struct serve_branch *b, const char *path,
			    const struct sockaddr_in *port)
{
	char list[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(list, sizeof(list), "/proc/%d/fd", (int)b->pid);
	dir = opendir(list);
	while (dir && (entry = readdir(dir))) {
		fd = pidfd_getfd(b->pidfd, (int)strtol(entry->d_name, NULL, 10), 0);
		if (fd >= 0 && listens_at(fd, path, port))
			break;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* --- leading --- */

static bool is_wanted(const struct serve_branch *b)
{
	const struct serve *s = b->serve;

	return serve_straight_is_up(b) && !b->removed && !(s->ending && !s->o->leave_running) &&
	       !s->o->always_relay && !b->straight.watched && !b->max_connections &&
	       !(b->suspend_sessions && b->suspend_ms) && !serve_branch_is_direct(b);
}

/* By its name it must admit whom the proxy admits: all. Without root the directories above are ours
 * alone, and so is the proxy. */
static bool is_open(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       (geteuid() != 0 || (st.st_mode & 0777) == 0777);
}

/* Why it cannot be done; NULL = it is done. */
static const char *lead_socket(struct serve_branch *b)
{
	struct sockaddr_un at;
	struct sockaddr_in port;
	cow_errno r;

	serve_straight_place(b, &at, &port);
	if (!b->straight.counted)
		return "connections to its server cannot be counted";
	if (!is_open(at.sun_path))
		return "the socket of its server is not for everybody";
	if (b->straight.queue < 0)
		b->straight.queue = copy_of_listener(b, at.sun_path, NULL);
	r = serve_listen_lead(b, at.sun_path);
	b->straight.on = r == 0;
	b->straight.was |= r == 0;
	return r < 0 ? strerror(-r) : NULL;
}

static const char *lead_port(struct serve_branch *b)
{
	struct sockaddr_un at;
	struct sockaddr_in port;
	cow_errno r;

	serve_straight_place(b, &at, &port);
	if (!b->straight.counted)
		return "connections to its server cannot be counted";
	if (b->own_tls)
		return "its server has TLS, and the proxy has not";
	if (b->straight.port_queue < 0)
		b->straight.port_queue = copy_of_listener(b, NULL, &port);
	if (b->straight.port_queue < 0)
		return "its server does not let go of its socket";
	r = serve_steer_set(b->serve->steer, b->port, b->straight.port_queue);
	b->straight.steered = r == 0;
	b->straight.was |= r == 0;
	return r < 0 ? strerror(-r) : NULL;
}

static void leave_socket(struct serve_branch *b)
{
	cow_errno r = serve_listen_lead(b, NULL);

	b->straight.on = false;
	if (r == 0)
		return;
	/* Somebody removed ours. */
	cow_log_warn("%s: its socket is made anew: %s", b->name, strerror(-r));
	serve_unlisten_local(b);
	serve_listen_branch(b);
}

void serve_straight_leave_port(struct serve_branch *b)
{
	if (b->straight.steered)
		serve_steer_clear(b->serve->steer, b->port);
	b->straight.steered = false;
}

static bool unfit(const struct serve_branch *b, const char *address, const char *why)
{
	if (why)
		cow_log_info("%s: clients of its %s go through the proxy: %s", b->name, address,
			     why);
	return why;
}

void serve_straight_settle(struct serve_branch *b)
{
	bool wanted = is_wanted(b);
	bool local = wanted && b->local && !b->straight.unfit;
	bool port = wanted && b->tcp && b->serve->steer && !b->straight.unfit_port;

	if (!b->straight.counted && ((local && !b->straight.on) || (port && !b->straight.steered)))
		serve_census(b->serve);
	if (local && !b->straight.on)
		b->straight.unfit = unfit(b, "socket", lead_socket(b));
	else if (!local && b->straight.on)
		leave_socket(b);
	if (port && !b->straight.steered)
		b->straight.unfit_port = unfit(b, "port", lead_port(b));
	else if (!port)
		serve_straight_leave_port(b);
}

static void take_over_queue(struct serve_branch *b, int queue, bool local)
{
	if (queue < 0)
		return;
	/* It was the server's too, which may have waited in accept. */
	fcntl(queue, F_SETFL, O_NONBLOCK);
	while (!b->removed && serve_accept(b->serve, b, queue, local))
		;
	close(queue);
}

void serve_straight_end(struct serve_branch *b)
{
	int queue = b->straight.queue, port_queue = b->straight.port_queue;

	b->straight.unfit = b->straight.unfit_port = true;
	serve_straight_settle(b);
	b->straight = (struct serve_straight){.queue = -1, .port_queue = -1};
	take_over_queue(b, queue, true);
	take_over_queue(b, port_queue, false);
}

/* --- looking --- */

void serve_straight_look(struct serve *s)
{
	struct serve_branch *b;
	bool needed = false;

	TAILQ_FOREACH (b, &s->branches, link)
		needed |= b->straight.was && serve_straight_is_up(b);
	if (!needed)
		return;
	serve_census(s);
	TAILQ_FOREACH (b, &s->branches, link) {
		if (!b->straight.was || !b->straight.counted)
			continue;
		if (b->straight.clients)
			serve_branch_event(b, SERVE_SEEN, NULL);
		else if (b->clients == 0)
			serve_branch_event(b, SERVE_LAST_LEFT, NULL);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	serve_straight_look(s);
	serve_timer(s->straight_tick, LOOK_MS);
}

/* Only where the proxy has nothing to say at any port: no TLS, and 127.0.0.1 is its address too. */
static void open_steer(struct serve *s)
{
	const char *listen = s->o->listen;
	struct cow_error *e = &s->steer_fault;

	if (s->o->always_relay)
		cow_fail(e, -EPERM, "--always-relay");
	else if (s->tls)
		cow_fail(e, -EPERM, "clients may use TLS");
	else if (strcmp(listen, "127.0.0.1") != 0 && strcmp(listen, "0.0.0.0") != 0)
		cow_fail(e, -EPERM, "they listen on %s", listen);
	else
		s->steer = serve_steer_open(e);
	if (!s->steer)
		cow_log_info("clients of ports go through the proxy: %s", e->text);
}

cow_errno serve_straight_open(struct serve *s, struct cow_error *e)
{
	open_steer(s);
	s->straight_tick = evtimer_new(s->base, on_tick, s);
	if (!s->straight_tick)
		return cow_fail(e, -ENOMEM, "no memory for a timer");
	serve_timer(s->straight_tick, LOOK_MS);
	return 0;
}

void serve_straight_close(struct serve *s)
{
	if (s->straight_tick)
		event_free(s->straight_tick);
	serve_steer_close(s->steer);
}
