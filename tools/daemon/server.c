// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/daemon/wire.h"

#define CONNECTIONS_MAX 64
#define SILENCE_MAX_S 60 /* a client that sends nothing is dropped */
#define PROGRESS_EVERY_MS 100
#define THREAD_STACK (1u << 20)

struct connection {
	struct server *server;
	struct connection *next;
	struct wire wire;
	struct engine engine;
	int64_t told_ms; /* when progress was last sent */
	bool gone;       /* a send failed: what is in the stream is no whole line any more */
};

struct server {
	struct engine engine;
	uid_t owner; /* of the store */
	int listener, wake;
	pthread_t acceptor;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* lock: */
	struct connection *connections;
	unsigned count;   /* connections */
	unsigned working; /* verbs that run now, without control verbs */
	bool draining;
};

/* --- one connection --- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void tell_progress(void *arg, uint64_t done, uint64_t total)
{
	struct connection *c = arg;
	int64_t now = now_ms();

	if (c->gone || now - c->told_ms < PROGRESS_EVERY_MS)
		return;
	c->told_ms = now;
	/* The verb ends its work also for a client that went away. */
	if (wire_write(&c->wire, json_pack("{s:{s:I,s:I}}", "progress", "done", (json_int_t)done,
					   "total", (json_int_t)total)) < 0)
		c->gone = true;
}

static bool begin_work(struct server *s, bool control)
{
	bool may;

	pthread_mutex_lock(&s->lock);
	may = !s->draining;
	if (may && !control)
		s->working++;
	pthread_mutex_unlock(&s->lock);
	return may;
}

static void end_work(struct server *s, bool control)
{
	if (control)
		return;
	pthread_mutex_lock(&s->lock);
	s->working--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static cow_errno answer(struct connection *c, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "verb"));
	const json_t *args = json_object_get(request, "args");
	const struct engine_verb *verb = name ? engine_find(name) : NULL;
	struct cow_error e = COW_ERROR_INIT;
	json_t *empty = json_object(), *result = NULL;
	cow_errno r;

	if (!begin_work(c->server, verb && verb->control)) {
		r = cow_fail(&e, -ESHUTDOWN, "the daemon is stopping");
	} else {
		r = engine_call(&c->engine, name ? name : "", args ? args : empty, &result, &e);
		end_work(c->server, verb && verb->control);
	}
	json_decref(empty);
	if (c->gone) {
		json_decref(result);
		return -EPIPE;
	}
	if (r == 0 && result)
		return wire_write(&c->wire, json_pack("{s:o}", "result", result));
	json_decref(result);
	return wire_write(&c->wire, wire_error(r < 0 ? r : -ENOMEM, &e));
}

static void converse(struct connection *c)
{
	struct cow_error e = COW_ERROR_INIT;

	for (;;) {
		json_t *request = NULL;
		int n = wire_read(&c->wire, &request);

		if (n == -EMSGSIZE || n == -EBADMSG) {
			cow_fail(&e, n,
				 n == -EMSGSIZE ? "the request is too long"
						: "the request is not a JSON line");
			wire_write(&c->wire, wire_error(-EINVAL, &e));
		}
		if (n <= 0)
			return;
		n = answer(c, request);
		json_decref(request);
		if (n < 0)
			return;
	}
}

static void forget(struct connection *c)
{
	struct server *s = c->server;
	struct connection **at;

	pthread_mutex_lock(&s->lock);
	for (at = &s->connections; *at != c;)
		at = &(*at)->next;
	*at = c->next;
	wire_release(&c->wire); /* under the lock: server_free shuts descriptors down */
	s->count--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	free(c);
}

static void *connection_main(void *arg)
{
	struct connection *c = arg;

	converse(c);
	forget(c);
	return NULL;
}

/* --- accepting --- */

static bool may_ask(const struct server *s, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == s->owner || peer.uid == geteuid())
		return true;
	cow_log_warn("control socket: user %u is refused", (unsigned)peer.uid);
	return false;
}

