// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgvisit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/daemon/history.h"
#include "tools/process/process.h"
#include "tools/serve/client.h"

#define START_MS 300000u
#define STOP_MS 60000u
#define LOOK "for a command that works in it" /* what histories say */
#define LEAVE_STEPS 40
#define LEAVE_STEP_MS 50

/* --- what serve says --- */

/* Its word for the branch, "" when it does not know; the caller frees. */
static cow_errno served_state(const char *store, const char *name, char *buf, size_t size,
			      struct cow_error *e)
{
	json_t *status = NULL, *known;
	const char *word;
	cow_errno r = serve_call(store, "status", NULL, &status, e);

	known = json_object_get(json_object_get(status, "branches"), name);
	word = json_string_value(json_object_get(known, "current_state"));
	snprintf(buf, size, "%s", word ? word : "");
	json_decref(status);
	return r;
}

static cow_errno ask_serve(struct command_call *call, const char *verb, const char *name,
			   struct cow_error *e)
{
	return serve_call(call->store, verb, json_pack("{s:s,s:s}", "name", name, "why", LOOK),
			  NULL, e);
}

/* --- begin and end --- */

static cow_errno wake(struct command_call *call, struct pgvisit *v)
{
	char state[32];
	cow_errno r;

	/* The branch may be younger than what serve knows. */
	serve_nudge(call->store);
	r = served_state(call->store, v->branch.name, state, sizeof(state), &call->error);
	if (r < 0)
		return r;
	v->before = strcmp(state, "running") == 0 || strcmp(state, "idle") == 0 ? PGVISIT_RAN
		    : strcmp(state, "stopped") == 0                             ? PGVISIT_STOPPED
										: PGVISIT_ASLEEP;
	return ask_serve(call, "wake", v->branch.name, &call->error);
}

static cow_errno start(struct command_call *call, struct pgvisit *v)
{
	const struct cow_pgconf_list none = {0};
	cow_errno r = pgbranch_recover(call, &v->branch);

	if (r == 0)
		r = pgbranch_find_programs(&v->branch, NULL, &call->error);
	if (r == 0)
		r = pgbranch_await_quiet(call, &v->branch);
	if (r == 0)
		r = pgbranch_start(&v->branch, &none, START_MS, &call->error);
	if (r == 0)
		history_add(call->store, v->branch.id, "started", LOOK);
	return r;
}

cow_errno pgvisit_begin(struct command_call *call, const char *name, struct pgvisit *ret)
{
	cow_errno r =
	    pgbranch_find(call, name, (struct pgbranch_port){.choose = true}, &ret->branch);

	if (r < 0)
		return r;
	ret->served = serve_runs(call->store);
	ret->before = ret->branch.state.running ? PGVISIT_RAN : PGVISIT_STOPPED;
	if (ret->served)
		r = wake(call, ret);
	else if (!ret->branch.state.running)
		r = start(call, ret);
	if (r == 0) {
		char found[sizeof(ret->branch.name)];

		snprintf(found, sizeof(found), "%s", ret->branch.name);
		r = pgbranch_find(call, found, (struct pgbranch_port){0}, &ret->branch);
	}
	return r < 0 ? r : pgbranch_find_programs(&ret->branch, NULL, &call->error);
}

static cow_errno put_back_served(struct command_call *call, struct pgvisit *v, struct cow_error *e)
{
	char state[32];
	cow_errno r = 0;

	/* "running" has clients. Serve may not have seen yet that ours is gone; if it stays so,
	 * they are somebody else's, and so is the server now. */
	for (int k = 0; r == 0 && k < LEAVE_STEPS; k++) {
		r = served_state(call->store, v->branch.name, state, sizeof(state), e);
		if (r < 0 || strcmp(state, "running") != 0)
			break;
		nanosleep(&(struct timespec){.tv_nsec = LEAVE_STEP_MS * 1000000L}, NULL);
	}
	if (r < 0 || strcmp(state, "idle") != 0)
		return r;
	return ask_serve(call, v->before == PGVISIT_STOPPED ? "stop" : "suspend", v->branch.name,
			 e);
}

cow_errno pgvisit_end(struct command_call *call, struct pgvisit *v, cow_errno r)
{
	struct cow_error ending = COW_ERROR_INIT;
	bool was;
	cow_errno ended = 0;

	if (v->before == PGVISIT_RAN)
		return r;
	if (v->served)
		ended = put_back_served(call, v, &ending);
	else
		ended = pgserver_stop(v->branch.pgdata, PGSERVER_FAST, STOP_MS, &was, &ending);
	if (!v->served && ended == 0)
		history_add(call->store, v->branch.id, "stopped", LOOK);
	if (r == 0 && ended < 0) {
		call->error = ending;
		return ended;
	}
	return r;
}

/* --- as the owner --- */

static _Noreturn void work_in_child(const struct pgbranch *b,
				    cow_errno (*work)(const struct pgbranch *, void *, json_t **,
						      struct cow_error *),
				    void *arg, int out)
{
	struct cow_error e = COW_ERROR_INIT;
	json_t *made = NULL, *answer;
	cow_errno r = pgserver_become_owner(b->pgdata, &e);

	if (r == 0)
		r = work(b, arg, &made, &e);
	answer = json_pack("{s:i,s:s,s:s,s:o}", "r", r, "text", e.text, "hint", e.hint, "made",
			   made ? made : json_null());
	_exit(answer && json_dumpfd(answer, out, JSON_COMPACT) == 0 ? 0 : 1);
}

cow_errno pgvisit_as_owner(const struct pgbranch *b,
			   cow_errno (*work)(const struct pgbranch *b, void *arg, json_t **ret,
					     struct cow_error *e),
			   void *arg, json_t **ret, struct cow_error *e)
{
	CLEANUP_FD int out = process_memory("work");
	CLEANUP_FREE char *text = NULL;
	json_t *answer;
	int status = 0;
	cow_errno r;
	pid_t pid;

	fflush(NULL);
	pid = out < 0 ? -1 : fork();
	if (pid == 0)
		work_in_child(b, work, arg, out);
	if (pid < 0)
		return cow_fail(e, -errno, "cannot start a process: %s", strerror(errno));
	r = process_wait(pid, &status, e);
	if (r < 0)
		return r;
	text = process_read(out, NULL);
	answer = text ? json_loads(text, 0, NULL) : NULL;
	if (status != 0 || !answer) {
		json_decref(answer);
		return cow_fail(e, -EPROTO, "a process that asked the server ended badly (%d)",
				status);
	}
	r = (cow_errno)json_integer_value(json_object_get(answer, "r"));
	if (r < 0)
		cow_fail(e, r, "%s", json_string_value(json_object_get(answer, "text")));
	if (r < 0 && *json_string_value(json_object_get(answer, "hint")))
		cow_hint(e, r, "%s", json_string_value(json_object_get(answer, "hint")));
	if (r == 0 && ret)
		*ret = json_incref(json_object_get(answer, "made"));
	json_decref(answer);
	return r;
}
