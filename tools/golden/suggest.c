// SPDX-License-Identifier: Apache-2.0
/* suggest: a rule for a column nobody decided about, by its name, its type and some of its values.
 *
 * A suggestion is never applied. It names counts, never a value: `golden check` runs in CI, where
 * many read what it says. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/cleanup.h"
#include "tools/golden/builtins.h"
#include "tools/golden/columns.h"
#include "tools/golden/suggest.h"
#include "tools/pg/pg_golden.h"

#define SAMPLES 200u

/* --- by name --- */

#define TEXTS "text varchar bpchar citext name"

static const struct {
	const char *part; /* of the name, in lower case */
	const char *rule;
	const char *types; /* names of base types, separated by blanks */
} names[] = {
    {"email", "email", TEXTS},
    {"e_mail", "email", TEXTS},
    {"mail", "email", TEXTS},
    {"phone", "phone", TEXTS},
    {"mobile", "phone", TEXTS},
    {"tel", "phone", TEXTS},
    {"fax", "phone", TEXTS},
    {"iban", "iban", TEXTS},
    {"card_number", "card", TEXTS},
    {"credit_card", "card", TEXTS},
    {"pan", "card", TEXTS},
    {"first_name", "first_name", TEXTS},
    {"firstname", "first_name", TEXTS},
    {"given_name", "first_name", TEXTS},
    {"last_name", "last_name", TEXTS},
    {"lastname", "last_name", TEXTS},
    {"surname", "last_name", TEXTS},
    {"family_name", "last_name", TEXTS},
    {"company", "company", TEXTS},
    {"employer", "company", TEXTS},
    {"full_name", "name", TEXTS},
    {"username", "shape", TEXTS},
    {"name", "name", TEXTS},
    {"street", "address", TEXTS},
    {"address", "address", TEXTS},
    {"city", "city", TEXTS},
    {"zip", "shape", TEXTS},
    {"postal", "shape", TEXTS},
    {"postcode", "shape", TEXTS},
    {"password", "value('x')", TEXTS},
    {"secret", "hash", TEXTS},
    {"token", "hash", TEXTS " uuid"},
    {"api_key", "hash", TEXTS},
    {"ssn", "shape", TEXTS},
    {"passport", "shape", TEXTS},
    {"tax_id", "shape", TEXTS},
    {"birth", "shift(30)", "date timestamp timestamptz"},
    {"dob", "shift(30)", "date timestamp timestamptz"},
    {"born", "shift(30)", "date timestamp timestamptz"},
    {"salary", "noise(0.2)", "numeric int2 int4 int8 float4 float8"},
    {"income", "noise(0.2)", "numeric int2 int4 int8 float4 float8"},
    {"ip", "ip", TEXTS " inet"},
    {"note", "text", TEXTS},
    {"comment", "text", TEXTS},
    {"message", "text", TEXTS},
    {"body", "text", TEXTS},
    {"description", "text", TEXTS},
};

static bool type_fits(const char *types, const char *type)
{
	for (const char *p = types; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (strncmp(type, p, len) == 0 && type[len] == '\0')
			return true;
		p += len;
	}
	return false;
}

/* As a word of the name: "tel" is in "tel_private", not in "hotel". */
static bool has_word(const char *name, const char *part)
{
	size_t len = strlen(part);

	for (const char *p = name; (p = strcasestr(p, part)); p++) {
		bool begins = p == name || !isalpha((unsigned char)p[-1]);
		bool ends = !isalpha((unsigned char)p[len]);

		if ((begins && ends) || (len > 4 && (begins || ends)))
			return true;
	}
	return false;
}

static const char *by_name(const char *name, const char *type)
{
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		if (has_word(name, names[k].part) && type_fits(names[k].types, type))
			return names[k].rule;
	return NULL;
}

/* --- by values --- */

static unsigned digits_of(const char *v)
{
	unsigned n = 0;

	for (; *v; v++)
		n += isdigit((unsigned char)*v) != 0;
	return n;
}

bool suggest_is_email(const char *v)
{
	const char *at = strchr(v, '@'), *dot = at ? strrchr(at, '.') : NULL;

	return at && at > v && dot && dot > at + 1 && isalpha((unsigned char)dot[1]) &&
	       !strchr(at + 1, '@') && !strpbrk(v, " \t\n");
}

bool suggest_is_phone(const char *v)
{
	unsigned digits = digits_of(v);

	return digits >= 7 && digits <= 15 && (v[0] == '+' || v[0] == '0' || v[0] == '(') &&
	       strspn(v, "+0123456789 ()-./") == strlen(v);
}

bool suggest_is_card(const char *v)
{
	unsigned sum = 0, n = 0;

	if (strspn(v, "0123456789 -") != strlen(v) || digits_of(v) < 13 || digits_of(v) > 19)
		return false;
	for (size_t k = strlen(v); k > 0; k--) {
		unsigned d;

		if (!isdigit((unsigned char)v[k - 1]))
			continue;
		d = (unsigned)(v[k - 1] - '0') * (n++ % 2 ? 2 : 1);
		sum += d > 9 ? d - 9 : d;
	}
	return sum % 10 == 0;
}

