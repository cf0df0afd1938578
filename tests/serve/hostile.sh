#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Thousands of startup packets that are almost right, half-open and slow clients: serve does not crash, wakes nobody,
# and has afterwards the memory and the descriptors it had before. COWFS_SEED=N does one run again; --long does more.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branch feature/b
export port shared rounds=${COWFS_LONG:+60000} seed=${COWFS_SEED:-$RANDOM}
rounds=${rounds:-6000}
shared=$(free_port)
serve_start --port "$shared" --suspend-timeout never --max-connections 20
port=$(port_of feature/b)
note "COWFS_SEED=$seed, $rounds packets"
open_files() { find "/proc/$serve/fd" -mindepth 1 2>/dev/null | wc -l; }
memory() { awk '/^RssAnon/ { print $2 }' "/proc/$serve/status"; }
cat >"$T/fuzz.py" <<'PY'
import os, random, socket, struct, sys
import pgwire
port, shared = int(os.environ["port"]), int(os.environ["shared"])
r = random.Random(int(os.environ["seed"]))
rounds = int(sys.argv[1])
words = ["user", "database", "options", "application_name", "replication", "", "cowfs.branch", "_pq_.x", "endpoint=feature-b",
         "--cowfs.branch=none", "-c cowfs.branch=none", "-c", "\\", "a\\ b", "@", "x@none", "@none", "x@", "none@none", "\t", "'", "-", "\u00e4", "%s%n", "../x"]
def text():
    k = r.randrange(6)
    if k < 3: return r.choice(words)
    if k == 3: return " ".join(r.choice(words) for _ in range(r.randrange(6)))
    if k == 4: return r.choice("aA@\\ -=") * r.choice((1, 60, 255, 256, 300, 4000, 9990))
    return "".join(chr(r.randrange(1, 256)) for _ in range(r.randrange(40)))
def packet():
    """A packet that goes nowhere: whatever names a branch names none, and the version is wrong on the branch's own port."""
    body = b"".join(text().encode("utf-8", "replace") + b"\0" for _ in range(r.randrange(12))) + b"\0" * r.randrange(3)
    code = r.choice((0x30000, 0x30000, 0x30000, 0x30002, 0x3ffff, 0x20000, 80877102, 80877103, 80877104, r.getrandbits(32)))
    length = r.choice((len(body) + 8,) * 6 + (len(body) + 7, len(body) + 9, 0, 8, 10000, 10001, r.getrandbits(32)))
    data = bytearray(struct.pack("!II", length, code) + body)
    for _ in range(r.choice((0, 0, 1, 3))):
        if data: data[r.randrange(len(data))] = r.randrange(256)
    if r.randrange(5) == 0: data = data[: r.randrange(len(data) + 1)]
    if r.randrange(10) == 0: data = struct.pack("!II", 8, r.choice((80877103, 80877104))) + bytes(data)
    return bytes(data)
def harmless(data):
    # A session on the branch's own port would wake it, as it should; there the version is no version.
    for at in (0, 8, 16):
        if len(data) >= at + 6 and data[at + 4 : at + 6] == b"\0\3":
            data = data[: at + 5] + b"\7" + data[at + 6 :]
    return data
held = []
for k in range(rounds):
    data = packet()
    own = r.randrange(2)
    with_name = b"feature" in data
    if own or with_name: data = harmless(data)
    s = socket.create_connection(("127.0.0.1", port if own else shared), 10)
    s.settimeout(10)
    try:
        cut = r.randrange(len(data) + 1) if r.randrange(4) == 0 else 0
        if cut: s.sendall(data[:cut])
        s.sendall(data[cut:])
        how = r.randrange(4)
        if how == 0: s.shutdown(socket.SHUT_WR)
        if how == 1: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        if how == 2 and r.randrange(4) == 0:
            held.append(s)
            if len(held) > 300: held.pop(0).close()
            continue
        if how == 3:
            s.settimeout(0.005)
            try:
                while s.recv(4096): pass
            except socket.timeout: pass
    except OSError: pass
    s.close()
PY
fuzz() { PYTHONPATH=$TESTS/lib python3 "$T/fuzz.py" "$1"; }
fuzz 1500 # what is allocated once is allocated now
quiet_files() { (($(open_files) <= files)); }
sleep 1
files=$(open_files) before=$(memory)
seed=$((seed + 1)) fuzz "$rounds"
eventually 30 quiet_files
kill -0 "$serve" || fail "serve is gone"
same "$(state_of feature/b) $(starts_of feature/b)" "suspended 0" "after $rounds packets"
at_most "$(memory)" $((before + 4096)) "KiB of memory (before: $before)"

note "slow and half-open ones, by the hundred, while others are served"
cat >"$T/slow.py" <<'PY'
import os, socket, sys, time
import pgwire
port = int(os.environ["port"])
good = pgwire.startup(user="postgres", database="postgres", application_name="x" * 9000)
half = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(400)]
for k, s in enumerate(half): s.sendall(good[: k * len(good) // 401])
print("there", flush=True)
for _ in range(40):  # a byte now and then keeps nobody's place
    time.sleep(0.1)
    for s in half:
        try: s.send(b"x")
        except OSError: pass  # it was told that this is no PostgreSQL
PY
PYTHONPATH=$TESTS/lib python3 "$T/slow.py" >"$T/slow" &
slow=$!
eventually 10 grep -q there "$T/slow"
same "$(starts_of feature/b)" 0 "starts for half packets"
same "$(query feature/b 'show cluster_name')" feature/b
wait "$slow" || fail "slow clients failed"
before=$(memory)
PYTHONPATH=$TESTS/lib python3 - <<'PY' &
import os, struct, time
import pgwire
all = [pgwire.Session(int(os.environ["port"])) for _ in range(10)]
q = b"select repeat('x', 20000000)\0"
for s in all: s.s.sendall(b"Q" + struct.pack("!I", len(q) + 4) + q)
time.sleep(4)
PY
greedy=$!
sleep 3
at_most "$(memory)" $((before + 8192)) "KiB for ten who do not read (before: $before)"
wait "$greedy"
files=$((files + 4)) # the server that runs now, and one spare pipe
eventually 30 quiet_files
same "$(query feature/b 'show cluster_name')" feature/b
serve_stop
unmount_store
