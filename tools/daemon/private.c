// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/branch.h"

bool private_is(const struct cow_branch_info *b)
{
	json_t *settings = json_loads(b->settings ? b->settings : "{}", 0, NULL);
	bool private = json_is_string(json_object_get(settings, "private"));

	json_decref(settings);
	return private;
}

cow_errno private_refuse(struct engine *g, const char *reference, const json_t *args,
			 const char *what, struct cow_error *e)
{
	struct cow_branch_info b = {0};
	char name[COW_BRANCH_MAX + 1];
	cow_errno r = 0;

	if (!reference || engine_flag(args, "private"))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(reference, "@"), reference);
	if (cow_branch_get(g->store, name, &b, NULL) < 0)
		return 0;
	if (private_is(&b)) {
		r = cow_fail(e, -EPERM, "cannot %s %s: it is private to the making of an image",
			     what, name);
		cow_hint(e, r,
			 "It may hold what nobody should see. It goes away by itself; if that "
			 "work was killed, with the next cowfs golden refresh.");
	}
	cow_branch_info_release(&b);
	return r;
}
