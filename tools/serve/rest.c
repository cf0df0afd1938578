// SPDX-License-Identifier: Apache-2.0
/* rest: when a branch falls asleep, and its shutdown.
 *
 * One timer of the branch says all of it: without clients, the time until sleep; with clients and
 * --suspend-idle-sessions, the time until its server is asked whether they do anything; shutting
 * down, the time after which that took too long.
 *
 * Clients that come straight (straight.c) are looked for now and then, and one that comes and goes
 * between two looks is not seen. So the last part of the time until sleep the branch has its
 * address for the proxy alone: whoever comes then is noticed, and a probe is known for one. It also
 * lets everybody arrive who had found the server by its name before: then they are counted, and if
 * somebody is there it does not sleep. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/job.h"

#define STOP_MS 60000u /* a fast shutdown writes a checkpoint; then we look again */
#define ARRIVE_MS                                                                                  \
	50u /* for a client between finding the name of a socket and being in its queue            \
	     */

void serve_rest_shutdown(struct serve_branch *b)
{
	serve_timer(b->rest, STOP_MS);
	if (b->pidfd >= 0 && pidfd_send_signal(b->pidfd, SIGINT, NULL, 0) == 0)
		return;
	cow_log_warn("%s: postgres (pid %d) cannot be stopped: %s", b->name, (int)b->pid,
		     strerror(errno));
	if (b->pidfd < 0 || errno == ESRCH)
		event_active(b->rest, EV_TIMEOUT, 0);
}

static bool may_sleep(const struct serve_branch *b)
{
	return b->suspend_ms && !serve_branch_is_direct(b);
}

/* Of the time until sleep, for how long its address is ours. */
static uint64_t watch_ms(const struct serve_branch *b)
{
	return COW_MAX(b->suspend_ms / 2, ARRIVE_MS);
}

static void begin_time(struct serve_branch *b)
{
	uint64_t watch = b->straight.on || b->straight.steered ? watch_ms(b) : 0;

	evtimer_del(b->rest);
	if (may_sleep(b))
		serve_timer(b->rest, b->suspend_ms > watch ? b->suspend_ms - watch : 0);
}

static void begin_watch(struct serve_branch *b, uint64_t ms)
{
	b->straight.watched = true;
	serve_straight_settle(b);
	serve_timer(b->rest, ms);
}

/* With clients: ask its server, now and then, whether they still do anything. */
void serve_rest_watch(struct serve_branch *b)
{
	evtimer_del(b->rest);
	if (b->suspend_sessions && may_sleep(b))
		serve_timer(b->rest, b->suspend_ms);
}

void serve_rest_anew(struct serve_branch *b)
{
	if (b->state == SERVE_RUNNING)
		serve_rest_watch(b);
	if (b->state == SERVE_IDLE && !b->straight.evicted)
		begin_time(b);
}

/* A client that says something between the look and the shutdown is cut off like the others: they
 * connect again, and it wakes. */
static void looked(struct serve *s, void *arg, cow_errno r, const json_t *result,
		   const struct cow_error *e)
{
	uint64_t idle_ms = (uint64_t)json_integer_value(json_object_get(result, "idle_ms"));
	struct serve_branch *b = arg;

	b->asking = false;
	if (r < 0 && !b->removed)
		cow_log_warn("%s: whether its clients do anything is not known: %s", b->name,
			     e->text);
	if (b->state == SERVE_RUNNING && b->suspend_sessions && may_sleep(b)) {
		if (r == 0 && idle_ms >= b->suspend_ms) {
			cow_log_info("%s falls asleep under %u clients that do nothing", b->name,
				     serve_clients(b));
			serve_branch_event(b, SERVE_DORMANT, NULL);
		} else {
			serve_timer(b->rest, r < 0 ? b->suspend_ms : b->suspend_ms - idle_ms + 1);
		}
	}
	serve_branch_release(b);
}

static void look_at_sessions(struct serve_branch *b)
{
	if (b->asking)
		return;
	b->asking = true;
	b->refs++;
	serve_job(b->serve, serve_work_idle, b->name, looked, b);
}

void serve_rest_begin(struct serve_branch *b)
{
	b->rested_ms = serve_now_ms();
	b->straight.watched = b->straight.evicted = false;
	serve_straight_settle(b);
	begin_time(b);
	serve_pump(b->serve);
}

void serve_rest_evict(struct serve_branch *b, const char *why)
{
	if (!b->straight.was) {
		serve_branch_do(b, SERVE_SUSPEND, why);
		return;
	}
	snprintf(b->why, sizeof(b->why), "%s", why);
	b->straight.evicted = true;
	begin_watch(b, ARRIVE_MS);
}

/* Its time is over. Who is not certain to be alone does not sleep. */
static void fall_asleep(struct serve_branch *b)
{
	if (b->straight.on || b->straight.steered) {
		begin_watch(b, watch_ms(b));
		return;
	}
	/* Twice: see diag.h. */
	for (int k = 0; k < 2 && b->straight.was && b->state == SERVE_IDLE; k++) {
		serve_straight_look(b->serve);
		if (!b->straight.counted) {
			cow_log_warn("%s does not sleep: its clients cannot be counted", b->name);
			serve_rest_begin(b);
			return;
		}
	}
	if (b->state != SERVE_IDLE)
		return;
	cow_log_info("%s falls asleep", b->name);
	/* Why it makes room was said when it was asked to. */
	serve_branch_do(b, SERVE_QUIET, b->straight.evicted ? b->why : NULL);
}

void serve_on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;

	if (b->state == SERVE_IDLE) {
		fall_asleep(b);
	} else if (b->state == SERVE_RUNNING) {
		look_at_sessions(b);
	} else if (b->pidfd < 0) {
		serve_branch_exited(b, -1);
	} else {
		cow_fail(&b->reason, -ETIMEDOUT, "postgres did not shut down within %u s",
			 STOP_MS / 1000);
		cow_log_warn("%s: %s", b->name, b->reason.text);
		serve_branch_event(b, SERVE_NO_STOP, NULL);
	}
}
