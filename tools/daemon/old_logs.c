// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/old_logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/branch.h"
#include "tools/daemon/branch_json.h"
#include "tools/pg/pgplace.h"

/* A branch that is being renamed has its log under the old name for a moment. */
#define QUIET_S 86400
#define EVERY_S 3600

/* Names of files that stay: keys of an object. */
static int keep(const struct cow_branch_info *b, json_t *files)
{
	char slug[PGPLACE_SLUG], id[BRANCH_ID_SIZE], name[PGPLACE_SLUG + 32];

	pgplace_slug(b->name, slug);
	snprintf(name, sizeof(name), "postgres-%s.log", slug);
	json_object_set_new(files, name, json_true());
	branch_id_text(b->id, id);
	snprintf(name, sizeof(name), "history-%s.jsonl", id);
	return json_object_set_new(files, name, json_true());
}

static int keep_branch(const struct cow_branch_info *b, void *files)
{
	return keep(b, files);
}

static int keep_deleted(const struct cow_deleted_info *d, void *files)
{
	return keep(&d->b, files);
}

static bool is_of_a_branch(const char *file)
{
	return strncmp(file, "postgres-", 9) == 0 || strncmp(file, "history-", 8) == 0;
}

/* "NAME.1" is the one before NAME. */
static bool is_kept(const json_t *files, const char *file)
{
	size_t n = strlen(file);
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%.*s",
		 (int)(n > 2 && strcmp(file + n - 2, ".1") == 0 ? n - 2 : n), file);
	return json_object_get(files, name);
}

static void remove_from(DIR *d, const json_t *files)
{
	time_t now = time(NULL);
	struct dirent *de;
	struct stat st;

	while ((de = readdir(d)))
		if (is_of_a_branch(de->d_name) && !is_kept(files, de->d_name) &&
		    fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    now - st.st_mtim.tv_sec > QUIET_S)
			unlinkat(dirfd(d), de->d_name, 0);
}

/* To list all branches takes longer than to delete one. */
static bool looked_lately(void)
{
	static _Atomic int64_t next_s;
	struct timespec t;
	int64_t at = next_s;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec < at || !atomic_compare_exchange_strong(&next_s, &at, t.tv_sec + EVERY_S);
}

void old_logs_remove(struct engine *g)
{
	json_t *files;
	char path[PATH_MAX];
	DIR *d;

	if (looked_lately())
		return;
	files = json_object();
	snprintf(path, sizeof(path), "%s/log", cow_store_path(g->store));
	d = opendir(path);
	/* A list that is not whole would take the logs of others. */
	if (d && files && cow_branch_each(g->store, keep_branch, files) == 0 &&
	    cow_deleted_each(g->store, keep_deleted, files) == 0)
		remove_from(d, files);
	if (d)
		closedir(d);
	json_decref(files);
}
