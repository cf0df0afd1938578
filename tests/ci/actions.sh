#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The GitHub actions and workflows of examples/, run step by step, with names that a shell would love.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/sshd.sh"
requires fuse root postgres jq curl python3
python3 -c 'import yaml' 2>/dev/null || skip "needs python3-yaml"
import_main
on_exit stop_all
stop_all() { while IFS= read -r b; do "$COWFS" stop -m immediate -- "$b"; done < <("$COWFS" branch list -q); }
export PATH=$(dirname "$COWFS"):$PGBIN:$PATH T
root=$SOURCE
cowfs start main >&2
psql -Xqc "create table people(id serial primary key, email text unique); insert into people(email) values ('a@test.example')" "$(cowfs url main)"
branch golden --protected yes
# act ACTION NAME=VALUE...: its outputs in $T/out.json, what the log shows in $T/log
act() { python3 "$TESTS/lib/actions.py" action "$root/examples/github/$1" "$T/out.json" "${@:2}" >"$T/log" 2>&1 || return $?; }
refuses() { if act "$@"; then fail "$* was not refused: $(<"$T/log")"; fi; }
out() { json "$1" <"$T/out.json"; }

# Nothing but env: carries values into the scripts (the runner refuses an expression in run:, so this is all of them).
for f in "$root"/examples/github/*/action.yml "$root"/examples/github/workflows/*.yml; do
	python3 - "$f" <<'PY'
import sys, yaml
def steps(d):
    for j in [d["runs"]] if "runs" in d else d["jobs"].values():
        yield from j["steps"]
for s in steps(yaml.safe_load(open(sys.argv[1]))):
    assert "${{" not in s.get("run", ""), (sys.argv[1], s["run"])
PY
done

# Made, then found: the same database, with what was written into it.
act create-branch branch_name=preview/pr-1 ttl=1h database=postgres password='p@ss:w/ö%' || fail "$(<"$T/log")"
same "$(out created)" true
url=$(out db_url) id=$(out branch_id)
contains "$url" 'postgresql://postgres:p%40ss%3Aw%2F%C3%B6%25@127.0.0.1:'
same "$(out db_host)" 127.0.0.1
same "$(out password)" 'p@ss:w/ö%'
psql -Xqc 'create table kept(x int)' "$url"
differ "$(cowfs -o json branch get preview/pr-1 | json expires_at)" null "the backstop"
act create-branch branch_name=preview/pr-1 || fail "$(<"$T/log")"
same "$(out created) $(out branch_id)" "false $id"
same "$(psql -XAtc "select to_regclass('kept') is not null" "$(out db_url)")" t
# The log shows neither URL nor password, even when a step prints them.
cp -r "$root/examples/github" "$T/leaky"
sed -i 's/^        output created.*/&\n        echo "url $(grep -h ^postgresql "$GITHUB_OUTPUT") password $INPUT_PASSWORD"/' "$T/leaky/create-branch/action.yml"
python3 "$TESTS/lib/actions.py" action "$T/leaky/create-branch" "$T/out.json" branch_name=preview/pr-1 password=s3cretpw >"$T/log"
contains "$(<"$T/log")" "url *** password ***"
lacks "$(<"$T/log")" s3cretpw

# Never the URL of a branch that others rely on, nor its end.
for b in main golden; do
	refuses create-branch branch_name=$b
	refuses delete-branch branch=$b
	refuses reset-branch branch=$b
	same "$(cowfs -o json branch get $b | json name)" $b
done
refuses create-branch branch_name=preview/pr-9 parent_branch=nowhere
refuses create-branch branch_name=preview # a directory of preview/pr-1
refuses create-branch branch_name=
[[ ! -s $T/out.json ]] || lacks "$(<"$T/out.json")" pr-9

