// SPDX-License-Identifier: Apache-2.0
/* The first bytes of clients: those of honest ones, and of all others. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/serve/startup_packet.h"

struct packet {
	uint8_t bytes[STARTUP_MAX + 64];
	size_t n;
};

static void put32(uint8_t *p, uint32_t v)
{
	for (int k = 0; k < 4; k++)
		p[k] = (uint8_t)(v >> (24 - 8 * k));
}

static struct packet code(uint32_t number)
{
	struct packet p = {.n = 8};

	put32(p.bytes, 8);
	put32(p.bytes + 4, number);
	return p;
}

/* "user\0anna\0..." of `n` bytes, the last NULs of the packet not included. */
static struct packet session(const char *texts, size_t n)
{
	struct packet p = code(0x30000);

	memcpy(p.bytes + 8, texts, n);
	p.bytes[8 + n] = 0;
	p.n = 8 + n + 1;
	put32(p.bytes, (uint32_t)p.n);
	return p;
}
#define SESSION(texts) session(texts, sizeof(texts))

static struct startup parse(const struct packet *p, bool user_names_branch)
{
	struct startup s;

	startup_parse(p->bytes, p->n, user_names_branch, &s);
	return s;
}

Test(startup, a_session_is_understood)
{
	struct packet p = SESSION("user\0anna\0database\0shop\0application_name\0psql");
	struct startup s = parse(&p, true);

	cr_assert_eq(s.kind, STARTUP_SESSION);
	cr_assert_eq(s.length, p.n);
	cr_assert_str_eq(s.user, "anna");
	cr_assert_str_eq(s.application, "psql");
	cr_assert_str_eq(s.branch, "");
	cr_assert_not(startup_is_probe(&s));
}

Test(startup, pg_isready_is_a_probe)
{
	struct packet p = SESSION("user\0anna\0application_name\0pg_isready");
	struct startup s = parse(&p, true);

	cr_assert(startup_is_probe(&s));
}

Test(startup, requests_for_encryption_are_told_apart)
{
	struct packet ssl = code(80877103), gss = code(80877104);

	cr_assert_eq(parse(&ssl, false).kind, STARTUP_SSL);
	cr_assert_eq(parse(&gss, false).kind, STARTUP_GSS);
	cr_assert_eq(parse(&(struct packet){.bytes = {0x16, 3, 1}, .n = 3}, false).kind,
		     STARTUP_TLS);
}

Test(startup, a_cancel_request_has_its_key)
{
	struct packet p = code(80877102);
	struct startup s;

	put32(p.bytes, 16);
	put32(p.bytes + 8, 4711);
	put32(p.bytes + 12, 0xcafe0001);
	p.n = 16;
	s = parse(&p, false);
	cr_assert_eq(s.kind, STARTUP_CANCEL);
	cr_assert_eq(s.cancel_pid, 4711);
	cr_assert_eq(s.cancel_key_length, 4);
	cr_assert_eq(s.cancel_key[0], 0xca);
	put32(p.bytes, 12);
	cr_assert_eq(parse(&p, false).kind, STARTUP_BAD);
}

/* Each is what a user may write, and what the server then sees. */
Test(startup, the_branch_is_found_and_stripped)
{
	static const struct {
		const char *options, *branch, *left;
	} rows[] = {
	    {"--cowfs.branch=pr/42", "pr/42", ""},
	    {"-c geqo=off --cowfs.branch=a", "a", "-c geqo=off"},
	    {"-c cowfs.branch=a -c geqo=off", "a", "-c geqo=off"},
	    {"-ccowfs.branch=a", "a", ""},
	    {"endpoint=pr-42 --jit=off", "pr-42", "--jit=off"},
	    {"--cowfs.branch=with\\ blank -c x.y=a\\ b", "with blank", "-c x.y=a\\ b"},
	    {"-c geqo=off", "", "-c geqo=off"},
	    {"  ", "", ""},
	    {"-c", "", "-c"},
	};

	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		char texts[256];
		uint8_t out[STARTUP_MAX];
		struct startup s, again;
		struct packet p;
		int n = snprintf(texts, sizeof(texts), "user%cu@v%coptions%c%s", 0, 0, 0,
				 rows[k].options);

		p = session(texts, (size_t)n + 1);
		s = parse(&p, false);
		cr_assert_eq(s.kind, STARTUP_SESSION);
		cr_assert_str_eq(s.branch, rows[k].branch);
		cr_assert_eq(startup_parse(out, startup_rewrite(p.bytes, &s, out), false, &again),
			     STARTUP_SESSION);
		cr_assert_str_eq(again.user, "u@v");
		cr_assert_str_eq(again.options ? again.options : "", rows[k].left);
	}
}

Test(startup, the_user_names_the_branch_as_a_last_resort)
{
	struct packet p = SESSION("user\0o@x@feature/y\0database\0d");
	struct packet both = SESSION("user\0anna@x\0options\0--cowfs.branch=y");
	uint8_t out[STARTUP_MAX];
	struct startup s = parse(&p, true), again;

	cr_assert_str_eq(s.branch, "feature/y");
	startup_parse(out, startup_rewrite(p.bytes, &s, out), true, &again);
	cr_assert_str_eq(again.user, "o@x");
	s = parse(&p, false);
	cr_assert_str_eq(s.branch, "");
	s = parse(&both, true);
	cr_assert_str_eq(s.branch, "y");
	startup_parse(out, startup_rewrite(both.bytes, &s, out), false, &again);
	cr_assert_str_eq(again.user, "anna@x");
}

