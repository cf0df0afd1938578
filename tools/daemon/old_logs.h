// SPDX-License-Identifier: Apache-2.0
/* old_logs: what STORE/log keeps of branches (logs of their servers, histories) goes some time
 * after they went. */
#pragma once
#include "tools/daemon/engine.h"

/* Remove what belongs to no branch, deleted ones that can be had back included, and was not written
 * to for a day. Looks at the names of all branches, and so once an hour at most; what cannot be
 * removed stays. */
void old_logs_remove(struct engine *g);
