// SPDX-License-Identifier: Apache-2.0
/* ports: what a process knows of the ports of one store is not taken for those of another one. */
#include <criterion/criterion.h>

#include "tests/lib/tmpstore.h"
#include "tools/daemon/branch_port.h"
#include "tools/daemon/shared.h"

static int choose(struct tmpstore *t, const char *name)
{
	struct engine_shared shared = ENGINE_SHARED_INIT;
	struct engine g = {.store = t->s, .shared = &shared};
	int port = 0;

	cr_assert_eq(branch_port_choose(&g, name, 0, &port, NULL), 0);
	cr_assert_neq(port, 0);
	return port;
}

static void choose_for_main(struct tmpstore *child, void *arg)
{
	choose(child, "main");
}

static int port_of(struct tmpstore *t, const char *name)
{
	struct cow_branch_info b = {0};
	int port;

	cr_assert_eq(cow_branch_get(t->s, name, &b, NULL), 0);
	port = branch_port_in(b.settings);
	cow_branch_info_release(&b);
	return port;
}

Test(ports, of_every_store_are_read, .timeout = 60)
{
	struct tmpstore one, other;

	tmpstore_make(&one, true);
	branch_make(&one, "next", "main");
	tmpstore_close(&one);
	tmpstore_crash(&one, choose_for_main, NULL); /* another process */
	tmpstore_make(&other, true);
	choose(&other, "main");
	tmpstore_open(&one);
	cr_assert_neq(port_of(&one, "main"), 0);
	cr_assert_neq(choose(&one, "next"), port_of(&one, "main"));
	tmpstore_release(&other);
	tmpstore_release(&one);
}
