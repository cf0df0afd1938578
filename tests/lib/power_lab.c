// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power_lab.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/log.h"
#include "store/upkeep.h"
#include "tests/lib/power_kv.h"

static void mark_bytes(const void *data, size_t len)
{
	static void (*mark)(const void *, size_t);

	if (!mark)
		*(void **)&mark = dlsym(RTLD_DEFAULT, "power_mark");
	if (mark)
		mark(data, len);
}

static void mark_text(const char *text)
{
	mark_bytes(text, strlen(text));
}

struct plan *power_lab_plan(const char *what)
{
	unsigned long long seed = 0, n = 0;

	if (strncmp(what, "letters ", 8) == 0)
		return plan_letters(what + 8);
	sscanf(what, "random %llu %llu", &seed, &n);
	return plan_random(seed, n);
}

static struct cow_kv *open_kv(void *arg)
{
	return power_kv_open(arg, mark_bytes);
}

/* What a daemon does first with a store that was not closed. */
static int recover(const char *path)
{
	const struct cow_store_options o = {.no_background = true};
	struct cow_error e = COW_ERROR_INIT;
	struct cow_gc_result gc;
	struct cow_store *s;
	cow_errno r = cow_store_open(path, &o, &s, &e);

	if (r == 0)
		r = cow_gc_run(s, &gc, &e);
	if (r < 0)
		fprintf(stderr, "recovery: %d %s\n", r, e.text);
	return r < 0;
}

bool power_lab_work(int *ret)
{
	const char *what = getenv("POWER_WORK");
	struct plan_run how = {.path = getenv("POWER_DIR"), .mark = mark_text};

	if (!what)
		return false;
	if (strcmp(what, "recover") == 0)
		_exit(*ret = recover(how.path));
	if (getenv("POWER_KV")) {
		how.open_kv = open_kv;
		how.arg = kv_mem_disk_new();
	}
	*ret = plan_run(power_lab_plan(what), &how) < 0 ? 0 : 1;
	_exit(*ret); /* no close: whatever runs at exit is not part of it */
}

static void recorder(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 32);

	out[n > 0 ? n : 0] = '\0';
	if (strrchr(out, '/'))
		strcpy(strrchr(out, '/'), "/libpower_record.so");
}

