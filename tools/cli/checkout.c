// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"

#define TEXT_MAX (1u << 20) /* of a .env file */
#define BEGIN "# --- cowfs checkout: begin ---"
#define END "# --- cowfs checkout: end ---"
#define BEFORE "# before cowfs checkout: "

/* --- whole files --- */

/* The text of a regular file, ended by NUL; `ret_st` may be NULL. Free *ret. */
static cow_errno read_text(const char *path, char **ret, struct stat *ret_st)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_FREE char *text = NULL;
	size_t n = 0;
	ssize_t got;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > TEXT_MAX)
		return -EINVAL;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (n < (size_t)st.st_size && (got = read(fd, text + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	if (ret_st)
		*ret_st = st;
	*ret = TAKE_PTR(text);
	return 0;
}

/* Beside it, then renamed over it. `like` NULL = a new file of `mode`. */
static cow_errno write_text(const char *path, const char *text, const struct stat *like,
			    mode_t mode, struct cow_error *e)
{
	char tmp[PATH_MAX + 32];
	size_t len = strlen(text);
	int fd;
	bool ok;

	snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return cow_fail(e, -errno, "cannot write %s: %s", path, strerror(errno));
	ok = write(fd, text, len) == (ssize_t)len &&
	     fchmod(fd, like ? like->st_mode & 07777 : mode) == 0 &&
	     (!like || geteuid() != 0 || fchown(fd, like->st_uid, like->st_gid) == 0) &&
	     fsync(fd) == 0;
	ok = close(fd) == 0 && ok && rename(tmp, path) == 0;
	if (ok)
		return 0;
	cow_fail(e, errno ? -errno : -EIO, "cannot write %s: %s", path, strerror(errno));
	unlink(tmp);
	return -EIO;
}

/* --- the file .cowfs --- */

static cow_errno check_owner(const char *path, const struct stat *st, struct cow_error *e)
{
	const char *sudo = getenv("SUDO_UID");
	bool ours = st->st_uid == geteuid() || st->st_uid == 0 ||
		    (geteuid() == 0 && sudo && (uid_t)strtoul(sudo, NULL, 10) == st->st_uid);

	if (ours && !(st->st_mode & 022))
		return 0;
	cow_fail(e, -EPERM, "%s %s, so it is not read", path,
		 ours ? "can be written by others" : "belongs to somebody else");
	return cow_hint(e, -EPERM, "Name store and branch, or make the file yours.");
}

static void set_field(struct checkout *c, const char *line, size_t len)
{
	static const char *const names[] = {"store", "branch", "previous"};
	char *const fields[] = {c->store, c->branch, c->previous};
	const size_t sizes[] = {sizeof(c->store), sizeof(c->branch), sizeof(c->previous)};

	for (size_t k = 0; k < 3; k++) {
		size_t n = strlen(names[k]);

		if (len > n + 3 && memcmp(line, names[k], n) == 0 &&
		    memcmp(line + n, " = ", 3) == 0)
			snprintf(fields[k], sizes[k], "%.*s", (int)(len - n - 3), line + n + 3);
	}
}

static cow_errno parse(const char *text, struct checkout *c, struct cow_error *e)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		set_field(c, text, len);
		text += len + (text[len] == '\n');
	}
	if (c->branch[0] && c->store[0] == '/' && cow_branch_name_check(c->branch, NULL) == 0)
		return 0;
	cow_fail(e, -EINVAL, "%s does not say store and branch", c->path);
	return cow_hint(e, -EINVAL, "Make it anew: rm %s, then cowfs checkout BRANCH", c->path);
}

cow_errno checkout_find(struct checkout *ret, struct cow_error *e)
{
	char dir[PATH_MAX];
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	cow_errno r;

	*ret = (struct checkout){0};
	if (!getcwd(dir, sizeof(dir) - sizeof(CHECKOUT_FILE) - 1))
		return cow_fail(e, -ENOENT, "there is no working directory: %s", strerror(errno));
	for (;;) {
		char *slash = strrchr(dir, '/');

		snprintf(ret->path, sizeof(ret->path), "%s/" CHECKOUT_FILE,
			 strcmp(dir, "/") == 0 ? "" : dir);
		r = read_text(ret->path, &text, &st);
		if (r != -ENOENT || !slash || strcmp(dir, "/") == 0)
			break;
		slash[slash == dir] = '\0';
	}
	if (r == 0)
		r = check_owner(ret->path, &st, e);
	else if (r != -ENOENT)
		return cow_fail(e, r, "cannot read %s: %s", ret->path, strerror(-r));
	if (r == 0)
		return parse(text, ret, e);
	if (r == -ENOENT && getcwd(dir, sizeof(dir)))
		snprintf(ret->path, sizeof(ret->path), "%.*s/" CHECKOUT_FILE, PATH_MAX - 8, dir);
	return r;
}

