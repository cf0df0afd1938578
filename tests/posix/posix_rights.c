// SPDX-License-Identifier: Apache-2.0
/* posix_rights: who may do what by owner, group and mode, and which bits that takes away.
 *
 * The strangers of these cases are user and group 65534 in no other group (posix_as_other_user). */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "tests/posix/posix.h"

enum { OTHER = 65534 };

static void need_root(void)
{
	if (geteuid() != 0)
		posix_skip("needs root");
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	OK(lstat(name, &st));
	return st.st_mode & 07777;
}

/* A file of 100 bytes of the other user. */
static void others_file(const char *name, gid_t gid, mode_t mode)
{
	OK(close(posix_file(name, 100, 'o')));
	OK(chown(name, OTHER, gid));
	OK(chmod(name, mode));
}

/* --- set-user-id and set-group-id --- */

static void write_mine(void)
{
	int fd = OK(open("f", O_RDWR));

	posix_write(fd, 0, 10, 'w');
	WANT(mode_of("f") == 0755);
	posix_want_bytes(fd, 0, 10, 'w');
	OK(truncate("t", 10));
	WANT(mode_of("t") == 0755);
	fd = OK(open("trunc", O_WRONLY | O_TRUNC));
	WANT(mode_of("trunc") == 0755);
	fd = OK(open("a", O_WRONLY));
	OK(fallocate(fd, 0, 0, 4096));
	WANT(mode_of("a") == 0755);
}

static void writing_clears_set_user_id(void)
{
	need_root();
	others_file("f", OTHER, 06755);
	others_file("t", OTHER, 06755);
	others_file("trunc", OTHER, 06755);
	others_file("a", OTHER, 06755);
	WANT(posix_as_other_user(write_mine));
}

static void writing_as_root_keeps_set_user_id(void)
{
	int fd;

	need_root();
	others_file("f", OTHER, 06755);
	fd = OK(open("f", O_RDWR));
	posix_write(fd, 0, 10, 'r');
	WANT(mode_of("f") == 06755);
}

static void chown_clears_set_user_id_of_programs(void)
{
	need_root();
	others_file("f", OTHER, 06755);
	OK(chown("f", 1234, 1234));
	WANT(mode_of("f") == 0755);
	OK(chmod("f", 06755));
	OK(chown("f", (uid_t)-1, 77));
	WANT(mode_of("f") == 0755);
	OK(mkdir("d", 0755));
	OK(chmod("d", 06755));
	OK(chown("d", 1234, 1234));
	WANT(mode_of("d") == 06755);
}

static void set_group_id_of_a_strange_group(void)
{
	OK(chmod("strange", 02755));
	WANT(mode_of("strange") == 0755);
	OK(chmod("own", 02755));
	WANT(mode_of("own") == 02755);
}

static void set_group_id_needs_the_group(void)
{
	need_root();
	others_file("strange", 12345, 0755);
	others_file("own", OTHER, 0755);
	WANT(posix_as_other_user(set_group_id_of_a_strange_group));
}

static void new_names_take_the_group_of_a_set_group_id_directory(void)
{
	struct stat st;

	need_root();
	OK(mkdir("d", 0755));
	OK(chown("d", 0, 4321));
	OK(chmod("d", 02755));
	OK(close(posix_file("d/f", 1, 'f')));
	OK(stat("d/f", &st));
	WANT(st.st_gid == 4321 && (st.st_mode & S_ISGID) == 0);
	OK(mkdir("d/sub", 0755));
	OK(stat("d/sub", &st));
	WANT(st.st_gid == 4321 && (st.st_mode & S_ISGID));
	OK(symlink("f", "d/s"));
	OK(lstat("d/s", &st));
	WANT(st.st_gid == 4321);
	OK(mkfifo("d/p", 0600));
	OK(stat("d/p", &st));
	WANT(st.st_gid == 4321);
}

/* --- who may change modes and owners --- */