bool power_lab_ready(void)
{
	char path[PATH_MAX];

	recorder(path);
	return access(path, R_OK) == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static void remove_tree(const char *dir)
{
	nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static void put_text(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

/* A store whose map is elsewhere has no need of a RocksDB. */
static void make_bare_store(const char *dir)
{
	char path[PATH_MAX];

	mkdir(dir, 0700);
	snprintf(path, sizeof(path), "%s/ext", dir);
	mkdir(path, 0700);
	put_text(dir, "VERSION", "cowfs store 1\n");
	put_text(dir, "COMMIT", "0 clean\n");
}

static bool run_recorded(struct power_lab *lab, const char *what, const char *store,
			 const char *log)
{
	char exe[PATH_MAX], preload[PATH_MAX + 16] = "LD_PRELOAD=", work[128], dir[128],
					       log_var[128];
	char *env[] = {preload, work, dir, log_var, lab->kv ? (char *)"POWER_KV=1" : NULL, NULL};
	char *argv[] = {exe, NULL};
	int status = -1;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	pid_t pid;

	exe[n > 0 ? n : 0] = '\0';
	recorder(preload + strlen(preload));
	snprintf(work, sizeof(work), "POWER_WORK=%s", what);
	snprintf(dir, sizeof(dir), "POWER_DIR=%s", store);
	snprintf(log_var, sizeof(log_var), "POWER_LOG=%s", log);
	if (posix_spawn(&pid, exe, NULL, NULL, argv, env) != 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool read_marks(struct power_lab *lab)
{
	size_t n = power_log_count(lab->log);
	int acked = -1, begun = -1;

	lab->acked = calloc(n + 1, sizeof(int));
	lab->begun = calloc(n + 1, sizeof(int));
	for (size_t k = 0; k <= n; k++) {
		char text[16] = "";

		lab->acked[k] = acked;
		lab->begun[k] = begun;
		if (k == n || power_log_event(lab->log, k)->op != POWER_MARK ||
		    power_log_event(lab->log, k)->data_len >= sizeof(text))
			continue;
		memcpy(text, power_log_data(lab->log, k), power_log_event(lab->log, k)->data_len);
		sscanf(text, "B %d", &begun);
		sscanf(text, "E %d", &acked);
	}
	return acked == (int)lab->p->n - 1;
}

bool power_lab_record(struct power_lab *lab, const char *what, bool kv)
{
	char store[96], log[96], base[96];

	*lab = (struct power_lab){.kv = kv, .what = what, .p = power_lab_plan(what)};
	snprintf(lab->dir, sizeof(lab->dir), "%s/cowfs-power.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(lab->dir))
		return false;
	snprintf(store, sizeof(store), "%s/store", lab->dir);
	snprintf(base, sizeof(base), "%s/base", lab->dir);
	snprintf(log, sizeof(log), "%s/log", lab->dir);
	if (kv) {
		make_bare_store(store);
		make_bare_store(base);
	} else {
		mkdir(store, 0700);
		mkdir(base, 0700);
	}
	if (!run_recorded(lab, what, store, log)) {
		fprintf(stderr, "'%s' did not run through\n", what);
		return false;
	}
	remove_tree(store);
	lab->log = power_log_open(log);
	return lab->log && read_marks(lab);
}

static int look(struct power_lab *lab, const struct power_cut *c, const char *out, bool deep)
{
	char base[96];
	struct cow_kv *kv = NULL;

	snprintf(base, sizeof(base), "%s/base", lab->dir);
	if (power_replay(lab->log, c, base, out) < 0)
		return 2;
	if (lab->kv && kv_mem_open(power_kv_replay(lab->log, c), &kv) < 0)
		return 2;
	return plan_check(lab->p, out, kv, lab->acked[c->events], lab->begun[c->events], deep) ? 0
											       : 1;
}

bool power_lab_cut(struct power_lab *lab, const struct power_cut *c, bool deep)
{
	static const char *const models[] = {"ext4", "strict"};
	static const char *const losses[] = {"all", "none", "prefix", "pages", "files"};
	char out[96];
	int status = 0;
	pid_t pid;

	snprintf(out, sizeof(out), "%s/cut", lab->dir);
	fflush(NULL);
	lab->cuts++;
	if ((pid = fork()) == 0) {
		cow_log_set_level(COW_LOG_ERROR);
		_exit(look(lab, c, out, deep));
	}
	if (waitpid(pid, &status, 0) == pid && status == 0) {
		remove_tree(out);
		return true;
	}
	lab->failures++;
	fprintf(stderr,
		"FAILED (status %#x): '%s'%s, cut %zu of %zu, %s, %s, seed %llu; acknowledged %d, "
		"begun %d\n"
		"  again: COWFS_POWER_ONLY='%s' COWFS_POWER_CUT=%d:%zu:%d:%d:%llu\n",
		(unsigned)status, lab->what, lab->kv ? " (map in memory)" : "", c->events,
		power_log_count(lab->log), models[c->model], losses[c->loss],
		(unsigned long long)c->seed, lab->acked[c->events], lab->begun[c->events],
		lab->what, lab->kv, c->events, c->model, c->loss, (unsigned long long)c->seed);
	plan_print(lab->p, lab->acked[c->events] - 12, lab->begun[c->events]);
	if (getenv("COWFS_POWER_KEEP"))
		fprintf(stderr, "  kept: %s\n", out);
	else
		remove_tree(out);
	return false;
}

static int look_again(struct power_lab *lab, const struct power_log *log,
		      const struct power_cut *first, const struct power_cut *c, const char *base,
		      const char *out)
{
	if (power_replay(log, c, base, out) < 0)
		return 2;
	return plan_check(lab->p, out, NULL, lab->acked[first->events], lab->begun[first->events],
			  true)
		   ? 0
		   : 1;
}

static void one_of_recovery(struct power_lab *lab, const struct power_log *log,
			    const struct power_cut *first, const struct power_cut *c,
			    const char *base)
{
	char out[96];
	int status = 0;
	pid_t pid;

	snprintf(out, sizeof(out), "%s/cut", lab->dir);
	fflush(NULL);
	lab->cuts++;
	if ((pid = fork()) == 0) {
		cow_log_set_level(COW_LOG_ERROR);
		_exit(look_again(lab, log, first, c, base, out));
	}
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		lab->failures++;
		fprintf(
		    stderr,
		    "FAILED (status %#x): '%s', cut %zu (model %d, loss %d, seed %llu), then in "
		    "recovery cut %zu of %zu (model %d, loss %d, seed %llu)\n",
		    (unsigned)status, lab->what, first->events, first->model, first->loss,
		    (unsigned long long)first->seed, c->events, power_log_count(log), c->model,
		    c->loss, (unsigned long long)c->seed);
	}
	remove_tree(out);
}

void power_lab_cut_recovery(struct power_lab *lab, const struct power_cut *c, unsigned cuts)
{
	char store[96], base[96], path[96];
	uint64_t seed = c->seed;
	struct power_log *log = NULL;
	size_t first = 0; /* event after those that say what was there */

	if (lab->kv || lab->acked[c->events] < 0)
		return; /* nothing to recover yet */
	snprintf(store, sizeof(store), "%s/store2", lab->dir);
	snprintf(base, sizeof(base), "%s/base2", lab->dir);
	snprintf(path, sizeof(path), "%s/log2", lab->dir);
	/* The same seed twice: two copies of one state. */
	if (power_replay(lab->log, c, NULL, store) == 0 &&
	    power_replay(lab->log, c, NULL, base) == 0 && run_recorded(lab, "recover", store, path))
		log = power_log_open(path);
	lab->failures += !log;
	while (log && first < power_log_count(log) && power_log_event(log, first)->op == POWER_BASE)
		first++;
	for (unsigned k = 0; log && k < cuts; k++) {
		size_t n = power_log_count(log) - first;
		struct power_cut again = {.events = first + power_random(&seed) % (n + 1),
					  .model =
					      power_random(&seed) % 2 ? POWER_STRICT : POWER_EXT4,
					  .loss = power_random(&seed) % POWER_LOSSES,
					  .seed = power_random(&seed) % 1000000};

		one_of_recovery(lab, log, c, &again, base);
	}
	if (log)
		power_log_close(log);
	remove_tree(store);
	remove_tree(base);
	unlink(path);
}

void power_lab_release(struct power_lab *lab)
{
	if (lab->log)
		power_log_close(lab->log);
	free(lab->acked);
	free(lab->begun);
	plan_free((struct plan *)lab->p);
	if (!getenv("COWFS_POWER_KEEP"))
		remove_tree(lab->dir);
}
