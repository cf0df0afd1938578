// SPDX-License-Identifier: Apache-2.0
/* detect_number: numbers that carry check digits, and telephone numbers of the American plan.
 *
 * All of these have at least ten digits close together. Bytes are looked at eight at a time for
 * many digits; only there the rules are applied, to the whole run of letters, digits and single
 * blanks or dashes around the place. */
#include "tools/golden/detect.h"

#include <string.h>

#include "store/cleanup.h"
#include "tools/golden/detect_parts.h"

#define BLOCK 8u
#define MANY 5 /* digits of a block: any run of ten with single gaps has a block with as many */

/* --- cards --- */

#define CARD_MIN 13u
#define CARD_MAX 19u

/* Numbers that card organisations and payment services publish for tests. */
static const char *const test_cards[] = {
    "4111111111111111", "4242424242424242", "4012888888881881", "4222222222222",
    "4000056655665556", "4917610000000000", "4484070000000000", "5555555555554444",
    "5105105105105100", "5200828282828210", "5454545454545454", "2223003122003222",
    "378282246310005",  "371449635398431",  "378734493671000",  "6011111111111117",
    "6011000990139424", "6011981111111113", "30569309025904",   "38520000023237",
    "3056930009020004", "36227206271667",   "3530111333300000", "3566002020360505",
    "6200000000000005", "6304000000000000", "6759649826438453", NULL,
};

/* First digits and lengths that are issued. */
static const struct card_range {
	unsigned digits, first, last, min, max;
} card_ranges[] = {
    {1, 4, 4, 13, 19},       {2, 51, 55, 16, 16},     {4, 2221, 2720, 16, 16},
    {2, 34, 34, 15, 15},     {2, 37, 37, 15, 15},     {4, 6011, 6011, 16, 19},
    {3, 644, 649, 16, 19},   {2, 65, 65, 16, 19},     {4, 3528, 3589, 16, 19},
    {2, 36, 36, 14, 19},     {2, 38, 39, 16, 19},     {3, 300, 305, 14, 19},
    {2, 62, 62, 16, 19},     {4, 6304, 6304, 16, 19}, {4, 6759, 6763, 16, 19},
    {4, 5018, 5038, 13, 19},
};

static bool issued(const char *digits, size_t n)
{
	for (size_t k = 0; k < sizeof(card_ranges) / sizeof(card_ranges[0]); k++) {
		const struct card_range *c = &card_ranges[k];
		unsigned head = 0;

		for (unsigned d = 0; d < c->digits; d++)
			head = head * 10 + (unsigned)(digits[d] - '0');
		if (head < c->first || head > c->last || n < c->min || n > c->max)
			continue;
		/* Visa issues three lengths. */
		if (c->digits == 1 && n != 13 && n != 16 && n != 19)
			continue;
		return true;
	}
	return false;
}

static bool luhn(const char *digits, size_t n)
{
	unsigned sum = 0;

	for (size_t k = 0; k < n; k++) {
		unsigned d = (unsigned)(digits[n - 1 - k] - '0');

		if (k & 1)
			d = d * 2 > 9 ? d * 2 - 9 : d * 2;
		sum += d;
	}
	return sum % 10 == 0;
}

/* 400000 is a bank of test numbers, and where masking puts the cards it makes. */
static bool nobodys_card(const char *digits, size_t n)
{
	if (strncmp(digits, "400000", 6) == 0)
		return true;
	for (const char *const *t = test_cards; *t; t++)
		if (strlen(*t) == n && strncmp(*t, digits, n) == 0)
			return true;
	/* 4444444444444448 and the like */
	return strspn(digits, (char[]){digits[0], '\0'}) + 1 >= n;
}

static bool is_card(const char *digits, size_t n)
{
	return n >= CARD_MIN && n <= CARD_MAX && issued(digits, n) && luhn(digits, n) &&
	       !nobodys_card(digits, n);
}

/* --- IBANs --- */

#define IBAN_MIN 15u
#define IBAN_MAX 34u

