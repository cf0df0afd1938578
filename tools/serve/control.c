// SPDX-License-Identifier: Apache-2.0
/* control: what commands ask of serve, over STORE/serve.sock (client.h).
 *
 * One request per connection, one line each way; only root, the owner of the store and our own user
 * are served. An answer may take as long as a start takes; nobody else waits for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "store/log.h"
#include "tools/daemon/json_text.h"
#include "tools/serve/client.h"
#include "tools/serve/conn.h"
#include "tools/daemon/wire.h"

#define REQUEST_MAX (64u << 10)

struct serve_ask {
	TAILQ_ENTRY(serve_ask) link;
	struct serve *serve;
	struct bufferevent *bev;
	struct serve_branch *branch; /* that it is about; NULL = all */
	struct serve_asks *list;     /* where it waits; NULL = nowhere */
	enum serve_event event;
	char why[64]; /* for the history */
	bool repeated, answered;
};

/* --- answering --- */

json_t *serve_branch_json(const struct serve_branch *b)
{
	json_t *o =
	    json_pack("{s:o,s:s,s:i,s:i,s:o,s:o,s:o,s:i,s:o}", "branch", json_text(b->name),
		      "current_state", serve_state_name(b->state), "clients", (int)serve_clients(b),
		      "port", b->port, "socket_dir", json_text(b->socket_dir), "pid",
		      b->pid ? json_integer(b->pid) : json_null(), "starts", json_count(b->starts),
		      "start_ms", b->start_took_ms, "reason",
		      b->reason.text[0] ? json_text(b->reason.text) : json_null());

	json_object_set_new(o, "straight", json_boolean(b->straight.on));
	json_object_set_new(o, "steered", json_boolean(b->straight.steered));
	json_object_set_new(o, "failures", json_integer(b->failures));
	json_object_set_new(o, "suspend_timeout_ms", json_count(b->suspend_ms));
	json_object_set_new(o, "suspend_idle_sessions", json_boolean(b->suspend_sessions));
	json_object_set_new(o, "max_connections", json_integer(b->max_connections));
	json_object_set_new(o, "unlimited",
			    b->unlimited[0] ? json_text(b->unlimited) : json_null());
	return o;
}

static void ask_free(struct serve_ask *ask)
{
	if (ask->list)
		TAILQ_REMOVE(ask->list, ask, link);
	ask->list = NULL;
	if (ask->branch) {
		serve_branch_unwanted(ask->branch);
		serve_branch_release(ask->branch);
	}
	if (ask->bev)
		bufferevent_free(ask->bev);
	free(ask);
}

static void on_sent(struct bufferevent *bev, void *arg)
{
	struct serve_ask *ask = arg;

	if (ask->answered)
		ask_free(ask);
}

/* Steals `line`; the ask is freed when its bytes have left. */
static void send_line(struct serve_ask *ask, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	json_decref(line);
	if (ask->list)
		TAILQ_REMOVE(ask->list, ask, link);
	ask->list = NULL;
	ask->answered = true;
	if (!text) {
		ask_free(ask);
		return;
	}
	bufferevent_write(ask->bev, text, strlen(text));
	bufferevent_write(ask->bev, "\n", 1);
	free(text);
}

static void send_error(struct serve_ask *ask, cow_errno r, const struct cow_error *e)
{
	send_line(ask, wire_error(r, e));
}

static void send_result(struct serve_ask *ask, json_t *result)
{
	send_line(ask, json_pack("{s:o}", "result", result));
}

static bool is_reached(const struct serve_ask *ask)
{
	enum serve_state at = ask->branch->state;

	if (ask->event == SERVE_WAKE)
		return at == SERVE_RUNNING || at == SERVE_IDLE;
	/* To be stopped is more than to be down: it stays so. */
	return at == SERVE_STOPPED || (ask->event == SERVE_SUSPEND && at == SERVE_SUSPENDED);
}

static void answer_one(struct serve_ask *ask, cow_errno r)
{
	struct serve_branch *b = ask->branch;
	struct cow_error e = COW_ERROR_INIT;

	if (is_reached(ask)) {
		send_result(ask, serve_branch_json(b));
	} else if ((r == 0 || ask->event != SERVE_WAKE) && !ask->repeated && !b->removed) {
		/* It was in the middle of something else: that is over now, well or not. */
		ask->repeated = true;
		TAILQ_INSERT_TAIL(&b->asks, ask, link);
		ask->list = &b->asks;
		serve_branch_do(b, ask->event, ask->why);
	} else {
		e = b->reason;
		if (!e.text[0])
			cow_fail(&e, -EBUSY, "%s is %s", b->name, serve_state_name(b->state));
		send_error(ask, r < 0 ? r : -EBUSY, &e);
	}
}

