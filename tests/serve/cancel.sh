#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A request to cancel reaches the session it is for, on its own port and on the shared one, and wakes nobody.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branch a
branch b
export shared
shared=$(free_port)
serve_start --port "$shared" --suspend-timeout never
export port
port=$(port_of a)
PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, threading, time
import pgwire
own, shared = int(os.environ["port"]), int(os.environ["shared"])
for name, through in (("a", own), ("a", shared), ("b", shared)):
    s = pgwire.Session(shared, options="--cowfs.branch=" + name)
    other = pgwire.Session(shared, options="--cowfs.branch=" + ("a" if name == "b" else "b"))
    threading.Timer(0.3, pgwire.cancel, (through, s.key)).start()
    began = time.time()
    try:
        s.query("select pg_sleep(20)")
        raise SystemExit("not cancelled")
    except pgwire.Refused as e:
        assert e.sqlstate == "57014", e.sqlstate
    assert time.time() - began < 5
    assert other.query("select 1") == ["1"]
# A key that nobody has is for nobody.
assert pgwire.cancel(shared, b"\0\0\1\2\3\4\5\6") == b""
PY
cowfs suspend a >&2
PYTHONPATH=$TESTS/lib python3 -c 'import os, pgwire; pgwire.cancel(int(os.environ["port"]), b"\0\0\1\2\3\4\5\6")'
same "$(state_of a)" suspended
serve_stop
unmount_store
