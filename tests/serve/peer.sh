#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who a client is and where it comes from reaches the server: peer authentication and passwords work as without a proxy.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
cat >"$M/main/pg_hba.conf" <<'HBA'
local all all peer
host all all 127.0.0.1/32 scram-sha-256
HBA
serve_start
cowfs psql main -- -XAtqc "create role anna login password 'secret'" >&2
sockets=$(cowfs -o json start main | json socket_dir)
# root of the machine is no role of the database, and nobody is nobody else.
contains "$("$PGBIN/psql" -h "$sockets" -p "$(port_of main)" -U postgres -XAtqc 'select 1' 2>&1 || true)" "Peer authentication failed"
contains "$(runuser -u nobody -- "$PGBIN/psql" -h "$sockets" -p "$(port_of main)" -U postgres -d postgres -XAtqc 'select 1' 2>&1 || true)" "Peer authentication failed"
same "$(cowfs psql main -- -XAtc 'select session_user')" postgres
# Over TCP a password is asked for, and SCRAM passes through.
contains "$(PGPASSWORD=wrong "$PGBIN/psql" -h 127.0.0.1 -p "$(port_of main)" -U anna -d postgres -c 'select 1' 2>&1 || true)" "password authentication failed"
same "$(PGPASSWORD=secret "$PGBIN/psql" -h 127.0.0.1 -p "$(port_of main)" -U anna -d postgres -XAtqc 'select session_user')" anna
serve_stop
unmount_store
