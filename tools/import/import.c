// SPDX-License-Identifier: Apache-2.0
/* The verb "import": checks, the order of things, and what is said about it. */
#include "tools/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/pgcontrol.h"
#include "fs/pgfiles.h"
#include "fs/pgfork.h"
#include "fs/rights.h"
#include "store/branch.h"
#include "store/cleanup.h"
#include "store/os.h"
#include "tools/daemon/branch_json.h"
#include "tools/daemon/fork_policy.h"
#include "tools/daemon/json_text.h"
#include "tools/pg/pgbin.h"
#include "tools/pg/pgstate.h"
#include "tools/daemon/verb_server.h"

void import_warn(struct import *im, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(im->warnings, json_text(text));
}

static void put_inode(struct cow_inode **i)
{
	cow_inode_put(*i);
}
#define CLEANUP_INODE CLEANUP(put_inode)

/* --- before --- */

static cow_errno refuse_running(const struct import *im, struct cow_error *e)
{
	struct pgstate s;
	cow_errno r = pgstate_read(im->source, &s, e);

	if (r < 0)
		return r;
	if (!s.running && !s.leftover)
		return 0;
	cow_fail(e, -EBUSY, "a postgres (pid %d) runs on %s: a copy made now would be torn",
		 (int)s.pid, im->source);
	return cow_hint(
	    e, -EBUSY,
	    "Stop it, or take a base backup and import that: pg_basebackup -D BACKUP -c fast");
}

static cow_errno read_control(const struct import *im, uint8_t raw[COW_PGCONTROL_BYTES],
			      struct cow_pgcontrol *ret, struct cow_error *e)
{
	char path[PATH_MAX + 32];
	CLEANUP_FD int fd = -1;
	cow_errno r;

	snprintf(path, sizeof(path), "%s/global/pg_control", im->source);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cow_fail(e, -errno, "cannot read %s: %s", path, strerror(errno));
	r = cow_os_pread(fd, raw, COW_PGCONTROL_BYTES, 0);
	if (r < 0)
		return cow_fail(e, r, "cannot read %s: %s", path, strerror(-r));
	return cow_wrap(e, cow_pgcontrol_decode(raw, COW_PGCONTROL_BYTES, ret, e), "%s",
			im->source);
}

static cow_errno check_source(struct import *im, struct stat *ret_root, struct cow_error *e)
{
	cow_errno r;

	if (im->source[0] != '/')
		return cow_fail(e, -EINVAL, "the path %s is not absolute", im->source);
	if (im->mountpoint[0] && strncmp(im->source, im->mountpoint, strlen(im->mountpoint)) == 0 &&
	    strchr("/", im->source[strlen(im->mountpoint)]) != NULL) {
		cow_fail(e, -EINVAL, "%s is on the mount of this store", im->source);
		return cow_hint(e, -EINVAL,
				"To copy a branch, make a branch of it: cowfs branch create");
	}
	if (stat(im->source, ret_root) < 0)
		return cow_fail(e, -errno, "cannot look at %s: %s", im->source, strerror(errno));
	if (!S_ISDIR(ret_root->st_mode))
		return cow_fail(e, -ENOTDIR, "%s is not a directory", im->source);
	if (geteuid() != 0 && geteuid() != ret_root->st_uid) {
		cow_fail(e, -EPERM, "%s belongs to user %u", im->source, ret_root->st_uid);
		return cow_hint(e, -EPERM, "Run the command as root or as that user.");
	}
	r = pgbin_version(im->source, &im->major, e);
	return r < 0 ? r : refuse_running(im, e);
}

/* --- the branch, before anybody can see it --- */

static cow_errno verify(struct import *im, struct cow_inode *root, struct cow_error *e)
{
	uint8_t raw[COW_PGCONTROL_BYTES];
	CLEANUP_FREE char *copy = NULL;
	struct cow_pgcontrol c;
	size_t len;
	cow_errno r = refuse_running(im, e);

	if (r == 0)
		r = read_control(im, raw, &c, e);
	if (r < 0)
		return r;
	r = cow_pgfiles_read(root, "global/pg_control", &copy, &len);
	if (r < 0)
		return cow_fail(e, r, "cannot read pg_control back: %s", strerror(-r));
	if (len < sizeof(raw) || memcmp(raw, copy, sizeof(raw)) != 0)
		return cow_fail(e, -EBUSY, "%s/global/pg_control changed while it was imported",
				im->source);
	if (c.state != COW_PGSTATE_SHUT_DOWN && c.state != COW_PGSTATE_SHUT_DOWN_IN_RECOVERY &&
	    !cow_pgfiles_exists(root, "backup_label"))
		import_warn(im,
			    "the cluster was not shut down (state: %s): it is right if its server "
			    "crashed, and torn if one runs that cannot be seen from here",
			    cow_pgcontrol_state(c.state));
	return 0;
}

