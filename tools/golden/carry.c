// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/carry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/client.h"
#include "tools/golden/digest.h"
#include "tools/golden/mask.h"
#include "tools/golden/report.h"
#include "tools/pg/pg_carry.h"
#include "tools/pg/pg_proof.h"
#include "tools/process/process.h"

#define FORMAT "cowfs golden carry 1" /* another text makes every image be written whole once */

static void add(struct digest *d, const char *text)
{
	/* With its NUL, so that "a", "b" is not "ab". */
	digest_add(d, text ? text : "\1", text ? strlen(text) + 1 : 2);
}

static void add_list(struct digest *d, char *const *list)
{
	for (; list && *list; list++)
		add(d, *list);
	add(d, NULL);
}

/* --- everything beside rows --- */

/* What a program writes, without the lines that are new each time. */
static cow_errno add_output(struct digest *d, const struct golden_client *c, struct cow_error *e)
{
	CLEANUP_FD int out = memfd_create("schema", MFD_CLOEXEC);
	struct golden_client to = *c;
	CLEANUP_FREE char *text = NULL;
	cow_errno r;

	if (out < 0)
		return cow_fail(e, -errno, "no memory for the schema");
	to.out = out;
	r = golden_client_run(&to, e);
	if (r < 0)
		return r;
	text = process_read(out, NULL);
	if (!text)
		return cow_fail(e, -ENOMEM, "no memory for the schema");
	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (strncmp(line, "\\restrict ", 10) != 0 &&
		    strncmp(line, "\\unrestrict ", 12) != 0)
			add(d, line);
	}
	return 0;
}

static cow_errno add_setting(void *arg, const char *line)
{
	add(arg, line);
	return 0;
}

static cow_errno add_cluster(struct golden_run *run, struct digest *d, struct cow_error *e)
{
	struct pg_address at = golden_address(&run->import, "postgres");
	struct golden_client roles = {
	    .on = &run->import,
	    .program = "pg_dumpall",
	    .args = {"--roles-only", "--no-security-labels", "--no-role-passwords"}};
	char encoding[64] = "", locale[64] = "";
	struct pg_session *s = NULL;
	bool checksums = false;
	cow_errno r = cow_pg_open(&at, &s, e);

	if (run->conf->keep_passwords)
		roles.args[2] = NULL;
	if (r == 0)
		r = cow_pg_cluster(s, encoding, locale, &checksums, e);
	if (r == 0)
		r = cow_pg_settings(s, add_setting, d, e);
	cow_pg_close(s);
	add(d, encoding);
	add(d, locale);
	add(d, checksums ? "sums" : "");
	return r < 0 ? r : add_output(d, &roles, e);
}

static cow_errno digest_base(struct golden_run *run, const char *salt, struct cow_error *e)
{
	const struct golden_conf *c = run->conf;
	struct digest *d = digest_new();
	cow_errno r;

	add(d, FORMAT);
	add(d, salt);
	add(d, run->rules_hash);
	add(d, golden_mask_sql);
	add(d, c->keep_passwords ? "keep" : "drop");
	add_list(d, c->fake_domains);
	add_list(d, c->allow_domains);
	add_list(d, c->allow);
	r = add_cluster(run, d, e);
	for (size_t k = 0; r == 0 && k < run->n_databases; k++) {
		const struct golden_client schema = {
		    .on = &run->import,
		    .program = "pg_dump",
		    .database = run->databases[k].name,
		    .args = {"--schema-only", "--create", "--no-tablespaces", "--no-subscriptions",
			     "--no-security-labels"}};

		add(d, run->databases[k].name);
		r = add_output(d, &schema, e);
	}
	if (!digest_end(d, run->carry.base) && r == 0)
		r = cow_fail(e, -ENOMEM, "no memory for a digest");
	return r;
}

/* --- rows --- */

static bool is_emptied(const struct golden_table *t)
{
	return t->n_columns > 0 && t->columns[0].decision == GOLDEN_EMPTY;
}

static cow_errno digest_table(struct pg_session *s, struct golden_table *t, const char *salt,
			      struct cow_error *e)
{
	char contents[PG_CONTENTS_SIZE] = "emptied";
	struct digest *d;
	int64_t seed = 0;
	cow_errno r = cow_pg_table_name(s, t->schema, t->name, &t->label, e);

	for (const char *p = salt; *p; p++)
		seed = (int64_t)((uint64_t)seed * 131 + (unsigned char)*p);
	if (r == 0 && !is_emptied(t))
		r = cow_pg_contents(s, t->label, seed, contents, &t->rows, e);
	if (r < 0)
		return r;
	d = digest_new();
	add(d, salt);
	add(d, t->label);
	add(d, contents);
	for (size_t k = 0; k < t->n_columns; k++) {
		add(d, t->columns[k].name);
		add(d, t->columns[k].type);
		add(d, t->columns[k].expression);
	}
	return digest_end(d, t->digest) ? 0 : cow_fail(e, -ENOMEM, "no memory for a digest");
}

