#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How people and programs reach a branch: every format of cowfs url is used by who it is for, and a directory has its
# branch.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres
import_main
on_exit "cowfs stop main -m immediate; cowfs stop feature/x -m immediate"
branch feature/x
exits 3 cowfs url main
contains "$err" "never started"
cowfs start main >&2
cowfs start feature/x >&2
cowfs psql main -- -Xqc 'create database "a b/ü?"' </dev/null
cowfs psql main -- -Xqc "create role \"o'ne@two\" login superuser" </dev/null
ask() { "$PGBIN/psql" "$@" -XAtqc "select current_user || '|' || current_database() || '|' || current_setting('cluster_name')" </dev/null; }
args=(main --role "o'ne@two" --database 'a b/ü?')
want="o'ne@two|a b/ü?|main"

note "formats"
same "$(ask "$(cowfs url "${args[@]}")")" "$want" uri
same "$(ask "$(cowfs url "${args[@]}" --connect-timeout 7)")" "$want" "uri with a time-out"
# Over the socket postgres may want to know who connects: trust is what this cluster says.
same "$(ask "$(cowfs url "${args[@]}" --socket)")" "$want" "uri of the socket"
same "$(ask "$(cowfs url "${args[@]}" --format dsn)")" "$want" dsn
cowfs url "${args[@]}" --format service >"$T/services"
same "$(PGSERVICEFILE=$T/services ask service=main)" "$want" service
cowfs url "${args[@]}" -f dotenv >"$T/.env"
same "$(set -a && . "$T/.env" && ask "$DATABASE_URL")" "$want" "dotenv: DATABASE_URL"
same "$(set -a && . "$T/.env" && ask)" "$want" "dotenv: PG*"
contains "$(cowfs url "${args[@]}" --format jdbc)" "jdbc:postgresql://127.0.0.1:"
same "$(cowfs connection-string main)" "$(cowfs url main)"
exits 2 cowfs url main --format xml
contains "$err" "uri|jdbc"
exits 2 cowfs url main --format jdbc --socket
exits 2 cowfs url main --format dsn -o json

note "a branch for a directory"
mkdir -p "$T/work/deep" && cd "$T/work"
exits 2 cowfs url
contains "$err" "cowfs checkout BRANCH"
exits 3 cowfs checkout --print
exits 3 cowfs checkout nobody
[[ ! -e .cowfs ]] || fail "a checkout that failed left a file"
exits 0 cowfs checkout feature/x
same "$(cowfs checkout --print)" feature/x
(cd deep && same "$(cowfs url)" "$(cowfs url feature/x)")
# The file knows the store too.
store=$COWFS_STORE
unset COWFS_STORE
same "$(cd deep && cowfs psql -- -XAtqc 'show cluster_name' </dev/null)" feature/x
# shellcheck disable=SC2016
same "$(cowfs exec -- sh -c 'echo $COWFS_BRANCH')" feature/x
exits 0 cowfs stop
contains "$out" feature/x
exits 0 cowfs start
exits 0 cowfs wait-ready
exits 0 cowfs checkout main
same "$(cowfs checkout --print)" main
exits 0 cowfs checkout -
same "$(cowfs checkout -q -o json | json branch)" feature/x
exits 0 cowfs checkout -
same "$(cowfs checkout --print)" main
same "$(COWFS_BRANCH=feature/x cowfs exec -- sh -c 'echo $COWFS_BRANCH')" feature/x "COWFS_BRANCH goes before the file"
# What destroys wants a name.
exits 2 cowfs branch delete --yes
exits 2 cowfs branch reset --yes
export COWFS_STORE=$store

note "the .env file"
printf 'SECRET=1\nDATABASE_URL=postgresql://app:pw@prod/shop\n' >.env
chmod 640 .env
exits 0 cowfs checkout feature/x --env -d postgres
same "$(grep -c . .env)" 10 "lines of .env"
grep -qx 'SECRET=1' .env && grep -qx '# before cowfs checkout: DATABASE_URL=postgresql://app:pw@prod/shop' .env || fail ".env lost a line: $(<.env)"
same "$(. ./.env && ask "$DATABASE_URL" | cut -d'|' -f3)" feature/x
exits 0 cowfs checkout main --env
same "$(grep -c . .env)" 10 "lines of .env after another checkout"
same "$(. ./.env && ask "$DATABASE_URL" | cut -d'|' -f3)" main
same "$(stat -c %a .env)" 640 "its mode"
exits 0 cowfs checkout main
lacks "$err" "still leads"
exits 0 cowfs checkout feature/x
contains "$err" "$PWD/.env still leads to another branch; to change that: cowfs checkout feature/x --env"
same "$(. ./.env && ask "$DATABASE_URL" | cut -d'|' -f3)" main "it was not asked for"
exits 0 cowfs checkout main --env

note "a file of somebody else does not choose for us"
chown nobody .cowfs
exits 4 cowfs psql
contains "$err" "belongs to somebody else"
exits 0 cowfs url main
cd /
cowfs stop main >&2
cowfs stop feature/x >&2
unmount_store
