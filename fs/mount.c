// SPDX-License-Identifier: Apache-2.0
/* mount: the life of a mount, from the checks before it to the removal after it.
 *
 * An orderly stop pushes the kernel's dirty pages and unmounts while requests are still being
 * served (stop.c); only then the loop ends. What cannot be unmounted because it is in use is left
 * mounted, and the caller decides: run again, or stop by force, which aborts the connection. */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fs/bdi.h"
#include "fs/cowfs_ll.h"
#include "fs/gate.h"
#include "fs/held.h"
#include "fs/later.h"
#include "fs/mountpoint.h"
#include "fs/notify.h"
#include "fs/pushpages.h"
#include "fs/rights.h"
#include "fs/serve.h"
#include "fs/transport.h"
#include "store/log.h"

enum {
	NOTIFY_WAIT_MS = 2000,
	PUSH_WAIT_MS = 10000,
	UNMOUNT_WAIT_MS = 5000,
	LOOP_WAIT_MS = 2000, /* for workers to see that the mount is gone */
};

/* Process-wide like libfuse's log: it says that a mount cannot be unmounted by those who may not.
 */
static _Atomic bool expect_failed_unmount;

/* libfuse writes lines with their newline; ours have none. */
static void log_libfuse(enum fuse_log_level level, const char *fmt, va_list args)
{
	char text[512];
	size_t len;

	if (expect_failed_unmount)
		level = FUSE_LOG_DEBUG;
	vsnprintf(text, sizeof(text), fmt, args);
	len = strlen(text);
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = 0;
	cow_log(level <= FUSE_LOG_ERR       ? COW_LOG_ERROR
		: level == FUSE_LOG_WARNING ? COW_LOG_WARN
		: level == FUSE_LOG_DEBUG   ? COW_LOG_DEBUG
					    : COW_LOG_INFO,
		"libfuse: %s", text);
}

static void raise_descriptor_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static void mount_free(struct cow_mount *m)
{
	cow_helper_end(m->helper);
	cow_nodes_free(m->nodes);
	cow_branchdirs_free(m->dirs);
	cow_gate_free(m->gate);
	if (m->se)
		fuse_session_destroy(m->se);
	if (m->have_scratch)
		pthread_key_delete(m->scratch);
	if (m->wake_fd >= 0)
		close(m->wake_fd);
	free(m);
}

cow_errno cow_mount_prepare(const struct cow_mount_options *o, struct cow_mount **ret,
			    struct cow_error *e)
{
	struct cow_mount *m = calloc(1, sizeof(*m));
	enum cow_transport transport;
	char real[PATH_MAX];
	cow_errno r = m ? 0 : cow_fail(e, -ENOMEM, "out of memory");

