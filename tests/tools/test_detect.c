// SPDX-License-Identifier: Apache-2.0
/* What is reported as data of people, and what is not: one hit stops a publish, one miss is a leak.
 */
#include "tools/golden/detect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static const char *const fakes[] = {"test.example", NULL};
static const char *const ours[] = {"acme.com", NULL};
static const struct detect_policy policy = {fakes, ours};

struct seen {
	unsigned n[DETECT_KINDS];
	size_t at, len;
};

static void note(void *arg, enum detect_kind kind, size_t at, size_t len)
{
	struct seen *s = arg;

	s->n[kind]++;
	s->at = at;
	s->len = len;
}

/* In the text alone, and between bytes of every kind at every alignment. */
static void expect(enum detect_kind kind, const char *text, unsigned want)
{
	for (size_t pad = 0; pad < 17; pad++) {
		size_t len = strlen(text) + 2 * pad;
		uint8_t *buf = malloc(len ? len : 1);
		struct seen s = {0};

		memset(buf, pad % 3 == 0 ? 0 : pad % 3 == 1 ? 0x17 : 0xfe, len);
		memcpy(buf + pad, text, strlen(text));
		detect_scan(&policy, buf, len, 0, len, note, &s);
		for (unsigned k = 0; k < DETECT_KINDS; k++)
			cr_assert_eq(s.n[k], k == (unsigned)kind ? want : 0,
				     "%u times %s, not %u, in '%s' with %zu before", s.n[k],
				     detect_name((enum detect_kind)k),
				     k == (unsigned)kind ? want : 0, text, pad);
		free(buf);
	}
}

static void all(enum detect_kind kind, const char *const *texts, unsigned want)
{
	for (; *texts; texts++)
		expect(kind, *texts, want);
}

Test(email, yes)
{
	all(DETECT_EMAIL,
	    (const char *const[]){"ann.smith@gmail.com", "x_1+tag@mail.co.uk", "ANN@GMAIL.COM",
				  "mailto:ann@firma.de,", "ann@test.example.evil.org",
				  "ann@contest.example2.org", "ann@notacme.com",
				  "ann@acme.com.evil.net", "jo@ab.de", NULL},
	    1);
}

/* Fake and allowed domains, with what may follow or be cut off in a page, and no addresses at all.
 */
Test(email, no)
{
	all(DETECT_EMAIL,
	    (const char *const[]){
		"user_12@test.example", "USER_12@TEST.EXAMPLE", "a.b@mail.test.example",
		"user_1@test.exampleGAlice", "user_1@test.examp", "user_1@test.ex", "ann@acme.com",
		"ann@mail.acme.com", "@gmail.com", "ann@", "ann@localhost", "a@gmail.com",
		"ann@x.y", "ann@1.2.3.4", "ann @gmail.com", "user@a..b", NULL},
	    0);
}

Test(card, yes)
{
	all(DETECT_CARD,
	    (const char *const[]){"4539578763621486", "4539 5787 6362 1486", "4539-5787-6362-1486",
				  "5425233430109903", "374245455400126", "6011000991300009",
				  "3530185156387088",
				  "45395787636214861", /* and the length of what follows */
				  NULL},
	    1);
}

/* Wrong check digit, test numbers, what masking makes, numbers that nobody issues, longer numbers.
 */
Test(card, no)
{
	all(DETECT_CARD,
	    (const char *const[]){"4539578763621487", "4111111111111111", "4242 4242 4242 4242",
				  "4000001234567899", "9539578763621488", "453957876362",
				  "453957876362148600000", "20241124150140000001",
				  "0000000000000000", "4444444444444448", "4539/5787/6362/1486",
				  "user_4539578763621486@test.example", "4 5 39 57 87 63 62 14 86",
				  "45395 78763 62148 6", NULL},
	    0);
}

Test(iban, yes)
{
	all(DETECT_IBAN,
	    (const char *const[]){"DE89370400440532013000", "GB29NWBK60161331926819",
				  "NL91 ABNA 0417 1643 00", "FR1420041010050500013M02606",
				  "CH9300762011623852957", "NO9386011117947", NULL},
	    1);
}

Test(iban, no)
{
	all(DETECT_IBAN,
	    (const char *const[]){"DE88370400440532013000", "DE36000000000000000001",
				  "XX89370400440532013000", "DE8937040044053201300",
				  "de89370400440532013000", NULL},
	    0);
}

Test(phone, yes)
{
	all(DETECT_PHONE,
	    (const char *const[]){"+49 30 901820123", "+4915112345678", "+1 (212) 736-5000",
				  "+1-212-736-5000", "212-736-5000", "(212) 736-5000",
				  "+44 20 7946 0018", NULL},
	    1);
}

Test(phone, no)
{
	all(DETECT_PHONE,
	    (const char *const[]){"+1 212 555 0123", "+1-555-010-9999", "555-123-4567",
				  "(555) 123-4567", "212-555-0199", "+999 12345678",
				  "1e+300000000000", "+12345", "+0123456789",
				  "2024-11-24 15:01:40+00", "2024-01-0212", "112-736-5000",
				  "+12345678901234567", "3212-736-50001", NULL},
	    0);
}

/* A stream in two pieces, as the scan gives them: everything is found exactly once, wherever it is
 * cut. */
Test(detect, pieces_find_what_the_whole_finds)
{
	static const char text[] =
	    "ann@gmail.com 4539578763621486 DE89370400440532013000 +4915112345678 212-736-5000";
	enum { PAD = 300 };
	uint8_t buf[2 * PAD + sizeof(text) - 1];
	size_t len = sizeof(buf);

	memset(buf, ' ', len);
	memcpy(buf + PAD, text, sizeof(text) - 1);
	for (size_t cut = 1; cut < len; cut++) {
		size_t seen = cut < 512 ? cut : 512, from = cut - seen;
		struct seen s = {0};

		detect_scan(&policy, buf, cut, 0,
			    cut - (cut < DETECT_LONGEST ? cut : DETECT_LONGEST), note, &s);
		detect_scan(&policy, buf + from, len - from,
			    seen < DETECT_LONGEST ? 0 : seen - DETECT_LONGEST, len - from, note,
			    &s);
		for (unsigned k = 0; k < DETECT_KINDS; k++)
			cr_assert_eq(s.n[k], k == DETECT_PHONE ? 2 : 1, "%u times %s, cut at %zu",
				     s.n[k], detect_name((enum detect_kind)k), cut);
	}
}

/* Bytes without meaning hold nothing: fewer than one finding in 20 MB. */
Test(detect, is_quiet_on_noise)
{
	size_t len = 20u << 20;
	uint8_t *buf = malloc(len);
	struct seen s = {0};
	uint64_t x = 88172645463325252ull;

	for (size_t k = 0; k < len; k++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[k] = (uint8_t)(x >> 24);
	}
	detect_scan(&policy, buf, len, 0, len, note, &s);
	cr_assert_leq(s.n[0] + s.n[1] + s.n[2] + s.n[3], 1, "%u %u %u %u", s.n[0], s.n[1], s.n[2],
		      s.n[3]);
	free(buf);
}
