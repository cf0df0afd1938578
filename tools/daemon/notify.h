// SPDX-License-Identifier: Apache-2.0
/* notify: tell the service manager, when there is one (the protocol of $NOTIFY_SOCKET). */
#pragma once

/* "READY=1", "STATUS=...", "STOPPING=1"; several lines at once are fine. Nothing happens without a
 * manager, or when it does not listen. */
void notify_manager(const char *text);
