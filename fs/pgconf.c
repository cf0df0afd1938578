// SPDX-License-Identifier: Apache-2.0
/* pgconf: the table of overrides and what is computed beside it. Text: pgconf_text.c. */
#include "fs/pgconf.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/pgcontrol.h"
#include "store/cleanup.h"

#define ALL 12, 18

const struct cow_pgconf_row cow_pgconf_table[] = {
    /* Nothing leaves the branch. */
    {"archive_mode", "off", ALL, "the archive belongs to the original"},
    {"archive_command", "", ALL, "as above"},
    {"archive_library", "", 15, 18, "as above"},
    {"archive_cleanup_command", "", ALL, "it would delete from the archive of the original"},
    {"recovery_end_command", "", ALL, "it may move an address or tell others of a failover"},
    {"bonjour", "off", ALL, "a fork is not announced"},
    {"log_destination", "stderr", ALL, "the system log belongs to the original"},
    {"log_directory", "log", ALL, "an absolute path would be the original's"},
    {"stats_temp_directory", "pg_stat_tmp", 12, 14, "an absolute path would be the original's"},

    /* Nothing is waited for that will not come. */
    {"restore_command", "", ALL, "a fork recovers from its own WAL"},
    {"primary_conninfo", "", ALL, "a fork follows nobody"},
    {"primary_slot_name", "", ALL, "it is the original's"},
    {"promote_trigger_file", "", 12, 15, "a fork is not promoted"},
    {"hot_standby_feedback", "off", ALL, "a fork follows nobody"},
    {"recovery_target", "", ALL, "a fork recovers to the end of its WAL"},
    {"recovery_target_lsn", "", ALL, "as above"},
    {"recovery_target_name", "", ALL, "as above"},
    {"recovery_target_time", "", ALL, "as above"},
    {"recovery_target_xid", "", ALL, "as above"},
    {"synchronous_standby_names", "", ALL, "every commit would wait for a standby"},
    {"synchronized_standby_slots", "", 17, 18, "logical replication would wait for a standby"},
    {"sync_replication_slots", "off", 17, 18, "a fork follows nobody"},

    /* What a snapshot and fsync of the mount rest on. */
    {"fsync", "on", ALL, "a snapshot of a running server rests on it"},
    {"full_page_writes", "on", ALL, "a snapshot of a running server rests on it"},
    {"data_sync_retry", "off", ALL, "an fsync that failed is never repeated"},
    {"wal_sync_method", "open_datasync", ALL, "one request per commit on the mount"},
    {"wal_buffers", "16MB", ALL, "with open_datasync small buffers make small durable writes"},
    {"wal_writer_delay", "50ms", ALL,
     "or a load fills the buffers, and then writes them page by page"},
    {"recovery_init_sync_method", "fsync", 14, 18, "syncfs does not reach the store"},

    /* It starts on this machine. */
    {"huge_pages", "try", ALL, "this machine may have none to spare"},
    {"io_method", "worker", 18, 18, "io_uring may be missing or forbidden here"},
    {"file_copy_method", "copy", 18, 18, "the mount does not clone files"},
    {NULL, NULL, 0, 0, NULL},
};

const struct cow_pgconf_row cow_pgconf_subscriptions[] = {
    {"max_logical_replication_workers", "0", ALL,
     "subscriptions would take changes away from the original"},
    {NULL, NULL, 0, 0, NULL},
};

const struct cow_pgconf_row cow_pgconf_workers[] = {
    /* The first is known since pg_cron 1.6, the second in all versions. */
    {"cron.launch_active_jobs", "off", ALL, "jobs of pg_cron belong to the original"},
    {"cron.max_running_jobs", "0", ALL, "as above"},
    /* Its background workers do not ask for it. */
    {"cron.use_background_workers", "off", ALL, "as above"},
    {"pg_net.batch_size", "0", ALL, "requests of pg_net stay in their queue"},
    {NULL, NULL, 0, 0, NULL},
};

const struct cow_pgconf_library cow_pgconf_reaching_out[] = {
    {"pglogical", "it replicates with the other nodes of the original"},
    {"bdr", "it replicates with the other nodes of the original"},
    {"pgactive", "it replicates with the other nodes of the original"},
    {"spock", "it replicates with the other nodes of the original"},
    {"citus", "it would change the shards on the workers of the original"},
    {"pg_failover_slots", "it copies slots from the primary of the original"},
    {"pgautofailover", "it reports to the monitor of the original"},
    {"repmgr", "it takes part in failovers of the original"},
    {NULL, NULL},
};

void cow_pgconf_list_release(struct cow_pgconf_list *l)
{
	for (size_t k = 0; k < l->n; k++) {
		free(l->items[k].name);
		free(l->items[k].value);
	}
	free(l->items);
	*l = (struct cow_pgconf_list){0};
}

static struct cow_pgconf_item *find(const struct cow_pgconf_list *l, const char *name)
{
	for (size_t k = 0; k < l->n; k++)
		if (strcasecmp(l->items[k].name, name) == 0)
			return &l->items[k];
	return NULL;
}

const char *cow_pgconf_list_get(const struct cow_pgconf_list *l, const char *name)
{
	struct cow_pgconf_item *i = find(l, name);

	return i ? i->value : NULL;
}

