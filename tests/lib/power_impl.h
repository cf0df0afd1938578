// SPDX-License-Identifier: Apache-2.0
/* power_impl: what power_log.c makes of a log and power_replay.c reads. */
#pragma once
#include "tests/lib/power_replay.h"

enum { POWER_BINDS = 1 << 20 };

struct power_item {
	size_t at, next; /* bytes of log */
	const struct power_event *e;
	const char *path, *path2;
	const uint8_t *data;
	uint32_t object, object2, dir, dir2; /* 0 = none */
	bool grows;
	uint64_t size; /* of the object afterwards */
};

/* A file or directory of the host; its number may be used again by another one later. */
struct power_object {
	bool dir;
	char *base; /* path in the base, or NULL */
	size_t born;
	uint64_t size;
	uint32_t *ops; /* events that concern it, in order */
	size_t n_ops, cap_ops;
};

struct power_name {
	const char *path;
	size_t len;
	uint32_t object;
};

struct power_bind {
	uint64_t ino;
	uint32_t object;
};

struct power_log {
	const uint8_t *bytes;
	size_t len, end;
	struct power_item *items;
	size_t n, cap;
	struct power_object *objects; /* [0] is nobody; its ops are the syncs of everything */
	uint32_t n_objects, cap_objects;
	struct power_name *names;
	size_t n_names, cap_names;
	struct power_bind *binds;
};