static void change_what_is_mine(void)
{
	OK(chmod("mine", 0600));
	OK(chown("mine", OTHER, OTHER));
	OK(chown("mine", (uid_t)-1, (gid_t)-1));
	FAILS(chown("mine", 0, (gid_t)-1), EPERM);
	FAILS(chown("mine", (uid_t)-1, 12345), EPERM);
	FAILS(chmod("theirs", 0777), EPERM);
	FAILS(chown("theirs", (uid_t)-1, OTHER), EPERM);
	FAILS(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
}

static void only_the_owner_changes_modes_and_only_root_owners(void)
{
	need_root();
	OK(chmod(".", 0777));
	others_file("mine", OTHER, 0640);
	OK(close(posix_file("theirs", 1, 't')));
	OK(chmod("theirs", 0666));
	WANT(posix_as_other_user(change_what_is_mine));
	WANT(mode_of("mine") == 0600 && mode_of("theirs") == 0666);
}

static void set_times(void)
{
	const struct timespec some[2] = {{1000, 0}, {1000, 0}};
	const struct timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};

	OK(utimensat(AT_FDCWD, "mine", some, 0));
	OK(utimensat(AT_FDCWD, "writable", NULL, 0));
	FAILS(utimensat(AT_FDCWD, "writable", some, 0), EPERM);
	FAILS(utimensat(AT_FDCWD, "readable", NULL, 0), EACCES);
	FAILS(utimensat(AT_FDCWD, "readable", some, 0), EPERM);
	OK(utimensat(AT_FDCWD, "readable", none, 0));
}

static void times_are_set_by_the_owner_or_to_now_by_writers(void)
{
	need_root();
	others_file("mine", OTHER, 0400);
	OK(close(posix_file("writable", 1, 'w')));
	OK(chmod("writable", 0666));
	OK(close(posix_file("readable", 1, 'r')));
	OK(chmod("readable", 0644));
	WANT(posix_as_other_user(set_times));
}

/* --- classes --- */

static void the_first_class_decides(void)
{
	FAILS(open("owner-none", O_RDONLY), EACCES); /* the owner, although others may */
	FAILS(open("group-none", O_RDONLY), EACCES); /* the group, although others may */
	OK(open("group-only", O_RDONLY));
	FAILS(open("group-only", O_WRONLY), EACCES);
	OK(open("others-only", O_WRONLY));
	FAILS(open("others-only", O_RDONLY), EACCES);
	FAILS(open("others-only", O_RDWR), EACCES);
	FAILS(access("others-only", R_OK), EACCES);
	OK(access("others-only", W_OK));
}

static void owner_group_and_others_are_told_apart(void)
{
	static const struct {
		const char *name;
		uid_t uid;
		gid_t gid;
		mode_t mode;
	} files[] = {
	    {"owner-none", OTHER, OTHER, 0077},
	    {"group-none", 0, OTHER, 0707},
	    {"group-only", 0, OTHER, 0040},
	    {"others-only", 0, 0, 0002},
	};

	need_root();
	for (size_t k = 0; k < sizeof(files) / sizeof(*files); k++) {
		OK(close(posix_file(files[k].name, 10, 'x')));
		OK(chown(files[k].name, files[k].uid, files[k].gid));
		OK(chmod(files[k].name, files[k].mode));
	}
	WANT(posix_as_other_user(the_first_class_decides));
}

static void use_directories(void)
{
	struct stat st;

	WANT(!opendir("search") && errno == EACCES);
	OK(stat("search/f", &st));
	FAILS(open("search/new", O_CREAT | O_WRONLY, 0600), EACCES);
	WANT(opendir("list"));
	FAILS(stat("list/f", &st), EACCES);
	FAILS(unlink("list/f"), EACCES);
	FAILS(rename("search/f", "search/g"), EACCES);
	FAILS(mkdir("search/d", 0700), EACCES);
	FAILS(rmdir("search/sub"), EACCES);
	FAILS(symlink("x", "search/s"), EACCES);
	FAILS(chdir("list"), EACCES);
	OK(chdir("search"));
}

