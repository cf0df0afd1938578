// SPDX-License-Identifier: Apache-2.0
/* proof: what has to hold before the pointer moves.
 *
 * While the server runs: the image has the rows, contents and constraints of the masked branch, its
 * rows are not what they were in the source, indexes and heaps are sound (amcheck). On the stopped
 * image: page checksums, no original and no data of people in any byte (residue.h), the blocks are
 * what was written (cowfs verify), and no block comes from anywhere else (its lineage begins with
 * itself). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleanup.h"
#include "tools/cli/progress.h"
#include "tools/golden/program.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/relmap.h"
#include "tools/golden/report.h"
#include "tools/golden/residue.h"
#include "tools/pg/pg_proof.h"

int64_t golden_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

cow_errno golden_checked(struct golden_image *g, const char *check, bool ok, uint64_t count,
			 const char *detail, struct cow_error *e)
{
	json_array_append_new(g->checks,
			      json_pack("{s:s,s:b,s:I,s:s*}", "check", check, "ok", (int)ok,
					"count", (json_int_t)count, "detail", detail));
	if (ok) {
		golden_say(g->run, "checked: %s (%llu)", check, (unsigned long long)count);
		return 0;
	}
	return cow_fail(e, -EBADMSG, "%s: %s", check, detail ? detail : "it does not hold");
}

/* --- the same lines on both sides --- */

struct list {
	char **lines;
	size_t n, room;
};

static cow_errno add_line(void *arg, const char *line)
{
	struct list *l = arg;

	if (l->n == l->room) {
		size_t larger = l->room ? l->room * 2 : 128;
		char **fresh = reallocarray(l->lines, larger, sizeof(*fresh));

		if (!fresh)
			return -ENOMEM;
		l->lines = fresh;
		l->room = larger;
	}
	l->lines[l->n] = strdup(line);
	return l->lines[l->n++] ? 0 : -ENOMEM;
}

static void release(struct list *l)
{
	for (size_t k = 0; k < l->n; k++)
		free(l->lines[k]);
	free(l->lines);
}

typedef cow_errno list_fn(struct pg_session *s, cow_errno (*each)(void *arg, const char *line),
			  void *arg, struct cow_error *e);

static cow_errno list_of(const struct golden_server *s, const char *database, list_fn *fn,
			 struct list *ret, struct cow_error *e)
{
	struct pg_address at = golden_address(s, database);
	struct pg_session *session = NULL;
	cow_errno r = cow_pg_open(&at, &session, e);

	if (r == 0)
		r = fn(session, add_line, ret, e);
	cow_pg_close(session);
	return r == -ENOMEM ? cow_fail(e, r, "out of memory") : r;
}

/* Lines are in the same order on both sides. Values are never in them. */
static cow_errno same(struct golden_image *g, const char *check, list_fn *fn, struct cow_error *e)
{
	uint64_t count = 0;
	cow_errno r = 0;

	for (size_t d = 0; r == 0 && d < g->run->n_databases; d++) {
		const char *name = g->run->databases[d].name;
		struct list masked = {0}, image = {0};
		char text[900];
		size_t k = 0;

		r = list_of(&g->run->masked, name, fn, &masked, e);
		if (r == 0)
			r = list_of(&g->server, name, fn, &image, e);
		while (k < masked.n && k < image.n && strcmp(masked.lines[k], image.lines[k]) == 0)
			k++;
		count += image.n;
		if (r == 0 && (k < masked.n || k < image.n)) {
			snprintf(text, sizeof(text), "%s: masked '%s', image '%s'", name,
				 k < masked.n ? masked.lines[k] : "nothing",
				 k < image.n ? image.lines[k] : "nothing");
			r = golden_checked(g, check, false, count, text, e);
		}
		release(&masked);
		release(&image);
	}
	return r < 0 ? r : golden_checked(g, check, true, count, NULL, e);
}

