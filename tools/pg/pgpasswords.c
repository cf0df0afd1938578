// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgpasswords.h"

#include <errno.h>
#include <string.h>

#include "tools/daemon/client.h"
#include "tools/pg/pg_roles.h"
#include "tools/pg/pgvisit.h"

bool pgpasswords_wanted(const struct cow_pgfork_policy *policy)
{
	return policy->replace_role_passwords || policy->lock_superusers;
}

/* Steals `verifiers`; NULL = only look. *ret may be NULL; else what is kept, a new object. */
static cow_errno keep(const struct pgbranch *b, json_t *verifiers, json_t **ret,
		      struct cow_error *e)
{
	json_t *answer = NULL;
	cow_errno r =
	    client_call(b->store, "server.verifiers",
			json_pack("{s:s,s:o*}", "name", b->name, "set", verifiers), &answer, e);

	if (r == 0 && ret)
		*ret = json_incref(json_object_get(answer, "verifiers"));
	json_decref(answer);
	return r;
}

/* --- of a branch that does not run --- */

static cow_errno make_before(struct command_call *call, struct pgbranch *b,
			     struct pgfirst_passwords *p)
{
	struct cow_pgconf_list l = {0};
	struct pgfirst_report report;
	cow_errno r = pgbranch_find_programs(b, NULL, &call->error);

	if (r == 0)
		r = pgbranch_await_quiet(call, b);
	if (r < 0)
		return r;
	/* What was in the branch before its first start goes with it, by the same change. */
	if (!pgfirst_is_due(b))
		b->policy.keep_subscriptions = b->policy.keep_passwords = true;
	r = pgbranch_settings(b, &l);
	r = r < 0 ? cow_fail(&call->error, r, "cannot make the settings of the server")
		  : pgfirst_run(b, &l, p, &report, &call->error);
	cow_pgconf_list_release(&l);
	return r;
}

/* --- of one that runs --- */

static cow_errno ask(const struct pgbranch *b, void *arg, json_t **ret, struct cow_error *e)
{
	/* Past the proxy, if there is one: it may not know yet what was a member of a pool. */
	struct pg_address at = {.host = b->state.socket_dir, .port = b->port, .user = b->user};
	json_t *made = NULL, *verifiers = NULL;
	cow_errno r;

	r = cow_pg_new_passwords(&at, b->policy.replace_role_passwords, b->policy.lock_superusers,
				 &made, &verifiers, e);
	if (r == 0)
		*ret = json_pack("{s:o,s:o}", "made", made, "verifiers", verifiers);
	return r;
}

static cow_errno make_living(struct command_call *call, const struct pgbranch *b,
			     struct pgfirst_passwords *p)
{
	json_t *answer = NULL;
	cow_errno r = pgvisit_as_owner(b, ask, NULL, &answer, &call->error);

	p->made = json_incref(json_object_get(answer, "made"));
	p->made_verifiers = json_incref(json_object_get(answer, "verifiers"));
	json_decref(answer);
	return r;
}

/* --- both --- */

cow_errno pgpasswords_make(struct command_call *call, const char *branch, json_t **ret)
{
	struct pgfirst_passwords p = {.make = true};
	struct pgbranch b;
	cow_errno r = pgbranch_find(call, branch, (struct pgbranch_port){.choose = true}, &b);

	if (r < 0)
		return r;
	r = b.state.ready ? make_living(call, &b, &p) : make_before(call, &b, &p);
	if (r == 0)
		r = keep(&b, p.made_verifiers, NULL, &call->error);
	else
		json_decref(p.made_verifiers);
	if (r == 0) {
		pgfirst_done(&b);
		*ret = p.made;
	} else {
		json_decref(p.made);
	}
	return r;
}

cow_errno pgpasswords_first(struct pgbranch *b, const struct cow_pgconf_list *settings,
			    struct pgfirst_report *ret, struct cow_error *e)
{
	json_t *verifiers = NULL;
	struct pgfirst_passwords p = {0};
	cow_errno r = pgpasswords_wanted(&b->policy) ? keep(b, NULL, &verifiers, e) : 0;

	p.verifiers = verifiers;
	if (r == 0)
		r = pgfirst_run(b, settings, &p, ret, e);
	json_decref(verifiers);
	return r;
}