# Hostile names: made under exactly this name, or refused; never run, never cut, no output of their own.
before=$(cowfs branch list -q | md5sum)
n=0
for name in "it's \"so\"" '$(touch '"$T"'/pwned)' '`touch '"$T"'/pwned`' 'a b  c' '; touch '"$T"'/pwned #' '${{ inputs.password }}' \
	'::add-mask::x' 'back\slash\n' '%0Adb_url=evil' 'ümläut <b>|'; do
	name=h$((++n))/$name
	act create-branch "branch_name=$name" ttl=1h || fail "$name: $(<"$T/log")"
	same "$(psql -XAtc 'show data_directory' "$(out db_url)")" "$M/$name" "who answers"
	same "$(cowfs -o json branch get -- "$name" | json id)" "$(out branch_id)" "the branch that was made"
	act delete-branch "branch=$name" || fail "$name: $(<"$T/log")"
	exits 3 cowfs branch get -- "$name"
done
act delete-branch "branch=$name" || fail "a missing branch: $(<"$T/log")"
for name in $'two\nlines' $'x\ndb_url=evil' $'x\n::set-output name=created::true' '-x' '--yes' 'a/../b' '/etc' 'x@y' ' x' 'x ' ''; do
	rm -f "$T/out.json"
	refuses create-branch "branch_name=$name"
	[[ ! -e $T/out.json ]] || fail "'$name' has outputs: $(<"$T/out.json")"
done
act delete-branch branch=$'x\ny' || true
[[ ! -e $T/pwned ]] || fail "a name was run by a shell"
same "$(cowfs branch list -q | md5sum)" "$before" "the branches that are left"

# Reset: as the parent is, under the same URL.
act reset-branch branch=preview/pr-1 || fail "$(<"$T/log")"
same "$(out branch_id)" "$id"
same "$(psql -XAtc "select to_regclass('kept') is null" "$(out db_url)")" t
refuses reset-branch branch=preview/pr-404

