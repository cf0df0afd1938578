// SPDX-License-Identifier: Apache-2.0
/* golden: the golden image is refreshed when golden.conf says so ("refresh").
 *
 * The configuration is read at every look, so a change of it needs no restart. The time of the last
 * attempt is in the store: one that was due while nobody served is made up for. A failed one is not
 * tried again before the next time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/log.h"
#include "tools/daemon/client.h"
#include "tools/golden/init.h"
#include "tools/golden/refresh.h"
#include "tools/golden/schedule.h"
#include "tools/serve/job.h"

#define LOOK_MS 10000

cow_errno serve_work_refresh(struct serve *s, const char *path, json_t **ret, struct cow_error *e)
{
	struct command_call call = {.store = s->o->store};
	struct golden_conf *conf = NULL;
	cow_errno r;

	client_set_quiet(true);
	r = golden_conf_load(path, &conf, e);
	if (r == 0)
		r = golden_refresh(&call, conf, ret, e);
	golden_conf_free(conf);
	return r;
}

static void refreshed(struct serve *s, void *arg, cow_errno r, const json_t *result,
		      const struct cow_error *e)
{
	s->refreshing = false;
	if (r < 0)
		cow_log_error("the golden image was not refreshed: %s", e->text);
	else
		cow_log_info("the golden image was refreshed");
	serve_sync(s, NULL);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Is a refresh due? A configuration that cannot be read is said once. */
static bool is_due(struct serve *s, const char *path)
{
	struct cow_error e = COW_ERROR_INIT;
	struct golden_conf *conf = NULL;
	int64_t last, next = INT64_MAX;
	cow_errno r = golden_conf_load(path, &conf, &e);

	if (r == 0 && conf->schedule) {
		last = golden_last_attempt(s->o->store, conf);
		/* The clock was wrong then: this would be a long wait. */
		if (last > now_ns())
			last = 0;
		r = schedule_next(conf->schedule, last ? last : s->golden_since_ns, &next, &e);
	}
	golden_conf_free(conf);
	if (r < 0 && !s->golden_fault)
		cow_log_error("no refresh by schedule: %s", e.text);
	s->golden_fault = r < 0;
	return next <= now_ns();
}

void serve_golden_look(struct serve *s)
{
	char *path = NULL;

	if (!s->golden_since_ns)
		s->golden_since_ns = now_ns();
	if (!s->refreshing && !s->ending && !s->daemon_lost &&
	    golden_init_find(s->o->store, &path, NULL) == 0 && is_due(s, path)) {
		cow_log_info("the golden image is due: refreshing it");
		s->refreshing = true;
		serve_job(s, serve_work_refresh, path, refreshed, NULL);
	}
	free(path);
	serve_timer(s->golden_tick, LOOK_MS);
}
