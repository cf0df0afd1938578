// SPDX-License-Identifier: Apache-2.0
/* Labels of PostgreSQL Anonymizer as rules of ours.
 *
 *   MASKED WITH VALUE NULL | 'text' | number      NOT MASKED
 *   MASKED WITH FUNCTION anon.fake_email()        MASKED WITH FUNCTION anon.partial(name, 2, '***',
 * 1)
 *
 * Ours are deterministic where theirs are random, so joins survive; what theirs leaves of the
 * original (partial, noise, generalize) ours leaves too. A function outside this table is refused:
 * the guess would be about personal data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/rules.h"

/* Arguments of theirs go to ours from number `from` on; -1 = none. */
static const struct {
	const char *theirs, *ours;
	int from;
} functions[] = {
    {"fake_email", "email", -1},
    {"dummy_email", "email", -1},
    {"dummy_free_email", "email", -1},
    {"dummy_safe_email", "email", -1},
    {"pseudo_email", "email", -1},
    {"partial_email", "email", -1},
    {"fake_first_name", "first_name", -1},
    {"dummy_first_name", "first_name", -1},
    {"pseudo_first_name", "first_name", -1},
    {"fake_last_name", "last_name", -1},
    {"dummy_last_name", "last_name", -1},
    {"pseudo_last_name", "last_name", -1},
    {"dummy_name", "name", -1},
    {"dummy_name_with_title", "name", -1},
    {"dummy_username", "hash", -1},
    {"fake_company", "company", -1},
    {"dummy_company_name", "company", -1},
    {"pseudo_company", "company", -1},
    {"fake_city", "city", -1},
    {"dummy_city_name", "city", -1},
    {"pseudo_city", "city", -1},
    {"fake_address", "address", -1},
    {"dummy_street_name", "address", -1},
    {"random_phone", "phone", -1},
    {"dummy_phone_number", "phone", -1},
    {"dummy_cell_number", "phone", -1},
    {"fake_postcode", "shape", -1},
    {"dummy_zip_code", "shape", -1},
    {"dummy_post_code", "shape", -1},
    {"random_zip", "shape", -1},
    {"fake_iban", "iban", -1},
    {"pseudo_iban", "iban", -1},
    {"dummy_credit_card_number", "card", -1},
    {"fake_siret", "shape", -1},
    {"pseudo_siret", "shape", -1},
    {"lorem_ipsum", "text", -1},
    {"dummy_sentence", "text", -1},
    {"dummy_paragraph", "text", -1},
    {"random_string", "shape", -1},
    {"random_date", "shift", -1},
    {"random_date_between", "shift", -1},
    {"dnoise", "shift", -1},
    {"random_int_between", "hash", -1},
    {"random_bigint_between", "hash", -1},
    {"hash", "hash", -1},
    {"digest", "hash", -1},
    {"random_hash", "hash", -1},
    {"dummy_uuidv4", "hash", -1},
    {"random_uuid", "hash", -1},
    {"noise", "noise", 1},
    {"partial", "partial", 1},
};

static const char *const needs_default[][2] = {{"shift", "30"}};

static cow_errno no_counterpart(const char *what, struct cow_error *e)
{
	cow_fail(e, -EINVAL, "the label %s has no counterpart in cowfs", what);
	return cow_hint(e, -EINVAL,
			"Write a rule for this column: MASK table.column WITH rule; a rule in a "
			"file comes before a label. The rules are in cowfs golden check --help.");
}

static cow_errno push(struct golden_call *c, const char *text, bool quoted)
{
	if (c->n_args == GOLDEN_ARGS || !(c->args[c->n_args] = strdup(text)))
		return -ENOMEM;
	c->quoted[c->n_args++] = quoted;
	return 0;
}

static cow_errno translate(const struct golden_call *theirs, struct golden_call *ret,
			   struct cow_error *e)
{
	const char *dot = strrchr(theirs->name, '.');
	const char *name = dot ? dot + 1 : theirs->name;
	cow_errno r = 0;

	if (dot && strncmp(theirs->name, "anon.", 5) != 0)
		return no_counterpart(theirs->name, e);
	for (size_t k = 0; k < sizeof(functions) / sizeof(functions[0]); k++) {
		int from = functions[k].from;

		if (strcmp(functions[k].theirs, name) != 0)
			continue;
		ret->name = strdup(functions[k].ours);
		r = ret->name ? 0 : -ENOMEM;
		for (size_t a = (size_t)from; r == 0 && from >= 0 && a < theirs->n_args; a++)
			r = push(ret, theirs->args[a], theirs->quoted[a]);
		for (size_t d = 0; r == 0 && d < sizeof(needs_default) / sizeof(needs_default[0]);
		     d++)
			if (strcmp(functions[k].ours, needs_default[d][0]) == 0)
				r = push(ret, needs_default[d][1], false);
		return r < 0 ? cow_fail(e, r, "no memory for rules") : 0;
	}
	return no_counterpart(theirs->name, e);
}

/* After MASKED WITH VALUE. */
static cow_errno read_value(struct golden_scan *s, struct golden_call *ret, struct cow_error *e)
{
	bool null = golden_scan_is(s, "NULL");

	if (!null && s->token != TOKEN_TEXT && s->token != TOKEN_NUMBER)
		return no_counterpart("VALUE that is neither a text nor a number", e);
	ret->name = strdup(null ? "null" : "value");
	if (!ret->name || (!null && push(ret, s->word, true) < 0))
		return cow_fail(e, -ENOMEM, "no memory for rules");
	golden_scan_next(s);
	return 0;
}

static cow_errno read_label(struct golden_scan *s, const char *label, struct golden_rule *n,
			    struct cow_error *e)
{
	struct golden_call theirs = {0};
	cow_errno r = 0;

	golden_scan_next(s);
	if (golden_scan_is(s, "NOT")) {
		golden_scan_next(s);
		n->decision = GOLDEN_KEEP;
		if (!golden_scan_is(s, "MASKED"))
			return no_counterpart(label, e);
		golden_scan_next(s);
		return 0;
	}
	n->decision = GOLDEN_MASK;
	if (!golden_scan_is(s, "MASKED"))
		return no_counterpart(label, e);
	golden_scan_next(s);
	if (!golden_scan_is(s, "WITH"))
		return no_counterpart(label, e);
	golden_scan_next(s);
	if (golden_scan_is(s, "VALUE")) {
		golden_scan_next(s);
		return read_value(s, &n->call, e);
	}
	if (!golden_scan_is(s, "FUNCTION"))
		return no_counterpart(label, e);
	golden_scan_next(s);
	if (golden_scan_call(s, &theirs, e) < 0)
		r = no_counterpart(label, e);
	if (r == 0)
		r = translate(&theirs, &n->call, e);
	golden_call_release(&theirs);
	return r;
}

cow_errno golden_label_read(const char *label, struct golden_rule *n, struct cow_error *e)
{
	struct golden_scan s = {.at = label, .line = 1};
	cow_errno r = read_label(&s, label, n, e);

	/* "MASKED WITH FUNCTION a() || b" is more than we know about. */
	if (r == 0 && s.token != TOKEN_END && !golden_scan_is(&s, ";"))
		r = no_counterpart(label, e);
	golden_scan_release(&s);
	return r;
}
