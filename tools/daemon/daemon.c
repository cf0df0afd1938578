// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/daemon.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/rights.h"
#include "store/branch.h"
#include "store/log.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/mountinfo.h"
#include "tools/daemon/old_logs.h"
#include "tools/daemon/opening.h"
#include "tools/daemon/server.h"
#include "tools/daemon/shared.h"
#include "tools/pg/pg.h"

/* A command that has the store open for a moment must not make the mount fail. */
#define OPEN_WAIT_MS 3000
/* How often a stop that had to wait is tried again: less and less often. */
#define WATCH_STEP_MS 250
#define WATCH_MOST_MS 16000

#define DYING_WAIT_MS 1000
#define DYING_STEP_MS 20

enum stop_state { STOP_NONE, STOP_ASKED, STOP_ANSWERED };

/* Lock order: lock, then mounted.lock. */
struct daemon {
	struct cow_store *store;
	struct engine_shared shared;
	struct engine_mount mounted;
	struct server *server;
	int64_t started_ns;

	pthread_mutex_t lock;
	pthread_cond_t answered;
	/* lock: */
	enum stop_state stop; /* asked for by a verb */
	bool force;
	cow_errno result; /* of that stop */
	struct cow_error error;
	bool over; /* the watcher must end */
	bool by_watcher;

	/* Main thread only: a signal came while files were open. */
	bool watching;
	pthread_t watcher;
};

int64_t daemon_started_ns(const struct daemon *d)
{
	return d->started_ns;
}

static void ask_mount(struct daemon *d)
{
	pthread_rwlock_rdlock(&d->mounted.lock);
	if (d->mounted.mount)
		cow_mount_ask_stop(d->mounted.mount);
	pthread_rwlock_unlock(&d->mounted.lock);
}

/* --- stopping, as a verb sees it --- */

cow_errno daemon_stop(struct daemon *d, bool force, struct cow_error *e)
{
	cow_errno r;

	pthread_mutex_lock(&d->lock);
	if (d->stop != STOP_NONE) {
		pthread_mutex_unlock(&d->lock);
		return cow_fail(e, -EALREADY, "the daemon is stopping already");
	}
	d->stop = STOP_ASKED;
	d->force = force;
	ask_mount(d);
	while (d->stop == STOP_ASKED)
		pthread_cond_wait(&d->answered, &d->lock);
	r = d->result;
	if (r < 0)
		*e = d->error;
	d->stop = STOP_NONE;
	pthread_mutex_unlock(&d->lock);
	return r;
}

static void answer_stop(struct daemon *d, cow_errno r, const struct cow_error *e)
{
	pthread_mutex_lock(&d->lock);
	if (d->stop == STOP_ASKED) {
		d->stop = STOP_ANSWERED;
		d->result = r;
		d->error = *e;
		pthread_cond_broadcast(&d->answered);
	}
	pthread_mutex_unlock(&d->lock);
}

/* --- stopping, as a signal asks for it --- */

static int has_open_files(const struct cow_branch_info *b, void *arg)
{
	struct daemon *d = arg;

	return cow_branch_open_files(d->store, b->name) > 0;
}

/* Something without an open file may still use the mount (a working directory), so a try can fail
 * too; then the next one comes later. */
static bool time_to_ask(struct daemon *d, unsigned waited_ms, unsigned wait_ms)
{
	return waited_ms >= wait_ms && cow_branch_each(d->store, has_open_files, d) == 0;
}

/* After a signal that came too early: ask again when nothing is open. */
static void *watch(void *arg)
{
	const struct timespec pause = {.tv_nsec = WATCH_STEP_MS * 1000000};
	unsigned waited_ms = 0, wait_ms = WATCH_STEP_MS;
	struct daemon *d = arg;

	for (;;) {
		bool ask, over;

		nanosleep(&pause, NULL);
		waited_ms += WATCH_STEP_MS;
		ask = time_to_ask(d, waited_ms, wait_ms);
		pthread_mutex_lock(&d->lock);
		over = d->over;
		if (ask && !over)
			d->by_watcher = true; /* until decide_force has seen it */
		pthread_mutex_unlock(&d->lock);
		if (over)
			return NULL;
		if (!ask)
			continue;
		ask_mount(d);
		waited_ms = 0;
		if (wait_ms < WATCH_MOST_MS)
			wait_ms *= 2;
	}
}

static void start_watcher(struct daemon *d)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	d->watching = pthread_create(&d->watcher, NULL, watch, d) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void end_watcher(struct daemon *d)
{
	if (!d->watching)
		return;
	pthread_mutex_lock(&d->lock);
	d->over = true;
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->watcher, NULL);
	d->watching = false;
}

/* --- the main thread --- */

/* Who made cow_mount_run return, and whether it may be by force. */
static bool decide_force(struct daemon *d)
{
	bool force;

	pthread_mutex_lock(&d->lock);
	force = d->stop == STOP_ASKED ? d->force : d->watching && !d->by_watcher;
	d->by_watcher = false;
	pthread_mutex_unlock(&d->lock);
	return force;
}

static bool was_asked(struct daemon *d)
{
	bool asked;

	pthread_mutex_lock(&d->lock);
	asked = d->stop == STOP_ASKED;
	pthread_mutex_unlock(&d->lock);
	return asked;
}