static void searching_and_listing_a_directory_are_two_things(void)
{
	need_root();
	for (int k = 0; k < 2; k++) {
		const char *dir = k ? "list" : "search";
		char path[32];

		OK(mkdir(dir, 0700));
		snprintf(path, sizeof(path), "%s/f", dir);
		OK(close(posix_file(path, 1, 'f')));
		snprintf(path, sizeof(path), "%s/sub", dir);
		OK(mkdir(path, 0777));
		OK(chmod(dir, k ? 0704 : 0701));
	}
	WANT(posix_as_other_user(use_directories));
}

/* --- sticky directories --- */

static void meddle_in_sticky(void)
{
	OK(close(posix_file("sticky/mine", 1, 'm')));
	FAILS(unlink("sticky/theirs"), EPERM);
	FAILS(rename("sticky/theirs", "sticky/x"), EPERM);
	FAILS(rename("sticky/mine", "sticky/theirs"), EPERM);
	FAILS(rename("sticky/theirs", "sticky/mine"), EPERM);
	FAILS(rmdir("sticky/dir"), EPERM);
	OK(rename("sticky/mine", "sticky/renamed"));
	OK(unlink("sticky/renamed"));
	/* Of a directory of one's own everything may be removed. */
	OK(unlink("own/theirs"));
}

static void sticky_directories_protect_names(void)
{
	need_root();
	OK(mkdir("sticky", 0777));
	OK(chmod("sticky", 01777));
	OK(close(posix_file("sticky/theirs", 1, 't')));
	OK(mkdir("sticky/dir", 0777));
	OK(mkdir("own", 0777));
	OK(close(posix_file("own/theirs", 1, 't')));
	OK(chown("own", OTHER, OTHER));
	OK(chmod("own", 01777));
	WANT(posix_as_other_user(meddle_in_sticky));
	WANT(posix_exists("sticky/theirs") && posix_exists("sticky/dir"));
}

static void rights_count_when_a_file_is_opened(void)
{
	int fd, ro;

	need_root();
	fd = posix_file("f", 10, 'a');
	OK(chmod("f", 0));
	posix_write(fd, 0, 10, 'b');
	posix_want_bytes(fd, 0, 10, 'b');
	ro = OK(open("f", O_CREAT | O_RDONLY)); /* root only */
	OK(close(ro));
	ro = OK(open("born-without-rights", O_CREAT | O_EXCL | O_RDWR, 0));
	posix_write(ro, 0, 10, 'c');
	posix_want_bytes(ro, 0, 10, 'c');
}

const struct posix_case posix_right_cases[] = {
    {"writing_clears_set_user_id", writing_clears_set_user_id},
    {"writing_as_root_keeps_set_user_id", writing_as_root_keeps_set_user_id},
    {"chown_clears_set_user_id_of_programs", chown_clears_set_user_id_of_programs},
    {"set_group_id_needs_the_group", set_group_id_needs_the_group},
    {"new_names_take_the_group_of_a_set_group_id_directory",
     new_names_take_the_group_of_a_set_group_id_directory},
    {"only_the_owner_changes_modes_and_only_root_owners",
     only_the_owner_changes_modes_and_only_root_owners},
    {"times_are_set_by_the_owner_or_to_now_by_writers",
     times_are_set_by_the_owner_or_to_now_by_writers},
    {"owner_group_and_others_are_told_apart", owner_group_and_others_are_told_apart},
    {"searching_and_listing_a_directory_are_two_things",
     searching_and_listing_a_directory_are_two_things},
    {"sticky_directories_protect_names", sticky_directories_protect_names},
    {"rights_count_when_a_file_is_opened", rights_count_when_a_file_is_opened},
    {NULL, NULL},
};
