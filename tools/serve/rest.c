// SPDX-License-Identifier: Apache-2.0
/* rest: when a branch falls asleep, and its shutdown.
 *
 * One timer of the branch says all of it: without clients, the time until sleep; with clients and
 * --suspend-idle-sessions, the time until its server is asked whether they do anything; shutting
 * down, the time after which that took too long. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#include "store/log.h"
#include "tools/serve/conn.h"
#include "tools/serve/job.h"

#define STOP_MS 60000u /* a fast shutdown writes a checkpoint; then we look again */

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
	if (b->state != SERVE_IDLE)
		return;
	evtimer_del(b->rest);
	if (may_sleep(b))
		serve_timer(b->rest, b->suspend_ms);
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
				     b->clients);
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
	evtimer_del(b->rest);
	if (may_sleep(b))
		serve_timer(b->rest, b->suspend_ms);
	serve_pump(b->serve);
}

void serve_on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct serve_branch *b = arg;

	if (b->state == SERVE_IDLE) {
		cow_log_info("%s falls asleep", b->name);
		serve_branch_event(b, SERVE_QUIET, NULL);
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