static cow_errno amcheck(struct golden_image *g, struct cow_error *e)
{
	uint64_t checked = 0;
	cow_errno r = 0;

	for (size_t d = 0; r == 0 && d < g->run->n_databases; d++) {
		struct pg_address at = golden_address(&g->server, g->run->databases[d].name);
		struct pg_session *s = NULL;

		r = cow_pg_open(&at, &s, e);
		if (r == 0)
			r = cow_pg_amcheck(s, &checked, e);
		cow_pg_close(s);
		if (r < 0)
			cow_wrap(e, r, "amcheck of %s", g->run->databases[d].name);
	}
	return r < 0 ? r : golden_checked(g, "amcheck", true, checked, NULL, e);
}

/* Visible to all and with statistics: a branch that only reads writes nothing. Of an image that was
 * renewed only the catalogs are left to do here. */
static cow_errno vacuum(struct golden_image *g, struct cow_error *e)
{
	char path[PATH_MAX + 32], host[140], port[32], user[80], jobs[16];
	const char *whole = g->run->carry.from[0] ? NULL : "--analyze";
	const char *const argv[] = {path, "--all", "--freeze", "--quiet", "-j", jobs, whole, NULL};
	const char *const env[] = {host, port, user, NULL};
	const struct pgbranch *b = &g->server.branch;
	cow_errno r = whole ? 0 : golden_renew_vacuum(g, e);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/vacuumdb", b->bindir);
	snprintf(host, sizeof(host), "PGHOST=%s", b->socket_dir);
	snprintf(port, sizeof(port), "PGPORT=%d", b->port);
	snprintf(user, sizeof(user), "PGUSER=%s", b->user);
	snprintf(jobs, sizeof(jobs), "%u", COW_MAX(g->run->conf->jobs, 1u));
	return program_run(
	    &(struct program){.argv = argv, .as = b->pgdata, .env = env, .in = -1, .out = -1}, e);
}

cow_errno golden_prove_running(struct golden_image *g, struct cow_error *e)
{
	cow_errno r = golden_prove_contents(g, e);

	if (r == 0)
		r = same(g, "constraints as in the source", cow_pg_constraints, e);
	if (r == 0)
		r = golden_originals_settle(g, e);
	if (r == 0)
		r = amcheck(g, e);
	if (r == 0)
		r = vacuum(g, e);
	return r < 0 ? r : golden_relations(g, e);
}

/* --- the stopped image --- */

static cow_errno checksums(struct golden_image *g, struct cow_error *e)
{
	char path[PATH_MAX + 32];
	const char *const argv[] = {path, "--check", "-D", g->server.branch.pgdata, NULL};
	struct cow_error why = COW_ERROR_INIT;
	cow_errno r;

	snprintf(path, sizeof(path), "%s/pg_checksums", g->server.branch.bindir);
	r = program_run(
	    &(struct program){.argv = argv, .as = g->server.branch.pgdata, .in = -1, .out = -1},
	    &why);
	/* A cluster without them is one by choice. */
	if (r < 0 && strstr(why.text, "not enabled"))
		return 0;
	return golden_checked(g, "page checksums", r == 0, 1, r < 0 ? why.text : NULL, e);
}

static void forward(void *arg, uint64_t done, uint64_t total)
{
	progress_set(arg, done, total);
}

static void describe(const struct residue_result *res, char *buf, size_t size)
{
	const struct residue_hit *h = res->listed ? &res->hits[0] : NULL;

	snprintf(buf, size,
		 "%llu original(s) and %llu finding(s) of detectors; the first: %s%s in %s%s%s "
		 "(file %s, "
		 "offset %llu)",
		 (unsigned long long)res->originals, (unsigned long long)res->detected,
		 h && h->original ? "a value of " : "", h ? h->what : "?",
		 h && h->where[0] ? h->where : "a file of no relation", h ? ", " : "",
		 h ? h->place : "", h ? h->file : "?", h ? (unsigned long long)h->offset : 0);
}

