#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# At the port of a branch whose server runs, clients of this machine reach it past the proxy where the kernel steers
# connections: they are counted, none is lost while the branch falls asleep or its server is killed, and with TLS, from
# elsewhere, or where the kernel does not, they come through the proxy and find the same.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres python3
import_main
branch b
serve_start --suspend-timeout never
fault=$(serve_says not_steered)
[[ $fault == null ]] || { serve_stop && skip "connections are not steered here: $fault"; }
export PYTHONPATH=$TESTS/lib port
port=$(cowfs -o json start b | json port)
relayed() { serve_says connections; }
steered_is() { [[ $(serve_says branches b steered) == "$1" ]]; }
has_clients() { [[ $(serve_says branches b clients) == "$1" ]]; }
stay() {
	"$PGBIN/psql" -h 127.0.0.1 -p "$port" -U postgres -d postgres -Xqc "select pg_sleep($1)" >&2 &
	client=$!
	eventually 5 has_clients 1
}
seen="select inet_client_addr() || ' ' || inet_server_port()"

note "past the proxy, counted, and from the same address as through it"
before=$(relayed)
same "$(query b 'show cluster_name')" b
same "$(query b "$seen")" "127.0.0.1/32 $port"
same "$(relayed)" "$before" "connections of the proxy"
steered_is true
eventually 5 state_is b idle
stay 3
same "$(state_of b)" running
wait "$client"
eventually 5 has_clients 0
# From another address of this machine: the server is to see the one that the proxy has.
python3 -c 'import os, socket; socket.create_connection(("127.0.0.1", int(os.environ["port"])), source_address=("127.0.0.9", 0))'
same "$(relayed)" $((before + 1))
# One that waits for its server is relayed for all its life, and is not counted twice.
cowfs suspend b >&2
stay 2
steered_is true
wait "$client"

note "a limit: all go through the proxy, and those that came straight count"
stay 4
cowfs branch set b --max-connections 2 >&2
steered_is false
same "$(query b "$seen")" "127.0.0.1/32 $port"
python3 - <<'PY'
import os, pgwire
one = pgwire.Session(int(os.environ["port"]))
try:
    pgwire.Session(int(os.environ["port"]))
    raise SystemExit("over the limit")
except pgwire.Refused as e:
    assert e.sqlstate == "53300", e.sqlstate
PY
wait "$client"
cowfs branch set b --max-connections default >&2
steered_is true

note "its server is killed: who comes before serve hears of it waits for the next one"
python3 - "$M/b/postmaster.pid" "$serve" <<'PY'
import os, signal, sys, time
import pgwire
port, serve = int(os.environ["port"]), int(sys.argv[2])
server = int(open(sys.argv[1]).readline())
os.kill(serve, signal.SIGSTOP)
os.kill(server, signal.SIGKILL)
try:
    while open("/proc/%d/maps" % server).read():
        time.sleep(0.01)
    came = [pgwire.connect(port, 60) for k in range(5)]
finally:
    os.kill(serve, signal.SIGCONT)
for s in came:
    s.sendall(pgwire.startup(user="postgres", database="postgres"))
    assert pgwire.message(s)[0] == b"R"
PY
same "$(query b 'select 1')" 1
steered_is true

note "serve is killed: sessions go on, and the next one finds them"
stay 4
kill -9 "$serve"
wait "$serve" || true
serve_start --suspend-timeout never
steered_is true
has_clients 1
wait "$client"
serve_stop

note "a server that has TLS, where the proxy has none: the same by either way, which is through the proxy"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=x' -keyout "$M/b/server.key" -out "$M/b/server.crt" 2>/dev/null
chown postgres "$M/b/server.key" "$M/b/server.crt"
chmod 600 "$M/b/server.key"
serve_start --suspend-timeout never
cowfs start b -c ssl=on >&2
same "$(query b 'show ssl')" on
steered_is false
serve_stop

note "clients come all the time, while it falls asleep again and again"
serve_start --suspend-timeout 150ms
before=$(starts_of b)
python3 - <<'PY'
import os, random, sys, threading, time
import pgwire
port, seconds, wrong, done = int(os.environ["port"]), 6, [], []
def come(k):
    end, lots = time.time() + seconds, random.Random(k)
    while time.time() < end:
        try:
            s = pgwire.Session(port)
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
sys.exit(bool(wrong) or len(done) < 50)
PY
slept=$(($(starts_of b) - before))
note "it was started $slept times"
((slept >= 2)) || fail "it hardly ever slept"
stay 2
sleep 1
same "$(state_of b)" running
wait "$client"
eventually 10 state_is b suspended
serve_stop

note "without the right to it: all through the proxy, and the log says so once"
cat >"$T/less" <<'SH'
#!/bin/sh
exec setpriv --bounding-set=-bpf,-net_admin,-sys_admin --inh-caps=-bpf,-net_admin,-sys_admin "$COWFS_REAL" "$@"
SH
chmod +x "$T/less"
COWFS_REAL=$COWFS COWFS=$T/less serve_start --suspend-timeout never
same "$(query b 'select 1')" 1
steered_is false
differ "$(serve_says not_steered)" null
same "$(grep -c 'clients of ports go through the proxy' "$T/serve.log")" 1
same "$(query b "$seen")" "127.0.0.1/32 $port"
contains "$(cowfs status)" "the kernel does not steer connections"
serve_stop
unmount_store
