// SPDX-License-Identifier: Apache-2.0
/* posix_locks: flock, record locks of processes, and those of open file descriptions. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/posix/posix.h"

static struct flock part(short type, off_t from, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = len};
}

/* In another process, which opens the file itself. */
static int elsewhere(int command, short type, off_t from, off_t len)
{
	int status;
	pid_t pid = OK(fork());

	if (pid == 0) {
		int fd = OK(open("f", O_RDWR));
		struct flock l = part(type, from, len);

		_exit(fcntl(fd, command, &l) == 0 ? 0 : errno);
	}
	OK(waitpid(pid, &status, 0));
	WANT(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool refused(int err)
{
	return err == EAGAIN || err == EACCES;
}

static void record_locks_know_ranges_and_kinds(void)
{
	int fd = posix_file("f", 100, 'a');
	struct flock l = part(F_WRLCK, 10, 10), probe = part(F_WRLCK, 0, 0);

	OK(fcntl(fd, F_SETLK, &l));
	WANT(refused(elsewhere(F_SETLK, F_RDLCK, 15, 1)));
	WANT(refused(elsewhere(F_SETLK, F_WRLCK, 0, 0)));
	WANT(elsewhere(F_SETLK, F_WRLCK, 0, 10) == 0);
	WANT(elsewhere(F_SETLK, F_WRLCK, 20, 0) == 0);
	/* Taking the middle out leaves two. */
	l = part(F_UNLCK, 13, 4);
	OK(fcntl(fd, F_SETLK, &l));
	WANT(elsewhere(F_SETLK, F_WRLCK, 13, 4) == 0);
	WANT(refused(elsewhere(F_SETLK, F_WRLCK, 12, 1)));
	WANT(refused(elsewhere(F_SETLK, F_WRLCK, 17, 1)));
	/* Shared ones go together. */
	l = part(F_RDLCK, 0, 0);
	OK(fcntl(fd, F_SETLK, &l));
	WANT(elsewhere(F_SETLK, F_RDLCK, 5, 50) == 0);
	WANT(refused(elsewhere(F_SETLK, F_WRLCK, 1000000, 1)));
	/* One's own never stand in the way. */
	OK(fcntl(fd, F_GETLK, &probe));
	WANT(probe.l_type == F_UNLCK);
}

static void the_holder_of_a_lock_is_told(void)
{
	int fd = posix_file("f", 100, 'a'), go[2], status;
	struct flock l;
	char c;
	pid_t pid;

	OK(pipe(go));
	pid = OK(fork());
	if (pid == 0) {
		int mine = OK(open("f", O_RDWR));

		l = part(F_WRLCK, 40, 20);
		OK(fcntl(mine, F_SETLK, &l));
		WANT(write(go[1], "x", 1) == 1);
		pause();
	}
	WANT(read(go[0], &c, 1) == 1);
	l = part(F_RDLCK, 0, 0);
	OK(fcntl(fd, F_GETLK, &l));
	WANT(l.l_type == F_WRLCK && l.l_pid == pid && l.l_start == 40 && l.l_len == 20);
	/* They end with their process. */
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, &status, 0));
	l = part(F_WRLCK, 0, 0);
	OK(fcntl(fd, F_SETLK, &l));
}

static void closing_any_descriptor_drops_record_locks(void)
{
	int fd = posix_file("f", 100, 'a'), other;
	struct flock l = part(F_WRLCK, 0, 0);

	OK(fcntl(fd, F_SETLK, &l));
	WANT(refused(elsewhere(F_SETLK, F_WRLCK, 0, 0)));
	other = OK(open("f", O_RDONLY));
	OK(close(other));
	WANT(elsewhere(F_SETLK, F_WRLCK, 0, 0) == 0);
}

