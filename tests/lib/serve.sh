# SPDX-License-Identifier: Apache-2.0
# serve.sh: what the tests of cowfs serve share; sourced after lib.sh.

# serve_start [options of cowfs serve]: in the background, ready; sets $serve, its pid. Log: $T/serve.log
serve_start() {
	LD_PRELOAD=${CLOCK_PRELOAD:-} "$COWFS" serve --log-level debug "$@" >>"$T/serve.log" 2>&1 </dev/null &
	serve=$!
	on_exit "serve_stop"
	trap 'printf "FAIL: line %s: %s\n" "$LINENO" "$BASH_COMMAND" >&2; tail -n 60 "$T/serve.log" >&2' ERR
	local end=$((SECONDS + 60))
	until serve_answers; do
		# One that ended will never answer; its last words say why.
		kill -0 "$serve" 2>/dev/null || fail "cowfs serve ended: $(tail -n 20 "$T/serve.log")"
		((SECONDS < end)) || fail "cowfs serve does not answer: $(tail -n 60 "$T/serve.log")"
		sleep 0.1
	done
}
# free_port: one of 127.0.0.1 that nobody listens on. Not one the kernel takes for outgoing connections (from 32768 on):
# there, any client on the machine may sit on it a moment later. Random, because tests run beside each other.
free_port() {
	local port
	for _ in {1..100}; do
		port=$((10000 + RANDOM % 15000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
	done
	fail "no free port"
}
# serve_says KEY...: what serve itself says of all, or (branches NAME KEY) of one.
serve_says() {
	python3 - "$COWFS_STORE/serve.sock" "$@" <<'PY'
import functools, json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall(b'{"verb": "status", "args": {}}\n')
print(json.dumps(functools.reduce(lambda o, k: o[k], sys.argv[2:], json.loads(s.makefile().readline())["result"])))
PY
}
# It has looked at the branches, each of which has a port then. Its own socket: the list of branches has states without it.
serve_answers() { [[ $(serve_says branches 2>/dev/null) == *:* ]]; }
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
