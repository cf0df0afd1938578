// SPDX-License-Identifier: Apache-2.0
/* The order of a refresh. A lock in the store lets one run at a time. */
#include "tools/golden/refresh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/cli/parse.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/wire.h"
#include "tools/golden/carry.h"
#include "tools/golden/mask.h"
#include "tools/golden/originals.h"
#include "tools/golden/publish.h"
#include "tools/golden/run.h"
#include "tools/golden/server.h"
#include "tools/golden/source.h"

/* What is known before the image is made. */
static void describe(struct golden_run *run)
{
	char at[PARSE_TIME_SIZE];

	parse_time_format(run->source_ns, at, sizeof(at));
	json_object_set_new(run->report, "id", json_string(run->id));
	json_object_set_new(run->report, "source", json_text(run->source_text));
	json_object_set_new(run->report, "source_at", json_string(at));
	json_object_set_new(run->report, "rules_hash", json_string(run->rules_hash));
}

static cow_errno work(struct golden_run *run, struct cow_error *e)
{
	struct originals *originals = NULL;
	cow_errno r = golden_fetch(run, e);

	if (r == 0)
		r = golden_run_decide(run, e);
	if (r == 0)
		r = golden_carry_plan(run, e);
	if (r == 0)
		r = golden_run_branch(run, e);
	if (r == 0)
		r = golden_originals_take(run, &originals, e);
	if (r == 0)
		r = golden_mask(run, e);
	if (r == 0) {
		describe(run);
		r = golden_publish(run, originals, e);
	}
	originals_free(originals);
	return r;
}

/* --- the process that works --- */

static void child(struct golden_run *run, int out)
{
	struct cow_error e = COW_ERROR_INIT;
	struct timespec began, ended;
	struct wire w;
	cow_errno r;

	setpgid(0, 0); /* an interrupt from the terminal is passed on by the parent, once */
	clock_gettime(CLOCK_MONOTONIC, &began);
	r = work(run, &e);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	json_object_set_new(run->report, "seconds", json_integer(ended.tv_sec - began.tv_sec));
	wire_init(&w, out, WIRE_ANSWER_MAX);
	wire_write(&w, r < 0 ? wire_error(r, &e) : json_pack("{s:O}", "result", run->report));
	fflush(NULL);
	_exit(0);
}

static cow_errno note_attempt(const struct golden_run *run, struct cow_error *e)
{
	char path[PATH_MAX];
	const struct timespec now = {.tv_sec = (time_t)(run->started_ns / 1000000000),
				     .tv_nsec = (long)(run->started_ns % 1000000000)};
	CLEANUP_FD int fd = -1;

	golden_own_file(run->store, run->conf->name, "last", path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || futimens(fd, (struct timespec[]){now, now}) < 0)
		return cow_fail(e, -errno, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

int64_t golden_last_attempt(const char *store, const struct golden_conf *conf)
{
	char path[PATH_MAX];
	struct stat st;

	golden_own_file(store, conf->name, "last", path, sizeof(path));
	return stat(path, &st) < 0 ? 0
				   : (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

cow_errno golden_refresh(struct command_call *call, const struct golden_conf *conf,
			 json_t **ret_report, struct cow_error *e)
{
	struct golden_run run;
	CLEANUP_FD int lock = -1;
	unsigned left = 0;
	cow_errno r;

	golden_run_begin(&run, call, conf);
	r = golden_run_lock(&run, &lock, e);
	if (r == 0)
		r = note_attempt(&run, e);
	if (r == 0)
		r = golden_drop_all(&run, &left, e);
	if (left)
		golden_say(&run, "deleted %u branches that an earlier refresh had left", left);
	if (r == 0)
		r = golden_run_apart(&run, child, ret_report, e);
	golden_run_end(&run);
	return r;
}