cow_errno checkout_write(const struct checkout *c, struct cow_error *e)
{
	CLEANUP_FREE char *text = NULL;

	if (asprintf(
		&text,
		"# The branch of this directory; see cowfs checkout. Not for version control.\n"
		"store = %s\nbranch = %s\n%s%s%s",
		c->store, c->branch, c->previous[0] ? "previous = " : "", c->previous,
		c->previous[0] ? "\n" : "") < 0)
		return cow_fail(e, -ENOMEM, "no memory to write %s", c->path);
	return write_text(c->path, text, NULL, 0644, e);
}

/* --- .env --- */

/* Does a line of `block` set the same name as this line? "export NAME=" counts too. */
static bool sets_same(const char *line, size_t len, const char *block)
{
	size_t n;

	while (len && (*line == ' ' || *line == '\t'))
		line++, len--;
	if (len > 7 && memcmp(line, "export ", 7) == 0)
		line += 7, len -= 7;
	n = 0;
	while (n < len && line[n] != '=' && line[n] != ' ')
		n++;
	if (n == 0 || n == len || *line == '#')
		return false;
	while (*block) {
		if (strncmp(block, line, n) == 0 && block[n] == '=')
			return true;
		block += strcspn(block, "\n");
		block += *block == '\n';
	}
	return false;
}

static bool is_line(const char *line, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(line, text, len) == 0;
}

char *checkout_env_text(const char *old, const char *block)
{
	bool inside = false, placed = false, complete = strstr(old, "\n" END) != NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	while (f && *old) {
		size_t len = strcspn(old, "\n");

		/* A beginning without an end is no block of ours. */
		if (complete && is_line(old, len, BEGIN)) {
			inside = true;
			fprintf(f, "%s", placed ? "" : BEGIN "\n");
			fprintf(f, "%s", placed ? "" : block);
			fprintf(f, "%s", placed ? "" : END "\n");
			placed = true;
		} else if (inside && is_line(old, len, END)) {
			inside = false;
		} else if (!inside) {
			fprintf(f, "%s%.*s\n", sets_same(old, len, block) ? BEFORE : "", (int)len,
				old);
		}
		old += len + (old[len] == '\n');
	}
	if (f && !placed)
		fprintf(f, BEGIN "\n%s" END "\n", block);
	if (!f || fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

cow_errno checkout_update_env(const char *path, const char *block, struct cow_error *e)
{
	CLEANUP_FREE char *old = NULL, *text = NULL, *real = realpath(path, NULL);
	struct stat st;
	cow_errno r = read_text(real ? real : path, &old, &st);

	if (r < 0 && r != -ENOENT)
		return cow_fail(e, r, "cannot read %s: %s", path, strerror(-r));
	text = checkout_env_text(old ? old : "", block);
	if (!text)
		return cow_fail(e, -ENOMEM, "no memory to write %s", path);
	if (old && strcmp(old, text) == 0)
		return 0;
	return write_text(real ? real : path, text, old ? &st : NULL, 0644, e);
}

bool checkout_env_is_of_another(const char *path, const char *branch)
{
	static const char name[] = "\nCOWFS_BRANCH=";
	CLEANUP_FREE char *text = NULL, *end = NULL;
	const char *block, *line;
	struct stat st;

	if (read_text(path, &text, &st) < 0 || !(block = strstr(text, BEGIN "\n")) ||
	    !(line = strstr(block, name)))
		return false;
	line += sizeof(name) - 1;
	end = strndup(line, strcspn(line, "\n"));
	/* It may be in quotes. */
	if (end && (*end == '\'' || *end == '"')) {
		end[strlen(end) - 1] = '\0';
		return strcmp(end + 1, branch) != 0;
	}
	return end && strcmp(end, branch) != 0;
}