static void locks_of_open_descriptions_meet_in_one_process(void)
{
	int a = posix_file("f", 100, 'a'), b = OK(open("f", O_RDWR)), c = OK(dup(a));
	struct flock l = part(F_WRLCK, 0, 50);

	OK(fcntl(a, F_OFD_SETLK, &l));
	WANT(fcntl(b, F_OFD_SETLK, &l) == -1 && refused(errno));
	OK(fcntl(c, F_OFD_SETLK, &l)); /* the same description */
	l = part(F_WRLCK, 50, 50);
	OK(fcntl(b, F_OFD_SETLK, &l));
	WANT(refused(elsewhere(F_SETLK, F_WRLCK, 0, 1)));
	OK(close(a));
	WANT(refused(elsewhere(F_OFD_SETLK, F_WRLCK, 0, 1)));
	OK(close(c));
	WANT(elsewhere(F_OFD_SETLK, F_WRLCK, 0, 1) == 0);
}

static void flock_is_shared_or_alone(void)
{
	int a = posix_file("f", 100, 'a'), b = OK(open("f", O_RDONLY)), c = OK(dup(b)), status;
	pid_t pid;

	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(c, LOCK_UN)); /* of b, which it is a copy of */
	OK(flock(a, LOCK_SH));
	OK(flock(a, LOCK_EX | LOCK_NB));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	/* A child has the description, and so the lock. */
	pid = OK(fork());
	if (pid == 0) {
		OK(flock(a, LOCK_EX | LOCK_NB));
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	WANT(status == 0);
	OK(close(a));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

static void a_waiting_lock_is_given_when_it_is_free(void)
{
	int fd = posix_file("f", 100, 'a'), status;
	struct flock l = part(F_WRLCK, 0, 0);
	pid_t pid;

	OK(fcntl(fd, F_SETLK, &l));
	OK(flock(fd, LOCK_EX));
	pid = OK(fork());
	if (pid == 0) {
		int other = OK(open("f", O_RDWR));
		char c;

		OK(fcntl(other, F_SETLKW, &l));
		WANT(pread(other, &c, 1, 0) == 1 && c == 'b');
		OK(flock(other, LOCK_EX));
		_exit(0);
	}
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	WANT(waitpid(pid, &status, WNOHANG) == 0);
	posix_write(fd, 0, 1, 'b');
	l.l_type = F_UNLCK;
	OK(fcntl(fd, F_SETLK, &l));
	OK(flock(fd, LOCK_UN));
	OK(waitpid(pid, &status, 0));
	WANT(status == 0);
}

static void nothing_to_do(int sig)
{
}

static void a_signal_ends_the_waiting(void)
{
	struct sigaction act = {.sa_handler = nothing_to_do};
	int fd = posix_file("f", 100, 'a'), status;
	struct flock l = part(F_WRLCK, 0, 0);
	pid_t pid;

	OK(fcntl(fd, F_SETLK, &l));
	OK(sigaction(SIGUSR1, &act, NULL));
	pid = OK(fork());
	if (pid == 0) {
		int other = OK(open("f", O_RDWR));

		FAILS(fcntl(other, F_SETLKW, &l), EINTR);
		_exit(0);
	}
	do {
		nanosleep(&(struct timespec){0, 30000000}, NULL);
		OK(kill(pid, SIGUSR1));
	} while (waitpid(pid, &status, WNOHANG) == 0);
	WANT(status == 0);
}

const struct posix_case posix_lock_cases[] = {
    {"record_locks_know_ranges_and_kinds", record_locks_know_ranges_and_kinds},
    {"the_holder_of_a_lock_is_told", the_holder_of_a_lock_is_told},
    {"closing_any_descriptor_drops_record_locks", closing_any_descriptor_drops_record_locks},
    {"locks_of_open_descriptions_meet_in_one_process",
     locks_of_open_descriptions_meet_in_one_process},
    {"flock_is_shared_or_alone", flock_is_shared_or_alone},
    {"a_waiting_lock_is_given_when_it_is_free", a_waiting_lock_is_given_when_it_is_free},
    {"a_signal_ends_the_waiting", a_signal_ends_the_waiting},
    {NULL, NULL},
};
