// SPDX-License-Identifier: Apache-2.0
/* branch: does what the table of state.h says to one branch.
 *
 * Starts are queued: at most max_starts at once, and when max_running servers run, the one that has
 * been idle longest is put to sleep for the next. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/log.h"
#include "tools/cli/exitcode.h"
#include "tools/serve/conn.h"
#include "tools/serve/job.h"

#define FAILURES_MAX 3u  /* in a row */
#define PROVEN_MS 60000u /* a server that ran for so long did not fail to start */

/* --- being there --- */

struct serve_branch *serve_branch_new(struct serve *s, const char *name)
{
	struct serve_branch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->serve = s;
	b->state = SERVE_SUSPENDED;
	b->pidfd = b->straight.queue = b->straight.port_queue = -1;
	b->suspend_ms = s->o->suspend_ms;
	snprintf(b->name, sizeof(b->name), "%s", name);
	TAILQ_INIT(&b->waiting);
	TAILQ_INIT(&b->asks);
	b->rest = evtimer_new(s->base, serve_on_rest, b);
	if (!b->rest) {
		free(b);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&s->branches, b, link);
	return b;
}

static void forget_server(struct serve_branch *b)
{
	if (b->exit)
		event_free(b->exit);
	if (b->pidfd >= 0)
		close(b->pidfd);
	b->exit = NULL;
	b->pidfd = -1;
	b->pid = 0;
}

static void branch_free(struct serve_branch *b)
{
	forget_server(b);
	if (b->straight.queue >= 0)
		close(b->straight.queue);
	if (b->straight.port_queue >= 0)
		close(b->straight.port_queue);
	event_free(b->rest);
	json_decref(b->settings);
	free(b);
}

void serve_branch_release(struct serve_branch *b)
{
	b->refs--;
	if (b->removed && b->refs == 0)
		branch_free(b);
}

/* Nobody waits for it any more, and its clients are gone: they were of other contents. */
static void dismiss(struct serve_branch *b, const char *message)
{
	struct serve_conn *c;

	while ((c = TAILQ_FIRST(&b->waiting)))
		serve_conn_refuse(c, "57P03", message, NULL);
	cow_fail(&b->reason, -ENOENT, "%s", message);
	serve_asks_answer(b, -ENOENT);
}

void serve_branch_remove(struct serve_branch *b)
{
	b->refs++;
	serve_unlisten_branch(b);
	TAILQ_REMOVE(&b->serve->branches, b, link);
	if (b->queued)
		TAILQ_REMOVE(&b->serve->starts, b, start_link);
	b->queued = false;
	b->removed = true;
	dismiss(b, "the branch was deleted or renamed");
	evtimer_del(b->rest);
	serve_branch_release(b);
}

struct serve_branch *serve_branch_find(struct serve *s, const char *name)
{
	struct serve_branch *b;

	TAILQ_FOREACH (b, &s->branches, link)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

/* As a label of a host name: no slashes, no capital letters. */
static bool same_label(const char *name, const char *label)
{
	for (; *name && *label; name++, label++) {
		char n = *name == '/' || *name == '_' || *name == '.' ? '-' : *name;
		char l = *label == '_' || *label == '.' ? '-' : *label;

		if (tolower((unsigned char)n) != tolower((unsigned char)l))
			return false;
	}
	return !*name && !*label;
}

struct serve_branch *serve_branch_match(struct serve *s, const char *name)
{
	struct serve_branch *b = serve_branch_find(s, name), *found = NULL;

