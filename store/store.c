// SPDX-License-Identifier: Apache-2.0
/* store: making, opening and closing. Opening assembles the layers bottom-up, a paragraph each. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/log.h"
#include "store/os.h"
#include "store/recover.h"

#define VERSION_WORD "cowfs store"

static cow_errno must_be_empty(const char *path, struct cow_error *e)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	bool store = false, other = false;

	if (!d)
		return cow_fail(e, -errno, "cannot open %s: %s", path, strerror(errno));
	while ((entry = readdir(d))) {
		store = store || strcmp(entry->d_name, "VERSION") == 0;
		other = other || (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."));
	}
	closedir(d);
	if (store) {
		cow_fail(e, -EEXIST, "%s holds a store already", path);
		return cow_hint(e, -EEXIST, "Use it as it is, or name another directory.");
	}
	if (!other)
		return 0;
	cow_fail(e, -ENOTEMPTY, "%s holds other things", path);
	return cow_hint(e, -ENOTEMPTY,
			"Name a directory that does not exist yet, or an empty one.");
}

static cow_errno fill_new(const char *path, int dirfd, struct cow_error *e)
{
	CLEANUP_FREE char *map = NULL;
	CLEANUP(cow_batch_release) struct cow_batch b = {0};
	struct cow_kv *kv = NULL;
	char version[64];
	int n = snprintf(version, sizeof(version), VERSION_WORD " %d\n", COW_FORMAT_VERSION);
	cow_errno r;

	if ((r = cow_os_mkdir(dirfd, "map", 0700)) < 0 ||
	    (r = cow_os_mkdir(dirfd, "ext", 0700)) < 0)
		return cow_fail(e, r, "cannot make directories in %s: %s", path, strerror(-r));
	if (asprintf(&map, "%s/map", path) < 0)
		return -ENOMEM;
	if ((r = cow_kv_rocks_open(map, true, &kv, e)) < 0)
		return r;
	cow_meta_put(&b, "commit", 1);
	r = cow_kv_write(kv, &b, true);
	kv->ops->close(kv);
	if (r == 0)
		r = cow_os_replace(dirfd, "COMMIT", "1 clean\n", 8);
	/* Last: a directory without VERSION is no store. */
	if (r == 0)
		r = cow_os_replace(dirfd, "VERSION", version, (size_t)n);
	return r < 0 ? cow_fail(e, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	if (at->level > 0)
		remove(path);
	return 0;
}

/* It was empty before, so all that is in it now is ours. */
static void leave_nothing(const char *path, bool made)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	if (made)
		rmdir(path);
}

cow_errno cow_store_create(const char *path, struct cow_error *e)
{
	CLEANUP_FD int dirfd = -1;
	bool made = mkdir(path, 0700) == 0;
	cow_errno r = made ? 0 : -errno;

	if (r < 0 && r != -EEXIST) {
		cow_fail(e, r, "cannot make %s: %s", path, strerror(-r));
		return r == -ENOENT ? cow_hint(e, r, "Make the directory above it first.") : r;
	}
	if ((r = must_be_empty(path, e)) < 0)
		return r;
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return cow_fail(e, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fchmod(dirfd, 0700) < 0)
		return cow_fail(e, -errno, "cannot restrict %s: %s", path, strerror(errno));
	if ((r = fill_new(path, dirfd, e)) < 0)
		leave_nothing(path, made);
	return r;
}

static cow_errno check_version(struct cow_store *s, struct cow_error *e)
{
	char text[128];
	int version = 0;
	cow_errno r = cow_os_read_small(s->dirfd, "VERSION", text, sizeof(text));

	if (r < 0 || sscanf(text, VERSION_WORD " %d", &version) != 1) {
		cow_fail(e, -EINVAL, "%s is not a cowfs store", s->path);
		return cow_hint(e, -EINVAL, "Make one with 'cowfs init %s'.", s->path);
	}
	if (version > COW_FORMAT_VERSION) {
		cow_fail(e, -EPROTO, "%s has format %d, this cowfs knows up to %d", s->path,
			 version, COW_FORMAT_VERSION);
		return cow_hint(e, -EPROTO, "Use the newer cowfs that wrote it.");
	}
	return 0;
}

