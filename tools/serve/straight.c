// SPDX-License-Identifier: Apache-2.0
/* straight: while the server of a branch runs, new clients of the branch's own address go to it
 * past the proxy.
 *
 * Each message that is relayed costs two system calls and a wake-up, and the proxy has nothing to
 * say in most sessions. So the name of the unix socket leads to the server's own socket while that
 * runs (a hard link: its directory is for nobody but the owner of the data), and to the proxy's
 * while it does not, starts, or shuts down. Sessions stay where they began.
 *
 * Not where the proxy has something to say: a limit of connections, sleep under clients that do
 * nothing (statements are looked for), a server whose socket has narrower permissions than ours.
 * And not where clients cannot be counted: a server that may have clients nobody sees is never put
 * to sleep.
 *
 * Guarantees: a client finds the server or the proxy at any moment, never nothing. It is counted as
 * long as it is there (diag.h), once a second and before its server would be put to sleep (rest.c).
 * We hold a copy of the socket on which its server listens: of a server that ended, whoever waits
 * in its queue is taken over and waits for the next one. Where the kernel does not give us that
 * copy, a client that comes between the end of the server and our hearing of it is refused. When
 * serve itself ends without a word, servers and their clients go on, and new ones come straight
 * still. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/diag.h"

#define LOOK_MS 1000u
#define TRIES 5 /* a dump that is torn is asked for again */

/* --- its server's socket --- */

static void server_path(const struct serve_branch *b, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* One that does not fit is no socket's. */
	if (snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/.s.PGSQL.%d", b->server_sockets,
		     b->server_port) >= (int)sizeof(ret->sun_path))
		ret->sun_path[0] = '\0';
}

static bool listens_at(int fd, const struct sockaddr_un *at)
{
	struct sockaddr_un here = {0};
	socklen_t len = sizeof(here), flag_len = sizeof(int);
	int listens = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_len) == 0 && listens &&
	       getsockname(fd, (struct sockaddr *)&here, &len) == 0 && here.sun_family == AF_UNIX &&
	       strncmp(here.sun_path, at->sun_path, sizeof(here.sun_path)) == 0;
}

/* -1: there is none, or it is not given to us. */
static int copy_of_listener(const struct serve_branch *b, const struct sockaddr_un *at)
{
	char path[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)b->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		fd = pidfd_getfd(b->pidfd, (int)strtol(entry->d_name, NULL, 10), 0);
		if (fd >= 0 && listens_at(fd, at))
			break;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* --- counting --- */

unsigned serve_clients(const struct serve_branch *b)
{
	return b->clients + b->straight.clients;
}

static bool is_up(const struct serve_branch *b)
{
	return b->pidfd >= 0 && (b->state == SERVE_RUNNING || b->state == SERVE_IDLE);
}

struct place {
	struct sockaddr_un at;
	struct serve_branch *branch;
	unsigned clients;
	bool listens;
};

struct places {
	struct place *all;
	size_t n;
};

static int compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return strcmp(x->at.sun_path, y->at.sun_path);
}

/* In the order of their paths. */
static bool find_places(struct serve *s, struct places *ret)
{
	struct serve_branch *b;
	size_t n = 0;

	TAILQ_FOREACH (b, &s->branches, link)
		n += is_up(b);
	*ret = (struct places){.all = calloc(n + 1, sizeof(*ret->all))};
	if (!ret->all)
		return false;
	TAILQ_FOREACH (b, &s->branches, link) {
		if (!is_up(b))
			continue;
		ret->all[ret->n].branch = b;
		server_path(b, &ret->all[ret->n++].at);
	}
	qsort(ret->all, ret->n, sizeof(*ret->all), compare);
	return true;
}

static void on_socket(void *arg, const struct serve_diag_local *x)
{
	struct places *places = arg;
	struct place key, *found;

	if (x->path_n >= sizeof(key.at.sun_path))
		return;
	memcpy(key.at.sun_path, x->path, x->path_n);
	key.at.sun_path[x->path_n] = '\0';
	found = bsearch(&key, places->all, places->n, sizeof(key), compare);
	if (found && x->listens)
		found->listens = true;
	else if (found)
		found->clients++;
}

static unsigned relayed_to(const struct serve_branch *b)
{
	const struct serve_conn *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &b->serve->conns, link)
		n += c->branch == b && c->local && c->server >= 0;
	return n;
}

