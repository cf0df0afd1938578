#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A branch is a full private copy: two servers at once, a migration on one, kill -9 of the other.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
main=$M/main
pg_start "$main"
sql "$main" "create table customers(id int primary key, name text)"
sql "$main" "insert into customers select i, 'customer ' || i from generate_series(1, 20000) i"
branch feature/add-orgs --parent main
feature=$M/feature/add-orgs
pg_start "$feature" # the parent still runs: this branch recovers from its WAL
same "$(sql "$feature" 'select count(*) from customers')" 20000

# No two branches show the same (st_dev, st_ino): shared memory, cp, tar and diff depend on it.
for f in . PG_VERSION global/pg_control base/5/1259 pg_wal; do
	differ "$(stat -c %d:%i "$main/$f")" "$(stat -c %d:%i "$feature/$f")" "st_ino of $f"
done

# A migration stays on its branch.
sql "$feature" "create table organizations(id int primary key, name text);
	insert into organizations values (1, 'acme');
	alter table customers add org int references organizations;
	update customers set org = 1;
	alter table customers alter org set not null;"
same "$(sql "$main" "select count(*) from information_schema.columns where table_name = 'customers'")" 2
same "$(sql "$main" "select to_regclass('organizations') is null")" t
sql "$main" "delete from customers where id > 10"
same "$(sql "$feature" 'select count(*) from customers where org = 1')" 20000

# One dies, the other does not notice; the dead one recovers.
pg_kill "$feature"
same "$(sql "$main" 'select count(*) from customers')" 10
pg_start "$feature"
contains "$(pg_log "$feature")" "database system was not properly shut down"
same "$(sql "$feature" 'select count(*) from customers where org = 1')" 20000
amcheck "$feature"
amcheck "$main"

# Thrown away: the parent never knew.
pg_stop "$feature"
check_stopped "$feature"
drop feature/add-orgs
[[ ! -e $M/feature ]] || fail "the directory of a deleted branch is still there"
same "$(sql "$main" 'select count(*) from customers')" 10
pg_stop "$main"
check_stopped "$main"
verify_store
unmount_store
verify_store
