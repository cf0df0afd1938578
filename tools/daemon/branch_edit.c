// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/branch_edit.h"

#include <errno.h>

#include "store/branch.h"
#include "tools/daemon/branch_port.h"

cow_errno branch_edit_text(void *arg, const char *was, char **ret, struct cow_error *e)
{
	const struct branch_edit *how = arg;
	json_t *settings = json_loads(was ? was : "{}", 0, NULL);
	cow_errno r;

	if (!json_is_object(settings)) {
		json_decref(settings);
		return cow_fail(e, -EIO, "the settings of the branch are not a JSON object");
	}
	r = how->change(how->arg, settings, e);
	if (r == 0)
		branch_port_note(how->g, settings);
	*ret = r == 0 ? json_dumps(settings, JSON_COMPACT) : NULL;
	json_decref(settings);
	return r == 0 && !*ret ? cow_fail(e, -ENOMEM, "no memory for settings") : r;
}

cow_errno branch_edit(struct engine *g, const char *name, branch_edit_fn *change, void *arg,
		      struct cow_error *e)
{
	struct branch_edit how = {.g = g, .change = change, .arg = arg};

	return cow_branch_edit(g->store, name, branch_edit_text, &how, e);
}
