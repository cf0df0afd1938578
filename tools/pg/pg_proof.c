// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg_proof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

struct texts {
	cow_errno (*each)(void *arg, const char *text);
	void *arg;
};

static cow_errno one_text(void *arg, const char *const *v)
{
	struct texts *t = arg;

	return v[0] ? t->each(t->arg, v[0]) : 0;
}

static cow_errno lines(struct pg_session *s, const char *doing, const char *sql,
		       cow_errno (*each)(void *arg, const char *line), void *arg,
		       struct cow_error *e)
{
	const struct pg_query q = {.doing = doing, .sql = sql};
	struct texts t = {each, arg};

	return pg_rows(s, &q, one_text, &t, e);
}

/* Texts of one row into buffers. */
struct row {
	char **to; /* of 64 bytes each */
	int n;
	bool any;
};

static cow_errno one_row(void *arg, const char *const *v)
{
	struct row *r = arg;

	for (int k = 0; k < r->n; k++)
		snprintf(r->to[k], 64, "%s", v[k] ? v[k] : "");
	r->any = true;
	return 0;
}

/* --- a cluster --- */

cow_errno cow_pg_cluster(struct pg_session *s, char *encoding, char *locale, bool *ret_checksums,
			 struct cow_error *e)
{
	const struct pg_query q = {.doing = "read the encoding of the cluster",
				   .sql =
				       "SELECT pg_encoding_to_char(encoding), datcollate, "
				       "current_setting('data_checksums') "
				       "FROM pg_catalog.pg_database WHERE datname = 'template1'"};
	char sums[64] = "";
	struct row r = {(char *[]){encoding, locale, sums}, 3, false};
	cow_errno err = pg_rows(s, &q, one_row, &r, e);

	if (err == 0 && !r.any)
		err = cow_fail(e, -ENOENT, "the cluster has no template1");
	*ret_checksums = strcmp(sums, "on") == 0;
	return err;
}

cow_errno cow_pg_settings(struct pg_session *s, cow_errno (*each)(void *arg, const char *line),
			  void *arg, struct cow_error *e)
{
	/* What changes results and plans, and no name, path, address or secret. */
	return lines(
	    s, "read the settings",
	    "SELECT format('%s = %s', name, quote_literal(current_setting(name))) "
	    "FROM pg_catalog.pg_settings WHERE source = 'configuration file' AND name IN ("
	    "'shared_buffers', 'work_mem', 'maintenance_work_mem', 'effective_cache_size', "
	    "'random_page_cost', 'seq_page_cost', 'cpu_tuple_cost', 'cpu_index_tuple_cost', "
	    "'cpu_operator_cost', 'effective_io_concurrency', 'default_statistics_target', "
	    "'from_collapse_limit', 'join_collapse_limit', 'geqo', 'geqo_threshold', "
	    "'max_connections', 'max_prepared_transactions', 'max_locks_per_transaction', "
	    "'max_worker_processes', 'max_parallel_workers', 'max_parallel_workers_per_gather', "
	    "'shared_preload_libraries', 'TimeZone', 'DateStyle', 'IntervalStyle', 'lc_messages', "
	    "'lc_monetary', 'lc_numeric', 'lc_time', 'default_text_search_config', 'row_security', "
	    "'default_toast_compression', 'standard_conforming_strings', 'search_path', "
	    "'bytea_output', "
	    "'xmlbinary', 'xmloption', 'statement_timeout', 'lock_timeout', "
	    "'default_transaction_isolation') "
	    "ORDER BY name",
	    each, arg, e);
}

/* --- relations --- */

struct relations {
	cow_errno (*each)(void *arg, const struct pg_relation *r);
	void *arg;
};

static cow_errno one_relation(void *arg, const char *const *v)
{
	struct relations *l = arg;
	struct pg_relation r = {.path = v[0], .name = v[1], .table = v[2], .columns = v[6]};

	r.oid = (uint32_t)strtoul(v[3], NULL, 10);
	r.kind = v[4][0];
	r.shared = v[5][0] == 't';
	return l->each(l->arg, &r);
}

cow_errno cow_pg_relations(struct pg_session *s,
			   cow_errno (*each)(void *arg, const struct pg_relation *r), void *arg,
			   struct cow_error *e)
{
	static const struct pg_query q = {
	    .doing = "list the relations",
	    .sql =
		"SELECT pg_relation_filepath(c.oid), n.nspname || '.' || c.relname, "
		" coalesce(tn.nspname || '.' || t.relname, n.nspname || '.' || c.relname), c.oid, "
		" c.relkind, c.relisshared, coalesce((SELECT json_agg(json_build_array(a.attname, "
		"  a.attlen, a.attalign, a.attisdropped) ORDER BY a.attnum) FROM pg_attribute a "
		"  WHERE a.attrelid = c.oid AND a.attnum > 0), '[]') "
		"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
		"LEFT JOIN pg_index i ON i.indexrelid = c.oid AND c.relkind = 'i' "
		"LEFT JOIN pg_class o ON o.reltoastrelid = CASE WHEN n.nspname = 'pg_toast' THEN "
		"  coalesce(i.indrelid, c.oid) END "
		"LEFT JOIN pg_class t ON t.oid = coalesce(o.oid, i.indrelid) "
		"LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace "
		"WHERE pg_relation_filepath(c.oid) IS NOT NULL"};
	struct relations l = {each, arg};

