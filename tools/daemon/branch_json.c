// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/branch_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "store/upkeep.h"
#include "tools/daemon/json_text.h"
#include "tools/pg/running.h"

void branch_id_text(uint64_t id, char ret[BRANCH_ID_SIZE])
{
	snprintf(ret, BRANCH_ID_SIZE, "br-%08" PRIx64, id);
}

json_t *branch_id_json(uint64_t id)
{
	char text[BRANCH_ID_SIZE];

	if (id == 0)
		return json_null();
	branch_id_text(id, text);
	return json_string(text);
}

/* Settings are ours: an object, or they are damaged and then empty. */
static json_t *settings_json(const struct cow_branch_info *b)
{
	json_t *v = b->settings ? json_loads(b->settings, 0, NULL) : NULL;

	if (!json_is_object(v)) {
		json_decref(v);
		v = json_object();
	}
	json_object_del(v, "verifiers"); /* for nobody but its own first start: server.verifiers */
	return v;
}

static json_t *labels_json(const struct cow_branch_info *b, bool protected, bool private)
{
	json_t *labels = json_array();

	if (b->is_default)
		json_array_append_new(labels, json_string("default"));
	if (protected)
		json_array_append_new(labels, json_string("protected"));
	if (private)
		json_array_append_new(labels, json_string("private"));
	if (b->ephemeral)
		json_array_append_new(labels, json_string("ephemeral"));
	if (b->lost)
		json_array_append_new(labels, json_string("lost"));
	if (b->poisoned)
		json_array_append_new(labels, json_string("poisoned"));
	return labels;
}

static void add_space(struct engine *g, const char *name, json_t *o)
{
	struct cow_du du;

	if (cow_du_branch(g->store, name, &du, NULL) == 0) {
		json_object_set_new(o, "unique_bytes", json_count(du.unique));
		json_object_set_new(o, "logical_size", json_count(du.logical));
	} else {
		json_object_set_new(o, "unique_bytes", json_null());
		json_object_set_new(o, "logical_size", json_null());
	}
}

void branch_json_quota(struct engine *g, const struct cow_branch_info *b, json_t *o)
{
	uint64_t used;
	bool known = b->quota && cow_branch_quota(g->store, b->name, &used, NULL) == 0;

	json_object_set_new(o, "quota_bytes", b->quota ? json_count(b->quota) : json_null());
	json_object_set_new(o, "quota_used_bytes", known ? json_count(used) : json_null());
}

static json_t *path_json(struct engine *g, const char *name)
{
	char mountpoint[PATH_MAX], path[PATH_MAX + COW_BRANCH_MAX + 2];

	if (!engine_mountpoint(g, mountpoint, sizeof(mountpoint)))
		return json_null();
	snprintf(path, sizeof(path), "%s/%s", mountpoint, name);
	return json_text(path);
}

/* Of its server as far as it can be seen from here; cowfs serve knows more (tools/serve/client.h).
 */
static const char *state_of(struct engine *g, const struct cow_branch_info *b)
{
	if (b->poisoned)
		return "poisoned";
	return running_postgres(g, b->name, NULL) ? "running" : "stopped";
}

json_t *branch_json(struct engine *g, const struct cow_branch_info *b, bool space)
{
	json_t *settings = settings_json(b), *o = json_object();
	json_t *expires = json_object_get(settings, "expires_at");
	bool protected = json_is_true(json_object_get(settings, "protected"));
	bool private = json_is_string(json_object_get(settings, "private"));

	json_object_set_new(o, "id", branch_id_json(b->id));
	json_object_set_new(o, "name", json_text(b->name));
	json_object_set_new(o, "parent_id", branch_id_json(b->parent_id));
	json_object_set_new(o, "parent", b->parent[0] ? json_text(b->parent) : json_null());
	json_object_set_new(o, "current_state", json_string(state_of(g, b)));
	json_object_set_new(o, "default", json_boolean(b->is_default));
	json_object_set_new(o, "protected", json_boolean(protected));
	json_object_set_new(o, "ephemeral", json_boolean(b->ephemeral));
	json_object_set_new(o, "expires_at", expires ? json_incref(expires) : json_null());
	json_object_set_new(o, "created_at", json_time(b->created_ns));
	json_object_set_new(o, "last_reset_at", json_time(b->reset_ns));
	json_object_set_new(o, "data_state_at", json_time(b->data_ns));
	json_object_set_new(o, "incarnation", json_count(b->incarnation));
	json_object_set_new(o, "forks", json_count(b->forks));
	branch_json_quota(g, b, o);
	if (space)
		add_space(g, b->name, o);
	json_object_set_new(o, "labels", labels_json(b, protected, private));
	json_object_set(o, "fork", json_object_get(settings, "fork"));
	json_object_set_new(o, "settings", settings);
	json_object_set_new(o, "path", path_json(g, b->name));
	return o;
}

cow_errno branch_json_get(struct engine *g, const char *name, bool space, json_t **ret,
			  struct cow_error *e)
{
	struct cow_branch_info b = {0};
	cow_errno r = cow_branch_get(g->store, name, &b, e);

	if (r < 0)
		return r;
	*ret = branch_json(g, &b, space);
	cow_branch_info_release(&b);
	return *ret ? 0 : cow_fail(e, -ENOMEM, "out of memory");
}

json_t *snapshot_json(const struct cow_snapshot_info *p)
{
	char reference[2 * COW_BRANCH_MAX + 2];

	snprintf(reference, sizeof(reference), "%s@%s", p->branch, p->name);
	return json_pack("{s:o,s:o,s:o,s:o,s:o}", "branch", json_text(p->branch), "name",
			 json_text(p->name), "reference", json_text(reference), "created_at",
			 json_time(p->created_ns), "message",
			 p->message[0] ? json_text(p->message) : json_null());
}
