#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a branch and its server may have: settings kept with the branch, memory by profile, limits of the kernel, sleep
# under clients that do nothing, section [serve] of the configuration, and crash after crash.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
echo 'shared_buffers = 512MB' >>"$M/main/postgresql.conf"
printf '[serve]\nsuspend_timeout = 1h\nmax_connections = 7\nlisten = 127.0.0.1\n' >>"$COWFS_STORE/cowfs.conf"

# --- the configuration, and what the command line says over it ---
printf 'sweep_max = many\n' >>"$COWFS_STORE/cowfs.conf"
exits 2 timeout 20 "$COWFS" serve
contains "$err" "sweep-max"
sed -i '/sweep_max/d' "$COWFS_STORE/cowfs.conf"
serve_start --max-connections 5
status=$(cowfs -o json status)
same "$(json serve.suspend_timeout_ms <<<"$status")" 3600000
same "$(json serve.max_connections <<<"$status")" 5

# --- settings kept with the branch ---
branch b -c work_mem=7MB -c application_name=mine
same "$(query b 'show work_mem')" 7MB
cowfs suspend b >&2
cowfs branch set b -c work_mem=9MB --unset application_name >&2
same "$(query b 'show work_mem')" 9MB
same "$(cowfs -o json branch get b | json settings.postgres)" '{"work_mem": "9MB"}'
cowfs suspend b >&2
cowfs branch reset b --yes >&2
same "$(query b 'show work_mem')" 9MB "after a reset"
exits 2 cowfs branch set b -c port=1
contains "$err" "port is chosen by cowfs"
exits 2 cowfs branch set b --profile huge
exits 2 cowfs branch set b --memory 1M

# --- memory by profile: what is inherited is bounded, what was said is not ---
same "$(query b 'show shared_buffers')" 128MB
same "$(query main 'show shared_buffers')" 512MB
cowfs suspend b >&2
cowfs branch set b --profile small >&2
same "$(query b 'show shared_buffers')" 32MB
cowfs suspend b >&2
cowfs branch set b --profile inherit >&2
same "$(query b 'show shared_buffers')" 512MB
cowfs suspend b >&2
cowfs branch set b -c shared_buffers=20MB >&2
same "$(query b 'show shared_buffers')" 20MB
cowfs suspend b >&2

# --- limits of the kernel: there, or the reason why not ---
cowfs branch set b --memory 64M --cpus 0.5 >&2
same "$(query b 'select 1')" 1
if [[ $(cowfs -o json branch get b) == *'"unlimited"'* ]]; then
	contains "$(cowfs -o json branch get b | json unlimited)" "cannot be limited here"
	note "no cgroup v2 for us here: only the reason was tested"
else
	contains "$(cat "/proc/$(pg_pid "$M/b")/cgroup")" "/b"
fi
cowfs branch set b --memory default --cpus any --profile default --unset shared_buffers >&2

# --- asleep under clients that do nothing; an open transaction is something ---
branch quiet --suspend-timeout 2s --suspend-idle-sessions yes
branch held --suspend-timeout 2s --suspend-idle-sessions yes
branch kept --suspend-timeout 1s
for name in quiet held kept; do port_of "$name" >"$T/port.$name"; done
PYTHONPATH=$TESTS/lib python3 - "$T" <<'PY'
import subprocess, sys, time
import pgwire
def port(name): return int(open("%s/port.%s" % (sys.argv[1], name)).read())
sessions = {}
def connect(name, *statements):
    """Each has something to do before another server is started, which may take long."""
    sessions[name] = pgwire.Session(port(name))
    for text in statements:
        sessions[name].query(text)
connect("held", "begin")
connect("kept")
connect("quiet")
# Statements keep it awake, as long as they come.
for _ in range(10):
    assert sessions["quiet"].query("select 2") == ["2"]
    time.sleep(0.25)
time.sleep(5)
for name in ("held", "kept"):
    assert sessions[name].query("select 3") == ["3"], name
try:
    got = sessions["quiet"].query("select 4")
    assert False, got
except (pgwire.Refused, EOFError, OSError, AssertionError) as e:
    if isinstance(e, AssertionError) and e.args and e.args[0] == ["4"]:
        raise SystemExit("it did not fall asleep under its client")
# The same session after its transaction: idle like any other.
sessions["held"].query("commit")
PY
eventually 5 state_is quiet suspended
contains "$(<"$T/serve.log")" "quiet falls asleep under 1 clients that do nothing"
same "$(query quiet 'select 5')" 5
cowfs branch set kept --suspend-idle-sessions yes >&2

# --- three crashes in a row ---
for n in 1 2 3; do
	query b 'select 1' >&2
	pg_kill "$M/b"
	((n == 3)) || eventually 10 state_is b suspended
done
eventually 10 state_is b failed
status=$(cowfs -o json status)
same "$(json servers_failed.0 <<<"$status")" b
contains "$(json troubles.b <<<"$status")" "signal 9"
contains "$(cowfs status)" "b: postgres ended by signal 9; the end of its log:"
contains "$(grep 'b: postgres ended by signal 9' -A3 "$T/serve.log")" "the end of its log:"
contains "$(query b 'select 1' 2>&1 || true)" "failed 3 times in a row"
cowfs wake b >&2
same "$(query b 'select 1')" 1
serve_stop
unmount_store
verify_store
