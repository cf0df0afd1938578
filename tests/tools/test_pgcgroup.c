// SPDX-License-Identifier: Apache-2.0
/* pgcgroup: the files of a group say what was asked for. The directory is an imitation: what the
 * kernel makes of it is not tested here. */
#include "tools/pg/pgcgroup.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tmpstore.h"

static char base[256];

static void set_up(void)
{
	tmpdir_make(base, sizeof(base));
}

static void tear_down(void)
{
	tmpdir_remove(base);
}

TestSuite(pgcgroup, .init = set_up, .fini = tear_down);

static void put(const char *file, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", base, file);
	f = fopen(path, "we");
	cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", path);
}

static void expect(const char *file, const char *text)
{
	char path[512], got[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", base, file);
	f = fopen(path, "re");
	cr_assert(f, "%s", path);
	cr_assert(fgets(got, sizeof(got), f) || !*text);
	fclose(f);
	cr_assert_str_eq(got, text, "%s: %s", file, got);
}

Test(pgcgroup, a_group_has_the_limits_that_were_asked_for)
{
	struct cow_error e = COW_ERROR_INIT;
	int fd = -1;

	put("cgroup.subtree_control", "cpu memory\n");
	cr_assert_eq(pgcgroup_open(base, "b", 64 << 20, 0.5, &fd, &e), 0, "%s", e.text);
	expect("b/memory.max", "67108864");
	expect("b/cpu.max", "50000 100000");
	cr_assert_eq(write(fd, "0", 1), 1);
	close(fd);
	expect("b/cgroup.procs", "0");
	/* Once more, and without limits: the group is there already. */
	cr_assert_eq(pgcgroup_open(base, "c", 0, 0, &fd, &e), 0);
	close(fd);
	expect("c/memory.max", "max");
	expect("c/cpu.max", "max");
}

Test(pgcgroup, without_controllers_the_reason_is_said)
{
	struct cow_error e = COW_ERROR_INIT;
	int fd = -1;

	cr_assert_eq(pgcgroup_open(base, "b", 64 << 20, 0, &fd, &e), -ENOTSUP);
	cr_assert(strstr(e.text, "controllers"));
	cr_assert(strstr(e.hint, "cowfs-serve@.service"));
	put("cgroup.subtree_control", "cpuset memory\n");
	cr_assert_eq(pgcgroup_open(base, "b", 64 << 20, 0, &fd, &e), -ENOTSUP);
	/* Nothing that a unit of systemd could lend. */
	put("cgroup.controllers", "cpuset hugetlb\n");
	cr_assert_eq(pgcgroup_open(base, "b", 64 << 20, 0, &fd, &e), -ENOTSUP);
	cr_assert(strstr(e.text, "cgroup v1 has them"), "%s", e.text);
	put("cgroup.controllers", "cpuset cpu memory pids\n");
	put("cgroup.subtree_control", "pids\n");
	cr_assert_eq(pgcgroup_open(base, "b", 64 << 20, 0, &fd, &e), -ENOTSUP);
}

Test(pgcgroup, serve_moves_out_of_the_way_once)
{
	pgcgroup_prepare(base);
	expect("cowfs-serve/cgroup.procs", "0");
	expect("cgroup.subtree_control", "+memory +cpu");
	pgcgroup_prepare(base);
	/* A real group has no files of its own in the eyes of rmdir. */
	cr_assert_eq(mkdir(strcat(strcpy((char[512]){0}, base), "/gone"), 0755), 0);
	pgcgroup_remove(base, "gone");
	cr_assert_eq(access(strcat(strcpy((char[512]){0}, base), "/gone"), F_OK), -1);
}
