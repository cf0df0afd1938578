#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the proxy does not understand passes as it is: SCRAM, COPY both ways, replication (physical and logical, with a
# real receiver), pipelines, notifications, values larger than every buffer, a client that is slow to read.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
printf 'host all,replication all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n' >"$M/main/pg_hba.conf"
printf '%s\n' 'wal_level = logical' 'max_wal_senders = 5' 'max_replication_slots = 5' >>"$M/main/postgresql.conf"
serve_start --suspend-timeout 1s
port=$(port_of main)
cowfs psql main -- -XAtqc "create role anna superuser login password 'secret'" >&2
export port PGPASSWORD=secret
to="host=127.0.0.1 port=$port user=anna dbname=postgres"
ask() { "$PGBIN/psql" "$to" -XAtq "$@" </dev/null; }

note "SCRAM over sleep and wake, and a wrong password"
eventually 15 state_is main suspended
same "$(ask -c 'select session_user')" anna
contains "$(PGPASSWORD=wrong ask -c 'select 1' 2>&1 || true)" "password authentication failed"
contains "$("$PGBIN/psql" "$to channel_binding=require sslmode=disable" -c 'select 1' 2>&1 || true)" "channel binding"

note "COPY both ways, text and binary, the same bytes"
ask -c "create table t as select g as a, md5(g::text) as b, case when g % 7 = 0 then repeat('y', g % 20000) end as c from generate_series(1, 20000) g"
ask -c 'create table u (like t)'
"$PGBIN/psql" "$to" -Xqc '\copy t to stdout (format binary)' >"$T/t.bin"
"$PGBIN/psql" "$to" -Xqc '\copy u from stdin (format binary)' <"$T/t.bin"
sorted() { "$PGBIN/psql" "$1" -Xqc "copy (select * from $2 order by a) to stdout (format binary)" | cksum; }
same "$(sorted "$to" u)" "$(sorted "host=$(cowfs -o json start main | json socket_dir) port=$port user=anna dbname=postgres" t)" "bytes after COPY"

note "replication: a base backup with its WAL, a physical and a logical receiver"
install -d -o postgres -m 700 "$T/backup" "$T/wal"
as_pg env PGPASSWORD=secret "$PGBIN/pg_basebackup" -h 127.0.0.1 -p "$port" -U anna -D "$T/backup" -X stream -c fast >&2
as_pg "$PGBIN/pg_verifybackup" "$T/backup" >&2
as_pg env PGPASSWORD=secret "$PGBIN/pg_receivewal" -h 127.0.0.1 -p "$port" -U anna -D "$T/wal" --endpos="$(ask -c 'create table w as select 1; select pg_current_wal_lsn()' | tail -1)" >&2
[[ -n $(ls "$T/wal") ]] || fail "no WAL was received"
receive() { "$PGBIN/pg_recvlogical" -d "$to" --slot s "$@"; }
receive --create-slot -P test_decoding >&2
ask -c 'create table l(a int); insert into l select generate_series(1, 3)'
receive --start -f "$T/logical" --endpos="$(ask -c 'select pg_current_wal_insert_lsn()')" >&2
same "$(grep -c 'table public.l: INSERT' "$T/logical")" 3
receive --drop-slot >&2

note "a pipeline of thousands of statements, and a client that does not read for a while"
cat >"$T/pipe.py" <<'PY'
import os, socket, struct, time
import pgwire
port = int(os.environ["port"])
def m(kind, body): return kind + struct.pack("!I", len(body) + 4) + body
def session(): return pgwire.Session(port, user="bob")
s = session()
n = 5000
def one(k):
    text = str(k).encode()
    return (m(b"P", b"\0select $1::int * 2\0" + struct.pack("!H", 0)) +
            m(b"B", b"\0\0" + struct.pack("!HHi", 0, 1, len(text)) + text + struct.pack("!H", 0)) +
            m(b"E", b"\0" + struct.pack("!I", 0)))
import threading
everything = b"".join(map(one, range(n))) + m(b"S", b"")
sender = threading.Thread(target=s.s.sendall, args=(everything,))
sender.start()
time.sleep(1)  # nobody reads: both directions fill up
rows = s.until_ready()
sender.join()
assert rows == [str(2 * k) for k in range(n)], rows[:5]
# 40 MB in one value each way, read late.
s.s.sendall(m(b"P", b"\0select length($1), $1\0" + struct.pack("!H", 0)))
value = b"z" * (40 << 20)
body = b"\0\0" + struct.pack("!HHi", 0, 1, len(value)) + value + struct.pack("!H", 0)
s.s.sendall(m(b"B", body) + m(b"E", b"\0" + struct.pack("!I", 0)) + m(b"S", b""))
time.sleep(1)
while True:
    kind, body = pgwire.message(s.s)
    assert kind != b"E", pgwire.fields(body)
    if kind == b"D":
        assert body[2:].startswith(struct.pack("!i", 8) + b"%d" % len(value)) and body.endswith(value)
        break
s.until_ready()
# What another session says arrives without a question.
s.query("listen news")
t = session()
t.query("notify news, 'hello'")
kind, body = pgwire.message(s.s)
assert kind == b"A" and b"hello" in body, (kind, body)
PY
cowfs psql main -- -XAtqc "create role bob login" >&2
sed -i '1i host all bob 127.0.0.1/32 trust' "$M/main/pg_hba.conf"
cowfs psql main -- -XAtqc 'select pg_reload_conf()' >&2
bob() { "$PGBIN/psql" "host=127.0.0.1 port=$port user=bob dbname=postgres" -XAtqc 'select 1' </dev/null; }
eventually 10 bob
PYTHONPATH=$TESTS/lib python3 "$T/pipe.py"
eventually 15 state_is main suspended
serve_stop
unmount_store
