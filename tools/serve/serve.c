// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/serve.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "tools/daemon/notify.h"
#include "tools/pg/pg.h"
#include "tools/serve/conn.h"
#include "tools/serve/job.h"
#include "tools/serve/tls.h"

#define TICK_MS 2000u   /* between looks at what changed without anybody telling us */
#define SOON_NS 150000u /* a peer that answers within so long, our own waking up included, ... */
#define AWAKE_NS 60000u /* ... is waited for awake, for so long, */
#define OTHERS_EVERY 8u /* with a look at everybody else each so many turns */
#define END_MS 90000u   /* for all servers to shut down */
#define LOOK_MS 500u    /* between looks for what has expired: it is on time to the second */

uint64_t serve_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void serve_timer(struct event *timer, uint64_t ms)
{
	const struct timeval t = {.tv_sec = (time_t)(ms / 1000),
				  .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(timer, &t);
}

void serve_unwatch(struct event **ev)
{
	int fd;

	if (!*ev)
		return;
	fd = event_get_fd(*ev);
	event_free(*ev);
	close(fd);
	*ev = NULL;
}

/* --- the end --- */

/* Servers that are still there: 0 = done. */
static unsigned still_up(const struct serve *s)
{
	const struct serve_branch *b;
	unsigned n = s->starting;

	TAILQ_FOREACH (b, &s->branches, link)
		n += b->state == SERVE_SUSPENDING || b->state == SERVE_STOPPING;
	return n;
}

static void end_when_quiet(struct serve *s)
{
	struct serve_branch *b;

	if (!s->o->leave_running)
		TAILQ_FOREACH (b, &s->branches, link)
			if ((b->state == SERVE_RUNNING || b->state == SERVE_IDLE) &&
			    !serve_branch_is_direct(b))
				serve_branch_do(b, SERVE_SUSPEND, "cowfs serve ended");
	if (s->o->leave_running || still_up(s) == 0)
		event_base_loopbreak(s->base);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	const struct timeval most = {.tv_sec = END_MS / 1000};
	struct serve *s = arg;
	struct serve_branch *b;

	if (s->ending) {
		event_base_loopbreak(s->base);
		return;
	}
	s->ending = true;
	notify_manager("STOPPING=1\nSTATUS=shutting down servers");
	cow_log_info("ending, %s", s->o->leave_running ? "servers go on" : "servers are shut down");
	while ((b = TAILQ_FIRST(&s->starts))) {
		TAILQ_REMOVE(&s->starts, b, start_link);
		b->queued = false;
	}
	event_base_loopexit(s->base, &most);
	end_when_quiet(s);
}

/* --- the tick --- */

static void say_ready(struct serve *s)
{
	char text[128];
	struct serve_branch *b;
	unsigned up = 0, all = 0;

	TAILQ_FOREACH (b, &s->branches, link) {
		all++;
		up += b->state == SERVE_RUNNING || b->state == SERVE_IDLE;
	}
	snprintf(text, sizeof(text), "%sSTATUS=%u branches, %u servers run",
		 s->ready ? "" : "READY=1\n", all, up);
	notify_manager(text);
	if (!s->ready)
		cow_log_info("serving %u branches of %s", all, s->o->store);
	s->ready = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	if (s->ending) {
		end_when_quiet(s);
		serve_timer(s->tick, 20);
		return;
	}
	if (s->synced)
		say_ready(s);
	serve_sync(s, NULL);
	serve_timer(s->tick, TICK_MS);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct serve *s = arg;

	if (!s->ending)
		serve_sweep(s);
	serve_timer(s->sweep_tick, COW_MIN(s->o->sweep_ms, LOOK_MS));
}

static void on_golden(evutil_socket_t fd, short what, void *arg)
{
	serve_golden_look(arg);
}

static void on_child(evutil_socket_t number, short what, void *arg)
{
	struct serve *s = arg;
	struct serve_branch *b;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		serve_job_reaped(s, pid, status);
		TAILQ_FOREACH (b, &s->branches, link)
			if (b->pid == pid)
				break;
		if (b)
			serve_branch_exited(b, status);
	}
	if (s->ending)
		end_when_quiet(s);
}

/* --- the whole --- */

