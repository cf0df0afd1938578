// SPDX-License-Identifier: Apache-2.0
/* pushpages: one request at a time over a socket pair; requests and answers carry a number, so an
 * answer that comes after its time-out is known as old and only says that the helper is free again.
 */
#include "fs/pushpages.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/mountpoint.h"
#include "store/cleanup.h"

enum request { REQUEST_PUSH, REQUEST_UNMOUNT, REQUEST_DETACH };

struct message {
	uint64_t number;
	int what; /* request, or the answer's errno */
};

struct cow_helper {
	pthread_mutex_t lock;
	int sock;
	pid_t pid;
	uint64_t sent, answered; /* lock */
};

/* --- in the helper --- */

static int push(const char *mountpoint)
{
	CLEANUP_FD int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

static void serve(int sock, const char *mountpoint)
{
	struct message m;

	while (recv(sock, &m, sizeof(m), 0) == (ssize_t)sizeof(m)) {
		m.what = m.what == REQUEST_PUSH
			     ? push(mountpoint)
			     : cow_mountpoint_unmount(mountpoint, m.what == REQUEST_DETACH);
		if (send(sock, &m, sizeof(m), MSG_NOSIGNAL) < 0)
			return;
	}
}

static void run_helper(int sock, const char *mountpoint, pid_t daemon)
{
	int kept = 3;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != daemon)
		_exit(0);
	prctl(PR_SET_NAME, "cowfs-helper");
	/* The daemon says when it is over: a Ctrl-C in its terminal must not take the helper first.
	 */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (dup2(sock, kept) < 0 || close_range(kept + 1, ~0u, 0) < 0 || chdir("/") < 0)
		_exit(1);
	fcntl(kept, F_SETFD, FD_CLOEXEC);
	serve(kept, mountpoint);
	_exit(0);
}

/* --- in the daemon --- */

cow_errno cow_helper_start(const char *mountpoint, struct cow_helper **ret, struct cow_error *e)
{
	struct cow_helper *h = calloc(1, sizeof(*h));
	pid_t daemon = getpid();
	int pair[2];

	if (!h)
		return cow_fail(e, -ENOMEM, "cannot start the helper process");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		cow_errno r = -errno;

		free(h);
		return cow_fail(e, r, "cannot make a socket for the helper process: %s",
				strerror(-r));
	}
	h->pid = fork();
	if (h->pid == 0)
		run_helper(pair[1], mountpoint, daemon);
	close(pair[1]);
	if (h->pid < 0) {
		cow_errno r = -errno;

		close(pair[0]);
		free(h);
		return cow_fail(e, r, "cannot fork the helper process: %s", strerror(-r));
	}
	h->sock = pair[0];
	pthread_mutex_init(&h->lock, NULL);
	*ret = h;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait for the next answer until `deadline`. Lock held: it is what makes the requests take turns.
 */
static cow_errno take_answer(struct cow_helper *h, int64_t deadline, struct message *ret)
{
	struct pollfd p = {.fd = h->sock, .events = POLLIN};
	ssize_t got;
	int n;

	do {
		int64_t left = deadline - now_ms();

		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	got = n < 0 ? -1 : recv(h->sock, ret, sizeof(*ret), MSG_DONTWAIT);
	if (got != (ssize_t)sizeof(*ret))
		return got < 0 ? -errno : -EPIPE;
	h->answered = ret->number;
	return 0;
}

static cow_errno ask(struct cow_helper *h, enum request what, unsigned timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct message m;
	cow_errno r;
	WITH_LOCK(&h->lock);

	while (h->answered != h->sent)
		if ((r = take_answer(h, 0, &m)) < 0)
			return r; /* still stuck in an earlier request, or gone */
	m = (struct message){.number = ++h->sent, .what = what};
	if (send(h->sock, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		r = -errno;
		h->answered = h->sent;
		return r;
	}
	r = take_answer(h, deadline, &m);
	return r < 0 ? r : m.what;
}

cow_errno cow_helper_push(struct cow_helper *h, unsigned timeout_ms)
{
	return ask(h, REQUEST_PUSH, timeout_ms);
}

cow_errno cow_helper_unmount(struct cow_helper *h, bool lazy, unsigned timeout_ms)
{
	return ask(h, lazy ? REQUEST_DETACH : REQUEST_UNMOUNT, timeout_ms);
}

void cow_helper_end(struct cow_helper *h)
{
	enum { TRIES = 50, PAUSE_NS = 10000000 };
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	if (!h)
		return;
	close(h->sock);
	/* It ends by itself; one that is stuck in the kernel is left to PDEATHSIG. */
	for (int i = 0; i < TRIES && waitpid(h->pid, NULL, WNOHANG) == 0; i++) {
		if (i == TRIES / 2)
			kill(h->pid, SIGKILL);
		nanosleep(&pause, NULL);
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}