bool serve_asks_wake(const struct serve_branch *b)
{
	const struct serve_ask *ask;

	TAILQ_FOREACH (ask, &b->asks, link)
		if (ask->event == SERVE_WAKE)
			return true;
	return false;
}

void serve_asks_answer(struct serve_branch *b, cow_errno r)
{
	struct serve_asks now = TAILQ_HEAD_INITIALIZER(now);
	struct serve_ask *ask;

	TAILQ_CONCAT(&now, &b->asks, link);
	while ((ask = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, ask, link);
		ask->list = NULL;
		answer_one(ask, r);
	}
}

void serve_ask_done(struct serve_ask *ask)
{
	send_result(ask, json_object());
}

void serve_ask_wait_for_sync(struct serve *s, struct serve_ask *ask)
{
	TAILQ_INSERT_TAIL(&s->sync_asks, ask, link);
	ask->list = &s->sync_asks;
}

void serve_asks_move(struct serve *s)
{
	struct serve_ask *ask;

	TAILQ_FOREACH (ask, &s->sync_asks, link)
		ask->list = &s->sync_running;
	TAILQ_CONCAT(&s->sync_running, &s->sync_asks, link);
}

/* --- requests --- */

/* What holds for every branch that says nothing else. */
static json_t *settings_json(const struct serve_options *o)
{
	return json_pack("{s:o,s:b,s:i,s:i,s:i,s:o,s:o,s:i,s:b}", "suspend_timeout_ms",
			 json_count(o->suspend_ms), "suspend_idle_sessions",
			 (int)o->suspend_sessions, "max_running", (int)o->max_running,
			 "max_connections", (int)o->max_connections, "max_starts",
			 (int)o->max_starts, "wait_ms", json_count(o->wait_ms), "sweep_interval_ms",
			 json_count(o->sweep_ms), "sweep_max", (int)o->sweep_max, "leave_running",
			 (int)o->leave_running);
}

static void do_status(struct serve_ask *ask)
{
	struct serve *s = ask->serve;
	json_t *all = json_object(), *o;
	struct serve_branch *b;

	serve_straight_look(s);
	TAILQ_FOREACH (b, &s->branches, link)
		json_object_set_new(all, b->name, serve_branch_json(b));
	o = json_pack("{s:o,s:i,s:s,s:i,s:o,s:o}", "branches", all, "pid", (int)getpid(), "listen",
		      s->o->listen, "port", s->o->port, "connections", json_count(s->connections),
		      "wakes", json_count(s->wakes));
	json_object_set_new(o, "settings", settings_json(s->o));
	json_object_set_new(o, "not_steered",
			    s->steer ? json_null() : json_text(s->steer_fault.text));
	send_result(ask, o);
}

static void do_event(struct serve_ask *ask, const json_t *args, enum serve_event event)
{
	const char *name = json_string_value(json_object_get(args, "name"));
	struct serve_branch *b = name ? serve_branch_find(ask->serve, name) : NULL;
	json_t *settings = json_object_get(args, "settings");
	const char *why = json_string_value(json_object_get(args, "why"));
	struct cow_error e = COW_ERROR_INIT;

	if (!b || b->doomed) {
		cow_fail(&e, -ENOENT, b ? "branch %s has expired" : "branch %s is not known",
			 name ? name : "");
		send_error(ask, -ENOENT, &e);
		return;
	}
	if (settings && event == SERVE_WAKE) {
		json_decref(b->settings);
		b->settings = json_object_size(settings) ? json_incref(settings) : NULL;
	}
	b->refs++;
	ask->branch = b;
	ask->event = event;
	snprintf(ask->why, sizeof(ask->why), "%s", why ? why : "by hand");
	if (event == SERVE_WAKE && b->state == SERVE_FAILED)
		b->failures = 0;
	TAILQ_INSERT_TAIL(&b->asks, ask, link);
	ask->list = &b->asks;
	serve_branch_do(b, event, ask->why);
}

