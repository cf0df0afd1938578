// SPDX-License-Identifier: Apache-2.0
/* golden: what the parts of a refresh of the golden image share.
 *
 * A refresh goes: source -> import (a branch over nothing, unmasked) -> masked (a throw-away branch
 * of it) -> a new root that shares no block with either -> the pointer branch. refresh.c orders
 * this; the parts up to `masked` are here (conf, rules, columns, mask, source), what follows is in
 * publish.h. Everything runs in the command, never in the daemon: it makes path calls on the mount.
 *
 * Branches of a refresh are *private* (setting "private" of the branch: what it is for): no command
 * but golden starts, shows a URL of, or makes points of them; they are deleted in every outcome,
 * those of a refresh that was killed by the next one. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/branch.h"
#include "tools/cli/command.h"
#include "tools/pg/pg.h"
#include "tools/pg/pgbranch.h"

#define GOLDEN_NAME_MAX 160 /* bytes of the name of the pointer: others are made of it */

/* --- golden.conf (conf.c) --- */

enum golden_source {
	GOLDEN_BASEBACKUP, /* [source] type = basebackup: from a running server, streaming */
	GOLDEN_PGDATA,     /* a stopped data directory */
	GOLDEN_DUMP,       /* pg_dump custom or directory format, into a fresh cluster */
	GOLDEN_PGBACKREST, /* the newest backup of a stanza */
};

/* All texts are owned; NULL = not set. Paths are absolute: relative ones begin at the file. */
struct golden_conf {
	char *path;  /* of golden.conf itself */
	char *name;  /* pointer branch that CI follows; "golden" */
	char *rules; /* folder */
	char *salt;  /* file; NULL = STORE/golden/NAME.salt */
	char *owner; /* system user who owns the data and runs the servers */

	enum golden_source source;
	char *url;        /* basebackup: connection string */
	char *pgdata;     /* pgdata: the directory */
	char *dump;       /* dump: file or directory */
	char *globals;    /* dump: SQL of roles (pg_dumpall --globals-only) */
	char *stanza;     /* pgbackrest */
	char *repo;       /* pgbackrest: repo1-path */
	char *pgbackrest; /* pgbackrest: its configuration file */
	int version;      /* dump: major version of the fresh cluster; 0 = the newest here */
	char *superuser;  /* role of the source that may do everything; NULL = `owner` */

	char **databases; /* those of the image, ends with NULL; NULL = all of the source */
	bool labels;      /* take SECURITY LABELs for anon in the source as rules */
	unsigned jobs;    /* tables at once */
	unsigned keep;    /* images that stay, the present one included; >= 1 */
	char *schedule;   /* "daily 03:00"; NULL = only by hand (schedule.h reads it) */

	/* [publish]: what the proof looks for, and what it lets pass. Lists end with NULL. */
	char **fake_domains; /* of e-mail addresses that are not real; NULL = test.example */
	char **allow_domains;
	char **allow;           /* schema.table or schema.table.column: detectors are quiet there */
	unsigned rewrite_after; /* images that may take tables from the one before, in a row */
	unsigned sample;        /* originals looked for per column */
	unsigned min_length;    /* shorter ones are not looked for; bytes */
	bool keep_passwords;    /* of roles */
};

/* `path`: the file, or the directory it is in. -ENOENT, -EINVAL with file and line in `e`. */
cow_errno golden_conf_load(const char *path, struct golden_conf **ret, struct cow_error *e);
void golden_conf_free(struct golden_conf *c); /* NULL is fine */

/* --- what is in the source (columns.c), and what was decided about it (rules.c) --- */

enum golden_decision {
	GOLDEN_UNDECIDED, /* stops the refresh */
	GOLDEN_KEEP,      /* as in the source */
	GOLDEN_MASK,      /* by `rule` */
	GOLDEN_DERIVED,   /* generated from other columns of the row: follows them */
	GOLDEN_EMPTY,     /* its table is published without rows */
};