static cow_errno digest_database(struct golden_run *run, struct golden_database *d,
				 const char *salt, struct cow_error *e)
{
	struct pg_address at = golden_address(&run->import, d->name);
	struct pg_session *s = NULL;
	cow_errno r = cow_pg_open(&at, &s, e);

	if (r == 0)
		r = cow_pg_carry_begin(s, e);
	for (size_t k = 0; r == 0 && k < d->n_tables; k++)
		if (d->tables[k].kind == 'r')
			r = digest_table(s, &d->tables[k], salt, e);
	cow_pg_close(s);
	return r < 0 ? cow_wrap(e, r, "database %s", d->name) : 0;
}

/* --- the image before --- */

/* Its report; NULL: there is none, or not one that says what is needed. */
static json_t *last_report(struct golden_run *run)
{
	struct cow_error ignored = COW_ERROR_INIT;
	json_t *pointer = NULL, *report = NULL;
	char image[COW_BRANCH_MAX + 1];
	const char *id;

	if (command_ask(run->call, "branch.get", json_pack("{s:s}", "name", run->conf->name),
			&pointer) < 0)
		return NULL;
	id = json_string_value(json_object_get(
	    json_object_get(json_object_get(pointer, "settings"), "golden"), "image"));
	if (id && strlen(id) < sizeof(run->carry.from) &&
	    report_read(run->store, run->conf->name, id, &report, &ignored) == 0) {
		snprintf(image, sizeof(image), "%s-images/%s", run->conf->name, id);
		if (command_ask(run->call, "branch.get", json_pack("{s:s}", "name", image), NULL) <
		    0) {
			json_decref(report);
			report = NULL;
		}
	}
	if (report)
		snprintf(run->carry.from, sizeof(run->carry.from), "%s", id);
	json_decref(pointer);
	return report;
}

static const json_t *find(const json_t *tables, const char *database, const char *label)
{
	const json_t *t;
	size_t k;

	json_array_foreach (tables, k, t) {
		const char *d = json_string_value(json_object_get(t, "database"));
		const char *l = json_string_value(json_object_get(t, "table"));

		if (d && l && strcmp(d, database) == 0 && strcmp(l, label) == 0)
			return t;
	}
	return NULL;
}

static void compare(const json_t *tables, const struct golden_database *d, struct golden_table *t)
{
	const json_t *was = t->label ? find(tables, d->name, t->label) : NULL;
	const char *digest = json_string_value(json_object_get(was, "digest"));
	const char *contents = json_string_value(json_object_get(was, "contents"));

	t->carried = t->kind == 'r' && digest && contents && strcmp(digest, t->digest) == 0;
	for (size_t k = 0; k < t->n_columns; k++)
		if (t->columns[k].rule && strncmp(t->columns[k].rule, "sql(", 4) == 0)
			t->carried = false;
	if (t->carried)
		snprintf(t->contents, sizeof(t->contents), "%s", contents);
}

/* Rows of a masked partition key may come from any partition of the tree. */
static void keep_trees_together(struct golden_database *d)
{
	for (size_t k = 0; k < d->n_tables; k++) {
		const struct golden_table *t = &d->tables[k];
		bool moves = false;

		for (size_t c = 0; c < t->n_columns; c++)
			moves |=
			    t->columns[c].partition_key && t->columns[c].decision == GOLDEN_MASK;
		for (size_t o = 0; t->root_name && moves && !t->carried && o < d->n_tables; o++) {
			struct golden_table *other = &d->tables[o];

			if (other->root_name && strcmp(other->root_name, t->root_name) == 0 &&
			    strcmp(other->root_schema, t->root_schema) == 0)
				other->carried = false;
		}
	}
}

/* --- the decision --- */

static void whole(struct golden_run *run, const char *why)
{
	run->carry.from[0] = '\0';
	run->carry.chain = 0;
	run->carry.stale = run->carry.tables = run->carry.bytes = 0;
	snprintf(run->carry.why, sizeof(run->carry.why), "%s", why);
	for (size_t d = 0; d < run->n_databases; d++)
		for (size_t k = 0; k < run->databases[d].n_tables; k++)
			run->databases[d].tables[k].carried = false;
}