bool suggest_is_iban(const char *v)
{
	unsigned rest = 0;
	char bare[40];
	size_t n = 0;

	for (; *v; v++) {
		if (*v == ' ')
			continue;
		if (!isalnum((unsigned char)*v) || n == sizeof(bare) - 1)
			return false;
		bare[n++] = (char)toupper((unsigned char)*v);
	}
	if (n < 15 || n > 34 || !isalpha((unsigned char)bare[0]) ||
	    !isalpha((unsigned char)bare[1]))
		return false;
	for (size_t k = 0; k < n; k++) {
		char c = bare[(k + 4) % n];

		rest = isdigit((unsigned char)c) ? (rest * 10 + (unsigned)(c - '0')) % 97
						 : (rest * 100 + (unsigned)(c - 'A' + 10)) % 97;
	}
	return rest == 1;
}

static bool is_text(const char *v)
{
	unsigned blanks = 0;

	for (const char *p = v; *p; p++)
		blanks += *p == ' ';
	return blanks >= 4;
}

static const struct {
	bool (*is)(const char *v);
	const char *rule, *what;
} looks[] = {
    {suggest_is_email, "email", "an e-mail address"},
    {suggest_is_iban, "iban", "an IBAN"},
    {suggest_is_card, "card", "a card number"},
    {suggest_is_phone, "phone", "a phone number"},
    {is_text, "text", "free text"},
};
#define N_LOOKS (sizeof(looks) / sizeof(looks[0]))

struct counts {
	unsigned all, of[N_LOOKS];
};

static cow_errno count(void *arg, const char *value)
{
	struct counts *c = arg;

	c->all++;
	for (size_t k = 0; k < N_LOOKS; k++)
		c->of[k] += looks[k].is(value);
	return 0;
}

/* --- both --- */

static const char *without_sample(const char *type)
{
	if (strncmp(type, "json", 4) == 0)
		return "json";
	if (strcmp(type, "inet") == 0)
		return "ip";
	return NULL;
}

static void put(json_t *p, const char *rule, const char *reason)
{
	CLEANUP_FREE char *schema =
	    golden_quote_name(json_string_value(json_object_get(p, "schema")));
	CLEANUP_FREE char *table =
	    golden_quote_name(json_string_value(json_object_get(p, "table")));
	CLEANUP_FREE char *column =
	    golden_quote_name(json_string_value(json_object_get(p, "column")));
	char text[700];

	if (!schema || !table || !column)
		return;
	if (rule)
		snprintf(text, sizeof(text), "MASK %s.%s.%s WITH %s;", schema, table, column, rule);
	else
		snprintf(text, sizeof(text), "KEEP %s.%s (%s);", schema, table, column);
	json_object_set_new(p, "suggestion", json_string(text));
	json_object_set_new(p, "reason", json_string(reason));
}

static void suggest(json_t *p, const struct counts *seen)
{
	const char *type = json_string_value(json_object_get(p, "base_type"));
	const char *name = json_string_value(json_object_get(p, "column"));
	const char *rule = by_name(name, type);
	char reason[120];

	/* What it holds says more than what it is called: half of the values are enough for alarm.
	 */
	for (size_t k = 0; k < N_LOOKS; k++) {
		if (seen->of[k] == 0 || seen->of[k] * 5 < seen->all)
			continue;
		snprintf(reason, sizeof(reason), "%u of %u values look like %s", seen->of[k],
			 seen->all, looks[k].what);
		put(p, looks[k].rule, reason);
		return;
	}
	if (rule)
		put(p, rule, "by its name");
	else if (without_sample(type))
		put(p, without_sample(type), "by its type");
	else
		put(p, NULL, "nothing in its name or its values looks personal; look yourself");
}

static cow_errno sample(struct pg_session *s, json_t *p, struct cow_error *e)
{
	const char *type = json_string_value(json_object_get(p, "base_type"));
	const json_t *at = json_object_get(p, "sampled");
	struct counts seen = {0};
	cow_errno r = 0;

	if (at && type_fits(TEXTS, type) && !json_is_true(json_object_get(p, "array")))
		r = cow_pg_sample(s, json_string_value(json_array_get(at, 0)),
				  json_string_value(json_array_get(at, 1)),
				  json_string_value(json_object_get(p, "column")), SAMPLES, count,
				  &seen, e);
	if (r == 0)
		suggest(p, &seen);
	return r;
}

cow_errno golden_suggest(const struct pg_address *at, json_t *problems, struct cow_error *e)
{
	const char *in = "";
	struct pg_session *s = NULL;
	cow_errno r = 0;
	json_t *p;
	size_t k;

	json_array_foreach (problems, k, p) {
		const char *database = json_string_value(json_object_get(p, "database"));

		if (!json_object_get(p, "undecided"))
			continue;
		if (strcmp(database, in) != 0) {
			struct pg_address where = *at;

			cow_pg_close(s);
			s = NULL;
			in = database;
			where.dbname = database;
			r = cow_pg_open(&where, &s, e);
		}
		if (r == 0)
			r = sample(s, p, e);
		if (r < 0)
			break;
	}
	cow_pg_close(s);
	return r;
}
