// SPDX-License-Identifier: Apache-2.0
/* top: one look after another at all branches: state, connections, transactions per second, bytes.
 *
 * A look asks the daemon, cowfs serve when it runs, and every server that runs, directly: nothing
 * is woken, and nothing is kept awake. A server that does not answer shows no numbers. */
#pragma once
#include "tools/cli/command.h"

struct top; /* what the look before saw */

struct top *top_new(void); /* NULL = no memory */
void top_free(struct top *t);

/* {at, store, running, connections, tps, unique_bytes, branches: [{name, parent, current_state,
 * connections, tps, unique_bytes}]}, busiest first. tps is null at the first look. New object. */
cow_errno top_look(struct top *t, struct command_call *call, json_t **ret);

/* Show looks until q, or `rounds` of them (0 = no end), on the whole terminal. */
cow_errno top_screen(struct top *t, struct command_call *call, unsigned interval_ms,
		     uint64_t rounds);
