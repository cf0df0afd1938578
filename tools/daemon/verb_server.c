// SPDX-License-Identifier: Apache-2.0
/* The verb behind start, stop, url and psql: where the server of a branch is.
 *
 * The port is kept in the settings of the branch, so that it is the same after every start, reset
 * and restore; it is chosen here, where two starts at once cannot choose the same one. */
#include "tools/daemon/verb_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "store/log.h"
#include "store/os.h"
#include "tools/daemon/branch_edit.h"
#include "tools/daemon/branch_limits.h"
#include "tools/daemon/fork_policy.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/private.h"
#include "tools/pg/pgplace.h"

/* Below 32768: there the kernel takes the ports of outgoing connections from, and one of those
 * would sit on the address of a branch whenever nobody listens there. */
#define PORT_FIRST 25432
#define PORT_LAST 29999
#define PORTS (PORT_LAST - PORT_FIRST + 1)

/* Serialises choosing and keeping a port: it looks at all branches. */
static pthread_mutex_t choosing = PTHREAD_MUTEX_INITIALIZER;

static int port_in(const char *settings)
{
	json_t *s = json_loads(settings ? settings : "{}", 0, NULL);
	int port = (int)json_integer_value(json_object_get(s, "port"));

	json_decref(s);
	return port;
}

struct ports {
	uint64_t but; /* branch whose own port does not count */
	int wanted;   /* 0 = none */
	char owner[COW_BRANCH_MAX + 1];
	bool used[PORTS];
};

static int note_port(const struct cow_branch_info *b, void *arg)
{
	struct ports *p = arg;
	int port = b->id == p->but ? 0 : port_in(b->settings);

	if (port >= PORT_FIRST && port <= PORT_LAST)
		p->used[port - PORT_FIRST] = true;
	if (port && port == p->wanted)
		snprintf(p->owner, sizeof(p->owner), "%s", b->name);
	return 0;
}

/* One that may come back wants its port again. */
static int note_deleted_port(const struct cow_deleted_info *d, void *arg)
{
	struct ports *p = arg;
	int port = port_in(d->b.settings);

	if (port >= PORT_FIRST && port <= PORT_LAST)
		p->used[port - PORT_FIRST] = true;
	return 0;
}

static cow_errno keep_port(void *arg, json_t *settings, struct cow_error *e)
{
	json_object_set_new(settings, "port", json_integer(*(const int *)arg));
	return 0;
}

/* 0 = none. Every store of a machine begins somewhere else: a port of a branch that nobody serves
 * looks free to the others. */
static int free_port(const struct ports *p, const char *store)
{
	unsigned first = pgplace_hash(store) % PORTS;

	for (unsigned k = 0; k < PORTS; k++) {
		int at = (int)((first + k) % PORTS);

		if (!p->used[at] && pgplace_port_free(PGPLACE_PUBLIC_HOST, PORT_FIRST + at))
			return PORT_FIRST + at;
	}
	return 0;
}

/* Is `wanted` one that a server could have? One that could not would be kept, and no later
 * start would do without saying --port again. */
static cow_errno check_wanted(const struct ports *p, const char *branch, struct cow_error *e)
{
	char text[32];
	int first = 1024;

	if (p->owner[0])
		return cow_fail(e, -EEXIST, "port %d belongs to branch %s", p->wanted, p->owner);
	if (cow_os_read_small(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", text,
			      sizeof(text)) == 0)
		first = (int)strtol(text, NULL, 10);
	if (p->wanted < first) {
		cow_fail(e, -EPERM, "only root may listen on port %d, and postgres is never root",
			 p->wanted);
		return cow_hint(e, -EPERM, "Choose one from %d on.", first);
	}
	if (!pgplace_port_free(PGPLACE_PUBLIC_HOST, p->wanted)) {
		cow_fail(e, -EBUSY, "port %d is used by another program", p->wanted);
		return cow_hint(e, -EBUSY,
				"End that program, or choose another port; %s keeps the one it "
				"had.",
				branch);
	}
	return 0;
}

/* The port of the branch, chosen now when it has none, or when `wanted` asks for another. */
static cow_errno choose_port(struct engine *g, const char *name, int wanted, int *ret,
			     struct cow_error *e)
{
	CLEANUP_FREE struct ports *p = calloc(1, sizeof(*p));
	struct cow_branch_info b = {0};
	cow_errno r;

	WITH_LOCK(&choosing);
	if (!p)
		return cow_fail(e, -ENOMEM, "no memory to choose a port");
	r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	*ret = port_in(b.settings);
	if (*ret && (!wanted || wanted == *ret))
		goto out;
	p->but = b.id;
	p->wanted = wanted;
	cow_branch_each(g->store, note_port, p);
	cow_deleted_each(g->store, note_deleted_port, p);
	*ret = wanted;
	if (wanted && (r = check_wanted(p, name, e)) < 0)
		goto out;
	if (!*ret)
		*ret = free_port(p, cow_store_path(g->store));
	r = *ret ? branch_edit(g, name, keep_port, ret, e)
		 : cow_fail(e, -EADDRINUSE, "no port from %d to %d is free", PORT_FIRST, PORT_LAST);
out:
	cow_branch_info_release(&b);
	return r;
}

