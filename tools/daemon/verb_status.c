// SPDX-License-Identifier: Apache-2.0
/* The verbs about the daemon and the store as a whole: status and shutdown. */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/mount.h"
#include "store/branch.h"
#include "tools/cli/parse.h"
#include "tools/daemon/daemon.h"
#include "tools/daemon/engine.h"
#include "tools/daemon/json_text.h"
#include "tools/pg/running.h"

/* Called when there is a mount: in the whole executable (cli/whole.h), which has them. */
#pragma weak cow_mount_stat
#pragma weak daemon_started_ns
#pragma weak daemon_stop

/* --- status --- */

/* Names of the kernel's request numbers: part of its stable interface. */
static const char *const opcodes[64] = {
    [1] = "lookup",       [2] = "forget",       [3] = "getattr",       [4] = "setattr",
    [5] = "readlink",     [6] = "symlink",      [8] = "mknod",         [9] = "mkdir",
    [10] = "unlink",      [11] = "rmdir",       [12] = "rename",       [13] = "link",
    [14] = "open",        [15] = "read",        [16] = "write",        [17] = "statfs",
    [18] = "release",     [20] = "fsync",       [21] = "setxattr",     [22] = "getxattr",
    [23] = "listxattr",   [24] = "removexattr", [25] = "flush",        [26] = "init",
    [27] = "opendir",     [28] = "readdir",     [29] = "releasedir",   [30] = "fsyncdir",
    [31] = "getlk",       [32] = "setlk",       [33] = "setlkw",       [34] = "access",
    [35] = "create",      [36] = "interrupt",   [37] = "bmap",         [38] = "destroy",
    [39] = "ioctl",       [40] = "poll",        [42] = "batch_forget", [43] = "fallocate",
    [44] = "readdirplus", [45] = "rename2",     [46] = "lseek",        [47] = "copy_file_range",
    [50] = "syncfs",      [51] = "tmpfile",     [52] = "statx",
};

static json_t *requests_json(const struct cow_mount_stat *st)
{
	json_t *o = json_object();
	char number[16];

	for (unsigned k = 0; k < sizeof(st->requests) / sizeof(st->requests[0]); k++) {
		if (st->requests[k] == 0)
			continue;
		snprintf(number, sizeof(number), "op_%u", k);
		json_object_set_new(o, opcodes[k] ? opcodes[k] : number,
				    json_count(st->requests[k]));
	}
	return o;
}

static const char *const transports[] = {
    [COW_TRANSPORT_AUTO] = "auto",
    [COW_TRANSPORT_CLASSIC] = "classic",
    [COW_TRANSPORT_URING] = "io_uring",
};

static void add_mount(struct engine *g, json_t *o)
{
	struct cow_mount *m = engine_mount_hold(g);
	struct cow_mount_stat st;

	json_object_set_new(o, "mounted", json_boolean(m != NULL));
	if (!m)
		return;
	cow_mount_stat(m, &st);
	engine_mount_release(g);
	json_object_set_new(o, "mountpoint", json_text(st.mountpoint));
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "started_at", json_time(daemon_started_ns(g->daemon)));
	json_object_set_new(o, "transport", json_string(transports[st.transport]));
	json_object_set_new(o, "libfuse", json_text(st.libfuse));
	json_object_set_new(o, "nodes", json_count(st.nodes));
	json_object_set_new(o, "requests", requests_json(&st));
}

struct openness {
	struct engine *g;
	uint64_t files;
	char names[512]; /* of branches with open files */
};

static int add_open(const struct cow_branch_info *b, void *arg)
{
	struct openness *o = arg;
	uint64_t n = cow_branch_open_files(o->g->store, b->name);
	size_t len = strlen(o->names);

	o->files += n;
	if (n > 0)
		snprintf(o->names + len, sizeof(o->names) - len, "%s%s", len ? ", " : "", b->name);
	return 0;
}

/* Branches that show a golden image, with how old what they show is. */
static int add_image(const struct cow_branch_info *b, void *arg)
{
	json_t *settings = json_loads(b->settings ? b->settings : "{}", 0, NULL);
	json_t *golden = json_object_get(settings, "golden");
	const char *at = json_string_value(json_object_get(golden, "source_at"));
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &now);
	if (at && parse_time(at, &ns, NULL) == 0)
		json_array_append_new(
		    arg, json_pack("{s:o,s:O*,s:s,s:I}", "branch", json_text(b->name), "image",
				   json_object_get(golden, "image"), "source_at", at, "lag_seconds",
				   (json_int_t)(now.tv_sec - ns / 1000000000)));
	json_decref(settings);
	return 0;
}

static void add_images(struct engine *g, json_t *o)
{
	json_t *images = json_array();

	cow_branch_each(g->store, add_image, images);
	/* The first one also where tables can show it: most stores have one. */
	if (json_array_size(images) > 0)
		json_object_set(o, "image_source_at",
				json_object_get(json_array_get(images, 0), "source_at"));
	json_object_set_new(o, "images", images);
}

