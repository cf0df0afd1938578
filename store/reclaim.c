// SPDX-License-Identifier: Apache-2.0
/* reclaim: gc. Drops lineages that no point is in, and in the others what no point can see.
 *
 * Order (DESIGN 4.4, rules 2 and 8): dead records are deleted and that is made durable; every read
 * that began before has ended; only then are extent files unlinked or punched. A crash in between
 * leaves space that the next run frees. Only files of closed epochs are touched here. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"
#include "store/world.h"

enum { BATCH_RECORDS = 2000 };

/* Needed blocks of one chunk of one extent file: the first `prefix` ones, or those in `word`. */
struct need {
	uint64_t epoch, ino, chunk;
	uint64_t *word; /* NULL: prefix says it */
	uint32_t prefix;
};

struct work {
	struct cow_store *s;
	bool dry; /* only count */
	uint64_t lineage;
	struct cow_gc_result *got;
	struct cow_batch dead;
	struct need *need;
	size_t n, cap;
};

static void work_release(struct work *w)
{
	for (size_t k = 0; k < w->n; k++)
		free(w->need[k].word);
	free(w->need);
	cow_batch_release(&w->dead);
}

/* In order, so that a cut leaves an inode's own record until its chunks' are gone. */
static cow_errno flush_dead(struct work *w)
{
	cow_errno r = w->dead.count && !w->dry ? cow_kv_write(w->s->kv, &w->dead, false) : 0;

	w->got->records += w->dead.count;
	cow_batch_release(&w->dead);
	return r;
}

static int on_dead(const uint8_t *key, size_t klen, void *arg)
{
	struct work *w = arg;

	if (cow_store_ending(w->s))
		return -ECANCELED;
	cow_batch_del(&w->dead, key, klen);
	return w->dead.count < BATCH_RECORDS ? 0 : flush_dead(w);
}

static uint32_t prefix_of(const uint64_t word[16])
{
	uint32_t n = 0, total = 0;

	while (n < COW_CHUNK_BLOCKS && word[n / 64] >> n % 64 & 1)
		n++;
	for (int k = 0; k < 16; k++)
		total += (uint32_t)__builtin_popcountll(word[k]);
	return total == n ? n : 0;
}

static int on_block(uint64_t epoch, uint64_t ino, uint64_t chunk, const uint64_t word[16],
		    void *arg)
{
	struct work *w = arg;
	struct need *x;

	if (cow_store_ending(w->s))
		return -ECANCELED;
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 256;
		void *more = realloc(w->need, cap * sizeof(*w->need));

		if (!more)
			return -ENOMEM;
		w->need = more;
		w->cap = cap;
	}
	x = &w->need[w->n++];
	*x = (struct need){epoch, ino, chunk, NULL, prefix_of(word)};
	if (x->prefix)
		return 0;
	if (!(x->word = malloc(16 * sizeof(*word))))
		return -ENOMEM;
	memcpy(x->word, word, 16 * sizeof(*word));
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct need *x = a, *y = b;

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->chunk > y->chunk) - (x->chunk < y->chunk);
}