	if (b)
		return b;
	TAILQ_FOREACH (b, &s->branches, link) {
		if (!same_label(b->name, name))
			continue;
		if (found)
			return NULL;
		found = b;
	}
	return found;
}

void serve_branch_rename(struct serve_branch *b, const char *name)
{
	cow_log_info("%s is %s now", b->name, name);
	/* Its sockets are elsewhere: where, the next sync tells. */
	serve_unlisten_local(b);
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->socket_dir[0] = b->log[0] = b->pool[0] = '\0';
	b->pool_ready = b->pool_stale = false;
	b->serve->sync_void |= b->serve->syncing;
}

bool serve_branch_is_down(const struct serve_branch *b)
{
	return !b->launched && (b->state == SERVE_SUSPENDED || b->state == SERVE_STOPPED ||
				b->state == SERVE_FAILED);
}

/* --- its server --- */

bool serve_branch_is_direct(const struct serve_branch *b)
{
	return b->pid && strcmp(b->server_sockets, b->socket_dir) == 0;
}

static void on_postmaster_gone(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;
	struct pollfd gone = {.fd = b->pidfd, .events = POLLIN};
	int status = -1;

	/* A server that is taken for dead is lost: ask once more. */
	if (poll(&gone, 1, 0) != 1) {
		event_add(b->exit, NULL);
		return;
	}
	if (waitpid(b->pid, &status, WNOHANG) != b->pid)
		status = -1;
	serve_branch_exited(b, status);
}

/* The end of the log, without line breaks: it goes into one line. */
static void log_end(const struct serve_branch *b, char *buf, size_t size)
{
	FILE *f = fopen(b->log, "re");
	size_t n = 0;
	char *cut;

	if (f && fseek(f, -(long)(size - 1), SEEK_END) < 0)
		rewind(f);
	if (f) {
		n = fread(buf, 1, size - 1, f);
		fclose(f);
	}
	buf[n] = '\0';
	while (n && buf[n - 1] == '\n')
		buf[--n] = '\0';
	cut = n == size - 1 ? strchr(buf, '\n') : NULL;
	if (cut)
		memmove(buf, cut + 1, strlen(cut));
}

static void note_crash(struct serve_branch *b, int status)
{
	char how[64], end[600];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "with status %d", WEXITSTATUS(status));
	log_end(b, end, sizeof(end));
	cow_fail(&b->reason, -ECHILD, "postgres ended %s; the end of its log:\n%s", how, end);
	cow_hint(&b->reason, -ECHILD, "The whole log: cowfs logs %s", b->name);
	cow_log_error("%s: %s", b->name, b->reason.text);
	b->failures++;
}

