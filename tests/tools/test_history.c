// SPDX-License-Identifier: Apache-2.0
/* The history of a branch: in order, bounded, and nothing that a client says breaks it. */
#include "tools/daemon/history.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char store[] = "/tmp/cowfs-history.XXXXXX", file[100], before[104];

static void set_up(void)
{
	char log[64];

	cr_assert(mkdtemp(store));
	snprintf(log, sizeof(log), "%s/log", store);
	snprintf(file, sizeof(file), "%s/history-br-1.jsonl", log);
	snprintf(before, sizeof(before), "%s.1", file);
	cr_assert_eq(mkdir(log, 0700), 0);
}

static void tear_down(void)
{
	char log[64];

	unlink(file);
	unlink(before);
	snprintf(log, sizeof(log), "%s/log", store);
	rmdir(log);
	rmdir(store);
}

TestSuite(history, .init = set_up, .fini = tear_down, .timeout = 60);

/* The caller frees. */
static json_t *read_all(size_t most)
{
	json_t *events = json_array();

	history_read(store, "br-1", most, events);
	return events;
}

static const char *message(const json_t *events, size_t k)
{
	return json_string_value(json_object_get(json_array_get(events, k), "message"));
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_size;
}

Test(history, what_was_said_last_comes_last_and_one_line_is_one_event)
{
	json_t *events;

	history_add(store, "br-1", "started", "first");
	history_add(store, "br-1", "crashed", "by signal 9; the end:\nof its log");
	history_add(store, "br-1", "started", "a client: \x1b[31mred\t\"{}\" \xff");
	history_add(store, "br-1", "ended", NULL);
	events = read_all(100);
	cr_assert_eq(json_array_size(events), 4);
	cr_assert_str_eq(message(events, 0), "first");
	cr_assert_str_eq(message(events, 1), "by signal 9; the end:");
	cr_assert_str_eq(message(events, 2), "a client: ?[31mred?\"{}\" ?");
	cr_assert_null(message(events, 3));
	json_decref(events);
	events = read_all(2);
	cr_assert_eq(json_array_size(events), 2);
	cr_assert_null(message(events, 1));
	json_decref(events);
}

Test(history, a_store_without_a_log_folder_or_an_id_is_no_reason_to_fail)
{
	history_add("/nowhere", "br-1", "started", "x");
	history_add(store, "", "started", "x");
	history_add(store, NULL, "started", "x");
	cr_assert_eq(size_of(file), 0);
}

Test(history, a_cut_line_is_left_out)
{
	FILE *f = fopen(file, "w");
	json_t *events;

	fputs("{\"time\": \"2026-01-01T00:00:00Z\", \"ev\n7\n[]\n{\"event\": 1}\n", f);
	fclose(f);
	history_add(store, "br-1", "started", "whole");
	events = read_all(100);
	cr_assert_eq(json_array_size(events), 1);
	json_decref(events);
}

static void *add_many(void *arg)
{
	char text[64];

	for (int k = 0; k < 2000; k++) {
		snprintf(text, sizeof(text), "%s number %d of a day with many clients",
			 (const char *)arg, k);
		history_add(store, "br-1", "started", text);
	}
	return NULL;
}

Test(history, is_bounded_whoever_writes_and_keeps_the_newest)
{
	pthread_t other;
	json_t *events;
	size_t n;

	pthread_create(&other, NULL, add_many, (void *)"other");
	add_many((void *)"own");
	pthread_join(other, NULL);
	history_add(store, "br-1", "stopped", "the last");
	cr_assert_leq(size_of(file), HISTORY_BYTES + 1024);
	cr_assert_leq(size_of(before), HISTORY_BYTES + 1024);
	events = read_all(100000);
	n = json_array_size(events);
	cr_assert_geq(n, 500);
	cr_assert_leq(n, 3000);
	cr_assert_str_eq(message(events, n - 1), "the last");
	json_decref(events);
}
