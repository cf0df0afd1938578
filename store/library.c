// SPDX-License-Identifier: Apache-2.0
/* library: loading, once. */
#include "store/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "store/cleanup.h"

/* After an error some are found already; nobody calls one before all are. */
static cow_errno find_all(const struct cow_library *l, void *handle, struct cow_error *e)
{
	for (size_t k = 0; k < l->n; k++) {
		void *f = dlsym(handle, l->symbols[k].name);

		if (!f)
			return cow_fail(e, -ELIBACC,
					"%s (%s) has no %s: it is not the one cowfs was built with",
					l->what, l->file, l->symbols[k].name);
		memcpy(l->symbols[k].at, &f, sizeof(f));
	}
	return 0;
}

cow_errno cow_library_load(struct cow_library *l, struct cow_error *e)
{
	cow_errno r;
	void *handle;
	WITH_LOCK(&l->lock);

	if (l->loaded)
		return 0;
	/* At once: a function that is missing must not end the daemon in the middle of something.
	 */
	handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return cow_fail(e, -ELIBACC, "cannot load %s, install it: %s", l->what, dlerror());
	r = find_all(l, handle, e);
	l->loaded = r == 0;
	if (r < 0)
		dlclose(handle);
	return r;
}
