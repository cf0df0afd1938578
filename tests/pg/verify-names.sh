#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A bit flips in files of a table, of its index, of its TOAST and of a shared catalog: `cowfs verify` names each, in
# words while the branch's server runs and by numbers when it does not.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse cowfs root postgres
import_main
branch b
cowfs start b >&2
on_exit "cowfs stop b -m immediate"
ask() { as_pg "$PGBIN/psql" "$(cowfs url b -d "${2:-shop}")" -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
ask 'create database shop' postgres
ask "create table orders(id serial primary key, note text); create schema \"Odd one\"; create table \"Odd one\".t as select g from generate_series(1, 9000) g;
	insert into orders(note) select repeat('x', 100) from generate_series(1, 3000);
	alter table orders alter column note set storage external;
	insert into orders(note) select repeat('y', 100000); checkpoint"
file_of() { ask "select pg_relation_filepath($1)"; }
declare -A path=([table]=$(file_of "'orders'::regclass") [index]=$(file_of "'orders_pkey'::regclass") [odd]=$(file_of "'\"Odd one\".t'::regclass")
	[toast]=$(file_of "(select reltoastrelid from pg_class where relname = 'orders')") [shared]=$(file_of "'pg_database'::regclass"))
declare -A words=([table]='public.orders in shop' [index]='index public.orders_pkey (of public.orders) in shop'
	[toast]='(of public.orders) in shop' [odd]='"Odd one".t in shop' [shared]='pg_catalog.pg_database')
cowfs snapshot create b sealed >&2

# flip WHICH BLOCK: in the extent file that holds the block; the newest one, because that is what the snapshot sees.
flip() {
	local ino file
	ino=$(($(stat -c %i "$M/b/${path[$1]}") & ((1 << 40) - 1)))
	file=$(find "$COWFS_STORE/ext" -name "$(printf %016x "$ino")" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
	[[ -n $file ]] || fail "no extent file of ${path[$1]}"
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
at = int(sys.argv[2]) * 8192 + 100
b = os.pread(fd, 1, at)
os.pwrite(fd, bytes([b[0] ^ 16]), at)
os.fsync(fd)' "$file" "$2"
}
cowfs verify >&2 || fail "faults before any was made" # and makes the sums
flip table 2
flip index 1
flip toast 3
flip odd 0
flip shared 0
said() { # said PATH: what verify says about it
	python3 -c 'import json, sys
print("\n".join(f["relation"] or "" for f in json.load(open(sys.argv[1]))["faults"] if f["path"] == sys.argv[2]))' "$T/faults" "$1"
}
exits 8 cowfs -o json verify b
printf '%s' "$out" >"$T/faults"
declare -A block=([table]=2 [index]=1 [toast]=3 [odd]=0 [shared]=0)
for k in "${!path[@]}"; do
	contains "$(said "${path[$k]}")" "${words[$k]}"
	contains "$(said "${path[$k]}")" ", block ${block[$k]}"
done
contains "$(said "${path[toast]}")" 'TOAST pg_toast.pg_toast_'
exits 8 cowfs verify b
contains "$out" "public.orders in shop, block 2"

cowfs stop b -m immediate >&2
exits 8 cowfs -o json verify b
printf '%s' "$out" >"$T/faults"
node=$(basename "${path[table]}") database=$(basename "$(dirname "${path[table]}")")
same "$(said "${path[table]}")" "file node $node of database $database, block 2"
same "$(said "${path[shared]}")" "file node $(basename "${path[shared]}") of all databases, block 0"
