#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients that are slow, silent, half open, or no clients at all: nothing wakes, nothing leaks, others are served.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branch b
export shared
shared=$(free_port)
serve_start --port "$shared" --suspend-timeout never
open_files() { find "/proc/$serve/fd" -mindepth 1 2>/dev/null | wc -l; }
files=$(open_files)
export port
port=$(port_of b)
PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, random, socket, struct
import pgwire
port, shared = int(os.environ["port"]), int(os.environ["shared"])
random.seed(5)
good = pgwire.startup(user="postgres", database="postgres", options="--cowfs.branch=none")
held = []
for k in range(600):
    s = socket.create_connection(("127.0.0.1", random.choice((port, shared))), 5)
    what = k % 6
    if what == 0:
        data = os.urandom(random.randrange(1, 12000))
    elif what == 1:
        data = b"GET / HTTP/1.1\r\n\r\n"
    elif what == 2:
        data = struct.pack("!II", random.choice((0, 7, 10001, 2**31, 2**32 - 1)), 0x30000)
    elif what == 3:
        data = good[: random.randrange(0, len(good) - 1)]  # and no more
    elif what == 4:
        data = struct.pack("!IIII", 16, 80877102, random.getrandbits(32), random.getrandbits(32))
    else:
        data = struct.pack("!II", 8, 80877103) * random.randrange(1, 5)
    try:
        s.sendall(data)
        if k % 3 == 0:
            s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    (held.append(s) if k % 4 == 0 else s.close())
# Those who hold on are in nobody's way.
PY
same "$(state_of b)" suspended "after bad clients"
same "$(starts_of b)" 0
same "$(query b 'show cluster_name')" b
back() { (($(open_files) <= files + 4)); }
eventually 10 back
# One byte at a time is slow, and good.
PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, socket, time
import pgwire
s = socket.create_connection(("127.0.0.1", int(os.environ["port"])), 10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for byte in pgwire.startup(user="postgres", database="postgres"):
    s.sendall(bytes([byte]))
    time.sleep(0.002)
kind, body = pgwire.message(s)
assert kind == b"R", kind
PY
# One that leaves while its server starts is forgotten.
cowfs suspend b >&2
PYTHONPATH=$TESTS/lib python3 -c '
import os, socket, pgwire
s = socket.create_connection(("127.0.0.1", int(os.environ["port"])))
s.sendall(pgwire.startup(user="postgres", database="postgres"))
s.close()'
eventually 10 state_is b idle
# A limit of clients is said clearly.
serve_stop
serve_start --max-connections 2
PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, pgwire
port = int(os.environ["port"])
two = [pgwire.Session(port) for _ in range(2)]
try:
    pgwire.Session(port)
    raise SystemExit("a third client got in")
except pgwire.Refused as e:
    assert e.sqlstate == "53300" and e.hint, e
PY
# Those who wait for the server count too.
cowfs suspend b >&2
PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, threading
import pgwire
port, seen, lock = int(os.environ["port"]), [], threading.Lock()
over = threading.Event()
def one():
    try:
        s, got = pgwire.Session(port), "in"
    except pgwire.Refused as e:
        s, got = None, e.sqlstate
    with lock:
        seen.append(got)
        if len(seen) == 20:
            over.set()
    over.wait(60)
    if s:
        s.close()
threads = [threading.Thread(target=one) for _ in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
assert sorted(seen) == ["53300"] * 18 + ["in"] * 2, seen
PY
eventually 10 state_is b idle
serve_stop
unmount_store