/* Country and length, as registered. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI"
    "18"
    "FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT"
    "20"
    "LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA"
    "24"
    "SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

static size_t iban_length(const char *country)
{
	for (const char *p = iban_lengths; *p; p += 4)
		if (p[0] == country[0] && p[1] == country[1])
			return (size_t)(p[2] - '0') * 10 + (size_t)(p[3] - '0');
	return 0;
}

/* ISO 7064, MOD 97-10: the first four behind the rest, letters as 10 to 35. */
static bool iban_valid(const char *t, size_t n)
{
	unsigned rest = 0;

	for (size_t k = 0; k < n; k++) {
		char c = t[(k + 4) % n];

		if (c >= '0' && c <= '9')
			rest = (rest * 10 + (unsigned)(c - '0')) % 97;
		else
			rest = (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
	}
	return rest == 1;
}

static bool is_iban(const char *t, size_t n)
{
	size_t want = n >= IBAN_MIN ? iban_length(t) : 0;

	if (want == 0 || n < want || t[2] < '0' || t[2] > '9' || t[3] < '0' || t[3] > '9')
		return false;
	/* A bank of zeros: what masking makes. */
	return strncmp(t + 4, "00000000", 8) != 0 && iban_valid(t, want);
}

/* --- runs --- */

#define RUN_MAX 64u

/* Letters and digits with single gaps between them: `text` without the gaps, `at` where each is. */
struct run {
	char text[RUN_MAX + 1];
	size_t at[RUN_MAX];
	size_t n;
};

static bool is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_gap(uint8_t c)
{
	return c == ' ' || c == '-';
}

static bool in_run(const struct detect_walk *w, size_t at)
{
	uint8_t c = w->buf[at];

	if (detect_digit(c) || is_upper(c))
		return true;
	return is_gap(c) && at > 0 && at + 1 < w->len &&
	       (detect_digit(w->buf[at - 1]) || is_upper(w->buf[at - 1])) &&
	       (detect_digit(w->buf[at + 1]) || is_upper(w->buf[at + 1]));
}

/* Written in one, or in groups of four, or as 4-6-5: other gaps are between other things, like the
 * numbers of columns in a stored view. */
static bool grouped(const struct run *r, size_t first, size_t n)
{
	size_t groups = 0, start = 0, length[RUN_MAX];

	for (size_t k = 1; k <= n; k++) {
		if (k < n && r->at[first + k] == r->at[first + k - 1] + 1)
			continue;
		length[groups++] = k - start;
		start = k;
	}
	if (groups == 3 && length[0] == 4 && length[1] == 6 && length[2] >= 4 && length[2] <= 5)
		return true;
	for (size_t k = 0; groups > 1 && k < groups; k++)
		if (length[k] > 4 || (length[k] < 4 && k + 1 < groups))
			return false;
	return true;
}

/* Cards begin and end where digits do; one digit more at the end may be the length of what follows.
 */
static void cards_in(const struct detect_walk *w, const struct run *r)
{
	for (size_t k = 0; k < r->n;) {
		size_t n = 0;

		while (detect_digit((uint8_t)r->text[k + n]))
			n++;
		/* +49..., user_49...: digits of a telephone, or of a name. */
		bool phone = n >= CARD_MIN && r->at[k] > 0 &&
			     (w->buf[r->at[k] - 1] == '+' || w->buf[r->at[k] - 1] == '_');

		for (size_t more = 0; !phone && more < 2 && n >= CARD_MIN + more; more++) {
			size_t len = n - more;

			if (!is_card(r->text + k, len) || !grouped(r, k, len))
				continue;
			detect_report(w, DETECT_CARD, r->at[k], r->at[k + len - 1] + 1 - r->at[k]);
			break;
		}
		k += n + 1;
	}
}

static void ibans_in(const struct detect_walk *w, const struct run *r)
{
	for (size_t k = 0; k + IBAN_MIN <= r->n; k++) {
		size_t len;

		if (!is_upper((uint8_t)r->text[k]) || !is_upper((uint8_t)r->text[k + 1]) ||
		    !is_iban(r->text + k, r->n - k))
			continue;
		len = iban_length(r->text + k);
		if (!grouped(r, k, len))
			continue;
		detect_report(w, DETECT_IBAN, r->at[k], r->at[k + len - 1] + 1 - r->at[k]);
		k += len - 1;
	}
}

/* +1 (212) 736-5000 was found by its sign. */
static bool international(const struct detect_walk *w, size_t at)
{
	for (size_t k = 1; k <= 4 && k <= at; k++)
		if (w->buf[at - k] == '+')
			return true;
	return false;
}

/* 212-736-5000: three, three and four digits with dashes, and nothing else around them. The area
 * and the office begin with 2 to 9. */
static void american_at(const struct detect_walk *w, size_t at)
{
	const uint8_t *p = w->buf + at;

	if (at + 12 > w->len || p[3] != '-' || p[7] != '-' || p[0] < '2' || p[4] < '2')
		return;
	for (size_t k = 0; k < 12; k++)
		if (k != 3 && k != 7 && !detect_digit(p[k]))
			return;
	if ((at + 12 < w->len && (detect_digit(p[12]) || p[12] == '-')) ||
	    (at > 0 && p[-1] == '-') || international(w, at))
		return;
	if (memcmp(p, "555", 3) != 0 && memcmp(p + 4, "555", 3) != 0 && memcmp(p, "999", 3) != 0)
		detect_report(w, DETECT_PHONE, at, 12);
}

/* (212) 736-5000 */
static void american_bracketed(const struct detect_walk *w, size_t at)
{
	const uint8_t *p = w->buf + at;

	if (at + 14 > w->len || memcmp(p + 4, ") ", 2) != 0 || p[9] != '-' || p[1] < '2' ||
	    p[6] < '2')
		return;
	for (size_t k = 1; k < 14; k++)
		if (k != 4 && k != 5 && k != 9 && !detect_digit(p[k]))
			return;
	if ((at + 14 < w->len && detect_digit(p[14])) || international(w, at) ||
	    memcmp(p + 1, "555", 3) == 0 || memcmp(p + 6, "555", 3) == 0)
		return;
	detect_report(w, DETECT_PHONE, at, 14);
}

/* The run around `at`; answers where it ends. */
static size_t run_at(const struct detect_walk *w, size_t at)
{
	size_t first = at, end = at, digits = 0, dashes = 0;
	struct run r;

	r.n = 0;
	while (first > 0 && at - first < DETECT_LONGEST && in_run(w, first - 1))
		first--;
	for (end = first; end < w->len && in_run(w, end); end++) {
		dashes += w->buf[end] == '-';
		if (is_gap(w->buf[end]))
			continue;
		if (r.n == RUN_MAX)
			break;
		digits += detect_digit(w->buf[end]);
		r.at[r.n] = end;
		r.text[r.n++] = (char)w->buf[end];
	}
	r.text[r.n] = '\0';
	if (digits >= CARD_MIN)
		cards_in(w, &r);
	if (r.n >= IBAN_MIN && r.n - digits >= 2)
		ibans_in(w, &r);
	/* The area in brackets is not part of the run. */
	for (size_t k = first; dashes && k < end; k++) {
		if (detect_digit(w->buf[k]) && (k == 0 || !detect_digit(w->buf[k - 1])))
			american_at(w, k);
		if (k >= 6 && w->buf[k - 1] == ' ' && w->buf[k - 6] == '(')
			american_bracketed(w, k - 6);
	}
	return end;
}

/* How many of eight bytes are digits. No popcount: without -mpopcnt it is a function of libgcc. */
static int digits_in(uint64_t v)
{
	const uint64_t high = 0x8080808080808080ull;
	uint64_t t = v ^ 0x3030303030303030ull;

	/* A byte above 9 carries into its high bit; one above 127 has it already. */
	t = ~(((t & ~high) + 0x7676767676767676ull) | t) & high;
	return (int)((t >> 7) * 0x0101010101010101ull >> 56);
}

void detect_numbers(const struct detect_walk *w)
{
	size_t done = 0; /* end of the last run */

	for (size_t at = 0; at < w->len; at += BLOCK) {
		uint64_t v = 0;

		memcpy(&v, w->buf + at, COW_MIN((size_t)BLOCK, w->len - at));
		if (__builtin_expect(digits_in(v) < MANY, 1))
			continue;
		for (size_t k = at; k < COW_MIN(at + BLOCK, w->len); k++)
			if (k >= done && detect_digit(w->buf[k]))
				done = run_at(w, k);
	}
}
