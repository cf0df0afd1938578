// SPDX-License-Identifier: Apache-2.0
/* The executables cowfs (cli/whole.h). Everything they can do is in the table of commands.c. */
#include "tools/cli/command.h"
#include "tools/cli/whole.h"

#include <locale.h>
#include <signal.h>

#ifndef COWFS_WHOLE_PATH
#define COWFS_WHOLE_PATH NULL
#endif

int main(int argc, char **argv)
{
	/* How wide characters are and how trees may be drawn; numbers stay as programs read them.
	 */
	setlocale(LC_CTYPE, "");
	/* A reader that went away (cowfs ... | head) is seen as EPIPE where we write. */
	signal(SIGPIPE, SIG_IGN);
	whole_set_path(COWFS_WHOLE_PATH);
	return command_main(argc, argv);
}
