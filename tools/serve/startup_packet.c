// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/startup_packet.h"

#include <stdio.h>
#include <string.h>

#define CODE_CANCEL 80877102u
#define CODE_SSL 80877103u
#define CODE_GSS 80877104u
#define TLS_HANDSHAKE 0x16 /* first byte of a TLS record with a ClientHello */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static enum startup_kind bad(struct startup *s, const char *reason)
{
	s->reason = reason;
	return s->kind = STARTUP_BAD;
}

/* --- options --- */

/* One word of options= as PostgreSQL takes it apart: white space ends it unless a backslash is
 * before. Returns the rest; *ret_n = bytes of the word in the text. */
static const char *next_word(const char *p, const char **ret, size_t *ret_n)
{
	p += strspn(p, " \t\n\r\f\v");
	*ret = p;
	while (*p && !strchr(" \t\n\r\f\v", *p))
		p += *p == '\\' && p[1] ? 2 : 1;
	*ret_n = (size_t)(p - *ret);
	return p;
}

/* The value when the word names the branch, else NULL. */
static const char *branch_value(const char *word, size_t n, size_t *ret_n)
{
	static const char *const names[] = {"--cowfs.branch=", "-ccowfs.branch=", "endpoint="};

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		size_t len = strlen(names[k]);

		if (n > len && memcmp(word, names[k], len) == 0) {
			*ret_n = n - len;
			return word + len;
		}
	}
	return NULL;
}

static bool take_branch(const char *value, size_t n, char ret[COW_BRANCH_MAX + 1])
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (value[i] == '\\' && i + 1 < n)
			i++;
		if (k == COW_BRANCH_MAX)
			return false;
		ret[k++] = value[i];
	}
	ret[k] = '\0';
	return k > 0;
}

/* Is this the "-c" of "-c cowfs.branch=NAME"? Then the next word has the value. */
static bool is_dash_c(const char *word, size_t n)
{
	return n == 2 && memcmp(word, "-c", 2) == 0;
}

static const char *value_after_c(const char *word, size_t n, size_t *ret_n)
{
	static const char name[] = "cowfs.branch=";

	if (n <= strlen(name) || memcmp(word, name, strlen(name)) != 0)
		return NULL;
	*ret_n = n - strlen(name);
	return word + strlen(name);
}

/* Walks the words; `keep` (may be NULL) gets those that do not name the branch. */
static bool walk_options(const char *options, char *branch, char *keep)
{
	const char *word, *p = options, *value;
	size_t n, value_n;
	bool good = true;

	if (keep)
		*keep = '\0';
	for (;;) {
		const char *from;
		size_t from_n;

		p = next_word(p, &word, &n);
		if (n == 0)
			return good;
		from = word;
		from_n = n;
		value = branch_value(word, n, &value_n);
		if (!value && is_dash_c(word, n)) {
			const char *after = next_word(p, &word, &n);

			value = value_after_c(word, n, &value_n);
			if (value)
				p = after;
		}
		if (value && branch)
			good = take_branch(value, value_n, branch) && good;
		if (!value && keep) {
			if (*keep) {
				keep += strlen(keep);
				*keep++ = ' ';
			}
			memcpy(keep, from, from_n);
			keep[from_n] = '\0';
		}
	}
}

/* --- parsing --- */

/* The next text at *at, ended by a NUL before `end`; NULL = it is cut. */
static const char *text_at(const uint8_t *bytes, size_t *at, size_t end)
{
	const uint8_t *nul = *at < end ? memchr(bytes + *at, 0, end - *at) : NULL;
	const char *text = (const char *)bytes + *at;

	if (!nul)
		return NULL;
	*at = (size_t)(nul - bytes) + 1;
	return text;
}

static enum startup_kind parse_session(const uint8_t *bytes, bool user_names_branch,
				       struct startup *s)
{
	size_t at = 8;
	const char *name, *value, *sign;

	for (;;) {
		name = text_at(bytes, &at, s->length);
		if (!name)
			return bad(s, "the startup packet has no end");
		if (!*name)
			break;
		value = text_at(bytes, &at, s->length);
		if (!value)
			return bad(s, "a parameter of the startup packet has no value");
		if (strcmp(name, "user") == 0)
			s->user = value;
		else if (strcmp(name, "options") == 0)
			s->options = value;
		else if (strcmp(name, "application_name") == 0)
			s->application = value;
	}
	if (at != s->length)
		return bad(s, "the startup packet goes on after its end");
	if (s->options && !walk_options(s->options, s->branch, NULL))
		return bad(s, "the name of the branch in options is empty or too long");
	sign = s->user && user_names_branch ? strrchr(s->user, '@') : NULL;
	if (sign && !s->branch[0]) {
		if (!take_branch(sign + 1, strlen(sign + 1), s->branch))
			return bad(s, "the name of the branch after user@ is empty or too long");
		s->branch_of_user = true;
	}
	return s->kind = STARTUP_SESSION;
}

