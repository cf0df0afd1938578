// SPDX-License-Identifier: Apache-2.0
/* branch_columns: how one branch is shown, by every command that answers with one. */
#pragma once
#include "tools/cli/output.h"

extern const struct output_spec branch_record_spec; /* cmd_branch.c */