/* flock: gone with the process, however it ends. The pid in the file is for people. */
static cow_errno take_lock(struct cow_store *s, struct cow_error *e)
{
	char pid[32] = "";
	ssize_t n;

	s->lock_fd = cow_os_open(s->dirfd, "LOCK", O_RDWR | O_CREAT, 0600);
	if (s->lock_fd < 0)
		return cow_fail(e, s->lock_fd, "cannot open %s/LOCK: %s", s->path,
				strerror(-s->lock_fd));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
		cow_fail(e, -EBUSY, "store %s is open in another process (pid %s)", s->path, pid);
		return cow_hint(e, -EBUSY, "Wait for it, or unmount the store.");
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) < 0)
		return cow_fail(e, -errno, "cannot write %s/LOCK: %s", s->path, strerror(errno));
	return 0;
}

static uint32_t file_limit(const struct cow_store_options *o)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = COW_MIN(lim.rlim_max, (rlim_t)65536);
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	if (o->max_files)
		return o->max_files;
	return getrlimit(RLIMIT_NOFILE, &lim) < 0 ? 512 : (uint32_t)(lim.rlim_cur / 2);
}

static struct cow_store *store_new(const char *path, const struct cow_store_options *o)
{
	struct cow_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->path = realpath(path, NULL);
	if (!s->path)
		s->path = strdup(path);
	s->dirfd = s->lock_fd = s->room.map.fd = s->room.data.fd = -1;
	if (o)
		s->options = *o;
	if (!s->options.cache_bytes)
		s->options.cache_bytes = 64u << 20;
	cow_grace_init(&s->grace);
	pthread_mutex_init(&s->reclaiming, NULL);
	pthread_mutex_init(&s->admin, NULL);
	pthread_mutex_init(&s->lives_lock, NULL);
	pthread_mutex_init(&s->ids, NULL);
	pthread_mutex_init(&s->branch_names.lock, NULL);
	pthread_mutex_init(&s->touched_lock, NULL);
	pthread_mutex_init(&s->worker_lock, NULL);
	pthread_cond_init(&s->worker_wake, NULL);
	TAILQ_INIT(&s->lives);
	TAILQ_INIT(&s->trims);
	TAILQ_INIT(&s->compacts);
	return s;
}

static void store_free(struct cow_store *s)
{
	struct cow_compact *c;
	struct cow_trim *t;

	while ((t = TAILQ_FIRST(&s->trims))) {
		TAILQ_REMOVE(&s->trims, t, entry);
		free(t);
	}
	while ((c = TAILQ_FIRST(&s->compacts))) {
		TAILQ_REMOVE(&s->compacts, c, entry);
		free(c);
	}
	cow_room_release(&s->room);
	cow_extents_close(s->extents);
	if (s->kv)
		s->kv->ops->close(s->kv);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	cow_branch_names_free(&s->branch_names);
	free(s->gc_marks);
	free(s->path);
	free(s);
}

static cow_errno assemble(struct cow_store *s, struct cow_kv *kv, struct cow_error *e)
{
	char map[4200];
	bool clean;
	cow_errno r;

	s->kv = kv;

	s->dirfd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0) {
		r = -errno;
		cow_fail(e, r, "cannot open store %s: %s", s->path, strerror(-r));
		return r == -ENOENT ? cow_hint(e, r, "Make one: cowfs init %s", s->path) : r;
	}
	if ((r = check_version(s, e)) < 0 || (r = take_lock(s, e)) < 0)
		return r;

	/* What the host has left, and for whom: before the map, which needs some to be opened. */
	cow_room_init(&s->room, s->dirfd, s->options.full_disk_fails, s->options.keep_reserves);

	/* The map: the only truth about what exists. */
	snprintf(map, sizeof(map), "%s/map", s->path);
	if (!kv && (r = cow_kv_rocks_open(map, false, &s->kv, e)) < 0)
		return r;
	if ((r = cow_ids_load(s)) < 0 || (r = cow_branch_names_load(s)) < 0)
		return cow_fail(e, r, "the map of %s is damaged", s->path);

	/* Extent files: where the blocks are. */
	r = cow_extents_open(s->dirfd, file_limit(&s->options), &s->extents);
	if (r < 0 || (r = cow_os_boot_id(s->boot_id)) < 0)
		return r;

	/* What the last process left behind; then the mark that this one has not ended yet. */
	clean = cow_clean_marked(s);
	if ((r = cow_recover(s, clean, e)) < 0)
		return r;
	if ((r = cow_clean_mark(s, false)) < 0)
		return cow_fail(e, r, "cannot write %s/COMMIT: %s", s->path, strerror(-r));
	cow_background_owed(s);
	return s->options.no_background ? 0 : cow_background_start(s);
}

