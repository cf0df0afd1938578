// SPDX-License-Identifier: Apache-2.0
/* What arrives on the control socket, as a daemon reads it and as a client does: in lines, in any
 * pieces. The first byte says how long a piece is. */
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tools/daemon/wire.h"

enum { LINE_MAX_BYTES = 2048 };

static void read_all(const uint8_t *data, size_t size, size_t piece)
{
	struct wire w;
	json_t *v;
	int fd[2], n = 1;
	size_t sent = 0;

	fuzz_want(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	wire_init(&w, fd[0], LINE_MAX_BYTES);
	while (sent < size && sent < 100000) {
		size_t more = size - sent < piece ? size - sent : piece;

		if (send(fd[1], data + sent, more, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)more)
			break;
		sent += more;
	}
	close(fd[1]);
	while (n == 1) {
		struct cow_error e = COW_ERROR_INIT;

		v = NULL;
		n = wire_read(&w, &v);
		fuzz_want((n == 1) == (v != NULL));
		if (v) {
			fuzz_want(wire_error_read(json_object_get(v, "error"), &e) < 0);
			fuzz_want(e.text[0]);
			json_decref(v);
		}
	}
	fuzz_want(w.len <= 2 * LINE_MAX_BYTES + 4096);
	wire_release(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		read_all(data + 1, size - 1, 1 + (size_t)data[0] * 16);
	return 0;
}
