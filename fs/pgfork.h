// SPDX-License-Identifier: Apache-2.0
/* pgfork: what must be different in the data directory of a fork, decided by file names and
 * version.
 *
 * Used as the `prepare` step of cow_branch_create / _reset: what is not carried into a branch is
 * removed, and the settings that keep a fork harmless and startable anywhere are appended to its
 * postgresql.auto.conf, in the same creation (DESIGN 4.5). */
#pragma once
#include "store/branch.h"

/* An empty file at the root of every fork that was never started: what needs SQL is still to be
 * done, before its first client. Whoever has done it removes the file. */
#define COW_PGFORK_FIRST_START "cowfs.first_start"

/* `arg` is a struct cow_pgfork_policy, NULL = nothing is kept. A directory without PG_VERSION is
 * left alone (it is no PGDATA), 0. */
cow_errno cow_pgfork_prepare(struct cow_live *fresh, void *arg, struct cow_error *e);

/* 0 with *ret_major = 12..; -ENOENT no PG_VERSION at its root. */
cow_errno cow_pgfork_major(struct cow_live *l, int *ret_major);

/* May a point of this branch be taken now? 0: yes, also when no server runs on it. -EPERM: one runs
 * (postmaster.pid is there) with fsync or full_page_writes off, by its command line or, where that
 * is silent, its configuration files: the image might not survive crash recovery. */
cow_errno cow_pgfork_snapshot_safe(struct cow_live *l, struct cow_error *e);
