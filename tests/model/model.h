// SPDX-License-Identifier: Apache-2.0
/* model: what a branch should show, in plain memory: the oracle of test_model.
 *
 * A `model` is one tree of files with all their bytes. Copying it is how a snapshot or a branch is
 * made, which is slow and cannot be wrong. Name calls answer 0 or -errno as POSIX would. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_PAGE = 8192, MODEL_ENTRIES = 24 };

struct model_node {
	uint32_t mode; /* with S_IFMT */
	uint32_t nlink, refs;
	uint64_t size;
	uint8_t **page; /* NULL = zeroes */
	size_t n_pages;
	char *target;
	struct {
		char name[16];
		struct model_node *node; /* NULL = free slot */
	} entry[MODEL_ENTRIES];
	struct model_node *parent; /* of a directory */
	struct model_node *copy;   /* while a tree is being copied */
};

struct model {
	struct model_node *root;
};

struct model *model_new(uint32_t root_mode);
struct model *model_copy(const struct model *m);
void model_free(struct model *m); /* NULL is fine */

/* A node stays readable while referenced, even without a name. */
struct model_node *model_ref(struct model_node *n);
void model_put(struct model_node *n);

void model_write(struct model_node *f, uint64_t off, const uint8_t *bytes, size_t len);
void model_zero(struct model_node *f, uint64_t off, uint64_t len); /* within the size */
void model_truncate(struct model_node *f, uint64_t size);
/* Bytes read: cut at the end of the file. */
size_t model_read(const struct model_node *f, uint64_t off, uint8_t *bytes, size_t len);

struct model_node *model_find(const struct model_node *dir, const char *name);
/* The new node is borrowed. -EEXIST, -ENOSPC (no free slot: a limit of the model). */
int model_create(struct model_node *dir, const char *name, uint32_t mode, const char *target,
		 struct model_node **ret);
int model_link(struct model_node *n, struct model_node *dir, const char *name);
int model_unlink(struct model_node *dir, const char *name);
int model_rmdir(struct model_node *dir, const char *name);
int model_rename(struct model_node *from_dir, const char *from, struct model_node *to_dir,
		 const char *to, unsigned flags);
bool model_dir_full(const struct model_node *dir);
unsigned model_dir_count(const struct model_node *dir);
uint64_t model_bytes(const struct model *m); /* sum of the sizes of regular files */
