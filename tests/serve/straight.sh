#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Over the unix socket of a branch whose server runs, clients reach it past the proxy: they are counted all the same, none
# is lost while the branch falls asleep again and again, none is refused when the server or serve itself is killed, and
# where the proxy has something to say they all go through it.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres python3
import_main
branch b
serve_start --suspend-timeout never
export PYTHONPATH=$TESTS/lib path
path=$(cowfs -o json start b | json socket_dir)/.s.PGSQL.$(port_of b)
relayed() { serve_says connections; }
straight_is() { [[ $(serve_says branches b straight) == "$1" ]]; }
has_clients() { [[ $(serve_says branches b clients) == "$1" ]]; }
# socket_query SQL [OPTION...]
socket_query() { "$PGBIN/psql" "host=${path%/*} port=${path##*.} user=postgres dbname=postgres ${*:2}" -XAtqc "$1" </dev/null; }
# stay SECONDS: a session in the background; $client is its pid.
stay() {
	"$PGBIN/psql" -h "${path%/*}" -p "${path##*.}" -U postgres -d postgres -Xqc "select pg_sleep($1)" >&2 &
	client=$!
	eventually 5 has_clients 1
}

note "past the proxy, and counted"
before=$(relayed)
same "$(socket_query 'show cluster_name')" b
same "$(relayed)" "$before" "connections of the proxy"
straight_is true
eventually 5 state_is b idle
stay 3
same "$(state_of b)" running
wait "$client"
eventually 5 has_clients 0
# One that waits for its server is relayed for all its life, and is not counted twice.
cowfs suspend b >&2
stay 2
straight_is true
wait "$client"
# A request to cancel, at the socket and at the port.
python3 - "$(port_of b)" <<'PY'
import os, sys, threading, pgwire
for to in os.environ["path"], int(sys.argv[1]):
    s = pgwire.Session(os.environ["path"])
    threading.Timer(0.3, pgwire.cancel, (to, s.key)).start()
    try:
        s.query("select pg_sleep(20)")
        sys.exit("not cancelled")
    except pgwire.Refused as e:
        assert e.sqlstate == "57014", e.sqlstate
PY
# What names a branch is not looked at where the address says which, by either way.
cowfs suspend b >&2
for way in relayed straight; do
	same "$(socket_query "select current_setting('cluster_name') || current_setting('cowfs.branch')" options=--cowfs.branch=x)" bx "$way"
	contains "$(socket_query 'select 1' options=endpoint=b 2>&1 || true)" "endpoint=b" "$way"
	straight_is true
done

note "a limit: all go through the proxy, and those that came straight count"
stay 4
cowfs branch set b --max-connections 2 >&2
straight_is false
same "$(socket_query 'select 1')" 1
python3 - <<'PY'
import os, pgwire
one = pgwire.Session(os.environ["path"])
try:
    pgwire.Session(os.environ["path"])
    raise SystemExit("over the limit")
except pgwire.Refused as e:
    assert e.sqlstate == "53300", e.sqlstate
PY
wait "$client"
cowfs branch set b --max-connections default >&2
straight_is true

note "serve is killed: servers go on, by the same name"
stay 4
kill -9 "$serve"
wait "$serve" || true
same "$(socket_query 'select 1')" 1
serve_start --suspend-timeout never
straight_is true
has_clients 1
wait "$client"
serve_stop

note "clients come all the time, while it falls asleep again and again"
serve_start --suspend-timeout 150ms
before=$(starts_of b)
python3 - <<'PY'
import os, random, sys, threading, time
import pgwire
path, seconds, wrong, done = os.environ["path"], 6, [], []
def come(k):
    end, lots = time.time() + seconds, random.Random(k)
    while time.time() < end:
        try:
            s = pgwire.Session(path)
            assert s.query("select 1") == ["1"]
            s.close()
            done.append(1)
        except Exception as e:
            wrong.append(repr(e))
        # All at once, and then nobody for about as long as it takes to fall asleep.
        if int(time.time() * 1.5) % 2:
            time.sleep(lots.uniform(0.1, 0.5))
threads = [threading.Thread(target=come, args=(k,)) for k in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
print("%d sessions, %d lost" % (len(done), len(wrong)), wrong[:5], file=sys.stderr)
sys.exit(bool(wrong) or len(done) < 100)
PY
slept=$(($(starts_of b) - before))
note "it was started $slept times"
((slept >= 2)) || fail "it hardly ever slept"
# One that stays is never put to sleep, one that left lets it sleep.
stay 2
sleep 1
same "$(state_of b)" running
wait "$client"
eventually 10 state_is b suspended
serve_stop

note "its server is killed: who comes before serve hears of it waits for the next one"
serve_start --suspend-timeout never
python3 - "$M/b/postmaster.pid" "$serve" <<'PY'
import os, signal, sys, time
import pgwire
path, serve = os.environ["path"], int(sys.argv[2])
pgwire.Session(path).close()
server = int(open(sys.argv[1]).readline())
os.kill(serve, signal.SIGSTOP)
os.kill(server, signal.SIGKILL)
while os.path.exists("/proc/%d/maps" % server) and open("/proc/%d/maps" % server).read():
    time.sleep(0.01)
try:
    came = [pgwire.connect(path, 60) for k in range(5)]
finally:
    os.kill(serve, signal.SIGCONT)
for s in came:
    s.sendall(pgwire.startup(user="postgres", database="postgres"))
    assert pgwire.message(s)[0] == b"R"
PY
same "$(socket_query 'select 1')" 1
straight_is true
serve_stop

note "always through the proxy, when that is asked for"
serve_start --suspend-timeout never --always-relay
same "$(socket_query 'select 1')" 1
before=$(relayed)
same "$(socket_query 'select 1')" 1
same "$(relayed)" $((before + 1))
straight_is false
serve_stop

note "servers that go on without serve keep their name"
serve_start --suspend-timeout never --leave-running
same "$(socket_query 'select 1')" 1
serve_stop
same "$(socket_query 'select 1')" 1
cowfs stop b >&2
unmount_store
