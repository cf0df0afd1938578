// SPDX-License-Identifier: Apache-2.0
/* commands: the table of every command, and of the groups they are in.
 *
 * To add a command: define its `struct command` in a cmd_*.c file and name it here and in
 * commands.c, twice: in the table, and in a section of the first page of help. */
#pragma once
#include "tools/cli/command.h"

struct command_group {
	const char *name, *aliases, *summary; /* name NULL ends the table */
};

/* What the first page of help shows together, in words of what people want to do. */
struct command_section {
	const char *heading;  /* NULL ends the table */
	const char *commands; /* names of commands and of groups, separated by blanks */
};

extern const struct command_group command_groups[];
extern const struct command_section command_sections[]; /* everything is in exactly one */
extern const struct command *const command_table[];     /* ends with NULL; in the order of help */

extern const struct command cmd_init;
extern const struct command cmd_mount, cmd_unmount;
extern const struct command cmd_import;
extern const struct command cmd_branch_create, cmd_branch_list, cmd_branch_get, cmd_branch_rename;
extern const struct command cmd_branch_reset, cmd_branch_restore, cmd_branch_recover;
extern const struct command cmd_branch_promote;
extern const struct command cmd_branch_delete, cmd_branch_undelete, cmd_branch_purge;
extern const struct command cmd_branch_set_default;
extern const struct command cmd_branch_set, cmd_branch_set_expiration;
extern const struct command cmd_snapshot_create, cmd_snapshot_list, cmd_snapshot_delete;
extern const struct command cmd_diff, cmd_du, cmd_gc, cmd_verify, cmd_status, cmd_log;
extern const struct command cmd_start, cmd_stop, cmd_url, cmd_psql;
extern const struct command cmd_serve, cmd_wake, cmd_suspend;
extern const struct command cmd_exec, cmd_wait_ready, cmd_logs;
extern const struct command cmd_golden_init, cmd_golden_check;
extern const struct command cmd_golden_scan, cmd_golden_show;
extern const struct command cmd_pool_create, cmd_pool_list, cmd_pool_get, cmd_pool_resize;
extern const struct command cmd_pool_delete;
extern const struct command cmd_checkout, cmd_completion, cmd_top;
extern const struct command cmd_golden_preview, cmd_golden_refresh;
extern const struct command cmd_schema_diff;
extern const struct command cmd_ci_sweep;
extern const struct command cmd_help;
