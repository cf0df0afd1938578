#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pool hands over a branch whose server runs, in milliseconds, and fills itself again: over restarts of serve and of the
# daemon, when its parent moved on, when it is resized or deleted. Its members are nobody's branches until then.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres python3
import_main
cowfs start main >&2
cowfs psql main -- -Xqc 'create table t as select 1 as a' >&2
cowfs stop main >&2
cowfs snapshot create main s >&2
serve_start --suspend-timeout never
pool() { cowfs -o json pool get ci | json "$1"; }
ready() { [[ $(pool ready) == "$1" && $(pool members) == "$1" ]]; }
same_work_mem() { [[ $(query t1 "show work_mem") == 11MB ]]; }
test_cold() { [[ $(cold) == 1 && $(state_of ".pool/cold/1") == suspended ]]; }
# A member may go while find walks: that is no failure.
members() { { find "$M/.pool" -mindepth 2 -maxdepth 2 2>/dev/null || true; } | sort | tr "\n" " "; }

exits 3 cowfs pool create ci --from nothing
exits 3 cowfs pool create ci --from main@nothing
exits 2 cowfs pool create a/b --from main
exits 2 cowfs branch create .pool/x/1
cowfs pool create ci --from main --size 3 --refresh 1h >&2
exits 5 cowfs pool create ci --from main
eventually 60 ready 3
same "$(cowfs -q branch list)" main
same "$(cowfs -q pool list)" ci

# --- handing over: at once, with its server, by its own address ---
started=$(grep -c 'runs after' "$T/serve.log")
cowfs branch create t1 --from-pool ci --ttl 1h >&2
pid=$(pg_pid "$M/t1")
same "$(query t1 'select a from t')" 1
same "$(pg_pid "$M/t1")" "$pid"
contains "$(cowfs -q branch list)" t1
differ "$(cowfs -o json branch get t1 | json expires_at)" null
lacks "$(cowfs -o json branch get t1)" pool_ready
# It goes on under its new name: files, settings that are read again, tables, a crash.
query t1 "alter system set work_mem = '11MB'" >&2
query t1 'select pg_reload_conf()' >&2
eventually 10 same_work_mem
same "$(query t1 'create table u as select generate_series(1, 10000) as b; checkpoint; select count(*) from u')" 10000
same "$(query t1 'show config_file' | xargs cat | wc -l)" "$(wc -l <"$M/t1/postgresql.conf")"
cowfs branch create of-t1 --parent t1 >&2
same "$(query of-t1 'select count(*) from u')" 10000
eventually 10 test -S "$(cowfs -o json start t1 | json socket_dir)/.s.PGSQL.$(port_of t1)"
contains "$(cowfs logs t1)" "ready to accept connections"
cowfs branch set t1 -c work_mem=5MB >&2
cowfs suspend t1 >&2
same "$(query t1 'show data_directory')" "$M/t1"
same "$(query t1 'show work_mem; select count(*) from u' | tr '\n' ' ')" "5MB 10000 "
cowfs stop t1 >&2

# --- it fills itself again, and answers when it is empty ---
eventually 60 ready 3
(($(grep -c 'runs after' "$T/serve.log") > started)) || fail "nothing was started for the one that was taken"
for n in 1 2 3 4 5; do cowfs branch create "burst$n" --from-pool ci >&2; done
for n in 1 2 3 4 5; do same "$(query "burst$n" 'select a from t')" 1; done
drop burst{1..5} --force
eventually 60 ready 3

# --- how long it takes: what the daemon answers, and the whole command ---
python3 - "$COWFS_STORE" <<'PY'
import json, socket, sys, time, statistics
def call(path, verb, **args):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    f = s.makefile("rw")
    f.write(json.dumps({"verb": verb, "args": args}) + "\n")
    f.flush()
    answer = json.loads(f.readline())
    s.close()
    assert "result" in answer, answer
    return answer["result"]
store, took = sys.argv[1], []
control, serve = store + "/control.sock", store + "/serve.sock"
for k in range(9):
    end = time.time() + 60
    while call(control, "pool.get", name="ci")["ready"] < 3:
        assert time.time() < end
        time.sleep(0.05)
    time.sleep(0.3)
    began = time.time()
    got = call(control, "pool.take", pool="ci", name="timed%d" % k)
    call(serve, "handed", **{"from": got["was"], "to": got["name"]})
    took.append((time.time() - began) * 1000)
    assert got["was"]
print("handed over: p50 %.1f ms, best %.1f ms, worst %.1f ms" % (statistics.median(took), min(took), max(took)), file=sys.stderr)
# Beside other loads a single one may wait; most may not.
assert sorted(took)[2] < 10, took
PY
for n in 0 4 8; do same "$(query "timed$n" 'select a from t')" 1; done
drop timed{0..8} --force
eventually 60 ready 3

