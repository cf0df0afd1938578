// SPDX-License-Identifier: Apache-2.0
/* process: run another program and wait for it. By argument vector, never through a shell.
 *
 * What the program says goes to descriptors; a memory file (process_memory) takes any amount
 * without anybody having to read while it runs. Safe only in a process with one thread. */
#pragma once
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

#include "store/error.h"

#define PROCESS_NULL (-1)    /* /dev/null */
#define PROCESS_INHERIT (-2) /* that of this process */

struct process {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH */
	int in, out, err;        /* descriptors, or one of the two above */
	const char *owner_of;    /* become the owner of this path first; NULL = stay who we are */
	const char *const *env;  /* NAME, VALUE, ... set in it; ends with NULL; may be NULL */
	/* Set by a handler of a signal: nothing is started any more. May be NULL. */
	const volatile sig_atomic_t *stop;
};

/* Start it; *ret_pid must be waited for. -EINTR `stop` is set; -EAGAIN... : cannot fork. That the
 * program cannot be run shows as exit status 126 or 127 with the reason on its `err`. Handlers of
 * signals are not inherited. */
cow_errno process_start(const struct process *p, pid_t *ret_pid, struct cow_error *e);

/* *ret_status as a shell has it: exit status, or 128 + signal. */
cow_errno process_wait(pid_t pid, int *ret_status, struct cow_error *e);

/* What was started last and not waited for yet, for a handler that passes a signal on: 0 = nothing.
 * With `stop` no signal falls between the two: it comes before the start, or finds it here. */
pid_t process_running(void);

cow_errno process_run(const struct process *p, int *ret_status, struct cow_error *e);

/* An empty file in memory, closed on exec; -1 with errno. */
int process_memory(const char *name);

/* All of it, ended with a NUL that does not count. NULL only without memory. The caller frees. */
char *process_read(int fd, size_t *ret_len);

/* The last lines of `fd`, at most size - 1 bytes, without trailing newlines: what a program that
 * failed said last. */
void process_read_end(int fd, char *buf, size_t size);
