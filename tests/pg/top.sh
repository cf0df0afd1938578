#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cowfs top: numbers for scripts, and a screen that follows its terminal, looked at in tmux as a user would.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres tmux
import_main
on_exit "cowfs stop main -m immediate"
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do branch "quiet$n"; done
branch feature/a-rather-long-name-that-a-narrow-terminal-cannot-show-whole
cowfs start main >&2
url=$(cowfs url main)
as_pg "$PGBIN/pgbench" -i -q "$url" >&2 2>/dev/null
as_pg "$PGBIN/pgbench" -n -c 3 -R 50 -T 60 "$url" >"$T/bench" 2>&1 </dev/null &
bench=$!
on_exit "kill $bench"
busy() { [[ $(cowfs top --once -o json | json branches.0.connections) == 3 ]]; }
eventually 30 busy

note "for scripts"
cowfs top --once -o json >"$T/look"
same "$(json branches.0.name <"$T/look")" main "the busiest one"
same "$(json branches.0.current_state <"$T/look")" running
same "$(json running <"$T/look")" 1
same "$(json branches.1.current_state <"$T/look")" stopped
same "$(json branches.1.tps <"$T/look")" null
tps=$(json branches.0.tps <"$T/look" | cut -d. -f1)
((tps > 15 && tps < 120)) || fail "50 transactions a second were shown as $tps"
(($(json branches.0.unique_bytes <"$T/look") > 1000000)) || fail "no bytes"
same "$(cowfs top --once | wc -l)" 15 "lines of a table"
same "$(cowfs top -n 2 -i 200ms -q | grep -cx main)" 2 "rounds"
exits 2 cowfs top -i 1ms

note "on a terminal"
tmux=(tmux -S "$T/tmux" -f /dev/null)
on_exit "${tmux[*]} kill-server"
"${tmux[@]}" new-session -d -x 100 -y 12 "'$COWFS' --store '$COWFS_STORE' top -i 500ms; echo status=\$?; sleep 60"
screen() { "${tmux[@]}" capture-pane -p; }
shows() { [[ $(screen) == *"$1"* ]]; }
eventually 20 shows "14 branches, 1 running"
eventually 20 shows "3 connections"
screen >&2
contains "$(screen | sed -n 5p)" main
contains "$(screen | sed -n 3p)" "page down"
lacks "$(screen)" quiet9
"${tmux[@]}" send-keys NPage
eventually 5 shows quiet9
# Narrow and low: the name keeps its place, nothing breaks; wide again: all columns are there.
"${tmux[@]}" resize-window -x 40 -y 6
eventually 5 shows "BRANCH"
screen >&2
same "$(screen | wc -l)" 6
"${tmux[@]}" resize-window -x 130 -y 24
eventually 10 shows "UNIQUE"
eventually 10 shows "feature/a-rather-long-name-that-a-narrow-terminal-cannot-sho"
eventually 10 shows "main"
"${tmux[@]}" send-keys q
eventually 5 shows "status=0"
kill "$bench"
wait "$bench" || true
cowfs stop main >&2
unmount_store
