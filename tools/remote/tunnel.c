// SPDX-License-Identifier: Apache-2.0
/* A port of this machine that leads to a port of the other one, through ssh. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/process/process.h"
#include "tools/remote/remote.h"

#define OPEN_MS 30000u
#define STEP_MS 20u
#define TRIES 3 /* another program may take the port between our look and ssh's */

static int open_socket(struct sockaddr_in *at, int port)
{
	*at = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* -1 none. */
static int free_port(void)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	CLEANUP_FD int fd = open_socket(&at, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	return ntohs(at.sin_port);
}

static bool answers(int port)
{
	struct sockaddr_in at;
	CLEANUP_FD int fd = open_socket(&at, port);

	return fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

/* ssh -L here:there, then `more`. `forward` of at least 64 bytes is written to. */
static void tunnel_argv(const struct command_call *call, int here, int there, char *forward,
			const char *const *more, const char **argv)
{
	size_t n = remote_ssh_argv(call, argv);

	snprintf(forward, 64, "127.0.0.1:%d:127.0.0.1:%d", here, there);
	argv[n++] = "-o";
	argv[n++] = "ExitOnForwardFailure=yes";
	argv[n++] = "-T";
	argv[n++] = "-L";
	argv[n++] = forward;
	for (; *more; more++)
		argv[n++] = *more;
	argv[n] = NULL;
}

static cow_errno failed(struct command_call *call, int err)
{
	char said[600];

	process_read_end(err, said, sizeof(said));
	return cow_fail(&call->error, -ECONNREFUSED, "cannot open a tunnel to %s: %s", call->host,
			said[0] ? said : "ssh says nothing");
}

cow_errno remote_tunnel_open(struct command_call *call, int port, struct remote_tunnel *ret)
{
	CLEANUP_FD int err = process_memory("errors");
	const char *const more[] = {"-N", "--", call->host, NULL}, *argv[40];
	struct process p = {.argv = argv, .in = PROCESS_NULL, .out = PROCESS_NULL, .err = err};
	char forward[64];
	cow_errno r = 0;

	for (int k = 0; k < TRIES; k++) {
		ret->port = free_port();
		tunnel_argv(call, ret->port, port, forward, more, argv);
		r = process_start(&p, &ret->pid, &call->error);
		if (r < 0)
			return r;
		for (unsigned waited = 0; waited < OPEN_MS; waited += STEP_MS) {
			/* Gone first: what answers then is somebody else's. */
			if (waitpid(ret->pid, NULL, WNOHANG) != 0) {
				ret->pid = 0;
				break;
			}
			if (answers(ret->port))
				return 0;
			nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
		}
		remote_tunnel_close(ret);
	}
	return failed(call, err);
}

void remote_tunnel_close(struct remote_tunnel *t)
{
	if (t->pid > 0) {
		kill(t->pid, SIGTERM);
		waitpid(t->pid, NULL, 0);
	}
	t->pid = 0;
}

cow_errno remote_tunnel_leave(struct command_call *call, int port, unsigned seconds, int *ret_port)
{
	CLEANUP_FD int err = process_memory("errors");
	char forward[64], sleep_line[32];
	const char *const more[] = {"-f", "--", call->host, sleep_line, NULL}, *argv[40];
	/* -f goes to the background when the forward stands; it must not hold our caller's pipe. */
	const struct process p = {
	    .argv = argv, .in = PROCESS_NULL, .out = PROCESS_NULL, .err = err};
	int status = 1;
	cow_errno r = 0;

	snprintf(sleep_line, sizeof(sleep_line), "sleep %u", seconds);
	for (int k = 0; r == 0 && status != 0 && k < TRIES; k++) {
		*ret_port = free_port();
		tunnel_argv(call, *ret_port, port, forward, more, argv);
		r = process_run(&p, &status, &call->error);
	}
	return r < 0 ? r : status ? failed(call, err) : 0;
}
