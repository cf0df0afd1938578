// SPDX-License-Identifier: Apache-2.0
#include "tools/schema/schema.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/pg/pg_schema.h"
#include "tools/process/process.h"

/* What changes from run to run, or says only who wrote it. */
static bool is_noise(const char *line)
{
	static const char *const beginnings[] = {"-- Dumped from database version",
						 "-- Dumped by pg_dump version", "\\restrict ",
						 "\\unrestrict "};

	for (size_t k = 0; k < sizeof(beginnings) / sizeof(beginnings[0]); k++)
		if (strncmp(line, beginnings[k], strlen(beginnings[k])) == 0)
			return true;
	return false;
}

static cow_errno without_noise(int raw, int clean, struct cow_error *e)
{
	CLEANUP_FREE char *text = process_read(raw, NULL);
	FILE *out = fdopen(dup(clean), "w");

	for (char *line = text, *next; out && line && *line; line = next) {
		size_t len = strcspn(line, "\n");

		next = line + len + (line[len] == '\n');
		if (!is_noise(line))
			fwrite(line, 1, (size_t)(next - line), out);
	}
	if (!out || fclose(out) != 0 || !text)
		return cow_fail(e, -ENOMEM, "no memory for the schema");
	return 0;
}

/* -d takes a connection string too: "dbname=..." says that it is a name, and nothing more. */
static char *connection(const char *database)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fputs("dbname='", f);
	for (; *database; database++) {
		if (*database == '\'' || *database == '\\')
			fputc('\\', f);
		fputc(*database, f);
	}
	fputc('\'', f);
	return fclose(f) == 0 ? text : NULL;
}

static cow_errno dump(const struct pgbranch *b, const char *bindir, const char *database, int clean,
		      struct cow_error *e)
{
	CLEANUP_FD int raw = process_memory("dump"), err = process_memory("errors");
	CLEANUP_FREE char *name = connection(database);
	char port[16], program[PATH_MAX + 16], said[600];
	const char *const argv[] = {program,
				    "--schema-only",
				    "--lock-wait-timeout=30s",
				    "--encoding=UTF8",
				    "-h",
				    b->socket_dir,
				    "-p",
				    port,
				    "-U",
				    b->user,
				    "--no-password",
				    "-d",
				    name,
				    NULL};
	const struct process p = {
	    .argv = argv, .in = PROCESS_NULL, .out = raw, .err = err, .owner_of = b->pgdata};
	int status = 0;
	cow_errno r;

	if (!name)
		return cow_fail(e, -ENOMEM, "out of memory");
	snprintf(port, sizeof(port), "%d", b->port);
	snprintf(program, sizeof(program), "%s/pg_dump", bindir);
	r = process_run(&p, &status, e);
	if (r < 0)
		return r;
	if (status != 0) {
		process_read_end(err, said, sizeof(said));
		return cow_fail(e, -EIO, "pg_dump failed: %s", said);
	}
	return without_noise(raw, clean, e);
}

static cow_errno objects(const struct pgbranch *b, void *arg, json_t **ret, struct cow_error *e)
{
	const struct pg_address at = {
	    .host = b->socket_dir, .port = b->port, .user = b->user, .dbname = arg};

	return cow_pg_schema_objects(&at, ret, e);
}

cow_errno schema_read(const struct pgbranch *b, const char *bindir, const char *database,
		      struct schema *ret, struct cow_error *e)
{
	cow_errno r;

	ret->dump = process_memory("schema");
	if (ret->dump < 0)
		return cow_fail(e, -errno, "no memory for a schema");
	r = pgvisit_as_owner(b, objects, (void *)database, &ret->objects, e);
	if (r == 0)
		r = dump(b, bindir, database, ret->dump, e);
	return r < 0 ? cow_wrap(e, r, "%s, database %s", b->name, database) : 0;
}

void schema_release(struct schema *s)
{
	if (s->dump >= 0)
		close(s->dump);
	json_decref(s->objects);
	*s = (struct schema)SCHEMA_INIT;
}

cow_errno schema_diff_text(const struct schema *from, const struct schema *to, const char *a,
			   const char *b, char **ret, struct cow_error *e)
{
	CLEANUP_FD int out = process_memory("diff"), err = process_memory("errors");
	char before[64], after[64], said[300];
	/* By the way of /proc: the descriptors are closed on exec, and belong to us. */
	const char *const argv[] = {"diff",    "-u", "--show-function-line=^\\(CREATE\\|ALTER\\)",
				    "--label", a,    "--label",
				    b,         "--", before,
				    after,     NULL};
	const struct process p = {.argv = argv, .in = PROCESS_NULL, .out = out, .err = err};
	int status = 0;
	cow_errno r;

	snprintf(before, sizeof(before), "/proc/%d/fd/%d", (int)getpid(), from->dump);
	snprintf(after, sizeof(after), "/proc/%d/fd/%d", (int)getpid(), to->dump);
	r = process_run(&p, &status, e);
	if (r < 0)
		return r;
	if (status > 1) {
		process_read_end(err, said, sizeof(said));
		return cow_fail(e, -EIO, "diff failed: %s", said);
	}
	*ret = process_read(out, NULL);
	return *ret ? 0 : cow_fail(e, -ENOMEM, "no memory for a difference");
}