cow_errno cow_store_open_kv(const char *path, const struct cow_store_options *o, struct cow_kv *kv,
			    struct cow_store **ret, struct cow_error *e)
{
	struct cow_store *s = store_new(path, o);
	cow_errno r;

	if (!s)
		return -ENOMEM;
	if ((r = assemble(s, kv, e)) < 0) {
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

cow_errno cow_store_open(const char *path, const struct cow_store_options *o,
			 struct cow_store **ret, struct cow_error *e)
{
	return cow_store_open_kv(path, o, NULL, ret, e);
}

static void retire_all(struct cow_store *s)
{
	struct cow_live *l;

	for (;;) {
		pthread_mutex_lock(&s->lives_lock);
		TAILQ_FOREACH (l, &s->lives, entry)
			if (!l->stale)
				break;
		if (l)
			l->refs++;
		pthread_mutex_unlock(&s->lives_lock);
		if (!l)
			return;
		cow_live_retire(l);
		cow_live_put(l);
	}
}

cow_errno cow_store_close(struct cow_store *s, struct cow_error *e)
{
	cow_errno r;

	cow_room_close(&s->room);
	cow_background_stop(s);
	r = cow_store_sync(s);
	if (r == 0) {
		cow_background_trims(s);
		r = cow_live_settle_ephemeral(s);
	}
	if (r == 0)
		r = cow_background_owe(s);
	if (r == 0) {
		cow_commit_number_keep(s);
		r = cow_clean_mark(s, true);
	}
	if (r < 0)
		cow_fail(e, r, "store %s: the last writes may not be durable: %s", s->path,
			 strerror(-r));
	retire_all(s);
	store_free(s);
	return r;
}

const char *cow_store_path(const struct cow_store *s)
{
	return s->path;
}

static int count_one(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, void *arg)
{
	(*(uint64_t *)arg)++;
	return 0;
}

static uint64_t count(struct cow_store *s, char type)
{
	struct cow_key k = cow_key_type(type);
	uint64_t n = 0;

	s->kv->ops->scan(s->kv, k.b, k.len, NULL, 0, count_one, &n);
	return n;
}

void cow_store_stat(struct cow_store *s, struct cow_store_stat *ret)
{
	struct cow_kv_memory map;
	struct statvfs host;

	s->kv->ops->memory(s->kv, &map);
	*ret = (struct cow_store_stat){
	    .branches = cow_branch_count(s),
	    .deleted = count(s, 'D'),
	    .snapshots = count(s, 'S'),
	    .lineages = count(s, 'L'),
	    .open_extents = cow_extents_count(s->extents),
	    .cached_bytes = s->cached_bytes,
	    .map_memory = map.writes + map.cache + map.files,
	    .commits = s->commits,
	    .recovered = s->recovered,
	};
	pthread_mutex_lock(&s->worker_lock);
	ret->gc_pending = s->n_gc_marks;
	pthread_mutex_unlock(&s->worker_lock);
	cow_room_stat(&s->room, &ret->room);
	ret->map_failed = s->kv->broken;
	if (fstatvfs(s->dirfd, &host) == 0) {
		ret->host_total = (uint64_t)host.f_blocks * host.f_frsize;
		ret->host_free = (uint64_t)host.f_bavail * host.f_frsize;
	}
}

uint64_t cow_store_holdback(struct cow_store *s, uint64_t bytes, uint64_t scarce)
{
	return cow_room_holdback(&s->room, bytes, scarce);
}

bool cow_store_writes_wait(struct cow_store *s)
{
	struct cow_room_stat room;

	cow_room_stat(&s->room, &room);
	return room.waiting > 0;
}

enum cow_gate cow_store_gate(struct cow_store *s)
{
	return s->room.gate;
}

uint64_t cow_store_accepted(struct cow_store *s)
{
	return s->room.accepted;
}

void cow_store_hold(struct cow_store *s, bool on)
{
	cow_room_hold(&s->room, on);
}

void cow_store_room_await(struct cow_store *s, enum cow_room_state *state, unsigned ms)
{
	cow_room_await(&s->room, state, ms);
}

void cow_store_room_turn(struct cow_store *s)
{
	cow_room_turn(&s->room);
}

void cow_store_give_up(struct cow_store *s)
{
	s->ending = true;
	cow_room_close(&s->room);
}

bool cow_store_ending(const struct cow_store *s)
{
	return s->ending;
}