	return pg_rows(s, &q, one_relation, &l, e);
}

/* --- the same constraints --- */

cow_errno cow_pg_constraints(struct pg_session *s, cow_errno (*each)(void *arg, const char *line),
			     void *arg, struct cow_error *e)
{
	return lines(s, "list the constraints",
		     "SELECT format('%s %s %s %s%s', coalesce(c.conrelid, 0)::regclass, c.conname, "
		     "c.contype, pg_get_constraintdef(c.oid), "
		     "CASE WHEN c.convalidated THEN '' ELSE ' (not validated)' END) "
		     "FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace "
		     "WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' "
		     "AND c.contype <> 't' ORDER BY 1",
		     each, arg, e);
}

static cow_errno first_word(void *arg, const char *text)
{
	snprintf(arg, 512, "%s", text);
	return 0;
}

static cow_errno add_number(void *arg, const char *text)
{
	*(uint64_t *)arg += strtoull(text, NULL, 10);
	return 0;
}

static cow_errno check_indexes(struct pg_session *s, uint64_t *ret_checked, struct cow_error *e)
{
	char found[512] = "";
	cow_errno r = lines(s, "look for invalid indexes",
			    /* That of a partitioned table has no rows: some partition has none. */
			    "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON "
			    "c.oid = indexrelid WHERE relkind = 'i' AND NOT (indisvalid AND "
			    "indisready) LIMIT 1",
			    first_word, found, e);

	if (r == 0 && found[0])
		return cow_fail(e, -EBADMSG, "index %s is not valid", found);
	return r < 0
		   ? r
		   : lines(s, "check the indexes",
			   "SELECT count(*) FROM (SELECT amcheck_cowfs.bt_index_check(c.oid, true) "
			   "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
			   "JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree' "
			   "WHERE c.relkind = 'i' AND c.relpersistence <> 't' OFFSET 0) x",
			   add_number, ret_checked, e);
}

static cow_errno check_heaps(struct pg_session *s, uint64_t *ret_checked, struct cow_error *e)
{
	char found[512] = "";
	cow_errno r = 0;

	if (PQserverVersion(s->c) < 140000)
		return 0;
	r = lines(
	    s, "check the tables",
	    "SELECT format('%s, block %s: %s', c.oid::regclass, v.blkno, v.msg) FROM pg_class c, "
	    "LATERAL amcheck_cowfs.verify_heapam(c.oid) v "
	    "WHERE c.relkind IN ('r', 'm', 't') AND c.relam = 2 LIMIT 1",
	    first_word, found, e);
	if (r == 0 && found[0])
		return cow_fail(e, -EBADMSG, "%s", found);
	return r < 0 ? r
		     : lines(s, "count the tables",
			     "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm', 't') AND "
			     "relam = 2",
			     add_number, ret_checked, e);
}

cow_errno cow_pg_amcheck(struct pg_session *s, uint64_t *ret_checked, struct cow_error *e)
{
	cow_errno r;

	/* Rolled back at the end: the image keeps no extension that its source does not have. One
	 * that is there already lives somewhere else, so it is moved for as long; event triggers of
	 * the user have no say. */
	r = pg_run(s, "prepare amcheck",
		   "BEGIN; SET LOCAL session_replication_role = replica; "
		   "DO $$ DECLARE t name; BEGIN FOR t IN SELECT evtname FROM pg_event_trigger "
		   "WHERE evtenabled IN ('A', 'R') LOOP EXECUTE format('ALTER EVENT TRIGGER %I "
		   "DISABLE', t); END LOOP; END $$; "
		   "CREATE SCHEMA amcheck_cowfs; DROP EXTENSION IF EXISTS amcheck; "
		   "CREATE EXTENSION amcheck SCHEMA amcheck_cowfs",
		   e);
	if (r < 0) {
		pg_run(s, "roll back", "ROLLBACK", NULL);
		return cow_hint(e, r,
				"Debian has amcheck in the package of the server; others in "
				"postgresql-contrib.");
	}
	r = check_indexes(s, ret_checked, e);
	if (r == 0)
		r = check_heaps(s, ret_checked, e);
	pg_run(s, "roll back", "ROLLBACK", NULL);
	return r;
}
