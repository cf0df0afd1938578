// SPDX-License-Identifier: Apache-2.0
/* The executable cowfs. Everything it can do is in the table of commands.c. */
#include "tools/cli/command.h"

#include <locale.h>
#include <signal.h>

int main(int argc, char **argv)
{
	/* How wide characters are and how trees may be drawn; numbers stay as programs read them.
	 */
	setlocale(LC_CTYPE, "");
	/* A reader that went away (cowfs ... | head) is seen as EPIPE where we write. */
	signal(SIGPIPE, SIG_IGN);
	return command_main(argc, argv);
}
