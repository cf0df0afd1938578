// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/top.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/parse.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"
#include "tools/pg/pgplace.h"
#include "tools/serve/client.h"

struct top {
	json_t *before; /* {branch: transactions} */
	int64_t before_ns;
};

struct top *top_new(void)
{
	return calloc(1, sizeof(struct top));
}

void top_free(struct top *t)
{
	if (t)
		json_decref(t->before);
	free(t);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Peer authentication asks who connects: for that moment root is the owner of the data. */
static cow_errno ask_server(const struct pgbranch *b, struct pg_activity *ret)
{
	const struct pg_address at = {.host = b->state.socket_dir,
				      .port = b->state.port,
				      .user = b->user,
				      .dbname = "postgres"};
	struct stat st;
	bool root = geteuid() == 0 && stat(b->pgdata, &st) == 0;
	cow_errno r;

	if (root && seteuid(st.st_uid) < 0)
		return -errno;
	r = cow_pg_activity(&at, ret, NULL);
	if (root && seteuid(0) < 0)
		_exit(126);
	return r;
}

/* Per second, in tenths. */
static double rate(uint64_t n, int64_t elapsed_ns)
{
	return (double)(n * 10000000000u / (uint64_t)elapsed_ns) / 10;
}

static void add_activity(struct top *t, struct command_call *call, json_t *row, json_t *now,
			 int64_t elapsed_ns)
{
	const char *name = json_string_value(json_object_get(row, "name"));
	json_t *earlier = json_object_get(t->before, name);
	struct cow_error before = call->error;
	struct pg_activity a = {0};
	struct pgbranch b;
	cow_errno r = pgbranch_find(call, name, (struct pgbranch_port){0}, &b);

	call->error = before;
	if (r == 0 && b.state.running && !b.state.ready &&
	    strcmp(json_string_value(json_object_get(row, "current_state")), "running") == 0)
		json_object_set_new(row, "current_state", json_string("starting"));
	if (r < 0 || !b.state.ready || ask_server(&b, &a) < 0)
		return;
	json_object_set_new(now, name, json_integer((json_int_t)a.transactions));
	json_object_set_new(row, "connections", json_integer(a.connections));
	/* A server that was started anew counts from nothing. */
	if (earlier && elapsed_ns > 0 && (uint64_t)json_integer_value(earlier) <= a.transactions)
		json_object_set_new(
		    row, "tps",
		    json_real(
			rate(a.transactions - (uint64_t)json_integer_value(earlier), elapsed_ns)));
}

static bool may_run(const json_t *row)
{
	const char *state = json_string_value(json_object_get(row, "current_state"));

	return state && strcmp(state, "suspended") != 0 && strcmp(state, "stopped") != 0 &&
	       strcmp(state, "failed") != 0;
}

/* Of what the daemon says of a branch, what is shown. */
static json_t *row_of(const json_t *branch)
{
	static const char *const keys[] = {"name", "parent", "current_state", "unique_bytes",
					   "labels"};
	json_t *row = json_object();

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		json_object_set(row, keys[k], json_object_get(branch, keys[k]));
	json_object_set_new(row, "connections", json_null());
	json_object_set_new(row, "tps", json_null());
	return row;
}

static int busiest_first(const void *a, const void *b)
{
	json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	double tx = json_number_value(json_object_get(x, "tps"));
	double ty = json_number_value(json_object_get(y, "tps"));
	bool rx = json_is_integer(json_object_get(x, "connections"));
	bool ry = json_is_integer(json_object_get(y, "connections"));

	if (rx != ry)
		return rx ? -1 : 1;
	if (tx != ty)
		return tx > ty ? -1 : 1;
	return strcmp(json_string_value(json_object_get(x, "name")),
		      json_string_value(json_object_get(y, "name")));
}

/* Steals the rows. */
static json_t *sorted(json_t *rows)
{
	size_t n = json_array_size(rows), k;
	json_t **all = calloc(n + 1, sizeof(*all)), *ret = json_array(), *v;

	if (!all) {
		json_decref(ret);
		return rows;
	}
	json_array_foreach (rows, k, v)
		all[k] = v;
	qsort(all, n, sizeof(*all), busiest_first);
	for (k = 0; k < n; k++)
		json_array_append(ret, all[k]);
	free(all);
	json_decref(rows);
	return ret;
}

static json_t *summed(const char *store, json_t *rows)
{
	json_int_t running = 0, connections = 0, unique = 0;
	char at[PARSE_TIME_SIZE];
	bool known = false;
	double tps = 0;
	json_t *row;
	size_t k;

	json_array_foreach (rows, k, row) {
		running += json_is_integer(json_object_get(row, "connections"));
		connections += json_integer_value(json_object_get(row, "connections"));
		unique += json_integer_value(json_object_get(row, "unique_bytes"));
		tps += json_number_value(json_object_get(row, "tps"));
		known = known || json_is_real(json_object_get(row, "tps"));
	}
	parse_time_format(now_ns(CLOCK_REALTIME), at, sizeof(at));
	return json_pack("{s:s,s:s,s:I,s:I,s:o,s:I,s:o}", "at", at, "store", store, "running",
			 running, "connections", connections, "tps",
			 known ? json_real(tps) : json_null(), "unique_bytes", unique, "branches",
			 rows);
}

cow_errno top_look(struct top *t, struct command_call *call, json_t **ret)
{
	json_t *answer = NULL, *branches, *branch, *rows = json_array(), *now = json_object();
	int64_t at = now_ns(CLOCK_MONOTONIC);
	cow_errno r = command_ask(call, "branch.list", json_pack("{s:b}", "space", 1), &answer);
	size_t k;

	if (r < 0) {
		json_decref(rows);
		json_decref(now);
		return r;
	}
	branches = json_object_get(answer, "branches");
	serve_overlay(call->store, branches);
	json_array_foreach (branches, k, branch) {
		json_t *row = row_of(branch);

		if (may_run(row))
			add_activity(t, call, row, now, at - t->before_ns);
		json_array_append_new(rows, row);
	}
	json_decref(answer);
	json_decref(t->before);
	t->before = now;
	t->before_ns = at;
	*ret = summed(call->store, sorted(rows));
	return 0;
}