/* One element of a literal of text[]. */
static void put_element(FILE *f, const char *text, bool first)
{
	fputs(first ? "\"" : ",\"", f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

char *golden_carry_others(const struct golden_database *d)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool first = true;

	if (!f)
		return NULL;
	fputc('{', f);
	for (size_t k = 0; k < d->n_tables; k++) {
		if (d->tables[k].kind != 'r' || d->tables[k].carried)
			continue;
		put_element(f, d->tables[k].label, first);
		first = false;
	}
	fputc('}', f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static cow_errno look_for_obstacles(struct golden_run *run, struct cow_error *e)
{
	char found[200] = "";
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && !found[0] && k < run->n_databases; k++) {
		const struct golden_database *d = &run->databases[k];
		struct pg_address at = golden_address(&run->import, d->name);
		CLEANUP_FREE char *tables = golden_carry_others(d);
		struct pg_session *s = NULL;

		r = tables ? cow_pg_open(&at, &s, e) : cow_fail(e, -ENOMEM, "out of memory");
		if (r == 0)
			r = cow_pg_carry_begin(s, e);
		if (r == 0)
			r = cow_pg_carry_obstacle(s, tables, found, sizeof(found), e);
		if (d->large_objects && d->large_objects_decision == GOLDEN_KEEP)
			snprintf(found, sizeof(found), "large objects of %s", d->name);
		cow_pg_close(s);
	}
	if (r == 0 && found[0])
		whole(run, found);
	return r;
}

/* What the image before says about this one; the sums of both. */
static void weigh(struct golden_run *run, const json_t *was)
{
	uint64_t all = 0;

	for (size_t d = 0; d < run->n_databases; d++) {
		struct golden_database *db = &run->databases[d];

		for (size_t k = 0; k < db->n_tables; k++)
			compare(json_object_get(was, "tables"), db, &db->tables[k]);
		keep_trees_together(db);
		for (size_t k = 0; k < db->n_tables; k++) {
			const struct golden_table *t = &db->tables[k];

			all += t->bytes;
			run->carry.tables += t->carried;
			*(t->carried ? &run->carry.bytes : &run->carry.stale) += t->bytes;
		}
	}
	run->carry.chain = (unsigned)json_integer_value(json_object_get(was, "chain")) + 1;
	run->carry.stale += (uint64_t)json_integer_value(json_object_get(was, "stale_bytes"));
	if (run->carry.tables == 0)
		whole(run, "every table changed");
	else if (run->carry.stale * 2 > all)
		whole(run,
		      "more than half of it changed since the last one that was written whole");
	else if (run->carry.chain > run->conf->rewrite_after)
		whole(run, "rewrite_after");
}

static cow_errno decide(struct golden_run *run, struct cow_error *e)
{
	json_t *report = run->conf->rewrite_after ? last_report(run) : NULL;
	const json_t *was = json_object_get(report, "carry");
	const char *base = json_string_value(json_object_get(was, "base"));
	cow_errno r = 0;

	if (!report)
		whole(run, run->conf->rewrite_after ? "no image before it" : "rewrite_after");
	else if (!base || strcmp(base, run->carry.base) != 0)
		whole(run, "schema, roles, rules or settings changed");
	else
		weigh(run, was);
	if (run->carry.from[0])
		r = look_for_obstacles(run, e);
	json_decref(report);
	return r;
}

cow_errno golden_carry_plan(struct golden_run *run, struct cow_error *e)
{
	char salt[GOLDEN_SALT_SIZE];
	cow_errno r = golden_salt(run->conf, run->store, salt, e);

	if (r == 0)
		r = digest_base(run, salt, e);
	for (size_t k = 0; r == 0 && k < run->n_databases; k++)
		r = digest_database(run, &run->databases[k], salt, e);
	explicit_bzero(salt, sizeof(salt));
	if (r == 0)
		r = decide(run, e);
	if (r < 0)
		return cow_wrap(e, r, "compare with the image before");
	if (run->carry.from[0])
		golden_say(run, "%llu tables are as they were: taken from image %s",
			   (unsigned long long)run->carry.tables, run->carry.from);
	else
		golden_say(run, "the image is written whole: %s", run->carry.why);
	return 0;
}

/* --- for the next one --- */

void golden_carry_note(struct golden_run *run)
{
	const struct golden_carry *c = &run->carry;
	json_t *tables = json_array();

	for (size_t d = 0; d < run->n_databases; d++) {
		const struct golden_database *db = &run->databases[d];

		for (size_t k = 0; k < db->n_tables; k++) {
			const struct golden_table *t = &db->tables[k];

			if (t->label && t->contents[0])
				json_array_append_new(
				    tables,
				    json_pack("{s:s,s:s,s:s,s:s,s:b}", "database", db->name,
					      "table", t->label, "digest", t->digest, "contents",
					      t->contents, "taken_over", (int)t->carried));
		}
	}
	json_object_set_new(run->report, "carry",
			    json_pack("{s:s,s:I,s:I,s:s,s:s,s:I,s:I,s:o}", "base", c->base, "chain",
				      (json_int_t)c->chain, "stale_bytes", (json_int_t)c->stale,
				      "image", c->from, "whole_because", c->why,
				      "tables_taken_over", (json_int_t)c->tables,
				      "bytes_taken_over", (json_int_t)c->bytes, "tables", tables));
}
