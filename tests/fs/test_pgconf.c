// SPDX-License-Identifier: Apache-2.0
/* What is read from PostgreSQL's configuration files, and what is written into them. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/pgconf.h"
#include "fs/pgcontrol.h"
#include "store/cleanup.h"

static char *value_of(const char *text, const char *name)
{
	static char buf[256];

	return cow_pgconf_get(text, name, buf, sizeof(buf)) ? buf : NULL;
}

static bool no_library(void *arg, const char *name)
{
	return strcmp(name, "here") == 0;
}

static bool every_file(void *arg, const char *path)
{
	return true;
}

static struct cow_pgconf_list overrides(struct cow_pgconf_facts f)
{
	struct cow_pgconf_list l = {0};

	if (!f.conf)
		f.conf = "";
	cr_assert_eq(cow_pgconf_override(&f, &l), 0);
	return l;
}

/* The grammar of a line is PostgreSQL's: quotes, escapes, comments, an optional equals sign. */
Test(pgconf, reads_lines_as_postgres_does)
{
	const char *text =
	    "a = 1\nB 'two words' # note\nc='it''s'\nd = 'x\\'y'\n#e = 5\nf=3#c\n a = 2\n";

	cr_assert_str_eq(value_of(text, "a"), "2");
	cr_assert_str_eq(value_of(text, "b"), "two words");
	cr_assert_str_eq(value_of(text, "c"), "it's");
	cr_assert_str_eq(value_of(text, "d"), "x'y");
	cr_assert_null(value_of(text, "e"));
	cr_assert_str_eq(value_of(text, "f"), "3");
	cr_assert_null(value_of("", "a"));
}

/* PostgreSQL refuses to start over a setting it does not know: the table must not offer any. */
Test(pgconf, offers_only_what_the_version_knows)
{
	const struct {
		const char *name;
		int first, last;
	} known[] = {
	    {"archive_library", 15, 18},
	    {"promote_trigger_file", 12, 15},
	    {"recovery_init_sync_method", 14, 18},
	    {"stats_temp_directory", 12, 14},
	    {"io_method", 18, 18},
	    {"synchronized_standby_slots", 17, 18},
	    {"fsync", 12, 18},
	};

	for (int major = COW_PG_FIRST; major <= COW_PG_LAST; major++) {
		struct cow_pgconf_list l = overrides((struct cow_pgconf_facts){.major = major});

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			cr_expect_eq(cow_pgconf_list_get(&l, known[k].name) != NULL,
				     major >= known[k].first && major <= known[k].last, "%s in %d",
				     known[k].name, major);
		cow_pgconf_list_release(&l);
	}
}

/* Prepared transactions come back only when there is as much room for them as there was. */
Test(pgconf, raises_limits_to_those_of_the_source_and_never_lowers_them)
{
	const struct cow_pgcontrol c = {.max_connections = 300,
					.max_worker_processes = 8,
					.max_wal_senders = 10,
					.max_prepared_transactions = 7,
					.max_locks_per_transaction = 64};
	struct cow_pgconf_list l = overrides((struct cow_pgconf_facts){
	    .major = 15, .control = &c, .conf = "max_connections = 500\n"});

	cr_assert_null(cow_pgconf_list_get(&l, "max_connections"));
	cr_assert_null(cow_pgconf_list_get(&l, "max_wal_senders"));
	cr_assert_str_eq(cow_pgconf_list_get(&l, "max_prepared_transactions"), "7");
	cow_pgconf_list_release(&l);
}

Test(pgconf, keeps_only_libraries_that_exist)
{
	struct cow_pgconf_list l = overrides(
	    (struct cow_pgconf_facts){.major = 15,
				      .has_library = no_library,
				      .conf = "shared_preload_libraries = 'gone, "
					      "here,\"gone2\"'\nsession_preload_libraries=here\n"});

	cr_assert_str_eq(cow_pgconf_list_get(&l, "shared_preload_libraries"), "here");
	cr_assert_null(cow_pgconf_list_get(&l, "session_preload_libraries"));
	cow_pgconf_list_release(&l);
}

/* What a fork keeps is said by its policy: by default neither jobs nor workers that talk to others.
 */
