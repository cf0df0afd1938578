// SPDX-License-Identifier: Apache-2.0
/* branch_port: a first start must not take longer because there are a thousand branches. So the
 * settings of all of them are read once for an open store; from then on whatever gives a
 * branch a port says so here. What is remembered is never too little: a port counts as taken after
 * its branch has gone for good, until all others are taken too, and then everything is read again.
 * Nothing of it is kept on the disk, so no crash makes it wrong. */
#include "tools/daemon/branch_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "store/os.h"
#include "tools/daemon/branch_edit.h"
#include "tools/daemon/shared.h"
#include "tools/pg/pgplace.h"

int branch_port_in(const char *settings)
{
	json_t *s = json_loads(settings ? settings : "{}", 0, NULL);
	int port = (int)json_integer_value(json_object_get(s, "port"));

	json_decref(s);
	return port;
}

static void note(struct engine_shared *shared, int port)
{
	WITH_LOCK(&shared->ports.lock);

	if (port >= PORT_FIRST && port <= PORT_LAST)
		shared->ports.used[port - PORT_FIRST] = true;
}

void branch_port_note(struct engine *g, const json_t *settings)
{
	note(g->shared, (int)json_integer_value(json_object_get(settings, "port")));
}

/* --- reading all --- */

static int note_of_branch(const struct cow_branch_info *b, void *arg)
{
	note(arg, branch_port_in(b->settings));
	return 0;
}

/* One that may come back wants its port again. */
static int note_of_deleted(const struct cow_deleted_info *d, void *arg)
{
	note(arg, branch_port_in(d->b.settings));
	return 0;
}

/* A port that was noted meanwhile stays so: what is forgotten goes first, and only when all were
 * taken. */
static cow_errno read_all(struct engine *g)
{
	struct engine_shared *shared = g->shared;
	int r;

	pthread_mutex_lock(&shared->ports.lock);
	if (shared->ports.known)
		memset(shared->ports.used, 0, sizeof(shared->ports.used));
	pthread_mutex_unlock(&shared->ports.lock);
	r = cow_branch_each(g->store, note_of_branch, shared);
	if (r == 0)
		r = cow_deleted_each(g->store, note_of_deleted, shared);
	shared->ports.known = r == 0;
	return r;
}

/* 0 = none. Every store of a machine begins somewhere else: a port of a branch that nobody serves
 * looks free to the others. */
static int find_free(struct engine *g)
{
	unsigned first = pgplace_hash(cow_store_path(g->store)) % PORTS;
	WITH_LOCK(&g->shared->ports.lock);

	for (unsigned k = 0; k < PORTS; k++) {
		int at = (int)((first + k) % PORTS);

		if (!g->shared->ports.used[at] &&
		    pgplace_port_free(PGPLACE_PUBLIC_HOST, PORT_FIRST + at))
			return PORT_FIRST + at;
	}
	return 0;
}

static cow_errno choose_free(struct engine *g, int *ret, struct cow_error *e)
{
	bool known = g->shared->ports.known;
	cow_errno r = known ? 0 : read_all(g);

	*ret = r == 0 ? find_free(g) : 0;
	if (r == 0 && !*ret && known) {
		r = read_all(g);
		*ret = r == 0 ? find_free(g) : 0;
	}
	if (r < 0)
		return cow_fail(e, r, "the ports of the branches cannot be read");
	return *ret ? 0
		    : cow_fail(e, -EADDRINUSE, "no port from %d to %d is free", PORT_FIRST,
			       PORT_LAST);
}

/* --- one that somebody asked for --- */

struct owner {
	uint64_t but; /* branch whose own port does not count */
	int port;
	char name[COW_BRANCH_MAX + 1];
};

static int is_owner(const struct cow_branch_info *b, void *arg)
{
	struct owner *o = arg;

	if (b->id == o->but || branch_port_in(b->settings) != o->port)
		return 0;
	snprintf(o->name, sizeof(o->name), "%s", b->name);
	return 1;
}

/* Is it one that a server could have? One that could not would be kept, and no later start would
 * do without saying --port again. */
static cow_errno check_wanted(struct engine *g, const struct cow_branch_info *b, int port,
			      struct cow_error *e)
{
	struct owner owner = {.but = b->id, .port = port};
	char text[32];
	int first = 1024;

	if (cow_branch_each(g->store, is_owner, &owner) == 1)
		return cow_fail(e, -EEXIST, "port %d belongs to branch %s", port, owner.name);
	if (cow_os_read_small(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", text,
			      sizeof(text)) == 0)
		first = (int)strtol(text, NULL, 10);
	if (port < first) {
		cow_fail(e, -EPERM, "only root may listen on port %d, and postgres is never root",
			 port);
		return cow_hint(e, -EPERM, "Choose one from %d on.", first);
	}
	if (!pgplace_port_free(PGPLACE_PUBLIC_HOST, port)) {
		cow_fail(e, -EBUSY, "port %d is used by another program", port);
		return cow_hint(e, -EBUSY,
				"End that program, or choose another port; %s keeps the one it "
				"had.",
				b->name);
	}
	return 0;
}

static cow_errno keep_port(void *arg, json_t *settings, struct cow_error *e)
{
	json_object_set_new(settings, "port", json_integer(*(const int *)arg));
	return 0;
}

cow_errno branch_port_choose(struct engine *g, const char *name, int wanted, int *ret,
			     struct cow_error *e)
{
	struct cow_branch_info b = {0};
	cow_errno r;
	WITH_LOCK(&g->shared->port_choosing);

	r = cow_branch_get(g->store, name, &b, e);
	if (r < 0)
		return r;
	*ret = branch_port_in(b.settings);
	if (!*ret || (wanted && wanted != *ret)) {
		*ret = wanted;
		r = wanted ? check_wanted(g, &b, wanted, e) : choose_free(g, ret, e);
		if (r == 0)
			r = branch_edit(g, name, keep_port, ret, e);
	}
	cow_branch_info_release(&b);
	return r;
}
