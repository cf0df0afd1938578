// SPDX-License-Identifier: Apache-2.0
/* residue: lists the files and shares them out to threads. The largest come first, so that all
 * threads end together; whoever reads the last segment of a relation puts its chunks together. */
#include "tools/golden/residue.h"

#include <ctype.h>
#include <errno.h>
#include <fts.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/relmap.h"
#include "tools/golden/residue_parts.h"

#define THREADS_MAX 16u

cow_errno scan_fail(struct scan *s, cow_errno r, const char *fmt, ...)
{
	char text[sizeof(s->why.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	WITH_LOCK(&s->lock);
	if (s->error == 0)
		s->error = cow_fail(&s->why, r, "%s", text);
	return r;
}

bool scan_stopped(struct scan *s)
{
	return __atomic_load_n(&s->error, __ATOMIC_RELAXED) != 0;
}

void scan_progress(struct scan *s, uint64_t bytes)
{
	WITH_LOCK(&s->lock);
	s->done += bytes;
	if (s->how->progress)
		s->how->progress(s->how->arg, s->done, s->total);
}

/* --- the list --- */

static enum file_kind kind_of(const char *path, bool relation)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	if (strstr(path, "pgsql_tmp"))
		return FILE_SPILL;
	if (relation)
		return FILE_RELATION;
	if (strncmp(path, "pg_wal/", 7) == 0 && strspn(name, "0123456789ABCDEF") == 24)
		return FILE_WAL;
	return FILE_OTHER;
}

static struct relation_file *relation_of(struct scan *s, const char *path)
{
	struct relation_file *f;

	for (size_t k = s->n_relations; k > 0; k--) /* segments follow each other */
		if (strcmp(s->relations[k - 1]->path, path) == 0)
			return s->relations[k - 1];
	if (s->n_relations == s->relations_room) {
		size_t larger = s->relations_room ? s->relations_room * 2 : 512;
		void *fresh = reallocarray(s->relations, larger, sizeof(void *));

		if (!fresh)
			return NULL;
		s->relations = fresh;
		s->relations_room = larger;
	}
	f = calloc(1, sizeof(*f));
	if (!f || !(f->path = strdup(path))) {
		free(f);
		return NULL;
	}
	pthread_mutex_init(&f->lock, NULL);
	return s->relations[s->n_relations++] = f;
}

static cow_errno add_file(struct scan *s, const char *path, uint64_t size)
{
	char base[512];
	bool main_fork = false, relation;
	struct file f = {.size = size};

	if (s->n == s->room) {
		size_t larger = s->room ? s->room * 2 : 1024;
		struct file *fresh = reallocarray(s->files, larger, sizeof(*fresh));

		if (!fresh)
			return -ENOMEM;
		s->files = fresh;
		s->room = larger;
	}
	relation = relmap_split(path, base, sizeof(base), &f.segment, &main_fork);
	f.kind = kind_of(path, relation);
	f.path = strdup(path);
	if (f.path && f.kind == FILE_RELATION && main_fork) {
		f.relation = relation_of(s, base);
		if (!f.relation) {
			free(f.path);
			return -ENOMEM;
		}
		f.relation->waiting++;
	}
	if (!f.path)
		return -ENOMEM;
	s->files[s->n++] = f;
	s->total += size;
	return 0;
}

/* Links are followed: a tablespace belongs to the branch. */
static cow_errno list_files(struct scan *s)
{
	char *const roots[] = {(char *)s->how->dir, NULL};
	FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	size_t skip = strlen(s->how->dir);
	cow_errno r = walk ? 0 : -errno;
	FTSENT *e;

	if (r < 0)
		return scan_fail(s, r, "cannot list %s: %s", s->how->dir, strerror(-r));
	while (r == 0 && (e = fts_read(walk))) {
		const char *path = e->fts_path + skip;

		while (*path == '/')
			path++;
		if (e->fts_info == FTS_F)
			r = add_file(s, path, (uint64_t)e->fts_statp->st_size);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR ||
			 e->fts_info == FTS_NS || e->fts_info == FTS_SLNONE)
			r = e->fts_errno ? -e->fts_errno : -ENOENT;
		if (r < 0)
			scan_fail(s, r, "cannot list %s: %s", e->fts_path, strerror(-r));
	}
	fts_close(walk);
	return r;
}

