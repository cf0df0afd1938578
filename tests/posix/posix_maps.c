// SPDX-License-Identifier: Apache-2.0
/* posix_maps: memory maps and locks. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/posix/posix.h"

enum { LEN = 64 * 1024 };

static char *map(int fd, size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED && (errno == ENODEV || errno == EINVAL))
		posix_fail(__FILE__, __LINE__, "mmap");
	WANT(p != MAP_FAILED);
	return p;
}

static void shared_map_reads_and_writes_the_file(void)
{
	int fd = posix_file("f", LEN, 'a'), status;
	char *m = map(fd, LEN, PROT_READ | PROT_WRITE, MAP_SHARED);
	pid_t pid;

	WANT(m[0] == 'a' && m[LEN - 1] == 'a');
	memset(m + 100, 'b', 20000);
	posix_want_bytes(fd, 100, 20000, 'b');
	posix_write(fd, 30000, 10, 'c');
	WANT(m[30000] == 'c' && m[30009] == 'c' && m[30010] == 'a');
	OK(msync(m, LEN, MS_SYNC));
	OK(fsync(fd));
	pid = OK(fork());
	if (pid == 0) {
		m[5] = 'z';
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	WANT(m[5] == 'z');
	OK(munmap(m, LEN));
	OK(close(fd));
	fd = OK(open("f", O_RDONLY));
	posix_want_bytes(fd, 100, 20000, 'b');
	posix_want_bytes(fd, 5, 1, 'z');
}

static void private_map_leaves_the_file_alone(void)
{
	int fd = posix_file("f", LEN, 'a');
	char *m = map(fd, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	memset(m, 'p', LEN);
	OK(munmap(m, LEN));
	posix_want_bytes(fd, 0, LEN, 'a');
}

static void map_outlives_descriptor_and_name(void)
{
	int fd = posix_file("f", LEN, 'a');
	char *m = map(fd, LEN, PROT_READ | PROT_WRITE, MAP_SHARED);

	OK(close(fd));
	OK(unlink("f"));
	WANT(m[LEN - 1] == 'a');
	m[0] = 'b';
	WANT(m[0] == 'b');
	OK(munmap(m, LEN));
}

static void touch_past_the_end(char *m)
{
	volatile char c = m[16384];

	(void)c;
}

static void truncating_a_mapped_file_is_seen(void)
{
	int fd = posix_file("f", LEN, 'a'), status;
	char *m = map(fd, LEN, PROT_READ, MAP_SHARED);
	pid_t pid;

	WANT(m[20000] == 'a');
	OK(ftruncate(fd, 5000));
	WANT(m[4999] == 'a' && m[5001] == 0);
	pid = OK(fork());
	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		touch_past_the_end(m);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	WANT(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	OK(ftruncate(fd, LEN));
	WANT(m[20000] == 0);
}

static void a_program_can_be_run(void)
{
	int status;
	pid_t pid = OK(fork());

	if (pid == 0) {
		execl("/bin/cp", "cp", "/bin/true", "prog", (char *)NULL);
		_exit(9);
	}
	OK(waitpid(pid, &status, 0));
	WANT(status == 0);
	OK(chmod("prog", 0700));
	pid = OK(fork());
	if (pid == 0) {
		execl("./prog", "prog", (char *)NULL);
		_exit(errno == EACCES ? 77 : 9);
	}
	OK(waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		posix_skip("mounted noexec");
	WANT(status == 0);
}

static void locks_between_processes(void)
{
	struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
	int fd = posix_file("f", 100, 'a'), status;
	pid_t pid;

	OK(fcntl(fd, F_SETLK, &want));
	OK(flock(fd, LOCK_EX | LOCK_NB));
	pid = OK(fork());
	if (pid == 0) {
		int other = OK(open("f", O_RDWR));

		WANT(fcntl(other, F_SETLK, &want) == -1 && (errno == EAGAIN || errno == EACCES));
		FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		want.l_start = 10;
		OK(fcntl(other, F_SETLK, &want));
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	WANT(status == 0);
}

const struct posix_case posix_map_cases[] = {
    {"shared_map_reads_and_writes_the_file", shared_map_reads_and_writes_the_file},
    {"private_map_leaves_the_file_alone", private_map_leaves_the_file_alone},
    {"map_outlives_descriptor_and_name", map_outlives_descriptor_and_name},
    {"truncating_a_mapped_file_is_seen", truncating_a_mapped_file_is_seen},
    {"a_program_can_be_run", a_program_can_be_run},
    {"locks_between_processes", locks_between_processes},
    {NULL, NULL},
};
