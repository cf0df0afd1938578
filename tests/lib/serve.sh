# SPDX-License-Identifier: Apache-2.0
# serve.sh: what the tests of cowfs serve share; sourced after lib.sh.

# serve_start [options of cowfs serve]: in the background, ready; sets $serve, its pid. Log: $T/serve.log
serve_start() {
	"$COWFS" serve --log-level debug "$@" >>"$T/serve.log" 2>&1 </dev/null &
	serve=$!
	on_exit "serve_stop"
	trap 'printf "FAIL: line %s: %s\n" "$LINENO" "$BASH_COMMAND" >&2; tail -n 60 "$T/serve.log" >&2' ERR
	eventually 60 serve_answers
}
serve_answers() { [[ $("$COWFS" -o json branch list 2>/dev/null) =~ \"(suspended|stopped|idle|running)\" ]]; }
serve_stop() {
	[[ -n ${serve:-} ]] || return 0
	kill "$serve" 2>/dev/null || true
	wait "$serve" || true
	serve=
}
port_of() { cowfs -o json url "$1" | json port; }
state_of() { cowfs -o json branch get "$1" | json current_state; }
state_is() { [[ $(state_of "$1") == "$2" ]]; }
starts_of() { grep -c "$1: postgres (pid" "$T/serve.log" || true; }
# query BRANCH SQL: through its port, as any client would.
query() { "$PGBIN/psql" -h 127.0.0.1 -p "$(port_of "$1")" -U postgres -d postgres -XAtqc "$2" </dev/null; }
