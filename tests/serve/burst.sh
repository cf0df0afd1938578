#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A burst of clients to branches that sleep: every one is answered by its own branch, and each branch is started once.
# timeout 600
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branches=${COWFS_LONG:+40}
branches=${branches:-12}
for ((i = 1; i <= branches; i++)); do branch "b$i"; done
export shared
shared=$(free_port)
serve_start --port "$shared" --suspend-timeout never --wait 5m
PYTHONPATH=$TESTS/lib python3 - "$branches" 1000 <<'PY'
import os, sys, threading
import pgwire
branches, clients = int(sys.argv[1]), int(sys.argv[2])
wrong, refused, gate = [], [], threading.Barrier(clients)
threading.stack_size(128 << 10)
def one(k):
    name = "b%d" % (k % branches + 1)
    gate.wait()
    try:
        while True:
            try:
                s = pgwire.Session(int(os.environ["shared"]), options="--cowfs.branch=" + name, timeout=300)
                break
            except pgwire.Refused as e:
                # The server of the branch itself has no more room (max_connections = 40): as without a proxy.
                if e.sqlstate != "53300":
                    raise
                refused.append(name)
        got = s.query("select current_setting('cluster_name')")
        if got != [name]:
            wrong.append((name, got))
        s.close()
    except Exception as e:
        wrong.append((name, repr(e)))
threads = [threading.Thread(target=one, args=(k,)) for k in range(clients)]
[t.start() for t in threads]
[t.join() for t in threads]
print("%d clients, %d wrong, %d times no room" % (clients, len(wrong), len(refused)), wrong[:3], file=sys.stderr)
sys.exit(bool(wrong))
PY
for ((i = 1; i <= branches; i++)); do
	same "$(starts_of "b$i")" 1 "starts of b$i"
done
serve_stop
unmount_store
