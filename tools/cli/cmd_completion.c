// SPDX-License-Identifier: Apache-2.0
/* cowfs completion: a few lines for each shell, which ask cowfs for everything else (complete.h).
 */
#include <stdio.h>
#include <string.h>

#include "tools/cli/commands.h"
#include "tools/cli/complete.h"

/* bash takes @ = and : for ends of words: the line is split here by blanks, and what stands before
 * the last of them is taken off again, because bash puts only the rest in. */
static const char bash[] =
    "# bash completion of cowfs; made by: cowfs completion bash\n"
    "_cowfs() {\n"
    "\tlocal line=${COMP_LINE:0:COMP_POINT} words cur cut word found\n"
    "\tread -ra words <<<\"$line\"\n"
    "\t[[ $line == *[[:space:]] ]] && words+=('')\n"
    "\tcur=${words[-1]}\n"
    "\tcut=${cur%\"${cur##*[@=:]}\"}\n"
    "\tCOMPREPLY=()\n"
    "\twhile IFS= read -r found; do\n"
    "\t\tword=${found%%$'\\t'*}\n"
    "\t\tcase $word in\n"
    "\t\t:dir | :file)\n"
    "\t\t\tcompopt -o filenames 2>/dev/null\n"
    "\t\t\tlocal kind=-d\n"
    "\t\t\t[[ $word == :dir ]] || kind=-f\n"
    "\t\t\twhile IFS= read -r found; do COMPREPLY+=(\"$found\"); done < <(compgen $kind -- "
    "\"${cur#\"$cut\"}\")\n"
    "\t\t\t;;\n"
    "\t\t*) COMPREPLY+=(\"$(printf %q \"${word#\"$cut\"}\")\") ;;\n"
    "\t\tesac\n"
    "\tdone < <(\"${words[0]/#\\~/$HOME}\" " COMPLETE_WORD " \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _cowfs cowfs\n";

static const char zsh[] =
    "#compdef cowfs\n"
    "# zsh completion of cowfs; made by: cowfs completion zsh\n"
    "_cowfs() {\n"
    "\tlocal found word about\n"
    "\tlocal -a all descriptions\n"
    "\tfor found in \"${(@f)$(${(Q)words[1]} " COMPLETE_WORD " \"${(@Q)words[2,CURRENT-1]}\" "
    "\"${(Q)PREFIX}\" 2>/dev/null)}\"; do\n"
    "\t\tword=${found%%$'\\t'*} about=${found#*$'\\t'}\n"
    "\t\tcase $word in\n"
    "\t\t'') ;;\n"
    "\t\t:dir) _files -/ ;;\n"
    "\t\t:file) _files ;;\n"
    "\t\t*) all+=(\"$word\") descriptions+=(\"$word -- $about\") ;;\n"
    "\t\tesac\n"
    "\tdone\n"
    "\t(( $#all )) && compadd -l -d descriptions -a all\n"
    "}\n"
    "if [[ $funcstack[1] == _cowfs ]]; then _cowfs \"$@\"; else compdef _cowfs cowfs; fi\n";

static const char fish[] =
    "# fish completion of cowfs; made by: cowfs completion fish\n"
    "function __cowfs_complete\n"
    "\tset -l words (commandline -opc) (commandline -ct)\n"
    "\tfor found in ($words[1] " COMPLETE_WORD " $words[2..-1] 2>/dev/null)\n"
    "\t\tswitch $found\n"
    "\t\t\tcase ':dir'\n"
    "\t\t\t\t__fish_complete_directories $words[-1] ''\n"
    "\t\t\tcase ':file'\n"
    "\t\t\t\t__fish_complete_path $words[-1]\n"
    "\t\t\tcase '*'\n"
    "\t\t\t\tprintf '%s\\n' $found\n"
    "\t\tend\n"
    "\tend\n"
    "end\n"
    "complete -c cowfs -f -k -a '(__cowfs_complete)'\n";

static int run(struct command_call *call)
{
	/* In the order of the operands. */
	static const char *const texts[] = {bash, zsh, fish};
	const char *shell = call->command->operands;

	for (size_t k = 0; *shell; k++) {
		size_t n = strcspn(shell, "|");

		if (strlen(call->argv[0]) == n && memcmp(call->argv[0], shell, n) == 0) {
			fputs(texts[k], call->out.out);
			return 0;
		}
		shell += n + (shell[n] == '|');
	}
	return command_usage(call, "there is no completion for '%s'; known are bash, zsh and fish",
			     call->argv[0]);
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "make a shell complete commands, options, names of branches",
    .usage = "bash|zsh|fish",
    .detail =
	"Installed with cowfs where the shells look for it; for one shell: source <(cowfs "
	"completion bash),\nin fish: cowfs completion fish | source. Names come from the daemon "
	"of the store, while one runs.",
    .example = "cowfs completion bash > ~/.local/share/bash-completion/completions/cowfs\n"
	       "cowfs completion fish > ~/.config/fish/completions/cowfs.fish",
    .operands = "bash|zsh|fish",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
