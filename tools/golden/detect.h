// SPDX-License-Identifier: Apache-2.0
/* detect: find what looks like data of people in bytes of any kind.
 *
 * Four kinds: e-mail addresses outside the fake domains, card numbers with a valid check digit,
 * phone numbers, IBANs with valid check digits. Rules are narrow, because one hit stops a publish:
 * a kind is reported only when its shape, its length and, where there is one, its check digits are
 * right. What the masking makes, published test numbers and what the user allowed pass (struct
 * detect_policy).
 *
 * Text lies in pages without anything around it: the byte before a value is a length that may look
 * like a letter or a digit, and the next value may follow at once. So the fake domains are compared
 * as the beginning of what was found, and a number may have one digit too many at its end. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum detect_kind { DETECT_EMAIL, DETECT_CARD, DETECT_PHONE, DETECT_IBAN, DETECT_KINDS };

/* Lists end with NULL; a NULL list is empty. Borrowed. */
struct detect_policy {
	const char *const *fake_domains; /* of addresses that are not real; with their subdomains */
	const char *const *allow_domains; /* real ones that may stay: the company's own */
};

#define DETECT_LONGEST                                                                             \
	192u /* bytes of anything that is found, and of what has to be seen around it */

const char *detect_name(enum detect_kind kind); /* "e-mail", ... */

/* Everything that begins in [from, to) of the `len` bytes at `buf`. For pieces of a stream: give at
 * least DETECT_LONGEST bytes after `to` and before `from`, where there are any. Thread safe. */
void detect_scan(const struct detect_policy *p, const uint8_t *buf, size_t len, size_t from,
		 size_t to, void (*found)(void *arg, enum detect_kind kind, size_t at, size_t len),
		 void *arg);
