// SPDX-License-Identifier: Apache-2.0
/* The first bytes of a client, and what a server answers to them. The first byte: bit 0 = the user
 * may name the branch, the rest = how the answer is cut into pieces. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/serve/startup_packet.h"

static void watch(const uint8_t *data, size_t size, size_t piece)
{
	struct startup_watch w = {0};

	for (size_t at = 0; at < size; at += piece)
		startup_watch_feed(&w, data + at, size - at < piece ? size - at : piece);
	fuzz_want(w.key_n <= sizeof(w.key));
}

static void rewrite(const uint8_t *packet, const struct startup *s)
{
	uint8_t *out = malloc(s->length);
	struct startup again;
	size_t n;

	fuzz_want(out);
	n = startup_rewrite(packet, s, out);
	fuzz_want(n <= s->length);
	/* Without the branch it is still a packet of the same user. */
	fuzz_want(startup_parse(out, n, false, &again) == STARTUP_SESSION);
	fuzz_want(again.length == n);
	fuzz_want(!s->user == !again.user);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t refusal[300];
	struct startup s;

	if (!size)
		return 0;
	if (startup_parse(data + 1, size - 1, data[0] & 1, &s) == STARTUP_SESSION) {
		fuzz_want(s.length <= size - 1);
		startup_is_probe(&s);
		rewrite(data + 1, &s);
		fuzz_want(strlen(s.branch) <= COW_BRANCH_MAX);
		fuzz_want(startup_refusal("3D000", s.branch, s.user, refusal, sizeof(refusal)) <=
			  sizeof(refusal));
	} else if (s.kind == STARTUP_BAD) {
		fuzz_want(s.reason);
	}
	watch(data + 1, size - 1, 1 + data[0] / 2u);
	return 0;
}