struct golden_column {
	char *name, *type; /* type as format_type() writes it */
	char *base;        /* name of the type behind domains, of the elements of an array */
	char base_kind;    /* pg_type.typtype of it */
	bool array;
	int length; /* most characters, 0 = any */
	int number; /* attnum */
	bool not_null, generated;
	bool unique;        /* in a unique index, a primary key or an exclusion */
	bool partition_key; /* a row may move when it changes */
	char *ancestors; /* tables it is inherited from, nearest first: JSON [[schema, table]]; NULL
			  */
	enum golden_decision decision;
	char *rule;   /* as written: "email", "shift(30)"; NULL unless GOLDEN_MASK */
	char *origin; /* where it was decided: "rules/users.sql:12" or "a label in the source" */
	char *expression; /* SQL of the new value, in terms of the row; NULL unless GOLDEN_MASK */
	char *why_not;    /* GOLDEN_UNDECIDED with a rule: what is wrong with it */
};

/* A table with rows of its own: ordinary, a leaf of a partitioned one, or (kind 'f') a foreign one,
 * whose rows are elsewhere. */
struct golden_table {
	char *schema, *name;
	char *root_schema, *root_name; /* of the partitioned table it is a leaf of; NULL = none */
	char kind;                     /* 'r' or 'f' */
	uint32_t oid;
	uint64_t rows,
	    bytes; /* rows: estimate until it was counted; bytes: with TOAST and indexes */
	struct golden_column *columns;
	size_t n_columns;
	/* carry.h; of kind 'r' */
	char *label; /* as SQL writes it; NULL = not known yet */
	bool carried;
	char digest[65];
	char contents[96]; /* rows and sum of it in the image (PG_CONTENTS_SIZE); "" = not known */
};

/* A column that refers to another one. Owned texts. */
struct golden_key {
	char *schema, *table, *column, *to_schema, *to_table, *to_column;
};

struct golden_database {
	char *name;
	struct golden_key *keys;
	size_t n_keys;
	struct golden_table *tables;
	size_t n_tables;
	uint64_t large_objects;
	enum golden_decision large_objects_decision;
};

void golden_databases_free(struct golden_database *d, size_t n);

/* --- a run (refresh.c) --- */

/* A server of a private branch: no TCP, sockets in a directory for its owner alone, everybody who
 * can enter that is trusted, and statements never reach its log. */
struct golden_server {
	struct pgbranch branch; /* branch.name "" = not made */
	bool running;
};

/* What is taken from the image before (carry.h). */
struct golden_carry {
	char from[32];   /* its id; "" = nothing, the image is written whole */
	char why[240];   /* it is written whole */
	char base[65];   /* digest of everything beside rows */
	unsigned chain;  /* images since one that was written whole */
	uint64_t stale;  /* bytes that only those need, about */
	uint64_t tables; /* that are taken over */
	uint64_t bytes;  /* of these, with indexes, in the source */
};

struct golden_run {
	struct command_call *call; /* verbs of the daemon: command_ask */
	const char *store;
	const struct golden_conf *conf;
	char prefix[GOLDEN_NAME_MAX + 20]; /* of its private branches: "golden-build" */
	char id[32];                       /* of this refresh: UTC, 20260131T030000Z */
	char rules_hash[65];               /* SHA-256 of all rules, hex */
	int64_t started_ns;                /* CLOCK_REALTIME */
	int64_t source_ns;                 /* the image shows the source as of this time */
	char source_text[PATH_MAX + 64];   /* for people, without secrets */
	struct golden_server import; /* unmasked: originals for samples and counts. Read only */
	struct golden_server masked;
	struct golden_database *databases; /* of the image */
	size_t n_databases;
	struct golden_carry carry;
	json_t *report; /* object; each part adds to it; publish keeps it */
};

/* Address of a database of a server. Borrows from both. */
struct pg_address golden_address(const struct golden_server *s, const char *dbname);

/* Lines for people on stderr: "golden: ...". Nothing with --quiet. */
void golden_say(const struct golden_run *run, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
