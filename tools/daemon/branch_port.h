// SPDX-License-Identifier: Apache-2.0
/* branch_port: the port of a branch's server.
 *
 * It is kept in the settings of the branch ("port"), so that it is the same after every start,
 * reset and restore. No two branches have the same one, and none is given anew while a branch that
 * has it exists or can be had back. */
#pragma once
#include "tools/daemon/engine.h"

/* The port in a settings text (NULL = "{}"); 0 = none. */
int branch_port_in(const char *settings);

/* The branch has a port afterwards, durably: the one it has, `wanted` (0 = any), or a free one.
 * -ENOENT no such branch, -EEXIST another branch has `wanted`, -EPERM only root may have it, -EBUSY
 * somebody listens there, -EADDRINUSE none is free; then nothing has changed. */
cow_errno branch_port_choose(struct engine *g, const char *name, int wanted, int *ret,
			     struct cow_error *e);

/* For whoever gives settings to a branch past branch_edit: they may hold a port. Before the branch
 * has them. */
void branch_port_note(struct engine *g, const json_t *settings);
