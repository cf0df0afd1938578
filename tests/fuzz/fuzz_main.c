// SPDX-License-Identifier: Apache-2.0
/* fuzz_main: a target without libFuzzer: runs every file of the directories (or files) it is given.
 *
 * One line of TAP for each directory. A crash names its input: it is printed before it is run when
 * COWFS_FUZZ_SHOW is set. */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static bool run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf = malloc(INPUT_MAX), *exact;
	size_t n = f && buf ? fread(buf, 1, INPUT_MAX, f) : 0;
	bool ok = f && buf;

	if (f)
		fclose(f);
	if (getenv("COWFS_FUZZ_SHOW"))
		fprintf(stderr, "%s\n", path);
	/* Of its exact size, so that a sanitizer sees a read past its end. */
	exact = malloc(n ? n : 1);
	if (ok && exact) {
		memcpy(exact, buf, n);
		LLVMFuzzerTestOneInput(exact, n);
	}
	free(exact);
	free(buf);
	return ok;
}

static unsigned run_dir(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	char path[4096];
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		n += run_file(path);
	}
	if (d)
		closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int k = 1; k < argc; k++) {
		struct stat st;
		unsigned n = 0;

		if (stat(argv[k], &st) == 0)
			n = S_ISDIR(st.st_mode) ? run_dir(argv[k]) : run_file(argv[k]);
		printf("%s %d - %u inputs of %s\n", n ? "ok" : "not ok", k, n, argv[k]);
		failed += n == 0;
	}
	printf("1..%d\n", argc - 1);
	return failed || argc < 2;
}
