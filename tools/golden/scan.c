// SPDX-License-Identifier: Apache-2.0
/* scan: SQL text into words, as far as rules need it: names, 'texts', $tag$texts$tag$, numbers,
 * signs, both kinds of comments. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/golden/rules.h"

static void skip_blank(struct golden_scan *s)
{
	for (;;) {
		while (isspace((unsigned char)*s->at))
			s->line += *s->at++ == '\n';
		if (s->at[0] == '-' && s->at[1] == '-') {
			s->at += strcspn(s->at, "\n");
		} else if (s->at[0] == '/' && s->at[1] == '*') {
			const char *end = strstr(s->at + 2, "*/");

			end = end ? end + 2 : s->at + strlen(s->at);
			for (; s->at < end; s->at++)
				s->line += *s->at == '\n';
		} else {
			return;
		}
	}
}

/* 'it''s' or "na""me": doubled quotes stand for one. */
static void read_quoted(struct golden_scan *s, char quote)
{
	size_t n = 0;

	s->word = malloc(strlen(s->at) + 1);
	s->token = s->word ? (quote == '"' ? TOKEN_NAME : TOKEN_TEXT) : TOKEN_BAD;
	s->quoted = true;
	for (s->at++; s->word; s->at++) {
		if (!*s->at) {
			s->token = TOKEN_BAD;
			break;
		}
		if (*s->at == quote && *++s->at != quote)
			break;
		s->line += *s->at == '\n';
		s->word[n++] = *s->at;
	}
	if (s->word)
		s->word[n] = '\0';
}

/* $$text$$, $tag$text$tag$. False: it is not one. */
static bool read_dollar(struct golden_scan *s)
{
	size_t len = 1;
	const char *end;

	while (isalnum((unsigned char)s->at[len]) || s->at[len] == '_')
		len++;
	if (s->at[len] != '$')
		return false;
	len++;
	for (end = s->at + len; *end && strncmp(end, s->at, len) != 0; end++)
		s->line += *end == '\n';
	s->word = strndup(s->at + len, (size_t)(end - s->at) - len);
	s->token = *end && s->word ? TOKEN_TEXT : TOKEN_BAD;
	s->at = *end ? end + len : end;
	return true;
}

static void read_plain(struct golden_scan *s, size_t len, enum golden_token token)
{
	s->word = strndup(s->at, len);
	s->token = s->word ? token : TOKEN_BAD;
	for (char *p = s->word; token == TOKEN_NAME && p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	s->at += len;
}

static bool is_name(unsigned char c)
{
	return isalnum(c) || c == '_' || c == '$' || c >= 0x80;
}

void golden_scan_next(struct golden_scan *s)
{
	size_t len = 1;

	free(s->word);
	s->word = NULL;
	s->quoted = false;
	s->token = TOKEN_END;
	skip_blank(s);
	if (!*s->at)
		return;
	if (*s->at == '\'' || *s->at == '"') {
		read_quoted(s, *s->at);
	} else if (*s->at == '$' && read_dollar(s)) {
		;
	} else if (isdigit((unsigned char)*s->at) ||
		   (strchr("-+.", *s->at) && isdigit((unsigned char)s->at[1]))) {
		while (isdigit((unsigned char)s->at[len]) || s->at[len] == '.')
			len++;
		read_plain(s, len, TOKEN_NUMBER);
	} else if (is_name((unsigned char)*s->at)) {
		while (is_name((unsigned char)s->at[len]))
			len++;
		read_plain(s, len, TOKEN_NAME);
	} else {
		read_plain(s, 1, TOKEN_SIGN);
	}
}

void golden_scan_release(struct golden_scan *s)
{
	free(s->word);
	s->word = NULL;
}

bool golden_scan_is(const struct golden_scan *s, const char *word)
{
	return (s->token == TOKEN_NAME || s->token == TOKEN_SIGN) && !s->quoted &&
	       strcasecmp(s->word, word) == 0;
}

void golden_call_release(struct golden_call *c)
{
	free(c->name);
	for (size_t k = 0; k < c->n_args; k++)
		free(c->args[k]);
	*c = (struct golden_call){0};
}

static cow_errno read_argument(struct golden_scan *s, struct golden_call *c, struct cow_error *e)
{
	if (s->token == TOKEN_END || s->token == TOKEN_SIGN || s->token == TOKEN_BAD)
		return cow_fail(e, -EINVAL, "an argument of %s is missing", c->name);
	if (c->n_args == GOLDEN_ARGS)
		return cow_fail(e, -EINVAL, "%s has too many arguments", c->name);
	c->quoted[c->n_args] = s->token == TOKEN_TEXT;
	c->args[c->n_args++] = s->word;
	s->word = NULL;
	golden_scan_next(s);
	return 0;
}

/* '2020-01-01'::date is the text to us. */
static void skip_cast(struct golden_scan *s)
{
	while (golden_scan_is(s, ":"))
		golden_scan_next(s);
	if (s->token == TOKEN_NAME)
		golden_scan_next(s);
}

cow_errno golden_scan_call(struct golden_scan *s, struct golden_call *ret, struct cow_error *e)
{
	cow_errno r = 0;

	if (s->token != TOKEN_NAME)
		return cow_fail(e, -EINVAL, "the name of a rule is missing");
	ret->name = s->word;
	s->word = NULL;
	golden_scan_next(s);
	/* anon.fake_email and pg_catalog.md5 are one name. */
	while (golden_scan_is(s, ".")) {
		char *joined = NULL;

		golden_scan_next(s);
		if (s->token != TOKEN_NAME || asprintf(&joined, "%s.%s", ret->name, s->word) < 0)
			return cow_fail(e, -EINVAL, "a name ends with a dot");
		free(ret->name);
		ret->name = joined;
		golden_scan_next(s);
	}
	if (!golden_scan_is(s, "("))
		return 0;
	golden_scan_next(s);
	while (r == 0 && !golden_scan_is(s, ")")) {
		r = read_argument(s, ret, e);
		if (r == 0 && golden_scan_is(s, ":"))
			skip_cast(s);
		if (r == 0 && golden_scan_is(s, ","))
			golden_scan_next(s);
		else if (r == 0 && !golden_scan_is(s, ")"))
			r = cow_fail(e, -EINVAL, "the arguments of %s have no end", ret->name);
	}
	if (r == 0)
		golden_scan_next(s);
	return r;
}
