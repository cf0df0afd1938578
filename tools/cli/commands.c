// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/commands.h"

#include <stddef.h>

const struct command_group command_groups[] = {
    {"branch", "branches", "Branches"},
    {"snapshot", "snapshots", "Snapshots"},
    {"golden", NULL, "The golden image: one masked copy of production"},
    {0},
};

const struct command *const command_table[] = {
    &cmd_init,
    &cmd_mount,
    &cmd_unmount,
    &cmd_import,
    &cmd_start,
    &cmd_stop,
    &cmd_url,
    &cmd_psql,
    &cmd_exec,
    &cmd_wait_ready,
    &cmd_logs,
    &cmd_serve,
    &cmd_wake,
    &cmd_suspend,
    &cmd_diff,
    &cmd_du,
    &cmd_gc,
    &cmd_verify,
    &cmd_status,
    &cmd_log,
    &cmd_help,
    &cmd_branch_create,
    &cmd_branch_list,
    &cmd_branch_get,
    &cmd_branch_rename,
    &cmd_branch_reset,
    &cmd_branch_restore,
    &cmd_branch_recover,
    &cmd_branch_promote,
    &cmd_branch_set_default,
    &cmd_branch_set,
    &cmd_branch_set_expiration,
    &cmd_branch_delete,
    &cmd_snapshot_create,
    &cmd_snapshot_list,
    &cmd_snapshot_delete,
    &cmd_golden_init,
    &cmd_golden_check,
    NULL,
};
