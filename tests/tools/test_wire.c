// SPDX-License-Identifier: Apache-2.0
/* The control socket's lines: whole, bounded, and errors that survive the way. */
#include "tools/daemon/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static struct wire left, right;

static void make_pair(size_t max)
{
	int fd[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	wire_init(&left, fd[0], max);
	wire_init(&right, fd[1], max);
}

static void send_text(const char *text)
{
	cr_assert_eq(send(left.fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

Test(wire, lines_arrive_one_by_one)
{
	json_t *v = NULL;

	make_pair(1000);
	cr_assert_eq(wire_write(&left, json_pack("{s:i}", "a", 1)), 0);
	send_text("{\"a\": 2}\n{\"a\"");
	cr_assert_eq(wire_read(&right, &v), 1);
	cr_assert_eq(json_integer_value(json_object_get(v, "a")), 1);
	cr_assert_eq(wire_read(&right, &v), 1);
	cr_assert_eq(json_integer_value(json_object_get(v, "a")), 2);
	send_text(": 3}\n");
	cr_assert_eq(wire_read(&right, &v), 1);
	cr_assert_eq(json_integer_value(json_object_get(v, "a")), 3);
	wire_release(&left);
	cr_assert_eq(wire_read(&right, &v), 0);
}

Test(wire, half_a_line_at_the_end_is_an_error)
{
	json_t *v = NULL;

	make_pair(1000);
	send_text("{\"a\"");
	wire_release(&left);
	cr_assert_eq(wire_read(&right, &v), -EBADMSG);
}

Test(wire, refuses_what_is_no_json)
{
	json_t *v = NULL;

	make_pair(1000);
	send_text("hello\n");
	cr_assert_eq(wire_read(&right, &v), -EBADMSG);
}

/* A client cannot make the daemon hold more than the bound. */
Test(wire, refuses_long_lines)
{
	char big[20000];
	json_t *v = NULL;

	make_pair(8192);
	memset(big, 'x', sizeof(big));
	cr_assert_eq(send(left.fd, big, sizeof(big), 0), (ssize_t)sizeof(big));
	cr_assert_eq(wire_read(&right, &v), -EMSGSIZE);
}

Test(wire, errors_keep_number_text_and_hint)
{
	struct cow_error e = COW_ERROR_INIT, back = COW_ERROR_INIT;
	json_t *v;

	cow_fail(&e, -EBUSY, "main has open files \xff");
	cow_hint(&e, -EBUSY, "Close them.");
	v = wire_error(-EBUSY, &e);
	cr_assert(v);
	cr_assert_eq(wire_error_read(json_object_get(v, "error"), &back), -EBUSY);
	cr_assert_str_eq(back.text, "main has open files ?");
	cr_assert_str_eq(back.hint, "Close them.");
}

/* Whatever the daemon sends, an error never becomes a success. */
Test(wire, a_broken_error_is_still_an_error)
{
	struct cow_error e = COW_ERROR_INIT;
	json_t *v = json_pack("{s:i}", "errno", 0);

	cr_assert(wire_error_read(NULL, &e) < 0);
	cr_assert(wire_error_read(v, &e) < 0);
	cr_assert(e.text[0]);
}

/* The path of a store may be longer than a socket address. */
Test(wire, long_paths_and_a_private_socket)
{
	char base[] = "/tmp/cowfs-wire-XXXXXX", dir[400], file[450];
	struct cow_error e = COW_ERROR_INIT;
	struct stat st;
	int fd, peer;

	cr_assert(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/%0200d", base, 7);
	cr_assert_eq(mkdir(dir, 0700), 0);
	cr_assert_eq(wire_connect(dir, &peer), -ENOENT);
	cr_assert_eq(wire_listen(dir, &fd, &e), 0, "%s", e.text);
	snprintf(file, sizeof(file), "%s/%s", dir, WIRE_SOCKET);
	cr_assert_eq(stat(file, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(wire_connect(dir, &peer), 0);
	close(peer);
	close(fd);
	cr_assert_eq(wire_connect(dir, &peer), -ECONNREFUSED);
	cr_assert_eq(wire_listen(dir, &fd, &e), 0, "an old socket is replaced: %s", e.text);
	close(fd);
	wire_unlink(dir);
	cr_assert_eq(wire_connect(dir, &peer), -ENOENT);
	rmdir(dir);
	rmdir(base);
}