static uint64_t sought(const struct originals *o)
{
	uint64_t n = 0;

	for (uint32_t k = 0; k < originals_count(o); k++)
		n += originals_get(o, k)->sought - originals_get(o, k)->dropped;
	return n;
}

static cow_errno scan(struct golden_image *g, struct cow_error *e)
{
	static const char *const fallback[] = {"test.example", NULL};
	const struct golden_conf *c = g->run->conf;
	const struct detect_policy policy = {
	    .fake_domains = c->fake_domains ? (const char *const *)c->fake_domains : fallback,
	    .allow_domains = (const char *const *)c->allow_domains};
	struct progress *bar = progress_new("scan the image", g->run->call->out.quiet);
	const struct residue_scan how = {.dir = g->server.branch.pgdata,
					 .originals = g->originals,
					 .policy = &policy,
					 .relations = g->relations,
					 .allow = (const char *const *)c->allow,
					 .progress = forward,
					 .arg = bar};
	struct residue_result result = {0};
	char text[800];
	bool ok;
	cow_errno r = residue_run(&how, &result, e);

	progress_free(bar);
	ok = result.originals + result.detected == 0;
	describe(&result, text, sizeof(text));
	if (r == 0) {
		json_object_set_new(g->run->report, "scan", residue_json(&result));
		r = golden_checked(g, "no trace of originals in any byte", ok, sought(g->originals),
				   ok ? NULL : text, e);
		if (!ok)
			cow_hint(
			    e, r,
			    "What may stay there is named in golden.conf: allow, allow_domain. "
			    "The whole list: cowfs golden show failed -o json");
	}
	residue_release(&result);
	return r;
}

static cow_errno verify(struct golden_image *g, struct cow_error *e)
{
	json_t *answer = NULL;
	long long faults;
	cow_errno r = command_ask(g->run->call, "verify",
				  json_pack("{s:[s]}", "branches", g->server.branch.name), &answer);

	if (r < 0) {
		*e = g->run->call->error;
		return r;
	}
	faults = json_integer_value(json_object_get(answer, "fault_count"));
	r = golden_checked(g, "blocks as written (verify)", faults == 0,
			   (uint64_t)json_integer_value(json_object_get(answer, "sums_checked")),
			   faults ? "the store has faults" : NULL, e);
	json_decref(answer);
	return r;
}

/* A lineage shows blocks of its own and of those below it. There is nothing below one that was
 * written whole; below another one is the image before, which was proven in the same way. */
static cow_errno lineage(struct golden_image *g, struct cow_error *e)
{
	const char *from = g->run->carry.from;
	char before[COW_BRANCH_MAX + 1];
	const char *parent;
	json_t *b = NULL;
	long long forks;
	bool ok;
	cow_errno r = command_ask(g->run->call, "branch.get",
				  json_pack("{s:s}", "name", g->server.branch.name), &b);

	if (r < 0) {
		*e = g->run->call->error;
		return r;
	}
	snprintf(before, sizeof(before), "%s-images/%s", g->run->conf->name, from);
	parent = json_string_value(json_object_get(b, "parent"));
	forks = json_is_integer(json_object_get(b, "forks"))
		    ? json_integer_value(json_object_get(b, "forks"))
		    : -1;
	ok = forks == g->run->carry.chain &&
	     (from[0] ? parent && strcmp(parent, before) == 0
		      : json_is_null(json_object_get(b, "parent_id")) &&
			    json_is_null(json_object_get(b, "data_state_at")));
	r = golden_checked(g, from[0] ? "over proven images alone" : "a root of its own", ok,
			   g->run->carry.chain,
			   ok ? NULL : "the image has a parent that is no image", e);
	json_decref(b);
	return r;
}

cow_errno golden_prove_stopped(struct golden_image *g, struct cow_error *e)
{
	cow_errno r = checksums(g, e);

	if (r == 0)
		r = scan(g, e);
	if (r == 0)
		r = verify(g, e);
	return r < 0 ? r : lineage(g, e);
}
