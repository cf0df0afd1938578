#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The other pieces of examples/ for continuous integration: validate-then-main, a branch per test file, GitLab's job,
# the form of what cannot be run here.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root postgres python3
import_main
stop_all() { while IFS= read -r b; do "$COWFS" stop -m immediate -- "$b"; done < <("$COWFS" branch list -q); }
on_exit stop_all
export PATH=$(dirname "$COWFS"):$PGBIN:$PATH
ex=$SOURCE/examples
cowfs start main >&2
on_main() { psql -XAtqc "$1" "$(cowfs url main)"; }
on_main "create table customers(id serial primary key, email text unique); create table orders(id serial primary key, customer int, amount int);
	create table small(x int); insert into customers(email) select 'user_' || g || '@test.example' from generate_series(1, 1000) g;
	insert into orders(customer, amount) select g, g from generate_series(1, 5000) g; analyze"

# Validate, then main. What it says is what happened; a failure changes nothing, nor does a table that is too large.
cat >"$T/widen it.sql" <<'SQL'
alter table orders alter column amount type bigint;
create index on customers(email);
update small set x = 1 -- no semicolon at the end
SQL
said=$("$ex/validate-then-main.sh" check main "$T/widen it.sql")
contains "$said" "lock AccessExclusiveLock on orders"
contains "$said" "lock ShareLock on customers"
contains "$said" "rewritten orders: "
contains "$said" "about 5000 rows"
lacks "$said" "rewritten customers"
[[ $said =~ wal\ ([0-9]+)\ bytes ]] && ((BASH_REMATCH[1] > 100000)) || fail "wal: $said"
same "$(on_main "select data_type from information_schema.columns where table_name = 'orders' and column_name = 'amount'")" integer
exits 1 env REFUSE_REWRITE_OVER=10000 "$ex/validate-then-main.sh" apply main "$T/widen it.sql"
same "$(on_main "select data_type from information_schema.columns where table_name = 'orders' and column_name = 'amount'")" integer
printf 'drop table small; select 1/0;' >"$T/bad.sql"
exits 1 "$ex/validate-then-main.sh" apply main "$T/bad.sql"
contains "$err" "division by zero"
same "$(on_main "select to_regclass('small') is not null")" t
contains "$("$ex/validate-then-main.sh" apply main "$T/widen it.sql")" "applied to main"
same "$(on_main "select data_type from information_schema.columns where table_name = 'orders' and column_name = 'amount'")" bigint
contains "$(cowfs snapshot list -q 2>/dev/null || cowfs snapshot list)" before-widenit
same "$(cowfs branch list -q)" main "branches that are left"

# A branch per test file.
export COWFS_PARENT=main
if python3 -c 'import pytest, psycopg2' 2>/dev/null; then
	python=python3
else
	python=/usr/bin/python3
	"$python" -c 'import pytest, psycopg2' || skip "needs python3-pytest and python3-psycopg2"
fi
cp -r "$ex/isolation" "$T/tests"
(cd "$T/tests" && "$python" -m pytest -q -p no:cacheprovider) >"$T/log" 2>&1 || fail "pytest: $(<"$T/log")"
contains "$(<"$T/log")" "6 passed"
same "$(on_main 'select count(*) from orders')" 5000
if command -v node >/dev/null && node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)'; then
	(cd "$T/tests" && node --test orders.test.mjs) >"$T/log" 2>&1 || fail "node: $(<"$T/log")"
else
	note "no node of version 20 here: branch.mjs was not run"
fi
same "$(cowfs branch list -q)" main "branches that are left"

# The lines of GitLab's job, as its runner gives them to a shell.
script_of() {
	python3 - "$ex/gitlab/preview-db.gitlab-ci.yml" "$1" <<'PY'
import sys, yaml
print("set -eo pipefail\n" + "\n".join(yaml.safe_load(open(sys.argv[1]))[sys.argv[2]]["script"]))
PY
}
mkdir "$T/checkout"
printf '#!/bin/sh\npsql -Xqc "alter table customers add column if not exists nick text" "$DATABASE_URL"\n' >"$T/checkout/migrate"
chmod +x "$T/checkout/migrate"
gitlab() { (cd "$T/checkout" && BRANCH=preview/pr-5 PARENT=main bash -c "$(script_of "$1")") >"$T/log" 2>&1 || fail "$1: $(<"$T/log")"; }
gitlab preview-db
gitlab preview-db
contains "$(<"$T/log")" customers.nick
gitlab preview-db-stop
gitlab preview-db-stop
same "$(cowfs branch list -q)" main "branches that are left"

# The form of the rest: YAML, and the keys that compose knows.
python3 - "$ex" <<'PY'
import glob, sys, yaml
for f in glob.glob(sys.argv[1] + "/compose/*.yml"):
    d = yaml.safe_load(open(f))
    assert set(d) <= {"services", "volumes"}, f
    for s in d["services"].values():
        assert "image" in s and set(s) <= {"image", "command", "environment", "volumes", "devices", "cap_add", "security_opt",
            "ports", "stop_grace_period", "restart", "healthcheck", "network_mode", "labels"}, (f, set(s))
for f in glob.glob(sys.argv[1] + "/github/workflows/*.yml"):
    d = yaml.safe_load(open(f))
    assert d["jobs"] and (d.get("on") or d.get(True)) and d["permissions"], f
    for j in d["jobs"].values():
        assert j["runs-on"] and all(("run" in s) != ("uses" in s) for s in j["steps"]), f
PY
