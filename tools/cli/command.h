// SPDX-License-Identifier: Apache-2.0
/* command: a command is data, and everything about it comes from that data.
 *
 * The options table of a command feeds the parser, --help, usage errors and the generated manual.
 * A command parses nothing itself: it reads operands and options from its `struct command_call`,
 * calls one verb (client.h), and prints the result (output.h). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store/error.h"
#include "tools/cli/output.h"

struct command_call;

struct command_option {
	const char *name;  /* long name without dashes; NULL ends the table */
	char letter;       /* 0 = no short form */
	const char *value; /* what stands for the value in help (DIR); NULL = a flag */
	const char *help;
};

struct command {
	const char *group;                    /* "branch"; NULL: a command of its own */
	const char *name;                     /* "create" */
	const char *aliases;                  /* other names, separated by blanks; NULL = none */
	const char *summary;                  /* one line, no full stop */
	const char *usage;                    /* what follows the name: "NAME [--parent P]" */
	const char *detail;                   /* more lines for --help; NULL = none */
	const char *example;                  /* a whole command line or several */
	const struct command_option *options; /* NULL = none besides the global ones */
	/* What each operand is, for completion: words separated by blanks, the last one repeats.
	 * branch, snapshot (BRANCH@NAME), own-snapshot (NAME, of the first
	 * operand), point (branch or snapshot), dir, file, command, one|of|these; "-" = a new name.
	 * NULL = nothing is known. */
	const char *operands;
	bool pins; /* without its operand: the branch of the working directory (cowfs checkout) */
	int min_args, max_args; /* operands; max -1 = any number */
	bool takes_tail;        /* what follows "--" goes to somebody else */
	bool whole;             /* run by the executable that has everything (whole.h) */
	/* 0; -errno with the reason in call->error; or a positive exit status to pass on. */
	int (*run)(struct command_call *call);
	/* With --host; NULL = the same command there, and nothing else (remote/remote.h). */
	int (*run_remote)(struct command_call *call);
};

struct command_call {
	const struct command *command;
	const char *store; /* --store or COWFS_STORE; NULL = not given */
	const char *host;  /* --host or COWFS_HOST: the machine with the store; NULL = this one */
	struct output out; /* as asked for by -o, -q, --no-header, --bytes */
	bool color;        /* may errors and tables use colour */
	int argc;          /* operands */
	char **argv;       /* ends with NULL */
	int tail_argc;     /* what followed "--", when the command takes_tail */
	char **tail;       /* ends with NULL */
	struct cow_error error;
	struct command_set *set; /* private: options given */
	struct checkout
	    *pinned;  /* private: of the working directory; NULL = not looked for, or none */
	char *pin[2]; /* private: argv when the branch was not named */
};

/* The last value of an option, "" for a flag; NULL = not given. Borrowed from argv. */
const char *command_option(const struct command_call *call, const char *name);
/* Value number n of an option that may be repeated; NULL = no more. In order of the command line.
 */
const char *command_option_nth(const struct command_call *call, const char *name, size_t n);

/* Fail with a usage error: sets call->error and a hint naming --help; returns -EINVAL. */
int command_usage(struct command_call *call, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The store of the call. -EINVAL with the remedy when none was given. */
cow_errno command_store(struct command_call *call, const char **ret);

/* Before something is destroyed: 0 with --yes, or when the user typed `name`. -EINVAL without a
 * terminal or in JSON mode (the hint names --yes), -ECANCELED when something else was typed.
 * `what` completes "This will ...". The command must have the option COMMAND_OPTION_YES. */
cow_errno command_confirm(struct command_call *call, const char *what, const char *name);

#define COMMAND_OPTION_YES                                                                         \
	{                                                                                          \
		"yes", 'y', NULL, "do not ask for confirmation"                                    \
	}

/* Call a verb on the store of `call` and print its result by `spec` (NULL = print nothing in table
 * mode). Steals `args`. What most commands are. */
int command_verb(struct command_call *call, const char *verb, json_t *args,
		 const struct output_spec *spec);
/* The same without printing; *ret is owned by the caller. Steals `args`. */
cow_errno command_ask(struct command_call *call, const char *verb, json_t *args, json_t **ret);

/* Parse and run; returns the exit status. Prints errors. */
int command_main(int argc, char **argv);
