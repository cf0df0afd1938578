// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/history.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/daemon/json_text.h"

static void path_of(const char *store, const char *id, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/log/history-%s.jsonl", store, id);
}

/* The owner of the store reads it, whoever started a server. */
static void give_to_owner(const char *store, int fd)
{
	struct stat st;

	if (geteuid() == 0 && stat(store, &st) == 0 && st.st_uid != 0 &&
	    fchown(fd, st.st_uid, st.st_gid) < 0)
		return;
}

static int open_for_adding(const char *store, const char *id)
{
	char path[PATH_MAX], before[PATH_MAX + 4];
	struct stat st, now;
	int fd;

	path_of(store, id, path);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd;
	if (st.st_size == 0)
		give_to_owner(store, fd);
	if (st.st_size < HISTORY_BYTES)
		return fd;
	/* Who finds another file there came second: the fresh one must not go over the full one. */
	snprintf(before, sizeof(before), "%s.1", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && stat(path, &now) == 0 && now.st_ino == st.st_ino)
		rename(path, before);
	close(fd);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		give_to_owner(store, fd);
	return fd;
}

void history_add(const char *store, const char *id, const char *event, const char *message)
{
	CLEANUP_FREE char *text = NULL;
	char first[HISTORY_MESSAGE];
	struct timespec t;
	json_t *line;
	size_t n;

	if (!id || !*id)
		return;
	clock_gettime(CLOCK_REALTIME, &t);
	snprintf(first, sizeof(first), "%.*s", message ? (int)strcspn(message, "\n") : 0,
		 message ? message : "");
	/* A client calls itself what it likes. */
	for (char *c = first; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	line = json_pack("{s:o,s:s,s:o}", "time",
			 json_time((int64_t)t.tv_sec * 1000000000 + t.tv_nsec), "event", event,
			 "message", first[0] ? json_text(first) : json_null());
	text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	if (!text)
		return;
	n = strlen(text);
	text[n] = '\n'; /* in place of the NUL */
	{
		CLEANUP_FD int fd = open_for_adding(store, id);

		/* Whole or not at all: of two who write at once neither cuts the other's line. */
		if (fd >= 0 && write(fd, text, n + 1) < 0)
			return;
	}
}

static void read_file(const char *path, json_t *lines)
{
	FILE *f = fopen(path, "re");
	size_t size = 0;
	char *line = NULL;

	while (f && getline(&line, &size, f) > 0) {
		json_t *v = json_loads(line, 0, NULL);

		/* One that was cut by a full disk is none. */
		if (json_is_string(json_object_get(v, "time")) &&
		    json_is_string(json_object_get(v, "event"))) {
			json_object_set_new(v, "name", json_null());
			json_array_append(lines, v);
		}
		json_decref(v);
	}
	free(line);
	if (f)
		fclose(f);
}

void history_read(const char *store, const char *id, size_t most, json_t *events)
{
	char path[PATH_MAX], before[PATH_MAX + 4];
	json_t *lines = json_array();
	size_t n;

	path_of(store, id, path);
	snprintf(before, sizeof(before), "%s.1", path);
	read_file(before, lines);
	read_file(path, lines);
	n = json_array_size(lines);
	for (size_t k = n > most ? n - most : 0; k < n; k++)
		json_array_append(events, json_array_get(lines, k));
	json_decref(lines);
}
