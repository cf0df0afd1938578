#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Addresses stay free for those they belong to: not where the kernel takes ports for outgoing connections from, not the
# same in two stores; a port that is taken is said, and a branch gets its own as soon as it can be had.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
choose() { cowfs start "$1" >&2 && cowfs stop "$1" >&2 && port_of "$1"; }
port=$(choose main)
first=$(cut -f1 /proc/sys/net/ipv4/ip_local_port_range)
((port < (first < 32768 ? 32768 : first))) || fail "port $port is one of outgoing connections (from $first)"

note "another store, nobody serves: another port"
cp -a --sparse=always "$M/main" "$T/again"
COWFS_STORE=$T/second cowfs init "$T/second" >&2
mkdir "$T/mnt2"
COWFS_STORE=$T/second cowfs mount "$T/second" "$T/mnt2" >&2
on_exit "unmount_forced '$T/mnt2'"
COWFS_STORE=$T/second cowfs import "$T/again" main >&2
other=$(COWFS_STORE=$T/second choose main)
differ "$other" "$port" "port of the same branch in another store"
COWFS_STORE=$T/second cowfs unmount "$T/mnt2" >&2

note "an outgoing connection sits on the port of the branch, then on the shared one"
sit() { # sit PORT: until it is killed
	python3 - "$1" >"$T/sits" <<'PY' &
import signal, socket, sys
far = socket.create_server(("127.0.0.1", 0))
near = socket.socket()
near.bind(("127.0.0.1", int(sys.argv[1])))
near.connect(far.getsockname())
print("sits", flush=True)
signal.pause()
PY
	sitter=$!
	on_exit "kill $sitter"
	eventually 10 grep -q sits "$T/sits"
}
leave() { kill "$sitter" && wait "$sitter" || true; }
export shared
shared=$(free_port)
sit "$shared"
exits 1 cowfs serve --port "$shared"
contains "$err" "port $shared"
contains "$err" ip_local_port_range
leave
sit "$port"
serve_start --port "$shared"
contains "$(<"$T/serve.log")" "cannot listen on 127.0.0.1 port $port"
same "$("$PGBIN/psql" "host=127.0.0.1 port=$shared user=postgres@main dbname=postgres" -XAtqc 'show cluster_name')" main
leave
answers() { [[ $(query main 'show cluster_name' 2>&1) == main ]]; }
eventually 10 answers
serve_stop
unmount_store
