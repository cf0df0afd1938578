#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# start, stop, url and psql: many servers of one store beside each other, and after a kill -9.
. "$(dirname "$0")/../lib/lib.sh"
requires root fuse postgres python3

ask() { cowfs psql "$1" -- -XAt -c "$2"; }
state() { cowfs -o json url "$1" | json current_state; }

store_new
pg_init "$T/a"
cowfs import "$T/a" main >&2

note "without a mount there is nothing to start"
exits 7 cowfs start main
contains "$err" mount
mount_store
on_exit 'for b in $(cowfs -q branch list); do cowfs stop "$b" -m immediate; done'

long=feature/$(printf 'n%.0s' {1..200})
for b in feature/x feature-x "$long"; do cowfs branch create "$b" >&2; done
exits 3 cowfs url feature/x
contains "$err" "cowfs start feature/x"
for b in main feature/x feature-x "$long"; do
	cowfs start "$b" >&2
	same "$(state "$b")" running "state of $b"
	same "$(ask "$b" 'show cluster_name')" "${b:0:63}" "cluster_name"
	ask "$b" "create table who as select '${b:0:9}' b" >&2
done
for b in main feature/x feature-x "$long"; do same "$(ask "$b" 'select b from who')" "${b:0:9}" "who answers"; done
same "$(stat -c %d:%i "$M/main/PG_VERSION" "$M/feature/x/PG_VERSION" | sort -u | wc -l)" 2 "identities of one file"

note "start twice, stop twice"
pid=$(pg_pid "$M/main")
cowfs start main >&2
same "$(pg_pid "$M/main")" "$pid" "process after a second start"
exits 5 cowfs start main --port 1
same "$(ps -o user= -p "$pid")" postgres "user of the server"

note "the address is stable, and made for environment files"
url=$(cowfs url main)
contains "$(cowfs url main -o env)" "DATABASE_URL='$url'"
contains "$(cowfs url main -U 'a b' -d 'x/y')" "a%20b@127.0.0.1:"
cowfs stop main >&2
cowfs stop main >&2
same "$(cowfs url main 2>/dev/null)" "$url" "address of a stopped server"
exits 7 cowfs psql main
cowfs start main >&2
same "$(cowfs url main)" "$url" "address after a restart"

note "kill -9 of one: the others live, and it starts again; three times"
for k in 1 2 3; do
	ask main "insert into who values ('round $k')" >&2
	kill -9 "$(pg_pid "$M/main")"
	eventually 10 bash -c "! kill -0 $(pg_pid "$M/main") 2>/dev/null || grep -q 'State:.Z' /proc/$(pg_pid "$M/main")/status"
	same "$(ask feature/x 'select b from who')" feature/x "another server"
	cowfs start main >&2
	same "$(ask main 'select count(*) from who')" $((k + 1)) "rows after the crash"
done

note "a pid file that names another process is no obstacle; a file open by somebody is"
cowfs stop feature-x >&2
printf '%s\n' "$$" "$M/feature-x" 1 1 '' '' '' ready >"$M/feature-x/postmaster.pid"
chown postgres "$M/feature-x/postmaster.pid"
cowfs start feature-x >&2
cowfs stop feature-x >&2
exec 9>>"$M/feature-x/PG_VERSION"
exits 5 cowfs start feature-x
exec 9>&-

note "bad settings: the reason is the server's own, at once"
exits 2 cowfs start feature-x -c fsync=off
exits 2 cowfs start feature-x -c port=1
exits 2 cowfs start feature-x -c nonsense
refused cowfs start feature-x -c no_such_setting=1
contains "$err" no_such_setting
cowfs start feature-x -c work_mem=77MB >&2
same "$(ask feature-x 'show work_mem')" 77MB "setting for one start"

note "psql's exit status is passed on; stop -m smart waits for clients"
exits 1 cowfs psql feature-x -- -c 'select 1/0'
echo 'select 1/0;' >"$T/bad.sql"
exits 3 cowfs psql feature-x -- -v ON_ERROR_STOP=1 -f "$T/bad.sql"
(ask feature-x 'select pg_sleep(30)' >/dev/null 2>&1 &)
eventually 10 bash -c "[ \$('$COWFS' psql feature-x -- -XAtc \"select count(*) from pg_stat_activity where query like '%sleep(30)'\") = 1 ]" || true
exits 6 cowfs stop feature-x -m smart --timeout 1s
contains "$err" "-m fast"
exits 2 cowfs stop feature-x -m hard
cowfs stop feature-x -m immediate >&2
same "$(state feature-x 2>/dev/null)" stopped state