Test(pgconf, leaves_out_libraries_that_reach_out_unless_the_policy_keeps_them)
{
	const char *conf = "shared_preload_libraries = 'citus, pg_stat_statements, "
			   "$libdir/pglogical.so'\n";
	struct cow_pgconf_list safe =
	    overrides((struct cow_pgconf_facts){.major = 15, .conf = conf});
	struct cow_pgconf_list kept = overrides(
	    (struct cow_pgconf_facts){.major = 15, .conf = conf, .policy = {.keep_workers = true}});

	cr_assert_str_eq(cow_pgconf_list_get(&safe, "shared_preload_libraries"),
			 "pg_stat_statements");
	cr_assert_str_eq(cow_pgconf_list_get(&safe, "cron.max_running_jobs"), "0");
	cr_assert_str_eq(cow_pgconf_list_get(&safe, "cron.use_background_workers"), "off");
	cr_assert_str_eq(cow_pgconf_list_get(&safe, "max_logical_replication_workers"), "0");
	cr_assert_null(cow_pgconf_list_get(&kept, "shared_preload_libraries"));
	cr_assert_null(cow_pgconf_list_get(&kept, "cron.max_running_jobs"));
	cr_assert_null(cow_pgconf_list_get(&kept, "cron.use_background_workers"));
	cr_assert_str_eq(cow_pgconf_list_get(&kept, "max_logical_replication_workers"), "0");
	cow_pgconf_list_release(&safe);
	cow_pgconf_list_release(&kept);
	kept = overrides(
	    (struct cow_pgconf_facts){.major = 15, .policy = {.keep_subscriptions = true}});
	cr_assert_null(cow_pgconf_list_get(&kept, "max_logical_replication_workers"));
	cow_pgconf_list_release(&kept);
}

Test(pgconf, switches_ssl_off_when_its_key_is_not_in_the_branch)
{
	struct cow_pgconf_list out = overrides((struct cow_pgconf_facts){
	    .major = 15, .has_file = every_file, .conf = "ssl = on\nssl_key_file = '/etc/key'\n"});
	struct cow_pgconf_list in = overrides(
	    (struct cow_pgconf_facts){.major = 15, .has_file = every_file, .conf = "ssl = on\n"});

	cr_assert_str_eq(cow_pgconf_list_get(&out, "ssl"), "off");
	cr_assert_null(cow_pgconf_list_get(&in, "ssl"));
	cow_pgconf_list_release(&out);
	cow_pgconf_list_release(&in);
}

/* A branch of a branch of a branch: the section is replaced, not repeated, and what the user set
 * stays. */
Test(pgconf, section_is_replaced_and_foreign_lines_stay)
{
	struct cow_pgconf_list l = {0};
	CLEANUP_FREE char *once = NULL, *twice = NULL, *foreign = NULL;

	cow_pgconf_list_set(&l, "archive_mode", "off");
	cow_pgconf_list_set(&l, "x.quoted", "it's \\ here");
	once = cow_pgconf_with_section("# head\nwork_mem = '1GB'\narchive_mode = on\n", &l);
	twice = cow_pgconf_with_section(once, &l);
	cr_assert_str_eq(once, twice);
	cr_assert_str_eq(value_of(once, "work_mem"), "1GB");
	cr_assert_str_eq(value_of(once, "archive_mode"), "off");
	cr_assert_str_eq(value_of(once, "x.quoted"), "it's \\ here");
	foreign = cow_pgconf_without_section(twice);
	cr_assert_str_eq(foreign, "# head\nwork_mem = '1GB'\n");
	cow_pgconf_list_release(&l);
}

/* ALTER SYSTEM writes the file anew without comments: our lines stay, the marks are gone. */
Test(pgconf, section_without_its_marks_is_still_replaced)
{
	struct cow_pgconf_list l = {0};
	CLEANUP_FREE char *text = NULL;

	cow_pgconf_list_set(&l, "archive_mode", "off");
	text = cow_pgconf_with_section("archive_mode = 'off'\n", &l);
	cr_assert_eq(strstr(strstr(text, "archive_mode") + 1, "archive_mode"), NULL);
	cow_pgconf_list_release(&l);
}

Test(pgconf, disables_what_leads_out_of_the_branch)
{
	const char *bad[] = {"data_directory = '/var/lib/x'", "DATA_DIRECTORY 'relative'",
			     "hba_file='/etc/hba'",           "include '/etc/x.conf'",
			     "include_dir = '../conf.d'",     "include_if_exists 'a/../../b'",
			     "external_pid_file = 'x'",       "ident_file = '/x'"};
	const char *good[] = {"hba_file = 'conf/hba'", "include_dir = 'conf.d'",
			      "include 'a..b.conf'",   "# data_directory = 'x'",
			      "work_mem = '4MB'",      ""};
	size_t n;

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		CLEANUP_FREE char *text = cow_pgconf_disable_outside(bad[k], &n);

		cr_expect_eq(n, 1, "%s", bad[k]);
		cr_expect(text[0] == '#' && strstr(text, bad[k]), "%s", text);
	}
	for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
		CLEANUP_FREE char *text = cow_pgconf_disable_outside(good[k], &n);

		cr_expect_eq(n, 0, "%s", good[k]);
	}
}

Test(pgconf, knows_every_way_to_write_off)
{
	cr_assert(cow_pgconf_is_off("off") && cow_pgconf_is_off("OF") &&
		  cow_pgconf_is_off("false") && cow_pgconf_is_off("f") && cow_pgconf_is_off("no") &&
		  cow_pgconf_is_off("0"));
	cr_assert_not(cow_pgconf_is_off("on") || cow_pgconf_is_off("o") || cow_pgconf_is_off("1") ||
		      cow_pgconf_is_off("true") || cow_pgconf_is_off("") ||
		      cow_pgconf_is_off("offf"));
}
