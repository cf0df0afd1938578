// SPDX-License-Identifier: Apache-2.0
/* Configuration that people write: the store's cowfs.conf (first byte even), and postgresql.conf,
 * which is read, cut and given a section of ours (first byte odd). */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pgconf.h"
#include "fs/pgcontrol.h"
#include "tests/fuzz/fuzz.h"
#include "tools/daemon/config.h"

static void store_config(const uint8_t *data, size_t size)
{
	struct cow_error e = COW_ERROR_INIT;
	struct config *c = NULL;
	char dir[] = "/dev/shm/cowfs-fuzz.XXXXXX", path[64];
	cow_errno r;
	FILE *f;

	fuzz_want(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/cowfs.conf", dir);
	f = fopen(path, "w");
	fuzz_want(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
	r = config_load(dir, &c, &e);
	fuzz_want(r == 0 || e.text[0]);
	fuzz_want((r == 0) == (c != NULL));
	config_get(c, "mount", "cache");
	config_free(c);
	unlink(path);
	rmdir(dir);
}

static void server_config(const char *text)
{
	struct cow_pgconf_list l = {0};
	struct cow_pgconf_facts facts = {.major = 15, .conf = text};
	char value[64], *with, *without, *again, *inside;
	size_t n;

	cow_pgconf_get(text, "shared_preload_libraries", value, sizeof(value));
	fuzz_want(cow_pgconf_override(&facts, &l) == 0);
	with = cow_pgconf_with_section(text, &l);
	fuzz_want(with);
	for (size_t k = 0; k < l.n; k++)
		fuzz_want(cow_pgconf_get(with, l.items[k].name, value, sizeof(value)));
	/* Our section is one, however often it is written. */
	again = cow_pgconf_with_section(with, &l);
	fuzz_want(again && strcmp(with, again) == 0);
	without = cow_pgconf_without_section(with);
	inside = cow_pgconf_disable_outside(with, &n);
	fuzz_want(without && inside);
	free(with);
	free(again);
	free(without);
	free(inside);
	cow_pgconf_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_pgcontrol control;
	char *text;

	if (!size)
		return 0;
	if (data[0] % 2 == 0) {
		store_config(data + 1, size - 1);
		return 0;
	}
	cow_pgcontrol_decode(data + 1, size - 1, &control, NULL);
	text = fuzz_text(data + 1, size - 1);
	server_config(text);
	free(text);
	return 0;
}