cow_errno cow_pgconf_list_set(struct cow_pgconf_list *l, const char *name, const char *value)
{
	struct cow_pgconf_item *i = find(l, name), *grown;
	CLEANUP_FREE char *n = strdup(name), *v = strdup(value);

	if (!n || !v)
		return -ENOMEM;
	if (i) {
		free(i->value);
		i->value = TAKE_PTR(v);
		return 0;
	}
	grown = realloc(l->items, (l->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->items = grown;
	l->items[l->n++] = (struct cow_pgconf_item){.name = TAKE_PTR(n), .value = TAKE_PTR(v)};
	return 0;
}

/* Recovery refuses to start, or cannot bring back prepared transactions, with less than the server
 * had that wrote the WAL. Only what the configuration does not give already is set. */
static cow_errno raise_limits(const struct cow_pgconf_facts *f, struct cow_pgconf_list *ret)
{
	const struct cow_pgcontrol *c = f->control;
	const struct {
		const char *name;
		uint32_t had, without; /* of the source; PostgreSQL's default */
	} limits[] = {
	    {"max_connections", c->max_connections, 100},
	    {"max_worker_processes", c->max_worker_processes, 8},
	    {"max_wal_senders", c->max_wal_senders, 10},
	    {"max_prepared_transactions", c->max_prepared_transactions, 0},
	    {"max_locks_per_transaction", c->max_locks_per_transaction, 64},
	};
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(limits) / sizeof(limits[0]); k++) {
		uint64_t now = limits[k].without;
		char text[64];

		if (cow_pgconf_get(f->conf, limits[k].name, text, sizeof(text)))
			now = strtoull(text, NULL, 0);
		if (now >= limits[k].had)
			continue;
		snprintf(text, sizeof(text), "%u", limits[k].had);
		r = cow_pgconf_list_set(ret, limits[k].name, text);
	}
	return r;
}

/* "$libdir/citus.so" is citus. */
static bool reaches_out(const char *library)
{
	const char *base = strncmp(library, "$libdir/", 8) == 0 ? library + 8 : library;
	size_t len = strlen(base);

	if (len > 3 && strcmp(base + len - 3, ".so") == 0)
		len -= 3;
	for (const struct cow_pgconf_library *l = cow_pgconf_reaching_out; l->name; l++)
		if (strlen(l->name) == len && memcmp(l->name, base, len) == 0)
			return true;
	return false;
}

static bool may_load(const struct cow_pgconf_facts *f, const char *library)
{
	return (!f->has_library || f->has_library(f->arg, library)) &&
	       (f->policy.keep_workers || !reaches_out(library));
}

/* The libraries of a comma-separated list that may be loaded; *ret_all: none was left out. `ret`
 * has room for the whole list. */
static void keep_libraries(const struct cow_pgconf_facts *f, char *list, char *ret, size_t size,
			   bool *ret_all)
{
	char *save = NULL;
	size_t at = 0;

	*ret = '\0';
	*ret_all = true;
	for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		size_t len;

		while (isspace((unsigned char)*w) || *w == '"')
			w++;
		for (len = strlen(w);
		     len && (isspace((unsigned char)w[len - 1]) || w[len - 1] == '"');)
			w[--len] = '\0';
		if (len == 0)
			continue;
		if (!may_load(f, w)) {
			*ret_all = false;
			continue;
		}
		at += (size_t)snprintf(ret + at, size - at, "%s%s", at ? "," : "", w);
	}
}

static cow_errno limit_libraries(const struct cow_pgconf_facts *f, struct cow_pgconf_list *ret)
{
	static const char *const names[] = {"shared_preload_libraries", "session_preload_libraries",
					    "local_preload_libraries"};
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(names) / sizeof(names[0]); k++) {
		char asked[4096], kept[4096];
		bool all;

		if (!cow_pgconf_get(f->conf, names[k], asked, sizeof(asked)))
			continue;
		keep_libraries(f, asked, kept, sizeof(kept), &all);
		if (!all)
			r = cow_pgconf_list_set(ret, names[k], kept);
	}
	return r;
}

static bool ssl_key_missing(const struct cow_pgconf_facts *f)
{
	static const char *const names[] = {"ssl_cert_file", "ssl_key_file"};
	static const char *const without[] = {"server.crt", "server.key"};

	for (size_t k = 0; k < 2; k++) {
		char path[4096];

		if (!cow_pgconf_get(f->conf, names[k], path, sizeof(path)))
			snprintf(path, sizeof(path), "%s", without[k]);
		if (path[0] == '/' || !f->has_file || !f->has_file(f->arg, path))
			return true;
	}
	return false;
}

static cow_errno add_rows(const struct cow_pgconf_row *row, int major, struct cow_pgconf_list *ret)
{
	cow_errno r = 0;

	for (; r == 0 && row->name; row++)
		if (major >= row->first && major <= row->last)
			r = cow_pgconf_list_set(ret, row->name, row->value);
	return r;
}

cow_errno cow_pgconf_override(const struct cow_pgconf_facts *f, struct cow_pgconf_list *ret)
{
	char ssl[64];
	cow_errno r = add_rows(cow_pgconf_table, f->major, ret);

	if (r == 0 && !f->policy.keep_subscriptions)
		r = add_rows(cow_pgconf_subscriptions, f->major, ret);
	if (r == 0 && !f->policy.keep_workers)
		r = add_rows(cow_pgconf_workers, f->major, ret);
	if (r == 0 && f->control)
		r = raise_limits(f, ret);
	/* Else recovery of a base backup ends in a panic over a directory in pg_tblspc. */
	if (r == 0 && f->in_place && f->major >= COW_PG_IN_PLACE)
		r = cow_pgconf_list_set(ret, "allow_in_place_tablespaces", "on");
	if (r == 0)
		r = limit_libraries(f, ret);
	if (r == 0 && cow_pgconf_get(f->conf, "ssl", ssl, sizeof(ssl)) && !cow_pgconf_is_off(ssl) &&
	    ssl_key_missing(f))
		r = cow_pgconf_list_set(ret, "ssl", "off");
	return r;
}
