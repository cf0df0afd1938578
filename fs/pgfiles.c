// SPDX-License-Identifier: Apache-2.0
/* pgfiles: see the header. */
#include "fs/pgfiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/file.h"

static void put_inode(struct cow_inode **i)
{
	cow_inode_put(*i);
}
#define CLEANUP_INODE CLEANUP(put_inode)

cow_errno cow_pgfiles_root(struct cow_live *l, struct cow_inode **ret)
{
	return cow_inode_get(l, cow_live_root(l), ret);
}

cow_errno cow_pgfiles_find(struct cow_inode *dir, const char *path, struct cow_inode **ret)
{
	struct cow_inode *at = cow_inode_ref(dir), *next = NULL;
	char name[COW_NAME_MAX + 1];
	cow_errno r = 0;

	while (r == 0 && *path) {
		size_t n = strcspn(path, "/");

		if (n > COW_NAME_MAX) {
			r = -ENAMETOOLONG;
			break;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + strspn(path + n, "/");
		r = cow_name_lookup(at, name, &next);
		if (r == 0) {
			cow_inode_put(at);
			at = TAKE_PTR(next);
		}
	}
	if (r < 0)
		cow_inode_put(at);
	else
		*ret = at;
	return r;
}

bool cow_pgfiles_exists(struct cow_inode *dir, const char *path)
{
	CLEANUP_INODE struct cow_inode *i = NULL;

	return cow_pgfiles_find(dir, path, &i) == 0;
}

cow_errno cow_pgfiles_read(struct cow_inode *dir, const char *path, char **ret, size_t *ret_len)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	CLEANUP_FREE char *buf = NULL;
	struct cow_attr a;
	size_t done = 0, got;
	cow_errno r = cow_pgfiles_find(dir, path, &i);

	if (r < 0)
		return r;
	cow_inode_attr(i, &a);
	if (!S_ISREG(a.mode))
		return -EINVAL;
	if (a.size > COW_PGFILES_MAX)
		return -EFBIG;
	buf = malloc(a.size + 1);
	if (!buf)
		return -ENOMEM;
	while (done < a.size) {
		r = cow_file_read(i, buf + done, done, COW_MIN(a.size - done, COW_READ_MAX), &got);
		if (r < 0)
			return r;
		if (got == 0)
			break;
		done += got;
	}
	buf[done] = '\0';
	if (ret_len)
		*ret_len = done;
	*ret = TAKE_PTR(buf);
	return 0;
}

cow_errno cow_pgfiles_write(struct cow_inode *dir, const char *name, const void *data, size_t len)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	struct cow_attr a;
	cow_errno r = cow_name_lookup(dir, name, &i);

	if (r == -ENOENT) {
		cow_inode_attr(dir, &a);
		r = cow_name_create(
		    dir, name,
		    &(struct cow_name_create){.mode = S_IFREG | 0600, .uid = a.uid, .gid = a.gid},
		    &i);
	} else if (r == 0) {
		r = cow_inode_set(i, COW_SET_SIZE, &(struct cow_attr){.size = 0});
	}
	if (r == 0 && len)
		r = cow_file_write(i, data, 0, len, 0);
	return r;
}

static int remove_entry(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct cow_inode *dir = arg;
	CLEANUP_INODE struct cow_inode *i = NULL;
	cow_errno r;

	if (!S_ISDIR(type))
		return cow_name_unlink(dir, name);
	r = cow_name_lookup(dir, name, &i);
	if (r == 0)
		r = cow_name_each(i, remove_entry, i);
	return r ? r : cow_name_rmdir(dir, name);
}

cow_errno cow_pgfiles_remove(struct cow_inode *dir, const char *name)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	struct cow_attr a;
	cow_errno r = cow_name_lookup(dir, name, &i);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	cow_inode_attr(i, &a);
	return remove_entry(name, a.ino, a.mode & S_IFMT, dir);
}

cow_errno cow_pgfiles_empty(struct cow_inode *dir, const char *name)
{
	CLEANUP_INODE struct cow_inode *i = NULL;
	cow_errno r = cow_name_lookup(dir, name, &i);
	struct cow_attr a;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	cow_inode_attr(i, &a);
	return S_ISDIR(a.mode) ? cow_name_each(i, remove_entry, i) : 0;
}

struct names {
	char **v;
	size_t n;
};

static int collect_conf(const char *name, uint64_t ino, uint32_t type, void *arg)
{
	struct names *all = arg;
	size_t len = strlen(name);
	char **grown;

	/* As PostgreSQL's include_dir: names that end in .conf and do not begin with a dot. */
	if (!S_ISREG(type) || name[0] == '.' || len <= 5 || strcmp(name + len - 5, ".conf") != 0)
		return 0;
	grown = realloc(all->v, (all->n + 1) * sizeof(*grown));
	if (grown)
		all->v = grown;
	if (!grown || !(all->v[all->n] = strdup(name)))
		return -ENOMEM;
	all->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

cow_errno cow_pgfiles_each_conf(struct cow_inode *root,
				cow_errno (*each)(struct cow_inode *dir, const char *name,
						  void *arg),
				void *arg)
{
	CLEANUP_INODE struct cow_inode *conf_d = NULL;
	struct names all = {0};
	cow_errno r = 0;

	if (cow_pgfiles_exists(root, "postgresql.conf"))
		r = each(root, "postgresql.conf", arg);
	if (r == 0 && cow_name_lookup(root, "conf.d", &conf_d) == 0) {
		r = cow_name_each(conf_d, collect_conf, &all);
		r = r == -ENOTDIR ? 0 : r;
		if (all.n)
			qsort(all.v, all.n, sizeof(*all.v), by_name);
		for (size_t k = 0; r == 0 && k < all.n; k++)
			r = each(conf_d, all.v[k], arg);
		for (size_t k = 0; k < all.n; k++)
			free(all.v[k]);
		free(all.v);
	}
	if (r == 0 && cow_pgfiles_exists(root, "postgresql.auto.conf"))
		r = each(root, "postgresql.auto.conf", arg);
	return r;
}