static void refuse(int fd, cow_errno r, const char *why)
{
	struct cow_error e = COW_ERROR_INIT;
	struct wire w;

	cow_fail(&e, r, "%s", why);
	wire_init(&w, fd, WIRE_REQUEST_MAX);
	wire_write(&w, wire_error(r, &e));
	wire_release(&w);
}

static int start_thread(void *(*run)(void *), void *arg, bool detached, pthread_t *ret)
{
	pthread_attr_t a;
	sigset_t all, before;
	int r;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, THREAD_STACK);
	if (detached)
		pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, &a, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&a);
	return -r;
}

/* Takes over `fd`. */
static void admit(struct server *s, int fd)
{
	const struct timeval silence = {.tv_sec = SILENCE_MAX_S};
	struct connection *c;
	pthread_t thread;
	bool room;

	if (!may_ask(s, fd)) {
		refuse(fd, -EPERM, "only root and the owner of the store may do this");
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
	c = calloc(1, sizeof(*c));
	pthread_mutex_lock(&s->lock);
	room = c && s->count < CONNECTIONS_MAX && !s->draining;
	if (room) {
		c->server = s;
		c->engine = s->engine;
		c->engine.progress = tell_progress;
		c->engine.progress_arg = c;
		wire_init(&c->wire, fd, WIRE_REQUEST_MAX);
		c->next = s->connections;
		s->connections = c;
		s->count++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!room) {
		free(c);
		refuse(fd, -EAGAIN, "the daemon has too many clients");
		return;
	}
	if (start_thread(connection_main, c, true, &thread) < 0)
		forget(c);
}

static void *acceptor_main(void *arg)
{
	struct server *s = arg;
	struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN},
			      {.fd = s->wake, .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (p[1].revents)
			return NULL;
		if (!p[0].revents)
			continue;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			admit(s, fd);
		else if (errno == EMFILE || errno == ENFILE)
			poll(NULL, 0, 100); /* until somebody closes one */
	}
}

/* --- life --- */

cow_errno server_start(const struct engine *g, struct server **ret, struct cow_error *e)
{
	const char *dir = cow_store_path(g->store);
	struct server *s = calloc(1, sizeof(*s));
	struct stat st;
	cow_errno r;

	if (!s)
		return cow_fail(e, -ENOMEM, "out of memory");
	s->engine = *g;
	s->owner = stat(dir, &st) == 0 ? st.st_uid : geteuid();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->wake = eventfd(0, EFD_CLOEXEC);
	r = s->wake < 0 ? cow_fail(e, -errno, "eventfd: %s", strerror(errno))
			: wire_listen(dir, &s->listener, e);
	if (r < 0) {
		free(s);
		return r;
	}
	r = start_thread(acceptor_main, s, false, &s->acceptor);
	if (r < 0) {
		close(s->listener);
		close(s->wake);
		free(s);
		return cow_fail(e, r, "cannot start a thread: %s", strerror(-r));
	}
	*ret = s;
	return 0;
}

void server_drain(struct server *s)
{
	struct pollfd waiting = {.fd = s->listener, .events = POLLIN};
	uint64_t one = 1;
	int fd;

	pthread_mutex_lock(&s->lock);
	s->draining = true;
	if (s->working)
		cow_log_info("waiting for %u running command(s)", s->working);
	while (s->working)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (write(s->wake, &one, sizeof(one)) < 0)
		cow_log_error("eventfd: %s", strerror(errno));
	pthread_join(s->acceptor, NULL);
	/* Who connected in the last moment is told, so that it knows that nothing was done. */
	wire_unlink(cow_store_path(s->engine.store));
	while (poll(&waiting, 1, 0) > 0 &&
	       (fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		refuse(fd, -ESHUTDOWN, "the daemon is stopping");
	close(s->listener);
	close(s->wake);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	/* Only the reading half: an answer that is being written still arrives. */
	for (struct connection *c = s->connections; c; c = c->next)
		shutdown(c->wire.fd, SHUT_RD);
	while (s->count)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}