static cow_errno fill(struct cow_live *fresh, void *arg, struct cow_error *e)
{
	struct import *im = arg;
	CLEANUP_INODE struct cow_inode *root = NULL;
	struct cow_pgfork_policy policy;
	cow_errno r = cow_pgfiles_root(fresh, &root);

	if (r < 0)
		return cow_fail(e, r, "cannot open the new branch: %s", strerror(-r));
	r = import_walk(im, NULL, e);
	if (r == 0)
		r = import_walk(im, root, e);
	if (r == 0)
		r = import_config(im, root, e);
	if (r == 0 && im->verify)
		r = verify(im, root, e);
	if (r == 0)
		r = fork_policy_of(cow_store_path(im->g->store), NULL, &policy, NULL, e);
	if (r == 0)
		r = cow_pgfork_prepare(fresh, &policy, e);
	/* What was moved in is the original: its contents are not touched. */
	if (r == 0 && im->move)
		r = cow_pgfiles_remove(root, COW_PGFORK_FIRST_START);
	return r;
}

/* --- the verb --- */

static cow_errno run(struct import *im, const char *name, const char *settings, bool ephemeral,
		     struct cow_error *e)
{
	uint8_t raw[COW_PGCONTROL_BYTES];
	struct cow_pgcontrol control;
	struct stat root;
	struct cow_branch_create how = {.name = name,
					.empty = true,
					.settings = settings,
					.ephemeral = ephemeral,
					.prepare = fill,
					.arg = im};
	struct cow_branch_info b = {0};
	cow_errno r = cow_branch_name_check(name, e);

	if (r == 0)
		r = check_source(im, &root, e);
	if (r == 0 && im->verify)
		r = read_control(im, raw, &control, e);
	if (r < 0)
		return r;
	/* Not after an hour of copying. */
	if (cow_branch_get(im->g->store, name, &b, NULL) == 0) {
		cow_branch_info_release(&b);
		return cow_fail(e, -EEXIST, "there is a branch %s already", name);
	}
	how.root_mode = root.st_mode & 07777;
	how.root_uid = root.st_uid;
	how.root_gid = root.st_gid;
	return cow_branch_create(im->g->store, &how, e);
}

static json_t *answer(const struct import *im)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:i,s:b,s:O}", "source", json_text(im->source),
			 "files", json_count(im->files), "directories", json_count(im->directories),
			 "bytes", json_count(im->done), "skipped", json_count(im->skipped),
			 "version", im->major, "moved", im->move, "warnings", im->warnings);
}

static void release(struct import *im)
{
	for (size_t k = 0; k < im->n_followed; k++)
		free(im->followed[k]);
	free(im->followed);
	for (size_t k = 0; k < im->n_taken; k++)
		free(im->taken[k].path);
	free(im->taken);
	json_decref(im->warnings);
	free(im);
}

/* {pgdata: absolute real path, name, move?, verify?: true, settings?, ephemeral?} -> branch,
 * source, files, directories, bytes, skipped, version, moved, warnings */
static cow_errno verb_import(struct engine *g, const json_t *args, json_t **ret,
			     struct cow_error *e)
{
	const json_t *settings = json_object_get(args, "settings");
	const char *name, *pgdata;
	char *text;
	struct import *im;
	struct cow_error left = COW_ERROR_INIT;
	uint64_t rights;
	cow_errno r = engine_text(args, "name", &name, e);

	if (r == 0)
		r = engine_text(args, "pgdata", &pgdata, e);
	if (r < 0)
		return r;
	im = calloc(1, sizeof(*im));
	if (!im || !(im->warnings = json_array())) {
		free(im);
		return cow_fail(e, -ENOMEM, "no memory to import");
	}
	im->g = g;
	im->move = engine_flag(args, "move");
	im->verify = !json_is_false(json_object_get(args, "verify"));
	snprintf(im->source, sizeof(im->source), "%s", pgdata);
	if (!engine_mountpoint(g, im->mountpoint, sizeof(im->mountpoint)))
		im->mountpoint[0] = '\0';
	text = settings ? json_dumps(settings, JSON_COMPACT) : NULL;
	rights = cow_rights_borrow(); /* the cluster belongs to postgres */
	r = run(im, name, text, engine_flag(args, "ephemeral"), e);
	free(text);
	if (r < 0) {
		import_give_back(im);
		cow_wrap(e, r, "import %s", name);
	}
	if (r == 0 && im->move && import_remove_original(im, &left) < 0)
		import_warn(im, "%s", left.text);
	cow_rights_return(rights);
	if (r == 0)
		r = branch_json_get(g, name, false, ret, e);
	if (r == 0) {
		json_t *more = answer(im);

		json_object_update(*ret, more);
		json_decref(more);
	}
	release(im);
	return r;
}

const struct engine_verb engine_verbs_import[] = {
    {"import", verb_import, false},
    {"server.place", verb_server_place, false},
    {"server.recover", verb_server_recover, false},
    {"server.room", verb_server_room, false},
    {"server.verifiers", verb_server_verifiers, false},
    {NULL, NULL, false},
};
