// SPDX-License-Identifier: Apache-2.0
/* posix_main: runs the cases in the directory named by the argument and prints TAP. */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/posix/posix.h"

enum { PASSED = 0, FAILED = 1, SKIPPED = 77, LIMIT_SECONDS = 120, OTHER_UID = 65534 };

static const struct posix_case *const groups[] = {
    posix_name_cases,  posix_link_cases, posix_data_cases, posix_hole_cases,
    posix_map_cases,   posix_attr_cases, posix_dir_cases,  posix_right_cases,
    posix_error_cases, posix_time_cases, posix_lock_cases, posix_io_cases,
};

_Noreturn void posix_fail(const char *file, int line, const char *what)
{
	const char *slash = strrchr(file, '/');

	printf("# %s:%d: %s (%s)\n", slash ? slash + 1 : file, line, what, strerror(errno));
	fflush(stdout);
	_exit(FAILED);
}

_Noreturn void posix_skip(const char *why)
{
	printf("# cannot run: %s\n", why);
	fflush(stdout);
	_exit(SKIPPED);
}

void posix_write(int fd, off_t off, size_t len, int byte)
{
	char *buf = malloc(len ? len : 1);

	WANT(buf);
	memset(buf, byte, len);
	WANT(pwrite(fd, buf, len, off) == (ssize_t)len);
	free(buf);
}

int posix_file(const char *name, size_t len, int byte)
{
	int fd = OK(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));

	if (len)
		posix_write(fd, 0, len, byte);
	return fd;
}

void posix_want_bytes(int fd, off_t off, size_t len, int byte)
{
	char *buf = malloc(len ? len : 1);

	WANT(buf);
	WANT(pread(fd, buf, len, off) == (ssize_t)len);
	for (size_t k = 0; k < len; k++) {
		if (buf[k] != (char)byte) {
			printf("# at %lld: %#x instead of %#x\n", (long long)off + (long long)k,
			       (unsigned)(unsigned char)buf[k], (unsigned)(unsigned char)byte);
			errno = 0;
			posix_fail(__FILE__, __LINE__, "bytes differ");
		}
	}
	free(buf);
}

void posix_want_size(int fd, off_t size)
{
	struct stat st;

	OK(fstat(fd, &st));
	if (st.st_size != size)
		printf("# size is %lld, not %lld\n", (long long)st.st_size, (long long)size);
	WANT(st.st_size == size);
	WANT(lseek(fd, 0, SEEK_END) == size);
}

bool posix_exists(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

bool posix_as_other_user(void (*work)(void))
{
	int status = 0;
	pid_t pid;

	if (geteuid() != 0)
		posix_skip("needs root");
	pid = OK(fork());
	if (pid == 0) {
		if (setgroups(0, NULL) || setgid(OTHER_UID) || setuid(OTHER_UID))
			_exit(FAILED);
		work();
		fflush(stdout);
		_exit(PASSED);
	}
	OK(waitpid(pid, &status, 0));
	return WIFEXITED(status) && WEXITSTATUS(status) == PASSED;
}

/* In a process and a directory of its own. */
static int run_case(const struct posix_case *c, const char *dir, unsigned n)
{
	char sub[64];
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return FAILED;
	if (pid == 0) {
		snprintf(sub, sizeof(sub), "case%u", n);
		OK(chdir(dir));
		OK(mkdir(sub, 0755));
		OK(chdir(sub));
		alarm(LIMIT_SECONDS);
		c->run();
		fflush(stdout);
		_exit(PASSED);
	}
	if (waitpid(pid, &status, 0) < 0)
		return FAILED;
	if (WIFSIGNALED(status))
		printf("# ended by signal %d (%s)\n", WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

int main(int argc, char **argv)
{
	unsigned n = 0, failed = 0;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: posix DIR [CASE]\n");
		return 64;
	}
	umask(022);
	for (size_t g = 0; g < sizeof(groups) / sizeof(*groups); g++) {
		for (const struct posix_case *c = groups[g]; c->name; c++) {
			int r;

			if (argc == 3 && strcmp(argv[2], c->name) != 0)
				continue;
			r = run_case(c, argv[1], ++n);
			failed += r != PASSED && r != SKIPPED;
			printf("%s %u - %s%s\n", r == PASSED || r == SKIPPED ? "ok" : "not ok", n,
			       c->name, r == SKIPPED ? " # SKIP" : "");
		}
	}
	printf("1..%u\n", n);
	return failed ? 1 : 0;
}