/* Connections of ours may be gone already where the kernel has them, never the other way round: who
 * came straight may be overlooked beside them, and while we have any the server does not sleep. */
static void note(const struct place *p)
{
	struct serve_branch *b = p->branch;
	unsigned relayed = b->clients ? relayed_to(b) : 0;

	b->straight.counted = p->listens;
	b->straight.clients = b->straight.was && p->clients > relayed ? p->clients - relayed : 0;
}

static void count(struct serve *s)
{
	struct places places;
	cow_errno r = -EAGAIN;

	if (!find_places(s, &places))
		return;
	for (int k = 0; k < TRIES && r == -EAGAIN; k++) {
		for (size_t n = 0; n < places.n; n++) {
			places.all[n].clients = 0;
			places.all[n].listens = false;
		}
		r = serve_diag_local(on_socket, &places);
	}
	if (r < 0)
		cow_log_debug("sockets cannot be counted: %s", strerror(-r));
	for (size_t n = 0; n < places.n; n++) {
		if (r == 0)
			note(&places.all[n]);
		else
			places.all[n].branch->straight.counted = false;
	}
	free(places.all);
}

void serve_straight_look(struct serve *s)
{
	struct serve_branch *b;
	bool needed = false;

	TAILQ_FOREACH (b, &s->branches, link)
		needed |= b->straight.was && is_up(b);
	if (!needed)
		return;
	count(s);
	TAILQ_FOREACH (b, &s->branches, link) {
		if (!b->straight.was || !b->straight.counted)
			continue;
		if (b->straight.clients)
			serve_branch_event(b, SERVE_SEEN, NULL);
		else if (b->clients == 0)
			serve_branch_event(b, SERVE_LAST_LEFT, NULL);
	}
}

/* --- leading --- */

static bool is_wanted(const struct serve_branch *b)
{
	const struct serve *s = b->serve;

	return b->local && is_up(b) && !b->removed && !(s->ending && !s->o->leave_running) &&
	       !s->o->always_relay && !b->straight.watched && !b->straight.unfit &&
	       !b->max_connections && !(b->suspend_sessions && b->suspend_ms) &&
	       !serve_branch_is_direct(b);
}

/* By its name it must admit whom the proxy admits: all. Without root the directories above are ours
 * alone, and so is the proxy. */
static bool is_open(const struct sockaddr_un *at)
{
	struct stat st;

	return lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       (geteuid() != 0 || (st.st_mode & 0777) == 0777);
}

static void unfit(struct serve_branch *b, const char *why)
{
	b->straight.unfit = true;
	cow_log_info("%s: all clients go through the proxy: %s", b->name, why);
}

static void lead_straight(struct serve_branch *b)
{
	struct sockaddr_un at;
	cow_errno r;

	server_path(b, &at);
	if (!b->straight.counted)
		count(b->serve);
	if (!b->straight.counted) {
		unfit(b, "connections to its server cannot be counted");
	} else if (!is_open(&at)) {
		unfit(b, "the socket of its server is not for everybody");
	} else {
		if (b->straight.queue < 0)
			b->straight.queue = copy_of_listener(b, &at);
		r = serve_listen_lead(b, at.sun_path);
		b->straight.on = r == 0;
		b->straight.was |= r == 0;
		if (r < 0)
			unfit(b, strerror(-r));
	}
}

static void lead_here(struct serve_branch *b)
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

void serve_straight_settle(struct serve_branch *b)
{
	bool wanted = is_wanted(b);

	if (wanted && !b->straight.on)
		lead_straight(b);
	else if (!wanted && b->straight.on)
		lead_here(b);
}

void serve_straight_end(struct serve_branch *b)
{
	int queue = b->straight.queue;

	b->straight.unfit = true;
	serve_straight_settle(b);
	b->straight = (struct serve_straight){.queue = -1};
	if (queue < 0)
		return;
	/* It was the server's too, which may have waited in accept. */
	fcntl(queue, F_SETFL, O_NONBLOCK);
	while (!b->removed && serve_accept(b->serve, b, queue, true))
		;
	close(queue);
}

/* --- the tick --- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	serve_straight_look(s);
	serve_timer(s->straight_tick, LOOK_MS);
}

cow_errno serve_straight_open(struct serve *s, struct cow_error *e)
{
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
}