	if (!m)
		return r;
	m->writethrough = o->writethrough;
	m->debug = o->debug;
	m->threads = o->threads;
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->have_scratch = pthread_key_create(&m->scratch, free) == 0;
	if (m->wake_fd < 0 || !m->have_scratch)
		r = cow_fail(e, -EMFILE, "cannot make an eventfd");
	fuse_set_log_func(log_libfuse);
	raise_descriptor_limit();
	if (r == 0)
		r = cow_mountpoint_check_system(e);
	if (r == 0)
		r = cow_mountpoint_check(o->mountpoint, real, e);
	if (r == 0)
		r = cow_transport_choose(o->transport, &transport, e);
	if (r == 0) {
		m->transport = transport;
		snprintf(m->mountpoint, sizeof(m->mountpoint), "%s", real);
		r = cow_helper_start(m->mountpoint, &m->helper, e);
	}
	if (r < 0) {
		mount_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

/* A branch's name appeared, went, or shows another incarnation. */
static void branch_changed(void *arg, const char *name)
{
	struct cow_mount *m = arg;
	char path[COW_BRANCH_MAX + 1], *slash;
	cow_errno r = cow_branchdirs_update(m->dirs, m->store, name, path);
	uint64_t parent = COW_NODE_ROOT;

	if (r < 0)
		cow_log_error("cannot read what became of branch %s: %s", name, strerror(-r));
	slash = strrchr(path, '/');
	if (slash) {
		*slash = 0;
		parent = cow_node_id_of_path(path);
	}
	cow_notifier_entry(m->notifier, parent, slash ? slash + 1 : path, NOTIFY_WAIT_MS);
}

static cow_errno check_apart(const struct cow_mount *m, struct cow_error *e)
{
	char store[PATH_MAX];

	if (!realpath(cow_store_path(m->store), store))
		return cow_fail(e, -errno, "store %s: %s", cow_store_path(m->store),
				strerror(errno));
	if (!cow_path_is_below(store, m->mountpoint) && !cow_path_is_below(m->mountpoint, store))
		return 0;
	cow_fail(e, -EINVAL, "store %s and mount point %s lie in each other", store, m->mountpoint);
	return cow_hint(e, -EINVAL, "Choose a mount point outside of the store.");
}

/* The store is the mount's source, so that /proc/self/mountinfo leads from a mount point to its
 * daemon. libfuse wants a comma and a backslash escaped. */
static void escape(const char *path, char *out, size_t size)
{
	size_t n = 0;

	for (; *path && n + 3 < size; path++) {
		if (*path == ',' || *path == '\\')
			out[n++] = '\\';
		out[n++] = *path;
	}
	out[n] = '\0';
}

static cow_errno make_session(struct cow_mount *m, struct cow_error *e)
{
	char options[3 * PATH_MAX], source[2 * PATH_MAX], transport[64];
	char *argv[] = {"cowfs", "-o", options, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	escape(cow_store_path(m->store), source, sizeof(source));
	cow_transport_options(m, transport, sizeof(transport));
	/* noatime: reading is no change, or every branch would own what it looks at. */
	snprintf(options, sizeof(options),
		 "default_permissions,noatime,fsname=%s,subtype=cowfs%s%s%s", source,
		 geteuid() == 0 ? ",allow_other" : "", m->debug ? ",debug" : "", transport);
	m->se = fuse_session_new(&args, &cow_ops, sizeof(cow_ops), m);
	fuse_opt_free_args(&args);
	return m->se ? 0 : cow_fail(e, -EINVAL, "libfuse %s refused a session", fuse_pkgversion());
}

static cow_errno mount_session(struct cow_mount *m, struct cow_error *e)
{
	int fd;

	errno = 0;
	if (fuse_session_mount(m->se, m->mountpoint) != 0) {
		cow_errno r = errno ? -errno : -EPERM;

		cow_fail(e, r, "cannot mount at %s: %s", m->mountpoint, strerror(-r));
		return cow_hint(e, r,
				"The log says what libfuse met; in a container mounting needs "
				"--device /dev/fuse and --cap-add SYS_ADMIN.");
	}
	m->mounted = true;
	fd = fuse_session_fd(m->se);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		cow_log_warn("cannot keep /dev/fuse from children: %s", strerror(errno));
	return 0;
}

cow_errno cow_mount_start(struct cow_mount *m, struct cow_store *s, struct cow_error *e)
{
	cow_errno r;

	m->store = s;
	if ((r = check_apart(m, e)) < 0)
		return r;
	if ((r = cow_nodes_new(&m->nodes)) < 0 || (r = cow_branchdirs_new(&m->dirs)) < 0)
		return cow_fail(e, r, "out of memory");
	if ((r = make_session(m, e)) < 0)
		return r;
	if ((r = mount_session(m, e)) < 0)
		return r;
	cow_bdi_read_ahead(m->mountpoint, COW_REQUEST_MAX >> 10);
	cow_rights_lower(cow_store_path(s)); /* and so every thread that is started from here on */
	r = cow_later_start(&m->later);
	if (r == 0)
		r = cow_gate_new(&m->gate);
	if (r == 0)
		r = cow_held_start(m, &m->held);
	if (r == 0)
		r = cow_notifier_start(m->se, &m->notifier);
	if (r < 0)
		return cow_fail(e, r, "cannot start a thread: %s", strerror(-r));
	cow_branch_watch(s, branch_changed, m);
	r = cow_branchdirs_load(m->dirs, s);
	if (r < 0)
		return cow_fail(e, r, "cannot read the branches: %s", strerror(-r));
	cow_log_info("mounted at %s (libfuse %s%s)", m->mountpoint, fuse_pkgversion(),
		     m->transport == COW_TRANSPORT_URING ? ", io_uring" : "");
	return 0;
}

/* While requests are served: nothing of this makes a path call on the mount in this process. */
static cow_errno take_away(struct cow_mount *m)
{
	cow_errno r = m->loop_runs ? cow_helper_push(m->helper, PUSH_WAIT_MS) : 0;

	if (r < 0)
		cow_log_warn("%s: dirty pages were not pushed before the stop: %s", m->mountpoint,
			     strerror(-r));
	r = cow_helper_unmount(m->helper, false, UNMOUNT_WAIT_MS);
	m->unmounted = r == 0 || r == -EINVAL || r == -ENOENT;
	return m->unmounted ? 0 : r;
}

cow_errno cow_mount_run(struct cow_mount *m)
{
	cow_errno r = m->unmounted ? 0 : cow_serve_start(m);

	if (r < 0 || m->unmounted)
		return r;
	cow_serve_wait(m);
	if (!m->stop_asked) {
		m->unmounted = true; /* by somebody else */
		return cow_serve_end(m);
	}
	cow_log_info("%s: stopping", m->mountpoint);
	r = take_away(m);
	if (r < 0)
		cow_log_warn("%s cannot be unmounted: %s", m->mountpoint, strerror(-r));
	m->stop_asked = false;
	return 0;
}

void cow_mount_ask_stop(struct cow_mount *m)
{
	m->stop_asked = true;
	cow_serve_wake(m);
}

/* libfuse closes the connection, which ends whatever still waits for it; to take the mount away is
 * beyond this process by then (rights.h), so the helper does it. */
static void end_session(struct cow_mount *m)
{
	cow_errno r = 0;

	if (!m->se)
		return;
	expect_failed_unmount = true;
	fuse_session_unmount(m->se);
	expect_failed_unmount = false;
	if (m->mounted && !m->unmounted)
		r = cow_helper_unmount(m->helper, true, UNMOUNT_WAIT_MS);
	if (r < 0 && r != -EINVAL && r != -ENOENT)
		cow_log_warn("%s cannot be unmounted: %s", m->mountpoint, strerror(-r));
}

cow_errno cow_mount_stop(struct cow_mount *m, bool force, struct cow_error *e)
{
	if (!m)
		return 0;
	if (m->mounted && !m->unmounted && !force && take_away(m) < 0) {
		cow_fail(e, -EBUSY, "%s is in use", m->mountpoint);
		return cow_hint(e, -EBUSY,
				"Stop the servers that run on it and leave its directories, or "
				"unmount by force.");
	}
	if (m->store) {
		cow_branch_watch(m->store, NULL, NULL);
		cow_store_give_up(
		    m->store); /* writes that are held fail, or would be held for ever */
	}
	if (m->unmounted)
		cow_serve_over(m, LOOP_WAIT_MS);
	/* In this order: what the kernel holds the notifier up with ends when the mount does. */
	cow_notifier_quiet(m->notifier);
	cow_serve_end(m);
	end_session(m);
	cow_notifier_end(m->notifier);
	cow_held_end(m->held);
	cow_later_end(m->later);
	mount_free(m);
	return 0;
}

cow_errno cow_mount_push_pages(struct cow_mount *m, unsigned timeout_ms)
{
	return cow_helper_push(m->helper, timeout_ms);
}

void cow_mount_stat(struct cow_mount *m, struct cow_mount_stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->transport = m->transport;
	ret->libfuse = fuse_pkgversion();
	memcpy(ret->mountpoint, m->mountpoint, sizeof(ret->mountpoint));
	ret->nodes = m->nodes ? cow_nodes_count(m->nodes) : 0;
	for (unsigned i = 0; i < COW_OPCODES; i++)
		ret->requests[i] = m->requests[i];
}