static const char *room_word(enum cow_room_state room)
{
	return room == COW_ROOM_CRITICAL ? "critical" : room == COW_ROOM_LOW ? "low" : "plenty";
}

static uint64_t resident_bytes(void)
{
	unsigned long all, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &all, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What the daemon's memory is used for: all of it; the map; block maps; what malloc gave out (with
 * both of these), and what came back to it and was not returned to the system. */
static void add_memory(const struct cow_store_stat *st, json_t *o)
{
	struct mallinfo2 heap = mallinfo2();

	json_object_set_new(o, "memory_bytes", json_count(resident_bytes()));
	json_object_set_new(o, "map_memory_bytes", json_count(st->map_memory));
	json_object_set_new(o, "cached_bytes", json_count(st->cached_bytes));
	json_object_set_new(o, "heap_bytes", json_count(heap.uordblks + heap.hblkhd));
	json_object_set_new(o, "heap_free_bytes", json_count(heap.fordblks));
}

/* {} */
static cow_errno status(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	struct openness open = {.g = g};
	struct cow_store_stat st;
	json_t *o = json_object();

	cow_store_stat(g->store, &st);
	cow_branch_each(g->store, add_open, &open);
	json_object_set_new(o, "store", json_text(cow_store_path(g->store)));
	json_object_set_new(o, "version", json_string(COWFS_VERSION));
	add_mount(g, o);
	json_object_set_new(o, "branches", json_count(st.branches));
	json_object_set_new(o, "deleted_branches", json_count(st.deleted));
	json_object_set_new(o, "snapshots", json_count(st.snapshots));
	add_images(g, o);
	json_object_set_new(o, "lineages", json_count(st.lineages));
	json_object_set_new(o, "open_files", json_count(open.files));
	json_object_set_new(o, "host_total_bytes", json_count(st.host_total));
	json_object_set_new(o, "host_free_bytes", json_count(st.host_free));
	json_object_set_new(o, "open_extents", json_count(st.open_extents));
	add_memory(&st, o);
	json_object_set_new(o, "commits", json_count(st.commits));
	json_object_set_new(o, "gc_pending", json_count(st.gc_pending));
	json_object_set_new(o, "room", json_string(room_word(st.room.state)));
	json_object_set_new(o, "waiting_for_room", json_count(st.room.waiting));
	json_object_set_new(o, "reserve_map_bytes", json_count(st.room.map));
	json_object_set_new(o, "reserve_data_bytes", json_count(st.room.data));
	json_object_set_new(o, "map_failed", json_boolean(st.map_failed));
	json_object_set_new(o, "recovered", json_boolean(st.recovered));
	*ret = o;
	return 0;
}

/* --- shutdown --- */

struct servers {
	struct engine *g;
	char names[512]; /* of branches on which postgres seems to run */
};

static int add_server(const struct cow_branch_info *b, void *arg)
{
	struct servers *s = arg;
	size_t len = strlen(s->names);

	if (running_postmaster_pid(s->g, b->name))
		snprintf(s->names + len, sizeof(s->names) - len, "%s%s", len ? ", " : "", b->name);
	return 0;
}

static cow_errno busy(struct engine *g, struct cow_error *e)
{
	struct openness open = {.g = g};
	struct servers servers = {.g = g};
	char mountpoint[PATH_MAX];

	cow_branch_each(g->store, add_open, &open);
	cow_branch_each(g->store, add_server, &servers);
	if (open.files > 0)
		cow_fail(e, -EBUSY, "%llu file(s) are open on: %s", (unsigned long long)open.files,
			 open.names);
	else if (!e->text[0])
		cow_fail(e, -EBUSY, "the mount is in use");
	if (servers.names[0])
		return cow_hint(e, -EBUSY,
				"Postgres runs on %s: stop it with cowfs stop, or use --force.",
				servers.names);
	return cow_hint(e, -EBUSY, "See who uses it with: fuser -vm %s, or use --force.",
			engine_mountpoint(g, mountpoint, sizeof(mountpoint)) ? mountpoint
									     : "MOUNTPOINT");
}

/* {force?}: unmount, close the store, end the daemon */
static cow_errno stop_daemon(struct engine *g, const json_t *args, json_t **ret,
			     struct cow_error *e)
{
	bool force = engine_flag(args, "force");
	struct openness open = {.g = g};
	cow_errno r;

	if (!force)
		cow_branch_each(g->store, add_open, &open);
	if (open.files > 0)
		return busy(g, e);
	r = daemon_stop(g->daemon, force, e);
	if (r == -EBUSY)
		return busy(g, e);
	if (r == 0)
		*ret = json_pack("{s:b}", "stopped", 1);
	return r;
}

const struct engine_verb engine_verbs_status[] = {
    {"status", status, false},
    {"shutdown", stop_daemon, true},
    {0},
};