note "^C, or a runner's SIGTERM, during --seed: no branch"
echo 'select pg_sleep(60);' >"$T/long.sql"
chmod 644 "$T/long.sql"
# As a terminal does it, to the whole group; and to the command alone.
for how in group alone; do
	python3 - "$COWFS" "$T/long.sql" "$how" <<'PY' >&2
import os, signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "branch", "create", "hasty", "--seed", sys.argv[2]], start_new_session=True, stdout=subprocess.DEVNULL)
for _ in range(300):
    time.sleep(0.1)
    if b"long.sql" in open("/proc/%d/cmdline" % p.pid, "rb").read() and any(
            b"psql" in open("/proc/%s/cmdline" % c, "rb").read() for c in open("/proc/%d/task/%d/children" % (p.pid, p.pid)).read().split()):
        break
time.sleep(0.5)
if sys.argv[3] == "group":
    os.killpg(p.pid, signal.SIGINT)
else:
    os.kill(p.pid, signal.SIGTERM)
began = time.monotonic()
status = p.wait(60)
assert status == 130, status
assert time.monotonic() - began < 30, "the seed ran to its end"
PY
	exits 3 cowfs branch get hasty
done
# A signal that comes before psql runs: as early as the branch is there.
python3 - "$COWFS" "$T/long.sql" <<'PY' >&2
import os, signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "branch", "create", "hasty", "--seed", sys.argv[2]], start_new_session=True, stdout=subprocess.DEVNULL)
while subprocess.run([sys.argv[1], "branch", "get", "hasty"], capture_output=True).returncode:
    assert p.poll() is None
os.kill(p.pid, signal.SIGTERM)
assert p.wait(30) == 130
PY
exits 3 cowfs branch get hasty

note "--seed: all of it or nothing, and the server is as before"
echo 'create table seeded as select generate_series(1, 3);' >"$T/seed.sql"
chmod 600 "$T/seed.sql"
cowfs branch create seeded --seed "$T/seed.sql" >&2
same "$(state seeded 2>/dev/null)" stopped "server after seeding"
cowfs start seeded >&2
same "$(ask seeded 'select count(*) from seeded')" 3 "seeded rows"
echo 'select 1/0;' >>"$T/seed.sql"
exits 2 cowfs branch create unseeded --seed "$T/seed.sql"
contains "$err" "division by zero"
exits 3 cowfs branch get unseeded

note "a port that cannot be had is refused, and the branch keeps its own"
cowfs stop seeded >&2
url=$(cowfs url seeded 2>/dev/null)
exits 4 cowfs start seeded --port 1
port=$(cowfs url main -o json | json port)
exits 5 cowfs start seeded --port "$port"
contains "$err" "belongs to branch main"
python3 -c 'import signal, socket
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); signal.pause()' >"$T/taken" &
taken=$!
eventually 10 test -s "$T/taken"
exits 5 cowfs start seeded --port "$(<"$T/taken")"
contains "$err" "used by another program"
kill $taken
same "$(cowfs url seeded 2>/dev/null)" "$url" "address after three refusals"
cowfs start seeded >&2

note "many start one branch at once, also over a stale postmaster.pid: one server, and all are told"
cowfs stop seeded >&2
echo 1 >"$M/seeded/postmaster.pid"
chown postgres "$M/seeded/postmaster.pid"
starts=()
for k in {1..8}; do
	cowfs start seeded >"$T/start.$k" 2>&1 &
	starts+=($!)
done
for k in "${starts[@]}"; do wait "$k" || fail "a start beside others failed: $(cat "$T"/start.*)"; done
same "$(pgrep -fc -- "^$PGBIN/postgres -D $M/seeded " || true)" 1 "servers of one branch"
same "$(ask seeded 'select count(*) from seeded')" 3 "rows after many starts"

note "a point of a running server asks for a checkpoint where tablespaces changed, and else for none"
checkpoint() { ask seeded "select checkpoint_lsn from pg_control_checkpoint()"; }
touch "$T/now"
touch -r "$T/now" "$M"/seeded/{PG_VERSION,pg_tblspc} # as initdb leaves them in a young cluster
was=$(checkpoint)
cowfs branch create young --parent seeded >&2
same "$(checkpoint)" "$was" "the last checkpoint after a branch was made"
touch "$M/seeded/pg_tblspc"
cowfs branch create settled --parent seeded >&2
differ "$(checkpoint)" "$was" "the last checkpoint after tablespaces changed"

note "an empty branch says what it lacks"
cowfs branch create hollow --empty >&2
exits 3 cowfs start hollow
contains "$err" "initdb -D $M/hollow"
