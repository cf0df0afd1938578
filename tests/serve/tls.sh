#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# TLS ends at the proxy: on every port, with the branch named by the host, with SCRAM through it; stuffing is refused.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
command -v openssl >/dev/null || skip "needs openssl"
import_main
branch feature/x
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=*.db.test' -addext 'subjectAltName=DNS:*.db.test' \
	-keyout "$T/key.pem" -out "$T/cert.pem" >&2 2>/dev/null
exits 2 cowfs serve --tls-cert "$T/cert.pem"
exits 2 cowfs serve --tls-cert "$T/cert.pem" --tls-key /dev/null
export shared
shared=$(free_port)
serve_start --port "$shared" --tls-cert "$T/cert.pem" --tls-key "$T/key.pem" --suspend-timeout never
cowfs psql feature/x -- -Xqc "create role anna login password 'secret'" >&2
sed -i 's/^host .*127.0.0.1.*/host all all 127.0.0.1\/32 scram-sha-256/' "$M/feature/x/pg_hba.conf"
cowfs suspend feature/x >&2
connect() { PGPASSWORD=secret "$PGBIN/psql" "hostaddr=127.0.0.1 dbname=postgres user=anna $*" -XAtqc 'show cluster_name'; }
same "$(connect port=$shared host=feature-x.db.test sslmode=verify-full sslrootcert="$T/cert.pem")" feature/x
same "$(connect port=$shared host=other sslmode=require options=--cowfs.branch=feature-x)" feature/x
same "$(connect port="$(port_of feature/x)" host=any sslmode=require)" feature/x
same "$(connect port="$(port_of feature/x)" host=any sslmode=disable)" feature/x
contains "$(connect port=$shared host=none.db.test sslmode=require 2>&1 || true)" 'branch "none" does not exist'
contains "$(connect port=$shared host=feature-x.db.test sslmode=require channel_binding=require 2>&1 || true)" "channel binding"
contains "$(PGPASSWORD=wrong "$PGBIN/psql" "hostaddr=127.0.0.1 host=feature-x.db.test port=$shared dbname=postgres user=anna sslmode=require" -c 'select 1' 2>&1 || true)" "password authentication failed"
# Where the server has the same certificate, TLS goes as far as the server, and channel binding holds: over sleep and wake.
install -o postgres -m 600 "$T/key.pem" "$T/server.pem"
cowfs branch set feature/x -c ssl=on -c "ssl_cert_file=$T/cert.pem" -c "ssl_key_file=$T/server.pem" >&2
cowfs suspend feature/x >&2
bound() { PGPASSWORD=secret "$PGBIN/psql" "hostaddr=127.0.0.1 dbname=postgres user=anna port=$shared host=feature-x.db.test sslmode=verify-full sslrootcert=$T/cert.pem channel_binding=require" -XAtqc "$1"; }
tls='select ssl from pg_stat_ssl where pid = pg_backend_pid()'
for _ in 1 2; do
	same "$(bound 'show cluster_name')" feature/x
	cowfs suspend feature/x >&2
done
same "$(bound "$tls")" t "TLS as far as the server"
same "$(bound 'select length(repeat($$x$$, 5000000))')" 5000000
contains "$(PGPASSWORD=wrong connect port=$shared host=feature-x.db.test sslmode=require channel_binding=require password=wrong 2>&1 || true)" "password authentication failed"
# A cancelled statement comes through two layers of TLS.
contains "$(PGPASSWORD=secret timeout -s INT 1 "$PGBIN/psql" "hostaddr=127.0.0.1 dbname=postgres user=anna port=$shared host=feature-x.db.test sslmode=require" -c 'select pg_sleep(30)' 2>&1 || true)" "canceling statement"
# With another certificate there is TLS only as far as here, as without any.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=other' -keyout "$T/other.key" -out "$T/other.pem" 2>/dev/null
chown postgres "$T/other.key"
cowfs branch set feature/x -c "ssl_cert_file=$T/other.pem" -c "ssl_key_file=$T/other.key" >&2
cowfs suspend feature/x >&2
for _ in 1 2; do
	same "$(PGPASSWORD=secret "$PGBIN/psql" "hostaddr=127.0.0.1 dbname=postgres user=anna port=$shared host=feature-x.db.test sslmode=require" -XAtqc "$tls")" f
done
contains "$(bound "$tls" 2>&1 || true)" "channel binding"
# A big result and a big load, through the pump.
"$PGBIN/psql" "hostaddr=127.0.0.1 host=feature-x.db.test port=$shared dbname=postgres user=anna password=secret sslmode=require" \
	-XAtqc "select repeat('x', 1000) from generate_series(1, 20000)" | cksum >"$T/got"
for ((i = 0; i < 20000; i++)); do printf '%01000d\n' 0; done | tr 0 x | cksum >"$T/wanted"
same "$(<"$T/got")" "$(<"$T/wanted")"
port=$(port_of feature/x) PYTHONPATH=$TESTS/lib python3 - <<'PY'
import os, socket, ssl, struct
import pgwire
port = int(os.environ["port"])
request = struct.pack("!II", 8, 80877103)
# What was said in the clear behind the request is not taken for encrypted.
s = socket.create_connection(("127.0.0.1", port), 10)
s.sendall(request + pgwire.startup(user="anna"))
kind, body = pgwire.message(s)
assert kind == b"E" and pgwire.fields(body)["C"] == "08P01", (kind, body)
# Rubbish instead of a handshake, and half a handshake.
for rest in (os.urandom(200), b"\x16\x03\x01", b""):
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.sendall(request)
    assert s.recv(1) == b"S"
    s.sendall(rest)
    s.close()
# TLS from the first byte on, as libpq 17 does with sslnegotiation=direct.
context = ssl._create_unverified_context()
context.set_alpn_protocols(["postgresql"])
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(os.environ["shared"])), 10), server_hostname="feature-x.db.test")
assert s.selected_alpn_protocol() == "postgresql"
s.sendall(pgwire.startup(user="anna", database="postgres"))
kind, body = pgwire.message(s)
assert kind == b"R" and body[:4] == b"\0\0\0\x0a", (kind, body)
PY
serve_stop
unmount_store