/* While the mount serves, it handles the signals that stop it. Before and between, they end up
 * here. */
static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled = 1;
}

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

/* Serve until the mount is gone. */
static void serve(struct daemon *d)
{
	catch_signals();
	for (;;) {
		struct cow_error e = COW_ERROR_INIT;
		bool force;
		cow_errno r;

		if (signalled)
			cow_mount_ask_stop(d->mounted.mount);
		signalled = 0;
		r = cow_mount_run(d->mounted.mount);
		if (r < 0)
			cow_log_error("serving the mount failed: %s", strerror(-r));
		force = decide_force(d); /* before the other lock: see the order above */
		pthread_rwlock_wrlock(&d->mounted.lock);
		r = cow_mount_stop(d->mounted.mount, force, &e);
		if (r != -EBUSY)
			d->mounted.mount = NULL;
		pthread_rwlock_unlock(&d->mounted.lock);
		if (r < 0 && !(r == -EBUSY && d->watching))
			cow_log_warn("unmount: %s", e.text[0] ? e.text : strerror(-r));
		if (r != -EBUSY)
			return;
		if (was_asked(d)) {
			answer_stop(d, r, &e);
		} else if (!d->watching) {
			cow_log_warn("will stop when nothing is open any more; a second signal "
				     "stops by force");
			start_watcher(d);
		}
	}
}

/* After the mount is gone: let commands end, close, and only then answer who asked. */
static cow_errno wind_up(struct daemon *d, struct cow_error *e)
{
	cow_errno r;

	end_watcher(d);
	server_drain(d->server);
	r = cow_store_close(d->store, e);
	if (r < 0)
		cow_log_error("closing the store failed: %s", e->text);
	else
		cow_log_info("stopped");
	answer_stop(d, r, e);
	server_free(d->server);
	return r;
}

static void tell_ready(const struct daemon_options *o, cow_errno r, const struct cow_error *e)
{
	if (o->ready)
		o->ready(o->arg, r, e);
}

/* A daemon that was just killed may still hold its mount for a moment. */
static cow_errno prepare(const struct cow_mount_options *o, struct cow_mount **ret,
			 struct cow_error *e)
{
	const struct timespec pause = {.tv_nsec = DYING_STEP_MS * 1000000};
	char mountpoint[PATH_MAX], store[PATH_MAX];

	for (unsigned waited = 0;; waited += DYING_STEP_MS) {
		cow_errno r = cow_mount_prepare(o, ret, e);

		if (r != -EBUSY || waited >= DYING_WAIT_MS ||
		    mountinfo_find(o->mountpoint, mountpoint, store, NULL) < 0)
			return r;
		nanosleep(&pause, NULL);
	}
}

struct opening {
	struct daemon *d;
	const struct daemon_options *o;
	struct cow_error *e;
	cow_errno result;
};

static void open_store(void *arg)
{
	struct opening *x = arg;

	x->result = opening_wait(x->o->store, &x->o->open, OPEN_WAIT_MS, &x->d->store, x->e);
}

/* Everything up to the moment when it serves; undone on failure. */
static cow_errno set_up(struct daemon *d, const struct daemon_options *o, struct cow_error *e)
{
	struct engine g = {.shared = &d->shared, .mounted = &d->mounted, .daemon = d};
	struct opening x = {.d = d, .o = o, .e = e};
	struct timespec now;
	cow_errno r;

	r = cow_pg_ready(e);
	if (r == 0)
		r = prepare(&o->mount, &d->mounted.mount, e);
	if (r < 0)
		return r;
	/* The store's threads never have the rights that the mount still needs. */
	r = cow_rights_run_lowered(o->store, open_store, &x);
	if (r == 0)
		r = x.result;
	if (r < 0)
		goto unprepare;
	r = cow_mount_start(d->mounted.mount, d->store, e);
	if (r < 0)
		goto close;
	clock_gettime(CLOCK_REALTIME, &now);
	d->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	g.store = d->store;
	r = server_start(&g, &d->server, e);
	if (r == 0)
		return 0;
close:
	cow_mount_stop(d->mounted.mount, true, NULL);
	d->mounted.mount = NULL;
	cow_store_close(d->store, NULL);
unprepare:
	cow_mount_stop(d->mounted.mount, true, NULL);
	return r;
}

cow_errno daemon_run(const struct daemon_options *o, struct cow_error *e)
{
	struct daemon d = {.shared = ENGINE_SHARED_INIT, .stop = STOP_NONE};
	cow_errno r;

	umask(077); /* RocksDB leaves the modes of its files to it */
	pthread_rwlock_init(&d.mounted.lock, NULL);
	pthread_mutex_init(&d.lock, NULL);
	pthread_cond_init(&d.answered, NULL);
	r = set_up(&d, o, e);
	if (r == 0) {
		cow_log_info("cowfs %s: %s is mounted on %s", COWFS_VERSION, o->store,
			     o->mount.mountpoint);
		tell_ready(o, 0, e);
		old_logs_remove(&(struct engine){.store = d.store});
		serve(&d);
		r = wind_up(&d, e);
	} else {
		tell_ready(o, r, e);
	}
	pthread_cond_destroy(&d.answered);
	pthread_mutex_destroy(&d.lock);
	pthread_rwlock_destroy(&d.mounted.lock);
	return r;
}
