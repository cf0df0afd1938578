#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The other pieces of examples/ for continuous integration: validate-then-main, a branch per test file, GitLab's job,
# the form of what cannot be run here.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
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
in_tests() { # in_tests WHAT DIR COMMAND...
	(cd "$T/tests/$2" && "${@:3}") >"$T/log" 2>&1 || fail "$1: $(<"$T/log")"
	note "$1: ran"
}
has() { command -v "$1" >/dev/null || { note "no $1 here: its example was not run" && false; }; }
isolated() { # every language, each with a branch of its own for each file
	in_tests pytest . "$python" -m pytest -q -p no:cacheprovider
	contains "$(<"$T/log")" "6 passed"
	if has node && node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)'; then
		in_tests node . node --test orders.test.mjs
	fi
	if has javac && [[ -e $jdbc ]]; then
		in_tests javac java javac -d "$T/classes" Branch.java OrdersTest.java
		in_tests java java java -cp "$T/classes:$jdbc" OrdersTest
		contains "$(<"$T/log")" "2 passed"
	fi
	# Building its database driver takes a while.
	if [[ -n $COWFS_LONG && -e /usr/share/gocode/src/github.com/lib/pq ]] && has go; then
		in_tests go go env GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$T/gocache" go test -count=1 -v .
		contains "$(<"$T/log")" "PASS: TestNextSeesNothingOfIt"
	fi
	same "$(on_main 'select count(*) from orders')" 5000
	same "$(cowfs branch list -q)" main "branches that are left"
}
jdbc=/usr/share/java/postgresql.jar
isolated

# The same from a warm pool: what is taken runs already.
serve_start --suspend-timeout never
cowfs pool create ci --from main --size 2 >&2
pool_ready() { (($(cowfs -o json pool get ci | json ready) >= 1)); }
eventually 60 pool_ready
COWFS_POOL=ci isolated
refilled() { (($(find "$M/.pool/ci" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1) > 2)); }
eventually 30 refilled # so some were taken
cowfs pool delete ci --yes >&2
serve_stop
cowfs start main >&2

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