/* A server that was handed over by a pool had its sockets under its name there. */
static void drop_old_place(const struct serve_branch *b)
{
	size_t n = strlen(b->socket_dir);
	char path[sizeof(b->server_sockets) + 8];

	if (!b->server_sockets[0] || !n || strncmp(b->server_sockets, b->socket_dir, n) == 0)
		return;
	snprintf(path, sizeof(path), "%s/data", b->server_sockets);
	unlink(path);
	rmdir(b->server_sockets);
	snprintf(path, sizeof(path), "%s", b->server_sockets);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

void serve_branch_exited(struct serve_branch *b, int status)
{
	bool asked = b->state == SERVE_SUSPENDING || b->state == SERVE_STOPPING;
	bool crash = !asked && status > 0, gave_up;

	serve_straight_end(b);
	drop_old_place(b);
	forget_server(b);
	serve_work_forget_group(b->name);
	if (b->started_ms && serve_now_ms() - b->started_ms >= PROVEN_MS)
		b->failures = 0;
	if (crash)
		note_crash(b, status);
	else
		cow_log_info("%s: postgres ended", b->name);
	if (asked && status <= 0)
		b->failures = 0;
	gave_up = !asked && b->failures >= FAILURES_MAX;
	serve_note_ended(b, asked, crash, gave_up);
	/* If it was started without us, its addresses are ours from now on. */
	serve_listen_branch(b);
	serve_branch_event(b, gave_up ? SERVE_GAVE_UP : SERVE_ENDED, NULL);
}

void serve_branch_adopt(struct serve_branch *b, const json_t *server)
{
	const char *host = json_string_value(json_object_get(server, "host"));
	const char *sockets = json_string_value(json_object_get(server, "socket_dir"));

	forget_server(b);
	b->pid = (pid_t)json_integer_value(json_object_get(server, "pid"));
	b->server_port = (int)json_integer_value(json_object_get(server, "port"));
	/* One that listens everywhere can be reached here. */
	snprintf(b->host, sizeof(b->host), "%s", host && strchr(host, '.') ? host : "127.0.0.1");
	if (strcmp(b->host, "0.0.0.0") == 0)
		snprintf(b->host, sizeof(b->host), "127.0.0.1");
	snprintf(b->server_sockets, sizeof(b->server_sockets), "%s", sockets ? sockets : "");
	b->other_tls = false;
	b->own_tls = json_is_true(json_object_get(server, "tls"));
	b->started_ms = b->rested_ms = serve_now_ms();
	b->pidfd = pidfd_open(b->pid, 0);
	b->exit = b->pidfd < 0
		      ? NULL
		      : event_new(b->serve->base, b->pidfd, EV_READ, on_postmaster_gone, b);
	if (b->exit)
		event_add(b->exit, NULL);
}

/* --- starting --- */

static void note_limits(struct serve_branch *b, const char *why)
{
	snprintf(b->unlimited, sizeof(b->unlimited), "%s", why ? why : "");
	if (b->unlimited[0])
		cow_log_warn("%s runs without its limits: %s", b->name, b->unlimited);
}

static void started(struct serve *s, void *arg, cow_errno r, const json_t *server,
		    const struct cow_error *e)
{
	struct serve_branch *b = arg;
	bool gave_up;

	s->starting--;
	b->launched = false;
	if (!b->removed && r == 0) {
		serve_branch_adopt(b, server);
		b->starts++;
		b->reason = (struct cow_error)COW_ERROR_INIT;
		b->start_took_ms = (int)json_integer_value(json_object_get(server, "start_ms"));
		note_limits(b, json_string_value(json_object_get(server, "unlimited")));
		cow_log_info("%s: postgres (pid %d) runs after %d ms", b->name, (int)b->pid,
			     b->start_took_ms);
		serve_branch_event(b, SERVE_STARTED, NULL);
		/* Those who waited are on their way. */
		if (!json_is_true(json_object_get(server, "adopted")))
			serve_note_started(b);
		/* It may have ended before anybody watched. */
		if (b->pidfd < 0)
			serve_branch_exited(b, -1);
	} else if (!b->removed) {
		b->reason = *e;
		/* That the daemon is away is no fault of the branch. */
		if (exitcode_of(r) != EXITCODE_UNREACHABLE && r != -EAGAIN) {
			b->failures++;
			/* `cowfs start -c` that failed said so; the next client comes without. */
			json_decref(b->settings);
			b->settings = NULL;
		}
		gave_up = b->failures >= FAILURES_MAX;
		cow_log_error("%s did not start (%u in a row): %s", b->name, b->failures, e->text);
		serve_note_no_start(b, gave_up);
		serve_branch_event(b, gave_up ? SERVE_GAVE_UP : SERVE_NO_START, NULL);
	}
	serve_branch_release(b);
	serve_pump(s);
}

static bool occupies(const struct serve_branch *b)
{
	return b->launched || b->state == SERVE_RUNNING || b->state == SERVE_IDLE ||
	       b->state == SERVE_SUSPENDING || b->state == SERVE_STOPPING;
}

bool serve_has_room(const struct serve *s)
{
	const struct serve_branch *b;
	unsigned n = 0;

	TAILQ_FOREACH (b, &s->branches, link)
		n += occupies(b) || b->queued;
	return !s->o->max_running || n < s->o->max_running;
}

/* Room for the server of `next`? Otherwise somebody is sent to sleep, and we are called again. */
static bool make_room(struct serve *s, const struct serve_branch *next)
{
	struct serve_branch *b, *longest = NULL;
	char why[COW_BRANCH_MAX + 64];
	unsigned n = 0, leaving = 0;

	TAILQ_FOREACH (b, &s->branches, link) {
		n += occupies(b);
		leaving += b->state == SERVE_SUSPENDING || b->state == SERVE_STOPPING ||
			   b->straight.evicted;
		if (b->state == SERVE_IDLE && !serve_branch_is_direct(b) &&
		    (!longest || serve_last_client_ms(b) < serve_last_client_ms(longest)))
			longest = b;
	}
	if (!s->o->max_running || n < s->o->max_running)
		return true;
	if (leaving == 0 && longest) {
		snprintf(why, sizeof(why), "made room for %s: %u servers are the most", next->name,
			 s->o->max_running);
		cow_log_info("%s is put to sleep: it %s", longest->name, why);
		serve_rest_evict(longest, why);
	}
	return false;
}

void serve_pump(struct serve *s)
{
	struct serve_branch *b;

	while ((b = TAILQ_FIRST(&s->starts)) && s->starting < s->o->max_starts && make_room(s, b)) {
		TAILQ_REMOVE(&s->starts, b, start_link);
		b->queued = false;
		b->launched = true;
		b->refs++;
		s->starting++;
		serve_job(s, serve_work_start, b->name, started, b);
	}
}

static void begin_start(struct serve_branch *b)
{
	if (b->queued || b->launched)
		return;
	b->queued = true;
	b->serve->wakes++;
	TAILQ_INSERT_TAIL(&b->serve->starts, b, start_link);
}

/* As if nobody had asked for a start yet. */
static void dequeue(struct serve_branch *b)
{
	if (!b->queued)
		return;
	TAILQ_REMOVE(&b->serve->starts, b, start_link);
	b->queued = false;
	b->state = SERVE_SUSPENDED;
}

void serve_branch_unwanted(struct serve_branch *b)
{
	if (!b->queued || b->held || b->pool[0] || serve_asks_wake(b))
		return;
	cow_log_info("%s is not started: nobody waits for it any more", b->name);
	dequeue(b);
	serve_asks_answer(b, 0);
}

/* --- what the table says --- */

static void refuse_one(struct serve_branch *b, struct serve_conn *c)
{
	char message[sizeof(b->reason.text) + COW_BRANCH_MAX + 64], hint[COW_BRANCH_MAX + 64];

	switch (b->state) {
	case SERVE_STOPPED:
	case SERVE_STOPPING:
		snprintf(message, sizeof(message), "branch \"%s\" was stopped", b->name);
		snprintf(hint, sizeof(hint), "Start it: cowfs start %s", b->name);
		serve_conn_refuse(c, "57P03", message, hint);
		return;
	case SERVE_FAILED:
		snprintf(message, sizeof(message), "branch \"%s\" failed %u times in a row: %s",
			 b->name, b->failures, b->reason.text);
		snprintf(hint, sizeof(hint), "When it is mended: cowfs wake %s", b->name);
		serve_conn_refuse(c, "57P03", message, hint);
		return;
	default:
		snprintf(message, sizeof(message), "branch \"%s\" did not start: %s", b->name,
			 b->reason.text);
		serve_conn_refuse(c, "57P03", message, b->reason.hint);
	}
}

void serve_branch_refuse_late(struct serve_branch *b, struct serve_conn *c)
{
	char message[COW_BRANCH_MAX + 128];

	if (!b->queued || serve_has_room(b->serve)) {
		serve_conn_refuse(c, "57P03", "the branch did not start in time",
				  "It may still be starting: try again.");
		return;
	}
	snprintf(message, sizeof(message),
		 "no room for the server of branch \"%s\": %u run, which is the most, and none of "
		 "them is idle",
		 b->name, b->serve->o->max_running);
	serve_conn_refuse(c, "57P03", message,
			  "Close sessions of other branches, or let cowfs serve run more "
			  "(max_running).");
}

static void refuse_all(struct serve_branch *b)
{
	struct serve_conn *c;

	while ((c = TAILQ_FIRST(&b->waiting)))
		refuse_one(b, c);
	serve_asks_answer(b, b->reason.text[0] ? -ECHILD : 0);
}

/* Those who wait connect as if they came now. */
static void release(struct serve_branch *b)
{
	TAILQ_HEAD(, serve_conn) held = TAILQ_HEAD_INITIALIZER(held);

	/* A shutdown that did not come to its end may have left clients. */
	if (serve_clients(b))
		b->state = SERVE_RUNNING;
	serve_rest_begin(b);
	if (serve_clients(b))
		serve_rest_watch(b);
	TAILQ_CONCAT(&held, &b->waiting, waiting_link);
	while (!TAILQ_EMPTY(&held)) {
		struct serve_conn *c = TAILQ_FIRST(&held);

		TAILQ_REMOVE(&held, c, waiting_link);
		TAILQ_INSERT_TAIL(&b->waiting, c, waiting_link);
		serve_branch_event(b, SERVE_CONNECT, c);
	}
	serve_asks_answer(b, 0);
}

static void settle(struct serve_branch *b)
{
	b->reason = (struct cow_error)COW_ERROR_INIT;
	evtimer_del(b->rest);
	serve_asks_answer(b, 0);
	if (b->state == SERVE_STOPPED)
		refuse_all(b);
	else if (!TAILQ_EMPTY(&b->waiting))
		serve_branch_do(b, SERVE_WAKE, "a client waited for the shutdown to end");
	serve_pump(b->serve);
}

static void no_note(struct serve *s, void *arg, cow_errno r, const json_t *result,
		    const struct cow_error *e)
{
	if (r < 0)
		cow_log_warn("cannot keep that a branch was stopped: %s", e->text);
	serve_branch_release(arg);
}

void serve_branch_event(struct serve_branch *b, enum serve_event event, struct serve_conn *c)
{
	bool evicted = b->straight.evicted;
	enum serve_state before;
	struct serve_step step;

	/* A start that has not begun is no reason to wait. */
	if (event == SERVE_STOP || event == SERVE_SUSPEND)
		dequeue(b);
	before = b->state;
	step = serve_step(before, event);
	b->state = step.next;
	if (step.next != SERVE_IDLE)
		b->straight.watched = b->straight.evicted = false;
	serve_straight_settle(b);
	if (step.next != before)
		cow_log_debug("%s: %s -> %s", b->name, serve_state_name(before),
			      serve_state_name(step.next));
	/* By hand, and so still true after a restart of ours. */
	if ((step.next == SERVE_STOPPED) != (before == SERVE_STOPPED) && !b->removed) {
		b->refs++;
		serve_job(b->serve, serve_work_mark, b->name, no_note, b);
	}
	switch (step.action) {
	case SERVE_DO_NOTHING:
		break;
	case SERVE_DO_START:
		serve_note_why(b, event, c);
		if (c)
			serve_conn_hold(c);
		begin_start(b);
		serve_pump(b->serve);
		break;
	case SERVE_DO_SHUTDOWN:
		serve_note_why(b, event, NULL);
		serve_rest_shutdown(b);
		break;
	case SERVE_DO_HOLD:
		/* It was falling asleep, and is to stay down. */
		if (event == SERVE_STOP && step.next != before)
			serve_note_why(b, event, NULL);
		if (c)
			serve_conn_hold(c);
		break;
	case SERVE_DO_FORWARD:
		if (before != SERVE_RUNNING)
			serve_rest_watch(b);
		serve_conn_forward(c);
		break;
	case SERVE_DO_WATCH:
		serve_rest_watch(b);
		break;
	case SERVE_DO_RELEASE:
		release(b);
		break;
	case SERVE_DO_REFUSE:
		if (c)
			refuse_one(b, c);
		else
			refuse_all(b);
		break;
	case SERVE_DO_SETTLE:
		settle(b);
		break;
	case SERVE_DO_REST:
		serve_rest_begin(b);
		break;
	case SERVE_DO_MISS:
		evtimer_del(b->rest);
		refuse_all(b);
		serve_pump(b->serve);
		break;
	}
	/* It was to make room, and somebody came. */
	if (evicted && b->state == SERVE_RUNNING)
		serve_pump(b->serve);
}

void serve_branch_do(struct serve_branch *b, enum serve_event event, const char *why)
{
	b->because = why;
	serve_branch_event(b, event, NULL);
	b->because = NULL;
}
