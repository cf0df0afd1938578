// SPDX-License-Identifier: Apache-2.0
/* The executable cowfs. Everything it can do is in the table of commands.c. */
#include "tools/command.h"

#include <signal.h>

int main(int argc, char **argv)
{
	/* A reader that went away (cowfs ... | head) is seen as EPIPE where we write. */
	signal(SIGPIPE, SIG_IGN);
	return command_main(argc, argv);
}