Test(startup, a_packet_in_pieces_is_waited_for)
{
	struct packet p = SESSION("user\0anna\0database\0shop");
	struct startup s;

	for (size_t n = 0; n < p.n; n++)
		cr_assert_eq(startup_parse(p.bytes, n, true, &s), STARTUP_MORE, "%zu bytes", n);
	cr_assert_eq(startup_parse(p.bytes, p.n, true, &s), STARTUP_SESSION);
}

Test(startup, what_is_too_long_or_no_protocol_is_refused_at_once)
{
	struct packet p = code(0x30000), web = {.bytes = "GET / HTTP/1.1\r\n", .n = 16};
	struct startup s;

	put32(p.bytes, STARTUP_MAX + 1);
	cr_assert_eq(parse(&p, true).kind, STARTUP_BAD);
	put32(p.bytes, 7);
	cr_assert_eq(parse(&p, true).kind, STARTUP_BAD);
	cr_assert_eq(parse(&web, true).kind, STARTUP_BAD);
	p = code(0x20000);
	s = parse(&p, true);
	cr_assert_eq(s.kind, STARTUP_BAD);
	cr_assert(s.reason[0]);
	p = code(80877102);
	put32(p.bytes, 9000);
	cr_assert_eq(parse(&p, true).kind, STARTUP_BAD);
}

/* Buffers of the exact size on the heap, so that the sanitizers see a byte too many. */
Test(startup, any_bytes_are_survived)
{
	const char *long_run = getenv("COWFS_LONG");
	unsigned seed = 20240917, rounds = long_run && *long_run ? 2000000 : 200000;
	struct packet good =
	    SESSION("user\0a@b\0options\0-c x.y=z --cowfs.branch=q\\ r\0database\0d");

	for (unsigned k = 0; k < rounds; k++) {
		size_t n = k % 2 ? good.n : (size_t)(rand_r(&seed) % 300);
		uint8_t *in = malloc(n ? n : 1), *out = malloc(STARTUP_MAX);
		struct startup s;

		for (size_t i = 0; i < n; i++)
			in[i] = k % 2 ? good.bytes[i] : (uint8_t)rand_r(&seed);
		if (k % 2)
			for (int change = rand_r(&seed) % 6; change >= 0; change--)
				in[4 + (size_t)rand_r(&seed) % (n - 4)] =
				    (uint8_t) " \\@=-\0x"[rand_r(&seed) % 7];
		else if (n >= 8 && k % 4)
			put32(in, (uint32_t)n),
			    put32(in + 4, k % 8 < 5 ? 0x30000 : 80877102 + k % 3);
		if (startup_parse(in, n, true, &s) == STARTUP_SESSION) {
			struct startup again;
			size_t m = startup_rewrite(in, &s, out);

			cr_assert_leq(m, s.length);
			cr_assert_eq(startup_parse(out, m, false, &again), STARTUP_SESSION);
			cr_assert_str_empty(again.branch);
		}
		free(in);
		free(out);
	}
}

Test(startup, a_refusal_is_a_message_whatever_its_length)
{
	char text[4096];
	uint8_t out[512];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t size = 32; size <= sizeof(out); size++) {
		size_t n = startup_refusal("57P03", text, text, out, size);

		cr_assert_leq(n, size);
		cr_assert_eq(out[0], 'E');
		cr_assert_eq((size_t)out[1] << 24 | (size_t)out[2] << 16 | (size_t)out[3] << 8 |
				 out[4],
			     n - 1);
		cr_assert_eq(out[n - 1], 0);
	}
}

Test(startup, the_key_of_a_session_is_found_however_it_is_cut)
{
	static const uint8_t said[] = {'R',  0,   0, 0,   8, 0,   0, 0, 0, 'S', 0,  0, 0,
				       8,    'a', 0, 'b', 0, 'K', 0, 0, 0, 12,  0,  0, 0x12,
				       0x34, 9,   8, 7,   6, 'Z', 0, 0, 0, 5,   'I'};

	for (size_t step = 1; step <= sizeof(said); step++) {
		struct startup_watch w = {0};

		for (size_t at = 0; at < sizeof(said); at += step)
			startup_watch_feed(&w, said + at,
					   step < sizeof(said) - at ? step : sizeof(said) - at);
		cr_assert(w.done && w.has_key, "step %zu", step);
		cr_assert_eq(w.pid, 0x1234);
		cr_assert_eq(w.key_n, 8);
		cr_assert_eq(w.key[7], 6);
	}
}

Test(startup, a_server_that_says_anything_is_survived)
{
	unsigned seed = 7;

	for (unsigned k = 0; k < 20000; k++) {
		struct startup_watch w = {0};
		uint8_t bytes[64];

		for (int m = 0; m < 8; m++) {
			for (size_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = (uint8_t)(rand_r(&seed) % 4 ? 0 : rand_r(&seed));
			if (m == 0)
				bytes[0] = 'K';
			startup_watch_feed(&w, bytes, sizeof(bytes));
		}
		cr_assert_leq(w.key_n, sizeof(w.key));
	}
}