# A forge of our own: comments with pages, statuses.
cat >"$T/forge.py" <<'PY'
import http.server, json, re
comments = [{"id": n, "body": "talk", "html_url": f"c/{n}"} for n in range(130)]
class Forge(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def answer(self, code, v):
        b = json.dumps(v).encode(); self.send_response(code); self.send_header("Content-Length", str(len(b))); self.end_headers(); self.wfile.write(b)
    def body(self): return json.loads(self.rfile.read(int(self.headers["Content-Length"])))
    def handle_any(self):
        if self.path == "/dump": return self.answer(200, {"comments": comments[130:], "statuses": statuses})
        if self.headers.get("Authorization") != "Bearer t0ken": return self.answer(401, {})
        m = re.search(r"[?&]page=(\d+)", self.path)
        if "/pulls?" in self.path: return self.answer(200, [{"number": 7}] if re.search(r"[?&]page=1\b", self.path) else [])
        if self.command == "GET": return self.answer(200, comments[(int(m[1]) - 1) * 100:int(m[1]) * 100])
        if "/statuses/" in self.path: statuses.append([self.path.split("/")[-1], self.body()]); return self.answer(201, {})
        if self.command == "POST":
            comments.append({"id": len(comments), "body": self.body()["body"], "html_url": f"c/{len(comments)}"}); return self.answer(201, comments[-1])
        c = comments[int(self.path.split("/")[-1])]; c["body"] = self.body()["body"]; return self.answer(200, c)
    do_GET = do_POST = do_PATCH = handle_any
statuses = []
s = http.server.HTTPServer(("127.0.0.1", 0), Forge)
print(s.server_address[1], flush=True)
s.serve_forever()
PY
python3 "$T/forge.py" >"$T/port" &
on_exit "kill $!"
eventually 10 test -s "$T/port"
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export GITHUB_API_URL=http://127.0.0.1:$(<"$T/port") GITHUB_REPOSITORY=acme/shop TOKEN=t0ken
forge() { curl -sS "$GITHUB_API_URL/dump"; }
psql -Xqc 'alter table people add column org int' "$(cowfs url preview/pr-1)"
for round in 1 2; do
	act schema-diff compare_branch=preview/pr-1 pull_request=1 github_token=t0ken || fail "$(<"$T/log")"
	contains "$(out diff)" '+    org integer'
	same "$(out comment_url)" c/130
done
same "$(forge | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["comments"]))')" 1 "sticky comments"
contains "$(forge)" "public.people.org"
refuses schema-diff compare_branch=preview/pr-1 pull_request=1 github_token=wrong
refuses schema-diff compare_branch=preview/pr-1 'pull_request=1/../../x' github_token=t0ken

# The whole workflow, on a checkout with a migration of its own; over ssh, as a runner elsewhere has it.
sshd_start
mkdir -p "$T/checkout"
cp -r "$root/examples" "$T/checkout/"
printf '#!/bin/bash\nset -e\npsql -XqAt -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "alter table people add column if not exists nick text"\n' >"$T/checkout/migrate"
chmod +x "$T/checkout/migrate"
export VARS='{"COWFS_HOST": "'$HOST'", "COWFS_STORE": "'$COWFS_STORE'", "PARENT_BRANCH": "golden", "TUNNEL": "20s"}'
event() { # event ACTION [REPOSITORY OF THE HEAD]: of pull request 7
	jq -n --arg a "$1" --arg r "${2:-acme/shop}" '{action: $a, number: 7, pull_request: {number: 7, head: {ref: "x", sha: "abc123", repo: {full_name: $r}}}}' >"$T/event.json"
	(cd "$T/checkout" && env -u COWFS_STORE python3 "$TESTS/lib/actions.py" workflow examples/github/workflows/preview-db.yml "$T/event.json" "$T/checkout") >"$T/log" 2>&1 ||
		fail "$1: $(<"$T/log")"
}
for action in opened synchronize; do event $action; done
same "$(cowfs psql preview/pr-7 -- -XAtc "select count(*) from information_schema.columns where table_name = 'people' and column_name = 'nick'")" 1
contains "$(forge)" '["abc123", {"state": "success", "context": "preview-db", "description": "migrated: preview/pr-7"}]'
event closed
exits 3 cowfs branch get preview/pr-7
event closed
event opened somebody/fork
exits 3 cowfs branch get preview/pr-7
columns() { "$COWFS" psql main -- -XAtc "select count(*) from information_schema.columns where table_name = 'people'"; }
same "$(columns)" 2 "main was migrated"

# The other workflows. Every night: what no open pull request needs.
workflow() { # workflow FILE WANTED-STATUS
	echo '{}' >"$T/event.json"
	(cd "$T/checkout" && env -u COWFS_STORE EVENT_NAME=schedule python3 "$TESTS/lib/actions.py" workflow "examples/github/workflows/$1" "$T/event.json" "$T/checkout") >"$T/log" 2>&1 ||
		[[ $2 != 0 ]] || fail "$1: $(<"$T/log")"
}
branch preview/pr-7
branch preview/pr-8
sed -i 's/ci sweep /ci sweep --grace 0 /' "$T/checkout/examples/github/workflows/sweep.yml"
workflow sweep.yml 0
exits 3 cowfs branch get preview/pr-8
same "$(cowfs -q branch list | tr '\n' ' ')" "golden main preview/pr-7 " "after the sweep"

# A merged migration: rehearsed, then applied; one that fails changes nothing.
export VARS='{"COWFS_STORE": "'$COWFS_STORE'"}'
mkdir "$T/checkout/migrations"
echo 'alter table people add column a int; select 1/0' >"$T/checkout/migrations/next.sql"
workflow validate-then-main.yml 1
contains "$(<"$T/log")" "nothing was applied"
same "$(columns)" 2 "columns after a failure"
echo 'alter table people add column a int' >"$T/checkout/migrations/next.sql"
workflow validate-then-main.yml 0
contains "$(<"$T/log")" "applied to main"
same "$(columns)" 3 "columns of main"
