// SPDX-License-Identifier: Apache-2.0
/* The life of a branch: what must never happen, whatever the order of events. */
#include <criterion/criterion.h>
#include <string.h>

#include "tools/serve/state.h"

static enum serve_state after(enum serve_state at, enum serve_event event)
{
	return serve_step(at, event).next;
}

Test(serve_state, a_connection_wakes_what_sleeps_and_nothing_else)
{
	for (int s = 0; s < SERVE_STATES; s++) {
		enum serve_action a = serve_step(s, SERVE_CONNECT).action;

		cr_assert_eq(a == SERVE_DO_START, s == SERVE_SUSPENDED, "%s", serve_state_name(s));
	}
	cr_assert_eq(serve_step(SERVE_STOPPED, SERVE_CONNECT).action, SERVE_DO_REFUSE);
	cr_assert_eq(serve_step(SERVE_FAILED, SERVE_CONNECT).action, SERVE_DO_REFUSE);
}

/* A client is forwarded, held, refused, or the reason for a start; never forgotten. */
Test(serve_state, a_connection_always_has_an_answer)
{
	for (int s = 0; s < SERVE_STATES; s++)
		cr_assert_neq(serve_step(s, SERVE_CONNECT).action, SERVE_DO_NOTHING, "%s",
			      serve_state_name(s));
}

/* Two servers on one directory would destroy it. */
Test(serve_state, nothing_starts_while_a_server_may_be_there)
{
	static const enum serve_state up[] = {SERVE_STARTING, SERVE_RUNNING, SERVE_IDLE,
					      SERVE_SUSPENDING, SERVE_STOPPING};

	for (size_t k = 0; k < sizeof(up) / sizeof(up[0]); k++)
		for (int e = 0; e < SERVE_EVENTS; e++)
			cr_assert_neq(serve_step(up[k], e).action, SERVE_DO_START, "%s",
				      serve_state_name(up[k]));
}

Test(serve_state, a_branch_with_clients_does_not_fall_asleep_by_itself)
{
	cr_assert_eq(after(SERVE_RUNNING, SERVE_QUIET), SERVE_RUNNING);
	cr_assert_eq(after(SERVE_IDLE, SERVE_QUIET), SERVE_SUSPENDING);
	/* Unless they do nothing, and it was said that this is not enough. */
	cr_assert_eq(after(SERVE_RUNNING, SERVE_DORMANT), SERVE_SUSPENDING);
	cr_assert_eq(after(SERVE_IDLE, SERVE_DORMANT), SERVE_IDLE);
	/* However they came. */
	cr_assert_eq(after(SERVE_IDLE, SERVE_SEEN), SERVE_RUNNING);
	cr_assert_eq(after(SERVE_SUSPENDING, SERVE_SEEN), SERVE_SUSPENDING);
}

Test(serve_state, who_connects_while_it_falls_asleep_gets_it_awake)
{
	cr_assert_eq(serve_step(SERVE_SUSPENDING, SERVE_CONNECT).action, SERVE_DO_HOLD);
	cr_assert_eq(serve_step(SERVE_SUSPENDING, SERVE_ENDED).action, SERVE_DO_SETTLE);
	cr_assert_eq(after(SERVE_SUSPENDED, SERVE_WAKE), SERVE_STARTING);
}

Test(serve_state, only_a_hand_ends_stopped_and_failed)
{
	for (int e = 0; e < SERVE_EVENTS; e++) {
		if (e == SERVE_WAKE || e == SERVE_SUSPEND || e == SERVE_STOP)
			continue;
		cr_assert_eq(after(SERVE_STOPPED, e), SERVE_STOPPED);
		cr_assert_eq(after(SERVE_FAILED, e), SERVE_FAILED);
	}
}

Test(serve_state, every_state_has_a_name_of_its_own)
{
	for (int a = 0; a < SERVE_STATES; a++)
		for (int b = 0; b < a; b++)
			cr_assert(strcmp(serve_state_name(a), serve_state_name(b)) != 0);
}
