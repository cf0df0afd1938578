// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/publish.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/parse.h"
#include "tools/daemon/json_text.h"
#include "tools/golden/carry.h"
#include "tools/golden/publish_parts.h"
#include "tools/golden/relmap.h"
#include "tools/golden/report.h"
#include "tools/golden/server.h"

/* What was looked for, and how each column is proven. */
static json_t *columns_json(const struct originals *o)
{
	json_t *all = json_array();

	for (uint32_t k = 0; k < originals_count(o); k++) {
		const struct original_column *c = originals_get(o, k);

		json_array_append_new(
		    all, json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "database",
				   json_text(c->database), "table", json_text(c->table), "column",
				   json_text(c->column), "sampled", json_count(c->sampled),
				   "sought", json_count(c->sought - c->dropped), "made_by_masking",
				   json_count(c->dropped), "rows_compared", json_count(c->compared),
				   "rows_unchanged", json_count(c->unchanged)));
	}
	return all;
}

static void describe(struct golden_image *g)
{
	const struct golden_run *run = g->run;
	json_t *o = run->report;

	json_object_set_new(o, "pointer", json_text(run->conf->name));
	json_object_set_new(o, "image", json_text(run->id));
	json_object_set_new(o, "source", json_text(run->source_text));
	json_object_set_new(o, "source_at", json_time(run->source_ns));
	json_object_set_new(o, "started_at", json_time(run->started_ns));
	json_object_set_new(o, "rules_hash", json_text(run->rules_hash));
	json_object_set(o, "checks", g->checks);
	json_object_set_new(o, "columns", columns_json(g->originals));
}

struct step {
	const char *name;
	cow_errno (*run)(struct golden_image *g, struct cow_error *e);
};

static cow_errno run_steps(struct golden_image *g, struct cow_error *e)
{
	static const struct step steps[] = {
	    {"build", golden_build},   {"prove_running", golden_prove_running},
	    {"finish", golden_finish}, {"prove_stopped", golden_prove_stopped},
	    {"move", golden_move},
	};
	json_t *took = json_object();
	cow_errno r = 0;

	for (size_t k = 0; r == 0 && k < sizeof(steps) / sizeof(steps[0]); k++) {
		int64_t t0 = golden_now_ms();

		r = steps[k].run(g, e);
		json_object_set_new(took, steps[k].name, json_integer(golden_now_ms() - t0));
	}
	json_object_set_new(g->run->report, "publish_ms", took);
	return r;
}

cow_errno golden_publish(struct golden_run *run, struct originals *o, struct cow_error *e)
{
	struct golden_image g = {.run = run, .originals = o, .checks = json_array()};
	struct cow_error late = COW_ERROR_INIT;
	cow_errno r = run_steps(&g, e);

	describe(&g);
	golden_carry_note(run);
	json_object_set_new(run->report, "published", json_boolean(r == 0));
	if (r < 0)
		json_object_set_new(run->report, "error", json_text(e->text));
	if (report_write(run->store, run->conf->name, r == 0 ? run->id : "failed", run->report,
			 &late) < 0)
		golden_say(run, "note: the report could not be kept: %s", late.text);
	if (r < 0) {
		golden_branch_drop(run, &g.dump, &late);
		golden_branch_drop(run, &g.server, &late);
	} else {
		golden_say(run, "published %s",
			   json_string_value(json_object_get(run->report, "branch")));
	}
	relmap_free(g.relations);
	json_decref(g.checks);
	return r;
}
