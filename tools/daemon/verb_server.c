// SPDX-License-Identifier: Apache-2.0
/* The verb behind start, stop, url and psql: where the server of a branch is. */
#include "tools/daemon/verb_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/branch.h"
#include "store/cleanup.h"
#include "store/log.h"
#include "tools/daemon/branch_edit.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/branch_limits.h"
#include "tools/daemon/branch_port.h"
#include "tools/daemon/fork_policy.h"
#include "tools/daemon/json_text.h"
#include "tools/daemon/private.h"

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
		cow_branch_default(g->store, standard, NULL);
		name = standard;
	}
	r = private_refuse(g, name, args, "use", e);
	if (r == 0 && engine_flag(args, "choose_port"))
		r = branch_port_choose(g, name, wanted, &port, e);
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
	place = json_pack("{s:o,s:o,s:o,s:i,s:b,s:b,s:b,s:o,s:o,s:o}", "branch", json_text(b.name),
			  "id", branch_id_json(b.id), "path", json_text(mounted ? path : NULL),
			  "port", branch_port_in(b.settings), "ephemeral", b.ephemeral, "poisoned",
			  b.poisoned, "lost", b.lost, "files",
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
