// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "store/cleanup.h"

#define PIECE (64u << 10) /* bytes; the kernel fills half of that at once */
#define ANSWER_S 5        /* it answers at once; this is against waiting for ever */

typedef void on_message(const struct nlmsghdr *m, void *arg);

/* 1 = more follows, 0 = that was the end; else -errno. */
static int read_piece(int fd, on_message *call, void *arg, bool *torn)
{
	_Alignas(struct nlmsghdr) char piece[PIECE];
	ssize_t got = recv(fd, piece, sizeof(piece), 0);
	unsigned n = got < 0 ? 0 : (unsigned)got;

	if (got < 0)
		return errno == EINTR ? 1 : -errno;
	for (const struct nlmsghdr *m = (void *)piece; NLMSG_OK(m, n); m = NLMSG_NEXT(m, n)) {
		*torn |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(m))->error ?: -EBADMSG;
		call(m, arg);
	}
	return n ? -EBADMSG : 1;
}

static int dump_once(const void *request, size_t size, on_message *call, void *arg)
{
	const struct timeval limit = {.tv_sec = ANSWER_S};
	CLEANUP_FD int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool torn = false;
	int r = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, request, size, 0) != (ssize_t)size)
		return -errno;
	while (r == 1)
		r = read_piece(fd, call, arg, &torn);
	return r == 0 && torn ? -EAGAIN : r;
}

/* --- unix sockets --- */

struct local_call {
	void (*call)(void *arg, const struct serve_diag_local *x);
	void *arg;
};

static void on_local(const struct nlmsghdr *m, void *arg)
{
	const struct unix_diag_msg *u = NLMSG_DATA(m);
	unsigned n = m->nlmsg_len - (unsigned)NLMSG_LENGTH(sizeof(*u));
	struct serve_diag_local x = {.listens = u->udiag_state == TCP_LISTEN};
	const struct local_call *to = arg;

	if (u->udiag_type != SOCK_STREAM)
		return;
	for (const struct rtattr *a = (const void *)(u + 1); RTA_OK(a, n); a = RTA_NEXT(a, n)) {
		if (a->rta_type != UNIX_DIAG_NAME)
			continue;
		x.path = RTA_DATA(a);
		x.path_n = strnlen(x.path, RTA_PAYLOAD(a));
	}
	if (x.path_n)
		to->call(to->arg, &x);
}

cow_errno serve_diag_local(void (*call)(void *arg, const struct serve_diag_local *x), void *arg)
{
	struct local_call to = {call, arg};
	const struct {
		struct nlmsghdr head;
		struct unix_diag_req ask;
	} request = {
	    .head = {.nlmsg_len = sizeof(request),
		     .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .ask = {.sdiag_family = AF_UNIX,
		    .udiag_states = 1 << TCP_ESTABLISHED | 1 << TCP_LISTEN,
		    .udiag_show = UDIAG_SHOW_NAME},
	};

	return dump_once(&request, sizeof(request), on_local, &to);
}

/* --- TCP --- */

struct tcp_call {
	void (*call)(void *arg, const struct serve_diag_tcp *x);
	void *arg;
};

static void on_tcp(const struct nlmsghdr *m, void *arg)
{
	const struct inet_diag_msg *i = NLMSG_DATA(m);
	const struct tcp_call *to = arg;
	const struct serve_diag_tcp x = {
	    .local = i->id.idiag_src[0],
	    .remote = i->id.idiag_dst[0],
	    .port = ntohs(i->id.idiag_sport),
	    .listens = i->idiag_state == TCP_LISTEN,
	    .inode = i->idiag_inode,
	};

	to->call(to->arg, &x);
}

cow_errno serve_diag_tcp(void (*call)(void *arg, const struct serve_diag_tcp *x), void *arg)
{
	struct tcp_call to = {call, arg};
	const struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 ask;
	} request = {
	    .head = {.nlmsg_len = sizeof(request),
		     .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    /* A server goes on for a client that has closed its end. */
	    .ask = {.sdiag_family = AF_INET,
		    .sdiag_protocol = IPPROTO_TCP,
		    .idiag_states = 1 << TCP_ESTABLISHED | 1 << TCP_SYN_RECV | 1 << TCP_CLOSE_WAIT |
				    1 << TCP_LISTEN},
	};

	return dump_once(&request, sizeof(request), on_tcp, &to);
}