/* A member of a pool got its name: what it means can be done before the daemon is asked. */
static void do_handed(struct serve_ask *ask, const json_t *args)
{
	const char *from = json_string_value(json_object_get(args, "from"));
	const char *to = json_string_value(json_object_get(args, "to"));
	struct serve *s = ask->serve;
	struct serve_branch *b = from ? serve_branch_find(s, from) : NULL;

	if (b && to && strlen(to) <= COW_BRANCH_MAX && !serve_branch_find(s, to))
		serve_branch_rename(b, to);
	send_result(ask, json_object());
	serve_sync(s, NULL);
}

static void dispatch(struct serve_ask *ask, const json_t *request)
{
	static const struct {
		const char *verb;
		enum serve_event event;
	} events[] = {{"wake", SERVE_WAKE}, {"suspend", SERVE_SUSPEND}, {"stop", SERVE_STOP}};
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const json_t *args = json_object_get(request, "args");
	struct cow_error e = COW_ERROR_INIT;

	for (size_t k = 0; verb && k < sizeof(events) / sizeof(events[0]); k++) {
		if (strcmp(events[k].verb, verb) == 0) {
			do_event(ask, args, events[k].event);
			return;
		}
	}
	if (verb && strcmp(verb, "status") == 0) {
		do_status(ask);
	} else if (verb && strcmp(verb, "handed") == 0) {
		do_handed(ask, args);
	} else if (verb && strcmp(verb, "sync") == 0) {
		serve_sync(ask->serve, ask);
	} else {
		cow_fail(&e, -EINVAL, "no such request: %s", verb ? verb : "");
		send_error(ask, -EINVAL, &e);
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct serve_ask *ask = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct cow_error e = COW_ERROR_INIT;
	json_t *request;
	char *line;
	size_t n;

	if (ask->answered || ask->list)
		return;
	line = evbuffer_readln(in, &n, EVBUFFER_EOL_LF);
	if (!line) {
		if (evbuffer_get_length(in) > REQUEST_MAX)
			ask_free(ask);
		return;
	}
	request = json_loadb(line, n, 0, NULL);
	free(line);
	if (json_is_object(request)) {
		dispatch(ask, request);
	} else {
		cow_fail(&e, -EBADMSG, "the request is no JSON object");
		send_error(ask, -EBADMSG, &e);
	}
	json_decref(request);
}

static void on_gone(struct bufferevent *bev, short what, void *arg)
{
	/* Who asked went away; what was asked for goes on. */
	ask_free(arg);
}

/* --- listening --- */

static bool may_ask(const struct serve *s, int fd)
{
	struct ucred who;
	struct stat st;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid() ||
		(stat(s->o->store, &st) == 0 && who.uid == st.st_uid));
}

static void on_request(evutil_socket_t listener, short what, void *arg)
{
	struct serve *s = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct serve_ask *ask;

	if (fd < 0)
		return;
	ask = may_ask(s, fd) ? calloc(1, sizeof(*ask)) : NULL;
	if (!ask) {
		close(fd);
		return;
	}
	ask->serve = s;
	ask->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!ask->bev) {
		close(fd);
		free(ask);
		return;
	}
	bufferevent_setcb(ask->bev, on_read, on_sent, on_gone, ask);
	bufferevent_enable(ask->bev, EV_READ | EV_WRITE);
}

cow_errno serve_control_open(struct serve *s, struct cow_error *e)
{
	int fd;
	cow_errno r;

	if (serve_runs(s->o->store)) {
		cow_fail(e, -EBUSY, "cowfs serve runs already for the store %s", s->o->store);
		return cow_hint(e, -EBUSY, "One is enough; end it first with: kill PID");
	}
	r = wire_listen_as(s->o->store, SERVE_SOCKET, &fd, e);
	if (r < 0)
		return r;
	evutil_make_socket_nonblocking(fd);
	s->control = event_new(s->base, fd, EV_READ | EV_PERSIST, on_request, s);
	if (!s->control) {
		close(fd);
		return cow_fail(e, -ENOMEM, "no memory to listen");
	}
	event_add(s->control, NULL);
	return 0;
}

void serve_control_close(struct serve *s)
{
	if (!s->control)
		return;
	serve_unwatch(&s->control);
	wire_unlink_as(s->o->store, SERVE_SOCKET);
}
