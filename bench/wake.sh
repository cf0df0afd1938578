#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# wake.sh: how long does a client wait for a branch that sleeps, with many of them on one machine?
#
#   bench/wake.sh [BRANCHES] [AWAKE]       (default: 200 branches, 10 awake)
#
# All branches lie over one base of 38 MiB and were each started once and put to sleep cleanly before; then AWAKE of them
# are woken and stay, and each of 100 others is woken by a client that connects, asks for its cluster_name, and leaves.
# BENCH_QUIET: a command that runs the measured part alone on the machine.
. "$(dirname "$0")/../tests/lib/lib.sh"
. "$TESTS/lib/serve.sh"
requires fuse root postgres python3
branches=${1:-200} awake=${2:-10}
import_main
cowfs start main >&2
cowfs stop main >&2
for ((i = 1; i <= branches; i++)); do branch "b$i" 2>/dev/null; done
port=$(free_port)
serve_start --suspend-timeout never --port "$port"
for ((i = 1; i <= branches; i++)); do
	cowfs wake "b$i" >/dev/null
	cowfs suspend "b$i" >/dev/null
done
for ((i = 1; i <= awake; i++)); do cowfs wake "b$i" >/dev/null; done
# Postmasters of this store.
servers() { find "$M" -maxdepth 2 -name postmaster.pid | wc -l; }
printf '%s branches, %s servers run before\n' "$branches" "$(servers)"
cat >"$T/measure.py" <<'PY'
import json, random, socket, sys, time
import pgwire
first, last, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def suspend(name):
    s = socket.socket(socket.AF_UNIX)
    s.connect(store + "/serve.sock")
    s.sendall((json.dumps({"verb": "suspend", "args": {"name": name}}) + "\n").encode())
    s.recv(65536)
    s.close()
times = []
order = list(range(first, last + 1))
random.Random(1).shuffle(order)
for k in order[:100]:
    began = time.monotonic()
    s = pgwire.Session(int(sys.argv[4]), options="--cowfs.branch=b%d" % k)
    assert s.query("select current_setting('cluster_name')") == ["b%d" % k]
    times.append((time.monotonic() - began) * 1000)
    s.close()
    suspend("b%d" % k)
times.sort()
print("wake of %d sleepers: p50 %.0f ms, p95 %.0f ms, longest %.0f ms" %
      (len(times), times[len(times) // 2], times[int(len(times) * 0.95)], times[-1]))
PY
export PYTHONPATH=$TESTS/lib
# shellcheck disable=SC2086
${BENCH_QUIET:-} python3 "$T/measure.py" $((awake + 1)) "$branches" "$COWFS_STORE" "$port"
printf '%s servers run after, %s branches sleep\n' "$(servers)" "$(cowfs -o json branch list | grep -c '"suspended"')"
serve_stop
unmount_store
