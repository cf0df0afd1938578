#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout 200
# Completion in real shells, without a terminal: what a user gets who presses TAB. With live names, quickly, and without
# a daemon, or with one that hangs, never waiting.
. "$(dirname "$0")/../lib/lib.sh"
requires cowfs fuse root zsh fish
store_new
cowfs branch create main --empty >&2
cowfs branch create feature/add-orgs >&2
cowfs branch create 'two words' >&2
cowfs snapshot create main first >&2
mount_store
mkdir "$T/bin" "$T/home"
ln -s "$COWFS" "$T/bin/cowfs"
export PATH=$T/bin:$PATH HOME=$T/home
cowfs completion zsh >"$T/_cowfs"

in_bash() { # in_bash LINE: the candidates at its end
	bash --norc --noprofile -c '
		source <(cowfs completion bash)
		COMP_LINE=$1 COMP_POINT=${#1}
		COMP_WORDS=() COMP_CWORD=0
		_cowfs cowfs "" "" 2>/dev/null
		printf "%s\n" "${COMPREPLY[@]}"' - "$1" | sort
}
in_fish() { fish -c 'cowfs completion fish | source; complete -C "$argv[1]"' -- "$1" | cut -f1 | sort; }
# zsh completes in its line editor only: one runs on a terminal of its own, and lists what it found into a file.
in_zsh() {
	rm -f "$T/zsh.out"
	cat >"$T/home/.zshrc" <<-ZSH
		fpath=($T \$fpath)
		autoload -Uz compinit && compinit -u -D
		zstyle ':completion:*' list-grouped no
		compadd() { # what would be offered, for the word so far
			[[ "\$*" == *"-a all"* ]] && print -rl -- \${(M)all:#\${(Q)PREFIX}*} >>$T/zsh.out
			builtin compadd "\$@"
		}
		PS1='ready> '
	ZSH
	python3 - "$1" "$T/zsh.out" <<-'PY'
		import os, pty, select, sys, time
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp("zsh", ["zsh", "-i"])
		def wait(text, seconds):
		    seen, end = b"", time.time() + seconds
		    while text not in seen and time.time() < end:
		        if select.select([fd], [], [], 0.1)[0]:
		            seen += os.read(fd, 4096)
		wait(b"ready> ", 20)
		os.write(fd, sys.argv[1].encode() + b"\t")
		end = time.time() + 10
		while not os.path.exists(sys.argv[2]) and time.time() < end:
		    if select.select([fd], [], [], 0.1)[0]:
		        os.read(fd, 4096)
		time.sleep(0.3)
		os.write(fd, b"\x03\x04exit\r")
		time.sleep(0.2)
		os.close(fd)
		os.waitpid(pid, 0)
	PY
	sort -u "$T/zsh.out" 2>/dev/null || true
}

for shell in bash fish zsh; do
	note "$shell"
	complete_in() { "in_$shell" "$1"; }
	same "$(complete_in 'cowfs che')" checkout "$shell: a command"
	contains "$(complete_in 'cowfs branch re')" rename "$shell: a verb"
	same "$(complete_in 'cowfs start fea')" feature/add-orgs "$shell: a branch"
	contains "$(complete_in 'cowfs branch delete ')" main "$shell: branches"
	contains "$(complete_in 'cowfs url main --for')" --format "$shell: an option"
	contains "$(complete_in 'cowfs url main --format ')" dotenv "$shell: a value"
	contains "$(complete_in 'cowfs branch create x --parent ma')" main "$shell: a parent"
done
same "$(in_bash 'cowfs snapshot delete main@fi')" first "bash takes @ for the end of a word"
same "$(in_fish 'cowfs snapshot delete main@fi')" main@first
same "$(in_bash 'cowfs url main --format=js')" ""
same "$(in_bash 'cowfs url main --format=jd')" jdbc
same "$(in_fish 'cowfs url main --format=jd')" --format=jdbc
same "$(in_bash 'cowfs start two')" 'two\ words' "bash: a name with a blank"
same "$(in_bash "cowfs import $T/ho")" "$T/home" "bash: a directory"
same "$(in_bash "cowfs branch restore main fi")" first "bash: a snapshot of the branch before"
same "$(in_bash "cowfs -o js")" json
unset COWFS_STORE
same "$(in_bash "cowfs start fea")" "" "no store, no names"
same "$(in_bash "cowfs --store $T/store start fea")" feature/add-orgs "bash: a store on the line"
export COWFS_STORE=$T/store

note "time"
fastest=1000
for _ in 1 2 3 4 5 6 7 8; do
	begin=${EPOCHREALTIME/./}
	cowfs __complete start '' >/dev/null
	took=$(((${EPOCHREALTIME/./} - begin) / 1000))
	((took < fastest)) && fastest=$took
done
note "branches in $fastest ms"
at_most "$fastest" 49 "milliseconds for the names of branches"
pid=$(daemon_pid)
kill -STOP "$pid"
on_exit "kill -CONT $pid"
begin=${EPOCHREALTIME/./}
same "$(timeout 10 "$COWFS" __complete start '')" ""
took=$(((${EPOCHREALTIME/./} - begin) / 1000))
kill -CONT "$pid"
note "a daemon that hangs: $took ms"
at_most "$took" 2000 "milliseconds with a daemon that hangs"
unmount_store
same "$(cowfs __complete start '')" "" "without a daemon"
same "$(cowfs __complete che)" "$(printf 'checkout\tchoose the branch of this directory')"