static enum startup_kind parse_code(const uint8_t *bytes, uint32_t code, bool user_names_branch,
				    struct startup *s)
{
	switch (code) {
	case CODE_SSL:
	case CODE_GSS:
		if (s->length != 8)
			return bad(s, "a request for encryption has the wrong length");
		return s->kind = code == CODE_SSL ? STARTUP_SSL : STARTUP_GSS;
	case CODE_CANCEL:
		if (s->length < 16 || s->length > 12 + STARTUP_KEY_MAX)
			return bad(s, "a request to cancel has the wrong length");
		s->cancel_pid = get32(bytes + 8);
		s->cancel_key = bytes + 12;
		s->cancel_key_length = s->length - 12;
		return s->kind = STARTUP_CANCEL;
	default:
		break;
	}
	s->version = code;
	if (code >> 16 != 3)
		return bad(s, "no version of the PostgreSQL protocol that is understood");
	return parse_session(bytes, user_names_branch, s);
}

enum startup_kind startup_parse(const uint8_t *bytes, size_t n, bool user_names_branch,
				struct startup *ret)
{
	uint32_t length;

	*ret = (struct startup){.kind = STARTUP_MORE};
	if (n > 0 && bytes[0] == TLS_HANDSHAKE)
		return ret->kind = STARTUP_TLS;
	/* A length under 64 KiB begins with two zeroes: what does not is no client of ours. */
	for (size_t k = 0; k < 2 && k < n; k++)
		if (bytes[k])
			return bad(ret, "not the PostgreSQL protocol");
	if (n < 4)
		return STARTUP_MORE;
	length = get32(bytes);
	if (length < 8 || length > STARTUP_MAX)
		return bad(ret, "the length of the startup packet is invalid");
	ret->length = length;
	if (n < 8 || (n < length && get32(bytes + 4) >> 16 == 3))
		return STARTUP_MORE;
	if (n < length)
		/* Codes have short packets of their own: do not wait for 10 kB of one. */
		return length > 12 + STARTUP_KEY_MAX ? bad(ret, "the request is too long")
						     : STARTUP_MORE;
	return parse_code(bytes, get32(bytes + 4), user_names_branch, ret);
}

bool startup_is_probe(const struct startup *s)
{
	return s->kind == STARTUP_SESSION && s->application &&
	       strcmp(s->application, "pg_isready") == 0;
}

/* --- writing --- */

static size_t put_text(uint8_t *ret, size_t at, const char *text, size_t n)
{
	memcpy(ret + at, text, n);
	ret[at + n] = '\0';
	return at + n + 1;
}

size_t startup_rewrite(const uint8_t *packet, const struct startup *s, uint8_t *ret)
{
	size_t from = 8, at = 8;
	const char *name, *value;

	memcpy(ret, packet, 8);
	while ((name = text_at(packet, &from, s->length)) && *name) {
		value = text_at(packet, &from, s->length);
		if (value == s->options && s->options) {
			size_t start = at;
			char *kept;

			at = put_text(ret, at, name, strlen(name));
			kept = (char *)ret + at;
			walk_options(value, NULL, kept);
			/* Options that held nothing else are not there for the server at all. */
			at = *kept ? at + strlen(kept) + 1 : start;
			continue;
		}
		at = put_text(ret, at, name, strlen(name));
		at = put_text(ret, at, value,
			      value == s->user && s->branch_of_user
				  ? (size_t)(strrchr(value, '@') - value)
				  : strlen(value));
	}
	ret[at++] = '\0';
	put32(ret, (uint32_t)at);
	return at;
}

static size_t put_field(uint8_t *ret, size_t at, size_t end, char code, const char *text)
{
	size_t n = strlen(text);

	if (at + 3 > end)
		return at;
	if (n > end - at - 2)
		n = end - at - 2;
	ret[at] = (uint8_t)code;
	return put_text(ret, at + 1, text, n);
}

size_t startup_refusal(const char *sqlstate, const char *message, const char *hint, uint8_t *ret,
		       size_t size)
{
	size_t at = 5, end = size - 1;

	ret[0] = 'E';
	at = put_field(ret, at, end, 'S', "FATAL");
	at = put_field(ret, at, end, 'V', "FATAL");
	at = put_field(ret, at, end, 'C', sqlstate);
	at = put_field(ret, at, end, 'M', message);
	if (hint && *hint)
		at = put_field(ret, at, end, 'H', hint);
	ret[at++] = '\0';
	put32(ret + 1, (uint32_t)(at - 1));
	return at;
}

/* --- watching a server --- */

static void watch_head(struct startup_watch *w)
{
	uint32_t length = get32(w->head + 1);

	w->left = length < 4 ? 0 : length - 4;
	if (w->head[0] == 'Z' || w->head[0] == 'E' || length < 4)
		w->done = true;
}

static bool is_key(const struct startup_watch *w)
{
	return w->head[0] == 'K' && !w->has_key;
}

void startup_watch_feed(struct startup_watch *w, const uint8_t *bytes, size_t n)
{
	while (n > 0 && !w->done) {
		size_t take;

		if (w->head_n < sizeof(w->head)) {
			w->head[w->head_n++] = *bytes++;
			n--;
			if (w->head_n == sizeof(w->head))
				watch_head(w);
		} else {
			take = n < w->left ? n : w->left;
			if (is_key(w) && w->key_n + take <= sizeof(w->key)) {
				memcpy(w->key + w->key_n, bytes, take);
				w->key_n += take;
			}
			bytes += take;
			n -= take;
			w->left -= (uint32_t)take;
		}
		if (w->head_n == sizeof(w->head) && w->left == 0) {
			if (is_key(w) && w->key_n > 4) {
				w->has_key = true;
				w->pid = get32(w->key);
			}
			w->head_n = 0;
		}
	}
}
