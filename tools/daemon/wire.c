// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/cli/exitcode.h"
#include "tools/daemon/json_text.h"

#define LISTEN_BACKLOG 64

void wire_init(struct wire *w, int fd, size_t max_line)
{
	*w = (struct wire){.fd = fd, .max = max_line};
}

void wire_release(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->buf);
	*w = (struct wire){.fd = -1};
}

/* More bytes into the buffer: their number, 0 at the end, -errno. */
static ssize_t fill(struct wire *w)
{
	ssize_t n;

	if (w->len == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 4096;
		char *more;

		if (w->len >= w->max)
			return -EMSGSIZE;
		more = realloc(w->buf, cap);
		if (!more)
			return -ENOMEM;
		w->buf = more;
		w->cap = cap;
	}
	do
		n = recv(w->fd, w->buf + w->len, w->cap - w->len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	w->len += (size_t)n;
	return n;
}

int wire_read(struct wire *w, json_t **ret)
{
	size_t seen = 0;
	char *end;
	json_t *v;

	while (!(end = w->len ? memchr(w->buf + seen, '\n', w->len - seen) : NULL)) {
		ssize_t n;

		seen = w->len;
		n = fill(w);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return w->len ? -EBADMSG : 0;
	}
	v = json_loadb(w->buf, (size_t)(end - w->buf), 0, NULL);
	w->len -= (size_t)(end + 1 - w->buf);
	memmove(w->buf, end + 1, w->len);
	if (!v)
		return -EBADMSG;
	*ret = v;
	return 1;
}

cow_errno wire_write(struct wire *w, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	cow_errno r = 0;
	size_t len;

	json_decref(value);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* in place of the NUL */
	for (size_t off = 0; off < len && r == 0;) {
		ssize_t n = send(w->fd, text + off, len - off, MSG_NOSIGNAL);

		if (n >= 0)
			off += (size_t)n;
		else if (errno != EINTR)
			r = -errno;
	}
	free(text);
	return r;
}

json_t *wire_error(cow_errno r, const struct cow_error *e)
{
	return json_pack("{s:{s:s,s:o,s:o,s:i}}", "error", "code", exitcode_name(exitcode_of(r)),
			 "message", json_text(e->text[0] ? e->text : strerror(-r)), "hint",
			 json_text(e->hint), "errno", -r);
}

cow_errno wire_error_read(const json_t *error, struct cow_error *e)
{
	const char *hint = json_string_value(json_object_get(error, "hint"));
	const char *message = json_string_value(json_object_get(error, "message"));
	json_int_t number = json_integer_value(json_object_get(error, "errno"));
	cow_errno r = number > 0 && number < 4096 ? -(cow_errno)number : -EPROTO;

	cow_fail(e, r, "%s", message && *message ? message : "the daemon gave no reason");
	return hint && *hint ? cow_hint(e, r, "%s", hint) : r;
}

/* Socket addresses hold about 100 bytes; going through the directory's descriptor, the path of a
 * store may have any length. *ret_dir must be closed after use. */
static cow_errno address(const char *dir, const char *name, struct sockaddr_un *ret, int *ret_dir)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", fd, name);
	*ret_dir = fd;
	return 0;
}

cow_errno wire_listen_as(const char *dir, const char *name, int *ret_fd, struct cow_error *e)
{
	struct sockaddr_un at;
	mode_t mask;
	int dir_fd, fd, bound;
	cow_errno r = address(dir, name, &at, &dir_fd);

	if (r < 0)
		return cow_fail(e, r, "cannot open %s: %s", dir, strerror(-r));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlinkat(dir_fd, name, 0);
	mask = umask(0177);
	bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof(at));
	r = bound < 0 || listen(fd, LISTEN_BACKLOG) < 0 ? -errno : 0;
	umask(mask);
	close(dir_fd);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return cow_fail(e, r, "cannot listen on %s/%s: %s", dir, name, strerror(-r));
	}
	*ret_fd = fd;
	return 0;
}

cow_errno wire_listen(const char *dir, int *ret_fd, struct cow_error *e)
{
	return wire_listen_as(dir, WIRE_SOCKET, ret_fd, e);
}

cow_errno wire_connect_as(const char *dir, const char *name, int *ret_fd)
{
	struct sockaddr_un at;
	int dir_fd, fd;
	cow_errno r = address(dir, name, &at, &dir_fd);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		r = -errno;
	close(dir_fd);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

cow_errno wire_connect(const char *dir, int *ret_fd)
{
	return wire_connect_as(dir, WIRE_SOCKET, ret_fd);
}

void wire_unlink_as(const char *dir, const char *name)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	unlinkat(fd, name, 0);
	close(fd);
}

void wire_unlink(const char *dir)
{
	wire_unlink_as(dir, WIRE_SOCKET);
}
