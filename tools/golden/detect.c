// SPDX-License-Identifier: Apache-2.0
/* detect: addresses and phone numbers, and the walk over the bytes. Numbers with check digits are
 * in detect_number.c. */
#include "tools/golden/detect.h"

#include <string.h>

#include "tools/golden/detect_parts.h"

const char *detect_name(enum detect_kind kind)
{
	static const char *const names[DETECT_KINDS] = {"e-mail", "card number", "phone number",
							"IBAN"};

	return names[kind];
}

/* --- e-mail --- */

#define LOCAL_MAX 64u
#define LOCAL_MIN 2u
#define TLD_MIN 2u
#define LABEL_MIN 2u
#define DOMAIN_MAX 96u

static bool is_letter(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_local(uint8_t c)
{
	return is_letter(c) || detect_digit(c) || (c && strchr("._%+-", c));
}

static bool is_domain(uint8_t c)
{
	return is_letter(c) || detect_digit(c) || c == '-' || c == '.';
}

static bool begins(const uint8_t *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 0 || len < n)
		return false;
	for (size_t k = 0; k < n; k++)
		if ((text[k] | 0x20) != (prefix[k] | 0x20))
			return false;
	return true;
}

/* `text` begins with this domain, or with a subdomain of it. What follows it directly may be the
 * next value, but not a dot: x.example.evil.org is another domain than x.example. */
static bool in_domain(const uint8_t *text, size_t len, const char *domain)
{
	size_t n = strlen(domain);

	for (size_t at = 0; at + n <= len; at++) {
		if ((at == 0 || text[at - 1] == '.') && begins(text + at, len - at, domain))
			return at + n == len || text[at + n] != '.';
	}
	return false;
}

/* Compression and page ends cut texts: the beginning of a fake domain is no finding. */
static bool is_cut(const uint8_t *text, size_t len, const char *domain)
{
	size_t n = strlen(domain);

	if (len >= n)
		return false;
	for (size_t k = 0; k < len; k++)
		if ((text[k] | 0x20) != (domain[k] | 0x20))
			return false;
	return true;
}

static bool allowed_domain(const struct detect_policy *p, const uint8_t *text, size_t len)
{
	for (const char *const *d = p->fake_domains; d && *d; d++)
		if (in_domain(text, len, *d) || is_cut(text, len, *d))
			return true;
	for (const char *const *d = p->allow_domains; d && *d; d++)
		if (in_domain(text, len, *d) || is_cut(text, len, *d))
			return true;
	return false;
}

/* Bytes of the longest name of a host at `text`: labels of at least LABEL_MIN, the last of letters.
 * 0 = none. */
static size_t domain_length(const uint8_t *text, size_t len)
{
	size_t end = 0, good = 0, label = 0;
	bool letters = true, dotted = false;

	for (; end < len && end < DOMAIN_MAX && is_domain(text[end]); end++) {
		if (text[end] == '.') {
			if (end - label < LABEL_MIN)
				break;
			label = end + 1;
			letters = dotted = true;
			continue;
		}
		letters = letters && is_letter(text[end]);
		if (dotted && letters && end + 1 - label >= TLD_MIN)
			good = end + 1;
	}
	return good;
}

static void email_at(const struct detect_walk *w, size_t sign)
{
	size_t first = sign, n = domain_length(w->buf + sign + 1, w->len - sign - 1);

	if (n == 0)
		return;
	while (first > 0 && sign - first < LOCAL_MAX && is_local(w->buf[first - 1]))
		first--;
	if (sign - first < LOCAL_MIN || allowed_domain(w->policy, w->buf + sign + 1, n))
		return;
	detect_report(w, DETECT_EMAIL, first, sign + 1 + n - first);
}

/* --- phone --- */

#define PHONE_MIN 9u /* digits with the country code; E.164 has at most 15 */
#define PHONE_MAX 15u

static bool is_phone_gap(uint8_t c)
{
	return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/';
}

/* Digits that no telephone company hands out: +999 is unassigned, 555 in the American plan is for
 * films and for who needs numbers that nobody answers. */
static bool nobodys_phone(const char *digits)
{
	return strncmp(digits, "999", 3) == 0 || strncmp(digits, "1555", 4) == 0 ||
	       (digits[0] == '1' && strlen(digits) >= 7 && strncmp(digits + 4, "555", 3) == 0);
}

/* +49 30 901820, +1 (212) 736-5000: from '+', single gaps or a gap and a bracket between digits. */
static void phone_at(const struct detect_walk *w, size_t plus)
{
	char digits[PHONE_MAX + 2];
	size_t n = 0, end = plus + 1, gaps = 0, whole = 0, whole_end = 0;

	for (size_t at = end; at < w->len && n <= PHONE_MAX; at++) {
		if (detect_digit(w->buf[at])) {
			digits[n++] = (char)w->buf[at];
			end = at + 1;
			gaps = 0;
			continue;
		}
		if (n >= PHONE_MIN && gaps == 0) {
			whole = n; /* it may end here, if what follows is too much */
			whole_end = end;
		}
		if (n == 0 || !is_phone_gap(w->buf[at]) || ++gaps > 2)
			break;
	}
	if (n > PHONE_MAX) {
		n = whole;
		end = whole_end;
	}
	digits[n] = '\0';
	if (n < PHONE_MIN || digits[0] == '0')
		return;
	/* 1.5e+300000000, a+123456789: part of something else. */
	if (plus > 0 && (is_letter(w->buf[plus - 1]) || detect_digit(w->buf[plus - 1])) &&
	    end - plus == n + 1)
		return;
	if (!nobodys_phone(digits))
		detect_report(w, DETECT_PHONE, plus, end - plus);
}

/* --- all --- */

static void each_sign(const struct detect_walk *w, char sign,
		      void (*at)(const struct detect_walk *w, size_t pos))
{
	const uint8_t *p = w->buf, *end = w->buf + w->len;

	while ((p = memchr(p, sign, (size_t)(end - p)))) {
		at(w, (size_t)(p - w->buf));
		if (++p == end)
			break;
	}
}

void detect_scan(const struct detect_policy *p, const uint8_t *buf, size_t len, size_t from,
		 size_t to, void (*found)(void *arg, enum detect_kind kind, size_t at, size_t len),
		 void *arg)
{
	const struct detect_walk w = {.policy = p,
				      .buf = buf,
				      .len = len,
				      .from = from,
				      .to = to,
				      .found = found,
				      .arg = arg};

	if (len == 0)
		return;
	each_sign(&w, '@', email_at);
	each_sign(&w, '+', phone_at);
	detect_numbers(&w);
}
