// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/os.h"
#include "tools/daemon/json_text.h"

static json_t *hit_json(const struct residue_hit *h)
{
	return json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:o}", "kind",
			 h->original ? "original" : "detected", "what", json_text(h->what),
			 "relation", h->where[0] ? json_text(h->where) : json_null(), "file",
			 json_text(h->file), "offset", json_count(h->offset), "place", h->place,
			 "count", json_count(h->count));
}

json_t *residue_json(const struct residue_result *r)
{
	json_t *hits = json_array();

	for (size_t k = 0; k < r->listed; k++)
		json_array_append_new(hits, hit_json(&r->hits[k]));
	return json_pack(
	    "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "files", json_count(r->files),
	    "bytes", json_count(r->bytes), "unpacked", json_count(r->unpacked), "unpacked_bytes",
	    json_count(r->unpacked_bytes), "toasted", json_count(r->toasted), "wal_records",
	    json_count(r->wal_records), "wal_images", json_count(r->wal_images), "originals_found",
	    json_count(r->originals), "detected", json_count(r->detected), "allowed",
	    json_count(r->allowed), "ms", json_count(r->ms), "hits", hits);
}

/* --- the page --- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));

	return t ? t : "-";
}

static long long number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void put_checks(FILE *f, const json_t *checks)
{
	const json_t *c;
	size_t k;

	fprintf(f, "\n## Checks\n\n| check | result | counted | |\n|---|---|---|---|\n");
	json_array_foreach (checks, k, c)
		fprintf(f, "| %s | %s | %lld | %s |\n", text_of(c, "check"),
			json_is_true(json_object_get(c, "ok")) ? "holds" : "**does not hold**",
			number_of(c, "count"),
			json_object_get(c, "detail") ? text_of(c, "detail") : "");
}

static void put_columns(FILE *f, const json_t *columns)
{
	const json_t *c;
	size_t k;

	fprintf(
	    f,
	    "\n## Masked columns\n\n| column | values sampled | looked for in the bytes | shown by "
	    "masking | rows compared | unchanged |\n|---|---|---|---|---|---|\n");
	json_array_foreach (columns, k, c)
		fprintf(f, "| %s.%s (%s) | %lld | %lld | %lld | %lld | %lld |\n",
			text_of(c, "table"), text_of(c, "column"), text_of(c, "database"),
			number_of(c, "sampled"), number_of(c, "sought"),
			number_of(c, "made_by_masking"), number_of(c, "rows_compared"),
			number_of(c, "rows_unchanged"));
}

static void put_carry(FILE *f, const json_t *carry)
{
	if (!carry)
		return;
	if (text_of(carry, "image")[0])
		fprintf(f, "- taken over: %lld unchanged tables, %lld bytes, from image %s\n",
			number_of(carry, "tables_taken_over"), number_of(carry, "bytes_taken_over"),
			text_of(carry, "image"));
	else
		fprintf(f, "- written whole: %s\n", text_of(carry, "whole_because"));
}

static void put_scan(FILE *f, const json_t *scan)
{
	const json_t *h;
	size_t k;

	if (!scan)
		return;
	fprintf(f,
		"\n## Scan\n\n%lld files, %lld bytes, %lld packed values unpacked, %lld put "
		"together from "
		"chunks, %lld WAL records; %lld ms.\n%lld originals found, %lld findings of "
		"detectors, %lld "
		"allowed.\n",
		number_of(scan, "files"), number_of(scan, "bytes"), number_of(scan, "unpacked"),
		number_of(scan, "toasted"), number_of(scan, "wal_records"), number_of(scan, "ms"),
		number_of(scan, "originals_found"), number_of(scan, "detected"),
		number_of(scan, "allowed"));
	json_array_foreach (json_object_get(scan, "hits"), k, h)
		fprintf(f, "- %s: %s, in %s (%s, offset %lld, %s), %lld times\n",
			text_of(h, "kind"), text_of(h, "what"), text_of(h, "relation"),
			text_of(h, "file"), number_of(h, "offset"), text_of(h, "place"),
			number_of(h, "count"));
}

char *report_page(const json_t *report)
{
	char *text = NULL;
	const char *step;
	const json_t *ms;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "# Golden image %s of %s: %s\n\n", text_of(report, "image"),
		text_of(report, "pointer"),
		json_is_true(json_object_get(report, "published")) ? "published" : "not published");
	if (json_object_get(report, "error"))
		fprintf(f, "**%s**\n\n", text_of(report, "error"));
	fprintf(
	    f,
	    "- source: %s, as of %s\n- refresh began: %s\n- published: %s\n- rules: SHA-256 %s\n",
	    text_of(report, "source"), text_of(report, "source_at"), text_of(report, "started_at"),
	    text_of(report, "published_at"), text_of(report, "rules_hash"));
	put_carry(f, json_object_get(report, "carry"));
	json_object_foreach ((json_t *)json_object_get(report, "publish_ms"), step, ms)
		fprintf(f, "- %s: %lld ms\n", step, (long long)json_integer_value(ms));
	put_checks(f, json_object_get(report, "checks"));
	put_columns(f, json_object_get(report, "columns"));
	put_scan(f, json_object_get(report, "scan"));
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* --- in the store --- */

static void path_of(const char *store, const char *name, const char *id, const char *end, char *ret,
		    size_t size)
{
	size_t n = (size_t)snprintf(ret, size, "%s/golden/", store);

	if (n >= size)
		return;
	snprintf(ret + n, size - n, "%s.%s.%s", name, id, end);
	for (char *p = ret + n; *p; p++)
		if (*p == '/')
			*p = '_';
}

static cow_errno keep(const char *path, const char *text, struct cow_error *e)
{
	cow_errno r = text ? cow_os_replace(AT_FDCWD, path, text, strlen(text)) : -ENOMEM;

	return r < 0 ? cow_fail(e, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

cow_errno report_write(const char *store, const char *name, const char *id, const json_t *report,
		       struct cow_error *e)
{
	CLEANUP_FREE char *json = json_dumps(report, JSON_INDENT(2)), *page = report_page(report);
	char path[PATH_MAX];
	cow_errno r;

	snprintf(path, sizeof(path), "%s/golden", store);
	r = cow_os_mkdir(AT_FDCWD, path, 0700);
	if (r < 0)
		return cow_fail(e, r, "cannot make %s: %s", path, strerror(-r));
	path_of(store, name, id, "json", path, sizeof(path));
	r = keep(path, json, e);
	path_of(store, name, id, "md", path, sizeof(path));
	return r < 0 ? r : keep(path, page, e);
}

cow_errno report_read(const char *store, const char *name, const char *id, json_t **ret,
		      struct cow_error *e)
{
	char path[PATH_MAX];
	json_error_t why;

	path_of(store, name, id, "json", path, sizeof(path));
	if (access(path, R_OK) < 0) {
		cow_errno r = cow_fail(e, -errno, "no report of image %s of %s: %s", id, name,
				       strerror(errno));

		return cow_hint(e, r, "Images and their reports: cowfs branch list, %s-images/...",
				name);
	}
	*ret = json_load_file(path, 0, &why);
	return *ret ? 0 : cow_fail(e, -EINVAL, "%s is damaged: %s", path, why.text);
}

void report_remove(const char *store, const char *name, const char *id)
{
	char path[PATH_MAX];

	path_of(store, name, id, "json", path, sizeof(path));
	unlink(path);
	path_of(store, name, id, "md", path, sizeof(path));
	unlink(path);
}