# --- other contents of the parent: all are replaced; written to: those that are old enough ---
old=$(members)
query main 'insert into t values (2)' >&2
cowfs suspend main >&2
sleep 3
same "$(members)" "$old"
cowfs pool resize ci 2 --refresh 1s >&2
refreshed() { [[ $(members) != *"${old%% *}"* ]] && ready 2; }
eventually 60 refreshed
cowfs branch create fresh --from-pool ci >&2
same "$(query fresh 'select count(*) from t')" 2
cowfs branch restore main s --yes --force >&2
cowfs pool resize ci 2 --refresh never >&2
old=$(members)
eventually 60 ready 2
eventually 60 refreshed
cowfs branch create restored --from-pool ci >&2
same "$(query restored 'select count(*) from t')" 1

# --- restarts ---
eventually 60 ready 2
serve_stop
cowfs branch create offline --from-pool ci >&2
cowfs unmount "$M" >&2
mount_store "$M"
same "$(pool members)" 1
serve_start --suspend-timeout never
eventually 60 ready 2
same "$(query offline 'select a from t')" 1
kill -9 "$serve"
wait "$serve" || true
cowfs branch create orphaned --from-pool ci >&2
serve_start --suspend-timeout never
same "$(query orphaned 'select a from t')" 1
eventually 60 ready 2

# --- what the pool says is in its branches; what is said of one is in that one ---
cowfs pool create own --from main@s --size 1 -c work_mem=7MB --profile small --restricted >&2
own_ready() { [[ $(cowfs -o json pool get own | json ready) == 1 ]]; }
as_restricted() { PGPASSWORD=$2 "$PGBIN/psql" -h 127.0.0.1 -p "$(port_of "$1")" -U restricted -d postgres -XAtqc "$3" </dev/null; }
settings() { cowfs -o json branch get "$1" | python3 -c 'import json, sys
o = json.load(sys.stdin)["settings"]
for key in "port", "expires_at": o.pop(key, None)
print(json.dumps(o, sort_keys=True))'; }
eventually 60 own_ready
exits 2 cowfs branch create p1 --from-pool own --restricted
exits 2 cowfs branch create p1 --from-pool own --fork workers=kept
exits 0 cowfs branch create p1 --from-pool own --ttl 1h --max-connections 3 --suspend-timeout 9m --quota 1G -o json
password=$(json passwords.restricted <"$T/.out")
pid=$(pg_pid "$M/p1")
same "$(as_restricted p1 "$password" 'show work_mem')" 7MB
same "$(pg_pid "$M/p1")" "$pid"
refused query p1 'select 1'
cowfs branch create direct --parent main@s -c work_mem=7MB --profile small --restricted --ttl 1h --max-connections 3 --suspend-timeout 9m --quota 1G >&2
same "$(settings p1)" "$(settings direct)"
same "$(cowfs -o json branch get p1 | json quota_bytes)" "$((1 << 30))"
exits 0 cowfs branch reset p1 --yes --force
same "$(as_restricted p1 "$password" 'show work_mem')" 7MB
eventually 60 own_ready
exits 0 cowfs branch create p2 --from-pool own -c work_mem=9MB -o json
same "$(as_restricted p2 "$(json passwords.restricted <"$T/.out")" 'show work_mem')" 9MB
# An empty pool: the same, made now.
cowfs pool resize own 0 >&2
no_own() { [[ $(cowfs -o json pool get own | json members) == 0 ]]; }
eventually 60 no_own
exits 0 cowfs branch create p3 --from-pool own -o json
same "$(as_restricted p3 "$(json passwords.restricted <"$T/.out")" 'show work_mem')" 7MB
# Another policy in the configuration: members that have the old one are not handed out.
cowfs psql main -- -XAtqc "create role app login password 'old'" >&2
old=$(members)
printf '[fork]\nrole_passwords = replaced\n' >"$COWFS_STORE/cowfs.conf"
same "$(pool ready)" 0
cowfs pool delete own --yes >&2
exits 0 cowfs branch create p4 --from-pool ci -o json
app=$(json passwords.app <"$T/.out")
other() { [[ $(members) != *"${old%% *}"* ]] && ready 2; }
eventually 60 other
exits 0 cowfs branch create p5 --from-pool ci -o json
differ "$(json passwords.app <"$T/.out")" "$app"
sed -i 's/trust$/scram-sha-256/' "$M/p4/pg_hba.conf"
cowfs suspend p4 >&2
same "$(PGPASSWORD=$app "$PGBIN/psql" -h 127.0.0.1 -p "$(port_of p4)" -U app -d postgres -XAtqc 'select 1')" 1
old=$(members)
rm "$COWFS_STORE/cowfs.conf"
eventually 60 other

# --- stopped members have been run once; the end ---
cowfs pool create cold --from main@s --size 1 --warm stopped >&2
cold() { cowfs -o json pool get cold | json ready; }
eventually 60 test_cold
cowfs branch create c1 --from-pool cold >&2
same "$(query c1 'select a from t')" 1
cowfs pool delete cold --yes >&2
cowfs pool delete ci --yes >&2
exits 3 cowfs pool get ci
empty() { [[ -z $(members) ]]; }
eventually 60 empty
serve_stop
cowfs pool create late --from main >&2
cowfs pool delete late --yes >&2
unmount_store
verify_store