static int by_size(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->size > y->size ? -1 : x->size < y->size;
}

/* --- threads --- */

/* Segments of the WAL are one row of bytes: whoever gets the first reads all. */
static bool take_wal(struct scan *s)
{
	WITH_LOCK(&s->lock);
	if (s->wal_taken)
		return false;
	return s->wal_taken = true;
}

static bool was_last(struct relation_file *f)
{
	WITH_LOCK(&f->lock);
	return --f->waiting == 0;
}

static void read_one(struct reader *r, const struct file *f)
{
	r->file = f;
	r->path = f->path;
	if (f->kind == FILE_WAL) {
		if (take_wal(r->scan))
			reader_wal(r);
		return;
	}
	reader_file(r, f);
	if (f->kind == FILE_SPILL && !scan_stopped(r->scan))
		reader_tapes(r, f);
	if (f->relation && was_last(f->relation) && !scan_stopped(r->scan))
		reader_relation(r, f->relation);
}

static const struct file *next_file(struct scan *s)
{
	WITH_LOCK(&s->lock);
	return s->error == 0 && s->next < s->n ? &s->files[s->next++] : NULL;
}

static void *work(void *arg)
{
	struct scan *s = arg;
	struct reader r = {.scan = s, .place = "plain"};
	const struct file *f;

	while ((f = next_file(s)))
		read_one(&r, f);
	free(r.scratch);
	free(r.covered);
	WITH_LOCK(&s->lock);
	s->result->bytes += r.bytes;
	s->result->unpacked += r.unpacked;
	s->result->unpacked_bytes += r.unpacked_bytes;
	s->result->toasted += r.toasted;
	s->result->wal_records += r.wal_records;
	s->result->wal_images += r.wal_images;
	return NULL;
}

static void run_threads(struct scan *s)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = s->how->threads ? s->how->threads : (size_t)COW_MAX(processors, 1L), started;
	pthread_t threads[THREADS_MAX];

	n = COW_MIN(n, (size_t)THREADS_MAX);
	for (started = 0; started + 1 < n; started++)
		if (pthread_create(&threads[started], NULL, work, s) != 0)
			break;
	work(s);
	while (started > 0)
		pthread_join(threads[--started], NULL);
}

static void release(struct scan *s)
{
	for (size_t k = 0; k < s->n; k++)
		free(s->files[k].path);
	for (size_t k = 0; k < s->n_relations; k++) {
		free(s->relations[k]->path);
		free(s->relations[k]->chunks);
		free(s->relations[k]);
	}
	free(s->files);
	free(s->relations);
}

cow_errno residue_run(const struct residue_scan *how, struct residue_result *ret,
		      struct cow_error *e)
{
	struct scan s = {.how = how, .result = ret, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct timespec t0, t1;

	*ret = (struct residue_result){0};
	clock_gettime(CLOCK_MONOTONIC, &t0);
	if (list_files(&s) == 0) {
		qsort(s.files, s.n, sizeof(*s.files), by_size);
		run_threads(&s);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	ret->files = s.n;
	ret->ms = (uint64_t)((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000);
	release(&s);
	if (s.error == 0)
		return 0;
	if (e)
		*e = s.why;
	return s.error;
}

void residue_release(struct residue_result *r)
{
	for (size_t k = 0; k < r->listed; k++) {
		free(r->hits[k].what);
		free(r->hits[k].where);
		free(r->hits[k].file);
	}
	free(r->hits);
	*r = (struct residue_result){0};
}
