#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# long
# timeout 900
# 200 branches, at most 10 servers: those that sleep have no process, a connect to any of them works, and soon.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
for ((i = 1; i <= 200; i++)); do branch "b$i" 2>/dev/null; done
export shared
shared=$(free_port)
serve_start --suspend-timeout never --max-running 10 --port "$shared"
PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, random, sys, time
import pgwire
def visit(k):
    began = time.time()
    s = pgwire.Session(int(os.environ["shared"]), options="--cowfs.branch=b%d" % k)
    assert s.query("select current_setting('cluster_name')") == ["b%d" % k]
    s.close()
    return (time.time() - began) * 1000
def show(what, times):
    times.sort()
    print("%s: p50 %.0f ms, p95 %.0f ms" % (what, times[len(times) // 2], times[int(len(times) * 0.95)]), file=sys.stderr)
    return times[len(times) // 2]
order = list(range(1, 201))
random.Random(1).shuffle(order)
free = show("wake with room", [visit(k) for k in order[:10]])
full = show("wake, another one put to sleep", [visit(k) for k in order[10:]])
again = show("connect to one that runs", [visit(k) for k in order[-8:] * 5])
# Far from what a quiet machine does: this is a test, the figures are for bench.
assert free < 2000 and full < 4000 and again < 1000
PY
states=$(cowfs -o json branch list | grep -c '"suspended"')
((states >= 190)) || fail "only $states branches sleep"
running=$(find "$M" -maxdepth 2 -name postmaster.pid | wc -l)
((running <= 10)) || fail "$running servers run"
serve_stop
unmount_store