static cow_errno prepare_process(struct cow_error *e)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	/* Postmasters outlive the children that started them; ours they are all the same. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return cow_fail(e, -errno, "cannot adopt processes: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return cow_pg_ready(e);
}

static cow_errno make_events(struct serve *s, struct cow_error *e)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGCHLD};

	s->base = event_base_new();
	if (!s->base)
		return cow_fail(e, -ENOMEM, "cannot make an event loop");
	s->tick = evtimer_new(s->base, on_tick, s);
	s->sweep_tick = evtimer_new(s->base, on_sweep, s);
	s->golden_tick = evtimer_new(s->base, on_golden, s);
	for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
		s->signals[k] = evsignal_new(s->base, numbers[k], k < 2 ? on_signal : on_child, s);
		if (!s->signals[k])
			return cow_fail(e, -ENOMEM, "no memory for signals");
		event_add(s->signals[k], NULL);
	}
	if (!s->tick || !s->sweep_tick || !s->golden_tick)
		return cow_fail(e, -ENOMEM, "no memory for timers");
	serve_timer(s->sweep_tick, COW_MIN(s->o->sweep_ms, LOOK_MS));
	return 0;
}

static void take_down(struct serve *s)
{
	struct serve_conn *c;
	struct serve_branch *b;

	serve_control_close(s);
	while ((c = TAILQ_FIRST(&s->conns)))
		serve_conn_free(c);
	while ((b = TAILQ_FIRST(&s->branches)))
		serve_branch_remove(b);
	serve_unwatch(&s->shared);
	serve_straight_close(s);
	serve_tls_close(s);
	if (s->has_spare) {
		close(s->spare_pipe[0]);
		close(s->spare_pipe[1]);
	}
	for (size_t k = 0; k < 3; k++)
		if (s->signals[k])
			event_free(s->signals[k]);
	if (s->tick)
		event_free(s->tick);
	if (s->sweep_tick)
		event_free(s->sweep_tick);
	if (s->golden_tick)
		event_free(s->golden_tick);
	if (s->base)
		event_base_free(s->base);
	json_decref(s->pools);
	free(s);
}

/* The first sync before the first connection: READY means that every branch can be reached. */
static void await_first_sync(struct serve *s)
{
	serve_sync(s, NULL);
	while (s->syncing && !s->ending)
		event_base_loop(s->base, EVLOOP_ONCE);
	if (s->synced)
		say_ready(s);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* As event_base_dispatch, but it stays awake between a statement and its answer: to put a core to
 * sleep and to wake it costs more than a small statement itself. It does so only while the last
 * answer came within SOON_NS, and one session talks: where several do, somebody else has a use for
 * the core. It gives way to everybody who could run, asks the socket of the answer itself before it
 * asks for all of them, and sleeps when nothing comes: an idle process costs nothing. */
static void run_loop(struct serve *s)
{
	uint64_t moves = s->moves, moved = 0, now;
	const struct serve_conn *last = NULL;
	unsigned turns = 0;
	bool soon = false;

	do {
		now = now_ns();
		if (s->moves != moves) {
			soon = now - moved < SOON_NS && s->talks && s->talks == last;
			last = s->talks;
			moved = now;
			moves = s->moves;
		}
		if (soon && s->talks && now - moved < AWAKE_NS) {
			sched_yield();
			if (++turns % OTHERS_EVERY)
				serve_relay_poll(s);
			else
				event_base_loop(s->base, EVLOOP_NONBLOCK);
		} else {
			event_base_loop(s->base, EVLOOP_ONCE);
		}
	} while (!event_base_got_break(s->base) && !event_base_got_exit(s->base));
}

cow_errno serve_run(const struct serve_options *o, struct cow_error *e)
{
	struct serve *s = calloc(1, sizeof(*s));
	cow_errno r = s ? prepare_process(e) : cow_fail(e, -ENOMEM, "no memory to begin");

	if (r < 0) {
		free(s);
		return r;
	}
	s->o = o;
	serve_work_prepare();
	TAILQ_INIT(&s->branches);
	TAILQ_INIT(&s->starts);
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->jobs);
	TAILQ_INIT(&s->sync_asks);
	TAILQ_INIT(&s->sync_running);
	r = make_events(s, e);
	if (r == 0)
		r = serve_tls_open(s, e);
	if (r == 0)
		r = serve_straight_open(s, e);
	if (r == 0)
		r = serve_control_open(s, e);
	if (r == 0)
		r = serve_listen_shared(s, e);
	if (r == 0) {
		await_first_sync(s);
		serve_timer(s->tick, TICK_MS);
		serve_timer(s->golden_tick, 0);
		run_loop(s);
		cow_log_info("ended");
	}
	take_down(s);
	return r;
}