static int note_default(const struct cow_branch_info *b, void *arg)
{
	if (b->is_default)
		memcpy(arg, b->name, sizeof(b->name));
	return b->is_default;
}

/* What the branch says about its server, else the configuration. A slip in that file is no reason
 * for not waking anybody. */
static json_t *server_settings(struct engine *g, const struct cow_branch_info *b)
{
	json_t *s = json_loads(b->settings ? b->settings : "{}", 0, NULL), *v;
	struct cow_error e = COW_ERROR_INIT;
	json_t *o = json_object();
	struct branch_limits all;
	char *own = NULL;

	if (branch_limits_read(g, &all, &e) < 0)
		cow_log_warn("%s; servers start without it", e.text);
	v = json_object_get(s, "postgres");
	own = json_is_object(v) ? json_dumps(v, JSON_COMPACT) : NULL;
	json_object_set_new(o, "postgres", json_text(own));
	free(own);
	v = json_object_get(s, "profile");
	json_object_set_new(o, "profile", v ? json_incref(v) : json_text(all.profile));
	v = json_object_get(s, "memory_bytes");
	json_object_set_new(o, "memory_bytes", v ? json_incref(v) : json_count(all.memory_bytes));
	v = json_object_get(s, "cpus");
	json_object_set_new(o, "cpus", v ? json_incref(v) : json_real(all.cpus));
	json_object_set_new(o, "base", json_boolean(b->parent_id == 0));
	json_decref(s);
	return o;
}

cow_errno verb_server_place(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	int wanted = (int)json_integer_value(json_object_get(args, "port")), port = 0;
	struct cow_branch_info b = {0};
	json_t *policy = NULL;
	char mountpoint[4096], path[sizeof(mountpoint) + COW_BRANCH_MAX + 1];
	const char *name;
	bool mounted;
	char standard[COW_BRANCH_MAX + 1] = "";
	json_t *place;
	cow_errno r = 0;

	name = engine_text_or_null(args, "name");
	if (!name) {
		cow_branch_each(g->store, note_default, standard);
		name = standard;
	}
	r = private_refuse(g, name, args, "use", e);
	if (r == 0 && engine_flag(args, "choose_port"))
		r = choose_port(g, name, wanted, &port, e);
	if (r == 0)
		r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	r = fork_policy_of(cow_store_path(g->store), b.settings, NULL, &policy, e);
	if (r < 0) {
		cow_branch_info_release(&b);
		return r;
	}
	*ret = server_settings(g, &b);
	mounted = engine_mountpoint(g, mountpoint, sizeof(mountpoint));
	snprintf(path, sizeof(path), "%s/%s", mountpoint, b.name);
	place = json_pack("{s:o,s:o,s:i,s:b,s:b,s:b,s:o,s:o,s:o}", "branch", json_text(b.name),
			  "path", json_text(mounted ? path : NULL), "port", port_in(b.settings),
			  "ephemeral", b.ephemeral, "poisoned", b.poisoned, "lost", b.lost, "files",
			  json_count(cow_branch_open_files(g->store, name)), "writers",
			  json_count(cow_branch_open_writers(g->store, name)), "fork", policy);
	json_object_update(*ret, place);
	json_decref(place);
	cow_branch_info_release(&b);
	return *ret ? 0 : cow_fail(e, -ENOMEM, "no memory for an answer");
}

cow_errno verb_server_recover(struct engine *g, const json_t *args, json_t **ret,
			      struct cow_error *e)
{
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = cow_branch_recover(g->store, name, e);
	if (r == 0)
		*ret = json_pack("{s:o}", "branch", json_text(name));
	return r;
}

static cow_errno add_verifiers(void *arg, json_t *settings, struct cow_error *e)
{
	json_t *all = json_object_get(settings, "verifiers");

	if (all)
		json_object_update(all, arg);
	else
		json_object_set(settings, "verifiers", arg);
	return 0;
}

cow_errno verb_server_verifiers(struct engine *g, const json_t *args, json_t **ret,
				struct cow_error *e)
{
	json_t *settings, *all, *set = json_object_get(args, "set");
	struct cow_branch_info b = {0};
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0 && json_object_size(set))
		r = branch_edit(g, name, add_verifiers, set, e);
	if (r == 0)
		r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	settings = json_loads(b.settings ? b.settings : "{}", 0, NULL);
	cow_branch_info_release(&b);
	all = json_object_get(settings, "verifiers");
	*ret = json_pack("{s:o}", "verifiers", all ? json_incref(all) : json_object());
	json_decref(settings);
	return 0;
}

cow_errno verb_server_room(struct engine *g, const json_t *args, json_t **ret, struct cow_error *e)
{
	const char *name;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = cow_branch_set_waiting(g->store, name, engine_flag(args, "wait"), e);
	if (r == 0)
		*ret = json_pack("{s:o}", "branch", json_text(name));
	return r;
}
