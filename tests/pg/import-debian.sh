#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Debian cluster keeps its configuration outside PGDATA: it is brought in, and the branch never opens the original.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres pg_createcluster pg_ctlcluster
name=cowfstest$$
major=$(basename "$(dirname "$PGBIN")")
on_exit "pg_dropcluster --stop $major $name"
pg_createcluster -d "$T/data" "$major" "$name" -- -A trust -N >&2
etc=/etc/postgresql/$major/$name
echo "work_mem = '9MB'" >"$etc/conf.d/local.conf"
echo "# a comment of ours" >>"$etc/pg_hba.conf"
before=$(cat "$etc"/*.conf "$etc"/conf.d/* | sha256sum; find "$T/data" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
store_new
mount_store
cowfs import "$T/data" main >&2
on_exit "cowfs stop main -m immediate"
cowfs start main >&2
show() { cowfs psql main -- -XAtc "show $1"; }
same "$(show work_mem)" 9MB
for f in data_directory config_file hba_file ident_file; do
	contains "$(show $f)" "$M/main"
done
lacks "$(show external_pid_file)" /var/run
contains "$(<"$M/main/pg_hba.conf")" "a comment of ours"
cowfs psql main -- -c "create table t(a int)" >&2
same "$(cat "$etc"/*.conf "$etc"/conf.d/* | sha256sum; find "$T/data" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)" "$before" "the original"
cowfs stop main >&2
verify_store
