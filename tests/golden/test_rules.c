// SPDX-License-Identifier: Apache-2.0
/* The language of rules, and the labels of PostgreSQL Anonymizer. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/golden/rules.h"
#include "tools/golden/suggest.h"

static struct golden_rules rules;

static void finish(void)
{
	golden_rules_release(&rules);
}

static cow_errno parse(const char *text, struct cow_error *e)
{
	return golden_rules_parse(&rules, text, "rules.sql", NULL, e);
}

static const struct golden_rule *rule(const char *schema, const char *table, const char *column)
{
	return golden_rules_find(&rules, "db", schema, table, column);
}

Test(rules, statements_of_every_kind, .fini = finish)
{
	const struct golden_rule *r;
	char *text;

	cr_assert_eq(parse("MASK users.email WITH email; -- comment ; with a semicolon\n"
			   "/* KEEP users.secret; */ keep app.orders (id, \"Total\");\n"
			   "MASK app.users.born WITH shift(30, id); EMPTY audit;\n"
			   "MASK t.c WITH value('it''s'); MASK t.d WITH sql($x$a || ';'$x$);\n"
			   "LARGE OBJECTS KEEP;",
			   NULL),
		     0);
	cr_assert_eq(rule("public", "users", "email")->decision, GOLDEN_MASK);
	cr_assert_eq(rule("app", "orders", "Total")->decision, GOLDEN_KEEP);
	cr_assert_null(rule("app", "orders", "total"));
	cr_assert_null(rule("public", "users", "secret"));
	cr_assert_eq(rule("public", "audit", NULL)->decision, GOLDEN_EMPTY);
	cr_assert_eq(golden_rules_large_objects(&rules, "db")->decision, GOLDEN_KEEP);
	r = rule("app", "users", "born");
	cr_assert_str_eq(r->origin, "rules.sql:3");
	text = golden_call_text(&r->call);
	cr_assert_str_eq(text, "shift(30, id)");
	free(text);
	cr_assert_str_eq(rule("public", "t", "c")->call.args[0], "it's");
	cr_assert_str_eq(rule("public", "t", "d")->call.args[0], "a || ';'");
}

Test(rules, an_error_names_file_and_line, .fini = finish)
{
	static const char *const bad[] = {
	    "\nMASK users.email email;",  "\nKEEP users (id;",         "\nKEEP users (id)",
	    "\nMASK users WITH email;",   "\nDROP TABLE users;",       "\nMASK a.b.c.d WITH email;",
	    "\nMASK a.b WITH value('x);", "\nMASK a.b WITH shift(30;", "\nLARGE OBJECTS MASK;",
	};

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		struct cow_error e = COW_ERROR_INIT;

		cr_assert_eq(parse(bad[k], &e), -EINVAL, "%s", bad[k]);
		cr_assert(strstr(e.text, "rules.sql line 2"), "%s: %s", bad[k], e.text);
	}
}

Test(rules, a_column_is_decided_once, .fini = finish)
{
	struct cow_error e = COW_ERROR_INIT;

	cr_assert_eq(parse("KEEP users (email);\nMASK public.users.email WITH email;", &e),
		     -EINVAL);
	cr_assert(strstr(e.text, "decided already at rules.sql:1"), "%s", e.text);
}

Test(rules, one_for_a_database_comes_first, .fini = finish)
{
	cr_assert_eq(parse("KEEP t (c);", NULL), 0);
	cr_assert_eq(golden_rules_parse(&rules, "MASK t.c WITH hash;", "db/x.sql", "db", NULL), 0);
	cr_assert_eq(rule("public", "t", "c")->decision, GOLDEN_MASK);
	cr_assert_eq(golden_rules_find(&rules, "other", "public", "t", "c")->decision, GOLDEN_KEEP);
}

#define LABEL(text) "SECURITY LABEL FOR anon ON COLUMN public.t.c IS '" text "';"

static void means(const char *statement, const char *call)
{
	char *text;

	cr_assert_eq(parse(statement, NULL), 0, "%s", statement);
	text = golden_call_text(&rule("public", "t", "c")->call);
	cr_assert_str_eq(text, call);
	free(text);
	golden_rules_release(&rules);
}

Test(labels, of_anonymizer_become_rules, .fini = finish)
{
	means(LABEL("MASKED WITH FUNCTION anon.fake_email()"), "email");
	means(LABEL("MASKED WITH FUNCTION anon.partial(phone,2,$$******$$,2)"),
	      "partial(2, '******', 2)");
	means(LABEL("MASKED WITH FUNCTION anon.random_date_between(''1900-01-01''::DATE)"),
	      "shift(30)");
	means(LABEL("MASKED WITH FUNCTION anon.noise(salary, 0.2)"), "noise(0.2)");
	means(LABEL("MASKED WITH VALUE ''CONFIDENTIAL''"), "value('CONFIDENTIAL')");
	means(LABEL("MASKED WITH VALUE NULL"), "null");
	cr_assert_eq(parse(LABEL("NOT MASKED"), NULL), 0);
	cr_assert_eq(rule("public", "t", "c")->decision, GOLDEN_KEEP);
}

/* A guess would be about personal data. */
Test(labels, without_a_counterpart_are_refused, .fini = finish)
{
	static const char *const bad[] = {
	    LABEL("MASKED WITH FUNCTION anon.image_blur(photo, 9)"),
	    LABEL("MASKED WITH FUNCTION public.mine(c)"),
	    LABEL("MASKED WITH FUNCTION anon.fake_email() || c"),
	    LABEL("MASKED WITH VALUE c"),
	    LABEL("TABLESAMPLE SYSTEM(33)"),
	};

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		struct cow_error e = COW_ERROR_INIT;

		cr_assert_eq(parse(bad[k], &e), -EINVAL, "%s", bad[k]);
		cr_assert(strstr(e.text, "no counterpart"), "%s", e.text);
	}
}

Test(suggest, knows_what_it_sees)
{
	cr_assert(suggest_is_email("a.b+c@mail.example.com"));
	cr_assert_not(suggest_is_email("a@b"));
	cr_assert_not(suggest_is_email("see a@b.com"));
	cr_assert(suggest_is_card("5500 0000 0000 0004"));
	cr_assert_not(suggest_is_card("5500 0000 0000 0005"));
	cr_assert(suggest_is_iban("DE89 3704 0044 0532 0130 00"));
	cr_assert_not(suggest_is_iban("DE88 3704 0044 0532 0130 00"));
	cr_assert(suggest_is_phone("+49 170 1234567"));
	cr_assert_not(suggest_is_phone("1234567"));
}