/* First need of the extent file, or n. */
static size_t first_need(const struct work *w, uint64_t epoch, uint64_t ino)
{
	const struct need want = {.epoch = epoch, .ino = ino};
	size_t lo = 0, hi = w->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (by_place(&w->need[mid], &want) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n && w->need[lo].epoch == epoch && w->need[lo].ino == ino ? lo : w->n;
}

static bool is_needed(const struct need *x, uint32_t block)
{
	return x->word ? x->word[block / 64] >> block % 64 & 1 : block < x->prefix;
}

static uint64_t bytes_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* A dry run counts what the host shows as data; asking it decides nothing (rule 7). */
static cow_errno punch_gap(const struct work *w, int fd, uint64_t from, uint64_t to)
{
	off_t data;

	if (!w->dry)
		return cow_os_punch(fd, from, to - from);
	data = lseek(fd, (off_t)from, SEEK_DATA);
	if (data >= 0 && (uint64_t)data < to)
		w->got->bytes += to - (uint64_t)data;
	return 0;
}

static uint64_t needed_bytes(const struct work *w, size_t k)
{
	uint64_t epoch = w->need[k].epoch, ino = w->need[k].ino, blocks = 0;

	for (; k < w->n && w->need[k].epoch == epoch && w->need[k].ino == ino; k++) {
		blocks += w->need[k].prefix;
		for (int b = 0; w->need[k].word && b < 16; b++)
			blocks += (uint64_t)__builtin_popcountll(w->need[k].word[b]);
	}
	return blocks * COW_BLOCK;
}

/* Everything of the file outside its needs. */
static cow_errno punch_file(const struct work *w, size_t k, int fd)
{
	uint64_t epoch = w->need[k].epoch, ino = w->need[k].ino, at = 0;
	struct stat st;
	cow_errno r = fstat(fd, &st) < 0 ? -errno : 0;

	if (r == 0 && (uint64_t)st.st_blocks * 512 <= needed_bytes(w, k))
		return 0; /* saves the calls where there is nothing to free */
	for (; r == 0 && k < w->n && w->need[k].epoch == epoch && w->need[k].ino == ino; k++) {
		uint64_t first = w->need[k].chunk * COW_CHUNK_BLOCKS;

		for (uint32_t b = 0; r == 0 && b < COW_CHUNK_BLOCKS; b++) {
			if (!is_needed(&w->need[k], b))
				continue;
			if (at < first + b)
				r = punch_gap(w, fd, at * COW_BLOCK, (first + b) * COW_BLOCK);
			at = first + b + 1;
		}
	}
	if (r == 0 && at * COW_BLOCK < (uint64_t)st.st_size)
		r = punch_gap(w, fd, at * COW_BLOCK, (uint64_t)st.st_size);
	return r;
}

/* Sums describe a closed file; they go with it, before it. */
static int add_del(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	cow_batch_del(arg, key, klen);
	return 0;
}

static cow_errno drop_sums(struct cow_store *s, uint64_t lineage, uint64_t epoch, uint64_t ino)
{
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_key k = cow_key_sum(lineage, epoch, ino, 0);
	cow_errno r = s->kv->ops->scan(s->kv, k.b, k.len - 8, NULL, 0, add_del, &b);

	return r == 0 && b.count ? cow_kv_write(s->kv, &b, false) : r;
}

static cow_errno free_file(struct work *w, uint64_t epoch, uint64_t ino)
{
	size_t k = first_need(w, epoch, ino);
	char path[64];
	CLEANUP_FD int fd = -1;
	uint64_t before;
	cow_errno r;

	cow_extent_path(w->lineage, epoch, ino, path);
	fd = cow_os_open(w->s->dirfd, path, k < w->n ? O_RDWR : O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	before = bytes_of(fd);
	if (k == w->n) {
		r = w->dry ? 0 : drop_sums(w->s, w->lineage, epoch, ino);
		if (r == 0 && !w->dry)
			r = cow_os_unlink(w->s->dirfd, path);
		w->got->files += r == 0;
		w->got->bytes += r == 0 ? before : 0;
		return r;
	}
	r = punch_file(w, k, fd);
	w->got->bytes += before - COW_MIN(before, bytes_of(fd));
	w->got->blocks += (before - COW_MIN(before, bytes_of(fd))) / COW_BLOCK;
	return r;
}

/* Every entry of a directory whose name is a number. `each` may remove it. */
static cow_errno each_number(struct cow_store *s, const char *path,
			     cow_errno (*each)(void *arg, uint64_t number), void *arg)
{
	CLEANUP_FD int fd = cow_os_open(s->dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	struct dirent *entry;
	DIR *d;
	cow_errno r = 0;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (!(d = fdopendir(fd)))
		return -errno;
	fd = -1; /* the stream's now */
	while (r == 0 && (entry = readdir(d))) {
		char *end;
		uint64_t number = strtoull(entry->d_name, &end, 16);

		if (*end == '\0' && end == entry->d_name + 16)
			r = each(arg, number);
	}
	closedir(d);
	return r;
}

struct epoch_walk {
	struct work *w;
	uint64_t epoch, head; /* head 0: every epoch is closed */
};

static cow_errno on_file(void *arg, uint64_t ino)
{
	struct epoch_walk *e = arg;

	return cow_store_ending(e->w->s) ? -ECANCELED : free_file(e->w, e->epoch, ino);
}

static cow_errno on_epoch(void *arg, uint64_t epoch)
{
	struct epoch_walk *e = arg;
	char path[64];
	cow_errno r;

	if (e->head && epoch >= e->head)
		return 0;
	e->epoch = epoch;
	snprintf(path, sizeof(path), "ext/%016" PRIx64 "/%016" PRIx64, e->w->lineage, epoch);
	r = each_number(e->w->s, path, on_file, e);
	if (r == 0 && !e->w->dry)
		unlinkat(e->w->s->dirfd, path, AT_REMOVEDIR); /* if it is empty now */
	return r;
}

static cow_errno free_space(struct work *w, uint64_t head)
{
	struct epoch_walk e = {.w = w, .head = head};
	char path[64];
	cow_errno r;

	if (w->n)
		qsort(w->need, w->n, sizeof(*w->need), by_place);
	if (!w->dry)
		cow_grace_wait(&w->s->grace);
	snprintf(path, sizeof(path), "ext/%016" PRIx64, w->lineage);
	r = each_number(w->s, path, on_epoch, &e);
	if (r == 0 && !head && !w->dry)
		unlinkat(w->s->dirfd, path, AT_REMOVEDIR);
	return r;
}

/* Everything of a lineage that no point is in; its own record last, for it says that the rest may
 * be there. */
static cow_errno drop_lineage(struct work *w)
{
	struct cow_key self = cow_key_lineage(w->lineage);
	cow_errno r = 0;

	for (const char *type = "CINOPX"; r == 0 && *type; type++) {
		struct cow_key k = cow_key_type1(*type, w->lineage);

		r = w->s->kv->ops->scan(w->s->kv, k.b, k.len, NULL, 0, add_del, &w->dead);
		if (r == 0)
			r = flush_dead(w);
	}
	cow_batch_del(&w->dead, self.b, self.len);
	if (r == 0 && !w->dry)
		r = cow_store_commit(w->s, &w->dead);
	cow_batch_release(&w->dead);
	if (r == 0)
		r = free_space(w, 0);
	w->got->lineages += r == 0;
	return r;
}

static cow_errno sweep_lineage(struct work *w, const struct cow_needs_points *p)
{
	const struct cow_needs_sink sink = {.dead = on_dead, .block = on_block, .arg = w};
	cow_errno r = cow_needs(w->s, w->lineage, p, &sink);

	if (r == 0)
		r = flush_dead(w);
	if (r == 0 && !w->dry)
		r = cow_store_commit(w->s, &w->dead); /* empty: what was put before is durable */
	return r == 0 ? free_space(w, p->head) : r;
}

/* 1 = the lineage is gone, and its parent has lost a point. */
static int reclaim_one(struct cow_store *s, const struct cow_world *world,
		       const struct cow_world_lineage *l, bool dry, struct cow_gc_result *got)
{
	CLEANUP(work_release)
	struct work w = {.s = s, .dry = dry, .lineage = l->id, .got = got};
	struct cow_needs_points p;
	cow_errno r;

	if (l->busy)
		return 0;
	if ((r = cow_world_points(world, l, &p)) < 0)
		return r;
	r = p.n ? sweep_lineage(&w, &p) : drop_lineage(&w);
	free(p.at);
	return r < 0 ? r : p.n == 0;
}

/* Directories of lineages that the map does not know: an unlink that a crash cut short. */
struct stray {
	struct cow_store *s;
	bool dry;
	struct cow_gc_result *got;
};

static cow_errno on_lineage_dir(void *arg, uint64_t id)
{
	struct stray *x = arg;
	CLEANUP(work_release)
	struct work w = {.s = x->s, .dry = x->dry, .lineage = id, .got = x->got};
	struct cow_lineage_rec rec;
	cow_errno r;

	pthread_mutex_lock(&x->s->admin);
	r = cow_lineage_get(x->s, id, &rec);
	pthread_mutex_unlock(&x->s->admin);
	return r == -ENOENT ? free_space(&w, 0) : 0;
}

static bool take_marks(struct cow_store *s, bool all, uint64_t **ret, size_t *ret_n)
{
	WITH_LOCK(&s->worker_lock);

	*ret = TAKE_PTR(s->gc_marks);
	*ret_n = s->n_gc_marks;
	s->n_gc_marks = s->cap_gc_marks = 0;
	all = all || s->gc_all;
	s->gc_all = false;
	return all;
}

static int reclaim_marked(struct cow_store *s, const uint64_t *marks, size_t n, bool all, bool dry,
			  struct cow_gc_result *got)
{
	struct cow_world world;
	int r;

	pthread_mutex_lock(&s->admin);
	r = cow_world_take(s, &world);
	pthread_mutex_unlock(&s->admin);
	for (size_t k = 0; r == 0 && k < world.n; k++) {
		bool marked = all;

		for (size_t m = 0; !marked && m < n; m++)
			marked = marks[m] == world.lineage[k].id;
		if (!marked)
			continue;
		r = reclaim_one(s, &world, &world.lineage[k], dry, got);
		if (r == 1) {
			if (world.lineage[k].parent && !dry)
				cow_background_gc(s, world.lineage[k].parent);
			r = 0;
		}
	}
	cow_world_release(&world);
	return r;
}

cow_errno cow_reclaim(struct cow_store *s, bool all, struct cow_gc_result *got)
{
	struct stray x = {s, false, got};
	uint64_t *marks;
	size_t n;
	int r = 0;
	WITH_LOCK(&s->reclaiming);

	if (!s->numbers_agree)
		return 0; /* the map went back in time: what looks like garbage may not be */
	while (r == 0) {
		all = take_marks(s, all, &marks, &n);
		if (all || n)
			r = reclaim_marked(s, marks, n, all, false, got);
		free(marks);
		if (!all && !n)
			break;
		if (all && r == 0)
			r = each_number(s, "ext", on_lineage_dir, &x);
		all = false; /* what follows are the parents of what went */
	}
	if (r < 0) { /* the marks are taken: look at all, the next time */
		pthread_mutex_lock(&s->worker_lock);
		s->gc_all = true;
		pthread_mutex_unlock(&s->worker_lock);
	}
	return r;
}

cow_errno cow_gc_run(struct cow_store *s, struct cow_gc_result *ret, struct cow_error *e)
{
	cow_errno r;

	*ret = (struct cow_gc_result){0};
	/* What is only in memory still needs its older versions in the map. */
	if ((r = cow_store_push(s)) < 0)
		return cow_fail(e, r, "the store cannot be synced: %s", strerror(-r));
	cow_background_trims(s);
	cow_deleted_expire(s);
	r = cow_reclaim(s, true, ret);
	cow_room_turn(&s->room);
	return r < 0 ? cow_fail(e, r, "gc stopped: %s", strerror(-r)) : 0;
}

cow_errno cow_leaks(struct cow_store *s, struct cow_gc_result *ret)
{
	struct stray x = {s, true, ret};
	int r;
	WITH_LOCK(&s->reclaiming);

	r = reclaim_marked(s, NULL, 0, true, true, ret);

	return r < 0 ? r : each_number(s, "ext", on_lineage_dir, &x);
}
